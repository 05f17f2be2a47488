/**
 * What the kernel has forwarded for whom, as of the last reading. Reading thousands of flows takes a while, so they are
 * read seldom, and in slices.
 */
import { SlicedWork } from '../media/slices.js';
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
  readonly locals: readonly Local[];
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
function addCounters(a: FlowCounters, b: FlowCounters): FlowCounters {
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

/** So many calls are read together: a reading of its own for each costs several times as much. */
const callsPerReading = 16;

const noneYet: CallTotals = { ...noTotals, lastPacketMicros: 0 };

export class FlowTotals<Local> {
  readonly #read: (locals: readonly Local[]) => readonly FlowCounters[];
  readonly #onRead: (local: Local, counters: FlowCounters) => void;
  readonly #monotonicMicros: () => number;
  readonly #wallMicros: (monotonic: number) => number;
  readonly #calls = new Map<string, CallTotals>();
  readonly #work: SlicedWork;
  #ended = noTotals;
  #current = noTotals;
  #nextReadMicros = 0;

  /**
   * `onRead` is told what each reading says of each flow; `wallMicros` is the wall clock of a moment of
   * CLOCK_MONOTONIC, µs; 0 of 0.
   */
  constructor(
    read: (locals: readonly Local[]) => readonly FlowCounters[],
    onRead: (local: Local, counters: FlowCounters) => void,
    monotonicMicros: () => number,
    wallMicros: (monotonic: number) => number,
    onError: (error: unknown) => void,
  ) {
    this.#read = read;
    this.#onRead = onRead;
    this.#monotonicMicros = monotonicMicros;
    this.#wallMicros = wallMicros;
    this.#work = new SlicedWork(onError);
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

  /**
   * Reads the counters of all flows in slices, unless that was done a moment ago or goes on. `calls` is asked for
   * the next one as it is read: what has ended must not be among them.
   */
  refresh(calls: () => Iterable<CountedCall<Local>>, flowCount: number): void {
    const now = this.#monotonicMicros();
    if (now < this.#nextReadMicros) return;
    const seconds = Math.min(maxReadSeconds, flowCount * readSecondsPerFlow);
    this.#nextReadMicros = now + Math.max(leastReadSeconds, seconds) * 1e6;
    this.#work.begin(
      () => together(calls()),
      (some) => this.#readSome(some),
    );
  }

  #readSome(calls: readonly CountedCall<Local>[]): void {
    const flows = calls.flatMap(({ locals }) => [...locals]);
    const read = this.#read(flows);
    flows.forEach((flow, position) => this.#onRead(flow, read[position] ?? noCounters));
    let at = 0;
    for (const { callId, past, locals } of calls) {
      let totals = noneYet;
      for (const counters of past) totals = this.#plus(totals, counters);
      for (let left = locals.length; left > 0; left -= 1, at += 1)
        totals = this.#plus(totals, read[at] ?? noCounters);
      const before = this.#calls.get(callId) ?? noTotals;
      this.#current = plus(plus(this.#current, before, -1), totals);
      this.#calls.set(callId, totals);
    }
  }

  #plus(totals: CallTotals, counters: FlowCounters): CallTotals {
    const last = this.#wallMicros(counters.lastPacketMicros);
    return {
      ...plus(totals, counters),
      lastPacketMicros: Math.max(totals.lastPacketMicros, last),
    };
  }
}

/** Calls that the kernel has counted anything of, some at a time. */
function* together<Local>(
  calls: Iterable<CountedCall<Local>>,
): Generator<readonly CountedCall<Local>[]> {
  let some: CountedCall<Local>[] = [];
  for (const call of calls) {
    some.push(call);
    if (some.length < callsPerReading) continue;
    yield some;
    some = [];
  }
  yield some;
}
