/** Addresses of listeners and Redis servers, as texts (no name is looked up here). */
import { isIPv4, isIPv6 } from 'node:net';
import { ConfigError } from './errors.js';

/** Where a listener listens. */
export interface ListenAddress {
  /** IP address (IPv6 without brackets) or host name; null: every address, both families. */
  readonly host: string | null;
  readonly port: number;
}

/** A Redis database. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly database: number;
  /** null: the server wants none. */
  readonly password: string | null;
}

const hostName = /^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/;

function parsePort(text: string): number | null {
  if (!/^[0-9]{1,5}$/.test(text)) return null;
  const port = Number(text);
  return port >= 1 && port <= 65535 ? port : null;
}

/**
 * 4 or 6, 0 for what is no IP address. Unlike `net.isIP` it compiles the large pattern of IPv6 (4 ms at
 * start) only for texts that need it.
 */
export function ipVersion(text: string): 0 | 4 | 6 {
  if (text.includes(':')) return isIPv6(text) ? 6 : 0;
  return isIPv4(text) ? 4 : 0;
}

/** Is it an IP address or something that could be a host name? A misspelt IPv4 address is neither. */
export function isHost(text: string): boolean {
  if (ipVersion(text) !== 0) return true;
  return hostName.test(text) && !/^[0-9.]+$/.test(text);
}

function splitHostPort(text: string): { host: string; port: number } | null {
  const match = /^(?:\[([^\]]*)\]|([^[\]]*)):([^:]*)$/.exec(text);
  if (match === null) return null;
  const host = match[1] ?? match[2] ?? '';
  const port = parsePort(match[3] ?? '');
  if (port === null) return null;
  if (match[1] !== undefined && ipVersion(host) !== 6) return null;
  return { host, port };
}

/**
 * `[ADDR:]PORT`; ADDR is an IPv4 address, an IPv6 address (in brackets or not) or a host name.
 *
 * @param option long name of the option, for the message.
 * @throws ConfigError `Invalid IP or port '…' (--option)`
 */
export function parseListenAddress(text: string, option: string): ListenAddress {
  const portOnly = parsePort(text);
  if (portOnly !== null) return { host: null, port: portOnly };
  const parts = splitHostPort(text);
  if (parts !== null && parts.host === '' && text.startsWith(':')) {
    return { host: null, port: parts.port };
  }
  if (parts === null || !isHost(parts.host)) {
    throw new ConfigError('bad-value', option, `Invalid IP or port '${text}' (--${option})`);
  }
  return parts;
}

/**
 * `[PW@]HOST:PORT/DB`. The password ends at the last `@`.
 *
 * @param fallbackPassword used when the text has none (from the environment).
 * @param databaseOptional `/DB` may be missing and is 0 then (redis-subscribe).
 * @throws ConfigError `Invalid Redis endpoint [IP:PORT/INT] '…' (--option)`, without the password.
 */
export function parseRedisAddress(
  text: string,
  option: string,
  fallbackPassword: string | null = null,
  databaseOptional = false,
): RedisAddress {
  const at = text.lastIndexOf('@');
  const password = at < 0 ? fallbackPassword : text.slice(0, at);
  const location = text.slice(at + 1);
  const slash = location.lastIndexOf('/');
  const parts = splitHostPort(slash < 0 ? location : location.slice(0, slash));
  const database = slash < 0 ? (databaseOptional ? '0' : '') : location.slice(slash + 1);
  if (parts === null || !isHost(parts.host) || !/^[0-9]{1,6}$/.test(database)) {
    throw new ConfigError(
      'bad-value',
      option,
      `Invalid Redis endpoint [IP:PORT/INT] '${location}' (--${option})`,
    );
  }
  return {
    host: parts.host,
    port: parts.port,
    database: Number(database),
    password: password === '' ? null : password,
  };
}
