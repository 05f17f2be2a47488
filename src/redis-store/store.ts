/** Where call state outlives the process (design.md §8). */
import type { AddressFamily, CallState } from '../media/call-state.js';
import type { StreamCounters } from '../media/relay.js';
import type { Holder } from './fence.js';

export type { Holder };

/** committed: acknowledged by the server. degraded: not (yet); it will be written when the server is back. */
export type SaveOutcome = 'committed' | 'degraded';

/** There is nothing (more) to wait for; whoever sees that it is this one need not. */
export const committed: Promise<SaveOutcome> = Promise.resolve('committed');

export interface RestoreReport {
  /** Keys seen. */
  readonly found: number;
  readonly restored: number;
  /** Values that could not be read; they stay where they are. */
  readonly failures: readonly { readonly callId: string; readonly reason: string }[];
  readonly elapsedMs: number;
}

/** A port of a stored call that was open. */
export interface StoredSocket {
  readonly logicalInterface: string;
  readonly family: AddressFamily;
  readonly addressIndex: number;
  readonly port: number;
}

export interface CallStore {
  /**
   * Hands every stored call to `adopt`, which returns null when the call was taken over or the
   * reason why it was not. A value that cannot be read costs no other call. `prepare` is told of the
   * ports of calls some time before `adopt` gets them, `expect` now and then of how many calls there seem to be.
   */
  restore(
    adopt: (state: CallState) => string | null,
    prepare?: (sockets: readonly StoredSocket[]) => void,
    expect?: (calls: number) => void,
  ): Promise<RestoreReport>;
  /**
   * Writes `state` under its call-id; the newest state of a call wins, one write is in flight per
   * call. Never rejects, and resolves within the commit timeout at the latest.
   */
  save(state: CallState): Promise<SaveOutcome>;
  /** Removes the call. Never rejects; bounded like `save`. */
  remove(callId: string): Promise<SaveOutcome>;
  /** How long the server was waited for by the last `save` or `remove` that came back `committed`, if that was not taken yet. */
  takeWaitedSeconds?(): number;
  /** Makes of a state what would be stored, and stores nothing. */
  rehearse?(state: CallState): void;
  /** false while the server does not answer and replies do not wait for it. */
  readonly healthy: boolean;
  /** Sends what is still queued (bounded) and disconnects. Stored calls stay. */
  close(): Promise<void>;
}

/** Counters of one stream at the moment of writing; without a packet what the state says of the last one holds. */
export type StoredCounters = StreamCounters;

/** What is not in the state of a call and is stored with it. */
export interface CallMoment {
  /** By stream id; of streams that are not in it the state's are stored. */
  readonly counters: ReadonlyMap<number, StoredCounters>;
  /** From the clock of the state to the wall clock, µs. */
  readonly offsetMicros: number;
}

/** For a state that is stored as it is. */
export const asItIs: CallMoment = { counters: new Map(), offsetMicros: 0 };
