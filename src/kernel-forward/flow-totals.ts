/**
 * What the kernel has forwarded for whom, as of the last reading. Reading thousands of flows takes a while, so all of
 * them are read together and seldom.
 */
import { noCounters, type FlowCounters } from './forwarder.js';

export interface Totals {
  readonly packets: number;
  /** UDP payload. */
  readonly bytes: number;
}

interface CallTotals extends Totals {
  /** Wall clock, µs. */
  readonly lastPacketMicros: number;
}

/** The counters of a call: of flows that are gone, and of those that may be read. */
export interface CountedCall<Local> {
  readonly callId: string;
  readonly past: Iterable<FlowCounters>;
  readonly locals: Iterable<Local>;
}

const noTotals: Totals = { packets: 0, bytes: 0 };

const plus = (a: Totals, b: Totals, sign: 1 | -1 = 1): Totals => ({
  packets: a.packets + sign * b.packets,
  bytes: a.bytes + sign * b.bytes,
});

/** All flows are read about this often, and less often when there are many: s per flow. */
const readSecondsPerFlow = 1 / 4000;
const leastReadSeconds = 0.5;
const maxReadSeconds = 10;

/** Two readings of one stream: what an ended flow has counted, and what goes on. */
export function addCounters(a: FlowCounters, b: FlowCounters): FlowCounters {
  return {
    packets: a.packets + b.packets,
    bytes: a.bytes + b.bytes,
    lastPacketMicros: Math.max(a.lastPacketMicros, b.lastPacketMicros),
    ssrc: b.ssrc ?? a.ssrc,
    dropped: a.dropped + b.dropped,
    passedUp: a.passedUp + b.passedUp,
    lost: a.lost + b.lost,
    jitter: b.jitter,
  };
}

/** `addCounters` to what stands under a key. */
export function addTo(map: Map<number, FlowCounters>, id: number, counters: FlowCounters): void {
  map.set(id, addCounters(map.get(id) ?? noCounters, counters));
}

export class FlowTotals<Local> {
  readonly #read: (locals: readonly Local[]) => readonly FlowCounters[];
  readonly #monotonicMicros: () => number;
  readonly #wallMicros: (monotonic: number) => number;
  readonly #calls = new Map<string, CallTotals>();
  #ended = noTotals;
  #current = noTotals;
  #nextReadMicros = 0;

  /** `wallMicros` is the wall clock of a moment of CLOCK_MONOTONIC, µs; 0 of 0. */
  constructor(
    read: (locals: readonly Local[]) => readonly FlowCounters[],
    monotonicMicros: () => number,
    wallMicros: (monotonic: number) => number,
  ) {
    this.#read = read;
    this.#monotonicMicros = monotonicMicros;
    this.#wallMicros = wallMicros;
  }

  /** Of all calls, ended ones too. */
  get sum(): Totals {
    return plus(this.#ended, this.#current);
  }

  /** Wall clock, µs; 0 none. */
  lastPacketMicros(callId: string): number {
    return this.#calls.get(callId)?.lastPacketMicros ?? 0;
  }

  /** A call is gone; `past`: all that it has counted. */
  end(callId: string, past: Iterable<FlowCounters>): void {
    for (const counters of past) this.#ended = plus(this.#ended, counters);
    this.#current = plus(this.#current, this.#calls.get(callId) ?? noTotals, -1);
    this.#calls.delete(callId);
  }

  /** Reads the counters of all flows, unless that was done a moment ago. */
  refresh(calls: Iterable<CountedCall<Local>>, flowCount: number): void {
    const now = this.#monotonicMicros();
    if (now < this.#nextReadMicros) return;
    const seconds = Math.min(maxReadSeconds, flowCount * readSecondsPerFlow);
    this.#nextReadMicros = now + Math.max(leastReadSeconds, seconds) * 1e6;
    this.#calls.clear();
    const owned: { readonly callId: string; readonly local: Local }[] = [];
    for (const { callId, past, locals } of calls) {
      for (const counters of past) this.#add(callId, counters);
      for (const local of locals) owned.push({ callId, local });
    }
    const read = this.#read(owned.map(({ local }) => local));
    owned.forEach(({ callId }, at) => {
      this.#add(callId, read[at] ?? noCounters);
    });
    this.#current = [...this.#calls.values()].reduce((sum, each) => plus(sum, each), noTotals);
  }

  #add(callId: string, counters: FlowCounters): void {
    const before = this.#calls.get(callId) ?? noCounters;
    const last = this.#wallMicros(counters.lastPacketMicros);
    this.#calls.set(callId, {
      ...plus(before, counters),
      lastPacketMicros: Math.max(before.lastPacketMicros, last),
    });
  }
}
