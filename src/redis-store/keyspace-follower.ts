/**
 * Follows the calls that other nodes keep in their Redis databases (redis-layout.md §4). Notifications
 * only say that a key changed: its value is then read. Since notifications can be missed, the whole
 * database is compared at the start, after every interruption, and once in a while. A replica raises
 * none for what a full synchronisation brings: its state is looked at, and compared when it changes.
 */
import type { CallState } from '../media/call-state.js';
import { inSlices } from '../media/slices.js';
import { keyOf } from './codec.js';
import { RedisConnection } from './connection.js';
import type { ConnectionOptions } from './connection-options.js';
import { decodeCall, type Owner } from './decode.js';
import { RestoreError, StoreError } from './errors.js';
import { ExpiryWatch } from './expiry-watch.js';
import { Fence, type Holder } from './fence.js';
import { silentLog, type StoreLog } from './log.js';
import { mayHaveChangedUnheard, type ReplicationState } from './replication-state.js';
import { readCalls, type Reading } from './restore.js';
import type { SendCommand } from './send-command.js';
import type { CodecSettings } from './schema.js';
import { serverName, type RedisServer } from './server-address.js';
import { SeenValues } from './seen-values.js';
import { looksLikeCall } from './stored-value.js';

export interface KeyspaceFollowerOptions {
  /** `database` is not used. */
  readonly server: RedisServer;
  /** Where this node writes. If `server` is a replica of it, what is taken over is removed here. */
  readonly write: RedisServer;
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
  readonly allowedErrors: number;
  readonly disableTimeSeconds: number;
  /** As that of a connection. */
  readonly keepAlive?: ConnectionOptions['keepAlive'];
  readonly settings: CodecSettings;
  readonly log: StoreLog;
  /** A call is there or has changed; it is foreign. */
  readonly onCall: (state: CallState, database: number) => void;
  /**
   * A call is there no longer. `deleted`: its owner deleted it; else the key may just have expired, or
   * the notification was missed.
   */
  readonly onGone: (callId: string, database: number, deleted: boolean) => void;
  /** Calls that were taken from the database and are still foreign. */
  readonly held: (database: number) => Iterable<string>;
}

/** How far behind a followed database what is known of it is. */
export interface FollowedState {
  readonly database: number;
  /** Changes that are known of and not taken over yet. */
  readonly waiting: number;
  /** Since when there is something to take over: ms of age; 0: nothing is. */
  readonly behindMs: number;
  /** How long the last change took from its notification until it was taken over. */
  readonly lastMs: number;
}

/** Values read by one command. */
const batchSize = 100;
const compareIntervalMs = 60_000;
/** Calls whose values cannot be read that are remembered; then all are told again. */
const maxReported = 10_000;
/** Without notifications, comparing is all there is. */
const pollIntervalMs = 1_000;
/** Until a server that did not let us read is asked again. */
const retryMs = 500;
/** A replica that has just changed may not have finished. */
const settleMs = 2_000;

/** One database: reads what changed, one thing after the other, so that the newest value counts. */
class FollowedDatabase {
  readonly #options: KeyspaceFollowerOptions;
  readonly #connection: RedisConnection;
  /** Call-id -> whether its owner deleted it. */
  readonly #changed = new Map<string, boolean>();
  #compareWanted = true;
  #working: Promise<void> | null = null;
  #closed = false;
  #retryTimer: NodeJS.Timeout | null = null;
  #settleTimer: NodeJS.Timeout | null = null;
  #saidInterrupted = '';
  /** When the oldest of what is not taken over yet became known; null: everything is. */
  #behindSince: number | null = performance.now();
  #lastMs = 0;
  readonly #reported = new Set<string>();
  readonly #fence: Fence;
  readonly #expiry: ExpiryWatch;
  readonly #values = new SeenValues();
  readonly #owner: Owner;
  /** To the master of the replica that is followed; made when it is needed. */
  #master: { readonly connection: RedisConnection; readonly fence: Fence } | null = null;

