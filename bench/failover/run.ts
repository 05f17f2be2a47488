/** One run of a scenario with one daemon: what the phones heard. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { TestProcess } from '../../test/support/child-process.js';
import { hubAddress, Pair } from '../../test/support/pair.js';
import type { DaemonName } from '../lib/rig.js';
import { speechLike } from './audio.js';
import { controlAddress, type Scenario } from './scenarios.js';

const loadgen = fileURLToPath(new URL('../../build/bench/loadgen', import.meta.url));

/** Media before the event: routes, ARP and latching have settled by then. */
const settleSeconds = 3;
const binMs = 5;
const lateMs = 60;
/** A stream that is silent for so long at the end did not survive. */
const silentMs = 1000;

interface StreamFigures {
  readonly sent: number;
  readonly received: number;
  readonly longestGap: number;
  readonly longestPauseMs: number;
  readonly lastMs: number;
}

interface LoadReport {
  readonly sent: number;
  readonly lost: number;
  readonly late: number;
  readonly strange: number;
  readonly duplicates: number;
  readonly startedMicros: number;
  readonly latencyMicros: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly latencyP99BySecond: readonly number[];
  readonly streams: readonly StreamFigures[];
  readonly receivedByBin: readonly number[];
}

export interface RunOptions {
  readonly calls: number;
  readonly ptimeMs: number;
  readonly store: 'redis' | 'systemd';
}

export interface RunResult {
  readonly lost: readonly number[];
  readonly pauseMs: readonly number[];
  readonly late: number;
  readonly callsLost: number;
  readonly strange: number;
  readonly unreachable: number;
  /** From the event until the address was there; null: it did not move. */
  readonly moveMs: number | null;
  /** From then, or from the event, until the first packet arrived again; null: none was missed. */
  readonly takeoverMs: number | null;
  /** p99 of the latency in the seconds of the event, µs. */
  readonly latencyP99Micros: number;
  readonly figures: Readonly<Record<string, number>>;
  /** Packets received, in steps of 5 ms around the event. */
  readonly timeline: {
    readonly binMs: number;
    readonly eventBin: number;
    readonly bins: readonly number[];
  };
  readonly audio: { readonly sent: Buffer; readonly received: Buffer };
}

/** ICMP port unreachable messages that the phones' machine got. */
function unreachable(pair: Pair): number {
  const lines = pair.hub.run('cat', '/proc/net/snmp').split('\n');
  const [names = '', values = ''] = lines.filter((line) => line.startsWith('Icmp:'));
  const at = names.split(' ').indexOf('InDestUnreachs');
  return Number(values.split(' ')[at]);
}

async function loadReport(load: TestProcess): Promise<LoadReport> {
  const status = await load.ended(240_000);
  if (status !== 0) throw new Error(`the load generator ended with ${status}: ${load.log()}`);
  return JSON.parse(load.log().slice(load.log().indexOf('{'))) as LoadReport;
}

export async function runScenario(
  scenario: Scenario,
  daemon: DaemonName,
  options: RunOptions,
): Promise<RunResult> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-failover-'));
  const pair = new Pair();
  try {
    await pair.startRedis();
    const audioFile = join(folder, 'audio');
    writeFileSync(audioFile, speechLike());
    let control = (): Promise<Readonly<Record<string, unknown>>> => Promise.resolve({});
    const { active, act } = await scenario.prepare({
      ...{ pair, daemon, calls: options.calls, store: options.store },
      control: () => control(),
    });
    control = async () => {
      const words = ['control', '--ng', controlAddress(active.node), '--seconds', '3'];
      const load = pair.startOnHub('control load', loadgen, [...words, '--concurrency', '4']);
      await load.ended(60_000);
      return JSON.parse(load.log().slice(load.log().indexOf('{'))) as Record<string, unknown>;
    };
    const words = ['relay', '--ng', controlAddress(active.node), '--no-delete', '--streams'];
    words.push('--calls', String(options.calls), '--ptime', String(options.ptimeMs));
    words.push('--seconds', String(settleSeconds + scenario.seconds), '--port-base', '1100');
    words.push('--bind-a', hubAddress, '--bind-b', hubAddress, '--audio', audioFile);
    words.push('--bins', String(binMs), '--late', String(lateMs));
    const load = pair.startOnHub('loadgen', loadgen, words);
    await load.untilLogged('ready', 120_000);
    await delay(settleSeconds * 1000);
    const before = unreachable(pair);
    const moments = await act();
    const report = await loadReport(load);
    const audio = {
      sent: readFileSync(audioFile),
      received: readFileSync(`${audioFile}.received`),
    };
    return resultOf(
      report,
      moments,
      unreachable(pair) - before,
      audio,
      settleSeconds + scenario.seconds,
    );
  } finally {
    await pair.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

function resultOf(
  report: LoadReport,
  moments: {
    readonly event: bigint;
    readonly moved: bigint | null;
    readonly figures?: Readonly<Record<string, number>>;
  },
  unreachableCount: number,
  audio: RunResult['audio'],
  seconds: number,
): RunResult {
  const silent = report.streams.map(({ lastMs }) => lastMs < seconds * 1000 - silentMs);
  let callsLost = 0;
  for (let call = 0; call * 2 < silent.length; call++) {
    if (silent[call * 2] === true || silent[call * 2 + 1] === true) callsLost += 1;
  }
  const eventMs = (Number(moments.event) - report.startedMicros) / 1000;
  const eventBin = Math.floor(eventMs / binMs);
  const from = moments.moved ?? moments.event;
  const second = Math.floor(eventMs / 1000);
  const p99 = report.latencyP99BySecond.slice(second, second + 3);
  return {
    lost: report.streams.map(({ sent, received }) => sent - received),
    pauseMs: report.streams.map(({ longestPauseMs }) => longestPauseMs),
    late: report.late,
    callsLost,
    strange: report.strange + report.duplicates,
    unreachable: unreachableCount,
    moveMs: moments.moved === null ? null : Number(moments.moved - moments.event) / 1000,
    takeoverMs: takeover(
      report.receivedByBin,
      eventBin,
      (Number(from) - report.startedMicros) / 1000,
    ),
    latencyP99Micros: Math.max(0, ...p99),
    figures: moments.figures ?? {},
    timeline: { binMs, eventBin, bins: report.receivedByBin },
    audio,
  };
}

/** Time from `fromMs` to the first packet behind the silence that the event caused. */
function takeover(bins: readonly number[], eventBin: number, fromMs: number): number | null {
  const silence = bins.findIndex((count, bin) => bin >= eventBin && count === 0);
  // With many streams every step has packets, unless nothing is relayed.
  if (silence < 0) return null;
  const back = bins.findIndex((count, bin) => bin > silence && count > 0);
  return back < 0 ? null : Math.max(0, back * binMs - fromMs);
}

/** Stops early with a reason when the machine cannot run the rig. */
export function checkMachine(): void {
  execFileSync('ip', ['netns', 'list'], { stdio: 'ignore' });
}
