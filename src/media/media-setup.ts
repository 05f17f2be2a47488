/** Applies one m= section to the medias of its sender and its receiver. */
import { inUse } from './agreed.js';
import type { CallDraft } from './call-draft.js';
import {
  familyOf,
  isTelephoneEvent,
  sameEndpoint,
  noExtensions,
  withFlag,
  type Codec,
  type Endpoint,
  type Extensions,
  type Media,
  type Participant,
  type Stream,
  type StreamFlag,
} from './call-state.js';
import { agreedCodecs, answerable, inOrderOf, isAudible, shownTo } from './codec-lists.js';
import { directionOfFlags, noIce, noIceControlling, sendsTo } from './media-attributes.js';
import type { SignallingContext, SignallingKind, SignallingRequest } from './signalling.js';
import { isBundled } from './bundle/negotiation.js';
import {
  answeredProtocol,
  applySecurity,
  passesThrough,
  protocolFor,
  type Before,
} from './security.js';
import { offeredIce, readIce } from './ice/attributes.js';
import { speaksIce } from './ice/plan.js';
import { carriesNothing, setMediaFlag, type MediaPair } from './media-pair.js';
import { isRemovedExtension } from '../sdp/edits.js';
import { passedOnOfMedia } from '../sdp/passed-on.js';
import { SdpError, type SdpCodec, type SdpMedia, type SdpSession } from '../sdp/types.js';
import {
  attributeOf,
  bandwidthOf,
  codecsOf,
  connectionOf,
  directionOf,
  hasRtcpMux,
  isRtpProtocol,
  isSecureProtocol,
  isZeroAddress,
  maxPtimeOf,
  midOf,
  ptimeOf,
  rtcpEndpointOf,
} from '../sdp/view.js';

function setStreamFlag(stream: Stream, flag: StreamFlag, on: boolean): void {
  stream.flags = withFlag(stream.flags, flag, on);
}

/** The media of `participant` at `index`, made when it does not exist yet. */
export function mediaAt(
  draft: CallDraft,
  participant: Participant,
  index: number,
  logicalInterface: string,
  context: SignallingContext,
): Media {
  for (const id of participant.medias) {
    const media = draft.media(id);
    if (media.index === index) return media;
  }
  return draft.addMedia(
    participant,
    index,
    participant.desiredFamily ?? 'IP4',
    logicalInterface,
    context.endpointLearning,
  );
}

/** Makes sure that the media has its RTP and RTCP streams, `pairs` of them. */
export function ensureStreams(
  draft: CallDraft,
  media: Media,
  pairs: number,
  nowMicros: number,
): void {
  while (media.streams.length < pairs * 2) {
    const rtp = draft.addStream(media, 1, nowMicros);
    const rtcp = draft.addStream(media, 2, nowMicros);
    rtp.rtcpSibling = rtcp.id;
  }
}

const defaultPtimeMs = 20;

function codecFrom(codec: SdpCodec, mediaType: string, ptimeMs: number): Codec {
  const audio = mediaType === 'audio' && codec.encoding !== '';
  const event = isTelephoneEvent(codec);
  return {
    payloadType: codec.payloadType,
    encoding: codec.encoding,
    clockRate: codec.clockRate,
    channels: codec.channels,
    fmtp: codec.fmtp,
    bitrate: 0,
    ptimeMs: event ? -1 : audio ? (ptimeMs > 0 ? ptimeMs : defaultPtimeMs) : 0,
  };
}

/** What a list became in a section of a type with a packet time. */
interface KnownCodecs {
  readonly type: string;
  readonly ptimeMs: number;
  readonly codecs: readonly Codec[];
}

const knownCodecs = new WeakMap<readonly SdpCodec[], KnownCodecs[]>();
/** Packet times that one list comes with. */
const maxPtimes = 16;

/** The codecs of a section: the same list for all sections that say the same of them, in whatever call. */
function codecsFrom(section: SdpMedia): readonly Codec[] {
  const written = codecsOf(section);
  let known = knownCodecs.get(written);
  if (known === undefined) {
    known = [];
    knownCodecs.set(written, known);
  }
  const { type } = section;
  const ptimeMs = ptimeOf(section) ?? 0;
  for (const each of known) if (each.ptimeMs === ptimeMs && each.type === type) return each.codecs;
  const codecs = written.map((codec) => codecFrom(codec, type, ptimeMs));
  if (known.length >= maxPtimes) known.length = 0;
  known.push({ type, ptimeMs, codecs });
  return codecs;
}

