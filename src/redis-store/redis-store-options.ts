/** What the store of calls in Redis is told. */
import type { ConnectionOptions } from './connection-options.js';
import type { CallState } from '../media/call-state.js';
import type { Holder } from './fence.js';
import type { FormatSource } from './format-choice.js';
import type { LatestValue } from './latest-value.js';
import type { StoreLog } from './log.js';
import type { ExchangeBytes } from './prompt-answers.js';
import type { BencodeCodec, CodecSettings, StoredFormat } from './schema.js';
import type { RedisServer } from './server-address.js';
import type { CallMoment } from './store.js';

/** What a store is told when it is made. */
export interface RedisStoreOptions {
  /** Calls are restored from here; null: nothing is restored. */
  readonly read: RedisServer | null;
  /** Calls are written here. The same database as `read` unless the two differ. */
  readonly write: RedisServer;
  /**
   * auto: go on in the format that the database holds; an empty one gets that of the databases that are
   * read or followed, else what `installedFormat` says, else JSON.
   */
  readonly format: StoredFormat | 'auto';
  /** Databases whose calls this node may take over. */
  readonly followed?: readonly RedisServer[];
  /** What a program reads that may have the database after us. Asked only where nothing else tells. */
  readonly installedFormat?: FormatSource;
  /** `start` fails when the server is away. */
  readonly required: boolean;
  /** Life time of a stored call; it begins anew with each write, and every half of it. */
  readonly expiresSeconds: number;
  readonly connectTimeoutMs: number;
  /** 0: 5 s. */
  readonly commandTimeoutMs: number;
  /** -1: unlimited. */
  readonly allowedErrors: number;
  readonly disableTimeSeconds: number;
  /** As that of a connection. */
  readonly keepAlive?: ConnectionOptions['keepAlive'];
  /** How long a save waits for the acknowledgement. */
  readonly commitTimeoutMs: number;
  /** Replicas that have to hold a call before its save is acknowledged, if they do in time; 0: none. */
  readonly waitReplicas?: number;
  /** Learning of medias whose stored value names none (the option endpoint-learning). */
  readonly endpointLearning: CodecSettings['endpointLearning'];
  readonly indexOfPosition: CodecSettings['indexOfPosition'];
  readonly secrets: CodecSettings['secrets'];
  readonly bencode: BencodeCodec;
  readonly log: StoreLog;
  /** All calls in memory; asked for when the server is back. Foreign ones are not written. */
  readonly snapshot: () => Iterable<CallState>;
  /** Another node has the call: it is that node's to write and to delete. */
  readonly onLost?: (callId: string, holder: Holder) => void;
  /** Values that were made a moment ago for another reader. */
  readonly latest?: LatestValue;
  /** Sends to the server and waits for a moment, while `mayWait` says that nobody waits for this thread. */
  readonly exchange?: ExchangeBytes;
  readonly mayWait?: () => boolean;
  /** Counters and clock at the moment of writing. */
  readonly moment: (callId: string) => CallMoment;
}

/** What may change while a store is open. The databases keep their numbers. */
export type RedisStoreSettings = Pick<
  RedisStoreOptions,
  | 'read'
  | 'write'
  | 'expiresSeconds'
  | 'connectTimeoutMs'
  | 'commandTimeoutMs'
  | 'allowedErrors'
  | 'disableTimeSeconds'
  | 'commitTimeoutMs'
  | 'waitReplicas'
>;
