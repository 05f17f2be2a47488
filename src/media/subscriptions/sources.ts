/** Whom a subscription is to (ng-protocol.md §3.8, §3.13), and the body that shows a subscriber what they send. */
import type { CallDraft } from '../call-draft.js';
import type { CallState, Media, Participant } from '../call-state.js';
import { SignallingError } from '../errors.js';
import { receivesFrom, type MediaDirection } from '../media-attributes.js';
import { selectedParticipant } from '../selection.js';
import type { SignallingContext, SignallingRequest } from '../signalling.js';
import { localBody, ownSession, sectionOf, type LocalSection } from './local-body.js';
import type { SdpDocument, SdpOrigin } from '../../sdp/types.js';

/** As `SignallingRequest`, which has a from-tag always. */
export type Subscribing = Omit<SignallingRequest, 'fromTag' | 'sdp'> & {
  readonly fromTag: string | null;
};

function fail(message: string): never {
  throw new SignallingError('unknown-participant', message);
}

/** Those who are in an offer/answer dialogue with somebody. */
function inDialogue(state: CallState): readonly Participant[] {
  const ids = new Set<number>();
  const owner = new Map(state.medias.map(({ id, participantId }) => [id, participantId]));
  for (const { participantId, subscriptions } of state.medias) {
    for (const { mediaId, offerAnswer } of subscriptions) {
      const source = owner.get(mediaId);
      if (!offerAnswer || source === undefined) continue;
      ids.add(participantId);
      ids.add(source);
    }
  }
  const described = new Set(
    state.streams.flatMap(({ mediaId, advertisedEndpoint }) =>
      advertisedEndpoint === null ? [] : [mediaId],
    ),
  );
  // As their medias were made: of an offer that of the callee comes first (12.5 seen). Who has not answered
  // sends nothing yet.
  return state.participants
    .filter(({ id, medias }) => ids.has(id) && medias.some((media) => described.has(media)))
    .toSorted((a, b) => firstMedia(a) - firstMedia(b));
}

const firstMedia = ({ medias }: Participant): number => Math.min(...medias);

/** The participants that are to be heard, in the order of the request. @throws SignallingError */
export function sourcesOf(state: CallState, request: Subscribing): readonly Participant[] {
  if (request.all) {
    const all = inDialogue(state);
    return all.length > 0 ? all : fail('No call participants specified (no medias found)');
  }
  const { label, address, fromTag } = request;
  const namesOne = (label ?? address ?? fromTag) !== null;
  if (!namesOne && request.fromTags.length > 0) {
    const named = new Set<Participant>();
    for (const tag of request.fromTags) {
      const found = state.participants.find(
        (participant) => participant.tag === tag || participant.aliases.includes(tag),
      );
      // Others of the list may be there (10.5 seen).
      if (found !== undefined) named.add(found);
    }
    return named.size > 0 ? [...named] : fail('No medias found (no monologues matched)');
  }
  const selected = selectedParticipant(state, request);
  return selected === null ? fail('No medias found (no monologues matched)') : [selected];
}

/** One section of the subscriber's body, and whose it is. */
export interface Source {
  readonly participant: Participant;
  readonly media: Media;
}

/** The medias of the sources, in the order of the sections. @throws SignallingError */
export function mediasOf(draft: CallDraft, sources: readonly Participant[]): readonly Source[] {
  const medias = sources.flatMap(({ id }) => {
    const participant = draft.participant(id);
    return participant.medias.map((media) => ({ participant, media: draft.media(media) }));
  });
  return medias.length > 0 ? medias : fail('No medias found (no monologues matched)');
}

/** `sendonly` as far as there is something to send. */
function offered({ media }: Source, { flags }: Pick<Subscribing, 'flags'>): MediaDirection {
  if (flags.has('inactive') || !receivesFrom(media.direction)) return 'inactive';
  return flags.has('bidirectional') ? 'sendrecv' : 'sendonly';
}

function isOpen(draft: CallDraft, media: Media): boolean {
  const [first] = media.streams;
  return first !== undefined && draft.stream(first).selectedSocket !== null;
}

const withoutLabel = (lines: string): string => lines.replace(/^a=label:.*\r\n/m, '');

function sectionFor(draft: CallDraft, source: Source, request: Subscribing): LocalSection {
  const { media } = source;
  const lines = request.flags.has('siprec')
    ? `${withoutLabel(media.passedOn)}a=label:${media.id}\r\n`
    : media.passedOn;
  const own = sectionOf(media);
  return {
    ...own,
    port: isOpen(draft, media) ? own.port : 0,
    direction: offered(source, request),
    lines,
  };
}

/** Whose o= and s= a body of these sources has; null: our own. */
export function spokesman(sources: readonly Source[]): Participant | null {
  const only = sources[0]?.participant;
  if (only === undefined || sources.some(({ participant }) => participant !== only)) return null;
  return only.sdpReceived === null ? null : only;
}

function sessionFor(
  sources: readonly Source[],
  subscriber: Participant,
  context: SignallingContext,
): { readonly origin: SdpOrigin; readonly name: string; readonly lines: string } {
  const only = spokesman(sources);
  const known = only?.sdpReceived ?? null;
  if (only === null || known === null) return { ...ownSession(subscriber, context), lines: '' };
  const { username, sessionId, version, networkType, addressType, address } = known;
  return {
    origin: { username, sessionId, version, networkType, addressType, address },
    name: known.sessionName,
    lines: only.passedOn,
  };
}

/** The body that offers all of it to a subscriber. */
export function bodyOf(
  draft: CallDraft,
  sources: readonly Source[],
  subscriber: Participant,
  request: Subscribing,
  context: SignallingContext,
): SdpDocument {
  const participants = new Set(sources.map(({ participant }) => participant));
  const { origin, name, lines } = sessionFor(sources, subscriber, context);
  const sections = sources.map((source) => {
    const section = sectionFor(draft, source, request);
    // Of several sources only what all bodies have is passed on (10.5 seen).
    const bare = request.flags.has('siprec') ? `a=label:${source.media.id}\r\n` : '';
    return participants.size === 1 ? section : { ...section, lines: bare };
  });
  return localBody({ origin, name }, lines, sections);
}