const sameCodec = (a: Codec, b: Codec): boolean =>
  a.payloadType === b.payloadType ||
  (a.encoding !== '' &&
    a.clockRate === b.clockRate &&
    a.channels === b.channels &&
    a.encoding.toLowerCase() === b.encoding.toLowerCase());

/**
 * What of an answer the offerer is told: the codecs that were offered (RFC 3264 §6.1), with the numbers
 * of the answer, each of them once. Of an audio answer that has none of them, the first offered one stands in, as with
 * rtpengine 10.5: no offerer takes an answer to something else.
 */
function acceptedCodecs(
  answered: readonly Codec[],
  offered: readonly Codec[],
  mediaType: string,
): readonly Codec[] {
  const accepted = answered.flatMap((codec, at) => {
    const match = offered.find((candidate) => sameCodec(candidate, codec));
    if (match === undefined) return [];
    if (answered.findIndex(({ payloadType }) => payloadType === codec.payloadType) < at) return [];
    return [codec.encoding === '' ? { ...match, payloadType: codec.payloadType } : codec];
  });
  // The list that others share, where nothing is left out.
  if (accepted.length === answered.length && accepted.every((codec, at) => codec === answered[at]))
    return answered;
  if (accepted.length > 0) return accepted;
  if (mediaType !== 'audio') return answered;
  const first = offered.find(isAudible);
  return first === undefined ? answered : [first];
}

const knownFormats = new WeakMap<readonly Codec[], string>();

function formatsOf(codecs: readonly Codec[]): string {
  let formats = knownFormats.get(codecs);
  if (formats === undefined) {
    formats = codecs.map(({ payloadType }) => payloadType).join(' ');
    knownFormats.set(codecs, formats);
  }
  return formats;
}

/** @param isComparable an answer's section is of the type that was offered. */
function applyCodecs(
  kind: SignallingKind,
  pair: MediaPair,
  request: SignallingRequest,
  isComparable: boolean,
): void {
  const { section, sender, receiver } = pair;
  if (pair.rejected) {
    // Nothing is agreed on, and whatever the formats say, they are passed on (RFC 3264 §6).
    if (kind === 'answer') return;
    sender.offered = receiver.offered = [];
    sender.formats = receiver.formats = section.formats.join(' ');
    return;
  }
  if (!isRtpProtocol(section.protocol)) {
    const formats = section.formats.join(' ');
    sender.formats = formats;
    receiver.formats = formats;
    if (kind === 'offer') sender.offered = receiver.offered = [];
    return;
  }
  let codecs = codecsFrom(section);
  let shown: readonly Codec[];
  if (kind === 'offer') {
    shown = shownTo(kind, codecs, request);
    // What was agreed on comes first (12.5 seen).
    if (request.flags.has('reuse-codecs')) shown = inOrderOf(receiver.codecs, shown);
    if (request.flags.has('static-codecs')) shown = agreedCodecs(receiver.codecs, shown);
    sender.offered = codecs;
    receiver.offered = answerable(codecs, shown, request);
  } else {
    const offered = sender.offered ?? receiver.offered ?? receiver.codecs;
    if (isComparable && offered.length > 0 && offered !== codecs)
      codecs = acceptedCodecs(codecs, offered, section.type);
    shown = shownTo(kind, codecs, request);
    if (request.flags.has('reuse-codecs')) shown = inOrderOf(offered, shown);
  }
  sender.codecs = codecs;
  receiver.codecs = shown;
  sender.formats = formatsOf(codecs);
  receiver.formats = formatsOf(shown);
}

/**
 * A zero address holds the call, unless ICE says where media go: browsers write it until they know
 * (sdp-rules.md §4, trickle ICE).
 */
export function isOnHold({ address, rejected, section, transport, session }: MediaPair): boolean {
  // Of what is refused no address counts.
  if (rejected || !isZeroAddress(address)) return false;
  const { trickle } = readIce(transport, session);
  return offeredIce(transport, session) === null && !(trickle && section.port === 9);
}

