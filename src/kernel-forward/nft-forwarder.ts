/** nftables: for machines that permit no BPF. Over the addon `rtprelay-nft` and libnftables. */
import type { Endpoint } from '../media/call-state.js';
import type { Nft } from '../native/nft.js';
import { flowKey, sameFlow, type Flow } from './flows.js';
import { noCounters, type FlowCounters, type KernelForwarder } from './forwarder.js';
import type { SystemFiles } from './ip-forwarding.js';
import { NftDevices } from './nft-devices.js';
import type { TableListing } from './nft-listing.js';
import {
  deleteElementsText,
  deleteTableText,
  ElementChanges,
  familyOf,
  headerBytes,
  markOf,
  maxFlows,
  tableMark,
  tableText,
  type Count,
  type Family,
  type SlotFlow,
  type Table,
} from './nft-ruleset.js';
import { openTable, reasonOf, type OwnTable } from './nft-table.js';

export interface NftForwarderOptions {
  /** Names the table; one for each instance in a network namespace. */
  readonly instance: string;
  readonly maxFlows: number;
  /** Those of the media addresses. */
  readonly families: readonly Family[];
  /** Switch IP forwarding on where it is off. */
  readonly setForwarding: boolean;
  /** So many show whether the machine forwards what is rewritten; until then flows wait. */
  readonly trialPackets: number;
  readonly files: SystemFiles;
  /** CLOCK_MONOTONIC, µs. */
  readonly monotonicMicros: () => number;
  readonly warn: (message: string) => void;
}

/** A flow, and what was read of it last. */
interface KnownFlow extends SlotFlow {
  admitted: boolean;
  count: Count;
  lastPacketMicros: number;
}

interface Passed {
  readonly entered: number;
  readonly left: number;
}

const none: Count = { packets: 0, bytes: 0 };

/** What may get lost in a second without a fault of the machine's: a route or a device changes. */
const maxLostPerSecond = 20;

/** For `NftForwarderOptions.trialPackets`. */
export const defaultTrialPackets = 10;

const payloadBytes = ({ packets, bytes }: Count, flow: Flow): number =>
  Math.max(0, bytes - packets * headerBytes[familyOf(flow.local)]);

export class NftForwarder implements KernelForwarder {
  readonly mode = 'nft';
  readonly abilities = { payloadTypes: false, rtcp: false };
  /** A table of another layout goes at once. */
  readonly replaces = false;
  readonly adopted: boolean;
  readonly notes: readonly string[];
  readonly #options: NftForwarderOptions;
  readonly #nft: Nft;
  readonly #table: Table;
  readonly #devices: NftDevices;
  readonly #flows = new Map<string, KnownFlow>();
  readonly #freeSlots: number[] = [];
  #nextSlot = 1;
  /** Removed but for what packets on their way may still look up; gone with the next change. */
  #retired: SlotFlow[] = [];
  #passed: Passed = { entered: 0, left: 0 };
  #suspended: string | null = null;
  /** Until the first packets have left, only few flows are let in: a firewall may drop them. */
  #trial = true;

  private constructor(options: NftForwarderOptions, { nft, table, kept, notes }: OwnTable) {
    this.#options = options;
    this.#nft = nft;
    this.#table = table;
    this.adopted = kept !== null;
    this.notes = notes;
    const run = (commands: string): string | null => this.#run(commands);
    this.#devices = new NftDevices({ ...options, table, run });
    if (kept !== null) this.#adopt(kept);
    if (kept !== null && kept.table.maxFlows !== table.maxFlows) this.#rebuild();
    this.#passed = this.#readPassed() ?? this.#passed;
    this.#trial = this.#passed.left < options.trialPackets;
  }

  /** @throws KernelForwardError, NativeRelayError */
  static async open(options: NftForwarderOptions): Promise<NftForwarder> {
    const own = await openTable(options.instance, Math.min(options.maxFlows, maxFlows));
    try {
      return new NftForwarder(options, own);
    } catch (error) {
      own.nft.unlock();
      throw error;
    }
  }

  /** Name of the table. */
  get table(): string {
    return this.#table.name;
  }

  get devices(): readonly string[] {
    return this.#devices.names;
  }

  /** Refused is a device that forwards packets of none of the families. */
  attach(device: string): string | null {
    return this.#devices.attach(device);
  }

  detach(device: string): string | null {
    return this.#devices.detach(device);
  }

  /** The hooks see packets on the VLAN's own device. */
  setVlans(): string | null {
    return null;
  }

