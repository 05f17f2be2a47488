/** Publishing (ng-protocol.md §3.13): a body that nobody but us answers; what it brings, others may subscribe to. */
import { earliestDeletion } from '../call-change.js';
import { CallDraft } from '../call-draft.js';
import type { CallState, Media, Participant } from '../call-state.js';
import { isAudible } from '../codec-lists.js';
import { SignallingError } from '../errors.js';
import type { MediaPair } from '../media-pair.js';
import { applySection, ensureStreams, mediaAt } from '../media-setup.js';
import {
  bodyFailure,
  chooseInterface,
  emptyCall,
  labelOf,
  pairOf,
  readBody,
  type SignallingResult,
} from '../offer-answer.js';
import { receivesFrom, sendsTo, type MediaDirection } from '../media-attributes.js';
import { rememberReceived, writeSdp } from '../sdp-output.js';
import type { SignallingContext, SignallingRequest } from '../signalling.js';
import {
  localBody,
  ownSession,
  sectionOf,
  withOwnOrigin,
  type LocalSection,
} from './local-body.js';
import { facePorts, flatSections, giveUpPorts, type Placed } from './sections.js';
import { StandIn } from './stand-in.js';
import { shownCodecs, namesCodec } from '../../sdp/edits.js';
import type { SdpDocument } from '../../sdp/types.js';
import { isFeedbackProtocol } from '../../sdp/view.js';

/** Codecs of which rtpengine 10.5 publishes the first one that is offered; it cannot run others. */
const wellKnown: ReadonlySet<string> = new Set([
  ...['PCMU', 'PCMA', 'G722', 'G723', 'G729', 'G729A', 'GSM', 'OPUS', 'SPEEX', 'VORBIS'],
  ...['AC3', 'EAC3', 'PCM-S16LE'],
]);

type Named = Media['codecs'][number];

/** The codecs that the answer to a published body takes. */
function publishedCodecs(
  offered: readonly Named[],
  { edits }: Pick<SignallingRequest, 'edits'>,
): readonly Named[] {
  const lists = edits?.codecs ?? null;
  const left = lists === null ? offered : shownCodecs(offered, lists);
  const codecs = left.length > 0 ? left : offered;
  const accept = lists?.accept ?? [];
  const [any, all] = [accept.includes('any'), accept.includes('all')];
  if (any && all) return codecs;
  for (const specification of accept) {
    const named = codecs.find((codec) => namesCodec(specification, codec));
    if (named !== undefined) return [named];
  }
  const known = codecs.filter(({ encoding }) => wellKnown.has(encoding.toUpperCase()));
  if (all && known.length > 0) return known;
  const audible = codecs.filter(isAudible);
  const first = (any ? audible[0] : known[0]) ?? audible[0] ?? codecs[0];
  return first === undefined ? [] : [first];
}

/** The call with the publisher, and the answer to its body. */
export type Published = SignallingResult & { readonly sdp: string };

const notWritable = (): SignallingError =>
  new SignallingError('sdp-not-writable', 'Failed to create SDP');

/** Takes a publisher's body and answers it. `request.fromTag` names the publisher. @throws SignallingError */
export function publish(
  previous: CallState | null,
  request: SignallingRequest,
  context: SignallingContext,
): Published {
  const received = readBody(request.sdp, context.rejectInvalidSdp, 'answer');
  const draft = new CallDraft(previous ?? emptyCall(request.callId, context));
  const warnings: string[] = [];
  const publisher = publisherOf(draft, request, context);
  const wanted = request.interface ?? request.fromInterface;
  const logicalInterface = chooseInterface(publisher, wanted, context, warnings);
  try {
    const [session] = received.sessions;
    if (session !== undefined) rememberReceived(publisher, session);
    const sections = flatSections(received);
    if (sections.length === 0) throw notWritable();
    const medias = sections.map(({ section, index }) => {
      const media = mediaAt(draft, publisher, index, logicalInterface, context);
      media.logicalInterface = logicalInterface;
      ensureStreams(draft, media, section.portCount, context.nowMicros);
      return media;
    });
    const standIn = new StandIn(draft, context);
    const taken = take(draft, standIn, sections, medias, request, context, warnings);
    // There is nobody who could refuse it (10.5 and 12.5 seen).
    if (taken.some(({ rejected }, at) => rejected && sections[at]?.section.port === 0)) {
      throw notWritable();
    }
    const document = answerTo(publisher, taken, request, context);
    const pairs = answered(draft, standIn, document, medias, request, context, warnings);
    for (const pair of pairs) {
      if (pair.rejected || pair.untouched) giveUpPorts(draft, pair.receiver);
      else facePorts(draft, pair.receiver, pair.section.portCount, pair.receiver.rtcpMux, context);
    }
    const dialogue = { from: standIn.participant, to: publisher };
    const sdp = writeSdp({
      ...{ kind: 'answer', draft, dialogue, document, pairs, context },
      request: withOwnOrigin(request),
    });
    standIn.leave();
    return {
      state: draft.finished(),
      sdp,
      isNewCall: previous === null,
      warnings: [...new Set(warnings)],
    };
  } catch (error) {
    throw bodyFailure(error);
  }
}

