/**
 * Subscribing (ng-protocol.md §3.13): somebody is offered what others send, answers, and gets it until he
 * unsubscribes. Nobody else notices.
 */
import { earliestDeletion } from '../call-change.js';
import { CallDraft } from '../call-draft.js';
import { type CallState, type Media, type Participant, type Subscription } from '../call-state.js';
import { isSameCodec } from '../codec-lists.js';
import { SignallingError } from '../errors.js';
import { speaksDtls } from '../dtls/negotiation.js';
import { speaksIce } from '../ice/plan.js';
import { directionOfFlags, noIce, sendsTo } from '../media-attributes.js';
import type { MediaPair } from '../media-pair.js';
import { applySection, ensureStreams, mediaAt, sharesRtcpPort } from '../media-setup.js';
import { bodyFailure, chooseInterface, pairOf, readBody } from '../offer-answer.js';
import { writeSdp } from '../sdp-output.js';
import type { SignallingContext, SignallingRequest } from '../signalling.js';
import { ensureAnswered, facePorts, flatSections, giveUpPorts, type Placed } from './sections.js';
import {
  bodyOf,
  mediasOf,
  sourcesOf,
  spokesman,
  type Source,
  type Subscribing,
} from './sources.js';
import { withOwnOrigin } from './local-body.js';
import { StandIn } from './stand-in.js';
import type { SdpDocument } from '../../sdp/types.js';
import { codecsOf, isRtpProtocol, isSecureProtocol } from '../../sdp/view.js';

export interface SubscriptionResult {
  readonly state: CallState;
  readonly warnings: readonly string[];
}

export interface OfferedSubscription extends SubscriptionResult {
  /** The offer for the subscriber. */
  readonly sdp: string;
  readonly toTag: string;
  /** One for each section of the body. */
  readonly sources: readonly Source[];
}

/**
 * Offers `toTag` what the sources of the request send; what it was subscribed to before, it is no longer.
 * @throws SignallingError; `previous` then stands.
 */
export function subscribeRequest(
  previous: CallState,
  request: Subscribing,
  toTag: string,
  context: SignallingContext,
): OfferedSubscription {
  const named = sourcesOf(previous, request);
  const draft = new CallDraft(previous);
  const sources = mediasOf(draft, named);
  const warnings: string[] = [];
  const subscriber = subscriberOf(draft, request, toTag, context, warnings);
  if (sources.some(({ participant }) => participant === subscriber)) {
    throw new SignallingError('invalid-dialogue', 'Failed to request subscription');
  }
  forgetSubscriptions(draft, subscriber);
  try {
    const document = bodyOf(draft, sources, subscriber, request, context);
    const sections = flatSections(document);
    const medias = sections.map(({ section, index }) => {
      const iface = subscriber.logicalInterface ?? '';
      const media = mediaAt(draft, subscriber, index, iface, context);
      media.logicalInterface = iface;
      ensureStreams(draft, media, section.portCount, context.nowMicros);
      return media;
    });
    for (const id of subscriber.medias.slice(medias.length)) giveUpPorts(draft, draft.media(id));
    const pairs = offerTo(draft, { sources, sections, medias }, request, context, warnings);
    const sdp = bodyFor(draft, subscriber, document, sources, pairs, request, context);
    sources.forEach(({ media }, at) => {
      const own = medias[at];
      if (own !== undefined) subscribe(own, media, request);
    });
    return { state: draft.finished(), sdp, toTag, sources, warnings };
  } catch (error) {
    throw bodyFailure(error);
  }
}

function subscriberOf(
  draft: CallDraft,
  request: Subscribing,
  toTag: string,
  context: SignallingContext,
  warnings: string[],
): Participant {
  const { state } = draft;
  state.lastSignalMicros = context.nowMicros;
  const subscriber =
    draft.participantByTag(toTag) ?? draft.addParticipant(toTag, context.nowMicros);
  subscriber.deletedMicros = 0;
  subscriber.label = request.setLabel ?? subscriber.label;
  chooseInterface(subscriber, request.interface ?? request.fromInterface, context, warnings);
  state.participantDeletedMicros = earliestDeletion(state.participants);
  return subscriber;
}

