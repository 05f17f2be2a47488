/** From interface and listener texts to the addresses of this machine (options.md §2). */
import { lookup as dnsLookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { ipVersion, type ListenAddress } from '../../config/addresses.js';
import { ConfigError } from '../../config/errors.js';
import type { InterfaceSpec, InterfaceSpecs } from '../../config/interfaces.js';
import type { LocalAddress, LogicalInterface } from '../../media/interfaces.js';
import { canonicalAddress, familyOf, type Endpoint } from '../../media/call-state.js';

/** What has to be known of the machine. */
export interface Machine {
  /** As `os.networkInterfaces()`. */
  readonly networkInterfaces: Readonly<
    Record<string, readonly { readonly address: string; readonly internal: boolean }[] | undefined>
  >;
  /** First address of a host name; rejects when there is none. */
  readonly lookup: (host: string) => Promise<string>;
}

/** `Machine.lookup` by getaddrinfo(3), in the order the system prefers. */
export async function lookupHost(host: string): Promise<string> {
  const { address } = await dnsLookup(host, { verbatim: true });
  return address;
}

/** What to do with a media address that the machine does not have (now). */
export type NonLocalPolicy =
  | 'refuse'
  /** A virtual address may move here later; ports on it are opened beforehand (IP_FREEBIND). */
  | 'warn';

/** Interfaces ready to be used. */
export interface ResolvedInterfaces {
  /** In configured order; the first one is the default. */
  readonly interfaces: readonly LogicalInterface[];
  readonly aliases: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
}

/** One spelling for each address, so that `::1` and `0:0::1` are the same. */
function canonical(address: string): string {
  return canonicalAddress(address) ?? address;
}

/** fe80::/10 needs a scope and cannot stand in SDP (RFC 4291 §2.5.6). */
function isLinkLocal(address: string): boolean {
  return /^fe[89ab]/i.test(address);
}

function loopbackName(host: string): string | null {
  // RFC 6761 §6.3; spares the resolver at start.
  return host === 'localhost' ? '127.0.0.1' : null;
}

async function resolveHost(host: string, machine: Machine, option: string): Promise<string> {
  if (ipVersion(host) !== 0) return host;
  const known = loopbackName(host);
  if (known !== null) return known;
  try {
    return await machine.lookup(host);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ConfigError(
      'unresolvable',
      option,
      `Failed to resolve '${host}' as a DNS host name (--${option}): ${why}`,
      { cause: error },
    );
  }
}

/** Every address but loopback and link-local ones: what 10.5 takes `any` for. */
function anyAddresses(machine: Machine): readonly string[] {
  return Object.values(machine.networkInterfaces)
    .flatMap((addresses) => addresses ?? [])
    .filter(({ address, internal }) => !internal && !isLinkLocal(address))
    .map(({ address }) => address);
}

async function localAddressesOf(spec: InterfaceSpec, machine: Machine): Promise<readonly string[]> {
  const { source } = spec;
  if (source.kind === 'address') return [source.address];
  if (source.kind === 'any') return anyAddresses(machine);
  const own = machine.networkInterfaces[source.name];
  if (own !== undefined) {
    return own.map(({ address }) => address).filter((address) => !isLinkLocal(address));
  }
  try {
    return [await resolveHost(source.name, machine, 'interface')];
  } catch (error) {
    throw new ConfigError(
      'unresolvable',
      'interface',
      `Invalid interface specification: '${spec.text}' ` +
        `(no network interface or host is called '${source.name}')`,
      { cause: error },
    );
  }
}

/** The advertised address goes with local addresses of its family, and with a single one anyway. */
function advertise(locals: readonly string[], advertised: string | null): readonly LocalAddress[] {
  return locals.map((address) => {
    const family = familyOf(address);
    const applies = advertised !== null && (locals.length === 1 || familyOf(advertised) === family);
    return {
      family,
      address: canonical(address),
      advertised: canonical(applies ? advertised : address),
    };
  });
}

/** An address has one range of ports, in however many sections it stands. */
function checkPorts(local: LocalAddress, others: readonly LocalAddress[]): void {
  const other = others.find(({ address }) => address === local.address);
  if (other === undefined || JSON.stringify(other.ports) === JSON.stringify(local.ports)) return;
  throw new ConfigError(
    'bad-value',
    'interfaces-config',
    `Address ${local.address} stands in several interfaces with different ports`,
  );
}

/**
 * Finds the local addresses of all interfaces. Asks DNS only for names that are neither addresses nor
 * network interfaces.
 *
 * @throws ConfigError `Invalid interface specification: '…'`, or naming the address that is not on this
 *   machine (policy `refuse`).
 */
export async function resolveInterfaces(
  specs: InterfaceSpecs,
  machine: Machine,
  nonLocal: NonLocalPolicy,
): Promise<ResolvedInterfaces> {
  const present = new Set(
    Object.values(machine.networkInterfaces)
      .flatMap((addresses) => addresses ?? [])
      .map(({ address }) => canonical(address)),
  );
  const byName = new Map<string, LocalAddress[]>();
  const warnings: string[] = [];
  for (const spec of specs.interfaces) {
    const locals = await localAddressesOf(spec, machine);
    if (locals.length === 0) {
      throw new ConfigError(
        'address-not-local',
        'interface',
        `Invalid interface specification: '${spec.text}' (no usable address on this machine)`,
      );
    }
    const advertised =
      spec.advertised === null ? null : await resolveHost(spec.advertised, machine, 'interface');
    const known = byName.get(spec.name) ?? [];
    for (const advertisedLocal of advertise(locals, advertised)) {
      const { ports } = spec;
      const local = ports === null ? advertisedLocal : { ...advertisedLocal, ports };
      checkPorts(local, [...byName.values()].flat());
      if (!isPresent(local.address, present)) {
        const message = `Address ${local.address} (--interface=${spec.text}) is not on this machine`;
        if (nonLocal === 'refuse') throw new ConfigError('address-not-local', 'interface', message);
        warnings.push(message);
      }
      known.push(local);
    }
    byName.set(spec.name, known);
  }
  const interfaces = [...byName].map(([name, addresses]) => ({ name, addresses }));
  return { interfaces, aliases: specs.aliases, warnings };
}

/** Whether the machine was told (`ip_nonlocal_bind`) that programs may use addresses which it does not have. */
export function nonLocalBindAllowed(): boolean {
  return ['ipv4', 'ipv6'].some((family) => {
    try {
      return readFileSync(`/proc/sys/net/${family}/ip_nonlocal_bind`, 'latin1').trim() === '1';
    } catch {
      // A kernel without that family.
      return false;
    }
  });
}

/** All of 127.0.0.0/8 belongs to the loopback interface (RFC 1122 §3.2.1.3). */
function isPresent(address: string, present: ReadonlySet<string>): boolean {
  return present.has(address) || (address.startsWith('127.') && present.has('127.0.0.1'));
}

/**
 * The endpoints of a listener: one, or both wildcard addresses when no host was given (the IPv6 one
 * only where the machine has IPv6; it has to be bound for IPv6 only).
 *
 * @throws ConfigError when the host name is unknown.
 */
export async function resolveListener(
  listener: ListenAddress,
  machine: Machine,
  option: string,
): Promise<readonly Endpoint[]> {
  const { host, port } = listener;
  if (host !== null) return [{ address: await resolveHost(host, machine, option), port }];
  const hasIp6 = Object.values(machine.networkInterfaces).some((addresses) =>
    addresses?.some(({ address }) => familyOf(address) === 'IP6'),
  );
  return [{ address: '0.0.0.0', port }, ...(hasIp6 ? [{ address: '::', port }] : [])];
}
