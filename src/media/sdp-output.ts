/** The body for the other side: what each section says, and its o= line (sdp-rules.md §1-5). */
import type { CallDraft } from './call-draft.js';
import {
  familyOf,
  type Media,
  type Participant,
  type SdpMemory,
  type Stream,
} from './call-state.js';
import { isBundleOnly } from './bundle/attributes.js';
import { dropsTransportFeedback, extensionLines } from './bundle/extensions.js';
import { carrierOf, groupLines, TransportLines } from './bundle/lines.js';
import type { Dialogue } from './dialogue.js';
import type { MediaPair } from './media-pair.js';
import { isOnHold, offersMux, sharesRtcpPort } from './media-setup.js';
import { dtlsLinesFor, iceLinesFor, keepsAddress } from './secure-lines.js';
import { plainProtocol } from './twin-sections.js';
import type { SignallingContext, SignallingKind, SignallingRequest } from './signalling.js';
import { cryptoLinesFor } from './sdes/apply.js';
import { passedOnOfSession } from '../sdp/passed-on.js';
import { renderSdp } from '../sdp/rewrite.js';
import type {
  MediaEdit,
  SdpCodec,
  SdpConnection,
  SdpDocument,
  SdpOrigin,
  SdpSession,
  SessionEdit,
} from '../sdp/types.js';
import { attributeOf, codecsOf, connectionOf, hasRtcpMux, isRtpProtocol } from '../sdp/view.js';

export interface OutputRequest {
  readonly kind: SignallingKind;
  readonly draft: CallDraft;
  readonly dialogue: Dialogue;
  readonly document: SdpDocument;
  readonly pairs: readonly MediaPair[];
  readonly request: SignallingRequest;
  readonly context: SignallingContext;
}

/** Writes the body and notes in the receiver what it was told. */
export function writeSdp(output: OutputRequest): string {
  const { document, dialogue, request } = output;
  const sessions: SessionEdit[] = [];
  let next = 0;
  for (const session of document.sessions) {
    const pairs = output.pairs.slice(next, next + session.medias.length);
    next += session.medias.length;
    sessions.push(sessionEdit(output, session, pairs));
  }
  const first = document.sessions[0];
  if (first === undefined) return '';
  rememberReceived(dialogue.from, first);
  if (countsVersions(request)) {
    countVersion(output, sessions);
  }
  remember(dialogue.to, first, sessions);
  return renderSdp(document, sessions);
}

/** Notes what a participant said of the session. */
export function rememberReceived(from: Participant, session: SdpSession): void {
  from.sdpReceived = memoryOf(session.origin, session, '');
  from.passedOn = passedOnOfSession(session);
}

/** What is not RTP and runs over DTLS is secured end to end (RFC 8841, 8856). */
const hasOwnSecurity = (protocol: string): boolean =>
  !isRtpProtocol(protocol) && /TLS/i.test(protocol);

/** With an o= line of its own a side is told of changes by its own count (12.5 seen). */
const countsVersions = ({ replace }: SignallingRequest): boolean =>
  replace.has('sdp-version') ||
  replace.has('force-increment-sdp-ver') ||
  replace.has('origin-full');

function sessionEdit(
  output: OutputRequest,
  session: SdpSession,
  pairs: readonly MediaPair[],
): SessionEdit {
  const { request, context } = output;
  const places = new TransportLines(pairs);
  const medias: MediaEdit[] = [];
  let passed = 0;
  let relayed = 0;
  let lite = false;
  let secure = false;
  for (const pair of pairs) {
    medias.push(mediaEdit(output, pair, places));
    secure ||= hasOwnSecurity(pair.section.protocol);
    if (pair.rejected || pair.untouched) continue;
    const { ice } = pair.receiver;
    relayed += 1;
    if (isPassed(pair)) passed += 1;
    lite ||= ice.enabled && ice.lite;
  }
  const addedAttributes: string[] = [];
  if (request.flags.has('loop-protect')) addedAttributes.push(`rtpengine:${context.instanceId}`);
  if (lite) addedAttributes.push('ice-lite');
  if (places.any) addedAttributes.push(...groupLines(pairs));
  return {
    origin: originFor(output, session, pairs),
    name: sessionName(output, session),
    addedAttributes,
    stripIce: passed === 0,
    stripSecurity: passed === 0 && !secure,
    stripGroups: passed === 0 || passed < relayed,
    attributes: request.edits?.attributes?.get('session') ?? null,
    medias,
  };
}