/** Neither hears he anybody, nor goes anything of his to those he heard. */
function forgetSubscriptions(draft: CallDraft, subscriber: Participant): void {
  const own = new Set(subscriber.medias);
  const heard = new Set<number>();
  for (const id of own) {
    const media = draft.media(id);
    for (const { mediaId } of media.subscriptions) heard.add(mediaId);
    media.subscriptions = [];
  }
  for (const id of heard) {
    const media = draft.media(id);
    const left = media.subscriptions.filter((s) => s.offerAnswer || !own.has(s.mediaId));
    if (left.length < media.subscriptions.length) media.subscriptions = left;
  }
}

const subscriptionTo = (media: Media, more: Partial<Subscription> = {}): Subscription => ({
  mediaId: media.id,
  offerAnswer: false,
  rtcpOnly: more.rtcpOnly ?? false,
  egress: more.egress ?? false,
  inject: false,
});

function subscribe(subscriber: Media, source: Media, { flags }: Subscribing): void {
  subscriber.subscriptions = [subscriptionTo(source, { egress: flags.has('egress') })];
  const back = flags.has('bidirectional')
    ? subscriptionTo(subscriber)
    : flags.has('mirror-rtcp')
      ? subscriptionTo(subscriber, { rtcpOnly: true })
      : null;
  if (back !== null) source.subscriptions = [...source.subscriptions, back];
}

interface Offering {
  readonly sources: readonly Source[];
  readonly sections: readonly Placed[];
  readonly medias: readonly Media[];
}

function offerTo(
  draft: CallDraft,
  { sources, sections, medias }: Offering,
  request: Subscribing,
  context: SignallingContext,
  warnings: string[],
): readonly MediaPair[] {
  const standIn = new StandIn(draft, context);
  const asked = localRequest(request);
  const pairs: MediaPair[] = [];
  sections.forEach((placed, at) => {
    const [receiver, source] = [medias[at], sources[at]];
    if (receiver === undefined || source === undefined) return;
    if (isSecuredByOthers(source.media)) throw unreadable(source);
    const sender = standIn.opposite(receiver);
    const parts = { ...placed, sender, receiver };
    const pair = pairOf('offer', parts, asked, { ...context, sipSource: false });
    const wanted = { ...asked, ice: iceFor(receiver, source.media, asked.ice) };
    warnings.push(...applySection(draft, 'offer', pair, wanted, context));
    if (!receiver.ice.enabled) receiver.ice = noIce;
    receiver.desiredFamily =
      request.addressFamily ?? knownFamily(draft, receiver) ?? source.media.desiredFamily;
    if (pair.rejected) giveUpPorts(draft, receiver);
    else if (!pair.untouched) {
      const shares = sharesRtcpPort('offer', pair, wanted);
      facePorts(draft, receiver, placed.section.portCount, shares, context);
    }
    pairs.push(pair);
  });
  standIn.leave();
  return pairs;
}

/** Without a word about it he is offered ICE where the source speaks it (12.5 seen), or he himself does already. */
function iceFor(
  subscriber: Media,
  source: Media,
  words: SignallingRequest['ice'],
): SignallingRequest['ice'] {
  if (words.mode !== null && words.mode !== 'default') return words;
  const speaks = subscriber.ice.enabled || speaksIce(source);
  return speaks ? { ...words, mode: 'force' } : words;
}

/** Its SRTP does not end here. */
function isSecuredByOthers(media: Media): boolean {
  const { sdes, protocol, flags } = media;
  if (flags.has('passthrough') && isSecureProtocol(protocol)) return true;
  if (speaksDtls(media)) return false;
  return sdes === null ? isSecureProtocol(protocol) : sdes.passthrough;
}

/** SRTP that passes through cannot be shown to anybody who does not have the keys of its two ends. */
const unreadable = ({ participant }: Source): SignallingError =>
  new SignallingError('not-readable', 'Failed to request subscription', {
    cause: new Error(
      `SRTP of '${participant.tag ?? ''}' passes through this relay; with the flag recrypt in its offer others can be subscribed to it`,
    ),
  });

/** The family that the subscriber answered with. */
function knownFamily(draft: CallDraft, media: Media): Media['desiredFamily'] | null {
  const [first] = media.streams;
  const known = first === undefined ? null : draft.stream(first).advertisedEndpoint;
  if (known === null || known.address === '') return null;
  return known.address.includes(':') ? 'IP6' : 'IP4';
}

/** The body is ours: what the request says of its sender's address is none of it. */
function localRequest(request: Subscribing): SignallingRequest {
  const flags = new Set(request.flags);
  flags.delete('sip-source-address');
  return { ...request, fromTag: '', sdp: '', receivedFrom: null, flags };
}

