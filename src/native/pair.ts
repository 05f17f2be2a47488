/** What a process of a pair has of the addon: the channel to its parent, and the journal of the calls. */
import { builtFile, loadRelayAddon } from './addon.js';

/** As in native/core/journal.h. `moment`: CLOCK_MONOTONIC, µs. */
export type NativeJournalRecord = readonly [
  kind: number,
  key: string,
  value: Buffer,
  moment: number,
];

/** native/api/pair.h */
export interface NativePairMember {
  /** The next record that this process does not know; null: there is none at present. */
  read(): NativeJournalRecord | null;
  /** false: there is no memory for it. */
  append(kind: number, key: string, value: Buffer): boolean;
  /** Whether a process stands by that takes edits. */
  takesEdits(): boolean;
  /** Adds to the state of a call, in place of its last byte. false: it has to be written whole. */
  appendEdit(callId: string, bytes: Buffer): boolean;
  /** Bytes of the journal, and of them those that hold. */
  size(): readonly [written: number, live: number];
  close(): void;
}

/**
 * What the parent says. `sockets`: more of them have come; `synced`: all that there were. `active`: this process has the calls from now on.
 * `hand-over`: it is to leave them to the next one. `alone`: the parent is gone.
 */
export type PairOrder = 'sockets' | 'removed' | 'synced' | 'active' | 'hand-over' | 'alone';

interface Addon {
  readonly PairMember: new (
    channel: number,
    listener: (what: PairOrder) => void,
  ) => NativePairMember;
  executeProgram(path: string, words: readonly string[]): number;
}

const addon = (): Addon => loadRelayAddon() as Addon;

/** `channel`: the descriptor that the parent has given. */
export function openPairMember(
  channel: number,
  listener: (what: PairOrder) => void,
): NativePairMember {
  const { PairMember } = addon();
  return new PairMember(channel, listener);
}

/** The parent of a pair. */
export const pairProgram = (): string => builtFile('Release', 'rtprelay-pair');

/** The process becomes another program, under the same process id. Returns only when it cannot: errno. */
export const executeProgram = (path: string, words: readonly string[]): number =>
  addon().executeProgram(path, words);
