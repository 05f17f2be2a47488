/** Memory and descriptors of calls that stand, and what is left of calls that have come and gone. */
import { setTimeout as delay } from 'node:timers/promises';
import { inRig, type MeasuredName } from '../lib/rig.js';
import type { Study } from '../lib/study.js';
import { settleMs } from './relay.js';

export interface MemoryOptions {
  /** Calls that stand in the end. */
  readonly calls: number;
  /** Calls made and deleted; 0: none. */
  readonly cycles: number;
}

const steps = 5;
/** A burst of commands leaves garbage, which goes when they have ceased for some seconds. */
const quietMs = 15_000;

/** Resident memory is noisy while garbage is young: the slope over some thousand calls, behind a first load, is not. */
async function standing(study: Study, subject: MeasuredName, calls: number): Promise<void> {
  await inRig(async (rig) => {
    await rig.startDaemon(subject);
    await delay(settleMs);
    // The first calls pay for what all share.
    await rig.load(['control', '--seconds', '60', '--triples', '4000', '--concurrency', '4']);
    await delay(quietMs);
    const [memory, descriptors] = [rig.residentKib(), rig.descriptors()];
    const labels = { title: 'Resident memory by calls that stand', xLabel: 'calls', yLabel: 'MiB' };
    study.plot('memory-by-calls', labels, subject, 0, memory / 1024);
    for (let step = 1; step <= steps; step++) {
      const words = ['--triples', String(calls / steps), '--call-prefix', `standing-${step}`];
      await rig.load(['control', '--seconds', '60', '--no-delete', '--concurrency', '4', ...words]);
      await delay(1000);
      study.plot(
        'memory-by-calls',
        labels,
        subject,
        (calls * step) / steps,
        rig.residentKib() / 1024,
      );
    }
    const perCall = (): number => (rig.residentKib() - memory) / calls;
    study.note(subject, `memory per call of ${calls} just made, KiB`, perCall());
    await delay(quietMs);
    study.note(subject, `memory per call of ${calls} that stand, KiB`, perCall());
    study.note(subject, 'descriptors per call', (rig.descriptors() - descriptors) / calls);
  });
}

async function comeAndGone(study: Study, subject: MeasuredName, cycles: number): Promise<void> {
  await inRig(async (rig) => {
    await rig.startDaemon(subject);
    await delay(settleMs);
    const labels = {
      title: 'Resident memory by calls made and deleted',
      xLabel: 'calls',
      yLabel: 'MiB',
    };
    for (let step = 1; step <= steps; step++) {
      const words = ['--triples', String(cycles / steps), '--call-prefix', `gone-${step}`];
      await rig.load(['control', '--seconds', '3600', '--concurrency', '16', ...words]);
      await delay(1000);
      study.plot(
        'memory-by-cycles',
        labels,
        subject,
        (cycles * step) / steps,
        rig.residentKib() / 1024,
      );
    }
    study.note(
      subject,
      `memory after ${cycles} calls made and deleted, MiB`,
      rig.residentKib() / 1024,
    );
    await delay(quietMs);
    study.note(
      subject,
      `memory some seconds after ${cycles} calls made and deleted, MiB`,
      rig.residentKib() / 1024,
    );
  });
}

export async function memoryPart(study: Study, { calls, cycles }: MemoryOptions): Promise<void> {
  await study.alternate('memory', (subject) => standing(study, subject, calls));
  if (cycles === 0) return;
  await study.alternate('calls made and deleted', (subject) => comeAndGone(study, subject, cycles));
}