/** @param isAgreed something was answered before. */
function applyDirection(kind: SignallingKind, pair: MediaPair, isAgreed: boolean): void {
  const { sender, receiver } = pair;
  const senderBefore = sender.agreedDirection ?? sender.direction;
  const receiverBefore = receiver.agreedDirection ?? receiver.direction;
  const zeroAddress = isOnHold(pair);
  const direction = directionOf(pair.section, pair.session);
  const sends = direction === 'sendrecv' || direction === 'sendonly';
  const receives = (direction === 'sendrecv' || direction === 'recvonly') && !zeroAddress;
  sender.direction = directionOfFlags(receives, sends);
  receiver.direction = directionOfFlags(sends, receives);
  const waits = kind === 'offer' && isAgreed;
  sender.agreedDirection = waits && senderBefore !== sender.direction ? senderBefore : null;
  receiver.agreedDirection = waits && receiverBefore !== receiver.direction ? receiverBefore : null;
}

/**
 * a=ptime of both sides. Where one was asked for towards the answerer, what it answers is not told to the
 * offerer, who gets its own back, or the one asked for towards it. What was asked for once holds until
 * something else is (10.5 and 12.5 seen).
 */
function applyPtime(kind: SignallingKind, pair: MediaPair, { edits }: SignallingRequest): void {
  const { sender, receiver } = pair;
  const written = ptimeOf(pair.section);
  if (kind === 'offer') {
    const asked = edits?.ptimeMs ?? null;
    const reverse = edits?.ptimeReverseMs ?? null;
    for (const [media, wanted] of [
      [receiver, asked],
      [sender, reverse],
    ] as const) {
      if (wanted !== null) setMediaFlag(media, 'ptime-override', true);
      if (wanted !== null) media.ptimeMs = wanted;
      else if (!media.flags.has('ptime-override')) media.ptimeMs = written ?? media.ptimeMs;
    }
    return;
  }
  if (written === null) return;
  const asked = sender.flags.has('ptime-override');
  if (!asked) sender.ptimeMs = written;
  if (!asked && !receiver.flags.has('ptime-override')) receiver.ptimeMs = written;
}

/** An offer asks its receiver to multiplex. */
export function offersMux(pair: MediaPair, { rtcpMux }: SignallingRequest): boolean {
  if (!isRtpProtocol(pair.section.protocol)) return false;
  if (rtcpMux.has('require') || rtcpMux.has('offer')) return true;
  // RFC 9143 §9.3.
  if (pair.receiver.bundle.group > 0) return true;
  // Who does so already is not asked to stop by a re-offer that leaves it out, or by `demux` (10.5 and 12.5 seen).
  return pair.muxKnown || (hasRtcpMux(pair.section) && !rtcpMux.has('demux'));
}

/** Where RTCP is multiplexed the receiver is shown one port: it is agreed on, or there is no other way. */
export const sharesRtcpPort = (
  kind: SignallingKind,
  { muxKnown, receiver }: MediaPair,
  { rtcpMux }: SignallingRequest,
): boolean =>
  kind === 'answer' ? receiver.rtcpMux : muxKnown || isBundled(receiver) || rtcpMux.has('require');

/** RTCP multiplexing (RFC 5761; options of ng-protocol.md §4.3, results as of sdp-rules.md §5). */
function applyRtcpMux(kind: SignallingKind, pair: MediaPair, request: SignallingRequest): void {
  const { section, transport, sender, receiver } = pair;
  // Of what is refused nothing is agreed on: it is as before when it comes back (10.5 and 12.5 seen).
  if (pair.rejected) {
    if (kind === 'answer') return;
    setMediaFlag(sender, 'rtcp-mux-override', false);
    setMediaFlag(receiver, 'rtcp-mux-offered', false);
    return;
  }
  // In a bundle there is no other way (RFC 9143 §9.3).
  const bundled = isBundled(sender);
  const present = bundled || (isRtpProtocol(section.protocol) && hasRtcpMux(transport));
  if (kind === 'offer') {
    const settled =
      bundled || (present && (request.rtcpMux.has('demux') || request.rtcpMux.has('accept')));
    sender.rtcpMux = present && (bundled || !request.rtcpMux.has('reject'));
    // On the offerer: multiplexing is decided already, whatever the answerer says.
    setMediaFlag(sender, 'rtcp-mux-override', settled);
    setMediaFlag(receiver, 'rtcp-mux-override', true);
    setMediaFlag(receiver, 'rtcp-mux-offered', sender.rtcpMux);
    setMediaFlag(receiver, 'rtcp-mux-settled', sender.rtcpMux && settled);
    receiver.rtcpMux = isBundled(receiver) || offersMux(pair, request);
    return;
  }
  sender.rtcpMux = present;
  // Each branch has an offer of its own: what the last one said is not what this one answers.
  if (sender.flags.has('rtcp-mux-offered')) {
    receiver.rtcpMux = present || sender.flags.has('rtcp-mux-settled');
  } else if (!receiver.flags.has('rtcp-mux-override')) {
    receiver.rtcpMux = receiver.rtcpMux && present;
  }
  if (isBundled(receiver)) receiver.rtcpMux = true;
}

