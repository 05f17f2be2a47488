/**
 * Where Redis is, in rtpengine's notation and in ours (docs/redis.md). Texts only: no name is looked
 * up and no file is opened here.
 */
import { isHost, splitHostPort } from './addresses.js';
import { ConfigError } from './errors.js';

/** A TCP address (IPv6 without brackets) or the path of a Unix socket. */
export type RedisLocation =
  { readonly host: string; readonly port: number } | { readonly path: string };

/** PEM files of TLS connections; null: none. */
export interface RedisTls {
  /** Certificate authorities that are trusted; null: those that Node brings. */
  readonly ca: string | null;
  /** Certificate and key that the server asks for. */
  readonly cert: string | null;
  readonly key: string | null;
  /** Refuse servers whose certificate cannot be verified. */
  readonly verify: boolean;
}

/** How the sentinels are asked; their locations stand in place of the server's. */
export interface RedisSentinel {
  readonly masterName: string;
  readonly username: string | null;
  readonly password: string | null;
}

/** A Redis database. */
export interface RedisAddress {
  /** At least one. Of several, the one that is master is used. */
  readonly locations: readonly RedisLocation[];
  readonly database: number;
  /** null: the server wants none. */
  readonly password: string | null;
  /** ACL user; the server's default user if absent. */
  readonly username?: string;
  /** Absent: no TLS. */
  readonly tls?: RedisTls;
  /** Absent: `locations` are those of the servers themselves. */
  readonly sentinel?: RedisSentinel;
}

/** What does not stand in the address itself. */
export interface RedisAddressContext {
  /** Long name of the option, for messages. */
  readonly option: string;
  /** Used when the address has no password. */
  readonly password: string | null;
  readonly tls: RedisTls;
  readonly sentinel: Omit<RedisSentinel, 'masterName'>;
  /** rtpengine's notation may do without `/DB`, which is 0 then (redis-subscribe). */
  readonly databaseOptional: boolean;
}

const redisPort = 6379;
const sentinelPort = 26379;

/** What stands before the last `@`, or nothing. */
interface Split {
  readonly userinfo: string | null;
  readonly rest: string;
}

function splitUserinfo(text: string): Split {
  const at = text.lastIndexOf('@');
  return at < 0
    ? { userinfo: null, rest: text }
    : { userinfo: text.slice(0, at), rest: text.slice(at + 1) };
}

/** One form of address. `location` is the text after the user and the password. */
class Parser {
  constructor(
    private readonly context: RedisAddressContext,
    private readonly form: string,
    private readonly location: string,
  ) {}

  fail(): never {
    const { option } = this.context;
    throw new ConfigError(
      'bad-value',
      option,
      `Invalid Redis endpoint [${this.form}] '${this.location}' (--${option})`,
    );
  }

  database(text: string): number {
    return /^[0-9]{1,6}$/.test(text) ? Number(text) : this.fail();
  }

  /** `HOST:PORT,…`; without `defaultPort` the port is needed. */
  locations(text: string, defaultPort: number | null): readonly RedisLocation[] {
    return text.split(',').map((item) => {
      const parts = splitHostPort(item) ?? this.#withoutPort(item, defaultPort);
      return isHost(parts.host) ? parts : this.fail();
    });
  }

  #withoutPort(text: string, port: number | null): { host: string; port: number } {
    if (port === null) return this.fail();
    const host = /^\[(.*)\]$/.exec(text)?.[1] ?? text;
    // Not a port that is none, as in `host:x`.
    if (host === text && text.includes(':')) return this.fail();
    return { host, port };
  }

  /** User and password of `user[:password]` and `:password`, percent-encoded. */
  access(userinfo: string | null): { password: string | null; username?: string } {
    const { password: fallback } = this.context;
    if (userinfo === null) return { password: fallback };
    const colon = userinfo.indexOf(':');
    const username = this.#decode(colon < 0 ? userinfo : userinfo.slice(0, colon));
    const given = colon < 0 ? '' : this.#decode(userinfo.slice(colon + 1));
    const password = given === '' ? fallback : given;
    return username === '' ? { password } : { password, username };
  }

  #decode(text: string): string {
    try {
      return decodeURIComponent(text);
    } catch {
      return this.fail();
    }
  }
}

