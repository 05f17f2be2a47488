/**
 * Reads the configuration again while calls go on (SIGHUP). First everything is found out that could
 * be wrong, then it is all taken: a mistake changes nothing.
 */
import { changedOptions, type OptionChange } from '../config/changes.js';
import type { Config, ConfigSource, LogConfig } from '../config/config.js';
import { ConfigError } from '../config/errors.js';
import type { RedisAddress } from '../config/redis-address.js';
import type { InterfaceTable, LocalAddress, LogicalInterface } from '../media/interfaces.js';
import type { Log, LogSink } from '../observe/log.js';
import type { ResolvedInterfaces } from './process/local-addresses.js';
import { readKeyFile } from './key-file.js';
import { checkTlsFiles } from './tls-files.js';

/** Looks up the addresses of configured interfaces. @throws ConfigError */
export type ResolveConfigured = (config: {
  readonly media: Pick<Config['media'], 'interfaces'>;
}) => Promise<ResolvedInterfaces>;

export interface ReloadParts {
  readonly source: ConfigSource;
  readonly log: Log;
  readonly interfaces: InterfaceTable;
  readonly resolve: ResolveConfigured;
  readonly openLog: (config: LogConfig) => Promise<LogSink>;
  /** false: stderr was given up when the process went to the background. */
  readonly hasStderr: boolean;
}

/** What has become of a reload, a line each, and the configuration that is to be applied now. */
export interface ReloadReport {
  readonly config: Config;
  readonly lines: readonly string[];
}

/** Both together say which interfaces there are. */
const interfaceOptions: ReadonlySet<string> = new Set(['interface', 'interfaces-config']);

const addressOptions = ['redis', 'redis-write', 'redis-subscribe'];

/** Options that the sink of the log is made of. */
const sinkOptions: ReadonlySet<string> = new Set([
  ...['log-stderr', 'log-facility', 'log-format', 'log-name', 'split-logs'],
  ...['no-log-timestamps', 'max-log-line-length', 'log-mark-prefix', 'log-mark-suffix'],
]);

/** Why the new addresses of a database cannot be taken while running; null: they can. */
function refusalOfAddress(before: RedisAddress, after: RedisAddress): string | null {
  if (before.database !== after.database) return 'another database';
  const secured = (address: RedisAddress): boolean => address.tls !== undefined;
  return secured(before) === secured(after) ? null : 'TLS on or off';
}

function refusalOfRedis(before: Config, after: Config): string | null {
  if (before.redis === null || after.redis === null) {
    return before.redis === after.redis ? null : 'with or without Redis';
  }
  const refusal = refusalOfAddress(before.redis.write, after.redis.write);
  if (refusal !== null) return refusal;
  if ((before.redis.read === null) !== (after.redis.read === null)) return 'restoring or not';
  return refusalOfAddress(before.redis.subscribe, after.redis.subscribe);
}

/** Why the new interfaces cannot be used while running; null: some were added behind the others. */
export function refusalOfInterfaces(
  before: readonly LogicalInterface[],
  after: readonly LogicalInterface[],
): string | null {
  if (before[0]?.name !== after[0]?.name) return 'another default interface';
  for (const { name, addresses } of before) {
    const now = after.find((each) => each.name === name)?.addresses;
    if (now === undefined) return `interface ${name} is missing`;
    const same = addresses.every(
      ({ address, advertised }, index) =>
        now[index]?.address === address && now[index]?.advertised === advertised,
    );
    // Stored calls name an address by its position.
    const portsOf = (list: readonly LocalAddress[]): string =>
      JSON.stringify(list.slice(0, addresses.length).map(({ ports }) => ports ?? null));
    if (same && portsOf(addresses) !== portsOf(now))
      return `the ports of interface ${name} are others`;
    if (!same) return `the addresses of interface ${name} are others or in another order`;
  }
  return null;
}

interface Verdict {
  readonly change: OptionChange;
  /** Why it needs a restart; null: it is taken. */
  readonly refusal: string | null;
}

export class Reload {
  readonly #parts: ReloadParts;
  readonly #running: Config;

  constructor(parts: ReloadParts, running: Config) {
    this.#parts = parts;
    this.#running = running;
  }

