/**
 * The nftables rule set of the forwarder as text, and what is read back of it. Pure.
 *
 * A packet whose source and destination are those of a flow gets the flow's mark in `prerouting`, is
 * sent on its way with another destination, and gets its new source when it has been routed: before
 * that, an own address as source would count as forged. Everything a mark stands for is in maps, so
 * that flows come, change and go without a rule being touched.
 */
import { createHash } from 'node:crypto';
import type { Endpoint } from '../media/call-state.js';
import type { Flow } from './flows.js';

/** Of everything below; a table of another layout is replaced. */
export const layoutVersion = 1;

/** Marks of all instances begin with this byte ("R"), then 4 bits of the instance, 20 of the flow. */
const markPrefix = 0x52;
const slotBits = 20;
export const maxInstances = 16;
export const maxFlows = 2 ** (slotBits - 1);

/** Longest name of a table that all versions of nft take, with room to spare. */
const longestName = 100;

/** IPv4 or IPv6 header without options, and UDP header: bytes. */
export const headerBytes = { ipv4: 28, ipv6: 48 } as const;

export type Family = keyof typeof headerBytes;

export const families: readonly Family[] = ['ipv4', 'ipv6'];

export const familyOf = ({ address }: Endpoint): Family =>
  address.includes(':') ? 'ipv6' : 'ipv4';

export interface Table {
  readonly name: string;
  /** 0 to 15; no two tables of a network namespace have the same. */
  readonly instance: number;
  readonly maxFlows: number;
}

/** The name of an instance's table. */
export function tableName(instance: string): string {
  const name = `rtprelay_${instance.replace(/[^A-Za-z0-9]+/g, '_').replace(/^_/, '')}`;
  if (name.length <= longestName) return name;
  return `rtprelay_${createHash('sha256').update(instance).digest('hex').slice(0, 32)}`;
}

const markBase = (instance: number): number => markPrefix * 2 ** 24 + instance * 2 ** slotBits;

/** What a packet of any flow of the table has in the upper bits of its mark. */
export const tableMark = ({ instance }: Pick<Table, 'instance'>): number => markBase(instance);

/** The mark of a flow. */
export const markOf = ({ instance }: Pick<Table, 'instance'>, slot: number): number =>
  markBase(instance) + slot;

/** The flow of a mark. */
export const slotOf = (mark: number): number => mark % 2 ** slotBits;

const hex = (mark: number): string => `0x${mark.toString(16)}`;

/** RFC 2474 §3: DSCP is the upper six bits of the TOS byte. */
const dscpOf = (tos: number): number => (tos & 0xff) >> 2;

const chainOfDscp = (dscp: number): string => `dscp_${dscp}`;

/** What differs between the families in the rules. */
const dialects = [
  {
    digit: '4',
    family: 'ipv4',
    header: 'ip',
    type: 'ipv4_addr',
    // No fragments, no options (RFC 791 §3.1), TTL left for one more hop.
    plain: 'ip ttl > 1 ip hdrlength 5 ip frag-off & 0x3fff == 0',
  },
  {
    digit: '6',
    family: 'ipv6',
    header: 'ip6',
    type: 'ipv6_addr',
    // No extension headers; a checksum, which IPv6 demands (RFC 8200 §8.1).
    plain: 'ip6 hoplimit > 1 ip6 nexthdr udp udp checksum != 0',
  },
] as const;

type Dialect = (typeof dialects)[number];

/** RFC 7983 §7: RTP or RTCP; RFC 5761 §4: not RTCP; RFC 3550 §5.1: a whole header. */
const isRtp = '@th,64,2 2 @th,73,7 != 64-95 udp length >= 20';

function mapsOf({ digit, type }: Dialect, size: number): readonly string[] {
  const key = `${type} . inet_service . ${type} . inet_service`;
  return [
    `set devices${digit} { type ifname; }`,
    `map flows${digit} { type ${key} : mark; size ${size}; }`,
    `map opaque${digit} { type ${key} : mark; size ${size}; }`,
    `map daddr${digit} { type mark : ${type}; size ${size}; }`,
    `map saddr${digit} { type mark : ${type}; size ${size}; }`,
  ];
}

function chainsOf({ digit, header, plain }: Dialect): readonly string[] {
  const mark = `meta mark set ${header} daddr . udp dport . ${header} saddr . udp sport map`;
  return [
    `chain arrive${digit} {`,
    `${plain} ${isRtp} ${mark} @flows${digit} goto rewrite${digit}`,
    `${plain} ${mark} @opaque${digit} goto rewrite${digit}`,
    '}',
    `chain rewrite${digit} {`,
    'notrack meta mark & 0xfff00000 @entered',
    `${header} dscp != cs0 ${header} dscp set cs0`,
    'meta mark vmap @dscp',
    ...readdressing(header, 'd', digit),
    '}',
  ];
}