/** Whoever passes SRTP, DTLS and ICE through keeps what the ends say of them. */
const isPassed = ({ receiver }: MediaPair): boolean => receiver.flags.has('passthrough');

function sessionName({ dialogue, request }: OutputRequest, session: SdpSession): string {
  const kept = dialogue.to.sdpSent?.sessionName;
  return request.replace.has('session-name') && kept !== undefined && kept !== ''
    ? kept
    : session.name;
}

function originFor(
  output: OutputRequest,
  session: SdpSession,
  pairs: readonly MediaPair[],
): SdpOrigin {
  const { dialogue, request } = output;
  const { replace } = request;
  const received = session.origin;
  const kept = dialogue.to.sdpSent;
  let origin = received;
  if (replace.has('origin') || replace.has('origin-full')) {
    // Of the first section that is relayed; when all are refused, of the first one.
    const first = pairs.find(({ rejected, untouched }) => !rejected && !untouched) ?? pairs[0];
    if (first !== undefined) {
      const { family, address } = shownAddress(output, first.receiver);
      origin = { ...origin, networkType: 'IN', addressType: family, address };
    }
  }
  if (kept === null) return origin;
  if (replace.has('username') || replace.has('origin-full')) {
    origin = { ...origin, username: kept.username };
  }
  if (replace.has('origin-full')) origin = { ...origin, sessionId: kept.sessionId };
  return origin;
}

function mediaEdit(output: OutputRequest, pair: MediaPair, places: TransportLines): MediaEdit {
  const { kind, draft, request } = output;
  const { section, receiver } = pair;
  // Of a bundle the lines of its transport are those of the media that has it, and one section has them.
  const carrier = carrierOf(receiver);
  const carried = carrier === receiver.id ? pair : { ...pair, receiver: draft.media(carrier) };
  const saysWhere = places.has(pair);
  const passed = isPassed(pair);
  const bundleOnly = places.isBundleOnly(pair) || (passed && isBundleOnly(section));
  const connection = localConnection(output, carried.receiver, pair);
  const rtp = isRtpProtocol(section.protocol);
  const rtpStream = streamAt(draft, carried.receiver, 0);
  const port = localPort(draft, rtpStream);
  const listed = rtp && !pair.rejected && !pair.untouched;
  const mux = kind === 'offer' ? offersMux(pair, request) : receiver.rtcpMux;
  const stays = listed && keepsAddress(output, pair);
  const asksForMux = kind === 'offer' && request.rtcpMux.has('require');
  return {
    kind: pair.leftOut
      ? 'left-out'
      : pair.rejected
        ? 'rejected'
        : pair.untouched
          ? 'keep'
          : 'relay',
    port: bundleOnly ? 0 : pair.untouched || stays ? section.port : port,
    protocol: receiver.protocol,
    twin:
      kind === 'offer' && receiver.flags.has('legacy-osrtp') && listed
        ? plainProtocol(receiver.protocol)
        : null,
    connection: stays ? (connectionOf(section, pair.session) ?? connection) : connection,
    formats: listed ? formatList(receiver.formats) : refusedFormats(output, pair),
    addedCodecs: listed ? undescribed(pair) : [],
    rtp,
    // What the receiver reads: we send what comes from the other side, we take what it can get.
    direction: request.flags.has('original-sendrecv') ? 'keep' : receiver.direction,
    rtcp:
      !rtp || !saysWhere || bundleOnly
        ? null
        : stays && !asksForMux
          ? attributeOf(section, 'rtcp')
          : rtcpAttribute(output, pair, port, mux, carried.receiver),
    rtcpMux: rtp && (stays ? hasRtcpMux(section) || asksForMux : mux),
    mid: receiver.mid,
    ptime: rtp && receiver.ptimeMs > 0 ? receiver.ptimeMs : null,
    stripSecurity: rtp && !passed,
    crypto: listed && !passed && saysWhere ? cryptoLinesFor(kind, carried, request.sdes) : [],
    dtls: listed && !passed ? dtlsLinesFor(output, carried) : [],
    ice:
      pair.rejected || pair.untouched
        ? []
        : iceLinesFor(output, carried, {
            sharesPort: mux && showsOnePort(output, pair),
            candidates: saysWhere,
          }),
    keptIce: !passed ? 'none' : stays ? 'without-relays' : 'all',
    bundleOnly: receiver.bundle.group > 0 ? bundleOnly : 'keep',
    extensions: extensionLines(section, pair),
    droppedExtensions: request.edits?.extensions ?? null,
    droppedFeedback: dropsTransportFeedback(kind, pair) ? 'transport-cc' : null,
    attributes: pair.rejected ? null : (request.edits?.attributes?.get(section.type) ?? null),
  };
}

