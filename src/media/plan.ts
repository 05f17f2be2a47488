/** From a call to what the relay has to do for it. Pure. */
import { stateInUse } from './agreed.js';
import { CallIndex, isHeld, type RouteTargets, type Subscriber } from './call-index.js';
import {
  noStats,
  type CallState,
  type Endpoint,
  type FormerSecurity,
  type LocalSocket,
  type Media,
  type SrtpResume,
  type Stream,
  type StreamStats,
} from './call-state.js';
import { extensionRewrite } from './bundle/extensions.js';
import { Bundles } from './bundle/plan.js';
import { isSameCodec } from './codec-lists.js';
import { directionInUse, receivesFrom } from './media-attributes.js';
import type { InterfaceTable } from './interfaces.js';
import type { RewritePlan } from './packet-plan.js';
import { ownRtcpOf } from './plan-streams.js';
import { announcedTypes, payloadRules, restrictionsOf } from './payload-rules.js';
import type {
  MediaPlan,
  PortPlan,
  RoutePlan,
  SrtpSessionPlan,
  StreamPart,
  StreamPlan,
  TransportPlan,
} from './relay.js';
import { dtlsPlanOf, usesDtls } from './dtls/plan.js';
import { speaksDtls } from './dtls/negotiation.js';
import { icePlanOf, speaksIce } from './ice/plan.js';
import { passesKeys } from './sdes/apply.js';
import { lineOfKeys } from './sdes/stored.js';
import { keyBytes, lineKey, mkiBytes, type CryptoLine } from './sdes/crypto-line.js';
import { isFeedbackProtocol, isRtpProtocol, isSecureProtocol, isZeroAddress } from '../sdp/view.js';

/** A socket of the call lies on an address that this node's interfaces do not have. */
class MissingAddressError extends Error {
  override readonly name = 'MissingAddressError';
  constructor({ logicalInterface, family, addressIndex }: LocalSocket) {
    super(`no local address ${addressIndex} (${family} first) on interface '${logicalInterface}'`);
  }
}

/** What the node's configuration says of every call. */
export interface PlanSettings {
  /** Every source is counted from its RTP (option measure-rtp). */
  readonly measureRtp: boolean;
  /** Mean interval of generated RTCP (option rtcp-interval), ms. */
  readonly rtcpIntervalMs: number;
  /** Each digit that is dialled is told (options dtmf-log-dest, log-facility-dtmf). */
  readonly tellsDigits: boolean;
}

/** rtpengine's. */
const defaultPlanSettings: PlanSettings = {
  measureRtp: false,
  rtcpIntervalMs: 5000,
  tellsDigits: false,
};

/** What the relay has to open and forward. @throws MissingAddressError (restored calls only). */
export function mediaPlan(
  state: CallState,
  interfaces: InterfaceTable,
  settings: PlanSettings = defaultPlanSettings,
): MediaPlan {
  const index = new CallIndex(stateInUse(state));
  const bundles = new Bundles(index);
  const sockets = bundles.portsOf(openSockets(state));
  const ports: PortPlan[] = [];
  for (const socket of state.sockets) if (socket.open) ports.push(portPlan(socket, interfaces));
  const transports: TransportPlan[] = [];
  const streams: StreamPlan[] = [];
  const routes: RoutePlan[] = [];
  for (const stream of state.streams) {
    const media = index.medias.get(stream.mediaId);
    if (media === undefined) continue;
    const transport = bundles.transportOf(stream, media);
    if (transport === stream.id) {
      const own = transportPlan(index, stream, media, sockets.get(stream.id) ?? noSockets);
      const table = bundles.tableOf(stream, media);
      transports.push(table === null ? own : { ...own, demux: table });
    }
    const plan = streamPlan(index, stream, media, transport, settings);
    streams.push(plan);
    addRoutes(routes, index, stream, media, plan.kind === 'opaque');
  }
  return { callId: state.callId, tos: state.tos, ports, transports, streams, routes };
}

/**
 * What `mediaPlan` makes of one stream.
 * @param ports ids of its open sockets.
 */
