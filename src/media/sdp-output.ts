/** The body for the other side: what each section says, and its o= line (sdp-rules.md §1-5). */
import type { CallDraft } from './call-draft.js';
import {
  familyOf,
  type Media,
  type Participant,
  type SdpMemory,
  type Stream,
} from './call-state.js';
import type { Dialogue } from './dialogue.js';
import type { MediaPair, SignallingKind } from './media-setup.js';
import type { SignallingContext } from './offer-answer.js';
import type { SignallingRequest } from './signalling.js';
import { renderSdp } from '../sdp/rewrite.js';
import type {
  MediaEdit,
  SdpConnection,
  SdpDirection,
  SdpDocument,
  SdpOrigin,
  SdpSession,
  SessionEdit,
} from '../sdp/types.js';
import {
  connectionOf,
  hasRtcpMux,
  isRtpProtocol,
  isSecureProtocol,
  isZeroAddress,
} from '../sdp/view.js';

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
  dialogue.from.sdpReceived = memoryOf(first.origin, first, '');
  if (request.replace.has('sdp-version') || request.replace.has('force-increment-sdp-ver')) {
    countVersion(output, sessions);
  }
  remember(dialogue.to, first, sessions);
  return renderSdp(document, sessions);
}

function sessionEdit(
  output: OutputRequest,
  session: SdpSession,
  pairs: readonly MediaPair[],
): SessionEdit {
  const { request, context } = output;
  const medias = pairs.map((pair) => mediaEdit(output, pair));
  const secure = pairs.some((pair) => isSecureProtocol(pair.section.protocol));
  return {
    origin: originFor(output, session, medias),
    name: sessionName(output, session),
    addedAttributes: request.flags.has('loop-protect') ? [`rtpengine:${context.instanceId}`] : [],
    stripIce: true,
    stripSecurity: !secure,
    medias,
  };
}

function sessionName({ dialogue, request }: OutputRequest, session: SdpSession): string {
  const kept = dialogue.to.sdpSent?.sessionName;
  return request.replace.has('session-name') && kept !== undefined && kept !== ''
    ? kept
    : session.name;
}

function originFor(
  { dialogue, request }: OutputRequest,
  session: SdpSession,
  medias: readonly MediaEdit[],
): SdpOrigin {
  const { replace } = request;
  const received = session.origin;
  const kept = dialogue.to.sdpSent;
  let origin = received;
  if (replace.has('origin') || replace.has('origin-full')) {
    const local = medias.find((media) => media.kind === 'relay')?.connection;
    if (local !== undefined && !isZeroAddress(local.address)) {
      origin = { ...origin, addressType: local.family, address: local.address };
    } else if (kept !== null && kept.address !== '') {
      origin = { ...origin, addressType: kept.addressType, address: kept.address };
    }
  }
  if (kept === null) return origin;
  if (replace.has('username') || replace.has('origin-full')) {
    origin = { ...origin, username: kept.username };
  }
  if (replace.has('origin-full')) origin = { ...origin, sessionId: kept.sessionId };
  return origin;
}

function mediaEdit(output: OutputRequest, pair: MediaPair): MediaEdit {
  const { kind, draft, request } = output;
  const { section, receiver } = pair;
  const connection = localConnection(output, receiver, pair);
  const rtp = isRtpProtocol(section.protocol);
  const secure = isSecureProtocol(section.protocol);
  const rtpStream = streamAt(draft, receiver, 0);
  const port = localPort(draft, rtpStream);
  const mux = kind === 'offer' ? offersMux(pair, request) : receiver.flags.has('rtcp-mux');
  return {
    kind: pair.rejected ? 'rejected' : pair.untouched ? 'keep' : 'relay',
    port: pair.untouched ? section.port : port,
    protocol: receiver.protocol,
    connection,
    formats: rtp && kind === 'answer' ? receiver.formats.split(' ') : null,
    rtp,
    direction: request.flags.has('original-sendrecv') ? 'keep' : directionTo(receiver),
    rtcp: rtp ? rtcpAttribute(output, pair, port, mux, connection) : null,
    rtcpMux: rtp && mux,
    mid: receiver.mid,
    ptime: rtp && receiver.ptimeMs > 0 ? receiver.ptimeMs : null,
    stripSecurity: !secure,
    stripIce: true,
  };
}

