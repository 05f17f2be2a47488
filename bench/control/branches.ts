/**
 * What an offer with its answer costs on the n-th branch of a call, as the call grows: processor time of the control
 * thread, medians over several calls. See bench/README.md.
 */
import { fileURLToPath } from 'node:url';
import { NgClient } from '../../test/support/ng-client.js';
import { audio, buildSdp } from '../../test/support/sdp.js';
import { positive, readArguments } from '../lib/arguments.js';
import { median } from '../lib/report.js';
import { machine } from '../lib/rig.js';
import { BuiltDaemon, startRedis } from './built-daemon.js';

const here = fileURLToPath(new URL('../../', import.meta.url));
const given = readArguments(process.argv.slice(2), {
  ...{ against: '', sizes: '10,100,300', calls: '4', redis: 'both' },
});
const sizes = given.sizes.split(',').map((text) => positive('sizes', text));
const calls = positive('calls', given.calls);
const stores = given.redis === 'both' ? [false, true] : [given.redis === 'yes'];
/** Branches around a size that count for it. */
const around = 5;
const largest = Math.max(...sizes) + around;

const body = (port: number): string => buildSdp({ address: '127.0.0.1', media: [audio(port)] });

async function branch(ng: NgClient, callId: string, number: number): Promise<void> {
  const keys = { 'call-id': callId, 'from-tag': 'a', 'via-branch': `b${number}` };
  await ng.ask({ command: 'offer', ...keys, sdp: body(6000) });
  const sdp = body(7000 + 4 * number);
  await ng.ask({ command: 'answer', ...keys, 'to-tag': `t${number}`, sdp });
}

async function measure(tree: string, redis: boolean): Promise<void> {
  const server = redis ? await startRedis() : null;
  const more = server === null ? [] : [`--redis=${server.server}/0`];
  const daemon = await BuiltDaemon.start(tree, 2048, more);
  const ng = new NgClient(daemon.port);
  const end = (callId: string): Promise<unknown> =>
    ng.ask({ command: 'delete', 'call-id': callId, 'from-tag': 'a', flags: ['fast'] });
  const costs = new Map<number, number[]>(sizes.map((size) => [size, []]));
  try {
    for (let call = 0; call < 40; call += 1) {
      for (let number = 0; number < 15; number += 1) await branch(ng, `warm-${call}`, number);
      await end(`warm-${call}`);
    }
    for (let call = 0; call < calls; call += 1) {
      for (let number = 0; number < largest; number += 1) {
        const before = daemon.controlMs();
        await branch(ng, `large-${call}`, number);
        const size = sizes.find((each) => Math.abs(number - each) < around);
        if (size !== undefined) costs.get(size)?.push(daemon.controlMs() - before);
      }
      await end(`large-${call}`);
    }
  } finally {
    ng.close();
    await daemon.stop();
    await server?.stop();
  }
  const least = median(costs.get(sizes[0] ?? 0) ?? []);
  const texts = [...costs].map(
    ([size, ms]) => `${size}: ${median(ms).toFixed(2)} (${(median(ms) / least).toFixed(2)})`,
  );
  console.log(`${tree === here ? 'this tree' : tree}, ${redis ? 'with' : 'without'} Redis`);
  console.log(`  ms per offer and answer (ratio), by branches: ${texts.join('   ')}`);
}

console.log(machine());
for (const redis of stores)
  for (const tree of given.against === '' ? [here] : [here, given.against])
    await measure(tree, redis);
