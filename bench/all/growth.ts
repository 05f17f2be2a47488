/** What 10,000 and 20,000 calls that stand cost each packet and command, and whom work on all of them delays. */
import { setTimeout as delay } from 'node:timers/promises';
import { median } from '../lib/report.js';
import { inRig, twoSides, type MeasuredName, type Rig } from '../lib/rig.js';
import type { Study } from '../lib/study.js';
import type { ControlReport } from './control.js';
import { mediaLoad, relayed, settleMs, type LoadReport } from './relay.js';

export interface GrowthOptions {
  /** Calls that stand, few and many. */
  readonly few: number;
  readonly many: number;
  /** Calls that all at once are done something with. */
  readonly most: number;
}

const mediaCalls = 200;
const httpPort = 9080;
const cliPort = 9900;

async function stand(rig: Rig, calls: number, prefix: string): Promise<void> {
  const words = ['--triples', String(calls), '--call-prefix', prefix, ...twoSides.load];
  const told = (await rig.load([
    ...['control', '--seconds', '600', '--no-delete', '--concurrency', '4'],
    ...words,
  ])) as unknown as ControlReport;
  if (told.errors > 0 || told.triples !== calls)
    throw new Error(`${told.triples} of ${calls} calls, ${told.errors} errors`);
}

/** CPU per packet and per command with `calls` that stand beside. */
async function costs(rig: Rig): Promise<{ readonly packet: number; readonly command: number }> {
  const { cpuMicros } = await relayed(rig, mediaCalls, 6, twoSides.load);
  const before = rig.cpuSeconds();
  const triples = 2000;
  const words = ['--triples', String(triples), '--concurrency', '1', '--call-prefix', 'beside'];
  await rig.load(['control', '--seconds', '60', ...words, ...twoSides.load]);
  return { packet: cpuMicros, command: ((rig.cpuSeconds() - before) * 1000) / triples };
}

async function growth(
  study: Study,
  subject: MeasuredName,
  { few, many }: GrowthOptions,
): Promise<void> {
  await inRig(async (rig) => {
    await rig.startDaemon(subject, [], twoSides.options);
    await delay(settleMs);
    await stand(rig, few, 'few');
    const small = await costs(rig);
    await stand(rig, many - few, 'many');
    const large = await costs(rig);
    study.note(subject, `CPU per packet with ${few} calls, us`, small.packet);
    study.note(subject, `CPU per packet with ${many} calls, us`, large.packet);
    study.note(subject, `CPU per packet: times that with ${few}`, large.packet / small.packet);
    study.note(subject, `CPU per offer+answer+delete with ${few} calls, ms`, small.command);
    study.note(subject, `CPU per offer+answer+delete with ${many} calls, ms`, large.command);
    study.note(
      subject,
      `CPU per offer+answer+delete: times that with ${few}`,
      large.command / small.command,
    );
  });
}

/** Packets and commands for some seconds, while `work` goes on. */
async function beside(
  rig: Rig,
  work: () => Promise<void>,
): Promise<{ packet: LoadReport; command: ControlReport }> {
  const seconds = 6;
  let command: unknown = null;
  const packet = (await rig.load([...mediaLoad(50, seconds), ...twoSides.load], async () => {
    const rate = [
      '--rate',
      '100',
      '--call-prefix',
      'beside',
      '--port-base',
      '60000',
      ...twoSides.load,
    ];
    const commands = rig.load(['control', '--seconds', String(seconds - 1), ...rate]);
    await work();
    command = await commands;
  })) as unknown as LoadReport;
  return { packet, command: command as ControlReport };
}

async function all(study: Study, subject: MeasuredName, calls: number): Promise<void> {
  await inRig(async (rig) => {
    rig.watchLoop();
    const more = [`--listen-http=127.0.0.1:${httpPort}`, `--listen-cli=127.0.0.1:${cliPort}`];
    await rig.startDaemon(subject, more, twoSides.options);
    await delay(settleMs);
    await stand(rig, calls, 'standing');
    study.note(subject, `memory with ${calls} calls, MiB`, rig.residentKib() / 1024);
    rig.holdUps();
    await delay(8000);
    noteHoldUps(study, subject, rig, `${calls} calls that stand`);
    const quiet = await beside(rig, () => delay(4000));
    const works: readonly (readonly [string, readonly string[]])[] = [
      ['metrics', ['curl', '-sf', '-o', '/dev/null', `http://127.0.0.1:${httpPort}/metrics`]],
      [
        'list',
        [
          process.execPath,
          'dist/bin/rtprelayctl.js',
          '--ip',
          `127.0.0.1:${cliPort}`,
          'list',
          'sessions',
          'all',
        ],
      ],
    ];
    for (const [name, words] of works) {
      const times: number[] = [];
      rig.holdUps();
      for (let i = 0; i < 5; i++) {
        await rig.time(words);
        await delay(600);
      }
      await delay(1000);
      noteHoldUps(study, subject, rig, `${name} of ${calls} calls`);
      const busy = await beside(rig, async () => {
        for (let i = 0; i < 8; i++) {
          times.push(await rig.time(words));
          await delay(400);
        }
      });
      study.note(subject, `${name} of ${calls} calls, ms`, median(times));
      study.note(subject, `latency p99 beside ${name}, us`, busy.packet.latencyMicros.p99);
      study.note(subject, `offer p99 beside ${name}, us`, busy.command.offerMicros.p99);
      study.note(subject, `longest offer beside ${name}, us`, busy.command.offerMicros.max);
    }
    study.note(
      subject,
      `latency p99 beside ${calls} calls that stand, us`,
      quiet.packet.latencyMicros.p99,
    );
    study.note(
      subject,
      `offer p99 beside ${calls} calls that stand, us`,
      quiet.command.offerMicros.p99,
    );
    study.note(
      subject,
      `longest offer beside ${calls} calls that stand, us`,
      quiet.command.offerMicros.max,
    );
  });
}

/** The median second and the worst one. */
function noteHoldUps(study: Study, subject: MeasuredName, rig: Rig, beside: string): void {
  const { ms, cpuMs } = rig.holdUps();
  study.note(subject, `event loop held up beside ${beside}, ms`, median(ms));
  study.note(subject, `event loop held up at most beside ${beside}, ms`, Math.max(...ms));
  study.note(subject, `CPU between two of its turns beside ${beside}, ms`, median(cpuMs));
}

/** Of steered ports alone: with a socket for each port so many calls need more descriptors than processes get. */
export async function growthPart(study: Study, options: GrowthOptions): Promise<void> {
  const subjects = study.subjects.filter((name) => name === 'rtprelayd-steered');
  await study.alternate('growth', (subject) => growth(study, subject, options), subjects);
  await study.alternate(
    `${options.most} calls`,
    (subject) => all(study, subject, options.most),
    subjects,
    Math.min(study.runs, 3),
  );
}