  /** The kernel's own routes are used. */
  routesChanged(): void {
    return;
  }

  set(flows: readonly Flow[]): string | null {
    if (this.#suspended !== null) return this.#suspended;
    const changed = flows.filter((flow) => {
      const known = this.#flows.get(flowKey(flow.local));
      return known === undefined || !sameFlow(known.flow, flow);
    });
    if (changed.length === 0) return null;
    const fresh = changed.filter(({ local }) => !this.#flows.has(flowKey(local))).length;
    const room = this.#table.maxFlows;
    if (this.#flows.size + fresh > room) return `its table holds ${room} flows`;
    const entries = changed.map((flow) => this.#entryOf(flow));
    const refusal = this.#change((changes) => {
      for (const entry of entries)
        changes.replace(this.#flows.get(flowKey(entry.flow.local)) ?? null, entry);
    });
    for (const entry of entries) {
      const key = flowKey(entry.flow.local);
      const known = this.#flows.get(key);
      if (refusal === null)
        this.#flows.set(key, known === undefined ? entry : { ...known, flow: entry.flow });
      else if (known === undefined) this.#freeSlots.push(entry.slot);
    }
    return refusal;
  }

  #entryOf(flow: Flow): KnownFlow {
    const known = this.#flows.get(flowKey(flow.local));
    if (known !== undefined) return { ...known, flow };
    const slot = this.#freeSlots.pop() ?? this.#nextSlot++;
    const admitted = !this.#trial;
    return { slot, flow, admitted, count: none, lastPacketMicros: 0 };
  }

  remove(locals: readonly Endpoint[]): readonly FlowCounters[] {
    const entries = locals.flatMap((local) => this.#flows.get(flowKey(local)) ?? []);
    if (entries.length === 0) return locals.map(() => noCounters);
    const refusal = this.#change((changes) => {
      for (const entry of entries) changes.removeEntry(entry);
    });
    // Nothing more is counted now.
    const counters = this.read(locals);
    for (const { flow } of entries) this.#flows.delete(flowKey(flow.local));
    if (refusal === null) this.#retired.push(...entries);
    // Packets of an ended call must not go on, least of all to whom their slot is given next.
    else this.#rebuild();
    return counters;
  }

  /**
   * nftables has no time of the last packet: it is the time of the first reading that found another
   * count. For flows of an earlier process that is the first reading at all.
   */
  read(locals: readonly Endpoint[]): readonly FlowCounters[] {
    const entries = locals.map((local) => this.#flows.get(flowKey(local)) ?? null);
    this.#readCounts(entries.flatMap((entry) => entry ?? []));
    return entries.map((entry) => {
      if (entry === null) return noCounters;
      const { flow, count, lastPacketMicros } = entry;
      const bytes = payloadBytes(count, flow);
      return { ...noCounters, packets: count.packets, bytes, lastPacketMicros };
    });
  }

  get size(): number {
    return this.#flows.size;
  }

  *flows(): Generator<Flow> {
    for (const { flow } of this.#flows.values()) yield flow;
  }

  totals(): Readonly<Record<string, number>> {
    const { entered, left } = this.#readPassed() ?? this.#passed;
    return { forwarded: left, 'not forwarded by the machine': Math.max(0, entered - left) };
  }

  supervise(): string | null {
    this.#devices.checkForwarding();
    const before = this.#passed;
    const now = this.#readPassed();
    if (now === null) {
      this.#rebuild();
      const gone = `somebody had removed the table ${this.#table.name}; it is made anew`;
      this.#options.warn(`Kernel forwarding: ${gone}`);
      return null;
    }
    this.#passed = now;
    if (this.#trial) return this.#continueTrial(now);
    const lost = now.entered - now.left - (before.entered - before.left);
    return lost > maxLostPerSecond ? this.#suspend(lost) : null;
  }

  /** Lets one more flow in, or all of them. */
  #continueTrial({ entered, left }: Passed): string | null {
    const { trialPackets } = this.#options;
    if (entered - left >= trialPackets) return this.#suspend(entered - left);
    this.#trial = left < trialPackets;
    const waiting = [...this.#flows.values()].filter(({ admitted }) => !admitted);
    const admitted = this.#trial ? waiting.slice(0, 1) : waiting;
    const refusal = this.#change((changes) => {
      for (const entry of admitted) changes.replace(entry, { ...entry, admitted: true });
    });
    if (refusal !== null) this.#options.warn(`Kernel forwarding: nftables: ${refusal}`);
    else for (const entry of admitted) entry.admitted = true;
    return null;
  }

  #suspend(lost: number): string {
    this.#suspended =
      `the machine drops what nftables have rewritten (${lost} packets): ` +
      'a firewall (a policy of its FORWARD or INPUT chains?), or no route';
    return this.#suspended;
  }

  close(): void {
    this.#nft.unlock();
  }

  removeAll(): string | null {
    const refusal = this.#readPassed() === null ? null : this.#run(deleteTableText(this.table));
    this.#flows.clear();
    this.#retired = [];
    this.close();
    return refusal;
  }

  /** Why not, or null. One transaction. */
  #run(commands: string): string | null {
    const { error } = this.#nft.run(commands, false);
    return error === null ? null : reasonOf(error);
  }

