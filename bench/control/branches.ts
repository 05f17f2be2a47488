/**
 * What an offer with its answer costs on the n-th branch of a call, as the call grows: processor time of the control
 * thread and of Redis, means over several calls, and what Redis takes for the bytes of the largest value alone: without
 * a store, with Redis, as a pair without Redis. See
 * bench/README.md.
 */
import { Redis } from 'ioredis';
import { fileURLToPath } from 'node:url';
import { NgClient } from '../../test/support/ng-client.js';
import { audio, buildSdp } from '../../test/support/sdp.js';
import { positive, readArguments } from '../lib/arguments.js';
import { machine } from '../lib/rig.js';
import { BuiltDaemon, processorMs, rtpengine, startRedis } from './built-daemon.js';

const here = fileURLToPath(new URL('../../', import.meta.url));
const given = readArguments(process.argv.slice(2), {
  ...{
    against: '',
    sizes: '10,100,300',
    calls: '4',
    stores: 'none,redis,pair',
    format: '',
    rtpengine: 'yes',
  },
});
const sizes = given.sizes.split(',').map((text) => positive('sizes', text));
const calls = positive('calls', given.calls);
/** Where each command is written. */
type Store = 'none' | 'redis' | 'pair';
const names: readonly Store[] = ['none', 'redis', 'pair'];
const stores = given.stores.split(',').map((text) => {
  const store = names.find((name) => name === text);
  if (store === undefined) throw new Error(`--stores=${text}: ${names.join(', ')}`);
  return store;
});
const titles: Readonly<Record<Store, string>> = {
  ...{ none: 'without Redis', redis: 'with Redis', pair: 'a pair without Redis' },
};
/** Branches around a size that count for it. */
const around = 5;
const largest = Math.max(...sizes) + around;
/** Four a branch, and a few for the warm-up. */
const ports = 4 * largest + 200;

const body = (port: number): string => buildSdp({ address: '127.0.0.1', media: [audio(port)] });

async function branch(ng: NgClient, callId: string, number: number): Promise<void> {
  const keys = { 'call-id': callId, 'from-tag': 'a', 'via-branch': `b${number}` };
  await ng.ask({ command: 'offer', ...keys, sdp: body(6000) });
  const sdp = body(7000 + 4 * number);
  await ng.ask({ command: 'answer', ...keys, 'to-tag': `t${number}`, sdp });
}

/** Times in ms by the number of branches. */
type Costs = ReadonlyMap<number, number[]>;
const noCosts = (): Costs => new Map(sizes.map((size) => [size, []]));

/**
 * The kernel books a thread's time when it sleeps or with the clock's tick, and the control thread looks for the next
 * command before it sleeps: one command alone may show none, or a tick's.
 */
const mean = (ms: readonly number[]): number =>
  ms.reduce((sum, each) => sum + each, 0) / Math.max(ms.length, 1);

function tell(what: string, costs: Costs): void {
  const least = mean(costs.get(sizes[0] ?? 0) ?? []);
  const texts = [...costs].map(
    ([size, ms]) => `${size}: ${mean(ms).toFixed(2)} (${(mean(ms) / least).toFixed(2)})`,
  );
  console.log(`  ms of ${what} per offer and answer (ratio), by branches: ${texts.join('   ')}`);
}

/** What as many bytes cost by themselves: a SET of the value that is there. */
async function bareSet(server: string, pid: number, callId: string): Promise<string> {
  const [host = '', port = ''] = server.split(':');
  const redis = new Redis({ host, port: Number(port) });
  const value = (await redis.getBuffer(callId)) ?? Buffer.alloc(0);
  const count = 100;
  const [before, ours] = [processorMs(pid), process.cpuUsage()];
  for (let each = 0; each < count; each += 1) await redis.set('bare', value);
  const { user, system } = process.cpuUsage(ours);
  const [here, there] = [(user + system) / 1000 / count, (processorMs(pid) - before) / count];
  const memory = await redis.memory('USAGE', callId);
  redis.disconnect();
  return `${value.length} bytes, ${memory ?? 0} in Redis' memory; a SET of them: ${here.toFixed(2)} ms of the client, ${there.toFixed(2)} of redis-server`;
}

async function measure(tree: string, store: Store): Promise<void> {
  const server = store === 'redis' ? await startRedis() : null;
  const more = server === null ? [] : [`--redis=${server.server}/0`];
  if (server !== null && given.format !== '') more.push(`--redis-format=${given.format}`);
  if (store === 'pair') more.push('--pair=yes', '--socket-store=no');
  const daemon = await BuiltDaemon.start(tree, ports, more);
  const ng = new NgClient(daemon.port);
  // rtpengine deletes a call of hundreds of branches, and does not answer: its statistics fit into no datagram.
  const patience = tree === rtpengine ? { tries: 1, intervalMs: 500 } : {};
  const end = async (callId: string): Promise<void> => {
    const request = { command: 'delete', 'call-id': callId, 'from-tag': 'a', flags: ['fast'] };
    await ng.ask(request, patience).catch((error: unknown) => {
      if (tree !== rtpengine) throw error;
    });
  };
  const [control, stored] = [noCosts(), noCosts()];
  const inRedis = (): number => (server === null ? 0 : processorMs(server.pid));
  let bare = '';
  try {
    for (let call = 0; call < 40; call += 1) {
      for (let number = 0; number < 15; number += 1) await branch(ng, `warm-${call}`, number);
      await end(`warm-${call}`);
    }
    for (let call = 0; call < calls; call += 1) {
      for (let number = 0; number < largest; number += 1) {
        const before = [daemon.controlMs(), inRedis()] as const;
        await branch(ng, `large-${call}`, number);
        const size = sizes.find((each) => Math.abs(number - each) < around);
        if (size === undefined) continue;
        control.get(size)?.push(daemon.controlMs() - before[0]);
        stored.get(size)?.push(inRedis() - before[1]);
      }
      if (server !== null && call === 0)
        bare = await bareSet(server.server, server.pid, `large-${call}`);
      await end(`large-${call}`);
    }
  } finally {
    ng.close();
    await daemon.stop();
    await server?.stop();
  }
  console.log(`${tree === here ? 'this tree' : tree}, ${titles[store]}`);
  tell(tree === rtpengine ? 'the process' : 'the control thread', control);
  if (server === null) return;
  tell('redis-server', stored);
  console.log(`  the value of ${largest} branches: ${bare}`);
}

const trees = [here, ...(given.against === '' ? [] : [given.against])];
if (given.rtpengine === 'yes') trees.push(rtpengine);
console.log(machine());
for (const store of stores) {
  for (const tree of trees) if (store !== 'pair' || tree !== rtpengine) await measure(tree, store);
}
