/**
 * How many calls can be set up and taken down: offer, answer and delete per second and their times,
 * without and with Redis; rtprelayd and rtpengine in turn. See bench/README.md.
 */
import { positive, readArguments } from './lib/arguments.js';
import { addSample, report, type Samples } from './lib/report.js';
import { inRig, machine, prepare, type DaemonName } from './lib/rig.js';

const given = readArguments(process.argv.slice(2), {
  daemon: 'both',
  runs: '3',
  seconds: '10',
  warmup: '4',
  concurrency: '32',
});
const runs = positive('runs', given.runs);
const seconds = positive('seconds', given.seconds);
const warmup = positive('warmup', given.warmup);
const daemons = prepare(given.daemon);

interface ControlReport {
  readonly triples: number;
  readonly triplesPerSecond: number;
  readonly errors: number;
  readonly repeats: number;
  readonly offerMicros: { readonly p50: number; readonly p99: number };
}

const samples: Samples = new Map();

async function measure(daemon: DaemonName, redis: boolean): Promise<void> {
  await inRig(async (rig) => {
    const extra = redis ? [`--redis=${await rig.startRedis()}`] : [];
    await rig.startDaemon(daemon, extra);
    const load = async (during: number): Promise<ControlReport> =>
      (await rig.load([
        'control',
        ...['--seconds', String(during), '--concurrency', given.concurrency],
      ])) as unknown as ControlReport;
    await load(warmup);
    const before = rig.cpuSeconds();
    const result = await load(seconds);
    const cpuMicros = ((rig.cpuSeconds() - before) / result.triples) * 1e6;
    const how = redis ? 'with Redis' : 'without Redis';
    addSample(
      samples,
      `calls set up and deleted per second ${how}`,
      daemon,
      result.triplesPerSecond,
    );
    addSample(samples, `CPU for each call ${how}, us`, daemon, cpuMicros);
    addSample(samples, `offer p50 ${how}, us`, daemon, result.offerMicros.p50);
    addSample(samples, `offer p99 ${how}, us`, daemon, result.offerMicros.p99);
    addSample(samples, `errors and repeats ${how}`, daemon, result.errors + result.repeats);
  });
}

for (const redis of [false, true]) {
  for (let run = 0; run < runs; run++) {
    const order = run % 2 === 0 ? daemons : [...daemons].reverse();
    for (const daemon of order) {
      console.log(`run ${run + 1} of ${runs}, ${redis ? 'with' : 'without'} Redis: ${daemon}`);
      await measure(daemon, redis);
    }
  }
}
report('control', machine(), samples);
