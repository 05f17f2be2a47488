/** What time does to calls: due deletions, timeouts, takeovers by media. */
import type { LimitConfig } from '../config/config.js';
import type { CallState, LocalSocket } from '../media/call-state.js';
import type { CallStatistics } from '../media/relay.js';
import type { CloseReason } from '../observe/counters.js';
import type { Log } from '../observe/log.js';
import { timeoutOf } from './call-ending.js';
import type { LivedTime } from './clocks.js';
import type { HeldAddresses } from './process/held-addresses.js';

/** What is remembered of a call besides its state: moments by the daemon's clock, µs. */
export interface CallTimes {
  /** Of what this process knows of the call: when it began. */
  readonly born: number;
  /** Silence does not begin earlier: the last signalling, the restore, the takeover. */
  alive: number;
  /** Of a foreign call: media that comes later takes it over. */
  mediaFrom: number;
}

/** What the sweep may do to calls. */
export interface SweptCalls {
  readonly calls: ReadonlyMap<string, CallState>;
  timesOf(callId: string): CallTimes;
  statisticsOf(callId: string): CallStatistics;
  localAddressOf(socket: LocalSocket): string;
  /** Whether somebody else says when foreign calls of this database end. */
  isWatched(database: number): boolean;
  close(callId: string, reason: CloseReason): Promise<unknown>;
  forget(state: CallState): void;
  dropBranch(state: CallState, participantId: number): Promise<unknown>;
  takeOver(callId: string, cause: string): Promise<void>;
}

export interface CallSweepOptions {
  readonly calls: SweptCalls;
  readonly limits: LimitConfig;
  readonly activeSwitchover: boolean;
  readonly log: Log;
  readonly lived: LivedTime;
  readonly held: HeldAddresses;
}

/**
 * So long after a start, a standstill or a takeover, everything has been read that waited in sockets;
 * and so long both nodes may hear a call that one of them has just taken over.
 */
export const stalePacketMicros = 10e6;

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
    for (const state of [...this.#options.calls.calls.values()]) {
      const heard = active.get(state.callId) ?? 0;
      if (state.ownership === 'own') this.#sweepOwn(state, now, heard);
      else this.#sweepForeign(state, now, heard);
    }
  }

  #sweepOwn(state: CallState, now: number, heard: number): void {
    const { calls, limits, log, lived } = this.#options;
    const { callId } = state;
    if (state.deletedMicros > 0 && state.deletedMicros <= now) {
      log.info('core', 'Deleting entire call', callId);
      void calls.close(callId, 'regular');
      return;
    }
    if (state.participantDeletedMicros > 0 && state.participantDeletedMicros <= now) {
      this.#sweepBranches(state, now);
      return;
    }
    const { born } = calls.timesOf(callId);
    if (limits.finalTimeoutSeconds > 0) {
      if (lived.between(born, now) >= limits.finalTimeoutSeconds * 1e6) {
        log.info('core', 'Closing call due to final timeout', callId);
        void calls.close(callId, 'final-timeout');
        return;
      }
    }
    const reason = this.#timeoutOf(state, now, heard);
    if (reason === null) return;
    log.info('core', 'Closing call due to timeout', callId);
    void calls.close(callId, reason);
  }

  #timeoutOf(state: CallState, now: number, heard: number): CloseReason | null {
    const { calls, limits, lived } = this.#options;
    const since = (micros: number): number => lived.between(micros, now);
    const { alive } = calls.timesOf(state.callId);
    const shortest = Math.min(
      limits.timeoutSeconds,
      limits.silentTimeoutSeconds,
      limits.offerTimeoutSeconds,
    );
    if (since(Math.max(heard, alive)) < shortest * 1e6) return null;
    const held = this.#heldSince(state);
    if (held === null) return null;
    const from = Math.max(alive, held);
    return timeoutOf(state, calls.statisticsOf(state.callId), limits, { from, since });
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
    const { calls, held } = this.#options;
    // What is known may be older than the standstill that has just ended.
    if (!this.#looked) held.refresh();
    this.#looked = true;
    return held.since(calls.localAddressOf(socket));
  }

  #sweepForeign(state: CallState, now: number, heard: number): void {
    const { activeSwitchover, calls } = this.#options;
    if (activeSwitchover && this.#isHeardHere(state, heard)) {
      void calls.takeOver(state.callId, 'by media');
    } else {
      this.#sweepUnwatched(state, now, heard);
    }
  }

  /**
   * Whether media shows that the call is this node's now. Where the address is not (any more), packets
   * may be those that have waited in the sockets of a process that stood still, or was another one.
   */
  #isHeardHere(state: CallState, heard: number): boolean {
    const { calls, lived } = this.#options;
    const { mediaFrom } = calls.timesOf(state.callId);
    if (heard <= mediaFrom) return false;
    const fresh = Math.max(mediaFrom, lived.awakeSince) + stalePacketMicros;
    const sockets = new Map(state.sockets.map((socket) => [socket.id, socket]));
    const streams = new Map(state.streams.map((stream) => [stream.id, stream]));
    return calls.statisticsOf(state.callId).streams.some(({ streamId, lastPacketMicros }) => {
      if (lastPacketMicros <= mediaFrom) return false;
      if (lastPacketMicros > fresh) return true;
      const socket = sockets.get(streams.get(streamId)?.selectedSocket ?? -1);
      return socket !== undefined && this.#addressSince(socket) !== null;
    });
  }

  /** A foreign call of a database that nobody follows: nobody will say when it ends. */
  #sweepUnwatched(state: CallState, now: number, heard: number): void {
    const { calls, limits, log, lived } = this.#options;
    const { callId, redisHostedDb: database } = state;
    if (calls.isWatched(database)) return;
    const from = Math.max(heard, calls.timesOf(callId).alive);
    if (lived.between(from, now) < limits.timeoutSeconds * 1e6) return;
    log.info('core', `Call of keyspace ${database}, which is not followed, is silent here`, callId);
    calls.forget(state);
  }

  #sweepBranches(state: CallState, now: number): void {
    const { calls, log } = this.#options;
    for (const participant of state.participants) {
      if (participant.deletedMicros === 0 || participant.deletedMicros > now) continue;
      const current = calls.calls.get(state.callId);
      if (current === undefined) return;
      const branch = `'${participant.tag ?? ''}' (via-branch '${participant.viaBranch ?? ''}')`;
      log.info('core', `Deleting call branch ${branch}`, state.callId);
      void calls.dropBranch(current, participant.id);
    }
  }
}
