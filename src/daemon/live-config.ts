/** The configuration that counts now: as it was read last, and what the operator has changed since. */
import type {
  Config,
  ConfigSource,
  LimitConfig,
  LogConfig,
  RedisConfig,
} from '../config/config.js';
import { parseInterfaces } from '../config/interfaces.js';
import type { InterfaceTable, LocalAddress, LogicalInterface } from '../media/interfaces.js';
import type { Log, LogSink } from '../observe/log.js';
import type { ReloadStatus } from './node-status.js';
import {
  changedMembers,
  failureText,
  refusalOfInterfaces,
  Reload,
  type ResolveConfigured,
} from './reload.js';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const redisNames = [
  'allowedErrors',
  'disableTimeSeconds',
  'connectTimeoutMs',
  'commandTimeoutMs',
] as const;

/** Settings of the connections to Redis that the operator may change over the CLI. */
export type RedisSettings = Pick<RedisConfig, (typeof redisNames)[number]>;

export interface LiveConfigOptions {
  readonly initial: Config;
  readonly source: ConfigSource;
  readonly log: Log;
  readonly openLog: (config: LogConfig) => Promise<LogSink>;
  /** false: stderr was given up when the process went to the background. */
  readonly hasStderr: () => boolean;
}

/** What a running daemon does with new values. */
export interface LiveParts {
  readonly interfaces: InterfaceTable;
  readonly resolve: ResolveConfigured;
  /** The members of `change` have other values than before. */
  readonly redisChanged: (change: Partial<RedisConfig>) => void;
  readonly keyspacesChanged: (added: readonly number[], removed: readonly number[]) => void;
  readonly interfacesChanged: () => void;
  /** The file may hold other keys. */
  readonly keysRead: (keyFile: string) => void;
}

export class LiveConfig {
  readonly #options: LiveConfigOptions;
  #config: Config;
  readonly limits: Mutable<LimitConfig>;
  #redis: RedisSettings | null;
  #reloading: Promise<unknown> = Promise.resolve();
  #parts: LiveParts | null = null;
  /** A reload was asked for before there was a daemon to take it. */
  #due = false;
  #onRead: (() => void) | null = null;
  #reloadStatus: ReloadStatus | null = null;

  constructor(options: LiveConfigOptions) {
    const { initial } = options;
    this.#options = options;
    this.#config = initial;
    this.limits = { ...initial.limits };
    this.#redis = initial.redis;
  }

  /** As it was read last. */
  get config(): Config {
    return this.#config;
  }

  /** null: there is no Redis. */
  get redis(): RedisSettings | null {
    return this.#redis;
  }