export function streamPart(
  index: CallIndex,
  stream: Stream,
  media: Media,
  ports: readonly number[],
  settings: PlanSettings,
): StreamPart {
  const routes: RoutePlan[] = [];
  const plan = streamPlan(index, stream, media, stream.id, settings);
  addRoutes(routes, index, stream, media, plan.kind === 'opaque');
  return { transport: transportPlan(index, stream, media, ports), stream: plan, routes };
}

export const noSockets: readonly number[] = [];

/** Ids of the open sockets by their streams. */
export function openSockets({ sockets }: CallState): ReadonlyMap<number, readonly number[]> {
  const open = new Map<number, number[]>();
  for (const socket of sockets) {
    if (!socket.open) continue;
    const ofStream = open.get(socket.streamId);
    if (ofStream === undefined) open.set(socket.streamId, [socket.id]);
    else ofStream.push(socket.id);
  }
  return open;
}

/** @throws MissingAddressError */
export function portPlan(socket: LocalSocket, interfaces: InterfaceTable): PortPlan {
  const { logicalInterface, family, addressIndex } = socket;
  const local = interfaces.addressAt(logicalInterface, family, addressIndex);
  if (local === null) throw new MissingAddressError(socket);
  return { id: socket.id, localAddress: local.address, localPort: socket.port, mode: 'bound' };
}

/** An address packets can be sent to. */
function reachable(endpoint: Endpoint | null): Endpoint | null {
  if (endpoint === null || endpoint.port === 0 || endpoint.address === '') return null;
  return isZeroAddress(endpoint.address) ? null : endpoint;
}

function transportPlan(
  index: CallIndex,
  stream: Stream,
  media: Media,
  ports: readonly number[],
): TransportPlan {
  const position = media.streams.indexOf(stream.id);
  const asymmetric = media.flags.has('asymmetric');
  const strictSource = stream.flags.has('strict-source');
  // Before somebody has answered nothing can be known of who else may send here.
  const awaitsAnswer =
    strictSource &&
    !index
      .subscribersOf(media.id)
      .some(({ media: subscriber }) =>
        index.streams.get(subscriber.streams[position] ?? -1)?.flags.has('filled'),
      );
  const confirmed = stream.flags.has('confirmed');
  const ice = icePlanOf(index.state, media, stream);
  // Of a call that another node has, no handshake is begun; an agent that stands by sees to it itself.
  const waits = index.state.ownership === 'foreign' && ice === null && stream.srtp === null;
  return {
    id: stream.id,
    ports,
    egressPort: egressPortOf(index, stream, media),
    remote: {
      endpoint: ice === null || confirmed ? reachable(stream.endpoint) : null,
      signalledEndpoint: reachable(stream.advertisedEndpoint),
      confirmed,
      generation: stream.learningGeneration,
    },
    // With ICE only checked pairs count.
    learning: asymmetric || awaitsAnswer || speaksIce(media) ? 'off' : media.endpointLearning,
    strictSource,
    mediaHandover: stream.flags.has('media-handover'),
    // A peer may send where these packets come from: they are the owner's.
    pierceNat: stream.flags.has('pierce-nat') && index.state.ownership !== 'foreign',
    natWait: stream.flags.has('nat-wait'),
    demux: stream.component === 1 && media.rtcpMux ? 'rtcp-mux' : 'component',
    ice,
    dtls: waits ? null : dtlsPlanOf(media, stream),
    srtp: srtpOf(index, media, stream),
  };
}

/** Not RTP, or passed through with the ends' own security and checks. */
function isOpaque(index: CallIndex, media: Media): boolean {
  if (!isRtpProtocol(media.protocol) || isLeftToEnds(index, media)) return true;
  const isSrtp = isSecureProtocol(media.protocol) || media.sdes?.passthrough === true;
  return isSrtp && mediaSrtpOf(index, media) === null;
}

