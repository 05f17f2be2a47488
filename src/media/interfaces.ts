/** Logical interfaces as the call model sees them (options.md §2). */
import type { AddressFamily } from './call-state.js';

export interface LocalAddress {
  readonly family: AddressFamily;
  /** Bound address. */
  readonly address: string;
  /** Written into SDP. */
  readonly advertised: string;
  /** Ports of this address alone; without: those of all interfaces. */
  readonly ports?: AddressPortLimits;
}

/** What is null is as for all interfaces. */
export interface AddressPortLimits {
  readonly min: number | null;
  readonly max: number | null;
  /** Never handed out. */
  readonly excluded: readonly number[];
}

export interface LogicalInterface {
  readonly name: string;
  /** In configured order. */
  readonly addresses: readonly LocalAddress[];
}

/**
 * A local address together with its position in the list of the wanted family: that family's addresses
 * first, then the others, each in configured order (redis-layout.md §6.3, `local_intf_uid`).
 */
export interface InterfaceAddress extends LocalAddress {
  readonly index: number;
}

/** An interface with its addresses in the order of each preferred family. */
interface PreferredOrders extends LogicalInterface {
  readonly preferring: Readonly<Record<AddressFamily, readonly LocalAddress[]>>;
}

function withOrders(entry: LogicalInterface): PreferredOrders {
  const of = (family: AddressFamily): readonly LocalAddress[] =>
    entry.addresses.filter((address) => address.family === family);
  const [ip4, ip6] = [of('IP4'), of('IP6')];
  return { ...entry, preferring: { IP4: [...ip4, ...ip6], IP6: [...ip6, ...ip4] } };
}

/** Looks up logical interfaces by name, alias or round-robin base name. */
export class InterfaceTable {
  #byName = new Map<string, PreferredOrders>();
  #roundRobin = new Map<string, { members: PreferredOrders[]; next: number }>();
  #all: readonly LogicalInterface[] = [];
  #aliases: ReadonlyMap<string, string> = new Map();
  #default: LogicalInterface;

  /** @param aliases alias name -> interface name. The first interface is the default one. */
  constructor(all: readonly LogicalInterface[], aliases: ReadonlyMap<string, string> = new Map()) {
    this.#default = this.replace(all, aliases);
  }

  /**
   * Other interfaces from now on. For calls to go on, those that were there have to be there still,
   * with their addresses at the same positions. Returns the default one.
   */
  replace(
    all: readonly LogicalInterface[],
    aliases: ReadonlyMap<string, string>,
  ): LogicalInterface {
    const first = all[0];
    if (first === undefined) throw new RangeError('at least one interface is needed');
    this.#all = all;
    this.#aliases = aliases;
    this.#default = first;
    const entries = all.map(withOrders);
    this.#byName = new Map(entries.map((entry) => [entry.name, entry]));
    const before = this.#roundRobin;
    this.#roundRobin = new Map();
    for (const entry of entries) {
      const colon = entry.name.indexOf(':');
      if (colon <= 0) continue;
      const base = entry.name.slice(0, colon);
      const group = this.#roundRobin.get(base) ?? {
        members: [],
        next: before.get(base)?.next ?? 0,
      };
      group.members.push(entry);
      this.#roundRobin.set(base, group);
    }
    for (const [alias, name] of aliases) {
      const target = this.#byName.get(name);
      if (target !== undefined && !this.#byName.has(alias)) this.#byName.set(alias, target);
    }
    return first;
  }

  get all(): readonly LogicalInterface[] {
    return this.#all;
  }

  get aliases(): ReadonlyMap<string, string> {
    return this.#aliases;
  }

  get default(): LogicalInterface {
    return this.#default;
  }

  /** The first interface that has an address of the family; the default one when none has. */
  defaultFor(family: AddressFamily): LogicalInterface {
    const has = ({ addresses }: LogicalInterface): boolean =>
      addresses.some((address) => address.family === family);
    return this.#all.find(has) ?? this.#default;
  }

  /**
   * The interface of that name or alias, or null; of a round-robin group the member that is in use
   * already (`current`), else the next one.
   */
  find(name: string, current: string | null = null): LogicalInterface | null {
    return this.#find(name, current);
  }

  #find(name: string, current: string | null = null): PreferredOrders | null {
    const direct = this.#byName.get(name);
    if (direct !== undefined) return direct;
    const group = this.#roundRobin.get(name);
    if (group === undefined) return null;
    const used = group.members.find((member) => member.name === current);
    if (used !== undefined) return used;
    const member = group.members[group.next % group.members.length];
    group.next = (group.next + 1) % group.members.length;
    return member ?? null;
  }

  /** What `interfaces-config` says of the ports of an address; null: nothing. */
  portLimitsOf(localAddress: string): AddressPortLimits | null {
    for (const { addresses } of this.#all) {
      const limits = addresses.find(({ address }) => address === localAddress)?.ports;
      if (limits !== undefined) return limits;
    }
    return null;
  }

  /** The first address of `family`, else the interface's first address. */
  addressFor(name: string, family: AddressFamily): InterfaceAddress | null {
    const address = this.#find(name)?.preferring[family][0];
    if (address === undefined) return null;
    // In the list of its own family it is the first one as well.
    return {
      address: address.address,
      advertised: address.advertised,
      family: address.family,
      index: 0,
    };
  }

  /** The local addresses that are meant by an address as SDP says it: bound or advertised. */
  localAddresses(address: string): ReadonlySet<string> {
    const found = new Set<string>();
    for (const { addresses } of this.#all) {
      for (const each of addresses)
        if (each.address === address || each.advertised === address) found.add(each.address);
    }
    return found;
  }

  /**
   * The address at a position in the list of `family` (`InterfaceAddress`), as stored in Redis; null
   * when this node's interfaces lack it.
   */
  addressAt(name: string, family: AddressFamily, index: number): LocalAddress | null {
    return this.#byName.get(name)?.preferring[family][index] ?? null;
  }

  /**
   * The position in the list of `family` of what our former values call by its position among all
   * addresses. They named addresses of that family only: any other position is one in its list.
   */
  indexOfPosition(name: string, family: AddressFamily, position: number): number {
    const addresses = this.#byName.get(name)?.addresses ?? [];
    if (addresses[position]?.family !== family) return position;
    return addresses.slice(0, position).filter((address) => address.family === family).length;
  }
}
