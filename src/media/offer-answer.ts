/**
 * The offer/answer model (RFC 3264 seen from a relay in the middle; sdp-rules.md, ng-protocol.md §7).
 * Pure: from the call as it was and a request to the call as it will be and the SDP for the other
 * side. Ports come from the allocator passed in, the time from the context.
 */
import { withdrawOffer } from './agreed.js';
import { aliasKeyOf } from './alias-key.js';
import { earliestDeletion } from './call-change.js';
import { CallDraft, newCallState } from './call-draft.js';
import { familyOf, type CallState, type Participant } from './call-state.js';
import { leavesNothing } from './codec-lists.js';
import { answerDialogue, offerDialogue, type Dialogue } from './dialogue.js';
import { PortAllocationError, SignallingError } from './errors.js';
import { applySection, mediaAt, signalledAddress } from './media-setup.js';
import {
  assignPorts,
  familyNamed,
  type InterfaceChoice,
  type InterfaceChoices,
} from './port-assignment.js';
import { carriesNothing, setMediaFlag, sharingOf, type MediaPair } from './media-pair.js';
import { applyFragment } from './ice/fragment.js';
import { passesThrough } from './security.js';
import { writeSdp } from './sdp-output.js';
import { completed } from './sections.js';
import { noTwins, plainTwins, withoutTwins } from './twin-sections.js';
import type { SignallingContext, SignallingKind, SignallingRequest } from './signalling.js';
import { bundleGroups, isBundleOnly } from './bundle/attributes.js';
import { applyBundles } from './bundle/negotiation.js';
import { applyExtensions } from './bundle/extensions.js';
import { shareTransports } from './bundle/transport.js';
import { subscribeBothWays } from './subscriptions.js';
import { applyEcho } from './subscriptions/echo.js';
import { parseSdp } from '../sdp/lines.js';
import { isRemoved } from '../sdp/edits.js';
import { SdpError, type SdpDocument, type SdpMedia, type SdpSession } from '../sdp/types.js';
import {
  codecsOf,
  connectionOf,
  isRtpProtocol,
  isUdpProtocol,
  isZeroAddress,
  loopMarks,
  midOf,
} from '../sdp/view.js';

export interface SignallingResult {
  /** The call as it is from now on; null when nothing was taken in (loop protection). */
  readonly state: CallState | null;
  /** Body for the other side; null when the request had an empty one. */
  readonly sdp: string | null;
  readonly isNewCall: boolean;
  /** What an operator should read in the log. */
  readonly warnings: readonly string[];
}

/**
 * An offer. `previous` is null for a call-id not seen before.
 * @throws SignallingError; `previous` then stands, and the caller gives back the ports.
 */
export function offer(
  previous: CallState | null,
  request: SignallingRequest,
  context: SignallingContext,
): SignallingResult {
  return signal('offer', previous, request, context);
}

/**
 * An answer; from-tag names the offerer, to-tag the answerer, whose SDP this is.
 * @throws SignallingError
 */
export function answer(
  previous: CallState | null,
  request: SignallingRequest,
  context: SignallingContext,
): SignallingResult {
  return signal('answer', previous, request, context);
}

