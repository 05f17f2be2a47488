/** Commands: offer, answer and delete per second, their times and CPU, by how many are in flight. */
import { setTimeout as delay } from 'node:timers/promises';
import { inRig, type MeasuredName } from '../lib/rig.js';
import type { Study } from '../lib/study.js';
import { settleMs } from './relay.js';

export interface ControlOptions {
  readonly concurrencies: readonly number[];
  readonly seconds: number;
  readonly warmup: number;
}

export interface ControlReport {
  readonly triples: number;
  readonly triplesPerSecond: number;
  readonly errors: number;
  readonly repeats: number;
  readonly offerMicros: { readonly p50: number; readonly p99: number; readonly max: number };
}

async function commands(
  study: Study,
  subject: MeasuredName,
  redis: boolean,
  concurrency: number,
  { seconds, warmup }: ControlOptions,
): Promise<void> {
  await inRig(async (rig) => {
    const extra = redis ? [`--redis=${await rig.startRedis()}`] : [];
    await rig.startDaemon(subject, extra);
    await delay(settleMs);
    const before = rig.cpuSeconds();
    const words = ['--seconds', String(seconds), '--warmup', String(warmup)];
    const report = (await rig.load([
      'control',
      ...words,
      ...['--concurrency', String(concurrency)],
    ])) as unknown as ControlReport;
    const cpu = rig.cpuSeconds() - before;
    // What came in the warm-up cost as much, or a little more.
    const all = report.triplesPerSecond * seconds;
    const how = `${redis ? 'with' : 'without'} Redis, ${concurrency} in flight`;
    study.note(subject, `offer+answer+delete per second ${how}`, report.triplesPerSecond);
    study.note(subject, `CPU per offer+answer+delete ${how}, ms`, (cpu * 1000) / all);
    study.note(subject, `offer p50 ${how}, us`, report.offerMicros.p50);
    study.note(subject, `offer p99 ${how}, us`, report.offerMicros.p99);
    study.note(subject, `errors and repeats ${how}`, report.errors + report.repeats);
    study.plot(
      redis ? 'commands-redis' : 'commands',
      {
        title: `Offer+answer+delete per second ${redis ? 'with' : 'without'} Redis`,
        ...{ xLabel: 'in flight', yLabel: 'per second' },
      },
      ...([subject, concurrency, report.triplesPerSecond] as const),
    );
  });
}

export async function controlPart(study: Study, options: ControlOptions): Promise<void> {
  // The port mode of the media makes a small difference here; both are asked all the same.
  for (const redis of [false, true])
    for (const concurrency of options.concurrencies)
      await study.alternate(
        `commands ${redis ? 'with' : 'without'} Redis, ${concurrency} in flight`,
        (subject) => commands(study, subject, redis, concurrency, options),
      );
}
