/** Addresses of listeners, as texts (no name is looked up here). */
import { isIPv4, isIPv6 } from 'node:net';
import { ConfigError } from './errors.js';

/** Where a listener listens. */
export interface ListenAddress {
  /** IP address (IPv6 without brackets) or host name; null: every address, both families. */
  readonly host: string | null;
  readonly port: number;
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

/** `HOST:PORT`; an IPv6 address in brackets or not. HOST may be empty or nonsense. */
export function splitHostPort(text: string): { host: string; port: number } | null {
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