function signal(
  kind: SignallingKind,
  previous: CallState | null,
  request: SignallingRequest,
  context: SignallingContext,
): SignallingResult {
  if (request.flags.has('fragment')) return fragment(kind, previous, request, context);
  const received =
    request.sdp === '' ? null : readBody(request.sdp, context.rejectInvalidSdp, kind);
  const isNewCall = previous === null;
  if (isNewCall && kind === 'answer') {
    throw new SignallingError('unknown-call', 'Unknown call-id');
  }
  if (received !== null && isLooped(received, request, context)) {
    return { state: null, sdp: request.sdp, isNewCall, warnings: [] };
  }
  const draft = new CallDraft(previous ?? emptyCall(request.callId, context));
  draft.state.lastSignalMicros = context.nowMicros;
  draft.state.deletedMicros = 0;
  if (request.metadata !== null) draft.state.metadata = request.metadata;
  if (request.tos !== null) draft.state.tos = request.tos;
  if (request.dropTraffic !== null) draft.state.dropTraffic = request.dropTraffic === 'start';
  draft.state.noticeAddress = request.noticeAddress ?? draft.state.noticeAddress;
  draft.state.digitsTo = request.digitsTo ?? draft.state.digitsTo;

  const warnings: string[] = [];
  const dialogue = findDialogue(kind, draft, request, received, context);
  draft.state.participantDeletedMicros = earliestDeletion(draft.state.participants);
  const choices = chooseInterfaces(kind, draft, dialogue, request, context, warnings);
  if (received === null) {
    return { state: draft.finished(), sdp: null, isNewCall, warnings };
  }
  const single =
    kind === 'answer'
      ? withoutTwins(received, draft, dialogue.from, request.opportunistic)
      : received;
  const document = completed(kind, single, draft, dialogue);
  if (!hasSections(document)) throw notWritable();
  let pairs: readonly MediaPair[];
  const doubts: string[] = [];
  try {
    const found = pairMedias(kind, draft, dialogue, choices, document, request, context);
    if (kind === 'offer') forgetEarlierOffer(draft, dialogue, found.length);
    const bundled = applyBundles(kind, found, request);
    pairs = bundled.pairs;
    warnings.push(...bundled.warnings);
    applyExtensions(kind, pairs, request);
    for (const pair of pairs) {
      warnings.push(...applySection(draft, kind, pair, request, context));
      assignPorts(kind, draft, pair, choices, request, context);
      applyEcho(pair.sender, pair.receiver, request.mediaEcho);
    }
    shareTransports(draft, pairs);
  } catch (error) {
    throw bodyFailure(error);
  }
  for (const pair of pairs)
    for (const doubt of doubtsAbout(kind, pair, request))
      if (!doubts.includes(doubt)) doubts.push(doubt);
  warnings.push(...doubts);
  subscribeBothWays(draft, dialogue);
  const sdp = writeSdp({ kind, draft, dialogue, document, pairs, request, context });
  return { state: draft.finished(), sdp, isNewCall, warnings };
}

/** Up to the first empty line each is `x=…`, and a version is 0 (12.5 seen). */
function isFragment(text: string): boolean {
  for (const line of text.split(/\r?\n/)) {
    if (line === '') return true;
    if (line[1] !== '=' || (line.startsWith('v=') && line !== 'v=0')) return false;
  }
  return true;
}

/** Candidates alone: nothing is answered. A call that is not known (any more) is none of an error, as with 10.5. */
function fragment(
  kind: SignallingKind,
  previous: CallState | null,
  request: SignallingRequest,
  context: SignallingContext,
): SignallingResult {
  if (!isFragment(request.sdp)) throw new SignallingError('bad-sdp', 'Failed to parse SDP');
  if (previous === null) {
    const warnings = ['Candidates of a call that is not known are left out'];
    return { state: null, sdp: null, isNewCall: false, warnings };
  }
  const draft = new CallDraft(previous);
  draft.state.lastSignalMicros = context.nowMicros;
  const tag = kind === 'offer' ? request.fromTag : (request.toTag ?? '');
  const warnings = applyFragment(draft, draft.participantByTag(tag), request.sdp);
  return { state: draft.finished(), sdp: null, isNewCall: false, warnings };
}

/** What rtpengine 10.5 cuts off, or refuses with reject-invalid-sdp. */
const hasTextAfterEmptyLine = (sdp: string): boolean => /\n\r?\n[^\r\n]/.test(sdp);

const hasSections = ({ sessions }: SdpDocument): boolean =>
  sessions.some(({ medias }) => medias.length > 0);

const notWritable = (): SignallingError =>
  new SignallingError('sdp-not-writable', 'Error rewriting SDP');

/**
 * The document of a body that can be taken. Only an answer may lack sections: what it leaves out is refused.
 * @throws SignallingError
 */
