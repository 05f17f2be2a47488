/** Writes into the journal what a process that continues this one has to know. */
import type { CallState } from '../../media/call-state.js';
import type { CallStatistics } from '../../media/relay.js';
import { forgetOldest } from '../../media/remembered.js';
import { SlicedWork } from '../../media/slices.js';
import { encodeNext } from '../../redis-store/codec.js';
import { EncodedCalls } from '../../redis-store/encoded-calls.js';
import type { LatestValue } from '../../redis-store/latest-value.js';
import type { CodecSettings } from '../../redis-store/schema.js';
import type { CallMoment } from '../../redis-store/store.js';
import type { NextValue, ValueReceipt } from '../../redis-store/value-edit.js';
import { countersRecord } from './counters-record.js';
import { recordKind, type PairMember } from './member.js';

export interface MirrorOptions {
  readonly member: Pick<PairMember, 'append' | 'takesEdits' | 'appendEdit'>;
  readonly settings: CodecSettings;
  /** Counters and clock at the time of writing. */
  readonly moment: (callId: string) => CallMoment;
  readonly statistics: (callId: string) => CallStatistics | null;
  readonly calls: () => ReadonlyMap<string, CallState>;
  /** Of the daemon's clock, µs. */
  readonly epochMicros: number;
  /** Where the store finds what was written of a change. */
  readonly latest?: LatestValue;
  /** Said once: the next process will lack something. */
  readonly onLost: (reason: string) => void;
}

interface Written {
  readonly receipt: ValueReceipt;
  readonly ownership: CallState['ownership'];
}

/** Large calls that are written by what has changed. */
const maxLargeCalls = 16;

/** The counters of each call are written that often, s. */
const countersSeconds = 8;

const nothing = Buffer.alloc(0);

/** Commands that change nothing: whoever asks again is answered anew. */
const readOnly: ReadonlySet<string> = new Set(['ping', 'query', 'list', 'statistics']);

/** What stands before the value of a call. */
export const ownershipLetter = { own: 'o', foreign: 'f' } as const;
const prefix = { own: Buffer.from('o'), foreign: Buffer.from('f') } as const;

/** Thread: control. */
export class CallMirror {
  readonly #options: MirrorOptions;
  readonly #encoded = new EncodedCalls();
  /** What the journal has of large calls, the one written last at the end. */
  readonly #written = new Map<string, Written>();
  readonly #settings: CodecSettings;
  #lost = false;
  /** Only an active process writes. */
  #isOpen = false;
  readonly #writing: SlicedWork;
  /** Calls whose counters are still to be written in this round. */
  #round: Iterator<string> | null = null;

  constructor(options: MirrorOptions) {
    this.#options = options;
    this.#writing = new SlicedWork((error) => {
      this.#lose(error instanceof Error ? error.message : String(error));
    });
    // It never leaves the memory of this machine.
    this.#settings = { ...options.settings, secrets: null };
  }

  open(): void {
    this.#isOpen = true;
  }

  close(): void {
    this.#isOpen = false;
  }

  changed(state: CallState): void {
    if (!this.#isOpen) return;
    try {
      if (!this.#edit(state)) this.#whole(state);
    } catch (error) {
      this.#lose(error instanceof Error ? error.message : String(error));
    }
  }

  #encode(state: CallState, stored: ValueReceipt | null): NextValue {
    const moment = this.#options.moment(state.callId);
    return encodeNext(state, 'JSON', this.#settings, moment, this.#encoded, stored);
  }

  /** Of a large call what has changed. false: it is to be written whole. */
  #edit(state: CallState): boolean {
    const { callId, ownership } = state;
    const written = this.#written.get(callId);
    if (written?.ownership !== ownership || !this.#options.member.takesEdits()) return false;
    const { value, receipt } = this.#encode(state, written.receipt);
    if (Buffer.isBuffer(value)) {
      this.#put(state, value, receipt);
      return true;
    }
    if (!this.#options.member.appendEdit(callId, value.bytes)) return false;
    this.#remember(state, receipt);
    return true;
  }

  #whole(state: CallState): void {
    const { value, receipt } = this.#encode(state, null);
    if (!Buffer.isBuffer(value)) throw new TypeError('a value is whole where none is stored');
    this.#options.latest?.keep(state, 'JSON', value);
    this.#put(state, value, receipt);
  }

  #put(state: CallState, value: Buffer, receipt: ValueReceipt | null): void {
    const { callId, ownership } = state;
    this.#append(recordKind.call, callId, Buffer.concat([prefix[ownership], value]));
    this.#remember(state, receipt);
  }

  #remember({ callId, ownership }: CallState, receipt: ValueReceipt | null): void {
    this.#written.delete(callId);
    if (receipt === null) return;
    this.#written.set(callId, { receipt, ownership });
    forgetOldest(this.#written, maxLargeCalls);
  }

  passedOn(): void {
    this.#options.latest?.forget();
  }

  removed(callId: string): void {
    if (!this.#isOpen) return;
    this.#encoded.forget(callId);
    this.#written.delete(callId);
    this.#append(recordKind.removed, callId, nothing);
  }

  /** A reply that a repeated request is to get again, from whichever process. */
  replied(command: string, cookie: string, body: Buffer, reply: Buffer): void {
    if (!this.#isOpen || readOnly.has(command)) return;
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32LE(body.length);
    this.#append(recordKind.reply, cookie, Buffer.concat([length, body, reply]));
  }

  /** What there is besides calls. */
  process(value: Buffer): void {
    if (this.#isOpen) this.#append(recordKind.process, '', value);
  }

  /** To be called once a second: the counters of a part of the calls. */
  everySecond(): void {
    if (!this.#isOpen) return;
    this.#writing.begin(
      () => this.#nextPart(),
      (callId) => this.#counters(callId),
    );
  }

  *#nextPart(): Generator<string> {
    const calls = this.#options.calls();
    let left = Math.ceil(calls.size / countersSeconds);
    // A call that has come or gone meanwhile is met or not.
    this.#round ??= calls.keys();
    for (; left > 0; left -= 1) {
      const { value: callId, done } = this.#round.next();
      if (done === true) {
        this.#round = null;
        return;
      }
      // Only an active process writes, and that may have ended meanwhile.
      if (!this.#isOpen) return;
      yield callId;
    }
  }

  /** The counters of all calls, as far as they are written until then. */
  everything(untilMs: number): void {
    if (!this.#isOpen) return;
    for (const callId of this.#options.calls().keys()) {
      if (performance.now() >= untilMs) return;
      this.#counters(callId);
    }
  }

  #counters(callId: string): void {
    const { statistics, calls, epochMicros } = this.#options;
    const state = calls().get(callId);
    const streams = statistics(callId)?.streams ?? [];
    if (state === undefined || streams.every(({ packets }) => packets === 0)) return;
    // Where the call is read, its streams are numbered as they stand.
    const positions = new Map(state.streams.map(({ id }, position) => [id, position]));
    const numbered = streams.flatMap((stream) => {
      const streamId = positions.get(stream.streamId);
      return streamId === undefined ? [] : [{ ...stream, streamId }];
    });
    this.#append(recordKind.counters, callId, countersRecord(numbered, epochMicros));
  }

  #append(kind: number, key: string, value: Buffer): void {
    if (!this.#options.member.append(kind, key, value)) this.#lose('no memory for the journal');
  }

  #lose(reason: string): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#options.onLost(reason);
  }
}
