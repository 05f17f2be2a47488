/**
 * Media that another instance has sent here, to get it back elsewhere (ng-protocol.md §3.18). Nothing is transcoded:
 * what goes out has the codecs that come in.
 */
import { copyOfMedia, shallowCopyOf, type CallState, type Endpoint } from '../call-state.js';
import { SignallingError } from '../errors.js';
import type { SignallingContext, SignallingRequest } from '../signalling.js';
import { newBodyEdits, newCodecLists } from '../../sdp/edits.js';
import { publish } from './publish.js';
import type { TransformCodec, TransformMedia } from '../../ng-protocol/requests.js';
import type { SubscriptionResult } from './subscribe.js';

export interface TransformedMedia {
  readonly id: string;
  /** Where its input is to be sent, as the other instance knows it. */
  readonly local: Endpoint;
}

export interface Transformed extends SubscriptionResult {
  readonly isNewCall: boolean;
  readonly medias: readonly TransformedMedia[];
}

const sameCodec = (one: TransformCodec, other: TransformCodec): boolean =>
  one.payloadType === other.payloadType &&
  one.encoding.toLowerCase() === other.encoding.toLowerCase() &&
  one.clockRate === other.clockRate &&
  one.channels === other.channels;

const failed = (reason: string): SignallingError =>
  new SignallingError('not-possible', 'Failed to set up transform', { cause: new Error(reason) });

function sectionOf({ type, output, destination }: TransformMedia): string {
  const { address, port } = destination;
  const family = address.includes(':') ? 'IP6' : 'IP4';
  const formats = output.map(({ payloadType }) => payloadType).join(' ');
  const lines = output.map(({ payloadType, encoding, clockRate, channels, fmtp }) => {
    const count = channels > 1 ? `/${channels}` : '';
    const rtpmap = `a=rtpmap:${payloadType} ${encoding}/${clockRate}${count}\r\n`;
    return fmtp === '' ? rtpmap : `${rtpmap}a=fmtp:${payloadType} ${fmtp}\r\n`;
  });
  return `m=${type} ${port} RTP/AVP ${formats}\r\nc=IN ${family} ${address}\r\n${lines.join('')}`;
}

/** The address and port of ours that face a media. */
function localOf(state: CallState, mediaId: number, context: SignallingContext): Endpoint {
  const streamId = state.medias.find(({ id }) => id === mediaId)?.streams[0];
  const socketId = state.streams.find(({ id }) => id === streamId)?.selectedSocket;
  const socket = state.sockets.find(({ id }) => id === socketId);
  const address =
    socket === undefined
      ? null
      : context.interfaces.addressAt(socket.logicalInterface, socket.family, socket.addressIndex);
  if (socket === undefined || address === null) throw failed('no port of ours');
  return { address: address.advertised, port: socket.port };
}

/** What each media of the participant sends goes to itself, i.e. to its destination. */
function selfSubscribed(state: CallState, ids: ReadonlySet<number>): CallState {
  const next = shallowCopyOf(state);
  next.medias = state.medias.map((media) => {
    if (!ids.has(media.id)) return media;
    const own = copyOfMedia(media);
    const kind = { offerAnswer: false, rtcpOnly: false, egress: false, inject: false };
    own.subscriptions = [{ mediaId: media.id, ...kind }];
    return own;
  });
  return next;
}

/** `request.fromTag` names the participant that is made, or made anew. @throws SignallingError */
export function transform(
  previous: CallState | null,
  request: SignallingRequest,
  wanted: readonly TransformMedia[],
  context: SignallingContext,
): Transformed {
  for (const { id, input, output } of wanted) {
    if (output.length === 0) throw failed(`media '${id}' has no codec to send`);
    const stranger = input.find((codec) => !output.some((other) => sameCodec(codec, other)));
    if (stranger !== undefined) {
      throw failed(`media '${id}': ${stranger.encoding} would have to be transcoded`);
    }
  }
  const head = `v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n`;
  const sdp = `${head}${wanted.map(sectionOf).join('')}`;
  const codecs = { ...newCodecLists(), accept: ['any', 'all'] };
  const edits = { ...newBodyEdits(), codecs };
  const flags = new Set([...request.flags, 'bidirectional' as const, 'asymmetric' as const]);
  const body = { ...request, sdp, edits, flags };
  const { state, isNewCall, warnings } = publish(previous, body, context);
  const party = state?.participants.find(({ tag }) => tag === request.fromTag);
  if (state === null || party === undefined) throw failed('no participant');
  const medias = wanted.map(({ id }, at) => ({
    id,
    local: localOf(state, party.medias[at] ?? -1, context),
  }));
  return { state: selfSubscribed(state, new Set(party.medias)), isNewCall, warnings, medias };
}
