/** Counters of a call's streams as they stand in the journal: 64-bit floats. */
import type { StoredCounters } from '../../redis-store/store.js';
import type { StreamStatistics } from '../../media/relay.js';

/** Stream, packets, bytes, errors, moment of the last packet, and what the kernel's flow has of them. */
const perStream = 7;
/** Of them: what the relay is given to go on from. */
const perBase = 5;

/** @param epochMicros of the daemon's clock: moments are those of CLOCK_MONOTONIC. */
export function countersRecord(streams: readonly StreamStatistics[], epochMicros: number): Buffer {
  const counters = new Float64Array(streams.length * perStream);
  streams.forEach((stream, at) => {
    const { streamId, packets, bytes, errors, lastPacketMicros: last } = stream;
    const moment = last === 0 ? 0 : last - epochMicros;
    const { kernelPackets, kernelBytes } = stream;
    counters.set(
      [streamId, packets, bytes, errors, moment, kernelPackets, kernelBytes],
      at * perStream,
    );
  });
  return Buffer.from(counters.buffer);
}

/** What a record says. */
export interface CallCounters {
  readonly streams: ReadonlyMap<number, StoredCounters>;
  /** As the relay takes them: stream, packets, bytes, errors, moment of the last packet of each. */
  readonly bases: Float64Array;
}

/** What is no whole stream at the end is left out. */
export function readCounters(value: Buffer, epochMicros: number): CallCounters {
  const streams = new Map<number, StoredCounters>();
  const count = Math.floor(value.length / (perStream * 8));
  const bases = new Float64Array(count * perBase);
  for (let index = 0; index < count; index += 1) {
    const counter = (at: number): number => value.readDoubleLE((index * perStream + at) * 8);
    const [streamId, packets, bytes, errors] = [counter(0), counter(1), counter(2), counter(3)];
    const lastPacketMicros = counter(4) === 0 ? 0 : counter(4) + epochMicros;
    const [kernelPackets, kernelBytes] = [counter(5), counter(6)];
    streams.set(streamId, {
      ...{ packets, bytes, errors, kernelPackets, kernelBytes, lastPacketMicros },
    });
    bases.set([streamId, packets, bytes, errors, lastPacketMicros], index * perBase);
  }
  return { streams, bases };
}
