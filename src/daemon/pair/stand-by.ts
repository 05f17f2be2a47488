/**
 * Follows the calls of the active process by its journal, so that everything is in place when that one ends:
 * states, plans, open ports. And begins with what an earlier process has left, when there is no other any more.
 */
import type { CallState } from '../../media/call-state.js';
import { forgetOldest } from '../../media/remembered.js';
import type { ReplyCache } from '../../ng-protocol/reply-cache.js';
import { decodeCall } from '../../redis-store/codec.js';
import type { CodecSettings } from '../../redis-store/schema.js';
import { readCounters, type CallCounters } from './counters-record.js';
import { recordKind, type JournalRecord, type PairMember } from './member.js';
import { ownershipLetter } from './mirror.js';

export interface StandByOptions {
  readonly member: Pick<PairMember, 'read' | 'activated' | 'isSynced' | 'onSockets' | 'onRemoved'>;
  readonly settings: CodecSettings;
  readonly epochMicros: number;
  /** Takes the newest state of a call in; why it cannot be (its ports have not come yet), or null. */
  readonly take: (state: CallState) => string | null;
  readonly drop: (callId: string) => void;
  readonly replies: ReplyCache;
  readonly error: (message: string, callId: string) => void;
}

/** The journal is looked into that often, ms. */
const lookMs = 100;
/** And so soon after ports were closed: until then nobody can open them again. */
const soonMs = 5;
/** Work on it without a pause, ms: the process has orders to obey. */
const sliceMs = 10;
/** Until the parent has sent everything. */
const unsyncedMs = 5;
const rememberedRemovals = 4096;

/** Thread: control. */
export class StandBy {
  readonly #options: StandByOptions;
  /** Calls that lack something, by call-id. */
  readonly #waiting = new Map<string, CallState>();
  /** As they stand in the journal: most are replaced before anybody asks. */
  readonly #counters = new Map<string, Buffer>();
  /** What has been read and is still to be acted on. */
  readonly #changed = new Map<string, Buffer>();
  readonly #ended = new Set<string>();
  /** Call-ids of those that have ended lately. */
  readonly #removed = new Set<string>();
  #process: Buffer | null = null;
  #records = 0;
  #changes = 0;
  /** Sockets have come since calls were tried that lacked some. */
  #hasMore = false;
  #wake: () => void = () => undefined;
  #soon: NodeJS.Timeout | null = null;

  constructor(options: StandByOptions) {
    this.#options = options;
    options.member.onSockets(() => (this.#hasMore = true));
    options.member.onRemoved(() => {
      this.#soon ??= setTimeout(() => {
        this.#soon = null;
        this.#wake();
      }, soonMs);
    });
  }

  /** undefined: none are known. */
  countersOf(callId: string): CallCounters | undefined {
    const value = this.#counters.get(callId);
    return value === undefined ? undefined : readCounters(value, this.#options.epochMicros);
  }

  get removed(): ReadonlySet<string> {
    return this.#removed;
  }

  /** What the last process said of itself; null: nothing. */
  get process(): Buffer | null {
    return this.#process;
  }

  /** Records read so far. */
  get records(): number {
    return this.#records;
  }

  /** Calls read anew so far. */
  get changes(): number {
    return this.#changes;
  }

  /**
   * Follows until this process is active. `ready` is called when it has come as far as the other one, `idle`
   * every 100 ms.
   */
  async follow(ready: () => void, idle: () => void): Promise<void> {
    const { member } = this.#options;
    let isActive = false;
    const activated = member.activated.then(() => {
      isActive = true;
      this.#wake();
    });
    let told = false;
    while (!isActive) {
      const isDone = member.isSynced && this.#read(performance.now() + sliceMs);
      if (isDone && this.#hasMore) this.#retry();
      if (isDone && !told && this.#waiting.size === 0) {
        told = true;
        ready();
      }
      idle();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, isDone ? lookMs : member.isSynced ? 1 : unsyncedMs);
      });
    }
    await activated;
  }

  /** Takes in what is new, as far as the time is enough. */
  look(ms: number): void {
    if (this.#read(performance.now() + ms) && this.#hasMore) this.#retry();
  }

  /** Takes in everything that is left; what cannot be is said and let go of. */
  catchUp(): void {
    this.#read(Infinity);
    this.#retry();
    for (const [callId, state] of this.#waiting) {
      const reason = this.#options.take(state);
      if (reason !== null) this.#options.error(`Cannot be taken over: ${reason}`, callId);
    }
    this.#waiting.clear();
  }

  /** false: the time was not enough. */
  #read(untilMs: number): boolean {
    for (;;) {
      const record = this.#options.member.read();
      if (record === null) break;
      this.#records += 1;
      this.#collect(record);
      if (performance.now() >= untilMs) return false;
    }
    for (const callId of this.#ended) {
      this.#ended.delete(callId);
      this.#remove(callId);
      if (performance.now() >= untilMs) return false;
    }
    for (const [callId, value] of this.#changed) {
      this.#changed.delete(callId);
      this.#call(callId, value);
      if (performance.now() >= untilMs) return false;
    }
    return true;
  }

  /**
   * Only what holds in the end is acted on. A call that had ended and is there again, e.g. one of another node,
   * has the ports that it had: closed for what is long past, they would be gone.
   */
  #collect({ kind, key, value, moment }: JournalRecord): void {
    const { replies } = this.#options;
    if (kind === recordKind.call) {
      this.#ended.delete(key);
      this.#changed.set(key, value);
    } else if (kind === recordKind.removed) {
      this.#changed.delete(key);
      this.#counters.delete(key);
      this.#ended.add(key);
    } else if (kind === recordKind.counters) this.#counters.set(key, value);
    else if (kind === recordKind.process) this.#process = value;
    else if (
      kind === recordKind.reply &&
      moment + replyMicros > Number(process.hrtime.bigint()) / 1e3
    ) {
      const body = value.subarray(4, 4 + value.readUInt32LE(0));
      replies.store({ cookie: key, body }, value.subarray(4 + body.length));
    }
  }

  #call(callId: string, value: Buffer): void {
    const { settings, error } = this.#options;
    this.#changes += 1;
    const ownership = value.toString('latin1', 0, 1) === ownershipLetter.own ? 'own' : 'foreign';
    try {
      const owner = { ownership, database: null } as const;
      const { state } = decodeCall(callId, value.subarray(1), settings, owner);
      this.#removed.delete(callId);
      this.#waiting.delete(callId);
      if (this.#options.take(state) !== null) this.#waiting.set(callId, state);
    } catch (reason) {
      error(`Cannot be read: ${reason instanceof Error ? reason.message : String(reason)}`, callId);
    }
  }

  #remove(callId: string): void {
    this.#waiting.delete(callId);
    this.#removed.add(callId);
    forgetOldest(this.#removed, rememberedRemovals);
    this.#options.drop(callId);
  }

  /** More ports have come. */
  #retry(): void {
    this.#hasMore = false;
    for (const [callId, state] of [...this.#waiting]) {
      if (this.#options.take(state) === null) this.#waiting.delete(callId);
    }
  }
}

/** A request is not repeated after so long. */
const replyMicros = 30e6;