  #adopt({ flows, devices, remains }: TableListing): void {
    const used = new Set<number>();
    for (const each of flows) {
      used.add(each.slot);
      const entry = { ...each, count: none, lastPacketMicros: 0 };
      this.#flows.set(flowKey(each.flow.local), entry);
    }
    this.#nextSlot = Math.max(0, ...used) + 1;
    for (let slot = 1; slot < this.#nextSlot; slot++)
      if (!used.has(slot)) this.#freeSlots.push(slot);
    this.#devices.adopt(devices);
    this.#devices.checkForwarding();
    const refusal = remains.size === 0 ? null : this.#run(deleteElementsText(this.#table, remains));
    if (refusal !== null) this.#options.warn(`Kernel forwarding: nftables: ${refusal}`);
  }

  /** What is left of removed flows goes in the same transaction. */
  #change(describe: (changes: ElementChanges) => void): string | null {
    const retired = this.#retired;
    const attempt = (rest: readonly SlotFlow[]): string | null => {
      const changes = new ElementChanges(this.#table);
      for (const each of rest) changes.removeRest(each);
      describe(changes);
      const commands = changes.text();
      return commands === '' ? null : this.#run(commands);
    };
    let refusal = attempt(retired);
    if (refusal === null) {
      this.#freeSlots.push(...retired.map(({ slot }) => slot));
      this.#retired = [];
    } else if (this.#readPassed() === null) {
      this.#rebuild();
      refusal = attempt([]);
    } else if (retired.length > 0) {
      // Somebody has taken some of it already; their slots are not used again.
      this.#retired = [];
      refusal = attempt([]);
    }
    return refusal;
  }

  /** The table with all flows, made anew: somebody has removed it (`nft flush ruleset`). */
  #rebuild(): void {
    this.#readCounts([...this.#flows.values()]);
    const changes = new ElementChanges(this.#table);
    for (const entry of this.#flows.values()) changes.add(entry, entry.count);
    this.#retired = [];
    const refusal = this.#run(tableText(this.#table) + changes.text() + this.#devices.text());
    if (refusal !== null) this.#options.warn(`Kernel forwarding: nftables: ${refusal}`);
    this.#passed = this.#readPassed() ?? { entered: 0, left: 0 };
  }

  #readCounts(entries: readonly KnownFlow[]): void {
    const marks = Uint32Array.from(entries, ({ slot }) => markOf(this.#table, slot));
    const counters = this.#counters('counted', marks);
    const now = this.#options.monotonicMicros();
    entries.forEach((entry, at) => {
      const count = { packets: counters[2 * at] ?? 0, bytes: counters[2 * at + 1] ?? 0 };
      // Nothing is known of an element that is gone.
      if (count.packets <= entry.count.packets) return;
      entry.count = count;
      entry.lastPacketMicros = now;
    });
  }

  /** Packets and bytes of each element, zeros for what is not there. */
  #counters(set: string, marks: Uint32Array): Float64Array {
    const counters = new Float64Array(2 * marks.length);
    if (marks.length > 0) this.#nft.counters(this.#table.name, set, marks, counters);
    return counters;
  }

  /** Packets of all flows; null: the table is gone. */
  #readPassed(): Passed | null {
    const mark = Uint32Array.of(tableMark(this.#table));
    // In this order, so that what passes meanwhile does not seem lost.
    const entered = new Float64Array(2).fill(-1);
    const left = new Float64Array(2).fill(-1);
    this.#nft.counters(this.#table.name, 'entered', mark, entered);
    this.#nft.counters(this.#table.name, 'left', mark, left);
    const passed = { entered: entered[0] ?? -1, left: left[0] ?? -1 };
    return passed.entered < 0 || passed.left < 0 ? null : passed;
  }
}
