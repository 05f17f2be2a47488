/**
 * Follows the calls that other nodes keep in their Redis databases (redis-layout.md §4). Notifications
 * only say that a key changed: its value is then read. Since notifications can be missed, the whole
 * database is compared at the start, after every interruption, and once in a while.
 */
import type { Redis } from 'ioredis';
import type { CallState } from '../media/call-state.js';
import { loadRedisClient } from './client.js';
import { RedisConnection, serverName, type RedisServer } from './connection.js';
import { decodeCall } from './decode.js';
import { RestoreError } from './errors.js';
import { Fence, type Holder } from './fence.js';
import type { StoreLog } from './log.js';
import { findCalls } from './restore.js';
import type { CodecSettings } from './schema.js';
import { looksLikeCall } from './stored-value.js';

export interface KeyspaceFollowerOptions {
  /** `database` is not used. */
  readonly server: RedisServer;
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
  readonly allowedErrors: number;
  readonly disableTimeSeconds: number;
  readonly settings: CodecSettings;
  readonly log: StoreLog;
  /** A call is there or has changed. */
  readonly onCall: (state: CallState, database: number) => void;
  /**
   * A call is there no longer. `deleted`: its owner deleted it; else the key may just have expired, or
   * the notification was missed.
   */
  readonly onGone: (callId: string, database: number, deleted: boolean) => void;
  /** Calls that were taken from the database and are still foreign. */
  readonly held: (database: number) => Iterable<string>;
}

/** Values read by one command. */
const batchSize = 100;
const compareIntervalMs = 60_000;
/** Without notifications, comparing is all there is. */
const pollIntervalMs = 1_000;
const maxRetryMs = 1_000;

const keyOf = (callId: string): Buffer => Buffer.from(callId, 'latin1');

/** One database: reads what changed, one thing after the other, so that the newest value counts. */
class FollowedDatabase {
  readonly #options: KeyspaceFollowerOptions;
  readonly #connection: RedisConnection;
  /** Call-id -> whether its owner deleted it. */
  readonly #changed = new Map<string, boolean>();
  #compareWanted = true;
  #working: Promise<void> | null = null;
  #closed = false;
  readonly #reported = new Set<string>();
  readonly #fence: Fence;

