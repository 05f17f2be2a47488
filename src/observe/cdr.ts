/** The call record of `--log-facility-cdr`, one line at the end of a call (as seen on rtpengine 10.5 and 12.5). */
import { CallIndex, type Relations } from '../media/call-index.js';
import type {
  CallState,
  Endpoint,
  LocalSocket,
  Media,
  Participant,
  Stream,
} from '../media/call-state.js';
import type { CallStatistics } from '../media/relay.js';
import type { CloseReason } from './counters.js';

const terminations: Readonly<Record<CloseReason, string>> = {
  regular: 'REGULAR',
  forced: 'FORCED',
  timeout: 'TIMEOUT',
  'silent-timeout': 'SILENT TIMEOUT',
  'final-timeout': 'FINAL TIMEOUT',
  'offer-timeout': 'OFFER TIMEOUT',
};

const time = (micros: number): string => (micros / 1e6).toFixed(6);

/** `endedMicros` and all moments in `state` and `statistics`: wall clock. */
export interface CdrContext {
  readonly reason: CloseReason;
  readonly endedMicros: number;
  readonly localAddressOf: (socket: LocalSocket) => string;
}

/** What rtpengine writes for a tag that is not known. */
const tagText = (tag: string | null): string => tag ?? '(null)';

/** Of the last offer or answer; who is in no dialogue by these is neither. @param at its place in the call */
export function tagType(
  { tag, associated, turned }: Participant,
  related: Relations | undefined,
  at: number,
): 'FROM_TAG' | 'TO_TAG' | 'UNKNOWN' {
  const offered = [...(related?.sources.values() ?? []), ...(related?.subscribers.values() ?? [])];
  const inDialogue = associated.length > 0 || offered.some(({ offerAnswer }) => offerAnswer);
  if (tag === null || !inDialogue) return 'UNKNOWN';
  return (at === 0) !== turned ? 'FROM_TAG' : 'TO_TAG';
}

/** Of the last packet of RTP. */
function payloadType(state: CallState, media: Media, statistics: CallStatistics): number | null {
  const rtp = state.streams.find(
    ({ mediaId, component }) => mediaId === media.id && component === 1,
  );
  const counters = statistics.streams.find(({ streamId }) => streamId === rtp?.id);
  if (counters === undefined || counters.packets === 0) return null;
  return counters.sources.find(({ ssrc }) => ssrc === counters.ssrc)?.payloadType ?? null;
}

/** One line. */
export function cdrLine(state: CallState, statistics: CallStatistics, context: CdrContext): string {
  const { reason, endedMicros } = context;
  const index = new CallIndex(state);
  const relations = index.relations();
  const fields = [
    `ci=${state.callId}`,
    `created_from=${state.createdFrom}`,
    `last_signal=${Math.floor(state.lastSignalMicros / 1e6)}`,
    `tos=${Math.max(0, state.tos)}`,
  ];
  state.participants.forEach((participant, at) => {
    const ml = `ml${at}`;
    const related = relations.get(participant.id);
    const [other] = related?.sources.keys() ?? [];
    fields.push(
      `${ml}_start_time=${time(participant.createdMicros)}`,
      `${ml}_end_time=${time(endedMicros)}`,
      `${ml}_duration=${time(Math.max(0, endedMicros - participant.createdMicros))}`,
      `${ml}_termination=${terminations[reason]}`,
      `${ml}_local_tag=${tagText(participant.tag)}`,
      `${ml}_local_tag_type=${tagType(participant, related, at)}`,
      ...(other === undefined ? [] : [`${ml}_remote_tag=${tagText(other.tag)}`]),
    );
    for (const media of state.medias) {
      if (media.participantId !== participant.id) continue;
      fields.push(`payload_type=${payloadType(state, media, statistics) ?? 'unknown'}`);
      for (const streamId of media.streams) {
        const stream = index.streams.get(streamId);
        if (stream === undefined || (media.rtcpMux && stream.component !== 1)) continue;
        const prefix = `${ml}_midx${media.index}_${stream.component === 1 ? 'rtp' : 'rtcp'}`;
        fields.push(...streamFields(state, stream, statistics, context, prefix));
      }
    }
  });
  return `${fields.join(', ')}, `;
}

function streamFields(
  state: CallState,
  stream: Stream,
  statistics: CallStatistics,
  { localAddressOf }: CdrContext,
  prefix: string,
): readonly string[] {
  const counters = statistics.streams.find(({ streamId }) => streamId === stream.id);
  const socket = state.sockets.find(({ id }) => id === stream.selectedSocket);
  const remote: Endpoint = counters?.endpoint ?? stream.endpoint ?? { address: '', port: 0 };
  const { packets, bytes, errors } = counters ?? stream.stats;
  const last = Math.max(counters?.lastPacketMicros ?? 0, stream.lastPacketMicros);
  return [
    `${prefix}_endpoint_ip=${remote.address}`,
    `${prefix}_endpoint_port=${remote.port}`,
    `${prefix}_local_relay_ip=${socket === undefined ? '0.0.0.0' : localAddressOf(socket)}`,
    `${prefix}_local_relay_port=${socket?.port ?? 0}`,
    `${prefix}_relayed_packets=${packets}`,
    `${prefix}_relayed_bytes=${bytes}`,
    `${prefix}_relayed_errors=${errors}`,
    `${prefix}_last_packet=${Math.floor(last / 1e6)}`,
    `${prefix}_in_tos_tclass=0`,
  ];
}