/** `[PW@]HOST:PORT[,HOST:PORT…]/DB`. The password ends at the last `@` and is taken as it is. */
function parsePlain(text: string, context: RedisAddressContext): RedisAddress {
  const { userinfo, rest } = splitUserinfo(text);
  const parser = new Parser(context, 'IP:PORT/INT', rest);
  const slash = rest.lastIndexOf('/');
  const database = slash < 0 ? (context.databaseOptional ? '0' : '') : rest.slice(slash + 1);
  const password = userinfo ?? context.password;
  return {
    locations: parser.locations(slash < 0 ? rest : rest.slice(0, slash), null),
    database: parser.database(database),
    password: password === '' ? null : password,
  };
}

/** `redis://[USER[:PW]@]HOST[:PORT],…[/DB]` */
function parseUrl(text: string, secure: boolean, context: RedisAddressContext): RedisAddress {
  const { userinfo, rest } = splitUserinfo(text);
  const parser = new Parser(context, `redis${secure ? 's' : ''}://HOST:PORT/DB`, rest);
  const [hosts = '', database, ...more] = rest.split('/');
  if (more.length > 0) parser.fail();
  return {
    locations: parser.locations(hosts, redisPort),
    database: database === undefined || database === '' ? 0 : parser.database(database),
    ...parser.access(userinfo),
    ...(secure ? { tls: context.tls } : {}),
  };
}

/** `unix:PATH[/DB]`; a last part that is a number is the database. */
function parseSocketPath(text: string, context: RedisAddressContext): RedisAddress {
  const parser = new Parser(context, 'unix:/PATH/DB', text);
  const match = /^(?:\/\/)?(\/.*?)(?:\/([0-9]+))?$/.exec(text);
  const path = match?.[1] ?? '';
  if (path.replaceAll('/', '') === '' || path.endsWith('/')) parser.fail();
  return {
    locations: [{ path }],
    database: match?.[2] === undefined ? 0 : parser.database(match[2]),
    password: context.password,
  };
}

/** `redis+unix://[USER[:PW]@]/PATH[?db=N]` */
function parseSocketUrl(text: string, context: RedisAddressContext): RedisAddress {
  const { userinfo, rest } = splitUserinfo(text);
  const parser = new Parser(context, 'redis+unix:///PATH?db=N', rest);
  const match = /^(\/[^?]+)(?:\?db=([^?&]*))?$/.exec(rest);
  const path = match?.[1] ?? parser.fail();
  return {
    locations: [{ path }],
    database: match?.[2] === undefined ? 0 : parser.database(match[2]),
    ...parser.access(userinfo),
  };
}

/** `sentinel://[USER[:PW]@]HOST[:PORT],…/MASTER[/DB]` */
function parseSentinel(text: string, secure: boolean, context: RedisAddressContext): RedisAddress {
  const { userinfo, rest } = splitUserinfo(text);
  const scheme = secure ? 'sentinels' : 'sentinel';
  const parser = new Parser(context, `${scheme}://HOST:PORT,HOST:PORT/MASTER/DB`, rest);
  const [hosts = '', masterName = '', database, ...more] = rest.split('/');
  if (more.length > 0 || !/^[A-Za-z0-9._-]+$/.test(masterName)) parser.fail();
  return {
    locations: parser.locations(hosts, sentinelPort),
    database: database === undefined || database === '' ? 0 : parser.database(database),
    ...parser.access(userinfo),
    ...(secure ? { tls: context.tls } : {}),
    sentinel: { masterName, ...context.sentinel },
  };
}

type Form = (text: string, context: RedisAddressContext) => RedisAddress;

const forms: readonly (readonly [prefix: string, form: Form])[] = [
  ['redis://', (text, context) => parseUrl(text, false, context)],
  ['rediss://', (text, context) => parseUrl(text, true, context)],
  ['redis+unix://', parseSocketUrl],
  ['unix:/', (text, context) => parseSocketPath(`/${text}`, context)],
  ['sentinel://', (text, context) => parseSentinel(text, false, context)],
  ['sentinels://', (text, context) => parseSentinel(text, true, context)],
];

/**
 * Where a Redis option points to, in any of the notations of docs/redis.md.
 *
 * @throws ConfigError `Invalid Redis endpoint [FORM] '…' (--option)`, without user and password.
 */
export function parseRedisAddress(text: string, context: RedisAddressContext): RedisAddress {
  for (const [prefix, form] of forms) {
    if (text.startsWith(prefix)) return form(text.slice(prefix.length), context);
  }
  return parsePlain(text, context);
}
