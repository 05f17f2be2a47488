/**
 * What relaying costs: CPU per packet, loss and latency at 20,000 packets/s, the highest rate without
 * loss, memory and descriptors per call; rtprelayd with both port modes and rtpengine in turn. See bench/README.md.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { positive, readArguments } from './lib/arguments.js';
import { addSample, report, type Samples } from './lib/report.js';
import { inRig, machine, prepare, withPortModes, type MeasuredName } from './lib/rig.js';

const given = readArguments(process.argv.slice(2), {
  daemon: 'both',
  runs: '3',
  calls: '200',
  seconds: '8',
  ramp: '40000,60000,80000,100000',
});
const runs = positive('runs', given.runs);
const calls = positive('calls', given.calls);
const seconds = positive('seconds', given.seconds);
const ramp =
  given.ramp === 'none' ? [] : given.ramp.split(',').map((rate) => positive('ramp', rate));
const daemons = withPortModes(prepare(given.daemon));

const packetsPerCallSecond = 100; // two directions, 20 ms
const heldCalls = 1000;
/** What a daemon does once after its start (rtprelayd signals calls to itself for about a second of CPU) is over then. */
const settleMs = 5000;
const latencyLimitMicros = 20_000;

interface LoadReport {
  readonly sent: number;
  readonly lost: number;
  readonly latencyMicros: { readonly p50: number; readonly p99: number };
  readonly senderLatenessMicros: { readonly p99: number };
}

const samples: Samples = new Map();
const note = (daemon: MeasuredName, measure: string, value: number): void =>
  addSample(samples, measure, daemon, value);

const words = (count: number, duration: number): readonly string[] => [
  'relay',
  ...['--calls', String(count), '--seconds', String(duration)],
];

/** CPU over the middle of the run, so that set-up and tear-down do not count. */
async function steady(daemon: MeasuredName): Promise<void> {
  await inRig(async (rig) => {
    await rig.startDaemon(daemon);
    await delay(settleMs);
    let cpu = 0;
    const window = Math.max(1, seconds - 3);
    const result = (await rig.load(words(calls, seconds), async () => {
      await delay(1500);
      const before = rig.cpuSeconds();
      const from = performance.now();
      await delay(window * 1000);
      cpu = (rig.cpuSeconds() - before) / ((performance.now() - from) / 1000);
    })) as unknown as LoadReport;
    const rate = calls * packetsPerCallSecond;
    const at = `at ${rate} packets/s`;
    note(daemon, `CPU per packet ${at}, us`, (cpu * 1e6) / rate);
    note(daemon, `packets lost ${at}`, result.lost);
    note(daemon, `latency p50 ${at}, us`, result.latencyMicros.p50);
    note(daemon, `latency p99 ${at}, us`, result.latencyMicros.p99);
  });
}

/** The highest rate of the ramp at which nothing is lost and latency stays within its limit. */
async function highest(daemon: MeasuredName): Promise<void> {
  let best = 0;
  for (const rate of ramp) {
    const result = (await inRig(async (rig) => {
      await rig.startDaemon(daemon);
      return rig.load(words(Math.round(rate / packetsPerCallSecond), 4));
    })) as unknown as LoadReport;
    const { lost, latencyMicros, senderLatenessMicros } = result;
    console.log(
      `  ${daemon} at ${rate}/s: ${lost} of ${result.sent} lost, p99 ${latencyMicros.p99} us, ` +
        `generator late p99 ${senderLatenessMicros.p99} us`,
    );
    if (lost > 0 || latencyMicros.p99 > latencyLimitMicros) break;
    best = rate;
  }
  note(daemon, `highest rate of ${ramp.join(', ')} without loss, packets/s`, best);
}

async function footprint(daemon: MeasuredName): Promise<void> {
  await inRig(async (rig) => {
    await rig.startDaemon(daemon);
    await delay(settleMs);
    // The first call pays for what all share.
    await rig.load(['control', '--seconds', '2', '--concurrency', '4']);
    const [memory, descriptors] = [rig.residentKib(), rig.descriptors()];
    await rig.load(['hold', '--calls', String(heldCalls)], async () => {
      await delay(500);
      note(daemon, 'memory per call, KiB', (rig.residentKib() - memory) / heldCalls);
      note(daemon, 'descriptors per call', (rig.descriptors() - descriptors) / heldCalls);
    });
  });
}

for (let run = 0; run < runs; run++) {
  // The order changes from run to run, so that neither always comes second.
  const order = run % 2 === 0 ? daemons : [...daemons].reverse();
  for (const daemon of order) {
    console.log(`run ${run + 1} of ${runs}: ${daemon}`);
    await steady(daemon);
    if (ramp.length > 0) await highest(daemon);
    await footprint(daemon);
  }
}
report(
  'relay',
  machine(),
  samples,
  daemons.filter((name) => name !== 'rtpengine'),
);
