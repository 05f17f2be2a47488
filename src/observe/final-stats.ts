/** The "Final packet stats" block at the end of a call (options.md §7, the 10.5 form). */
import { CallIndex } from '../media/call-index.js';
import type { CallState, LocalSocket, Stream } from '../media/call-state.js';
import type { CallStatistics, SsrcStatistics } from '../media/relay.js';
import { heardCodec } from './query-reply.js';

/** `M:SS` */
function duration(micros: number): string {
  const total = Math.max(0, Math.floor(micros / 1e6));
  return `${Math.floor(total / 60)}:${String(total % 60).padStart(2, '0')}`;
}

const addressText = (address: string, port: number): string =>
  `${address.padStart(15)}:${String(port).padEnd(5)}`;

/** One entry a log line. @param nowMicros wall clock. */
export function finalStatsLines(
  state: CallState,
  statistics: CallStatistics,
  nowMicros: number,
  localAddressOf: (socket: LocalSocket) => string,
): readonly string[] {
  const lines = ['Final packet stats:'];
  const index = new CallIndex(state);
  const relations = index.relations();
  for (const participant of state.participants) {
    const label = participant.label === null ? '' : ` (label '${participant.label}')`;
    lines.push(
      `--- Tag '${participant.tag ?? ''}'${label}, created ${duration(nowMicros - participant.createdMicros)} ago for branch '${participant.viaBranch ?? ''}'`,
    );
    const related = relations.get(participant.id);
    for (const source of related?.sources.keys() ?? []) {
      lines.push(`---     subscribed to '${source.tag ?? ''}'`);
    }
    for (const subscriber of related?.subscribers.keys() ?? []) {
      lines.push(`---     subscription for '${subscriber.tag ?? ''}'`);
    }
    const streamIds = new Set<number>();
    for (const media of state.medias) {
      if (media.participantId !== participant.id) continue;
      const codec = heardCodec(state, media, statistics) ?? 'unknown codec';
      lines.push(
        `------ Media #${media.index} (${media.type} over ${media.protocol}) using ${codec}`,
      );
      for (const streamId of media.streams) {
        streamIds.add(streamId);
        const stream = index.streams.get(streamId);
        if (stream === undefined) continue;
        lines.push(portLine(state, stream, statistics, nowMicros, localAddressOf));
      }
    }
    for (const entry of statistics.ssrcs) {
      if (!streamIds.has(entry.streamId)) continue;
      lines.push(...ssrcLines(state, entry));
    }
  }
  return lines;
}

function portLine(
  state: CallState,
  stream: Stream,
  statistics: CallStatistics,
  nowMicros: number,
  localAddressOf: (socket: LocalSocket) => string,
): string {
  const socket = state.sockets.find(({ id }) => id === stream.selectedSocket);
  const counters = statistics.streams.find(({ streamId }) => streamId === stream.id);
  const remote = counters?.endpoint ?? stream.endpoint;
  const local =
    socket === undefined ? addressText('', 0) : addressText(localAddressOf(socket), socket.port);
  const far = remote === null ? addressText('', 0) : addressText(remote.address, remote.port);
  const rtcp = stream.component === 2 ? ' (RTCP)' : '';
  const last = Math.max(counters?.lastPacketMicros ?? 0, stream.lastPacketMicros);
  const idle = Math.max(0, Math.floor((nowMicros - last) / 1e6));
  const ssrc = (counters?.ssrc ?? 0).toString(16);
  const { packets, bytes, errors } = counters ?? stream.stats;
  return `--------- Port ${local} <> ${far}${rtcp}, SSRC ${ssrc}, ${packets} p, ${bytes} b, ${errors} e, ${idle} ts`;
}

function ssrcLines(state: CallState, entry: SsrcStatistics): readonly string[] {
  const { average, lowest, highest } = entry;
  if (average === null || lowest === null || highest === null) return [];
  const mos = (value: number): string => (value / 10).toFixed(1);
  const at = (reportedAtSeconds: number): string =>
    duration(reportedAtSeconds * 1e6 - state.createdMicros);
  return [
    `--- SSRC ${entry.ssrc.toString(16)}`,
    `------ Average MOS ${mos(average.mos)}, lowest MOS ${mos(lowest.mos)} (at ${at(lowest.reportedAtSeconds)}), highest MOS ${mos(highest.mos)} (at ${at(highest.reportedAtSeconds)}) lost:${entry.cumulativeLoss}`,
  ];
}