/**
 * The address that the sender gets its media at: that of the SDP, or the source of the SIP message
 * when the request or the options ask for it (ng-protocol.md §4.8). SIP may come by another family than
 * media: then its source says nothing about them, unless the media's family cannot be had here.
 * @throws SdpError `incomplete`: it is asked for and not given.
 */
export function signalledAddress(
  section: SdpMedia,
  session: SdpSession,
  logicalInterface: string,
  request: SignallingRequest,
  context: SignallingContext,
): { readonly address: string; readonly fromSipSource: boolean } {
  const written = connectionOf(section, session);
  const fromSipSource =
    request.flags.has('sip-source-address') ||
    (context.sipSource && !request.flags.has('trust-address'));
  if (!fromSipSource) return { address: written?.address ?? '', fromSipSource };
  const source = request.receivedFrom;
  if (source === null) {
    throw new SdpError('incomplete', 'no SIP source address in the request', -1);
  }
  if (written !== null && written.family !== familyOf(source)) {
    const { interfaces } = context;
    const has = (name: string): boolean =>
      interfaces.addressFor(name, written.family)?.family === written.family;
    const isFree = request.fromInterface === null;
    if (has(logicalInterface) || (isFree && has(interfaces.defaultFor(written.family).name)))
      return { address: written.address, fromSipSource: false };
  }
  return { address: source, fromSipSource };
}

/**
 * Learning starts again with each offer and each answer, on both sides, even where the SDP is as before: a
 * re-INVITE is how a phone behind NAT says that its binding has changed. What was learned stays in use until
 * packets teach something else.
 */
function learnAgain(stream: Stream): void {
  stream.learningGeneration += 1;
  setStreamFlag(stream, 'confirmed', false);
}

function setRemote(stream: Stream, endpoint: Endpoint, zeroAddress: boolean): void {
  learnAgain(stream);
  if (!sameEndpoint(stream.advertisedEndpoint, endpoint)) {
    stream.advertisedEndpoint = endpoint;
    stream.endpoint = endpoint;
    setStreamFlag(stream, 'received', false);
  }
  setStreamFlag(stream, 'filled', true);
  setStreamFlag(stream, 'zero-address', zeroAddress);
}

/** Where the RTCP of the first pair goes, as far as a=rtcp says something that can be followed. */
function rtcpEndpoint(pair: MediaPair): Endpoint | null {
  const { transport, address, fromSipSource } = pair;
  const explicit = rtcpEndpointOf(transport);
  if (explicit === null) return null;
  const named = fromSipSource ? null : explicit.address;
  const reachable = named !== null && familyOf(named) === familyOf(address);
  return { address: reachable ? named : address, port: explicit.port };
}

const highestPort = 65_535;

/** The endpoint is a port of this relay: packets could go round in it (10.5 seen). */
function isOwnPort({ address, port }: Endpoint, { interfaces, ports }: SignallingContext): boolean {
  if (port === 0) return false;
  for (const local of interfaces.localAddresses(address))
    if (ports.isUsed(local, port)) return true;
  return false;
}

/** Where a side's ICE is passed through to that says no address yet: the candidate that it prefers. */
function passedCandidate({ section, session, receiver, address }: MediaPair): Endpoint | null {
  if (!receiver.flags.has('passthrough') || !isZeroAddress(address)) return null;
  const candidates = (offeredIce(section, session)?.candidates ?? []).filter(
    ({ component }) => component === 1,
  );
  candidates.sort((a, b) => b.priority - a.priority);
  return candidates[0]?.endpoint ?? null;
}