  /** @throws ConfigError; nothing has changed then. */
  async run(): Promise<ReloadReport> {
    const { source, log, interfaces, resolve, openLog } = this.#parts;
    const read = source.read();
    const changes = changedOptions(this.#running, read);
    const resolved = changes.some(({ option }) => interfaceOptions.has(option.name))
      ? await resolve(read)
      : null;
    const verdicts = changes.map((change): Verdict => {
      return { change, refusal: this.#refusal(change, read, resolved) };
    });
    const taken = new Set(
      verdicts.flatMap(({ change, refusal }) => (refusal === null ? [change.option.name] : [])),
    );
    const after = source.merge(this.#running, read, taken);
    checkTlsFiles(after.redis);
    const keyFile = after.redis?.encryptKeys ?? null;
    if (keyFile !== null) readKeyFile(keyFile);
    const moved = [...taken].some((name) => sinkOptions.has(name));
    const sink = moved ? await openLog(after.log) : null;

    if (sink === null) log.reopen();
    else log.moveTo(sink, after.log);
    for (const [subsystem, level] of after.log.levels) {
      if (this.#running.log.levels.get(subsystem) !== level) log.setLevel(subsystem, level);
    }
    if (resolved !== null && [...taken].some((name) => interfaceOptions.has(name))) {
      interfaces.replace(resolved.interfaces, resolved.aliases);
    }
    for (const warning of [...(resolved?.warnings ?? []), ...read.warnings]) {
      if (!this.#running.warnings.includes(warning)) log.warning('core', warning);
    }
    return { config: after, lines: linesOf(read, verdicts) };
  }

  #refusal(
    { option: { name, reloads } }: OptionChange,
    read: Config,
    resolved: ResolvedInterfaces | null,
  ): string | null {
    if (!reloads) return '';
    if (addressOptions.includes(name)) return refusalOfRedis(this.#running, read);
    if (interfaceOptions.has(name)) {
      const { all, aliases } = this.#parts.interfaces;
      const gone = [...aliases].some(([alias, to]) => resolved?.aliases.get(alias) !== to);
      return gone ? 'an alias is missing' : refusalOfInterfaces(all, resolved?.interfaces ?? []);
    }
    if (name === 'redis-encrypt-keys') {
      const [before, after] = [this.#running.redis?.encryptKeys, read.redis?.encryptKeys];
      return (before ?? null) === null || (after ?? null) === null ? 'with or without keys' : null;
    }
    const toStderr = name === 'log-stderr' || name === 'log-format';
    if (toStderr && !this.#parts.hasStderr && (read.log.toStderr || read.log.json)) {
      return 'a process in the background has no stderr';
    }
    return null;
  }
}

function linesOf(read: Config, verdicts: readonly Verdict[]): readonly string[] {
  const from = read.configFile ?? 'the command line';
  const text = ({ option, before, after }: OptionChange): string =>
    `${option.name} = ${after === '' ? 'none' : after} (was ${before === '' ? 'none' : before})`;
  const taken = verdicts.filter(({ refusal }) => refusal === null);
  const left = verdicts.filter(({ refusal }) => refusal !== null);
  if (verdicts.length === 0) return [`Configuration read again from ${from}: nothing has changed`];
  return [
    `Configuration read again from ${from}: ${taken.length} options taken, ` +
      `${left.length} need a restart`,
    ...taken.map(({ change }) => `Taken: ${text(change)}`),
    ...left.map(({ change, refusal }) => {
      const why = refusal === null || refusal === '' ? '' : `, ${refusal}`;
      return `Needs a restart: ${text(change)}${why}`;
    }),
  ];
}

/** The members of `after` that differ from those of `before`. */
export function changedMembers<T extends object>(before: T, after: T): Partial<T> {
  const change: Partial<T> = {};
  for (const name of Object.keys(after) as (keyof T)[]) {
    if (JSON.stringify(before[name]) !== JSON.stringify(after[name])) change[name] = after[name];
  }
  return change;
}

/** What went wrong, for log and CLI. */
export function failureText(error: unknown): string {
  const reason = error instanceof Error ? error.message : String(error);
  const known = error instanceof ConfigError ? '' : 'unexpected: ';
  return `Configuration not read again, everything stays as it is: ${known}${reason}`;
}
