/** What is known of a call when somebody asks why nothing is heard. */
import type { CallState, Endpoint, Media, Participant, Stream } from '../../media/call-state.js';
import type { CallStatistics, StreamStatistics, StreamTrace } from '../../media/relay.js';
import type { CloseReason } from '../counters.js';
import type { Quality } from '../measured.js';

/** A local address of the call, as this machine sees it. */
export interface LocalPort {
  readonly endpoint: Endpoint;
  /** What the SDP says instead, where it differs. */
  readonly advertised: string;
  /** Whether the machine has the address. */
  readonly isHere: boolean;
}

export interface CallEvidence {
  readonly state: CallState;
  readonly statistics: CallStatistics;
  readonly traces: readonly StreamTrace[];
  /** By socket id; those of open sockets. */
  readonly ports: ReadonlyMap<number, LocalPort>;
  /** µs, by the clock of all moments here. */
  readonly nowMicros: number;
  /** What a silent call lives, s. */
  readonly timeoutSeconds: number;
  /** null: the call goes on. */
  readonly ended: { readonly reason: CloseReason; readonly atMicros: number } | null;
}

/** One stream with all that is known of it. */
export interface StreamEvidence {
  readonly stream: Stream;
  readonly counters: StreamStatistics | null;
  readonly trace: StreamTrace | null;
  /** Where it receives. */
  readonly local: LocalPort | null;
}

/** One end of a direction: a section of a participant. */
export interface EndEvidence {
  readonly participant: Participant;
  readonly media: Media;
  readonly rtp: StreamEvidence;
  readonly rtcp: StreamEvidence | null;
}

/** What `from` sends and `to` is to get. */
export interface DirectionEvidence {
  readonly from: EndEvidence;
  readonly to: EndEvidence;
  /** What the way back has received from `to`. */
  readonly back: StreamEvidence;
  /** Of what `from` sends. */
  readonly quality: Quality;
  readonly call: CallEvidence;
}

/** Seconds since a moment, in words: `3 s`, `4:05 min`. */
export function ago(nowMicros: number, micros: number): string {
  const seconds = Math.max(0, Math.floor((nowMicros - micros) / 1e6));
  if (seconds < 120) return `${seconds} s`;
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} min`;
}

/** How a participant is called. */
export function nameOf({ tag, label }: Pick<Participant, 'tag' | 'label'>): string {
  const name = tag === null || tag === '' ? 'the side without a tag' : `'${tag}'`;
  return label === null ? name : `${name} (${label})`;
}

export const packetsOf = ({ counters, stream }: StreamEvidence): number =>
  counters?.packets ?? stream.stats.packets;

/** Of them: taken, whatever became of them then. */
export const admittedOf = (evidence: StreamEvidence): number => {
  const drops = evidence.counters?.drops ?? {};
  const refused = ['strict-source', 'truncated', 'not-authentic', 'no-key', 'repeated'] as const;
  return refused.reduce((left, reason) => left - (drops[reason] ?? 0), packetsOf(evidence));
};

export const remoteOf = ({ counters, stream }: StreamEvidence): Endpoint | null =>
  counters?.endpoint ?? stream.endpoint;

/** When something of it came last; 0 never. */
export const lastOf = ({ counters, stream }: StreamEvidence): number =>
  Math.max(
    counters?.lastPacketMicros ?? 0,
    packetsOf({ counters, stream, trace: null, local: null }) > 0 ? stream.lastPacketMicros : 0,
  );