/** It has media until the offer that takes them away is answered. */
const mayBeRefused = ({ agreedDirection }: Media): boolean =>
  agreedDirection !== null && sendsTo(agreedDirection);

/** The offer of a zero address was answered: there is nowhere to send to. */
function confirmHold(draft: CallDraft, holder: Media): void {
  if (!mayBeRefused(holder) || holder.ice.enabled || holder.flags.has('passthrough')) return;
  for (const id of holder.streams) {
    const stream = draft.stream(id);
    const { advertisedEndpoint } = stream;
    if (advertisedEndpoint === null || !isZeroAddress(advertisedEndpoint.address)) continue;
    stream.endpoint = advertisedEndpoint;
    setStreamFlag(stream, 'received', false);
    setRemote(stream, advertisedEndpoint, true);
  }
}

/** @param checksOn ICE goes on: it knows where the side is. */
function applyEndpoints(
  draft: CallDraft,
  pair: MediaPair,
  request: SignallingRequest,
  context: SignallingContext,
  checksOn: boolean,
): void {
  const { transport, sender } = pair;
  // Sections that are not relayed may come without c=.
  const address = pair.address === '' ? '0.0.0.0' : pair.address;
  const rtcp = rtcpEndpoint(pair);
  const zeroAddress = isOnHold(pair);
  const candidate = passedCandidate(pair);
  for (let position = 0; position < sender.streams.length; position++) {
    const stream = draft.stream(sender.streams[position] ?? -1);
    const explicit = position === 1 ? rtcp : null;
    const port = transport.port === 0 ? position : transport.port + position;
    // Beyond the last port there is nothing to send to; what comes is heard.
    const signalled = explicit ?? { address, port: port > highestPort ? 0 : port };
    const endpoint = position === 0 ? (candidate ?? signalled) : signalled;
    const unanswered = zeroAddress && stream.endpoint !== null && mayBeRefused(sender);
    if (checksOn || unanswered) {
      stream.advertisedEndpoint = endpoint;
      // It has been told credentials of ours, and this is its first body.
      stream.endpoint ??= endpoint;
      setStreamFlag(stream, 'filled', true);
    } else setRemote(stream, endpoint, zeroAddress);
    if (isOwnPort(endpoint, context)) setMediaFlag(sender, 'loop-check', true);
    setStreamFlag(stream, 'ice', sender.ice.enabled);
    if (stream.component === 2) setStreamFlag(stream, 'implicit-rtcp', explicit === null);
    setStreamFlag(stream, 'strict-source', request.flags.has('strict-source'));
    setStreamFlag(stream, 'media-handover', request.flags.has('media-handover'));
    setStreamFlag(stream, 'pierce-nat', request.flags.has('pierce-nat'));
    setStreamFlag(stream, 'nat-wait', request.flags.has('nat-wait'));
    markMux(stream, sender);
  }
}

/** The `rtcp` / `fallback-rtcp` marks of the streams follow the media's multiplexing. */
function markMux(stream: Stream, media: Media): void {
  const muxed = media.rtcpMux;
  setStreamFlag(stream, stream.component === 1 ? 'rtcp' : 'fallback-rtcp', muxed);
}

/** The ids of what the receiver is not told of (RFC 8285 §8). */
function hiddenExtensions(section: SdpMedia, hidden: ReadonlySet<string> | null): Extensions {
  if (hidden === null) return noExtensions;
  if (hidden.has('all')) return 'all';
  const ids = section.attributes.flatMap(({ name, value }) => {
    if (name !== 'extmap' || value === null || !isRemovedExtension(value, hidden)) return [];
    const id = Number(/^\d+/.exec(value.trim())?.[0] ?? 0);
    return id >= 1 && id <= 255 ? [id] : [];
  });
  return ids.length === 0 ? noExtensions : [...new Set(ids)];
}

/** RFC 5104 §7.1, RFC 4585 §4.2: it has announced FIR, and no PLI. */
function knowsFirAlone({ attributes }: SdpMedia): boolean {
  const kinds = attributes.flatMap(({ name, value }) =>
    name === 'rtcp-fb' && value !== null ? value.replace(/^\S+\s+/, '').trim() : [],
  );
  return kinds.includes('ccm fir') && !kinds.includes('nack pli');
}

