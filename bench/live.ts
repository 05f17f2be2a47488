/**
 * npm run bench:live: what the live page and its viewers cost. Two daemons with the same calls, all of them with media, one with the
 * page and one without: the CPU time of both in the same seconds, while nobody looks, while some do, and again. Each viewer reads all
 * that it is sent.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import type { Frame, SortKey } from '../src/daemon/live/protocol.js';
import { firstWish } from '../src/daemon/live/wish.js';
import { TemporaryFolder, TestProcess } from '../test/support/child-process.js';
import { MediaDaemon } from '../test/support/daemons.js';
import { freeTcpPort } from '../test/support/free-ports.js';
import { audioSdp, mediaPort } from '../test/support/ng-client.js';
import { pause } from '../test/support/wait.js';
import { median } from './lib/report.js';

const option = (name: string, fallback: number): number => {
  const text = process.argv.find((word) => word.startsWith(`--${name}=`));
  return text === undefined ? fallback : Number(text.slice(name.length + 3));
};
const calls = option('calls', 5000);
const seconds = option('seconds', 10);
const runs = option('runs', 3);
const most = option('viewers', 16);
/** Between two packets of a stream, s. */
const spacing = option('spacing', 2);
const phonePort = 9000;
/** The daemon's last work on many calls that have come, the collection of what their replies took, is a minute later. */
const settleMs = option('settle', 75) * 1000;
const warmMs = 3000;
const slowMedia = fileURLToPath(new URL('lib/slow-media.py', import.meta.url));

/** CPU time of all its threads but those of the media, its pair's too, ms (sched-stats.rst: schedstat, ns on a processor). */
function controlMs(pid: number): number {
  let sum = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const own = `/proc/${pid}/task/${thread}`;
    for (const child of readFileSync(`${own}/children`, 'latin1').split(' ')) {
      if (child !== '') sum += controlMs(Number(child));
    }
    if (readFileSync(`${own}/comm`, 'latin1').trim() === 'rtprelay-media') continue;
    sum += Number(readFileSync(`${own}/schedstat`, 'latin1').split(' ', 1)[0]) / 1e6;
  }
  return sum;
}

/** Addresses of loopback, so that no port is anybody else's. */
const places = { page: '127.44.1', plain: '127.44.2' } as const;
type Kind = keyof typeof places;
const http = freeTcpPort();
const daemons = new Map<Kind, MediaDaemon>();
const folder = new TemporaryFolder('bench-live');
const loads: TestProcess[] = [];
const viewers: { readonly socket: WebSocket; frames: number; bytes: number }[] = [];
const sorts: readonly SortKey[] = ['trouble', 'rate', 'loss', 'mos'];

async function start(kind: Kind): Promise<void> {
  const page = kind === 'page' ? [`--listen-http=127.0.0.1:${http}`, '--live-page'] : [];
  const daemon = await MediaDaemon.start('rtprelayd', {
    ...{ logLevel: 4, portRange: { min: 10_000, max: 60_000 } },
    ...{ interfaces: [`${places[kind]}.1`], extra: ['--timeout=3600', ...page] },
  });
  daemons.set(kind, daemon);
  const ports = await makeCalls(daemon, places[kind]);
  writeFileSync(folder.file(kind), ports.join('\n'));
  const words = [`${places[kind]}.2`, String(phonePort), String(spacing), folder.file(kind)];
  const load = new TestProcess('slow-media', 'python3', [slowMedia, ...words]);
  loads.push(load);
  await load.untilLogged('ready', 60_000);
}

/** The relay's ports for both sides of each. */
async function makeCalls(daemon: MediaDaemon, place: string): Promise<readonly string[]> {
  const client = daemon.client();
  // Machines have 20,000 descriptors for a process and fewer.
  const sdp = audioSdp(phonePort, ['a=rtcp-mux'], `${place}.2`);
  const rtcp = { 'rtcp-mux': ['accept', 'require'] };
  const ports: string[] = [];
  for (let at = 0; at < calls; at += 1) {
    const call = { 'call-id': `call-${at}`, 'from-tag': `a${at}` };
    for (const command of [
      { command: 'offer', ...call, ...rtcp, sdp },
      { command: 'answer', ...call, 'to-tag': `b${at}`, ...rtcp, sdp },
    ]) {
      const reply = await client.request(command);
      if (reply['result'] !== 'ok') throw new Error(`${call['call-id']}: ${JSON.stringify(reply)}`);
      ports.push(`${place}.1:${mediaPort(reply)}`);
    }
  }
  client.close();
  return ports;
}

function look(count: number): void {
  while (viewers.length < count) {
    const socket = new WebSocket(`ws://127.0.0.1:${http}/live/feed`, 'live.rtprelay');
    const viewer = { socket, frames: 0, bytes: 0 };
    const sort = sorts[viewers.length % sorts.length] ?? 'trouble';
    const wish = { ...firstWish, sort, from: calls / 5, count: 30, call: `call-${viewers.length}` };
    socket.on('open', () => socket.send(JSON.stringify(wish)));
    socket.on('message', (data: Buffer) => {
      const frame = JSON.parse(data.toString('utf8')) as Frame;
      if (frame.list.rows.length > 0) viewer.frames += 1;
      viewer.bytes += data.length;
    });
    viewers.push(viewer);
  }
  for (const { socket } of viewers.splice(count)) socket.terminate();
}

/** How much more of a core the daemon with the page takes, percent. */
async function measure(): Promise<{ page: number; plain: number }> {
  await pause(warmMs);
  const now = (): number[] =>
    (['page', 'plain'] as const).map((kind) => controlMs(daemons.get(kind)?.process.pid ?? 0));
  for (const viewer of viewers) [viewer.frames, viewer.bytes] = [0, 0];
  const before = now();
  await pause(seconds * 1000);
  const [page = 0, plain = 0] = now().map(
    (each, at) => (each - (before[at] ?? 0)) / (10 * seconds),
  );
  return { page, plain };
}

try {
  for (const kind of ['page', 'plain'] as const) await start(kind);
  await pause(settleMs);
  const counts = [...new Set([0, 1, most])];
  const samples = new Map<number, { page: number; plain: number }[]>();
  for (let run = 0; run < runs; run += 1) {
    for (const count of counts) {
      look(count);
      const sample = await measure();
      samples.set(count, [...(samples.get(count) ?? []), sample]);
      const frames = viewers.reduce((sum, each) => sum + each.frames, 0);
      const bytes = viewers.reduce((sum, each) => sum + each.bytes, 0);
      console.log(
        `${count} viewers: ${sample.page.toFixed(2)} % of a core, without the page ${sample.plain.toFixed(2)} %; ` +
          `${frames} frames, ${bytes} bytes`,
      );
    }
  }
  const more = (count: number): number =>
    median((samples.get(count) ?? []).map(({ page, plain }) => page - plain));
  console.log(
    `${calls} calls, a packet a stream every ${spacing} s, medians of ${runs}, % of a core:`,
  );
  console.log(`the page while nobody looks: ${more(0).toFixed(2)}`);
  for (const count of counts.filter((each) => each > 0)) {
    const all = more(count);
    console.log(
      `${count} viewers: ${((all - more(0)) / count).toFixed(2)} for each; with the page itself ${(all / count).toFixed(2)}`,
    );
  }
} finally {
  look(0);
  for (const load of loads) await load.stop('SIGKILL');
  for (const daemon of daemons.values()) await daemon.stop();
  folder.remove();
}
