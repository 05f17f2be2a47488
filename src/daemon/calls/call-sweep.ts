/** What time does to calls: due deletions, timeouts, takeovers by media. */
import type { LimitConfig } from '../../config/config.js';
import type { CallState, LocalSocket } from '../../media/call-state.js';
import type { MediaRelay } from '../../media/relay.js';
import { SlicedWork } from '../../media/slices.js';
import type { Log } from '../../observe/log.js';
import type { LivedTime } from '../clocks.js';
import type { HeldAddresses } from '../process/held-addresses.js';
import { stalePacketMicros, type CallTable, type CallTimes } from './call-table.js';
import type { CallEnding } from './ending.js';
import type { CallOwnership } from './ownership.js';
import { timeoutOf, type Silence } from './silence.js';

export interface CallSweepOptions {
  readonly table: CallTable;
  readonly relay: Pick<MediaRelay, 'lastPacketMicros'>;
  readonly ownership: CallOwnership;
  readonly ending: CallEnding;
  readonly limits: LimitConfig;
  readonly activeSwitchover: boolean;
  readonly log: Log;
  readonly lived: LivedTime;
  readonly held: HeldAddresses;
}

/** Once a second. Calls of which it is known that nothing is due are not even asked about. Thread: control. */
export class CallSweep {
  readonly #options: CallSweepOptions;
  readonly #work: SlicedWork;
  /** What dues were reckoned with. */
  #limits = '';
  #looked = false;

