/** The databases of other nodes whose calls are followed. */
import type { RedisConfig } from '../config/config.js';
import type { FollowedState, KeyspaceFollower } from '../redis-store/keyspace-follower.js';
import type { StoreLog } from '../redis-store/log.js';
import type { CodecSettings } from '../redis-store/schema.js';
import type { Holder } from '../redis-store/store.js';
import type { CallOwnership } from './calls/ownership.js';
import { keepAliveOf } from './redis-keep-alive.js';

export interface KeyspacesOptions {
  /** As it is now; null: there is no Redis. */
  readonly redis: () => RedisConfig | null;
  readonly settings: CodecSettings;
  readonly log: StoreLog;
  readonly ownership: () => CallOwnership | null;
}

/** What a follower has to be made anew for. */
const ofFollower: readonly (keyof RedisConfig)[] = [
  ...(['subscribe', 'connectTimeoutMs', 'commandTimeoutMs'] as const),
  ...(['allowedErrors', 'disableTimeSeconds'] as const),
];

/** Thread: control. Owns its connections until `close`. */
export class Keyspaces {
  readonly #options: KeyspacesOptions;
  #follower: KeyspaceFollower | null = null;
  #changes: Promise<void> = Promise.resolve();

  constructor(options: KeyspacesOptions) {
    this.#options = options;
  }

  get followed(): readonly number[] {
    return this.#follower?.databases ?? [];
  }

  /** How far behind each is. */
  get states(): readonly FollowedState[] {
    return this.#follower?.states ?? [];
  }

  /** Stands by for the calls of these databases, besides those followed already. */
  follow(databases: readonly number[]): Promise<void> {
    return this.#inTurn(() => this.#follow(databases));
  }

  /** Stands by for a database no longer; resolves when its calls are gone, to false when it was not followed. */
  async unfollow(database: number): Promise<boolean> {
    if (this.#follower?.remove(database) !== true) return false;
    await this.#options.ownership()?.unfollowAll(database);
    return true;
  }

  /** Takes a call out of a database. Resolves to its holder when another node was first. */
  async release(callId: string, database: number, mine: Holder): Promise<Holder | null> {
    return (await this.#follower?.release(callId, database, mine)) ?? null;
  }

  /** Other servers, certificates or limits of Redis. */
  reconfigure(change: Partial<RedisConfig>): void {
    const follower = this.#follower;
    if (follower === null || !ofFollower.some((name) => change[name] !== undefined)) return;
    // What happens in between is found by comparing.
    void this.#inTurn(async () => {
      const { databases } = follower;
      follower.close();
      this.#follower = null;
      await this.#follow(databases);
    });
  }

  close(): void {
    this.#follower?.close();
  }

  /** Changes of what is followed, one after the other. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#changes.then(work);
    this.#changes = done.catch(() => undefined);
    return done;
  }

  async #follow(databases: readonly number[]): Promise<void> {
    const redis = this.#options.redis();
    const ownership = this.#options.ownership();
    if (redis === null || ownership === null) return;
    if (this.#follower === null) {
      await this.#start(redis, ownership, databases);
      return;
    }
    const followed = this.#follower.databases;
    for (const database of databases) {
      if (!followed.includes(database)) await this.#follower.add(database);
    }
  }

  async #start(
    redis: RedisConfig,
    ownership: CallOwnership,
    databases: readonly number[],
  ): Promise<void> {
    const { settings, log } = this.#options;
    const { KeyspaceFollower } = await import('../redis-store/keyspace-follower.js');
    this.#follower = new KeyspaceFollower({
      server: redis.subscribe,
      write: redis.write,
      connectTimeoutMs: redis.connectTimeoutMs,
      commandTimeoutMs: redis.commandTimeoutMs,
      allowedErrors: redis.allowedErrors,
      disableTimeSeconds: redis.disableTimeSeconds,
      keepAlive: keepAliveOf(redis),
      ...{ settings, log },
      onCall: (state, database) => ownership.follow(state, database),
      onGone: (callId, database, deleted) => ownership.unfollow(callId, database, deleted),
      held: (database) => ownership.followed(database),
    });
    await this.#follower.start(databases);
  }
}
