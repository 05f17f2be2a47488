/** The load generator of bench/ (many calls with media), as a test uses it. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { TestProcess } from './child-process.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

export interface Spread {
  readonly median: number;
  readonly p95: number;
  readonly max: number;
}

export interface LoadReport {
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly strange: number;
  /** Of the strange ones: SRTP that the phone did not take, as of a packet that it had. */
  readonly refusedSrtp: number;
  readonly lostPerStream: Spread;
  readonly longestGapPackets: Spread;
  /** Packets of each stream since the last one that came: 0 where it goes on after whatever has cut it off. */
  readonly lostAtEnd: Spread;
  readonly longestPauseMs: Spread;
}

/** kBatchSize of native/core/slot.h: so many packets a worker reads at once. */
const roundPackets = 32;
/** Of a daemon without --num-threads. */
const workers = Math.max(4, availableParallelism());

/**
 * What came while no process read waited in the sockets: lost is what those that were killed had in their hands, of each worker a round
 * at most, and of no stream half of what came in the meantime.
 */
export function expectWaited(report: LoadReport, packetMs: number, killed: number): void {
  const cameMeanwhile = report.longestPauseMs.max / packetMs;
  expect(report.received).to.be.greaterThan(0);
  expect(report.lost).to.be.at.most(killed * workers * roundPackets);
  expect(report.longestGapPackets.max).to.be.at.most(
    killed === 0 ? 0 : Math.max(1, cameMeanwhile / 2),
  );
}

/** For calls that talk until what disturbs them is over (`reportSoon`), however busy the machine is. */
export const untilToldSeconds = 150;

export interface LoadOptions {
  readonly ngPort: number;
  readonly calls: number;
  readonly seconds: number;
  /** First of the phones' ports, 4 for each call. */
  readonly portBase: number;
  readonly keepCalls?: boolean;
  readonly prefix?: string;
  /** Milliseconds from packet to packet of a stream, default 20. */
  readonly packetMs?: number;
}

/** Calls under way: PCMA both ways. */
export class Load {
  private constructor(private readonly process: TestProcess) {}

  /** Resolves once all calls are set up and talk. */
  static async start(options: LoadOptions): Promise<Load> {
    execFileSync(`${root}scripts/build-bench`);
    const process = new TestProcess('loadgen', `${root}build/bench/loadgen`, [
      ...['relay', '--ng', `127.0.0.1:${options.ngPort}`],
      ...['--calls', String(options.calls), '--seconds', String(options.seconds)],
      ...['--port-base', String(options.portBase), '--call-prefix', options.prefix ?? 'load'],
      ...['--ptime', String(options.packetMs ?? 20)],
      ...(options.keepCalls === true ? ['--no-delete'] : []),
    ]);
    await process.untilLogged('ready');
    return new Load(process);
  }

  /** Waits for its end. */
  async report(): Promise<LoadReport> {
    const code = await this.process.ended((untilToldSeconds + 60) * 1000);
    const text = this.process.log();
    if (code !== 0) throw new Error(`loadgen ended with ${code}: ${text}`);
    return JSON.parse(text.slice(text.indexOf('{'))) as LoadReport;
  }

  /** The report once its phones have talked for two seconds more, however long they were to. */
  async reportSoon(): Promise<LoadReport> {
    this.process.signal('SIGUSR1');
    return this.report();
  }

  async stop(): Promise<void> {
    await this.process.stop('SIGKILL');
  }
}