function kindOf(index: CallIndex, stream: Stream, media: Media): StreamPlan['kind'] {
  if (stream.component === 2) return isLeftToEnds(index, media) ? 'opaque' : 'rtcp';
  return isOpaque(index, media) ? 'opaque' : 'rtp';
}

function streamPlan(
  index: CallIndex,
  stream: Stream,
  media: Media,
  transport: number,
  settings: PlanSettings,
): StreamPlan {
  const { state } = index;
  const isRtp = isRtpProtocol(media.protocol);
  const owner = index.participants.get(media.participantId);
  // Blocked for everybody who hears it: as if its sender were.
  const restrictions = restrictionsOf(state, owner, isBlockedForAll(index, media));
  const kind = kindOf(index, stream, media);
  const tellsDigits = settings.tellsDigits || state.digitsTo !== '';
  return {
    id: stream.id,
    transport,
    kind,
    // Without payload types there is nothing to tell apart; RTCP goes on (10.5 seen).
    blocked: state.dropTraffic || (!isRtp && stream.component === 1 && restrictions.blockMedia),
    uncounted: state.dropTraffic,
    payloads:
      isRtp && stream.component === 1
        ? payloadRules(
            restrictions,
            media,
            () => index.receiversOf(media.id),
            tellsDigits && kind === 'rtp',
          )
        : null,
    announced: isRtp && kind === 'rtp' ? announcedTypes(media) : null,
    clockRate: clockRateOf(media),
    loopCheck: stream.component === 1 && media.flags.has('loop-check'),
    measured: settings.measureRtp && kind === 'rtp',
    ownRtcp: ownRtcpOf(state, stream, media, kind, settings.rtcpIntervalMs),
    initialStats: stream.stats === noStats ? nothingCounted : countedBefore(stream.stats),
  };
}

const countedBefore = (stats: StreamStats): StreamPlan['initialStats'] => ({
  packets: stats.packets,
  bytes: stats.bytes,
  errors: stats.errors,
  kernelPackets: stats.kernelPackets,
  kernelBytes: stats.kernelBytes,
  lastPacketMicros: 0,
});

/** Of nearly all streams. */
const nothingCounted = countedBefore(noStats);

/** Its side sends RTCP feedback (RFC 4585). What is encrypted cannot be taken out. */
const sendsFeedback = (index: CallIndex, media: Media): boolean =>
  isFeedbackProtocol(media.protocol) && !isOpaque(index, media);

/** It is told feedback: by its profile, or by a=rtcp-fb in another one (12.5 seen). */
const takesFeedback = (index: CallIndex, media: Media): boolean =>
  (isFeedbackProtocol(media.protocol) || media.flags.has('rtcp-fb')) && !isOpaque(index, media);

const nothingRenamed: ReadonlyMap<number, number> = new Map();

/**
 * Header extensions that the side of `target` is not to see are taken out; who has subscribed gets codecs
 * under the numbers of his answer.
 */
function rewriteFor(index: CallIndex, source: Media, target: Stream): RewritePlan | null {
  const receiver = index.medias.get(target.mediaId);
  if (receiver === undefined) return null;
  const payloadTypes = renumbered(source, receiver);
  const extensions = extensionRewrite(source, receiver);
  if (extensions === null && payloadTypes.size === 0) return null;
  return {
    ...{ payloadTypes, ssrcs: nothingRenamed, about: null },
    ...{ sequenceOffset: 0, timestampOffset: 0 },
    extensions,
  };
}

/** Parties of a dialogue are sent the numbers that they asked for; of a subscriber nobody knows them. */
function renumbered(source: Media, receiver: Media): ReadonlyMap<number, number> {
  if (receiver.codecs === source.codecs) return nothingRenamed;
  const subscription = receiver.subscriptions.find(({ mediaId }) => mediaId === source.id);
  if (subscription?.offerAnswer !== false) return nothingRenamed;
  const renamed = new Map<number, number>();
  for (const codec of source.codecs) {
    const own = receiver.codecs.find((each) => isSameCodec(each, codec));
    if (own !== undefined && own.payloadType !== codec.payloadType) {
      renamed.set(codec.payloadType, own.payloadType);
    }
  }
  return renamed;
}

