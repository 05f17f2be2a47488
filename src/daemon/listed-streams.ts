/** A call's RTP streams with their counters, for `top`. */
import { CallIndex } from '../media/call-index.js';
import { formatEndpoint, type CallState, type LocalSocket } from '../media/call-state.js';
import type { CallStatistics } from '../media/relay.js';
import { heardQuality } from '../observe/measured.js';
import type { CallStreams, ListedStream } from './cli/streams.js';

/** @param nowMicros by the clock of the state's moments. */
export function callStreams(
  state: CallState,
  statistics: CallStatistics,
  nowMicros: number,
  localAddressOf: (socket: LocalSocket) => string,
): CallStreams {
  const index = new CallIndex(state);
  const counters = new Map(statistics.streams.map((entry) => [entry.streamId, entry]));
  const tags = new Map(state.participants.map((participant) => [participant.id, participant]));
  const streams = state.medias.flatMap((media): ListedStream[] => {
    const stream = media.streams
      .map((id) => index.streams.get(id))
      .find((each) => each?.component === 1 && each.selectedSocket !== null);
    if (stream === undefined) return [];
    const entry = counters.get(stream.id);
    const socket = state.sockets.find(({ id }) => id === stream.selectedSocket);
    const last = entry?.lastPacketMicros ?? 0;
    const remote = entry?.endpoint ?? stream.endpoint;
    const participant = tags.get(media.participantId);
    return [
      {
        tag: participant?.tag ?? '',
        label: participant?.label ?? null,
        media: media.type,
        section: media.index,
        local:
          socket === undefined
            ? ''
            : formatEndpoint({ address: localAddressOf(socket), port: socket.port }),
        remote: remote === null ? null : formatEndpoint(remote),
        packets: entry?.packets ?? 0,
        bytes: entry?.bytes ?? 0,
        errors: entry?.errors ?? 0,
        packetsOut: entry?.packetsOut ?? 0,
        kernelPackets: entry?.kernelPackets ?? 0,
        lastPacketSecondsAgo: last === 0 ? null : Math.max(0, Math.floor((nowMicros - last) / 1e6)),
        ...heardQuality(index, media, statistics, entry),
      },
    ];
  });
  return { callId: state.callId, foreign: state.ownership === 'foreign', streams };
}
