/** Relaying: CPU per packet, latency, the highest rate, and what happens beyond it. */
import { setTimeout as delay } from 'node:timers/promises';
import { inRig, type MeasuredName, type Rig } from '../lib/rig.js';
import type { Study } from '../lib/study.js';

export interface RelayOptions {
  /** Calls at a time, each a measurement of its own. */
  readonly calls: readonly number[];
  readonly seconds: number;
  /** Packets per second, rising. */
  readonly ramp: readonly number[];
  /** How long twice the highest rate is offered; 0: not at all. */
  readonly overloadSeconds: number;
}

export const packetsPerCallSecond = 100; // two directions, 20 ms
/** What a daemon does once after its start (rtprelayd signals calls to itself for about a second of CPU) is over then. */
export const settleMs = 5000;
const latencyLimitMicros = 20_000;
const lossLimit = 0.0001;

export interface LoadReport {
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  readonly latencyMicros: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly senderLatenessMicros: { readonly p99: number };
}

export const mediaLoad = (calls: number, seconds: number): readonly string[] => [
  'relay',
  ...['--calls', String(calls), '--seconds', String(seconds)],
];

/**
 * Media for a while, and the CPU per packet over its middle, so that set-up and tear-down do not count, µs. Packets are
 * counted: on a busy machine the generator is late, and fewer come in a second than it is to send.
 */
export async function relayed(
  rig: Rig,
  calls: number,
  seconds: number,
  more: readonly string[] = [],
): Promise<LoadReport & { readonly cpuMicros: number }> {
  let cpuMicros = 0;
  const report = (await rig.load([...mediaLoad(calls, seconds), ...more], async () => {
    await delay(1500);
    const before = [rig.cpuSeconds(), rig.loopbackPackets()] as const;
    await delay(Math.max(1, seconds - 3) * 1000);
    const packets = (rig.loopbackPackets() - before[1]) / 2;
    cpuMicros = ((rig.cpuSeconds() - before[0]) * 1e6) / packets;
  })) as unknown as LoadReport;
  return { ...report, cpuMicros };
}

async function steady(
  study: Study,
  subject: MeasuredName,
  calls: number,
  seconds: number,
): Promise<void> {
  await inRig(async (rig) => {
    await rig.startDaemon(subject);
    await delay(settleMs);
    const { cpuMicros, lost, latencyMicros } = await relayed(rig, calls, seconds);
    const rate = calls * packetsPerCallSecond;
    const at = `at ${rate} packets/s`;
    study.note(subject, `CPU per packet ${at}, us`, cpuMicros);
    study.note(subject, `packets lost ${at}`, lost);
    study.note(subject, `latency p50 ${at}, us`, latencyMicros.p50);
    study.note(subject, `latency p99 ${at}, us`, latencyMicros.p99);
    study.plot(
      'cpu-per-packet',
      { title: 'CPU per relayed packet', xLabel: 'calls', yLabel: 'us' },
      ...([subject, calls, cpuMicros] as const),
    );
    for (const percentile of ['p50', 'p99'] as const) {
      const labels = { title: `Latency ${percentile}`, xLabel: 'packets/s', yLabel: 'us' };
      study.plot(`latency-${percentile}`, labels, subject, rate, latencyMicros[percentile]);
    }
  });
}

/** The highest rate of the ramp at which next to nothing is lost and latency stays within its limit. */
async function highest(
  study: Study,
  subject: MeasuredName,
  ramp: readonly number[],
): Promise<number> {
  let best = 0;
  for (const rate of ramp) {
    const result = (await inRig(async (rig) => {
      await rig.startDaemon(subject);
      await delay(settleMs);
      return rig.load(mediaLoad(Math.round(rate / packetsPerCallSecond), 4));
    })) as unknown as LoadReport;
    const { lost, sent, latencyMicros, senderLatenessMicros } = result;
    console.log(
      `  ${subject} at ${rate}/s: ${lost} of ${sent} lost, p99 ${latencyMicros.p99} us, ` +
        `generator late p99 ${senderLatenessMicros.p99} us`,
    );
    if (lost > lossLimit * sent || latencyMicros.p99 > latencyLimitMicros) break;
    best = rate;
  }
  study.note(
    subject,
    `highest rate of ${ramp.join(', ')}: loss below 0.01 %, p99 below 20 ms; packets/s`,
    best,
  );
  return best;
}

/** Twice the highest rate: what still gets through, how late, and whether NG answers. */
async function overload(
  study: Study,
  subject: MeasuredName,
  rate: number,
  seconds: number,
): Promise<void> {
  await inRig(async (rig) => {
    await rig.startDaemon(subject);
    await delay(settleMs);
    let commands: Readonly<Record<string, unknown>> = {};
    const calls = Math.round((2 * rate) / packetsPerCallSecond);
    const report = (await rig.load(mediaLoad(calls, seconds), async () => {
      await delay(2000);
      const words = ['--seconds', String(Math.max(1, seconds - 5)), '--rate', '20'];
      commands = await rig.load([
        'control',
        ...words,
        '--call-prefix',
        'beside',
        '--port-base',
        '60000',
      ]);
    })) as unknown as LoadReport;
    study.note(
      subject,
      'twice that offered: packets/s that get through',
      report.received / seconds,
    );
    study.note(
      subject,
      'twice that offered: packets/s that the generator manages',
      report.sent / seconds,
    );
    study.note(subject, 'twice that offered: latency p99, us', report.latencyMicros.p99);
    const { offerMicros, errors } = commands as { offerMicros: { p99: number }; errors: number };
    study.note(subject, 'twice that offered: offer p99, us', offerMicros.p99);
    study.note(subject, 'twice that offered: refused commands', errors);
  });
}

export async function relayPart(study: Study, options: RelayOptions): Promise<void> {
  for (const calls of options.calls)
    await study.alternate(`relay, ${calls} calls`, (subject) =>
      steady(study, subject, calls, options.seconds),
    );
  if (options.ramp.length === 0) return;
  await study.alternate('highest rate', async (subject) => {
    const best = await highest(study, subject, options.ramp);
    if (best > 0 && options.overloadSeconds > 0)
      await overload(study, subject, best, options.overloadSeconds);
  });
}
