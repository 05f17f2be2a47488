/** This process as one of a pair: what its parent wants of it, and the journal that it shares with the other. */
import { openPairMember, type NativePairMember, type PairOrder } from '../../native/pair.js';
import { pairVariable } from './launch.js';

/** Kinds of records, as in native/core/journal.h. */
export const recordKind = { call: 1, counters: 2, removed: 3, reply: 4, process: 5 } as const;

export interface JournalRecord {
  readonly kind: number;
  /** A call-id; of a reply the cookie. */
  readonly key: string;
  readonly value: Buffer;
  /** CLOCK_MONOTONIC, µs. */
  readonly moment: number;
}

/** Thread: control. */
export class PairMember {
  readonly #native: NativePairMember;
  readonly #activated: Promise<void>;
  #resolve: () => void = () => undefined;
  #onSockets: () => void = () => undefined;
  #onRemoved: () => void = () => undefined;
  #onHandOver: () => void = () => undefined;
  #onAlone: () => void = () => undefined;
  #isActive = false;
  #isSynced = false;

  private constructor(
    /** It was started to stand by; otherwise to be active as soon as it has the sockets. */
    readonly standsBy: boolean,
    channel: number,
  ) {
    this.#activated = new Promise((resolve) => (this.#resolve = resolve));
    this.#native = openPairMember(channel, (what) => this.#told(what));
  }

  /** null: the process is no child of a pair's parent. Its variable is taken out of the environment. */
  static of(environment: Record<string, string | undefined>): PairMember | null {
    const [role = '', channel = ''] = (environment[pairVariable] ?? '').split(' ');
    if (!['active', 'spare'].includes(role) || !/^\d{1,9}$/.test(channel)) return null;
    environment[pairVariable] = 'no';
    return new PairMember(role === 'spare', Number(channel));
  }

  /** Resolves when the calls are this process'. */
  get activated(): Promise<void> {
    return this.#activated;
  }

  get isActive(): boolean {
    return this.#isActive;
  }

  /** Everything that the parent had when this process was started is here. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  onSockets(listener: () => void): void {
    this.#onSockets = listener;
  }

  /** The active process has closed ports. */
  onRemoved(listener: () => void): void {
    this.#onRemoved = listener;
  }

  onHandOver(listener: () => void): void {
    this.#onHandOver = listener;
  }

  onAlone(listener: () => void): void {
    this.#onAlone = listener;
  }

  #told(what: PairOrder): void {
    if (what === 'sockets') this.#onSockets();
    else if (what === 'removed') this.#onRemoved();
    else if (what === 'hand-over') this.#onHandOver();
    else if (what === 'alone') this.#onAlone();
    else if (what === 'synced') this.#isSynced = true;
    else {
      this.#isSynced = true;
      this.#isActive = true;
      this.#resolve();
    }
  }

  /** The next record that is new to this process; null: there is none at present. */
  read(): JournalRecord | null {
    const record = this.#native.read();
    if (record === null) return null;
    const [kind, key, value, moment] = record;
    return { kind, key, value, moment };
  }

  /** Whether a process stands by that can read what was added to a state. */
  takesEdits(): boolean {
    return this.#native.takesEdits();
  }

  /** Adds to the state of a call, in place of its last byte. false: it has to be written whole. */
  appendEdit(callId: string, bytes: Buffer): boolean {
    return this.#native.appendEdit(callId, bytes);
  }

  /** false: the next process will not know. */
  append(kind: number, key: string, value: Buffer): boolean {
    return this.#native.append(kind, key, value);
  }
}