export function readBody(
  text: string,
  rejectInvalidSdp: boolean,
  kind: SignallingKind = 'offer',
): SdpDocument {
  if (rejectInvalidSdp && hasTextAfterEmptyLine(text)) {
    throw new SignallingError('bad-sdp', 'Failed to parse SDP');
  }
  const document = readSdp(text);
  if (kind === 'offer' && !hasSections(document)) throw notWritable();
  return document;
}

function readSdp(text: string): SdpDocument {
  try {
    const document = parseSdp(text);
    for (const session of document.sessions) {
      for (const media of session.medias) {
        const relayed = media.port !== 0 && isUdpProtocol(media.protocol);
        if (relayed && connectionOf(media, session) === null) {
          throw new SdpError('incomplete', 'No address info found for stream', -1);
        }
      }
    }
    return document;
  } catch (error) {
    throw sdpFailure(error);
  }
}

/** What to throw for a body that cannot be taken, or that there are no ports for; other errors as they are. */
export function bodyFailure(error: unknown): unknown {
  if (error instanceof PortAllocationError) {
    return new SignallingError('out-of-ports', 'Ran out of ports', { cause: error });
  }
  return sdpFailure(error);
}

function sdpFailure(error: unknown): unknown {
  if (!(error instanceof SdpError)) return error;
  if (error.code === 'too-many-medias') {
    return new SignallingError('too-many-medias', error.message, { cause: error });
  }
  return error.code === 'incomplete'
    ? new SignallingError('incomplete-sdp', 'Incomplete SDP specification', { cause: error })
    : new SignallingError('bad-sdp', 'Failed to parse SDP', { cause: error });
}

function isLooped(
  document: SdpDocument,
  request: SignallingRequest,
  context: SignallingContext,
): boolean {
  return (
    request.flags.has('loop-protect') &&
    document.sessions.some((session) => loopMarks(session).includes(context.instanceId))
  );
}

/** A call in which nothing has been said yet. */
export function emptyCall(callId: string, context: SignallingContext): CallState {
  return newCallState({
    callId,
    nowMicros: context.nowMicros,
    createdFrom: context.controlClient,
    createdFromAddress: context.controlAddress,
    tos: context.tos,
    redisHostedDb: context.redisHostedDb,
  });
}

/** What the sender of a body is called from now on; null: as before. `label` counts first (10.5 and 12.5 seen). */
export const labelOf = ({ label, setLabel }: SignallingRequest): string | null => label ?? setLabel;

/** The sender and the receiver of this body. */
function findDialogue(
  kind: SignallingKind,
  draft: CallDraft,
  request: SignallingRequest,
  received: SdpDocument | null,
  context: SignallingContext,
): Dialogue {
  const { fromTag, toTag, viaBranch, flags, sipCode } = request;
  let dialogue: Dialogue;
  if (kind === 'offer') {
    const aliasKey = aliasKeyOf(request, received);
    const offering = { fromTag, toTag, viaBranch, aliasKey };
    dialogue = offerDialogue(draft, offering, context.nowMicros);
  } else {
    if (toTag === null) {
      throw new SignallingError('invalid-dialogue', 'Invalid dialogue association');
    }
    const answering = {
      fromTag,
      toTag,
      viaBranch,
      newBranch: flags.has('new-branch'),
      sipCode: request.sipMessageType === 'request' ? null : sipCode,
      provisional: flags.has('provisional'),
    };
    const { from, to } = answerDialogue(draft, answering, context.nowMicros);
    dialogue = { from: to, to: from };
  }
  if (dialogue.from === dialogue.to) {
    throw new SignallingError('invalid-dialogue', 'Invalid dialogue association');
  }
  const label = labelOf(request);
  if (label !== null) dialogue.from.label = label;
  if (request.metadata !== null) dialogue.from.metadata = request.metadata;
  if (request.flags.has('block-dtmf')) {
    dialogue.from.blockDtmf = request.dtmfSecurity === 'off' ? 'off' : 'drop';
  }
  return dialogue;
}

