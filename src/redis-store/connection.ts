/**
 * One connection to a Redis server that is made again whenever it breaks. ioredis speaks the protocol;
 * when to connect, what counts as usable and what is said about it is decided here.
 *
 * Commands are never queued while there is no connection, and never sent twice.
 */
import type { Redis } from 'ioredis';
import { authenticate, dial, within } from './dial.js';
import { reasonOf, StoreError } from './errors.js';
import type { StoreLog } from './log.js';
import {
  addressesOf,
  isSingle,
  ListedLocations,
  locationName,
  serverName,
  type DialAddress,
  type Locator,
  type RedisServer,
  type ServerLocation,
} from './server-address.js';

/** How a connection behaves. */
export interface ConnectionOptions {
  readonly server: RedisServer;
  /** Until the server has answered the greeting. */
  readonly connectTimeoutMs: number;
  /** A command unanswered for so long breaks the connection; 0: 5 s. */
  readonly commandTimeoutMs: number;
  /** Consecutive errors after which the server is left alone for a while; -1 never. */
  readonly allowedErrors: number;
  readonly disableTimeSeconds: number;
  /** Refuse replicas: calls are written here. Of several servers only the master is used anyway. */
  readonly mustBeMaster: boolean;
  readonly log: StoreLog;
  /** The connection can be used (again). */
  readonly onReady: () => void;
  /** It cannot any more. */
  readonly onLost: () => void;
  /** For a connection that subscribes (`subscribe`) and sends nothing else. */
  readonly onMessage?: (channel: string, message: string) => void;
}

type Argument = string | Buffer | number;

const stallMs = 5000;
const firstRetryMs = 50;
const maxRetryMs = 1000;
/** How often a replica is asked at start whether it has become a master, once per second. */
const masterAttempts = 10;
/** How often a connection is looked after that could go elsewhere, or that never sends anything. */
const watchIntervalMs = 1000;
/** Servers whose last connection is remembered. */
const maxPredecessors = 16;

/** Runs of one server are told apart by `run_id`, so that a client id is never used on another run. */
interface Greeting {
  readonly runId: string;
  readonly clientId: number | null;
}

/** No answer in time; or the server has become a replica, and a master may be where it was. */
function isFatal(error: Error): boolean {
  return error.message === 'Command timed out' || error.message.startsWith('READONLY');
}

/** A place that was tried in vain. */
interface Failure {
  readonly name: string;
  readonly error: unknown;
}