/** Its side has sent a body. */
function isKnown(draft: CallDraft, { streams }: Media): boolean {
  for (const id of streams) if (draft.streamAsIs(id).flags.has('filled')) return true;
  return false;
}

/** What its side said last of the section was port 0. */
function hasRefused(draft: CallDraft, { streams: [first] }: Media): boolean {
  return first !== undefined && draft.streamAsIs(first).advertisedEndpoint?.port === 0;
}

/** `wanted`, or, where another section of that side is called so, something like it. */
function freeMid(draft: CallDraft, { participantId, index }: Media, wanted: string): string {
  const taken = new Set<string | null>();
  for (const id of draft.participant(participantId).medias) taken.add(draft.mediaAsIs(id).mid);
  let mid = wanted;
  for (let number = index; taken.has(mid); number += 1) mid = `${wanted}-${number}`;
  return mid;
}

/** Who received the first offer of a section is controlled, who made it controls (RFC 8445 §6.1.1, seen from the relay). */
function applyRoles(kind: SignallingKind, { sender, receiver }: MediaPair): void {
  // It is the offerer there.
  const answerer = kind === 'offer' ? receiver : sender;
  if (!answerer.flags.has('initialized') && !answerer.ice.controlling) {
    answerer.ice =
      answerer.ice === noIce ? noIceControlling : { ...answerer.ice, controlling: true };
  }
  // Who has not answered an offer, and makes one himself, is the offerer.
  if (kind === 'offer' && !sender.flags.has('initialized') && sender.ice.controlling)
    sender.ice = sender.ice === noIceControlling ? noIce : { ...sender.ice, controlling: false };
  setMediaFlag(sender, 'initialized', true);
}

function applyProtocols(kind: SignallingKind, pair: MediaPair, request: SignallingRequest): void {
  const { section, sender, receiver } = pair;
  const { transportProtocol, opportunistic } = request;
  const senderProtocol = sender.protocol;
  sender.type = section.type;
  receiver.type = section.type;
  sender.protocol = section.protocol;
  if (kind === 'answer') {
    const offered = receiver.protocol === '' ? section.protocol : receiver.protocol;
    receiver.protocol = answeredProtocol(offered, transportProtocol);
    return;
  }
  const passed = passesThrough(kind, pair, request);
  receiver.protocol = protocolFor(pair, transportProtocol, passed, senderProtocol);
  setMediaFlag(
    receiver,
    'legacy-osrtp',
    opportunistic.offersTwins && isSecureProtocol(receiver.protocol) && receiver.bundle.group === 0,
  );
}

/** What the request asks of a section, and of both of its sides. */
function applyRequested(pair: MediaPair, request: SignallingRequest): void {
  const { sender, receiver } = pair;
  if (request.generateRtcp !== null) {
    // Both sides get it, whoever it was asked for (10.5 seen).
    for (const media of [sender, receiver]) {
      setMediaFlag(media, 'rtcp-generator', request.generateRtcp === 'on');
    }
  }
  if (!pair.rejected) {
    setMediaFlag(sender, 'asymmetric', request.flags.has('asymmetric'));
    setMediaFlag(sender, 'unidirectional', request.flags.has('unidirectional'));
  }
  sender.endpointLearning = request.endpointLearning ?? sender.endpointLearning;
}

/** Each side goes on with the name that it has given, or was given first (10.5 and 12.5 seen). */
function applyMids(draft: CallDraft, pair: MediaPair, request: SignallingRequest): void {
  const { section, sender, receiver } = pair;
  const mid = midOf(section);
  if (mid !== null) sender.mid = mid;
  const generated = request.flags.has('generate-mid') ? String(pair.index) : null;
  // A name that the offerer was given once goes on to the other side (10.5 and 12.5 seen).
  const wanted = mid ?? sender.mid ?? generated;
  if (receiver.mid === null && wanted !== null) receiver.mid = freeMid(draft, receiver, wanted);
}