/** What the media sends is not passed on to the receiver. */
const isBlocked = (media: Media, { blockedSources }: Media): boolean =>
  blockedSources.length > 0 && blockedSources.includes(media.id);

/** Of those who get its RTP, who are at least one. */
function isBlockedForAll(index: CallIndex, media: Media): boolean {
  let receivers = 0;
  for (const { media: receiver, subscription } of index.subscribersOf(media.id)) {
    if (subscription.rtcpOnly) continue;
    if (!isBlocked(media, receiver)) return false;
    receivers += 1;
  }
  return receivers > 0;
}

// Written out, not spread: routes are the most numerous part of a plan.
const routeOf = (
  from: Stream,
  to: Stream,
  kind: RoutePlan['kind'],
  rewrite: RewritePlan | null,
  withoutFeedback: boolean,
): RoutePlan => ({
  fromStream: from.id,
  toStream: to.id,
  kind,
  withoutFeedback,
  rewrite,
  processor: null,
});

function addRoutes(
  routes: RoutePlan[],
  index: CallIndex,
  stream: Stream,
  media: Media,
  opaque: boolean,
): void {
  const { rtp, rtcp } = readersOf(index, media, index.targetsOf(stream));
  let forAll: boolean | null = null;
  for (const target of rtp) {
    if (isHeld(target)) continue;
    const receiver = index.medias.get(target.mediaId);
    if (receiver !== undefined && isBlocked(media, receiver)) {
      // While some others hear it.
      forAll ??= isBlockedForAll(index, media);
      if (!forAll) continue;
    }
    const rewrite = opaque ? null : rewriteFor(index, media, target);
    routes.push(routeOf(stream, target, 'rtp', rewrite, false));
  }
  // Every datagram of an opaque stream goes the way of RTP.
  if (opaque) {
    if (stream.component === 1) return;
    for (const target of rtcp)
      if (!isHeld(target)) routes.push(routeOf(stream, target, 'rtp', null, false));
    return;
  }
  // Reports of our own replace the senders'.
  if (media.flags.has('rtcp-generator')) return;
  const feedback = sendsFeedback(index, media);
  for (const target of rtcp) {
    if (isHeld(target)) continue;
    const side = index.medias.get(target.mediaId);
    const withoutFeedback = feedback && side !== undefined && !takesFeedback(index, side);
    routes.push(routeOf(stream, target, 'rtcp', null, withoutFeedback));
  }
}

/** The other side of a dialogue; whoever else has subscribed has no say in how it is secured. */
const opposites = (index: CallIndex, mediaId: number): readonly Subscriber[] =>
  index.subscribersOf(mediaId).filter(({ subscription: { offerAnswer } }) => offerAnswer);

/** Asked for on all sides: SRTP, DTLS and STUN go from end to end. */
const isLeftToEnds = (index: CallIndex, media: Media): boolean =>
  media.flags.has('passthrough') &&
  opposites(index, media.id).every(({ media: other }) => other.flags.has('passthrough'));

function passesThrough(index: CallIndex, media: Media): boolean {
  if (media.sdes === null) return false;
  // One of several branches may have taken keys of ours: then nobody gets what he cannot read.
  const others = opposites(index, media.id);
  return others.length > 0 && others.every(({ media: { sdes } }) => passesKeys(media.sdes, sdes));
}

/** What it is sent is encrypted by its ends, not here. */
const isEncryptedByEnds = (index: CallIndex, media: Media): boolean =>
  passesThrough(index, media) || (isLeftToEnds(index, media) && isSecureProtocol(media.protocol));

/**
 * Of SRTP that passes through, subscribers without the keys of its ends get nothing: they could not read it. Nor do those whom it passes
 * through to get what was decrypted here, as of a branch that another one has taken the place of: it would be in the clear.
 */
