/** Log lines about what happens to the media of a call. */
import {
  formatEndpoint,
  sameEndpoint,
  type CallState,
  type Stream,
} from '../../media/call-state.js';
import type { RelayEvent } from '../../media/relay.js';
import type { Log } from '../../observe/log.js';

type EventOf<Type extends RelayEvent['type']> = Extract<RelayEvent, { readonly type: Type }>;

/** The port that the remote sends to, as rtpengine names a stream. */
function portOf(state: CallState, stream: Stream | undefined): number | null {
  const id = stream?.selectedSocket ?? stream?.sockets[0];
  return state.sockets.find((socket) => socket.id === id)?.port ?? null;
}

/**
 * Says where the remote of a stream was found, in rtpengine's words: each time that learning ends, and each
 * address that media-handover follows. `stream` is as before the event.
 */
export function logLearned(
  log: Log,
  state: CallState,
  stream: Stream,
  event: EventOf<'endpoint-learned'>,
): void {
  const media = state.medias.find(({ id }) => id === stream.mediaId);
  const learns =
    stream.flags.has('media-handover') ||
    (media?.endpointLearning !== 'off' && media?.flags.has('asymmetric') === false);
  const confirmed = stream.flags.has('confirmed');
  const known = confirmed && sameEndpoint(stream.endpoint, event.endpoint);
  if (!event.confirmed || known || !learns) return;
  const endpoint = log.mark(formatEndpoint(event.endpoint));
  const port = portOf(state, stream);
  if (confirmed) log.info('core', `Peer address changed to ${endpoint}`, state.callId, port);
  log.info('core', `Confirmed peer address as ${endpoint}`, state.callId, port);
}

/** Says that packets cannot be sent to the remote of a stream. */
export function logSendFailed(log: Log, state: CallState, event: EventOf<'send-failed'>): void {
  const stream = state.streams.find(({ id }) => id === event.transportId);
  const { endpoint, errno, packets } = event;
  const to = endpoint === null ? '' : ` to ${log.mark(formatEndpoint(endpoint))}`;
  const count = packets === 1 ? '' : `, ${packets} packets since the last such line`;
  const port = portOf(state, stream);
  log.warning('core', `Error when sending media${to}: ${errno}${count}`, state.callId, port);
}
