/** Texts of `--interface` (options.md §2), parsed without looking at the machine. */
import { ipVersion, isHost } from './addresses.js';
import { ConfigError } from './errors.js';

/** What stands for the local address. */
export type AddressSource =
  | { readonly kind: 'address'; readonly address: string }
  /** A network interface or a host name; only the machine can tell which. */
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'any' };

/** One `[NAME/]ADDR[!ADVERTISED]`. */
export interface InterfaceSpec {
  /** Logical name, `default` when none was given. */
  readonly name: string;
  readonly source: AddressSource;
  /** IP address or host name to write into SDP; null: the local address. */
  readonly advertised: string | null;
  /** As written, for messages. */
  readonly text: string;
}

/** All `--interface` values, in order. The first interface is the default one. */
export interface InterfaceSpecs {
  readonly interfaces: readonly InterfaceSpec[];
  /** Alias name -> name of the logical interface. */
  readonly aliases: ReadonlyMap<string, string>;
}

const option = 'interface';

function invalid(text: string, why: string): never {
  throw new ConfigError('bad-value', option, `Invalid interface specification: '${text}' (${why})`);
}

/** `[v6]` without its brackets. */
function unbracketed(text: string): string {
  return text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
}

function parseSource(written: string, text: string): AddressSource {
  const address = unbracketed(text);
  if (address === '') invalid(written, 'no address');
  if (address === 'any') return { kind: 'any' };
  if (ipVersion(address) !== 0) return { kind: 'address', address };
  // Interface names may hold almost anything (eth0.100, wg-0, eth0:1), but no white space.
  if (/^[0-9.]+$/.test(address) || /[\s/!=]/.test(address))
    invalid(written, 'no IP address or name');
  return { kind: 'name', name: address };
}

function parseOne(text: string): InterfaceSpec {
  const slash = text.indexOf('/');
  const name = slash < 0 ? 'default' : text.slice(0, slash);
  if (name === '') invalid(text, 'empty name');
  if (/[\s!=]/.test(name)) invalid(text, 'bad name');
  const rest = text.slice(slash + 1);
  const mark = rest.indexOf('!');
  const source = parseSource(text, mark < 0 ? rest : rest.slice(0, mark));
  const advertised = mark < 0 ? null : unbracketed(rest.slice(mark + 1));
  if (advertised !== null && !isHost(advertised)) invalid(text, 'bad advertised address');
  return { name, source, advertised, text };
}

/** `ALIAS=NAME`, or null when it is no alias. */
function parseAlias(text: string): readonly [alias: string, name: string] | null {
  const match = /^([^/=!\s]+)=([^/=!\s]+)$/.exec(text);
  return match?.[1] === undefined || match[2] === undefined ? null : [match[1], match[2]];
}

/**
 * Parses the values of `--interface`.
 *
 * @throws ConfigError `Cannot start without any configured interfaces`,
 *   `Invalid interface specification: '…'`
 */
export function parseInterfaces(texts: readonly string[]): InterfaceSpecs {
  const interfaces: InterfaceSpec[] = [];
  const aliases = new Map<string, string>();
  for (const written of texts) {
    const text = written.trim();
    const alias = parseAlias(text);
    if (alias !== null) aliases.set(alias[0], alias[1]);
    else interfaces.push(parseOne(text));
  }
  if (interfaces.length === 0) {
    throw new ConfigError(
      'missing-option',
      option,
      'Cannot start without any configured interfaces',
    );
  }
  const names = new Set(interfaces.map(({ name }) => name));
  for (const [alias, name] of aliases) {
    if (!names.has(name)) invalid(`${alias}=${name}`, `no interface is called '${name}'`);
    if (names.has(alias)) {
      invalid(`${alias}=${name}`, `'${alias}' is an interface already`);
    }
  }
  return { interfaces, aliases };
}
