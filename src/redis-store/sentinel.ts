/**
 * Finds the master by asking Redis Sentinel. One sentinel stays connected and is asked again and
 * again; another one takes its place when it does not answer or names a server that is no master.
 */
import type { Redis } from 'ioredis';
import { authenticate, dial, within } from './dial.js';
import { reasonOf } from './errors.js';
import {
  addressesOf,
  locationName,
  sameLocation,
  type Locator,
  type RedisServer,
  type ServerLocation,
} from './server-address.js';

const commandTimeoutMs = 1000;

/** The master as the sentinels name it. */
export class SentinelLocations implements Locator {
  readonly #server: RedisServer;
  readonly #sentinel: NonNullable<RedisServer['sentinel']>;
  readonly #connectTimeoutMs: number;
  /** Index of the sentinel that is asked first. */
  #first = 0;
  #connected: { readonly redis: Redis; readonly index: number } | null = null;
  #closed = false;

  constructor(
    server: RedisServer,
    sentinel: NonNullable<RedisServer['sentinel']>,
    connectTimeoutMs: number,
  ) {
    this.#server = server;
    this.#sentinel = sentinel;
    this.#connectTimeoutMs = connectTimeoutMs;
  }

  async *candidates(): AsyncGenerator<ServerLocation> {
    const named = new Set<string>();
    const failures: string[] = [];
    const count = this.#server.locations.length;
    const first = this.#first;
    for (let step = 0; step < count && !this.#closed; step += 1) {
      const index = (first + step) % count;
      try {
        const location = await this.#ask(index);
        if (named.has(locationName(location))) continue;
        named.add(locationName(location));
        this.#first = index;
        yield location;
      } catch (error) {
        failures.push(`sentinel ${this.#nameOf(index)}: ${reasonOf(error)}`);
      }
    }
    if (named.size === 0) throw new Error(failures.join('; '));
  }

  used(): void {
    // The sentinel that named it is asked first the next time anyway.
  }

  avoid(): void {
    // Only the sentinels know whether there is another one.
  }

  async moved(location: ServerLocation): Promise<boolean> {
    const count = this.#server.locations.length;
    const first = this.#first;
    for (let step = 0; step < count && !this.#closed; step += 1) {
      const index = (first + step) % count;
      try {
        const named = await this.#ask(index);
        this.#first = index;
        return !sameLocation(named, location);
      } catch {
        // The next one may know. If none does, the master is where it was.
      }
    }
    return false;
  }

  close(): void {
    this.#closed = true;
    this.#forget();
  }

  #forget(): void {
    this.#connected?.redis.disconnect();
    this.#connected = null;
  }

  #nameOf(index: number): string {
    const location = this.#server.locations[index];
    return location === undefined ? '' : locationName(location);
  }

  /** @throws Error when the sentinel does not answer or does not know the master. */
  async #ask(index: number): Promise<ServerLocation> {
    const { masterName } = this.#sentinel;
    const redis = await this.#connection(index);
    let reply: unknown;
    try {
      reply = await redis.call('SENTINEL', 'get-master-addr-by-name', masterName);
    } catch (error) {
      redis.disconnect();
      if (this.#connected?.redis === redis) this.#connected = null;
      throw error;
    }
    const [host, port] = Array.isArray(reply) ? reply.map(String) : [];
    if (host === undefined || port === undefined) {
      throw new Error(`it does not know a master '${masterName}'`);
    }
    return { host, port: Number(port) };
  }

  async #connection(index: number): Promise<Redis> {
    const present = this.#connected;
    if (present?.index === index && present.redis.status === 'ready') return present.redis;
    this.#forget();
    const location = this.#server.locations[index];
    let failure: unknown = new Error('no address');
    const found = location === undefined ? [] : addressesOf(location);
    for (const address of await within(Promise.resolve(found), this.#connectTimeoutMs)) {
      try {
        const { username, password } = this.#sentinel;
        const { redis } = await dial(
          address,
          { connectTimeoutMs: this.#connectTimeoutMs, commandTimeoutMs, tls: this.#server.tls },
          (sentinel) => authenticate(sentinel, username, password),
        );
        if (this.#closed) {
          redis.disconnect();
          throw new Error('closed');
        }
        this.#forget();
        this.#connected = { redis, index };
        return redis;
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }
}
