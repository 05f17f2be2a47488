/**
 * npm run bench:live: what viewers of the live page cost. CPU time of the daemon with calls (all answered, some
 * with media), without a viewer and with several, each of whom reads all that it is sent.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { WebSocket } from 'ws';
import type { Frame, SortKey } from '../src/daemon/live/protocol.js';
import { firstWish } from '../src/daemon/live/wish.js';
import { MediaDaemon } from '../test/support/daemons.js';
import { freeTcpPort } from '../test/support/free-ports.js';
import { audioSdp } from '../test/support/ng-client.js';
import { pause } from '../test/support/wait.js';

const option = (name: string, fallback: number): number => {
  const text = process.argv.find((word) => word.startsWith(`--${name}=`));
  return text === undefined ? fallback : Number(text.slice(name.length + 3));
};
const calls = option('calls', 5000);
const seconds = option('seconds', 20);
const most = option('viewers', 4);
/** Setting up leaves work behind: the daemon gives memory back in the seconds after it. */
const settleMs = 15_000;

/** CPU time of all its threads, its pair's too, ms (sched-stats.rst: /proc/PID/schedstat, ns on a processor). */
function cpuMs(pid: number): number {
  let sum = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const own = `/proc/${pid}/task/${thread}`;
    sum += Number(readFileSync(`${own}/schedstat`, 'latin1').split(' ', 1)[0]) / 1e6;
    for (const child of readFileSync(`${own}/children`, 'latin1').split(' ')) {
      if (child !== '') sum += cpuMs(Number(child));
    }
  }
  return sum;
}

const http = freeTcpPort();
const withPage = !process.argv.includes('--without');
const daemon = await MediaDaemon.start('rtprelayd', {
  ...{ logLevel: 4, portRange: { min: 16_384, max: 65_000 } },
  extra: [
    `--listen-http=127.0.0.1:${http}`,
    '--timeout=3600',
    ...(withPage ? ['--live-page'] : []),
  ],
});
const client = daemon.client();
const viewers: { readonly socket: WebSocket; frames: number; bytes: number }[] = [];

async function measure(what: string): Promise<number> {
  await pause(8000);
  const before = cpuMs(daemon.process.pid);
  for (const viewer of viewers) [viewer.frames, viewer.bytes] = [0, 0];
  await pause(seconds * 1000);
  const percent = (cpuMs(daemon.process.pid) - before) / (seconds * 10);
  const frames = viewers.reduce((sum, each) => sum + each.frames, 0);
  const bytes = viewers.reduce((sum, each) => sum + each.bytes, 0);
  console.log(`${what}: ${percent.toFixed(2)} % of a core, ${frames} frames, ${bytes} bytes`);
  return percent;
}

try {
  for (let at = 0; at < calls; at += 1) {
    const call = { 'call-id': `call-${at}`, 'from-tag': `a${at}` };
    await client.request({ command: 'offer', ...call, sdp: audioSdp(10_000) });
    await client.request({ command: 'answer', ...call, 'to-tag': `b${at}`, sdp: audioSdp(10_002) });
  }
  await pause(settleMs);
  const none = await measure(`${calls} calls, nobody looks${withPage ? '' : ', no page'}`);
  const sorts: readonly SortKey[] = ['trouble', 'rate', 'loss', 'mos'];
  const looked: (readonly [count: number, percent: number])[] = [];
  for (let count = 1; withPage && count <= most; count *= 2) {
    while (viewers.length < count) {
      const socket = new WebSocket(`ws://127.0.0.1:${http}/live/feed`, 'live.rtprelay');
      const viewer = { socket, frames: 0, bytes: 0 };
      const sort = sorts[viewers.length % sorts.length] ?? 'trouble';
      socket.on('open', () =>
        socket.send(JSON.stringify({ ...firstWish, sort, from: 1000, count: 30, call: 'call-17' })),
      );
      socket.on('message', (data: Buffer) => {
        const frame = JSON.parse(data.toString('utf8')) as Frame;
        if (frame.list.rows.length > 0) viewer.frames += 1;
        viewer.bytes += data.length;
      });
      viewers.push(viewer);
    }
    looked.push([count, await measure(`${calls} calls, ${count} viewers`)]);
  }
  if (withPage) {
    for (const { socket } of viewers.splice(0)) socket.terminate();
    // Before and after: what else the machine does changes meanwhile.
    const alone = (none + (await measure(`${calls} calls, nobody looks`))) / 2;
    for (const [count, percent] of looked) {
      console.log(
        `${count} viewers: ${((percent - alone) / count).toFixed(2)} % of a core for each`,
      );
    }
  }
} finally {
  for (const { socket } of viewers) socket.terminate();
  client.close();
  await daemon.stop();
}
