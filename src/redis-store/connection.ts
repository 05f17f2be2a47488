/**
 * One connection to a Redis server that is made again whenever it breaks. ioredis speaks the protocol;
 * when to connect, what counts as usable and what is said about it is decided here.
 *
 * Commands are never queued while there is no connection, and never sent twice.
 */
import type { Redis } from 'ioredis';
import { loadRedisClient } from './client.js';
import { StoreError } from './errors.js';
import type { StoreLog } from './log.js';

/** A Redis database. */
export interface RedisServer {
  /** Address or host name, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  readonly database: number;
  /** null: the server wants none. */
  readonly password: string | null;
  /** ACL user; the server's default user if absent. */
  readonly username?: string;
}

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
  /** Refuse replicas: calls are written here. */
  readonly mustBeMaster: boolean;
  readonly log: StoreLog;
  /** The connection can be used (again). */
  readonly onReady: () => void;
  /** It cannot any more. */
  readonly onLost: () => void;
}

type Argument = string | Buffer | number;

const stallMs = 5000;
const firstRetryMs = 50;
const maxRetryMs = 1000;
/** How often a replica is asked at start whether it has become a master, once per second. */
const masterAttempts = 10;

/** Runs of one server are told apart by `run_id`, so that a client id is never used on another run. */
interface Greeting {
  readonly runId: string;
  readonly clientId: number | null;
}

/** `A:P` as rtpengine's log lines name a server. */
export function serverName(server: RedisServer): string {
  return server.host.includes(':')
    ? `[${server.host}]:${server.port}`
    : `${server.host}:${server.port}`;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('code' in error && error.code === 'ECONNREFUSED') return 'Connection refused';
  return error.message;
}

/** No answer in time; or the server has become a replica, and a master may be where it was. */
function isFatal(error: Error): boolean {
  return error.message === 'Command timed out' || error.message.startsWith('READONLY');
}

/** @throws Error after `milliseconds`; `promise` goes on unobserved then. */
async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('Connection timed out')), milliseconds);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

export class RedisConnection {
  readonly #options: ConnectionOptions;
  readonly #name: string;
  #redis: Redis | null = null;
  #greeting: Greeting | null = null;
  #retryTimer: NodeJS.Timeout | null = null;
  #retryMs = firstRetryMs;
  #errors = 0;
  #closed = false;
  /** What has been said about the present outage, so that it is said once. */
  #said = new Set<string>();

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#name = serverName(options.server);
  }

  get ready(): boolean {
    return this.#redis !== null;
  }

  /**
   * The first connection. A replica that should be a master is asked again every second for a while.
   * From then on the connection is made again by itself.
   * @throws StoreError
   */
  async open(): Promise<void> {
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
        if (isReplica && attempt < masterAttempts && !this.#closed) {
          await new Promise((resolve) => setTimeout(resolve, maxRetryMs));
          continue;
        }
        log.error(`Failed to connect to Redis ${this.#name}, error: ${messageOf(error)}`);
        if (error instanceof StoreError) throw error;
        throw new StoreError(
          'unreachable',
          `Failed to connect to Redis ${this.#name}, error: ${messageOf(error)}`,
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
      return await redis.callBuffer(command, ...args);
    } catch (error) {
      if (error instanceof Error && isFatal(error)) this.#drop(redis);
      throw error;
    }
  }

  close(): void {
    this.#closed = true;
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    const redis = this.#redis;
    this.#redis = null;
    redis?.disconnect();
  }

  async #connect(): Promise<void> {
    const { server, connectTimeoutMs, commandTimeoutMs } = this.#options;
    const Redis = await loadRedisClient();
    const redis = new Redis({
      host: server.host,
      port: server.port,
      // AUTH and SELECT are ours: an error of either has to be one of the connection attempt.
      enableReadyCheck: false,
      disableClientInfo: true,
      protocol: 2,
      lazyConnect: true,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
      connectTimeout: connectTimeoutMs,
      commandTimeout: commandTimeoutMs > 0 ? commandTimeoutMs : stallMs,
    });
    // What ioredis rejects with is only that the connection was closed; why comes as an event.
    let cause: unknown = null;
    redis.on('error', (error: unknown) => {
      cause ??= error;
    });
    try {
      const greeting = await within(
        redis.connect().then(() => this.#greet(redis)),
        connectTimeoutMs,
      );
      await this.#endPredecessor(redis, greeting);
      if (this.#closed) throw new StoreError('closed', 'the store was closed');
      this.#greeting = greeting;
      // Broken in between: `end` was emitted before anybody listened.
      if (redis.status !== 'ready') throw new Error('Connection is closed.');
    } catch (error) {
      redis.disconnect();
      throw error instanceof Error && error.message === 'Connection is closed.'
        ? (cause ?? error)
        : error;
    }
    redis.once('end', () => this.#drop(redis));
    this.#redis = redis;
    this.#errors = 0;
    this.#retryMs = firstRetryMs;
    this.#said = new Set();
    this.#options.onReady();
  }

  async #greet(redis: Redis): Promise<Greeting> {
    const { server, mustBeMaster } = this.#options;
    if (server.password !== null) {
      const user = server.username === undefined ? [] : [server.username];
      await redis.call('AUTH', ...user, server.password);
    }
    await redis.call('SELECT', server.database);
    await redis.call('PING');
    const facts = String(await redis.call('INFO'));
    const role = /^role:(\S*)/m.exec(facts)?.[1] ?? '';
    if (mustBeMaster && role !== 'master' && role !== 'active-replica') {
      throw new StoreError('not-master', `Redis ${this.#name} is a ${role}, not a master`);
    }
    // Neither every server nor every ACL user may tell.
    const clientId = await redis.call('CLIENT', 'ID').catch(() => null);
    return {
      runId: /^run_id:(\S*)/m.exec(facts)?.[1] ?? '',
      clientId: typeof clientId === 'number' ? clientId : null,
    };
  }

  /**
   * A server that was stopped for a while may still have commands of the connection before in its
   * buffers. They must not be run after newer ones of this connection.
   */
  async #endPredecessor(redis: Redis, greeting: Greeting): Promise<void> {
    const before = this.#greeting;
    if (before === null || before.clientId === null || before.clientId === greeting.clientId)
      return;
    if (before.runId === '' || before.runId !== greeting.runId) return;
    await redis.call('CLIENT', 'KILL', 'ID', before.clientId).catch(() => null);
  }

  /** The connection is of no use any more. */
  #drop(redis: Redis): void {
    if (this.#redis !== redis) return;
    this.#redis = null;
    redis.disconnect();
    if (this.#closed) return;
    this.#options.log.critical(`Lost connection to Redis ${this.#name}`);
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
      log.notice(`RE-Established connection to Redis ${this.#name}`);
    } catch (error) {
      if (this.#closed) return;
      this.#errors += 1;
      const reason = messageOf(error);
      this.#sayOnce(`failed ${reason}`, () =>
        log.error(`Failed to connect to Redis ${this.#name}, error: ${reason}`),
      );
      this.#retryLater();
    }
  }
}
