/** What the daemon counts over its lifetime; the numbers behind `statistics` and the CLI. */

import type { CallState } from '../media/call-state.js';
import type { AddressCounters, StreamStatistics } from '../media/relay.js';
import { QualitySums } from './quality-sums.js';
import { IntervalStatistics } from './interval.js';

/** Why a call ended. */
export type CloseReason =
  'regular' | 'forced' | 'timeout' | 'silent-timeout' | 'final-timeout' | 'offer-timeout';

/** Full command names with the short names of their statistics keys, in the order of rtpengine 12.5. */
export const commandNames: readonly (readonly [command: string, short: string])[] = [
  ['ping', 'ping'],
  ['offer', 'offer'],
  ['answer', 'answer'],
  ['delete', 'delete'],
  ['query', 'query'],
  ['list', 'list'],
  ['start recording', 'startrec'],
  ['stop recording', 'stoprec'],
  ['pause recording', 'pauserec'],
  ['start forwarding', 'startfwd'],
  ['stop forwarding', 'stopfwd'],
  ['block DTMF', 'blkdtmf'],
  ['unblock DTMF', 'unblkdtmf'],
  ['block media', 'blkmedia'],
  ['unblock media', 'unblkmedia'],
  ['play media', 'playmedia'],
  ['stop media', 'stopmedia'],
  ['play DTMF', 'playdtmf'],
  ['statistics', 'stats'],
  ['silence media', 'slnmedia'],
  ['unsilence media', 'unslnmedia'],
  ['publish', 'pub'],
  ['subscribe request', 'subreq'],
  ['subscribe answer', 'subans'],
  ['unsubscribe', 'unsub'],
];

/** Those that 12.5 does not have: its statistics have no place for them, `/metrics` has. */
export const newerCommandNames: readonly string[] = [
  ...['connect', 'mesh', 'create', 'create answer', 'transform'],
  ...['inject start', 'inject stop'],
];

const countedCommands: ReadonlySet<string> = new Set([
  ...commandNames.map(([command]) => command),
  ...newerCommandNames,
]);
const knownCommands: ReadonlySet<string> = new Set(commandNames.map(([command]) => command));

/** Runs and durations of one command. */
export interface CommandCounters {
  count: number;
  seconds: number;
}

/** What one control client asked for. */
export interface ProxyCounters {
  readonly commands: Map<string, CommandCounters>;
  errors: number;
}

/** Proxies that are told apart; later ones share one entry, so that the memory is bounded. */
const maxProxies = 1000;
const others = 'others';

/** Upper bounds of the classes of commit times, s (metrics.ts). */
export const commitBounds = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5,
] as const;

/** How long NG replies waited for the store. */
class CommitTimes {
  /** By class, the last is of those above all bounds. */
  readonly counts: number[] = [...commitBounds.map(() => 0), 0];
  seconds = 0;

  add(seconds: number): void {
    const at = commitBounds.findIndex((bound) => seconds <= bound);
    const position = at < 0 ? commitBounds.length : at;
    this.counts[position] = (this.counts[position] ?? 0) + 1;
    this.seconds += seconds;
  }
}

/** Counts since `startedMicros` (wall clock). */
export class Counters {
  readonly proxies = new Map<string, ProxyCounters>();
  readonly closed: Record<CloseReason, number> = {
    regular: 0,
    forced: 0,
    timeout: 0,
    'silent-timeout': 0,
    'final-timeout': 0,
    'offer-timeout': 0,
  };
  /** Commands that rtpengine has and that were answered without an error. */
  commandsDone = 0;
  managedSessions = 0;
  rejectedSessions = 0;
  /** Most calls at a time. */
  maxManagedSessions = 0;
  /** Calls that this node took over from others, and others from it. */
  takeovers = 0;
  takenOver = 0;
  zeroWayStreams = 0;
  oneWayStreams = 0;
  /** Sum and sum of squares of the durations of ended calls, in seconds. */
  durationSeconds = 0;
  duration2Seconds = 0;
  mosSum = 0;
  mos2Sum = 0;
  mosSamples = 0;

  readonly quality = new QualitySums();
  /** Of this process, as of the last `takeAddressCounters`. */
  readonly byAddress = new Map<string, AddressCounters>();
  /** What the relay's own counts say of ended calls, by local address. */
  readonly packetsByAddress = new Map<string, QualitySums>();
  readonly commits = new CommitTimes();
  /** Since the last report to Graphite. */
  readonly interval: IntervalStatistics;

  constructor(readonly startedMicros: number) {
    this.interval = new IntervalStatistics(startedMicros);
  }

  /**
   * A command was answered. `seconds`: how long it took. A name that there is not is an error of its proxy and
   * nothing else, as with 10.5: names come off the wire.
   */
  commandDone(proxy: string, command: string, seconds: number, isError: boolean): void {
    const isKnown = countedCommands.has(command);
    // Whoever has never sent a command is no proxy.
    const counters =
      this.proxies.get(proxy) ??
      this.#countersOf(!isKnown || this.proxies.size >= maxProxies ? others : proxy);
    if (isError) counters.errors += 1;
    if (!isKnown) return;
    if (!isError && knownCommands.has(command)) this.commandsDone += 1;
    this.interval.commandDone(command, seconds);
    const done = counters.commands.get(command);
    if (done === undefined) {
      counters.commands.set(command, { count: 1, seconds });
      return;
    }
    done.count += 1;
    done.seconds += seconds;
  }

  /** So many messages were not even read. */
  refused(count: number): void {
    this.#countersOf(others).errors += count;
  }

  #countersOf(proxy: string): ProxyCounters {
    let counters = this.proxies.get(proxy);
    if (counters === undefined) {
      counters = { commands: new Map(), errors: 0 };
      this.proxies.set(proxy, counters);
    }
    return counters;
  }

  /** The number of calls changed. */
  sessionsNow(count: number): void {
    if (count > this.maxManagedSessions) this.maxManagedSessions = count;
    this.interval.sessionsNow(count);
  }

  /** A call ended. `nowMicros`: by the clock of `startedMicros`. */
  callClosed(reason: CloseReason, durationSeconds: number, nowMicros: number): void {
    this.interval.callClosed(durationSeconds, nowMicros);
    this.closed[reason] += 1;
    this.durationSeconds += durationSeconds;
    this.duration2Seconds += durationSeconds * durationSeconds;
  }

  /** A stream of a call that has ended, whose packets came to `address`. */
  countStream(state: CallState, statistics: StreamStatistics, address: string): void {
    this.quality.addStream(state, statistics);
    let sums = this.packetsByAddress.get(address);
    if (sums === undefined) {
      sums = new QualitySums();
      this.packetsByAddress.set(address, sums);
    }
    sums.addStream(state, statistics);
  }

  /** What the relay has counted by now; what of it is new is added. */
  takeAddressCounters(all: readonly AddressCounters[]): void {
    for (const counted of all) this.#takeReports(counted);
    for (const counted of all) this.byAddress.set(counted.address, counted);
  }

  #takeReports({ address, reports }: AddressCounters): void {
    const before = this.byAddress.get(address)?.reports;
    this.mosSum += reports.mos.total - (before?.mos.total ?? 0);
    this.mos2Sum += reports.mos.squares - (before?.mos.squares ?? 0);
    this.mosSamples += reports.rated - (before?.rated ?? 0);
    this.quality.addReports(reports, before);
  }

  /** Calls that have ended, whatever the reason. */
  get closedSessions(): number {
    return Object.values(this.closed).reduce((sum, count) => sum + count, 0);
  }
}
