/**
 * One connection to a Redis server that is made again whenever it breaks. ioredis speaks the protocol;
 * when to connect, what counts as usable and what is said about it is decided here.
 *
 * A replica is as good as a master for reading, so it is used, and watched until it becomes one; of
 * several servers, one that is a master comes first, and is looked for as long as there is none.
 *
 * Commands are never queued while there is no connection, and never sent twice.
 */
import type { Redis } from 'ioredis';
import { dial, within } from './dial.js';
import type { ConnectionOptions, ConnectionSettings } from './connection-options.js';
import { connectionError, type ConnectionFailure } from './connection-error.js';
import { greet, requireMaster } from './greeting.js';
import { isNotReady, isReadOnly, reasonOf, StoreError } from './errors.js';
import { hasLarge, sendLarge, type Argument } from './large-command.js';
import { Predecessors } from './predecessors.js';
import { notAsked, PromptAnswers } from './prompt-answers.js';
import { replicationState, type ReplicationState } from './replication-state.js';
import {
  addressesOf,
  isSingle,
  ListedLocations,
  locationName,
  sameLocation,
  serverName,
  type DialAddress,
  type Locator,
  type RedisServer,
  type ServerLocation,
} from './server-address.js';

/** Whether a connection to `location`, made for `before`, is one that `now` would make. */
function isServedBy(location: ServerLocation, before: RedisServer, now: RedisServer): boolean {
  // The sentinels that were named before watch over it.
  if (before.sentinel !== undefined || now.sentinel !== undefined) return false;
  return now.locations.some((each) => sameLocation(each, location));
}

const stallMs = 5000;
const firstRetryMs = 50;
const maxRetryMs = 1000;
/** How often a server that does not serve yet is asked at start, once per second. */
const readyAttempts = 10;
/** How often a connection is looked after. */
const watchIntervalMs = 1000;
/** The same while the server is no master: somebody waits for it to become one. */
const replicaWatchIntervalMs = 250;

/** -1: it has none. */
const descriptorOf = (stream: Redis['stream']): number =>
  (stream as { readonly _handle?: { readonly fd?: number } | null })._handle?.fd ?? -1;

const isTimeout = (error: unknown): boolean =>
  error instanceof Error && error.message === 'Command timed out';

