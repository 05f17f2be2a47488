/** The load generator on the hub: calls with media, or calls set up and deleted without end. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { until } from './clock.js';
import { hubAddress, hubAddress6, ngPort } from './names.js';
import type { Machine } from './network.js';
import { readTrace, type StreamTrace } from './trace.js';

const loadgen = fileURLToPath(new URL('../../build/bench/loadgen', import.meta.url));

export interface MediaOptions {
  readonly calls: number;
  readonly ptime: number;
  readonly seconds: number;
  /** Address of the node that sets the calls up, and of the one that has them in the end. */
  readonly before: string;
  readonly after: string;
  /** The called side talks IPv6. */
  readonly dualStack: boolean;
  /** Raw PCMA of the first stream. */
  readonly audio: string;
  /** The calls stay when media ends. */
  readonly keepCalls?: boolean;
}

interface MediaReport {
  readonly sent: number;
  readonly received: number;
  readonly duplicates: number;
  readonly strange: number;
  readonly refused: number;
  readonly callsKnown: number;
  readonly startedMonotonicMicros: number;
  readonly startedUnixMicros: number;
  readonly senderLatenessMicros: { readonly p50: number; readonly p99: number };
}

export interface MediaResult {
  readonly report: MediaReport;
  readonly streams: readonly StreamTrace[];
  /** What the receiver of the first stream got, raw PCMA. */
  readonly heard: Buffer;
}

export interface ControlReport {
  readonly triples: number;
  readonly triplesPerSecond: number;
  readonly errors: number;
  readonly repeats: number;
  readonly offerMicros: { readonly p50: number; readonly p99: number };
}

class LoadProcess {
  readonly #child: ChildProcess;
  #output = '';
  #errors = '';

  constructor(hub: Machine, words: readonly string[]) {
    const inside = ['netns', 'exec', hub.name, loadgen];
    this.#child = spawn('ip', [...inside, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stdout?.on('data', (bytes: Buffer) => (this.#output += bytes.toString('latin1')));
    this.#child.stderr?.on('data', (bytes: Buffer) => (this.#errors += bytes.toString('latin1')));
  }

  async ready(): Promise<void> {
    await until(
      () => {
        if (this.#child.exitCode !== null) throw new Error(this.#errors);
        return this.#errors.includes('ready');
      },
      'the calls',
      60_000,
    );
  }

  async end(limitMs: number): Promise<unknown> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode === null && signalCode === null) {
      const timer = setTimeout(() => this.#child.kill('SIGKILL'), limitMs);
      await once(this.#child, 'close');
      clearTimeout(timer);
    }
    if (this.#child.exitCode !== 0) throw new Error(`load generator: ${this.#errors}`);
    return JSON.parse(this.#output);
  }
}

/** Calls with media both ways. */
export class MediaLoad {
  readonly #process: LoadProcess;

  constructor(
    hub: Machine,
    readonly options: MediaOptions,
    private readonly folder: string,
  ) {
    this.#process = new LoadProcess(hub, [
      ...[
        ...['relay', '--ng', `${options.before}:${ngPort}`],
        ...(options.keepCalls === true
          ? ['--no-delete']
          : ['--ng-after', `${options.after}:${ngPort}`]),
      ],
      ...['--calls', String(options.calls), '--seconds', String(options.seconds)],
      ...['--ptime', String(options.ptime), '--bind-a', hubAddress],
      ...['--bind-b', options.dualStack ? hubAddress6 : hubAddress],
      ...['--audio', options.audio, '--trace', `${folder}/trace`, '--record', `${folder}/heard`],
    ]);
  }

  /** Until all calls are set up and media begins. */
  async ready(): Promise<void> {
    await this.#process.ready();
  }

  async result(): Promise<MediaResult> {
    const report = (await this.#process.end((this.options.seconds + 90) * 1000)) as MediaReport;
    const heard = readFileSync(`${this.folder}/heard`);
    return { report, streams: readTrace(readFileSync(`${this.folder}/trace`)), heard };
  }
}

/** At most so many calls are being set up at a time. */
const controlConcurrency = 16;

/** Calls set up and deleted, `rate` per second, each written to Redis. */
export async function controlLoad(
  hub: Machine,
  address: string,
  seconds: number,
  rate: number,
): Promise<ControlReport> {
  const process = new LoadProcess(hub, [
    ...['control', '--ng', `${address}:${ngPort}`, '--seconds', String(seconds)],
    ...['--rate', String(rate)],
    ...['--concurrency', String(controlConcurrency), '--call-prefix', 'control'],
    ...['--bind-a', hubAddress, '--bind-b', hubAddress, '--port-base', '50000'],
  ]);
  return (await process.end((seconds + 30) * 1000)) as ControlReport;
}