/** Phones have the same lists again and again; who invents others does not fill the memory. */
const knownFormats = new Map<string, readonly string[]>();
const maxKnownFormats = 256;
const maxKnownLength = 256;

function formatList(formats: string): readonly string[] {
  let list = knownFormats.get(formats);
  if (list === undefined) {
    list = formats.split(' ');
    if (formats.length > maxKnownLength) return list;
    if (knownFormats.size >= maxKnownFormats) knownFormats.clear();
    knownFormats.set(formats, list);
  }
  return list;
}

/** A refused section shows the offerer its own formats: it may not know others (RFC 3264 §6). */
function refusedFormats({ kind }: OutputRequest, pair: MediaPair): readonly string[] | null {
  const { rejected, untouched, receiver, section } = pair;
  if (kind === 'offer' || !rejected || untouched) return null;
  const offered = receiver.offered ?? [];
  if (offered.length > 0 && isRtpProtocol(section.protocol)) {
    return offered.map(({ payloadType }) => String(payloadType));
  }
  return receiver.formats === '' ? null : formatList(receiver.formats);
}

/** Codecs of the offer that the section names without saying what they are, or that stand in for its own. */
function undescribed({ section, receiver }: MediaPair): readonly SdpCodec[] {
  const written = codecsOf(section);
  let added: SdpCodec[] | null = null;
  for (const codec of receiver.codecs) {
    if (codec.encoding === '' || isDescribed(written, codec.payloadType)) continue;
    added ??= [];
    added.push({ ...codec, rtcpFeedback: [] });
  }
  return added ?? nothing;
}

const nothing: readonly never[] = [];

function isDescribed(written: readonly SdpCodec[], wanted: number): boolean {
  for (const { payloadType, encoding } of written)
    if (payloadType === wanted && encoding !== '') return true;
  return false;
}

/** Who multiplexes in any of the sections is told of one port in all that ask for it (10.5 and 12.5 seen). */
const showsOnePort = ({ kind, request, pairs }: OutputRequest, pair: MediaPair): boolean =>
  sharesRtcpPort(kind, pair, request) || pairs.some(({ muxKnown }) => muxKnown);

function rtcpAttribute(
  output: OutputRequest,
  pair: MediaPair,
  port: number,
  mux: boolean,
  carrier: Media,
): string | null {
  const { draft, request } = output;
  if (request.flags.has('no-rtcp-attribute')) return null;
  const rtcpPort = localPort(draft, streamAt(draft, pair.receiver, 1));
  const shared = mux && showsOnePort(output, pair);
  const shown = shared || rtcpPort === 0 ? port : rtcpPort;
  if (!request.flags.has('full-rtcp-attribute')) return String(shown);
  // Not the zero address of a hold (10.5 and 12.5 seen).
  const { family, address } = shownAddress(output, carrier);
  return `${shown} IN ${family} ${address}`;
}

function streamAt(draft: CallDraft, media: Media, position: number): Stream | null {
  const id = media.streams[position];
  return id === undefined ? null : draft.stream(id);
}