export class RedisConnection {
  readonly #options: ConnectionOptions;
  readonly #name: string;
  /** Which server is used depends on which one is master. */
  readonly #several: boolean;
  #locator: Locator | null = null;
  #redis: Redis | null = null;
  /** Where `#redis` is or was last. */
  #location: ServerLocation | null = null;
  /** Client ids of the last connections, by the run of the server they were made to. */
  readonly #predecessors = new Map<string, number>();
  #retryTimer: NodeJS.Timeout | null = null;
  #retryMs = firstRetryMs;
  #errors = 0;
  #closed = false;
  /** The socket that commands wait in. */
  #gathering: Redis['stream'] | null = null;
  /** What has been said about the present outage, so that it is said once. */
  #said = new Set<string>();

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#name = serverName(options.server);
    this.#several = !isSingle(options.server);
  }

  get ready(): boolean {
    return this.#redis !== null;
  }

  /** Name of the server that is or was last connected to; all of them before that. */
  get where(): string {
    return this.#location === null ? this.#name : locationName(this.#location);
  }

  /**
   * The first connection. A replica that should be a master is asked again every second for a while.
   * From then on the connection is made again by itself.
   * @param attempts how often it is asked altogether.
   * @throws StoreError
   */
  async open(attempts = masterAttempts): Promise<void> {
    const { log, commandTimeoutMs } = this.#options;
    if (commandTimeoutMs > 0) {
      log.info(`Setting timeout for Redis commands to ${commandTimeoutMs} milliseconds`);
    }
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#connect();
        return;
      } catch (error) {
        const isReplica = error instanceof StoreError && error.code === 'not-master';
        if (isReplica && attempt < attempts && !this.#closed) {
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
      return await redis.callBuffer(command, ...args);
    } catch (error) {
      if (error instanceof Error && isFatal(error)) {
        this.#locator?.avoid();
        this.#drop(redis);
      }
      throw error;
    }
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

  /** Gives the connection up and makes a new one. */
  renew(): void {
    if (this.#redis !== null) this.#drop(this.#redis);
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
    const failures: Failure[] = [];
    try {
      for await (const location of locator.candidates()) {
        if (await this.#connectTo(location, failures)) {
          locator.used(location);
          return;
        }
      }
    } catch (error) {
      failures.push({ name: '', error });
    }
    if (this.#closed) throw new StoreError('closed', 'the store was closed');
    throw this.#failureOf(failures);
  }

  #failureOf(failures: readonly Failure[]): unknown {
    const [first] = failures;
    if (first !== undefined && failures.length === 1 && !this.#several) return first.error;
    const reasons = failures.map(({ name, error }) =>
      name === '' || !this.#several || error instanceof StoreError
        ? reasonOf(error)
        : `${name}: ${reasonOf(error)}`,
    );
    const reason = [...new Set(reasons)].join('; ');
    // A server that was named, or is there, and is no master: the master may be on its way.
    const awaited =
      this.#options.server.sentinel === undefined
        ? failures.some(({ error }) => error instanceof StoreError && error.code === 'not-master')
        : failures.some(({ name }) => name !== '');
    return awaited ? new StoreError('not-master', reason) : new Error(reason);
  }

  /** Tries all addresses of a place. */
  async #connectTo(location: ServerLocation, failures: Failure[]): Promise<boolean> {
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
        await this.#use(address, location);
        return true;
      } catch (error) {
        failures.push({ name, error });
      }
    }
    return false;
  }

  async #use(address: DialAddress, location: ServerLocation): Promise<void> {
    const { server, connectTimeoutMs, commandTimeoutMs, onMessage } = this.#options;
    const { redis, greeting } = await dial(
      address,
      {
        connectTimeoutMs,
        commandTimeoutMs: commandTimeoutMs > 0 ? commandTimeoutMs : stallMs,
        tls: server.tls,
      },
      (client) => this.#greet(client, locationName(location)),
    );
    try {
      await this.#endPredecessor(redis, greeting);
      if (this.#closed) throw new StoreError('closed', 'the store was closed');
      // Broken in between: `end` was emitted before anybody listened.
      if (redis.status !== 'ready') throw new Error('Connection is closed.');
    } catch (error) {
      redis.disconnect();
      throw error;
    }
    redis.once('end', () => this.#drop(redis));
    if (onMessage !== undefined) {
      redis.on('pmessageBuffer', (_pattern: Buffer, channel: Buffer, message: Buffer) =>
        onMessage(channel.toString('latin1'), message.toString('latin1')),
      );
    }
    this.#redis = redis;
    this.#location = location;
    this.#errors = 0;
    this.#retryMs = firstRetryMs;
    this.#said = new Set();
    if (this.#several || onMessage !== undefined) this.#startWatching(redis, location);
    this.#options.onReady();
  }

  async #greet(redis: Redis, name: string): Promise<Greeting> {
    const { server, mustBeMaster } = this.#options;
    await authenticate(redis, server.username ?? null, server.password);
    await redis.call('SELECT', server.database);
    await redis.call('PING');
    const facts = String(await redis.call('INFO'));
    if (mustBeMaster || this.#several) this.#requireMaster(facts, name);
    // Neither every server nor every ACL user may tell.
    const clientId = await redis.call('CLIENT', 'ID').catch(() => null);
    return {
      runId: /^run_id:(\S*)/m.exec(facts)?.[1] ?? '',
      clientId: typeof clientId === 'number' ? clientId : null,
    };
  }

  /** @throws StoreError when `facts`, the answer to INFO, are those of a replica. */
  #requireMaster(facts: string, name: string): void {
    const role = /^role:(\S*)/m.exec(facts)?.[1] ?? '';
    if (role === 'master' || role === 'active-replica') return;
    throw new StoreError('not-master', `Redis ${name} is a ${role}, not a master`);
  }

  /**
   * A server that was stopped for a while may still have commands of the connection before in its
   * buffers. They must not be run after newer ones of this connection.
   */
  async #endPredecessor(redis: Redis, { runId, clientId }: Greeting): Promise<void> {
    const before = this.#predecessors.get(runId);
    if (runId !== '' && before !== undefined && clientId !== null && before !== clientId) {
      await redis.call('CLIENT', 'KILL', 'ID', before).catch(() => null);
    }
    if (runId === '' || clientId === null) return;
    // The newest come last; those of servers that have not been met for long are forgotten.
    this.#predecessors.delete(runId);
    this.#predecessors.set(runId, clientId);
    const [oldest] = this.#predecessors.keys();
    if (this.#predecessors.size > maxPredecessors && oldest !== undefined)
      this.#predecessors.delete(oldest);
  }

  /** Looks after a connection every second, in ways that do not wait for each other. */
  #startWatching(redis: Redis, location: ServerLocation): void {
    this.#watchLater(redis, () => this.#check(redis, location));
    const locator = this.#locator;
    if (this.#options.server.sentinel === undefined || locator === null) return;
    this.#watchLater(redis, async () => {
      if (await locator.moved(location)) throw new Error('the master is another server now');
    });
  }

  #watchLater(redis: Redis, look: () => Promise<void>): void {
    const timer = setTimeout(() => void this.#watch(redis, look), watchIntervalMs);
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
    if (this.#options.onMessage !== undefined) await redis.ping();
    else
      this.#requireMaster(String(await redis.call('INFO', 'replication')), locationName(location));
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
    if (this.#closed || this.#retryTimer !== null) return;
    const { allowedErrors, disableTimeSeconds, log } = this.#options;
    let waitMs = this.#retryMs;
    this.#retryMs = Math.min(maxRetryMs, this.#retryMs * 2);
    if (allowedErrors >= 0 && this.#errors > allowedErrors) {
      log.warning(`Redis server ${this.#name} disabled for ${disableTimeSeconds} seconds`);
      waitMs = disableTimeSeconds * 1000;
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
      await this.#connect();
      log.notice(`RE-Established connection to Redis ${this.where}`);
    } catch (error) {
      if (this.#closed) return;
      this.#errors += 1;
      const reason = reasonOf(error);
      this.#sayOnce(`failed ${reason}`, () =>
        log.error(`Failed to connect to Redis ${this.#name}, error: ${reason}`),
      );
      this.#retryLater();
    }
  }
}
