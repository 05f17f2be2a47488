/** Logical interfaces as the call model sees them (options.md §2). */
import type { AddressFamily } from './call-state.js';

export interface LocalAddress {
  readonly family: AddressFamily;
  /** Bound address. */
  readonly address: string;
  /** Written into SDP. */
  readonly advertised: string;
}

export interface LogicalInterface {
  readonly name: string;
  /** In configured order; the position is the `local_intf_uid` of the Redis layout. */
  readonly addresses: readonly LocalAddress[];
}

/** A local address together with its position inside its logical interface. */
export interface InterfaceAddress extends LocalAddress {
  readonly index: number;
}

/** Looks up logical interfaces by name, alias or round-robin base name. */
export class InterfaceTable {
  #byName = new Map<string, LogicalInterface>();
  #roundRobin = new Map<string, { members: LogicalInterface[]; next: number }>();
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
    this.#byName = new Map(all.map((entry) => [entry.name, entry]));
    const before = this.#roundRobin;
    this.#roundRobin = new Map();
    for (const entry of all) {
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

  /**
   * The interface of that name or alias, or null; of a round-robin group the member that is in use
   * already (`current`), else the next one.
   */
  find(name: string, current: string | null = null): LogicalInterface | null {
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

  /** The first address of `family`, else the interface's first address. */
  addressFor(name: string, family: AddressFamily): InterfaceAddress | null {
    const found = this.find(name);
    if (found === null) return null;
    let index = found.addresses.findIndex((address) => address.family === family);
    if (index < 0) index = 0;
    const address = found.addresses[index];
    if (address === undefined) return null;
    return {
      address: address.address,
      advertised: address.advertised,
      family: address.family,
      index,
    };
  }

  /** The address at a position, as stored in Redis; null when this node's layout lacks it. */
  addressAt(name: string, index: number): LocalAddress | null {
    return this.#byName.get(name)?.addresses[index] ?? null;
  }
}