function readersOf(index: CallIndex, media: Media, targets: RouteTargets): RouteTargets {
  const isPassed = passesThrough(index, media);
  const isLeft = isLeftToEnds(index, media);
  const reads = ({ mediaId }: Stream): boolean => {
    const to = index.medias.get(mediaId);
    if (to === undefined) return !isPassed;
    if (isPassed) return passesKeys(media.sdes, to.sdes);
    return isLeft || !isEncryptedByEnds(index, to);
  };
  if (targets.rtp.every(reads) && targets.rtcp.every(reads)) return targets;
  return { rtp: targets.rtp.filter(reads), rtcp: targets.rtcp.filter(reads) };
}

/** A key of the other end is not ours to encrypt with. */
const isForeign = (index: CallIndex, { id, sdes }: Media): boolean =>
  sdes !== null &&
  (sdes.passthrough ||
    opposites(index, id).some(({ media }) => media.sdes?.receive?.key === sdes.send?.key));

const noKeys = { receive: null, send: null } as const;

/** Its SRTP ends elsewhere, but what it would get is decrypted here, or came in the clear. */
const wouldGetClearMedia = (index: CallIndex, media: Media): boolean =>
  isSecureProtocol(media.protocol) &&
  opposites(index, media.id).some(
    ({ media: other }) => other.sdes !== null || !endsElsewhere(other),
  );

const endsElsewhere = (media: Media): boolean =>
  isSecureProtocol(media.protocol) && !speaksDtls(media);

/** null: of what was before nothing is known. */
const passedBefore = ({ former }: Media): boolean | null =>
  former === null ? null : former.kind === 'SDES' && former.passed;

/**
 * Which of its keys SRTP passes through by, where a media has former keys that it ended here by, or the other way; null:
 * it ends here by both, or nothing of both sides' former keys is known.
 */
function passingOf(index: CallIndex, media: Media): 'present' | 'former' | null {
  const isPassed = passedBefore(media);
  const others = opposites(index, media.id);
  if (isPassed === null || isPassed === passesThrough(index, media)) return null;
  return others.every((other) => passedBefore(other.media) === isPassed)
    ? isPassed
      ? 'former'
      : 'present'
    : null;
}

/** It comes in the clear by now, though some may still be secured as before. */
const plainlyNow = { receive: null, send: null, isPlain: true } as const;

/** null: it is plain, or passes through. */
function mediaSrtpOf(index: CallIndex, media: Media): 'DTLS' | TransportPlan['srtp'] {
  const { sdes, former } = media;
  if (isLeftToEnds(index, media)) return null;
  if (usesDtls(media)) return 'DTLS';
  if (media.flags.has('passthrough') && isSecureProtocol(media.protocol)) return noKeys;
  const passing = passingOf(index, media);
  const passes = passing === null ? {} : { passing };
  const isAgreed = sdes !== null && (sdes.receive !== null || sdes.send !== null || sdes.required);
  if (!isAgreed && !isSecureProtocol(media.protocol)) {
    const isWatched = formerOf(media, passing) !== null && former?.kind !== 'plain';
    return isWatched ? { ...plainlyNow, ...passes } : null;
  }
  if (sdes === null) return wouldGetClearMedia(index, media) ? noKeys : null;
  if (passing === null && passesThrough(index, media)) return null;
  return {
    receive: sessionPlan(media, 'receive', sdes.receive),
    send: isForeign(index, media) ? null : sessionPlan(media, 'send', sdes.send),
    ...passes,
  };
}

const isSameSession = (a: FormerSessions['former'], b: SrtpSessionPlan | null): boolean =>
  a !== undefined && a !== 'plain' && b !== null && a.suite === b.suite && a.key.equals(b.key);

/** What packets are looked at for; null: nothing, or what passed through, of which the other side knows nothing. */
const formerOf = (
  { former }: Media,
  passing: 'present' | 'former' | null | undefined,
): FormerSecurity | null =>
  former?.kind === 'SDES' && former.passed && (passing ?? null) === null ? null : former;