function publisherOf(
  draft: CallDraft,
  request: SignallingRequest,
  context: SignallingContext,
): Participant {
  const { state } = draft;
  state.lastSignalMicros = context.nowMicros;
  state.deletedMicros = 0;
  if (request.metadata !== null) state.metadata = request.metadata;
  if (request.tos !== null) state.tos = request.tos;
  if (request.dropTraffic !== null) state.dropTraffic = request.dropTraffic === 'start';
  const publisher =
    draft.participantByTag(request.fromTag) ??
    draft.addParticipant(request.fromTag, context.nowMicros);
  publisher.deletedMicros = 0;
  publisher.label = labelOf(request) ?? publisher.label;
  publisher.metadata = request.metadata ?? publisher.metadata;
  state.participantDeletedMicros = earliestDeletion(state.participants);
  return publisher;
}

/** The publisher's sections, offered to the one who stands in for all subscribers. */
function take(
  draft: CallDraft,
  standIn: StandIn,
  sections: readonly Placed[],
  medias: readonly Media[],
  request: SignallingRequest,
  context: SignallingContext,
  warnings: string[],
): readonly MediaPair[] {
  return sections.map((placed, at) => {
    const sender = medias[at] ?? never();
    const receiver = standIn.opposite(sender);
    const pair = pairOf('offer', { ...placed, sender, receiver }, request, context);
    // Who stands in needs no keys: SRTP ends here.
    const transportProtocol = isFeedbackProtocol(placed.section.protocol) ? 'RTP/AVPF' : 'RTP/AVP';
    const plain = { ...request, transportProtocol, edits: null, ...facingSender(request) };
    warnings.push(...applySection(draft, 'offer', pair, plain, context));
    return pair;
  });
}

/** The words of ICE that a publisher's own side has: nobody who stands in speaks it. */
const facingSender = ({ ice, iceLite }: SignallingRequest): Partial<SignallingRequest> => ({
  ice: { ...ice, mode: 'remove', lite: backwards(ice.lite) },
  iceLite: backwards(iceLite),
});

/** There is one side only, however it is named. */
const backwards = (word: SignallingRequest['iceLite']): SignallingRequest['iceLite'] =>
  word === null || word === 'off' ? word : 'backward';

const never = (): never => {
  throw new RangeError('a section without a media');
};

/** Whether packets come from a side and go to it. */
function directionTo({ direction }: Media, bidirectional: boolean): MediaDirection {
  const comes = receivesFrom(direction);
  if (bidirectional && comes && sendsTo(direction)) return 'sendrecv';
  return comes ? 'recvonly' : 'inactive';
}

function answerTo(
  publisher: Participant,
  pairs: readonly MediaPair[],
  request: SignallingRequest,
  context: SignallingContext,
): SdpDocument {
  const sections = pairs.map(({ sender, receiver, section, rejected }): LocalSection => ({
    ...sectionOf(sender),
    port: rejected ? 0 : 9,
    portCount: section.portCount,
    protocol: receiver.protocol,
    codecs: rejected ? sender.codecs : publishedCodecs(sender.codecs, request),
    formats: section.formats.join(' '),
    direction: directionTo(sender, request.flags.has('bidirectional')),
    ptimeMs: 0,
    rtcpMux: sender.rtcpMux,
    lines: '',
  }));
  return localBody(ownSession(publisher, context), '', sections);
}

function answered(
  draft: CallDraft,
  standIn: StandIn,
  document: SdpDocument,
  medias: readonly Media[],
  request: SignallingRequest,
  context: SignallingContext,
  warnings: string[],
): readonly MediaPair[] {
  const ice = { ...request.ice, lite: null };
  const plain = { edits: null, receivedFrom: null, ice, iceLite: null };
  const local = { ...request, ...plain, flags: localFlags(request) };
  return flatSections(document).map((placed, at) => {
    const receiver = medias[at] ?? never();
    const sender = standIn.opposite(receiver);
    const pair = pairOf('answer', { ...placed, sender, receiver }, local, {
      ...context,
      sipSource: false,
    });
    warnings.push(...applySection(draft, 'answer', pair, local, context));
    return pair;
  });
}

/** The body is ours: what the request says of its sender's address is none of it. */
function localFlags({ flags }: SignallingRequest): SignallingRequest['flags'] {
  const left = new Set(flags);
  left.delete('sip-source-address');
  left.delete('single-codec');
  return left;
}