/** What a section's lines say of its sender, whatever else comes of it. */
function applyLines({ section, sender, receiver }: MediaPair, request: SignallingRequest): void {
  // What the side itself says, whatever the profile (12.5 seen).
  setMediaFlag(sender, 'rtcp-fb', attributeOf(section, 'rtcp-fb') !== null);
  sender.passedOn = passedOnOfMedia(section);
  sender.maxPtimeMs = maxPtimeOf(section) ?? 0;
  sender.bandwidth = {
    as: bandwidthOf(section, 'AS') ?? -1,
    rr: bandwidthOf(section, 'RR') ?? -1,
    rs: bandwidthOf(section, 'RS') ?? -1,
  };
  receiver.hiddenExtensions = hiddenExtensions(section, request.edits?.extensions ?? null);
  if (section.type === 'video') setMediaFlag(sender, 'fir-alone', knowsFirAlone(section));
}

/** How the receiver is reached, now that the sender's words are known. */
function applyToReceiver(
  draft: CallDraft,
  kind: SignallingKind,
  { receiver }: MediaPair,
  spokeIce: boolean,
): void {
  const checksOn = speaksIce(inUse(receiver));
  for (const id of receiver.streams) {
    const stream = draft.stream(id);
    if (!spokeIce || !checksOn) learnAgain(stream);
    // What its offer said, until this answer ICE knew better.
    if (spokeIce && !checksOn && kind === 'answer') stream.endpoint = stream.advertisedEndpoint;
    markMux(stream, receiver);
    setStreamFlag(stream, 'ice', receiver.ice.enabled);
  }
}

/** Takes over everything that `pair.section` says, ports excepted. Returns what to warn of. */
export function applySection(
  draft: CallDraft,
  kind: SignallingKind,
  pair: MediaPair,
  request: SignallingRequest,
  context: SignallingContext,
): readonly string[] {
  const { section, sender, receiver } = pair;
  applyRoles(kind, pair);
  const receiverIsKnown = isKnown(draft, receiver);
  const before = {
    senderProtocol: sender.protocol,
    receiverProtocol: receiver.protocol,
    senderMux: sender.rtcpMux,
    receiverMux: receiver.rtcpMux,
    receiverIsKnown,
    receiverHasRefused: hasRefused(draft, receiver),
    isAgreed: receiverIsKnown && isKnown(draft, sender),
  };
  const isSameType = receiver.type === section.type;
  applyProtocols(kind, pair, request);
  applyRequested(pair, request);
  if (kind === 'offer') applyMids(draft, pair, request);
  applyPtime(kind, pair, request);
  applyLines(pair, request);
  applyCodecs(kind, pair, request, isSameType);
  if (kind === 'answer') confirmHold(draft, receiver);
  applyDirection(kind, pair, before.isAgreed);
  applyRtcpMux(kind, pair, request);
  ensureStreams(draft, receiver, section.portCount, context.nowMicros);
  ensureStreams(draft, sender, section.portCount, context.nowMicros);
  const senderSpokeIce = speaksIce(inUse(sender));
  const receiverSpokeIce = speaksIce(inUse(receiver));
  const warnings = applySecurity(draft, kind, pair, request, context, before);
  applyEndpoints(draft, pair, request, context, senderSpokeIce && speaksIce(inUse(sender)));
  applyToReceiver(draft, kind, pair, receiverSpokeIce);
  if (pair.address !== '') sender.desiredFamily = familyOf(pair.address);
  if (pair.carries === carriesNothing) return warnings;
  return [...warnings, ...applyCarried(draft, kind, pair, request, context, before)];
}

/** A refused section whose medias carry a bundle: where it is and how it is secured says the bundle's section. */
function applyCarried(
  draft: CallDraft,
  kind: SignallingKind,
  pair: MediaPair,
  request: SignallingRequest,
  context: SignallingContext,
  before: Before,
): readonly string[] {
  const warnings: string[] = [];
  for (const side of ['sender', 'receiver'] as const) {
    const live = pair.carries[side];
    if (live === null) continue;
    const standIn: Media = { ...live[side === 'sender' ? 'receiver' : 'sender'], streams: [] };
    const { sender, receiver } =
      side === 'sender'
        ? { sender: pair.sender, receiver: standIn }
        : { sender: standIn, receiver: pair.receiver };
    const stood = {
      ...{ ...live, carries: carriesNothing, sender, receiver },
      before: { ...live.before, [side]: pair.before[side] },
    };
    const spoke = speaksIce(inUse(sender));
    warnings.push(...applySecurity(draft, kind, stood, request, context, before));
    if (side === 'sender')
      applyEndpoints(draft, stood, request, context, spoke && speaksIce(inUse(sender)));
  }
  return warnings;
}