  /** The daemon runs: from now on it can be reloaded. */
  started(parts: LiveParts): void {
    this.#parts = parts;
    if (this.#due) void this.reload();
  }

  /** `listener` is called after the configuration has been read again. */
  onRead(listener: () => void): void {
    this.#onRead = listener;
  }

  /** Another setting, by the operator. */
  changeRedis(change: Partial<RedisSettings>): void {
    if (this.#redis === null) return;
    this.#redis = { ...this.#redis, ...change };
    this.#parts?.redisChanged(change);
  }

  /** One more address for media, as behind `--interface=`. Returns why it cannot be had; never rejects. */
  async addInterface(text: string): Promise<string | null> {
    const parts = this.#parts;
    if (parts === null) return 'the start is not over yet';
    try {
      const { interfaces, warnings } = await parts.resolve({
        media: { interfaces: parseInterfaces([text], []) },
      });
      const before = parts.interfaces.all;
      const after = withInterfaces(before, interfaces);
      const refusal = refusalOfInterfaces(before, after);
      if (refusal !== null) return refusal;
      if (JSON.stringify(after) === JSON.stringify(before)) return 'it is there already';
      for (const warning of warnings) this.#options.log.warning('core', warning);
      parts.interfaces.replace(after, parts.interfaces.aliases);
      parts.interfacesChanged();
      return null;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** Removes an interface that nothing uses. Returns why not. */
  removeInterface(name: string): string | null {
    const parts = this.#parts;
    if (parts === null) return 'the start is not over yet';
    const { all, aliases } = parts.interfaces;
    if (!all.some((each) => each.name === name)) return 'there is no such interface';
    if (all[0]?.name === name) return 'it is the default interface';
    if ([...aliases.values()].includes(name)) return 'it has an alias';
    parts.interfaces.replace(
      all.filter((each) => each.name !== name),
      aliases,
    );
    parts.interfacesChanged();
    return null;
  }

  /** What the operator has changed is as it was configured again. */
  revert(): void {
    const { limits, redis, log } = this.#config;
    Object.assign(this.limits, limits);
    if (redis !== null && this.#redis !== null) {
      const { allowedErrors, disableTimeSeconds, connectTimeoutMs, commandTimeoutMs } = redis;
      const configured = { allowedErrors, disableTimeSeconds, connectTimeoutMs, commandTimeoutMs };
      this.changeRedis(changedMembers(this.#redis, { ...this.#redis, ...configured }));
    }
    for (const [subsystem, level] of log.levels) this.#options.log.setLevel(subsystem, level);
  }

  /** Reads the configuration again, one reload after the other. Never rejects: says what happened. */
  reload(): Promise<readonly string[]> {
    const done = this.#reloading.then(() => this.#reload());
    this.#reloading = done;
    return done;
  }

  /** What became of the last reload, or that one is under way; null: there was none. */
  get reloadStatus(): ReloadStatus | null {
    return this.#reloadStatus;
  }

  async #reload(): Promise<readonly string[]> {
    if (this.#parts === null) {
      this.#due = true;
      return ['The configuration will be read again when the start is over'];
    }
    this.#reloadStatus = { running: true, atMs: 0, lines: [] };
    const lines = await this.#readAgain(this.#parts);
    this.#reloadStatus = { running: false, atMs: Date.now(), lines };
    return lines;
  }

  async #readAgain(parts: LiveParts): Promise<readonly string[]> {
    const { source, log, openLog, hasStderr } = this.#options;
    try {
      const reload = new Reload(
        {
          ...{ source, log, openLog, hasStderr: hasStderr() },
          interfaces: parts.interfaces,
          resolve: parts.resolve,
        },
        this.#config,
      );
      const before = this.#config;
      const { config, lines } = await reload.run();
      this.#config = config;
      this.#apply(before, config, parts);
      this.#onRead?.();
      for (const line of lines) log.notice('core', line);
      return lines;
    } catch (error) {
      const line = failureText(error);
      log.error('core', line);
      return [line];
    }
  }

  #apply(before: Config, after: Config, parts: LiveParts): void {
    Object.assign(this.limits, changedMembers(before.limits, after.limits));
    parts.interfacesChanged();
    if (before.redis === null || after.redis === null || this.#redis === null) return;
    const change = changedMembers(before.redis, after.redis);
    if (after.redis.encryptKeys !== null) parts.keysRead(after.redis.encryptKeys);
    for (const name of redisNames) {
      const value = change[name];
      if (value !== undefined) this.#redis = { ...this.#redis, [name]: value };
    }
    if (Object.keys(change).length > 0) parts.redisChanged(change);
    const [old, now] = [before.redis.keyspaces, after.redis.keyspaces];
    const added = now.filter((each) => !old.includes(each));
    const removed = old.filter((each) => !now.includes(each));
    if (added.length + removed.length > 0) parts.keyspacesChanged(added, removed);
  }
}

/** Each address behind those of its interface, new interfaces at the end. */
function withInterfaces(
  before: readonly LogicalInterface[],
  added: readonly LogicalInterface[],
): readonly LogicalInterface[] {
  const known = new Set(before.map(({ name }) => name));
  return [
    ...before.map((entry) => {
      const more = added
        .filter(({ name }) => name === entry.name)
        .flatMap((each) => each.addresses);
      const isNew = ({ address }: LocalAddress): boolean =>
        !entry.addresses.some((each) => each.address === address);
      return { ...entry, addresses: [...entry.addresses, ...more.filter(isNew)] };
    }),
    ...added.filter(({ name }) => !known.has(name)),
  ];
}