function srtpOf(index: CallIndex, media: Media, stream: Stream): TransportPlan['srtp'] {
  const srtp = mediaSrtpOf(index, media);
  if (srtp === null || srtp === noKeys) return srtp;
  const present = srtp === 'DTLS' ? dtlsKeysOf(index, media, stream) : srtp;
  const former = formerOf(media, present?.passing);
  if (former === null || present === null) return present;
  const before = formerSessions(former, media, stream);
  // Until another handshake is done its keys are those of before.
  if (srtp === 'DTLS' && isSameSession(before.former, present.receive)) return present;
  return { ...present, ...before };
}

/** What DTLS gave; nothing goes in the clear until then. */
function dtlsKeysOf(index: CallIndex, media: Media, stream: Stream): TransportPlan['srtp'] {
  const receive = index.state.sockets.find(
    ({ id, srtp }) => srtp !== null && stream.sockets.includes(id),
  );
  if (stream.srtp === null || receive === undefined) return noKeys;
  const [send, received] = [lineOfKeys(stream.srtp), lineOfKeys(receive.srtp)];
  return {
    receive: sessionPlan(media, 'receive', received),
    send: sessionPlan(media, 'send', send),
  };
}

function sessionPlan(
  media: Media,
  direction: 'receive' | 'send',
  line: CryptoLine | null,
): SrtpSessionPlan | null {
  return line === null ? null : sessionOf(line, media.srtpResume[direction]);
}

type FormerSessions = Pick<NonNullable<TransportPlan['srtp']>, 'former' | 'formerSend'>;

/** Whoever sends nothing does not show by what it goes on. */
function formerSessions(former: FormerSecurity, media: Media, stream: Stream): FormerSessions {
  if (former.kind === 'plain') return { former: 'plain' };
  const { resume } = former;
  const shows = receivesFrom(directionInUse(media));
  if (former.kind === 'DTLS') {
    // RTCP that went with RTP has the same ones.
    const keys = former.keys[media.streams.indexOf(stream.id)] ?? former.keys[0] ?? null;
    const [receive, send] = [lineOfKeys(keys?.receive ?? null), lineOfKeys(keys?.send ?? null)];
    if (receive === null || send === null) return {};
    return {
      former: sessionOf(receive, resume.receive),
      ...(shows ? { formerSend: sessionOf(send, resume.send) } : {}),
    };
  }
  const { line, send } = former;
  const isPresent = lineKey(line) === lineKey(media.sdes?.receive ?? null);
  return {
    former: sessionOf(line, isPresent ? media.srtpResume.receive : resume.receive),
    ...(send === null || !shows ? {} : { formerSend: sessionOf(send, resume.send) }),
  };
}

/** @param resumed what is known of its sources; null: it begins here. */
function sessionOf(line: CryptoLine, resumed: SrtpResume['receive']): SrtpSessionPlan {
  return {
    suite: line.suite,
    key: keyBytes(line),
    mki: mkiBytes(line.mki),
    unencryptedSrtp: line.unencryptedSrtp,
    unencryptedSrtcp: line.unencryptedSrtcp,
    unauthenticatedSrtp: line.unauthenticatedSrtp,
    resumed: resumed !== null,
    indexes: resumed ?? [],
  };
}

function clockRateOf(media: Media): number {
  return media.codecs.find((codec) => codec.ptimeMs >= 0)?.clockRate ?? 0;
}

/**
 * With a single port for both (rtcp-mux) RTCP leaves from the RTP port. rtpengine leaves a socket that was
 * given up with its stream; nothing can be sent from it.
 */
function egressPortOf(index: CallIndex, stream: Stream, media: Media): number | null {
  const selected = usable(index, stream.selectedSocket);
  if (selected !== null || stream.component === 1) return selected;
  const rtpId = media.streams.find((id) => index.streams.get(id)?.rtcpSibling === stream.id);
  const rtp = rtpId === undefined ? undefined : index.streams.get(rtpId);
  return usable(index, rtp?.selectedSocket ?? null);
}

const usable = (index: CallIndex, socket: number | null): number | null =>
  socket !== null && index.sockets.get(socket)?.open === true ? socket : null;
