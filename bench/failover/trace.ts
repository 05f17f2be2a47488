/** Times of every packet of a run, and what they say about the moments around an event. */

/** Microseconds since the start of the run, indexed by the number of the packet. */
export interface StreamTrace {
  readonly sent: Int32Array;
  /** -1: did not arrive. */
  readonly arrived: Int32Array;
}

/** A packet that comes later than this is of no use to a jitter buffer. */
export const lateMicros = 60_000;

export function readTrace(file: Buffer): readonly StreamTrace[] {
  const count = file.readInt32LE(0);
  const streams: StreamTrace[] = [];
  let at = 4;
  for (let stream = 0; stream < count; stream++) {
    const packets = file.readInt32LE(at);
    at += 4;
    const sent = new Int32Array(packets);
    const arrived = new Int32Array(packets);
    for (let packet = 0; packet < packets; packet++, at += 8) {
      sent[packet] = file.readInt32LE(at);
      arrived[packet] = file.readInt32LE(at + 4);
    }
    streams.push({ sent, arrived });
  }
  return streams;
}

export interface Window {
  readonly from: number;
  readonly to: number;
}

/** One stream within a window. */
export interface ListedStream {
  readonly lost: number;
  readonly late: number;
  /** Longest time without an arrival, from and to. */
  readonly gap: Window;
  /** Arrival of the packet that followed the longest run of lost ones; null: none was lost. */
  readonly back: number | null;
}

/** Packets sent within the window that are lost or late, and the longest pause of the arrivals. */
export function figuresOf(stream: StreamTrace, window: Window): ListedStream {
  let lost = 0;
  let late = 0;
  const outage = { run: 0, longest: 0, back: null as number | null };
  const arrivals: number[] = [];
  stream.sent.forEach((sent, packet) => {
    const arrived = stream.arrived[packet] ?? -1;
    if (sent >= window.from && sent < window.to) {
      if (arrived < 0) {
        lost += 1;
        outage.run += 1;
      } else {
        if (outage.run > outage.longest) {
          outage.longest = outage.run;
          outage.back = arrived;
        }
        outage.run = 0;
      }
      if (arrived >= 0 && arrived - sent > lateMicros) late += 1;
    }
    if (arrived >= window.from && arrived < window.to) arrivals.push(arrived);
  });
  arrivals.sort((a, b) => a - b);
  let gap: Window = { from: window.from, to: window.from };
  // The last arrival counts against the end: a stream that stays away has a gap up to there.
  let previous = window.from;
  for (const arrived of [...arrivals, window.to]) {
    if (arrived - previous > gap.to - gap.from) gap = { from: previous, to: arrived };
    previous = arrived;
  }
  return { lost, late, gap, back: outage.back };
}

/** How long the packet of a stream that took longest took; 0: none was sent within the window and arrived. */
export function longestWay({ sent, arrived }: StreamTrace, window: Window): number {
  let longest = 0;
  sent.forEach((at, packet) => {
    if (at < window.from || at >= window.to) return;
    longest = Math.max(longest, (arrived[packet] ?? -1) - at);
  });
  return longest;
}

/** Packets by the bin of their arrival. */
export function arrivalsPerBin(
  streams: readonly StreamTrace[],
  window: Window,
  binMicros: number,
): readonly number[] {
  const bins = new Array<number>(Math.ceil((window.to - window.from) / binMicros)).fill(0);
  for (const { arrived } of streams) {
    for (const at of arrived) {
      const bin = Math.floor((at - window.from) / binMicros);
      if (at >= 0 && bin >= 0 && bin < bins.length) bins[bin] = (bins[bin] ?? 0) + 1;
    }
  }
  return bins;
}

/** One-way latency of the packets sent within the window, sorted, microseconds. */
export function latencies(streams: readonly StreamTrace[], window: Window): readonly number[] {
  const found: number[] = [];
  for (const { sent, arrived } of streams) {
    sent.forEach((at, packet) => {
      const arrival = arrived[packet] ?? -1;
      if (at >= window.from && at < window.to && arrival >= 0) found.push(arrival - at);
    });
  }
  return found.sort((a, b) => a - b);
}

/** Streams without a single arrival in the window, by call: two streams each. */
export function silentCalls(streams: readonly StreamTrace[], window: Window): number {
  const silent = new Set<number>();
  streams.forEach(({ arrived }, stream) => {
    if (!arrived.some((at) => at >= window.from && at < window.to)) silent.add(stream >> 1);
  });
  return silent.size;
}

/** Nearest rank; NaN of nothing. */
export function quantile(sorted: readonly number[], share: number): number {
  const rank = Math.max(0, Math.ceil(share * sorted.length) - 1);
  return sorted[rank] ?? Number.NaN;
}

export interface Spread {
  readonly median: number;
  readonly p95: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => quantile(sorted, share);
  return { median: at(0.5), p95: at(0.95), max: at(1) };
}
