/**
 * The daemon's side of a pair: stands by until it is its turn, goes on where the other process ended, and
 * writes down what the next one has to know.
 */
import { withStreams } from '../../media/call-change.js';
import { copyOfStream, type CallState, type Stream } from '../../media/call-state.js';
import { inSlices } from '../../media/slices.js';
import type { NativeRelay } from '../../native/relay.js';
import type { Counters } from '../../observe/counters.js';
import type { Log } from '../../observe/log.js';
import type { ReplyCache } from '../../ng-protocol/reply-cache.js';
import type { LatestValue } from '../../redis-store/latest-value.js';
import type { CodecSettings } from '../../redis-store/schema.js';
import type { CallService } from '../calls/call-service.js';
import type { SteadyClock } from '../clocks.js';
import type { CallCounters } from './counters-record.js';
import type { PairMember } from './member.js';
import { CallMirror } from './mirror.js';
import { goOnFrom, processRecord } from './process-record.js';
import { StandBy } from './stand-by.js';

export interface PairSideOptions {
  readonly member: PairMember;
  readonly log: Log;
  readonly clock: SteadyClock;
  readonly settings: CodecSettings;
  readonly latest: LatestValue;
  readonly counters: Counters;
  readonly replies: ReplyCache;
  readonly calls: () => CallService | null;
  readonly relay: () => NativeRelay | null;
  /** Everything that is in Redis has been restored. */
  readonly isRestored: () => boolean;
}

/** What this process goes on from. */
export interface Continued {
  /** There was a process before: what it knew is here. */
  readonly goesOn: boolean;
  /** It had restored what is in Redis. */
  readonly wasRestored: boolean;
}

/** For the last changes before media goes on. */
const lastChangesMs = 5;
/** For the last counters before a hand-over: while media goes on, and while packets wait. */
const lastCountersMs = { before: 100, meanwhile: 3 } as const;
/** The sums of the process are written that often, s. */
const processSeconds = 2;

/** Thread: control. */
export class PairSide {
  readonly #options: PairSideOptions;
  readonly mirror: CallMirror;
  readonly #standBy: StandBy;
  #standsBy = true;
  #seconds = 0;

  constructor(options: PairSideOptions) {
    this.#options = options;
    const { member, settings, latest, clock, log, calls, replies } = options;
    const { epochMicros } = clock;
    this.mirror = new CallMirror({
      ...{ member, settings, latest, epochMicros },
      moment: (callId) => calls()?.storedMoment(callId) ?? { counters: new Map(), offsetMicros: 0 },
      statistics: (callId) => calls()?.table.statisticsOf(callId) ?? null,
      calls: () => calls()?.table.calls ?? new Map<string, CallState>(),
      onLost: (reason) =>
        log.error('core', `Part of the calls would be lost with this process: ${reason}`),
    });
    this.#standBy = new StandBy({
      ...{ member, settings, epochMicros, replies },
      take: (state) => calls()?.ownership.mirror(state) ?? null,
      drop: (callId) => this.#drop(callId),
      error: (message, callId) => log.error('core', message, callId),
    });
  }

  /** The calls are another process'. */
  get standsBy(): boolean {
    return this.#standsBy;
  }

  /** What it has learned of calls while it stood by: so many states. */
  get changes(): number {
    return this.#standBy.changes;
  }

  /** Call-ids of calls that have ended lately. */
  get removed(): ReadonlySet<string> {
    return this.#standBy.removed;
  }

  /**
   * Waits until it is this process' turn, and takes the calls over: from then on media is relayed.
   * @param ready stands by with everything that the active process has.
   * @param idle called often meanwhile.
   */
  async begin(ready: () => void, idle: () => void): Promise<Continued> {
    const { member, log, counters, relay, calls } = this.#options;
    if (member.standsBy) await this.#standBy.follow(ready, idle);
    else await member.activated;
    this.#standsBy = false;
    // Packets of a call that was changed a moment ago need to know how; but each packet that waits is late.
    this.#standBy.look(lastChangesMs);
    relay()?.activate();
    this.#standBy.catchUp();
    const packets = relay()?.replayLeft() ?? 0;
    const { process: record, records } = this.#standBy;
    const wasRestored = goOnFrom(record, counters);
    this.mirror.open();
    const service = calls();
    for (const callId of [...(service?.table.calls.keys() ?? [])]) service?.ownership.goOn(callId);
    if (records > 0) {
      const count = service?.table.calls.size ?? 0;
      log.notice(
        'core',
        `Going on with ${count} calls of the process before, and ${packets} packets that it held`,
      );
    }
    return { goesOn: records > 0, wasRestored };
  }

  #drop(callId: string): void {
    const table = this.#options.calls()?.table;
    const state = table?.call(callId);
    if (state !== undefined && state !== null) void table?.remove(state);
  }

  /**
   * What can wait: counters go on, and `again` is called for each call, e.g. for its kernel flows. Never rejects.
   */
  async settle(again: (state: CallState) => void): Promise<void> {
    const { calls, relay, log } = this.#options;
    const table = calls()?.table;
    await inSlices(table?.calls.keys() ?? [], (callId) => {
      const state = table?.call(callId) ?? null;
      if (state === null) return;
      try {
        const counters = this.#standBy.countersOf(callId);
        if (counters !== undefined) relay()?.rebase(callId, counters.bases);
        again(counters === undefined ? state : withCounters(state, counters));
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        log.error('core', `Not all of it goes on: ${reason}`, callId);
      }
    });
  }

  everySecond(): void {
    this.mirror.everySecond();
    this.#seconds += 1;
    if (this.#seconds % processSeconds === 0) this.noteProcess();
  }

  noteProcess(): void {
    const { counters, isRestored } = this.#options;
    this.mirror.process(processRecord(counters, isRestored()));
  }

  /** Media is about to be left: what the counters of all calls are until then. Packets do not wait for this. */
  prepareToLeave(): void {
    this.mirror.everything(performance.now() + lastCountersMs.before);
  }

  /** The media threads have ended; the next process has to know the rest. Nothing is written afterwards. */
  leave(): void {
    this.mirror.everything(performance.now() + lastCountersMs.meanwhile);
    this.noteProcess();
    this.mirror.close();
  }
}

function withCounters(state: CallState, { streams }: CallCounters): CallState {
  const changed = new Map<number, Stream>();
  for (const stream of state.streams) {
    const counters = streams.get(stream.id);
    if (counters === undefined) continue;
    const { lastPacketMicros, ...stats } = counters;
    const copy = copyOfStream(stream);
    copy.stats = stats;
    copy.lastPacketMicros = lastPacketMicros;
    changed.set(stream.id, copy);
  }
  return changed.size === 0 ? state : withStreams(state, changed);
}
