/** From a call to what the relay has to do for it. Pure. */
import { CallIndex, isHeld } from './call-index.js';
import {
  type CallState,
  type Endpoint,
  type LocalSocket,
  type Media,
  type Stream,
} from './call-state.js';
import type { InterfaceTable } from './interfaces.js';
import { payloadRules, restrictionsOf } from './payload-rules.js';
import type { MediaPlan, SocketPlan, SrtpSessionPlan, StreamPlan } from './relay.js';
import { passesKeys } from './sdes/apply.js';
import { keyBytes, mkiBytes, type CryptoLine } from './sdes/crypto-line.js';
import { isFeedbackProtocol, isRtpProtocol, isSecureProtocol, isZeroAddress } from '../sdp/view.js';

/** A socket of the call lies on an address that this node's interfaces do not have. */
export class MissingAddressError extends Error {
  override readonly name = 'MissingAddressError';
  constructor({ logicalInterface, family, addressIndex }: LocalSocket) {
    super(`no local address ${addressIndex} (${family} first) on interface '${logicalInterface}'`);
  }
}

/** What the relay has to open and forward. @throws MissingAddressError (restored calls only). */
export function mediaPlan(state: CallState, interfaces: InterfaceTable): MediaPlan {
  const index = new CallIndex(state);
  const streams = withOpenSockets(state);
  const sockets: SocketPlan[] = [];
  for (const socket of state.sockets) {
    if (!socket.open) continue;
    const { logicalInterface, family, addressIndex } = socket;
    const local = interfaces.addressAt(logicalInterface, family, addressIndex);
    if (local === null) throw new MissingAddressError(socket);
    sockets.push({
      id: socket.id,
      streamId: socket.streamId,
      localAddress: local.address,
      localPort: socket.port,
    });
  }
  const plans: StreamPlan[] = [];
  for (const stream of streams.values()) {
    const media = index.medias.get(stream.mediaId);
    if (media === undefined) continue;
    plans.push(streamPlan(index, stream, media, streams));
  }
  return { callId: state.callId, tos: state.tos, sockets, streams: plans };
}

/** rtpengine leaves a socket that was given up (rtcp-mux) with its stream; nothing can be sent from it. */
function withOpenSockets(state: CallState): ReadonlyMap<number, Stream> {
  const closed = new Set(state.sockets.filter(({ open }) => !open).map(({ id }) => id));
  const usable = (stream: Stream): Stream =>
    stream.selectedSocket !== null && closed.has(stream.selectedSocket)
      ? { ...stream, selectedSocket: null }
      : stream;
  return new Map(state.streams.map((stream) => [stream.id, usable(stream)]));
}

/** An address packets can be sent to. */
function reachable(endpoint: Endpoint | null): Endpoint | null {
  if (endpoint === null || endpoint.port === 0 || endpoint.address === '') return null;
  return isZeroAddress(endpoint.address) ? null : endpoint;
}

function streamPlan(
  index: CallIndex,
  stream: Stream,
  media: Media,
  streams: ReadonlyMap<number, Stream>,
): StreamPlan {
  const { state } = index;
  const owner = index.participants.get(media.participantId);
  const position = media.streams.indexOf(stream.id);
  const subscribers = index.subscribersOf(media.id);
  const targets = index.targetsOf(stream);
  const isRtp = isRtpProtocol(media.protocol);
  const restrictions = restrictionsOf(state, owner);
  const srtp = srtpOf(index, media);
  const isSrtp = isSecureProtocol(media.protocol) || media.sdes?.passthrough === true;
  const transparent = !isRtp || (srtp === null && isSrtp);
  const asymmetric = media.flags.has('asymmetric');
  const strictSource = stream.flags.has('strict-source');
  // Before somebody has answered nothing can be known of who else may send here.
  const awaitsAnswer =
    strictSource &&
    !subscribers.some(({ media: subscriber }) =>
      streams.get(subscriber.streams[position] ?? -1)?.flags.has('filled'),
    );
  return {
    id: stream.id,
    component: stream.component,
    endpoint: reachable(stream.endpoint),
    signalledEndpoint: reachable(stream.advertisedEndpoint),
    confirmed: stream.flags.has('confirmed'),
    learning: asymmetric || awaitsAnswer ? 'off' : media.endpointLearning,
    latchEpoch: stream.latchEpoch,
    strictSource,
    mediaHandover: stream.flags.has('media-handover'),
    rtcpMux: stream.component === 1 && media.rtcpMux,
    transparent: transparent && stream.component === 1,
    // What is encrypted cannot be taken out.
    srtp,
    feedback: isFeedbackProtocol(media.protocol) && !transparent,
    // Without payload types there is nothing to tell apart; RTCP goes on (10.5 seen).
    blocked: state.dropTraffic || (!isRtp && stream.component === 1 && restrictions.blockMedia),
    payloads:
      isRtp && stream.component === 1
        ? payloadRules(restrictions, media, index.receiversOf(media.id))
        : null,
    pierceNat: stream.flags.has('pierce-nat'),
    natWait: stream.flags.has('nat-wait'),
    clockRate: clockRateOf(media),
    egressSocket: egressSocketOf(stream, streams, media),
    rtpSinks: reachedBy(targets.rtp),
    rtcpSinks: reachedBy(targets.rtcp),
    initialStats: {
      packets: stream.stats.packets,
      bytes: stream.stats.bytes,
      errors: stream.stats.errors,
      kernelPackets: stream.stats.kernelPackets,
      kernelBytes: stream.stats.kernelBytes,
      lastPacketMicros: 0,
    },
  };
}

