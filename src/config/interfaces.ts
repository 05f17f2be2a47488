/** Texts of `--interface` (options.md §2), parsed without looking at the machine. */
import { ipVersion, isHost } from './addresses.js';
import { ConfigError } from './errors.js';

/** What stands for the local address. */
export type AddressSource =
  | { readonly kind: 'address'; readonly address: string }
  /** A network interface or a host name; only the machine can tell which. */
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'any' };

/** Ports of one interface; what is null or empty is as for all interfaces. */
export interface PortLimits {
  readonly min: number | null;
  readonly max: number | null;
  /** Never handed out. */
  readonly excluded: readonly number[];
}

/** A section `[PREFIX-NAME]` of the file. */
export interface InterfaceSection {
  /** Behind the prefix. */
  readonly name: string;
  /** For messages: file and line. */
  readonly where: string;
  /** Values by key, escapes resolved but lists not split. */
  readonly values: Readonly<Record<string, string>>;
}

/** One `[NAME/]ADDR[!ADVERTISED]`, or a section with an address. */
export interface InterfaceSpec {
  /** Logical name, `default` when none was given. */
  readonly name: string;
  readonly source: AddressSource;
  /** IP address or host name to write into SDP; null: the local address. */
  readonly advertised: string | null;
  /** As written, for messages. */
  readonly text: string;
  /** null: those of all interfaces. */
  readonly ports: PortLimits | null;
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
  return { name, source, advertised, text, ports: null };
}

/** `ALIAS=NAME`, or null when it is no alias. */
function parseAlias(text: string): readonly [alias: string, name: string] | null {
  const match = /^([^/=!\s]+)=([^/=!\s]+)$/.exec(text);
  return match?.[1] === undefined || match[2] === undefined ? null : [match[1], match[2]];
}

const sectionKeys = new Set([
  ...['name', 'address', 'advertised', 'port-min', 'port-max', 'exclude-ports', 'alias'],
]);

function invalidSection({ name, where }: InterfaceSection, why: string): never {
  throw new ConfigError(
    'bad-value',
    'interfaces-config',
    `Invalid interface section '${name}' (${where}): ${why}`,
  );
}

function portOf(section: InterfaceSection, key: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65535) invalidSection(section, `${key} has no port '${text}'`);
  return port;
}

/** `5060;5080-5090` */
function excludedPorts(section: InterfaceSection, text: string): readonly number[] {
  const ports: number[] = [];
  for (const item of text.split(';').map((each) => each.trim())) {
    if (item === '') continue;
    const [first = '', last = first] = item.split('-').map((each) => each.trim());
    const from = portOf(section, 'exclude-ports', first);
    const to = portOf(section, 'exclude-ports', last);
    if (to < from) invalidSection(section, `exclude-ports has an empty range '${item}'`);
    for (let port = from; port <= to; port++) ports.push(port);
  }
  return ports;
}

function portLimitsOf(section: InterfaceSection): PortLimits | null {
  const limit = (key: string): number | null => {
    const text = section.values[key];
    return text === undefined ? null : portOf(section, key, text);
  };
  const [min, max] = [limit('port-min'), limit('port-max')];
  const excluded = excludedPorts(section, section.values['exclude-ports'] ?? '');
  return min === null && max === null && excluded.length === 0 ? null : { min, max, excluded };
}

function parseSection(section: InterfaceSection): InterfaceSpec | readonly [string, string] {
  const { values } = section;
  for (const key of Object.keys(values)) {
    if (!sectionKeys.has(key)) invalidSection(section, `unknown key '${key}'`);
  }
  const name = values['name'] ?? section.name;
  if (name === '' || /[\s/!=]/.test(name)) invalidSection(section, `bad name '${name}'`);
  const { alias, address } = values;
  if (alias !== undefined) {
    if (Object.keys(values).some((key) => key !== 'alias' && key !== 'name')) {
      invalidSection(section, 'an alias has nothing but a name');
    }
    return [name, alias];
  }
  if (address === undefined) invalidSection(section, 'neither address nor alias');
  const text = `${name}/${address}`;
  const advertised = values['advertised'] === undefined ? null : unbracketed(values['advertised']);
  if (advertised !== null && !isHost(advertised)) {
    invalidSection(section, `bad advertised address '${advertised}'`);
  }
  return {
    name,
    source: parseSource(text, address),
    advertised,
    text,
    ports: portLimitsOf(section),
  };
}

/**
 * Parses the values of `--interface`, and behind them the sections of `--interfaces-config`.
 *
 * @throws ConfigError `Invalid interface section '…' (FILE, line N): …`, `Cannot start without any configured interfaces`,
 *   `Invalid interface specification: '…'`
 */
export function parseInterfaces(
  texts: readonly string[],
  sections: readonly InterfaceSection[] = [],
): InterfaceSpecs {
  const interfaces: InterfaceSpec[] = [];
  const aliases = new Map<string, string>();
  for (const written of texts) {
    const text = written.trim();
    const alias = parseAlias(text);
    if (alias !== null) aliases.set(alias[0], alias[1]);
    else interfaces.push(parseOne(text));
  }
  for (const section of sections) {
    const parsed = parseSection(section);
    if ('source' in parsed) interfaces.push(parsed);
    else aliases.set(...parsed);
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