/** Logical interfaces stay with a participant until a request names others, or its family changes (`placeMedia`). */
function chooseInterfaces(
  kind: SignallingKind,
  draft: CallDraft,
  { from, to }: Dialogue,
  request: SignallingRequest,
  context: SignallingContext,
  warnings: string[],
): InterfaceChoices {
  /** Its answer has named another one than its medias are at. */
  const isNamedSince = ({ logicalInterface, medias: [first] }: Participant): boolean => {
    if (logicalInterface === null || first === undefined) return false;
    const media = draft.mediaAsIs(first);
    if (media.logicalInterface === logicalInterface) return false;
    const { desiredFamily } = media;
    return context.interfaces.addressFor(logicalInterface, desiredFamily)?.family === desiredFamily;
  };
  const choose = (participant: Participant, name: string | null): InterfaceChoice => {
    if (name === null) return isNamedSince(participant) ? 'named' : 'as-before';
    const found = context.interfaces.find(name, participant.logicalInterface);
    if (found !== null) {
      participant.logicalInterface = found.name;
      return 'named';
    }
    const family = familyNamed(name);
    if (family === null) warnings.push(unknownInterface(name));
    if (kind === 'offer' || participant === to) return 'usual';
    // An answerer has been told its ports: that counts with the next offer to it (10.5 and 12.5 seen).
    const usual = family ?? participant.desiredFamily ?? 'IP4';
    participant.logicalInterface = context.interfaces.defaultFor(usual).name;
    return 'as-before';
  };
  return { from: choose(from, request.fromInterface), to: choose(to, request.toInterface) };
}

const unknownInterface = (name: string): string => `Interface '${name}' not found, using default`;

/** Returns the name of the interface that faces the participant: the wanted one, or as it was. */
export function chooseInterface(
  participant: Participant,
  wanted: string | null,
  { interfaces }: SignallingContext,
  warnings: string[],
): string {
  const current = participant.logicalInterface;
  const found = wanted === null ? null : interfaces.find(wanted, current);
  if (wanted !== null && found === null && familyNamed(wanted) === null)
    warnings.push(unknownInterface(wanted));
  const name = found?.name ?? current ?? interfaces.default.name;
  participant.logicalInterface = name;
  return name;
}

function pairMedias(
  kind: SignallingKind,
  draft: CallDraft,
  { from, to }: Dialogue,
  choices: InterfaceChoices,
  document: SdpDocument,
  request: SignallingRequest,
  context: SignallingContext,
): readonly MediaPair[] {
  const usual = context.interfaces.default.name;
  const pairs: MediaPair[] = [];
  let index = 0;
  let muxKnown = false;
  for (const session of document.sessions) {
    const twins = kind === 'offer' ? plainTwins(session, request.opportunistic) : noTwins;
    for (const section of session.medias) {
      index += 1;
      // Created receiver first, as the ids in the stored value show.
      const receiver = mediaAt(draft, to, index, to.logicalInterface ?? usual, context);
      const sender = mediaAt(draft, from, index, from.logicalInterface ?? usual, context);
      if (choices.to === 'named')
        receiver.logicalInterface = to.logicalInterface ?? receiver.logicalInterface;
      // An answerer has been told its ports; another interface counts with the next offer.
      if (choices.from === 'named' && (kind === 'offer' || sender.streams.length === 0))
        sender.logicalInterface = from.logicalInterface ?? sender.logicalInterface;
      const parts = { session, section, index, sender, receiver };
      const pair = pairOf(kind, parts, request, context, { isTwin: twins.has(section), muxKnown });
      // A section that is new, or behind, is offered like that one (10.5 and 12.5 seen).
      muxKnown ||= pair.muxKnown;
      pairs.push(pair);
    }
  }
  return pairs;
}

/**
 * A section and the medias that it is about, with what the request makes of it. @throws SdpError
 * @param more.isTwin it is left out: the secure section beside it is the same medium.
 * @param more.muxKnown the receiver of an offer multiplexes in a section before this one.
 */
