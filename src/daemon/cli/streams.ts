/** Ours: `streams`, all streams with their counters, as JSON; `rtprelayctl top` makes rates of it. */
import { inSlices } from '../../media/slices.js';
import { printableJson } from '../../observe/printable.js';

/** RTP (or RTCP) between the relay and one side of a call. */
export interface ListedStream {
  readonly tag: string;
  readonly label: string | null;
  readonly media: string;
  /** Position in the SDP, from 1. */
  readonly section: number;
  readonly local: string;
  /** null: not known yet. */
  readonly remote: string | null;
  /** Received from there, of that dropped, and sent there. */
  readonly packets: number;
  readonly bytes: number;
  readonly errors: number;
  readonly packetsOut: number;
  readonly kernelPackets: number;
  /** null: never. */
  readonly lastPacketSecondsAgo: number | null;
  /** Of what is received from there, as those who get it report (RTCP), else as the relay measures; null: unknown. */
  readonly lossPercent: number | null;
  readonly jitterMs: number | null;
  /** What of it was lost before it came here (`--measure-rtp`); null: not measured. */
  readonly arrivedLossPercent: number | null;
  readonly mos: number | null;
}

export interface CallStreams {
  readonly callId: string;
  readonly foreign: boolean;
  /** RTP streams only. */
  readonly streams: readonly ListedStream[];
}

export interface StreamsSnapshot {
  /** Of a clock that does not jump. */
  readonly atMicros: number;
  readonly calls: readonly CallStreams[];
}

/** Where they come from. */
interface StreamSource {
  streams(): { readonly atMicros: number; readonly calls: Iterable<CallStreams> };
}

/** The whole answer, in parts. Others are served between slices of it. */
export async function streamsText(target: StreamSource): Promise<readonly string[]> {
  const { atMicros, calls } = target.streams();
  const parts = [`{"atMicros":${atMicros},"calls":[`];
  await inSlices(calls, (call) => {
    parts.push(`${parts.length > 1 ? ',' : ''}${printableJson(JSON.stringify(call))}`);
  });
  parts.push(']}\n');
  return parts;
}

/** What `streamsText` wrote. @throws Error for anything else, e.g. a daemon that does not know the command. */
export function parseSnapshot(text: string): StreamsSnapshot {
  try {
    const value = JSON.parse(text) as StreamsSnapshot;
    if (Array.isArray(value.calls) && typeof value.atMicros === 'number') return value;
  } catch {
    // Said below.
  }
  throw new Error(`the daemon cannot list its streams: ${text.trim().slice(0, 80)}`);
}