  constructor(
    readonly database: number,
    options: KeyspaceFollowerOptions,
  ) {
    this.#options = options;
    const { connectTimeoutMs, commandTimeoutMs, allowedErrors, disableTimeSeconds, log } = options;
    this.#connection = new RedisConnection({
      server: { ...options.server, database },
      connectTimeoutMs,
      commandTimeoutMs,
      allowedErrors,
      disableTimeSeconds,
      mustBeMaster: false,
      log,
      onReady: () => void this.compare(),
      onLost: () => undefined,
    });
    this.#fence = new Fence((command, ...args) => this.#connection.send(command, ...args), log);
  }

  /** Never rejects: a server that is away is followed when it appears. */
  async open(): Promise<void> {
    try {
      await this.#connection.open();
    } catch {
      // Said by the connection.
      this.#connection.keepTrying();
    }
  }

  close(): void {
    this.#closed = true;
    this.#connection.close();
  }

  /** A key changed. */
  touch(callId: string, deleted: boolean): void {
    this.#changed.set(callId, deleted);
    void this.#work();
  }

  /** Reads the whole database anew. Resolves when that is over, or was interrupted. */
  async compare(): Promise<void> {
    this.#compareWanted = true;
    await this.#work();
  }

  /**
   * Takes a call that this node has taken over out of its former owner's database. Resolves to its
   * holder if another node has taken it over as well, and was first.
   */
  remove(callId: string, mine: Holder): Promise<Holder | null> {
    return this.#fence.release(keyOf(callId), mine);
  }

  get #hasWork(): boolean {
    return !this.#closed && (this.#compareWanted || this.#changed.size > 0);
  }

  async #work(): Promise<void> {
    while (this.#hasWork && this.#connection.ready) {
      this.#working ??= this.#workOff().finally(() => {
        this.#working = null;
      });
      if (!(await this.#working.then(() => true, () => false))) return;
    }
  }

  /** @throws when it was interrupted; what was under way is read again when there is a connection. */
  async #workOff(): Promise<void> {
    try {
      while (this.#hasWork) {
        if (this.#compareWanted) await this.#compareAll();
        else await this.#readChanged();
      }
    } catch (error) {
      // What was under way is read again with everything else as soon as there is a connection.
      this.#compareWanted = true;
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.log.warning(`Following keyspace ${this.database} was interrupted: ${reason}`);
      throw error;
    }
  }

  async #compareAll(): Promise<void> {
    this.#compareWanted = false;
    // What changes from now on is read afterwards, whatever the comparison saw of it.
    this.#changed.clear();
    const { settings, onCall, onGone, held } = this.#options;
    const send = (command: string, ...args: readonly (string | Buffer | number)[]) =>
      this.#connection.send(command, ...args);
    const found = await findCalls(send, settings);
    const present = new Set<string>();
    for (const { callId, reason } of found.failures) {
      present.add(callId);
      this.#report(callId, reason);
    }
    for (const state of found.calls) {
      present.add(state.callId);
      if (!this.#changed.has(state.callId)) onCall(state, this.database);
    }
    for (const callId of [...held(this.database)]) {
      if (!present.has(callId)) onGone(callId, this.database, false);
    }
  }

  async #readChanged(): Promise<void> {
    const batch = [...this.#changed].slice(0, batchSize);
    for (const [callId] of batch) this.#changed.delete(callId);
    const values = await this.#connection.send('MGET', ...batch.map(([callId]) => keyOf(callId)));
    for (const [at, [callId, deleted]] of batch.entries()) {
      const value: unknown = Array.isArray(values) ? values[at] : null;
      if (Buffer.isBuffer(value)) this.#read(callId, value);
      else this.#options.onGone(callId, this.database, deleted);
    }
  }

  #read(callId: string, value: Buffer): void {
    if (!looksLikeCall(value)) return;
    try {
      this.#options.onCall(decodeCall(callId, value, this.#options.settings).state, this.database);
    } catch (error) {
      if (!(error instanceof RestoreError)) throw error;
      this.#report(callId, error.reason);
    }
  }

  /** Once a call: the value stays as it is, and is met again by every comparison. */
  #report(callId: string, reason: string): void {
    if (this.#reported.has(callId)) return;
    this.#reported.add(callId);
    const where = `keyspace ${this.database}`;
    this.#options.log.error(`Failed to follow call ID '${callId}' of ${where}: ${reason}`);
  }
}

/** Follows any number of databases of one server. Owns its connections until `close`. */
export class KeyspaceFollower {
  readonly #options: KeyspaceFollowerOptions;
  readonly #databases = new Map<number, FollowedDatabase>();
  #subscriber: Redis | null = null;
  #timer: NodeJS.Timeout | null = null;
  #saidUnnotified = false;
  #closed = false;

  constructor(options: KeyspaceFollowerOptions) {
    this.#options = options;
  }