  constructor(
    readonly database: number,
    options: KeyspaceFollowerOptions,
    /** There is a connection (again), to the server of that name. */
    onConnected: (serverName: string) => void,
  ) {
    this.#options = options;
    this.#owner = { ownership: 'foreign', database };
    const { allowedErrors, disableTimeSeconds, log } = options;
    this.#connection = new RedisConnection({
      ...this.#connectionTo(options.server, log),
      ...{ allowedErrors, disableTimeSeconds },
      onReady: () => {
        void this.compare();
        onConnected(this.#connection.where);
      },
      onState: (now, before) => this.#observe(now, before),
    });
    this.#fence = new Fence(this.#send, log);
    this.#expiry = new ExpiryWatch(this.#send);
  }

  #connectionTo(server: RedisServer, log: StoreLog): ConnectionOptions {
    const { connectTimeoutMs, commandTimeoutMs, keepAlive } = this.#options;
    return {
      ...{ server: { ...server, database: this.database }, log, keepAlive },
      ...{ connectTimeoutMs, commandTimeoutMs, allowedErrors: -1, disableTimeSeconds: 0 },
      ...{ onReady: () => undefined, onLost: () => undefined },
    };
  }

  readonly #send: SendCommand = (command, ...args) => this.#connection.send(command, ...args);

  /** A replica raises no notifications for what a full synchronisation brings. */
  #observe(now: ReplicationState, before: ReplicationState): void {
    if (!mayHaveChangedUnheard(before, now)) return;
    void this.compare();
    if (this.#settleTimer !== null) clearTimeout(this.#settleTimer);
    this.#settleTimer = setTimeout(() => void this.compare(), settleMs);
    this.#settleTimer.unref();
  }

  get #followsReplica(): boolean {
    return this.#connection.state?.isMaster === false;
  }

  /** Never rejects: a server that is away is followed when it appears. */
  async open(): Promise<void> {
    try {
      await this.#connection.open(1);
    } catch {
      // Said by the connection.
      this.#connection.keepTrying();
    }
  }

  close(): void {
    this.#closed = true;
    for (const timer of [this.#retryTimer, this.#settleTimer]) {
      if (timer !== null) clearTimeout(timer);
    }
    this.#connection.close();
    this.#master?.connection.close();
  }

  get state(): FollowedState {
    const behindMs = this.#behindSince === null ? 0 : performance.now() - this.#behindSince;
    const { database } = this;
    return { database, waiting: this.#changed.size, behindMs, lastMs: this.#lastMs };
  }

  /** A key changed; `deleted`: that is what the notification says. */
  touch(callId: string, deleted: boolean): void {
    // On a replica a key that expires is deleted by its master, as one that somebody deletes.
    const byOwner = deleted && !(this.#followsReplica && this.#expiry.mayHaveExpired(callId));
    this.#changed.set(callId, byOwner);
    this.#behindSince ??= performance.now();
    void this.#work();
  }

  /** Reads the whole database anew. Resolves when that is over, or was interrupted. */
  async compare(): Promise<void> {
    this.#compareWanted = true;
    this.#behindSince ??= performance.now();
    await this.#work();
  }

  /** The server's setting; null when it is gone or its user may not ask. */
  async notificationFlags(): Promise<string | null> {
    try {
      const reply = await this.#connection.send('CONFIG', 'GET', 'notify-keyspace-events');
      return Array.isArray(reply) && reply.length > 1 ? String(reply[1]) : null;
    } catch {
      return null;
    }
  }

  /**
   * Takes a call that this node has taken over out of its former owner's database. Resolves to its
   * holder if another node has taken it over as well, and was first.
   */
  async remove(callId: string, mine: Holder): Promise<Holder | null> {
    if (!this.#connection.writable) await this.#connection.refresh();
    const fence = this.#connection.writable ? this.#fence : await this.#fenceOfMaster();
    return fence.release(keyOf(callId), mine);
  }

  /** @throws StoreError unless the server that this node writes to is the master of the followed one. */
  async #fenceOfMaster(): Promise<Fence> {
    const { server, write } = this.#options;
    if (this.#master === null) {
      const connection = new RedisConnection(this.#connectionTo(write, silentLog));
      const send: SendCommand = (command, ...args) => connection.send(command, ...args);
      this.#master = { connection, fence: new Fence(send, this.#options.log) };
      await connection.open(1).catch(() => connection.keepTrying());
    }
    const { connection, fence } = this.#master;
    const history = this.#connection.state?.replicationId ?? '';
    if (connection.writable && history !== '' && connection.state?.replicationId === history)
      return fence;
    throw new StoreError('not-master', `Redis ${serverName(server)} is a replica`);
  }

  get #hasWork(): boolean {
    return !this.#closed && (this.#compareWanted || this.#changed.size > 0);
  }

  async #work(): Promise<void> {
    while (this.#hasWork && this.#connection.ready) {
      this.#working ??= this.#workOff().finally(() => {
        this.#working = null;
      });
      if (
        !(await this.#working.then(
          () => true,
          () => false,
        ))
      )
        return;
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
      this.#behindSince ??= performance.now();
      if (!this.#closed) this.#interrupted(error instanceof Error ? error.message : String(error));
      throw error;
    }
    this.#saidInterrupted = '';
    if (this.#behindSince !== null) this.#lastMs = performance.now() - this.#behindSince;
    this.#behindSince = null;
  }

  /** The server may be there and only not let us read: it loads what its master sent, for example. */
  #interrupted(reason: string): void {
    if (this.#saidInterrupted !== reason) {
      this.#options.log.warning(`Following keyspace ${this.database} was interrupted: ${reason}`);
    }
    this.#saidInterrupted = reason;
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = null;
      void this.#work();
    }, retryMs);
    this.#retryTimer.unref();
  }

  async #compareAll(): Promise<void> {
    this.#compareWanted = false;
    // What changes from now on is read afterwards, whatever the comparison saw of it.
    this.#changed.clear();
    const { settings, onCall, onGone, held } = this.#options;
    const present = new Set<string>();
    const here = new Set(held(this.database));
    const reading: Reading = {
      owner: this.#owner,
      // One that is not held is told of again, whatever kept it from being held.
      isKnown: (callId, value) => this.#values.isSame(callId, value) && here.has(callId),
    };
    for await (const batch of readCalls(this.#send, settings, reading)) {
      const callIds = [...batch.known, ...batch.calls.map(({ callId }) => callId)];
      if (this.#followsReplica) await this.#expiry.learn(callIds);
      for (const callId of batch.known) present.add(callId);
      for (const { callId, reason } of batch.failures) {
        present.add(callId);
        this.#report(callId, reason);
      }
      await inSlices(batch.calls, (state) => {
        present.add(state.callId);
        if (!this.#changed.has(state.callId)) onCall(state, this.database);
      });
    }
    this.#expiry.keep(present);
    this.#values.keep(present);
    await inSlices(held(this.database), (callId) => {
      // What came meanwhile has been read since.
      if (here.has(callId) && !present.has(callId)) onGone(callId, this.database, false);
    });
  }

  async #readChanged(): Promise<void> {
    const batch = [...this.#changed].slice(0, batchSize);
    for (const [callId] of batch) this.#changed.delete(callId);
    const reading = this.#send('MGET', ...batch.map(([callId]) => keyOf(callId)));
    const learning = this.#followsReplica
      ? this.#expiry.learn(batch.map(([callId]) => callId))
      : Promise.resolve();
    const [values] = await Promise.all([reading, learning]);
    for (const [at, [callId, deleted]] of batch.entries()) {
      const value: unknown = Array.isArray(values) ? values[at] : null;
      if (Buffer.isBuffer(value)) this.#read(callId, value);
      else {
        this.#values.forget(callId);
        this.#options.onGone(callId, this.database, deleted);
      }
    }
  }

  #read(callId: string, value: Buffer): void {
    if (!looksLikeCall(value)) return;
    // Told of all the same: it may have been written anew on purpose.
    this.#values.isSame(callId, value);
    try {
      const { settings, onCall } = this.#options;
      onCall(decodeCall(callId, value, settings, this.#owner).state, this.database);
    } catch (error) {
      if (!(error instanceof RestoreError)) throw error;
      this.#report(callId, error.reason);
    }
  }

  /** Once a call: the value stays as it is, and is met again by every comparison. */
  #report(callId: string, reason: string): void {
    if (this.#reported.has(callId)) return;
    if (this.#reported.size >= maxReported) this.#reported.clear();
    this.#reported.add(callId);
    const where = `keyspace ${this.database}`;
    this.#options.log.error(`Failed to follow call ID '${callId}' of ${where}: ${reason}`);
  }
}

/** Follows any number of databases of one server. Owns its connections until `close`. */
export class KeyspaceFollower {
  readonly #options: KeyspaceFollowerOptions;
  readonly #databases = new Map<number, FollowedDatabase>();
  #subscriber: RedisConnection | null = null;
  #timer: NodeJS.Timeout | null = null;
  #saidUnnotified = false;
  /** The server does not let us subscribe. */
  #denied = false;
  #closed = false;

  constructor(options: KeyspaceFollowerOptions) {
    this.#options = options;
  }

  get databases(): readonly number[] {
    return [...this.#databases.keys()];
  }

  get states(): readonly FollowedState[] {
    return [...this.#databases.values()].map(({ state }) => state);
  }

  /** Never rejects. Resolves when the first attempt to connect is over. */
  async start(databases: readonly number[]): Promise<void> {
    const { server, connectTimeoutMs, commandTimeoutMs, keepAlive } = this.#options;
    const subscriber = new RedisConnection({
      server,
      keepAlive,
      connectTimeoutMs,
      commandTimeoutMs,
      allowedErrors: -1,
      disableTimeSeconds: 0,
      log: silentLog,
      // Whatever happened while there was no subscription is found by comparing.
      onReady: () => {
        this.#options.log.info(`Use Redis ${subscriber.where} to subscribe to notifications`);
        this.#subscribed();
      },
      onLost: () => undefined,
      onMessage: (channel, message) => this.#notified(channel, message),
    });
    this.#subscriber = subscriber;
    this.#compareEvery(compareIntervalMs);
    await Promise.all(databases.map((database) => this.add(database)));
    // Not waited for: when it is there, everything is compared.
    void subscriber.open(1).catch(() => subscriber.keepTrying());
  }

  /** Follows one more database; false when it is followed already. */
  async add(database: number): Promise<boolean> {
    if (this.#databases.has(database) || this.#closed) return false;
    const followed = new FollowedDatabase(database, this.#options, (where) => {
      // Notifications have to come from the server that is read.
      if (this.#subscriber?.ready === true && this.#subscriber.where !== where)
        this.#subscriber.renew();
      void this.#checkNotifications(followed);
    });
    this.#databases.set(database, followed);
    this.#subscribe(database, true);
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
    this.#subscribe(database, false);
    return true;
  }

  /** Without a connection: done when there is one. */
  #subscribe(database: number, wanted: boolean): void {
    this.#subscriber?.subscribe(`__keyspace@${database}__:*`, wanted).catch((error: unknown) => {
      if (!(error instanceof Error) || error.name !== 'ReplyError') return;
      const { server, log } = this.#options;
      this.#compareEvery(pollIntervalMs);
      if (this.#denied) return;
      this.#denied = true;
      log.warning(
        `Redis ${serverName(server)} refuses the subscription (${error.message}): ` +
          'calls are compared every second instead',
      );
    });
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
    this.#subscriber?.close();
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
      this.#subscribe(database, true);
    }
    this.#compareAll();
  }

  /** `K` with `g` (del) and `$` (set), or `A`, which stands for all. */
  async #checkNotifications(followed: FollowedDatabase): Promise<void> {
    const { server, log } = this.#options;
    const flags = await followed.notificationFlags();
    if (flags === null) return;
    const complete = flags.includes('K') && (flags.includes('A') || /g.*\$|\$.*g/.test(flags));
    this.#compareEvery(complete && !this.#denied ? compareIntervalMs : pollIntervalMs);
    if (complete || this.#saidUnnotified) return;
    this.#saidUnnotified = true;
    log.warning(
      `Redis ${serverName(server)} does not notify of changes (notify-keyspace-events is '${flags}', ` +
        `'KA' is needed): calls are compared every second instead`,
    );
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
