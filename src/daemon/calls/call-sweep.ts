/** What time does to calls: due deletions, timeouts, takeovers by media. */
import type { LimitConfig } from '../../config/config.js';
import type { CallState, LocalSocket } from '../../media/call-state.js';
import type { CloseReason } from '../../observe/counters.js';
import type { Log } from '../../observe/log.js';
import type { LivedTime } from '../clocks.js';
import type { HeldAddresses } from '../process/held-addresses.js';
import { stalePacketMicros, type CallTable } from './call-table.js';
import type { CallEnding } from './ending.js';
import type { CallOwnership } from './ownership.js';
import { timeoutOf } from './silence.js';

export interface CallSweepOptions {
  readonly table: CallTable;
  readonly ownership: CallOwnership;
  readonly ending: CallEnding;
  readonly limits: LimitConfig;
  readonly activeSwitchover: boolean;
  readonly log: Log;
  readonly lived: LivedTime;
  readonly held: HeldAddresses;
}

export class CallSweep {
  readonly #options: CallSweepOptions;
  #looked = false;

  constructor(options: CallSweepOptions) {
    this.#options = options;
  }

  /** @param lastActivity of each call, µs. */
  run(now: number, lastActivity: Iterable<readonly [callId: string, micros: number]>): void {
    const active = new Map(lastActivity);
    this.#looked = false;
    for (const state of [...this.#options.table.calls.values()]) {
      const heard = active.get(state.callId) ?? 0;
      if (state.ownership === 'own') this.#sweepOwn(state, now, heard);
      else this.#sweepForeign(state, now, heard);
    }
  }

  #sweepOwn(state: CallState, now: number, heard: number): void {
    const { table, ending, limits, log, lived } = this.#options;
    const { callId } = state;
    if (state.deletedMicros > 0 && state.deletedMicros <= now) {
      log.info('core', 'Deleting entire call', callId);
      void ending.close(callId, 'regular');
      return;
    }
    if (state.participantDeletedMicros > 0 && state.participantDeletedMicros <= now) {
      this.#sweepBranches(state, now);
      return;
    }
    const { born } = table.timesOf(callId);
    if (limits.finalTimeoutSeconds > 0) {
      if (lived.between(born, now) >= limits.finalTimeoutSeconds * 1e6) {
        log.info('core', 'Closing call due to final timeout', callId);
        void ending.close(callId, 'final-timeout');
        return;
      }
    }
    const reason = this.#timeoutOf(state, now, heard);
    if (reason === null) return;
    log.info('core', 'Closing call due to timeout', callId);
    void ending.close(callId, reason);
  }

  #timeoutOf(state: CallState, now: number, heard: number): CloseReason | null {
    const { table, limits, lived } = this.#options;
    const since = (micros: number): number => lived.between(micros, now);
    const { alive } = table.timesOf(state.callId);
    const shortest = Math.min(
      limits.timeoutSeconds,
      limits.silentTimeoutSeconds,
      limits.offerTimeoutSeconds,
    );
    if (since(Math.max(heard, alive)) < shortest * 1e6) return null;
    const held = this.#heldSince(state);
    if (held === null) return null;
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

  #sweepForeign(state: CallState, now: number, heard: number): void {
    const { activeSwitchover, ownership } = this.#options;
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