  get databases(): readonly number[] {
    return [...this.#databases.keys()];
  }

  /** Never rejects. Resolves when the first attempt to connect is over. */
  async start(databases: readonly number[]): Promise<void> {
    const Redis = await loadRedisClient();
    const { server, connectTimeoutMs } = this.#options;
    const subscriber = new Redis({
      host: server.host,
      port: server.port,
      ...(server.password === null ? {} : { password: server.password }),
      ...(server.username === undefined ? {} : { username: server.username }),
      connectTimeout: connectTimeoutMs,
      lazyConnect: true,
      enableReadyCheck: false,
      autoResubscribe: true,
      maxRetriesPerRequest: null,
      retryStrategy: (attempt) => Math.min(maxRetryMs, 50 * attempt),
    });
    this.#subscriber = subscriber;
    // The connections that read say what is wrong with the server.
    subscriber.on('error', () => undefined);
    subscriber.on('pmessageBuffer', (_pattern: Buffer, channel: Buffer, message: Buffer) =>
      this.#notified(channel.toString('latin1'), message.toString('latin1')),
    );
    // Whatever happened while there was no subscription is found by comparing.
    subscriber.on('ready', () => this.#subscribed());
    this.#compareEvery(compareIntervalMs);
    await Promise.all(databases.map((database) => this.add(database)));
    subscriber.connect().catch(() => undefined);
  }

  /** Follows one more database; false when it is followed already. */
  async add(database: number): Promise<boolean> {
    if (this.#databases.has(database) || this.#closed) return false;
    const followed = new FollowedDatabase(database, this.#options);
    this.#databases.set(database, followed);
    this.#subscriber?.psubscribe(`__keyspace@${database}__:*`).catch(() => undefined);
    await followed.open();
    await followed.compare();
    return true;
  }

  /** Follows a database no longer; what was taken from it is the caller's to drop. */
  remove(database: number): boolean {
    const followed = this.#databases.get(database);
    if (followed === undefined) return false;
    this.#databases.delete(database);
    followed.close();
    this.#subscriber?.punsubscribe(`__keyspace@${database}__:*`).catch(() => undefined);
    return true;
  }

  /**
   * The call is this node's now: its former owner must neither restore nor write it. Resolves to
   * another holder that was first, or null. @throws when the server cannot be reached.
   */
  async release(callId: string, database: number, mine: Holder): Promise<Holder | null> {
    return (await this.#databases.get(database)?.remove(callId, mine)) ?? null;
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#subscriber?.disconnect();
    for (const followed of this.#databases.values()) followed.close();
    this.#databases.clear();
  }

  #compareEvery(milliseconds: number): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#compareAll(), milliseconds);
    this.#timer.unref();
  }

  #compareAll(): void {
    for (const followed of this.#databases.values()) void followed.compare();
  }

  #subscribed(): void {
    for (const database of this.#databases.keys()) {
      this.#subscriber?.psubscribe(`__keyspace@${database}__:*`).catch(() => undefined);
    }
    this.#compareAll();
    void this.#checkNotifications();
  }

  /** `K` with `g` (del) and `$` (set), or `A`, which stands for all. */
  async #checkNotifications(): Promise<void> {
    const [followed] = this.#databases.values();
    if (followed === undefined) return;
    const { server, log } = this.#options;
    const flags = await this.#notificationFlags();
    if (flags === null) return;
    const complete = flags.includes('K') && (flags.includes('A') || /g.*\$|\$.*g/.test(flags));
    this.#compareEvery(complete ? compareIntervalMs : pollIntervalMs);
    if (complete || this.#saidUnnotified) return;
    this.#saidUnnotified = true;
    log.warning(
      `Redis ${serverName(server)} does not notify of changes (notify-keyspace-events is '${flags}', ` +
        `'KA' is needed): calls are compared every second instead`,
    );
  }

  async #notificationFlags(): Promise<string | null> {
    const { server, connectTimeoutMs } = this.#options;
    const Redis = await loadRedisClient();
    const asking = new Redis({
      host: server.host,
      port: server.port,
      ...(server.password === null ? {} : { password: server.password }),
      ...(server.username === undefined ? {} : { username: server.username }),
      connectTimeout: connectTimeoutMs,
      lazyConnect: true,
      retryStrategy: () => null,
      maxRetriesPerRequest: 0,
    });
    asking.on('error', () => undefined);
    try {
      await asking.connect();
      const reply = await asking.config('GET', 'notify-keyspace-events');
      return Array.isArray(reply) && typeof reply[1] === 'string' ? reply[1] : null;
    } catch {
      // Not every user may ask, and a server that is gone is met again when it is back.
      return null;
    } finally {
      asking.disconnect();
    }
  }

  #notified(channel: string, event: string): void {
    const match = /^__keyspace@(\d+)__:/.exec(channel);
    if (match === null) return;
    const followed = this.#databases.get(Number(match[1]));
    if (followed === undefined) return;
    // `expire` comes with every set.
    if (event === 'set' || event === 'del' || event === 'expired') {
      followed.touch(channel.slice(match[0].length), event === 'del');
    }
  }
}