function localPort(draft: CallDraft, stream: Stream | null): number {
  if (stream === null || stream.selectedSocket === null) return 0;
  return draft.socketAsIs(stream.selectedSocket).port;
}

/** c= of a section: zero while refused, or held without candidates of ours, else what `shownAddress` says. */
function localConnection(output: OutputRequest, receiver: Media, pair: MediaPair): SdpConnection {
  const { request } = output;
  const received = connectionOf(pair.section, pair.session);
  if (pair.untouched && received !== null) return received;
  const held =
    isOnHold(pair) &&
    !receiver.ice.enabled &&
    request.mediaAddress === null &&
    !request.replace.has('zero-address');
  if (pair.rejected || held) {
    const family = receiver.desiredFamily;
    return { family, address: family === 'IP6' ? '::' : '0.0.0.0' };
  }
  return shownAddress(output, receiver);
}

/** media-address, or the advertised address of the local port that faces the receiver. */
function shownAddress({ draft, request, context }: OutputRequest, receiver: Media): SdpConnection {
  if (request.mediaAddress !== null) {
    return { family: familyOf(request.mediaAddress), address: request.mediaAddress };
  }
  const rtp = streamAt(draft, receiver, 0);
  const socket =
    rtp === null || rtp.selectedSocket === null ? null : draft.socketAsIs(rtp.selectedSocket);
  const local =
    socket === null
      ? context.interfaces.addressFor(receiver.logicalInterface, receiver.desiredFamily)
      : context.interfaces.addressAt(socket.logicalInterface, socket.family, socket.addressIndex);
  const address = local?.advertised ?? '0.0.0.0';
  return { family: familyOf(address), address };
}

function memoryOf(origin: SdpOrigin, session: SdpSession, bodyDigest: string): SdpMemory {
  return {
    username: origin.username,
    sessionId: origin.sessionId,
    version: origin.version,
    networkType: origin.networkType,
    addressType: origin.addressType,
    address: origin.address,
    sessionName: session.name,
    timing: session.lines.find((line) => line.type === 't')?.value ?? '0 0',
    bodyDigest,
  };
}

/** FNV-1a over the body: enough to see whether it changed since the last one. */
function digestOf(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return (hash >>> 0).toString(16);
}

/** Gives the first session's o= line its own version count (replace SDP-version). */
function countVersion(output: OutputRequest, sessions: SessionEdit[]): void {
  const { document, dialogue, request } = output;
  const first = sessions[0];
  if (first === undefined) return;
  const kept = dialogue.to.sdpSent;
  const unversioned = { ...first, origin: { ...first.origin, version: '0' } };
  const digest = digestOf(renderSdp(document, [unversioned, ...sessions.slice(1)]));
  const forced = request.replace.has('force-increment-sdp-ver');
  // Counting goes on from the first version that the side was shown, whatever was sent uncounted since (10.5 and 12.5 seen).
  let version = kept?.version ?? first.origin.version;
  const changed = kept !== null && kept.bodyDigest !== '' && kept.bodyDigest !== digest;
  // When forced, the first one too (12.5 seen).
  if (changed || forced) version = incremented(version);
  sessions[0] = { ...first, origin: { ...first.origin, version } };
  dialogue.to.sdpSent = {
    ...(kept ?? memoryOf(first.origin, document.sessions[0] ?? emptySession(first.origin), '')),
    version,
    bodyDigest: digest,
  };
}

function emptySession(origin: SdpOrigin): SdpSession {
  return { origin, name: '-', connection: null, attributes: [], lines: [], medias: [] };
}

function incremented(version: string): string {
  return /^\d+$/.test(version) ? (BigInt(version) + 1n).toString() : '1';
}

/** The first username, session id and session name sent to a side are the ones kept for it. */
function remember(to: Participant, session: SdpSession, sessions: readonly SessionEdit[]): void {
  const first = sessions[0];
  if (first === undefined) return;
  const kept = to.sdpSent;
  if (kept === null) {
    to.sdpSent = memoryOf(first.origin, { ...session, name: first.name }, '');
    return;
  }
  to.sdpSent = {
    ...kept,
    addressType: first.origin.addressType,
    address: first.origin.address,
  };
}