/**
 * A checksum of zero is none (RFC 768), but setting a port makes a wrong one of it. IPv6 packets
 * without never get here.
 */
function readdressing(header: string, end: 'd' | 's', digit: string): readonly string[] {
  const addressed =
    `${header} ${end}addr set meta mark map @${end}addr${digit} ` +
    `udp ${end}port set meta mark map @${end}port`;
  const next = end === 's' ? ' meta mark set 0 accept' : ' accept';
  const unsummed = `udp checksum 0 ${addressed} udp checksum set 0${next}`;
  return digit === '4' ? [unsummed, `${addressed}${next}`] : [`${addressed}${next}`];
}

const arrival = ({ digit, family }: Dialect): string =>
  `meta nfproto ${family} iifname @devices${digit} goto arrive${digit}`;

const departure = ({ digit, family, header }: Dialect): readonly string[] =>
  readdressing(header, 's', digit).map((rule) => `meta nfproto ${family} ${rule}`);

/** The hooks: `input` for destinations on this machine. 300 is after filters and NAT of others. */
function baseChains(): readonly string[] {
  const ours = `meta l4proto udp meta mark & 0xfff00000 @left goto leave`;
  return [
    'chain arrive {',
    'type filter hook prerouting priority raw; policy accept;',
    ...dialects.map((dialect) => `meta l4proto udp ${arrival(dialect)}`),
    '}',
    'chain leave {',
    'meta mark @counted',
    ...dialects.flatMap(departure),
    '}',
    'chain forwarded {',
    'type filter hook postrouting priority 300; policy accept;',
    ours,
    '}',
    'chain delivered {',
    'type filter hook input priority 300; policy accept;',
    ours,
    '}',
  ];
}

/** A router tells hosts of a shorter way; a relay's phones must not hear of one. */
const redirects = [
  'chain redirects {',
  'type filter hook output priority raw; policy accept;',
  'icmp type redirect oifname @devices4 @th,136,8 17 drop',
  'icmpv6 type nd-redirect oifname @devices6 drop',
  '}',
];

/** A transaction that makes the table anew, without flows. */
export function tableText({ name, instance, maxFlows }: Table): string {
  // Elements that replace others count twice until they have.
  const size = 2 * maxFlows;
  return [
    `add table inet ${name}`,
    `delete table inet ${name}`,
    `table inet ${name} {`,
    'map about {',
    'type mark : mark',
    `elements = { 1 : ${layoutVersion}, 2 : ${instance}, 3 : ${maxFlows} }`,
    '}',
    ...dialects.flatMap((dialect) => mapsOf(dialect, size)),
    `map dport { type mark : inet_service; size ${size}; }`,
    `map sport { type mark : inet_service; size ${size}; }`,
    `map dscp { type mark : verdict; size ${size}; }`,
    `set counted { type mark; size ${size}; counter; }`,
    ...['entered', 'left'].map(
      (set) => `set ${set} { type mark; counter; elements = { ${hex(markBase(instance))} }; }`,
    ),
    ...dialects.flatMap(chainsOf),
    ...baseChains(),
    ...redirects,
    '}',
    '',
  ].join('\n');
}

export const deleteTableText = (name: string): string => `delete table inet ${name}\n`;

/** Removes elements that have marks for keys. */
export const deleteElementsText = (
  { name }: Table,
  marks: ReadonlyMap<string, readonly number[]>,
): string =>
  [...marks]
    .map(([map, each]) => `delete element inet ${name} ${map} { ${each.map(hex).join()} }\n`)
    .join('');

const tuple = (a: Endpoint, b: Endpoint): string =>
  `${a.address} . ${a.port} . ${b.address} . ${b.port}`;

/** The element that leads packets to the flow; without it none arrive there. */
function entryOf(mark: string, flow: Flow): readonly [map: string, key: string, value: string] {
  const digit = familyOf(flow.local) === 'ipv6' ? '6' : '4';
  const map = flow.opaque ? 'opaque' : 'flows';
  return [`${map}${digit}`, tuple(flow.local, flow.expected), mark];
}

const unforwardable = /^(0\.|127\.|22[4-9]\.|23\d\.|255\.|::1?$|fe[89ab]|ff)/i;

/** Whether routers forward between these: not loopback, multicast, link-local or no address. */
export const isForwardable = ({ expected, destination }: Flow): boolean =>
  !unforwardable.test(expected.address) && !unforwardable.test(destination.address);