export function pairOf(
  kind: SignallingKind,
  parts: Pick<MediaPair, 'session' | 'section' | 'index' | 'sender' | 'receiver'>,
  request: SignallingRequest,
  context: SignallingContext,
  more = { isTwin: false, muxKnown: false },
): MediaPair {
  const { session, section, sender, receiver } = parts;
  const { address, fromSipSource } = signalledAddress(
    section,
    session,
    sender.logicalInterface,
    request,
    context,
  );
  const removed = more.isTwin || isRemoved(section, request.edits);
  // Where the ends' own security passes, so does their bundle.
  const isIn = bundledAlone(section, session) && passesThrough(kind, parts, request);
  const rejected = (section.port === 0 && !isIn) || removed || isEmptied(section, request);
  const muxKnown =
    kind === 'offer' &&
    !rejected &&
    isRtpProtocol(section.protocol) &&
    (more.muxKnown || receiver.rtcpMux || receiver.agreed?.rtcpMux === true);
  if (kind === 'offer') {
    setMediaFlag(receiver, 'left-out', removed);
    withdrawOffer(sender, rejected);
    withdrawOffer(receiver, rejected);
  }
  // Written out, not spread: all pairs have one hidden class, and everything that reads them is as fast.
  return {
    session,
    section: rejected && section.port !== 0 ? { ...section, port: 0 } : section,
    index: parts.index,
    sender,
    receiver,
    before: { sender: sharingOf(sender), receiver: sharingOf(receiver) },
    address,
    fromSipSource,
    transport: section,
    carries: carriesNothing,
    rejected,
    leftOut: receiver.flags.has('left-out'),
    untouched: !isUdpProtocol(section.protocol),
    isFirst: sender.streams.length === 0,
    muxKnown,
  };
}

/** It has no port but that of its bundle (RFC 9143 §6). */
const bundledAlone = (section: SdpMedia, session: SdpSession): boolean => {
  const mid = isBundleOnly(section) ? midOf(section) : null;
  return mid !== null && bundleGroups(session).some((mids) => mids.includes(mid));
};

/** Nothing is left of the section, and that is what the request wants. */
function isEmptied(section: SdpMedia, request: SignallingRequest): boolean {
  return (
    request.flags.has('allow-no-codec-media') &&
    isRtpProtocol(section.protocol) &&
    leavesNothing(codecsOf(section), request)
  );
}

/** What cannot work as signalled; the call is set up all the same. */
function doubtsAbout(
  kind: SignallingKind,
  pair: MediaPair,
  request: SignallingRequest,
): readonly string[] {
  const { section, sender, receiver, address, rejected, untouched } = pair;
  if (rejected || untouched) return [];
  const doubts: string[] = [];
  if (!isZeroAddress(address) && familyOf(address) !== sender.desiredFamily) {
    doubts.push(
      `Interface '${sender.logicalInterface}' has no address to send to ${address} from; waiting for media from elsewhere`,
    );
  }
  if (isRtp(pair) && leavesNothing(codecsOf(section), request)) {
    doubts.push(
      'Usage error: List of codecs empty. Restoring original list of codecs. Results may be unexpected.',
    );
  }
  if (kind === 'answer' && isRtp(pair)) {
    const answered = codecsOf(section);
    const standIn = receiver.codecs.find(
      (codec) => !answered.some(({ payloadType }) => payloadType === codec.payloadType),
    );
    if (standIn !== undefined) {
      doubts.push(
        `The answer has none of the offered codecs; ${standIn.encoding} is passed on in their place`,
      );
    }
  }
  return doubts;
}

/** What earlier offers had beyond the sections of this one is offered no longer. */
function forgetEarlierOffer(draft: CallDraft, { from, to }: Dialogue, sections: number): void {
  for (const id of [...from.medias, ...to.medias]) {
    const media = draft.media(id);
    if (media.index > sections) media.offered = null;
  }
}

const isRtp = (pair: MediaPair): boolean => isRtpProtocol(pair.section.protocol);