function bodyFor(
  draft: CallDraft,
  subscriber: Participant,
  document: SdpDocument,
  sources: readonly Source[],
  pairs: readonly MediaPair[],
  request: Subscribing,
  context: SignallingContext,
): string {
  // Who stands in has left; nobody is to remember that he sent it.
  const nobody = { ...subscriber, id: -1 };
  const local = localRequest(request);
  return writeSdp({
    ...{ kind: 'offer', draft, dialogue: { from: nobody, to: subscriber }, document, pairs },
    ...{ request: spokesman(sources) === null ? withOwnOrigin(local) : local, context },
  });
}

/** The subscriber's answer. @throws SignallingError; `previous` then stands. */
export function subscribeAnswer(
  previous: CallState,
  request: SignallingRequest,
  toTag: string,
  context: SignallingContext,
): SubscriptionResult {
  const received = readBody(request.sdp, context.rejectInvalidSdp);
  const draft = new CallDraft(previous);
  const subscriber = draft.participantByTag(toTag);
  if (subscriber === null) throw new SignallingError('unknown-participant', 'To-tag not found');
  draft.state.lastSignalMicros = context.nowMicros;
  subscriber.deletedMicros = 0;
  draft.state.participantDeletedMicros = earliestDeletion(draft.state.participants);
  const warnings: string[] = [];
  try {
    const sections = flatSections(received);
    const medias = new Map(subscriber.medias.map((id) => [draft.media(id).index, draft.media(id)]));
    ensureAnswered(draft, medias, sections, context.nowMicros);
    const standIn = new StandIn(draft, context);
    for (const placed of sections) {
      const sender = medias.get(placed.index);
      if (sender === undefined) throw refusedAnswer(`section ${placed.index} was not offered`);
      takeAnswer(draft, standIn, { ...placed, sender }, request, context, warnings);
    }
    standIn.leave();
    return { state: draft.finished(), warnings: [...new Set(warnings)] };
  } catch (error) {
    throw bodyFailure(error);
  }
}

const refusedAnswer = (reason: string): SignallingError =>
  new SignallingError('refused-answer', 'Failed to process subscription answer', {
    cause: new Error(reason),
  });

function takeAnswer(
  draft: CallDraft,
  standIn: StandIn,
  parts: Placed & { readonly sender: Media },
  request: SignallingRequest,
  context: SignallingContext,
  warnings: string[],
): void {
  const { sender, section } = parts;
  const offered = sender.offered ?? [];
  const pair = pairOf('answer', { ...parts, receiver: standIn.opposite(sender) }, request, context);
  warnings.push(...applySection(draft, 'answer', pair, request, context));
  if (!sender.ice.enabled) sender.ice = noIce;
  if (pair.rejected) {
    giveUpPorts(draft, sender);
    return;
  }
  if (isRtpProtocol(section.protocol)) {
    // Not those of the media: one that has none of the offered ones keeps the first of them.
    const answered = codecsOf(section);
    const missing = offered.filter((codec) => !answered.some((own) => isSameCodec(own, codec)));
    if (missing.length > 0) {
      const names = missing.map(({ encoding, payloadType }) => encoding || String(payloadType));
      if (!request.flags.has('allow-transcoding')) {
        throw refusedAnswer(`not all codecs that were offered are accepted: ${names.join(', ')}`);
      }
      warnings.push(
        `'${draft.participant(sender.participantId).tag ?? ''}' does not take ${names.join(', ')}, and nothing is transcoded`,
      );
    }
  }
  sender.direction = directionOfFlags(sendsTo(sender.direction), takesFrom(draft, sender));
  if (!pair.untouched) facePorts(draft, sender, section.portCount, sender.rtcpMux, context);
}

/** Somebody hears what the subscriber sends. */
function takesFrom(draft: CallDraft, { id }: Media): boolean {
  return draft.state.medias.some(({ subscriptions }) =>
    subscriptions.some(({ mediaId, rtcpOnly }) => mediaId === id && !rtcpOnly),
  );
}

/** He hears nobody any more; his ports stay. Who is not there hears nobody either (10.5 and 12.5 seen). */
export function unsubscribe(
  previous: CallState,
  toTag: string,
  nowMicros: number,
): SubscriptionResult {
  const draft = new CallDraft(previous);
  const subscriber = draft.participantByTag(toTag);
  draft.state.lastSignalMicros = nowMicros;
  if (subscriber !== null) forgetSubscriptions(draft, subscriber);
  return { state: draft.finished(), warnings: [] };
}