/** What the receiver reads: we send what comes from the other side, we take what it can get. */
function directionTo(receiver: Media): SdpDirection {
  if (receiver.flags.has('send')) return receiver.flags.has('recv') ? 'sendrecv' : 'sendonly';
  return receiver.flags.has('recv') ? 'recvonly' : 'inactive';
}

function offersMux(pair: MediaPair, request: SignallingRequest): boolean {
  const { rtcpMux } = request;
  if (!isRtpProtocol(pair.section.protocol)) return false;
  if (rtcpMux.has('require') || rtcpMux.has('offer')) return true;
  // A receiver that multiplexes already is not asked to stop by a re-offer that leaves it out.
  const known = pair.receiver.flags.has('rtcp-mux');
  return (hasRtcpMux(pair.section) || known) && !rtcpMux.has('demux');
}

function rtcpAttribute(
  { kind, draft, request }: OutputRequest,
  pair: MediaPair,
  port: number,
  mux: boolean,
  connection: SdpConnection,
): string | null {
  if (request.flags.has('no-rtcp-attribute')) return null;
  const rtcpPort = localPort(draft, streamAt(draft, pair.receiver, 1));
  const settled = kind === 'answer' || pair.receiver.flags.has('rtcp-mux');
  const shared = mux && (settled || request.rtcpMux.has('require'));
  const shown = shared || rtcpPort === 0 ? port : rtcpPort;
  return request.flags.has('full-rtcp-attribute')
    ? `${shown} IN ${connection.family} ${connection.address}`
    : String(shown);
}

function streamAt(draft: CallDraft, media: Media, position: number): Stream | null {
  const id = media.streams[position];
  return id === undefined ? null : draft.stream(id);
}

function localPort(draft: CallDraft, stream: Stream | null): number {
  if (stream === null || stream.selectedSocket === null) return 0;
  return draft.socket(stream.selectedSocket).port;
}

/** c= of a section: zero while held, else media-address or the advertised local address. */
function localConnection(
  { draft, request, context }: OutputRequest,
  receiver: Media,
  pair: MediaPair,
): SdpConnection {
  const received = connectionOf(pair.section, pair.session);
  if (pair.untouched && received !== null) return received;
  const held = isZeroAddress(pair.address);
  if (pair.rejected || (held && !request.replace.has('zero-address'))) {
    const family = pair.rejected ? receiver.desiredFamily : (received?.family ?? 'IP4');
    return { family, address: family === 'IP6' ? '::' : '0.0.0.0' };
  }
  if (request.mediaAddress !== null) {
    return { family: familyOf(request.mediaAddress), address: request.mediaAddress };
  }
  const rtp = streamAt(draft, receiver, 0);
  const socket =
    rtp === null || rtp.selectedSocket === null ? null : draft.socket(rtp.selectedSocket);
  const local =
    socket === null
      ? context.interfaces.addressFor(receiver.logicalInterface, receiver.desiredFamily)
      : context.interfaces.addressAt(socket.logicalInterface, socket.addressIndex);
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
  let version = first.origin.version;
  if (kept !== null && kept.bodyDigest !== '') {
    const changed = kept.bodyDigest !== digest || request.replace.has('force-increment-sdp-ver');
    version = changed ? incremented(kept.version) : kept.version;
  } else if (request.replace.has('force-increment-sdp-ver') && kept !== null) {
    version = incremented(kept.version);
  }
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
    version: first.origin.version,
    addressType: first.origin.addressType,
    address: first.origin.address,
  };
}