export class RedisConnection {
  #options: ConnectionOptions;
  #name: string;
  /** Which server is used depends on which one is master. */
  #several: boolean;
  #locator: Locator | null = null;
  #redis: Redis | null = null;
  /** Where `#redis` is or was last. */
  #location: ServerLocation | null = null;
  /** What the server said last of its part in replication. */
  #state: ReplicationState | null = null;
  readonly #predecessors = new Predecessors();
  /** When a master was looked for last (monotonic, ms). */
  #soughtAt = 0;
  #retryTimer: NodeJS.Timeout | null = null;
  #retryMs = firstRetryMs;
  #errors = 0;
  #closed = false;
  /** An operator wants no connection. */
  #off = false;
  /** After too many errors: when the server is tried again (monotonic, ms). */
  #disabledUntil = 0;
  readonly #prompt: PromptAnswers | null;
  /** The socket that commands wait in. */
  #gathering: Redis['stream'] | null = null;
  /** What has been said about the present outage, so that it is said once. */
  #said = new Set<string>();

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#prompt = options.exchange === undefined ? null : new PromptAnswers(options.exchange);
    this.#name = serverName(options.server);
    this.#several = !isSingle(options.server);
  }

  get ready(): boolean {
    return this.#redis !== null;
  }

  /** null without a connection. */
  get state(): ReplicationState | null {
    return this.#redis === null ? null : this.#state;
  }

  /** Whether the server takes writes, as far as is known. */
  get writable(): boolean {
    return this.state?.acceptsWrites === true;
  }

  /** Name of the server that is or was last connected to; all of them before that. */
  get where(): string {
    return this.#location === null ? this.#name : locationName(this.#location);
  }

  /**
   * The first connection. A server that is there and does not serve yet is asked again every second for
   * a while. From then on the connection is made again by itself.
   * @param attempts how often it is asked altogether.
   * @throws StoreError
   */
  async open(attempts = readyAttempts): Promise<void> {
    const { log, commandTimeoutMs } = this.#options;
    if (commandTimeoutMs > 0) {
      log.info(`Setting timeout for Redis commands to ${commandTimeoutMs} milliseconds`);
    }
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#connect();
        return;
      } catch (error) {
        const awaited = error instanceof StoreError && error.code === 'not-ready';
        if (awaited && attempt < attempts && !this.#closed) {
          this.#sayOnce('awaited', () =>
            log.warning(`Redis ${this.#name} does not serve yet (${reasonOf(error)}): asked again`),
          );
          await new Promise((resolve) => setTimeout(resolve, maxRetryMs));
          continue;
        }
        log.error(`Failed to connect to Redis ${this.#name}, error: ${reasonOf(error)}`);
        if (error instanceof StoreError) throw error;
        throw new StoreError(
          'unreachable',
          `Failed to connect to Redis ${this.#name}, error: ${reasonOf(error)}`,
          { cause: error },
        );
      }
    }
  }

  /** Goes on trying after `open` failed. */
  keepTrying(): void {
    this.#said.add('failed');
    this.#retryLater();
  }

  /** @throws whatever the server answers, and when there is no connection or no answer in time. */
  async send(command: string, ...args: readonly Argument[]): Promise<unknown> {
    const redis = this.#redis;
    if (redis === null) throw new StoreError('unreachable', `no connection to Redis ${this.#name}`);
    try {
      this.#gather(redis);
      return await (hasLarge(args)
        ? sendLarge(redis, command, args)
        : redis.callBuffer(command, ...args));
    } catch (error) {
      this.#failed(redis, error);
      throw error;
    }
  }

  /**
   * As `send`, of a command that is answered by one line. While nobody else waits (`mayWait`) the reply of a server that is near is
   * returned at once.
   */
  ask(command: string, ...args: readonly Argument[]): unknown {
    const redis = this.#redis;
    const prompt = this.#prompt;
    if (redis === null || prompt === null || this.#gathering !== null) {
      return this.send(command, ...args);
    }
    if (this.#options.mayWait?.() !== true) return this.send(command, ...args);
    const reply = prompt.ask(redis, command, args);
    if (reply === notAsked) return this.send(command, ...args);
    if (!(reply instanceof Promise)) return reply;
    return reply.catch((error: unknown) => {
      this.#failed(redis, error);
      throw error;
    });
  }

  /** A server that does not answer is given up; so is one of several that has become a replica. */
  #failed(redis: Redis, error: unknown): void {
    if (this.#redis !== redis) return;
    const readOnly = isReadOnly(error);
    if (isTimeout(error) || (readOnly && this.#several && this.#state?.isMaster === true)) {
      this.#locator?.avoid();
      this.#drop(redis);
    } else if (readOnly && this.#state?.acceptsWrites === true) {
      this.#learn({ ...this.#state, role: 'slave', isMaster: false, acceptsWrites: false });
    }
  }

  /** Asks the server for its state. @throws as `send` does. */
  async refresh(): Promise<void> {
    this.#learn(replicationState(String(await this.send('INFO', 'replication'))));
  }

  #learn(now: ReplicationState): void {
    const before = this.#state;
    this.#state = now;
    if (before !== null) this.#options.onState?.(now, before);
  }

  /** All commands of one turn of the event loop leave in one system call. */
  #gather(redis: Redis): void {
    const { stream } = redis;
    if (this.#gathering === stream) return;
    this.#gathering = stream;
    stream.cork();
    setImmediate(() => {
      if (this.#gathering === stream) this.#gathering = null;
      stream.uncork();
    });
  }

  /** Subscribes to a pattern of channels, or ends that. @throws as `send` does. */
  async subscribe(pattern: string, wanted = true): Promise<void> {
    const redis = this.#redis;
    if (redis === null) throw new StoreError('unreachable', `no connection to Redis ${this.#name}`);
    await (wanted ? redis.psubscribe(pattern) : redis.punsubscribe(pattern));
  }

  /**
   * Goes on with other settings. The connection stays while its server is still one of those named;
   * what it was made with (credentials, certificates) counts for the next one.
   */
  reconfigure(change: Partial<ConnectionSettings>): void {
    const before = this.#options.server;
    const { server = before } = change;
    const same = JSON.stringify(before) === JSON.stringify(server);
    this.#options = { ...this.#options, ...change, server: same ? before : server };
    const { commandTimeoutMs } = this.#options;
    if (this.#redis !== null) {
      this.#redis.options.commandTimeout = commandTimeoutMs > 0 ? commandTimeoutMs : stallMs;
    }
    if (same) return;
    this.#name = serverName(server);
    this.#several = !isSingle(server);
    this.#locator?.close();
    this.#locator = null;
    const redis = this.#redis;
    const location = this.#location;
    if (redis === null) this.#retrySoon();
    else if (location === null || !isServedBy(location, before, server)) this.#drop(redis);
  }

  /** The server that is waited for may be another one now. */
  #retrySoon(): void {
    this.#disabledUntil = 0;
    this.#retryMs = firstRetryMs;
    this.#said = new Set();
    if (this.#retryTimer === null) return;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
    this.#retryLater();
  }

  /** Gives the connection up and makes a new one. */
  renew(): void {
    if (this.#redis !== null) this.#drop(this.#redis);
  }

  /** Without a connection until `switchOn`. */
  switchOff(): void {
    this.#off = true;
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
    const redis = this.#redis;
    if (redis === null) return;
    this.#redis = null;
    redis.disconnect();
    this.#options.onLost();
  }

  switchOn(): void {
    this.#off = false;
    this.#errors = 0;
    this.#retryMs = firstRetryMs;
    this.#said = new Set();
    if (this.#redis === null) this.#retryLater();
  }

  /** There was something to write: says once per second how long the server is left alone after too many errors. */
  sayDisabled(): void {
    const seconds = Math.ceil((this.#disabledUntil - performance.now()) / 1000);
    if (this.#redis !== null || this.#off || seconds <= 0) return;
    this.#sayOnce(`disabled ${seconds}`, () =>
      this.#options.log.warning(
        `Redis server ${this.#name} is disabled. Don't try RE-Establishing for ${seconds} more seconds`,
      ),
    );
  }

  close(): void {
    this.#closed = true;
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.#locator?.close();
    const redis = this.#redis;
    this.#redis = null;
    redis?.disconnect();
  }

  /** Where the server may be. What Sentinel needs is loaded by those who have one. */
  async #locate(): Promise<Locator> {
    if (this.#locator !== null) return this.#locator;
    const { server, connectTimeoutMs } = this.#options;
    if (server.sentinel === undefined) {
      this.#locator = new ListedLocations(server.locations);
    } else {
      const { SentinelLocations } = await import('./sentinel.js');
      this.#locator = new SentinelLocations(server, server.sentinel, connectTimeoutMs);
    }
    return this.#locator;
  }

  /** Tries every place until one is usable. @throws the only reason, or one that names all. */
  async #connect(): Promise<void> {
    const locator = await this.#locate();
    const failures: ConnectionFailure[] = [];
    const replicas: ServerLocation[] = [];
    try {
      for await (const location of locator.candidates()) {
        if (await this.#connectTo(location, failures, replicas)) {
          locator.used(location);
          return;
        }
      }
    } catch (error) {
      failures.push({ name: '', error });
    }
    // The same one for all connections that have the same list.
    replicas.sort((a, b) => (locationName(a) < locationName(b) ? -1 : 1));
    for (const location of replicas) {
      if (await this.#connectTo(location, failures)) return;
    }
    if (this.#closed) throw new StoreError('closed', 'the store was closed');
    throw connectionError(failures, this.#options.server);
  }

  /** Changes over to a master when there is one. */
  async #seek(redis: Redis, present: ServerLocation): Promise<void> {
    const locator = await this.#locate();
    try {
      for await (const location of locator.candidates()) {
        if (this.#redis !== redis) return;
        if (sameLocation(location, present)) continue;
        if (await this.#connectTo(location, [], [], redis)) {
          locator.used(location);
          this.#options.log.notice(`Using Redis ${this.where}, the master, from now on`);
          return;
        }
      }
    } catch {
      // The sentinels do not know a master yet.
    }
  }

  /**
   * Tries all addresses of a place.
   * @param replicas of several servers: where a replica is found it is noted here and not used.
   * @param inPlaceOf the connection that is given up for it, if it is still the present one.
   */
  async #connectTo(
    location: ServerLocation,
    failures: ConnectionFailure[],
    replicas?: ServerLocation[],
    inPlaceOf: Redis | null = null,
  ): Promise<boolean> {
    const name = locationName(location);
    let addresses: readonly DialAddress[] = [];
    try {
      addresses = await within(addressesOf(location), this.#options.connectTimeoutMs);
    } catch (error) {
      failures.push({ name, error });
    }
    for (const address of addresses) {
      if (this.#closed) return false;
      try {
        await this.#use(address, location, this.#several && replicas !== undefined, inPlaceOf);
        return true;
      } catch (error) {
        if (error instanceof StoreError && error.code === 'not-master') replicas?.push(location);
        else failures.push({ name, error });
      }
    }
    return false;
  }

  async #use(
    address: DialAddress,
    location: ServerLocation,
    onlyMaster: boolean,
    inPlaceOf: Redis | null,
  ): Promise<void> {
    const { server, connectTimeoutMs, commandTimeoutMs, onMessage } = this.#options;
    const { redis, greeting } = await dial(
      address,
      {
        connectTimeoutMs,
        commandTimeoutMs: commandTimeoutMs > 0 ? commandTimeoutMs : stallMs,
        tls: server.tls,
      },
      (client) => greet(client, server, onlyMaster ? locationName(location) : null),
    );
    try {
      await this.#predecessors.end(redis, greeting);
      if (this.#closed) throw new StoreError('closed', 'the store was closed');
      if (this.#off) throw new Error('Redis is switched off');
      if (server !== this.#options.server) throw new Error('another server is configured now');
      // Broken in between: `end` was emitted before anybody listened.
      if (redis.status !== 'ready') throw new Error('Connection is closed.');
      if (this.#redis !== inPlaceOf) throw new Error('another connection was made');
    } catch (error) {
      redis.disconnect();
      throw error;
    }
    this.#options.keepAlive?.(descriptorOf(redis.stream));
    redis.once('end', () => this.#drop(redis));
    if (onMessage !== undefined) {
      redis.on('pmessageBuffer', (_pattern: Buffer, channel: Buffer, message: Buffer) =>
        onMessage(channel.toString('latin1'), message.toString('latin1')),
      );
    }
    this.#redis = redis;
    inPlaceOf?.disconnect();
    this.#location = location;
    this.#state = greeting.state;
    this.#errors = 0;
    this.#retryMs = firstRetryMs;
    this.#said = new Set();
    this.#startWatching(redis, location);
    this.#options.onReady();
  }

  /** Looks after a connection, in ways that do not wait for each other. */
  #startWatching(redis: Redis, location: ServerLocation): void {
    this.#watchLater(redis, () => this.#check(redis, location));
    const locator = this.#locator;
    if (this.#options.server.sentinel === undefined || locator === null) return;
    this.#watchLater(redis, async () => {
      if (await locator.moved(location)) throw new Error('the master is another server now');
    });
  }

  #watchLater(redis: Redis, look: () => Promise<void>): void {
    const waits = this.#options.onMessage === undefined && this.#state?.isMaster !== true;
    const intervalMs = waits ? replicaWatchIntervalMs : watchIntervalMs;
    const timer = setTimeout(() => void this.#watch(redis, look), intervalMs);
    timer.unref();
  }

  /** Gives a connection up whose server does not answer or is the master no longer. */
  async #watch(redis: Redis, look: () => Promise<void>): Promise<void> {
    if (this.#redis !== redis) return;
    try {
      await look();
    } catch (error) {
      if (this.#redis !== redis) return;
      this.#options.log.warning(`Redis ${this.where}: ${reasonOf(error)}`);
      this.#locator?.avoid();
      this.#drop(redis);
      return;
    }
    this.#watchLater(redis, look);
  }

  async #check(redis: Redis, location: ServerLocation): Promise<void> {
    // A subscriber of the old protocol may not ask for more.
    if (this.#options.onMessage !== undefined) {
      await redis.ping().catch((error: unknown) => {
        if (!isNotReady(error)) throw error;
      });
      return;
    }
    const now = replicationState(String(await redis.call('INFO', 'replication')));
    if (this.#redis !== redis) return;
    if (this.#several && this.#state?.isMaster === true) requireMaster(now, locationName(location));
    this.#learn(now);
    if (!this.#several || now.isMaster) return;
    if (performance.now() - this.#soughtAt < watchIntervalMs) return;
    await this.#seek(redis, location);
    this.#soughtAt = performance.now();
  }

  /** The connection is of no use any more. */
  #drop(redis: Redis): void {
    if (this.#redis !== redis) return;
    this.#redis = null;
    redis.disconnect();
    if (this.#closed) return;
    this.#options.log.critical(`Lost connection to Redis ${this.where}`);
    this.#errors += 1;
    this.#options.onLost();
    this.#retryLater();
  }

  #sayOnce(what: string, say: () => void): void {
    if (this.#said.has(what)) return;
    this.#said.add(what);
    say();
  }

  #retryLater(): void {
    if (this.#closed || this.#off || this.#retryTimer !== null) return;
    const { allowedErrors, disableTimeSeconds, log } = this.#options;
    let waitMs = this.#retryMs;
    this.#retryMs = Math.min(maxRetryMs, this.#retryMs * 2);
    if (allowedErrors >= 0 && this.#errors > allowedErrors) {
      log.warning(`Redis server ${this.#name} disabled for ${disableTimeSeconds} seconds`);
      waitMs = disableTimeSeconds * 1000;
      this.#disabledUntil = performance.now() + waitMs;
      this.#errors = 0;
    }
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = null;
      void this.#retry();
    }, waitMs);
    // Being without Redis is no reason to keep a process alive.
    this.#retryTimer.unref();
  }

  async #retry(): Promise<void> {
    const { log } = this.#options;
    this.#sayOnce('retry', () =>
      log.notice(`RE-Establishing connection for Redis server ${this.#name}`),
    );
    try {
      if (this.#redis !== null) return;
      await this.#connect();
      log.notice(`RE-Established connection to Redis ${this.where}`);
    } catch (error) {
      if (this.#closed || this.#off) return;
      this.#errors += 1;
      const reason = reasonOf(error);
      this.#sayOnce(`failed ${reason}`, () =>
        log.error(`Failed to connect to Redis ${this.#name}, error: ${reason}`),
      );
      this.#retryLater();
    }
  }
}
