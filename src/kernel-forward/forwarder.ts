/** The kernel's side of a forwarder: flows in, counters out. Each back end implements it. */
import type { Endpoint } from '../media/call-state.js';
import type { KernelMode, VlanDevice } from './devices.js';
import type { Flow, FlowAbilities } from './flows.js';

/** What a flow has forwarded since it was made, by whichever process. */
export interface FlowCounters {
  readonly packets: number;
  /** UDP payload. */
  readonly bytes: number;
  /** CLOCK_MONOTONIC, µs; 0 none. */
  readonly lastPacketMicros: number;
  readonly ssrc: number | null;
  readonly dropped: number;
  /** Left to userspace. */
  readonly passedUp: number;
  /** RFC 3550 §A.3 and §A.8 (RTP time units). */
  readonly lost: number;
  readonly jitter: number;
}

export const noCounters: FlowCounters = {
  packets: 0,
  bytes: 0,
  lastPacketMicros: 0,
  ssrc: null,
  dropped: 0,
  passedUp: 0,
  lost: 0,
  jitter: 0,
};

/** Kernel forwarding is not to be had; the message says why. */
export class KernelForwardError extends Error {
  override readonly name = 'KernelForwardError';
}

/** What the kernel has of one instance. It outlives the process unless `removeAll` is called. */
export interface KernelForwarder {
  readonly mode: KernelMode;
  readonly abilities: FlowAbilities;
  /** Flows of an earlier process are still there. */
  readonly adopted: boolean;
  /** Another version's program still forwards on `devices`: to be attached when calls are restored. */
  readonly replaces: boolean;
  /** Sentences for the log. */
  readonly notes: readonly string[];
  /** Those it is attached to. */
  readonly devices: readonly string[];
  /** Why not, or null. */
  attach(device: string): string | null;
  detach(device: string): string | null;
  /** Replaces all that was said of VLAN devices before. Why not, or null. */
  setVlans(vlans: readonly VlanDevice[]): string | null;
  /** What was found out of next hops may be wrong now. */
  routesChanged(): void;
  /** Adds and replaces; a replaced flow keeps its counters. Why not all of them are there, or null. */
  set(flows: readonly Flow[]): string | null;
  /** Removes flows; their last counters, in the same order. Unknown ones have none. */
  remove(locals: readonly Endpoint[]): readonly FlowCounters[];
  /** Counters of flows in the same order. */
  read(locals: readonly Endpoint[]): readonly FlowCounters[];
  /** How many flows there are. */
  readonly size: number;
  /** One by one: what is set and removed meanwhile is met or not, the others once each. */
  flows(): Iterable<Flow>;
  /** Packets by what became of them, those of no flow too. */
  totals(): Readonly<Record<string, number>>;
  /**
   * To be called every second: why the kernel does not forward what it should, or null. From then on
   * it takes no flows; those it has are the caller's to remove.
   */
  supervise(): string | null;
  /** Leaves everything in the kernel going. */
  close(): void;
  /** Nothing is left in the kernel. Why not, or null. */
  removeAll(): string | null;
}