function passesThrough(index: CallIndex, media: Media): boolean {
  if (media.sdes === null) return false;
  // One of several branches may have taken keys of ours: then nobody gets what he cannot read.
  const subscribers = index.subscribersOf(media.id);
  return (
    subscribers.length > 0 &&
    subscribers.every(({ media: { sdes } }) => passesKeys(media.sdes, sdes))
  );
}

/** A key of the other end is not ours to encrypt with. */
const isForeign = (index: CallIndex, { id, sdes }: Media): boolean =>
  sdes !== null &&
  (sdes.passthrough ||
    index.subscribersOf(id).some(({ media }) => media.sdes?.receive?.key === sdes.send?.key));

const noKeys = { receive: null, send: null } as const;

/** Its SRTP ends elsewhere, but what it would get is decrypted here, or came in the clear. */
const wouldGetClearMedia = (index: CallIndex, media: Media): boolean =>
  isSecureProtocol(media.protocol) &&
  index
    .subscribersOf(media.id)
    .some(({ media: { sdes, protocol } }) => sdes !== null || !isSecureProtocol(protocol));

/** null: it is plain, or passes through. */
function srtpOf(index: CallIndex, media: Media): StreamPlan['srtp'] {
  const { sdes } = media;
  if (sdes === null) return wouldGetClearMedia(index, media) ? noKeys : null;
  if (passesThrough(index, media)) return null;
  const isAgreed = sdes.receive !== null || sdes.send !== null || sdes.required;
  if (!isAgreed && !isSecureProtocol(media.protocol)) return null;
  return {
    receive: sessionPlan(media, 'receive', sdes.receive),
    send: isForeign(index, media) ? null : sessionPlan(media, 'send', sdes.send),
  };
}

function sessionPlan(
  media: Media,
  direction: 'receive' | 'send',
  line: CryptoLine | null,
): SrtpSessionPlan | null {
  if (line === null) return null;
  return {
    suite: line.suite,
    key: keyBytes(line),
    mki: mkiBytes(line.mki),
    unencryptedSrtp: line.unencryptedSrtp,
    unencryptedSrtcp: line.unencryptedSrtcp,
    unauthenticatedSrtp: line.unauthenticatedSrtp,
    resumed: media.srtpResume[direction] !== null,
    indexes: media.srtpResume[direction] ?? [],
  };
}

const reachedBy = (targets: readonly Stream[]): number[] =>
  targets.filter((target) => !isHeld(target)).map(({ id }) => id);

function clockRateOf(media: Media): number {
  return media.codecs.find((codec) => codec.ptimeMs >= 0)?.clockRate ?? 0;
}

/** With a single port for both (rtcp-mux) RTCP leaves from the RTP port. */
function egressSocketOf(
  stream: Stream,
  streams: ReadonlyMap<number, Stream>,
  media: Media,
): number | null {
  if (stream.selectedSocket !== null || stream.component === 1) return stream.selectedSocket;
  const rtpId = media.streams.find((id) => streams.get(id)?.rtcpSibling === stream.id);
  return rtpId === undefined ? null : (streams.get(rtpId)?.selectedSocket ?? null);
}