  constructor(options: CallSweepOptions) {
    this.#options = options;
    this.#work = new SlicedWork((error) => {
      const why = error instanceof Error ? error.message : String(error);
      options.log.error('core', `Timer: ${why}`);
    });
  }

  /** Looks at all calls, in slices; a round that has not ended goes on instead. */
  run(): void {
    const { table, limits } = this.#options;
    this.#work.begin(
      () => {
        this.#looked = false;
        this.#forgetDues(limits);
        return table.calls.values();
      },
      (state) => this.#look(state),
    );
  }

  /** Limits may be changed while calls are there. */
  #forgetDues(limits: LimitConfig): void {
    const { timeoutSeconds, silentTimeoutSeconds, offerTimeoutSeconds, finalTimeoutSeconds } =
      limits;
    const now = [timeoutSeconds, silentTimeoutSeconds, offerTimeoutSeconds, finalTimeoutSeconds];
    const text = now.join(' ');
    if (text === this.#limits) return;
    this.#limits = text;
    const { table } = this.#options;
    for (const callId of table.calls.keys()) table.timesOf(callId).due = 0;
  }

  #look(state: CallState): void {
    const { table } = this.#options;
    const times = table.timesOf(state.callId);
    const now = table.now();
    if (times.due > now) return;
    if (state.ownership === 'own') times.due = this.#sweepOwn(state, times, now);
    else this.#sweepForeign(state, now);
  }

  /** Returns when to look again, µs, 0 at once. */
  #sweepOwn(state: CallState, { born, alive }: CallTimes, now: number): number {
    const { ending, limits, log, lived } = this.#options;
    const { callId, deletedMicros, participantDeletedMicros } = state;
    if (deletedMicros > 0 && deletedMicros <= now) {
      log.info('core', 'Deleting entire call', callId);
      void ending.close(callId, 'regular');
      return 0;
    }
    if (participantDeletedMicros > 0 && participantDeletedMicros <= now) {
      this.#sweepBranches(state, now);
      return 0;
    }
    const longest = limits.finalTimeoutSeconds > 0 ? limits.finalTimeoutSeconds * 1e6 : Infinity;
    if (lived.between(born, now) >= longest) {
      log.info('core', 'Closing call due to final timeout', callId);
      void ending.close(callId, 'final-timeout');
      return 0;
    }
    const silence = this.#silenceOf(state, alive, now);
    if (typeof silence === 'string') {
      log.info('core', 'Closing call due to timeout', callId);
      void ending.close(callId, silence);
      return 0;
    }
    const dues = [deletedMicros, participantDeletedMicros].filter((micros) => micros > 0);
    // Time that was not lived through counts for neither: it may be later.
    return Math.min(now + silence, born + longest, ...dues);
  }

  #silenceOf(state: CallState, alive: number, now: number): Silence {
    const { table, relay, limits, lived } = this.#options;
    const since = (micros: number): number => lived.between(micros, now);
    const { timeoutSeconds, silentTimeoutSeconds, offerTimeoutSeconds } = limits;
    const shortest = Math.min(timeoutSeconds, silentTimeoutSeconds, offerTimeoutSeconds);
    const heard = relay.lastPacketMicros(state.callId);
    const left = shortest * 1e6 - since(Math.max(heard, alive));
    if (left > 0) return left;
    const held = this.#heldSince(state);
    if (held === null) return 0;
    const from = Math.max(alive, held);
    return timeoutOf(state, table.statisticsOf(state.callId), limits, { from, since });
  }

  /** Since when all addresses of the call are here; null: one of them is not. */
  #heldSince(state: CallState): number | null {
    const inUse = new Set(state.streams.map(({ selectedSocket }) => selectedSocket));
    let latest = 0;
    for (const socket of state.sockets) {
      if (!inUse.has(socket.id)) continue;
      const since = this.#addressSince(socket);
      if (since === null) return null;
      latest = Math.max(latest, since);
    }
    return latest;
  }

  #addressSince(socket: LocalSocket): number | null {
    const { table, held } = this.#options;
    // What is known may be older than the standstill that has just ended.
    if (!this.#looked) held.refresh();
    this.#looked = true;
    return held.since(table.localAddressOf(socket));
  }

  #sweepForeign(state: CallState, now: number): void {
    const { activeSwitchover, ownership, relay } = this.#options;
    const heard = relay.lastPacketMicros(state.callId);
    if (activeSwitchover && this.#isHeardHere(state, heard)) {
      void ownership.takeOver(state.callId, 'by media');
    } else {
      this.#sweepUnwatched(state, now, heard);
    }
  }

  /**
   * Whether media shows that the call is this node's now. Where the address is not (any more), packets
   * may be those that have waited in the sockets of a process that stood still, or was another one.
   */
  #isHeardHere(state: CallState, heard: number): boolean {
    const { table, lived } = this.#options;
    const { mediaFrom } = table.timesOf(state.callId);
    if (heard <= mediaFrom) return false;
    const fresh = Math.max(mediaFrom, lived.awakeSince) + stalePacketMicros;
    const sockets = new Map(state.sockets.map((socket) => [socket.id, socket]));
    const streams = new Map(state.streams.map((stream) => [stream.id, stream]));
    return table.statisticsOf(state.callId).streams.some(({ streamId, lastPacketMicros }) => {
      if (lastPacketMicros <= mediaFrom) return false;
      if (lastPacketMicros > fresh) return true;
      const socket = sockets.get(streams.get(streamId)?.selectedSocket ?? -1);
      return socket !== undefined && this.#addressSince(socket) !== null;
    });
  }

  /** A foreign call of a database that nobody follows: nobody will say when it ends. */
  #sweepUnwatched(state: CallState, now: number, heard: number): void {
    const { table, ownership, limits, log, lived } = this.#options;
    const { callId, redisHostedDb: database } = state;
    if (ownership.isWatched(database)) return;
    const from = Math.max(heard, table.timesOf(callId).alive);
    if (lived.between(from, now) < limits.timeoutSeconds * 1e6) return;
    log.info('core', `Call of keyspace ${database}, which is not followed, is silent here`, callId);
    void table.remove(state);
  }

  #sweepBranches(state: CallState, now: number): void {
    for (const participant of state.participants) {
      if (participant.deletedMicros === 0 || participant.deletedMicros > now) continue;
      void this.#options.ending.dropBranch(state.callId, participant);
    }
  }
}