/** Everything the table has of a flow, without the entry: it stays a moment longer than that. */
function restOf(mark: string, flow: Flow): readonly (readonly [string, string, string])[] {
  const digit = familyOf(flow.local) === 'ipv6' ? '6' : '4';
  const dscp = dscpOf(flow.tos);
  return [
    [`daddr${digit}`, mark, flow.destination.address],
    [`saddr${digit}`, mark, flow.source.address],
    ['dport', mark, String(flow.destination.port)],
    // What no rule needs is kept for the next process.
    ['sport', `${mark} comment "${flow.tos} ${flow.clockRate}"`, String(flow.source.port)],
    ['counted', mark, ''],
    ...(dscp === 0 ? [] : [['dscp', mark, `jump ${chainOfDscp(dscp)}`] as const]),
  ];
}

export interface SlotFlow {
  readonly slot: number;
  readonly flow: Flow;
  /** Packets are let in; otherwise it is there but waits. */
  readonly admitted: boolean;
}

/** What a counter has counted. */
export interface Count {
  readonly packets: number;
  /** From the IP header on. */
  readonly bytes: number;
}

/** Collects changes of elements, for one transaction. */
export class ElementChanges {
  readonly #removed = new Map<string, string[]>();
  readonly #added = new Map<string, string[]>();
  readonly #dscps = new Set<number>();

  constructor(private readonly table: Table) {}

  /** Its counter begins with what it has counted before. */
  add(flow: SlotFlow, { packets, bytes }: Count): void {
    const mark = this.#mark(flow.slot);
    push(this.#added, 'counted', `${mark} counter packets ${packets} bytes ${bytes}`);
    const elements = this.#elements(flow).filter(([map]) => map !== 'counted');
    for (const [map, key, value] of elements) push(this.#added, map, `${key} : ${value}`);
    this.#dscps.add(dscpOf(flow.flow.tos));
  }

  /** The new one has the slot of the old; what both have stays untouched. */
  replace(old: SlotFlow | null, flow: SlotFlow): void {
    const before = old === null ? [] : this.#elements(old);
    const after = this.#elements(flow);
    const text = (elements: readonly (readonly string[])[]): Set<string> =>
      new Set(elements.map((element) => element.join('\n')));
    const [was, is] = [text(before), text(after)];
    for (const [map, key] of before.filter((each) => !is.has(each.join('\n'))))
      push(this.#removed, map, bare(key));
    for (const [map, key, value] of after.filter((each) => !was.has(each.join('\n'))))
      push(this.#added, map, value === '' ? key : `${key} : ${value}`);
    this.#dscps.add(dscpOf(flow.flow.tos));
  }

  /** No packet begins to be forwarded; those on their way still find everything. */
  removeEntry({ slot, flow, admitted }: SlotFlow): void {
    if (!admitted || !isForwardable(flow)) return;
    const [map, key] = entryOf(this.#mark(slot), flow);
    push(this.#removed, map, key);
  }

  /** After `removeEntry`. */
  removeRest({ slot, flow }: SlotFlow): void {
    for (const [map, key] of restOf(this.#mark(slot), flow)) push(this.#removed, map, bare(key));
  }

  /** A transaction; '' when there is nothing to do. */
  text(): string {
    const { name } = this.table;
    const list = (verb: string, elements: ReadonlyMap<string, readonly string[]>): string[] =>
      [...elements].map(([map, each]) => `${verb} element inet ${name} ${map} { ${each.join()} }`);
    const chains = [...this.#dscps]
      .filter((dscp) => dscp !== 0)
      .flatMap((dscp) => this.#chain(dscp));
    const lines = [...list('delete', this.#removed), ...chains, ...list('add', this.#added)];
    return lines.map((line) => `${line}\n`).join('');
  }

  #mark(slot: number): string {
    return hex(markOf(this.table, slot));
  }

  #elements({ slot, flow, admitted }: SlotFlow): readonly (readonly [string, string, string])[] {
    const mark = this.#mark(slot);
    const rest = restOf(mark, flow);
    return admitted && isForwardable(flow) ? [entryOf(mark, flow), ...rest] : rest;
  }

  /** Idempotent. */
  #chain(dscp: number): readonly string[] {
    const chain = `inet ${this.table.name} ${chainOfDscp(dscp)}`;
    return [
      `add chain ${chain}`,
      `flush chain ${chain}`,
      `add rule ${chain} meta nfproto ipv4 ip dscp set ${dscp}`,
      `add rule ${chain} meta nfproto ipv6 ip6 dscp set ${dscp}`,
    ];
  }
}

/** A key without its comment, as `delete` wants it. */
const bare = (key: string): string => key.replace(/ comment .*/, '');

function push(map: Map<string, string[]>, key: string, value: string): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

export const deviceText = (
  verb: 'add' | 'delete',
  { name }: Table,
  family: Family,
  device: string,
): string => `${verb} element inet ${name} devices${family.slice(-1)} { "${device}" }\n`;
