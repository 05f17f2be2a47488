/**
 * What rtpengine's values say that follows from the rest of the call: written with it, left out when it is read
 * (redis-layout.md §6.10; seen in the values of 10.5, 12.5 and 26.0).
 */
import {
  familyOf,
  isZeroAddress,
  withFlag,
  type CallState,
  type Media,
  type Participant,
  type Stream,
  type Subscription,
} from '../media/call-state.js';
import type { Layout } from './flags.js';
import { unknownBitsName } from './schema.js';

interface ById<Entity> {
  readonly get: (id: number) => Entity | undefined;
}

/** The entities of a call by their ids. */
export interface Entities {
  readonly participants: ById<Participant>;
  readonly medias: ById<Media>;
  readonly streams: ById<Stream>;
}

const offerBits = { IP4: 1n << 16n, IP6: 1n << 17n } as const;
const answerBits = { IP4: 1n << 18n, IP6: 1n << 19n } as const;
const mediaCounted = 1n << 20n;

function firstEndpointOf(media: Media | undefined, { streams }: Entities): Stream['endpoint'] {
  const [first] = media?.streams ?? [];
  return first === undefined ? null : (streams.get(first)?.advertisedEndpoint ?? null);
}

const nobody: readonly Subscription[] = [];

/** The media of another one that is in dialogue with the subscriber. */
const dialogueOf = (
  { mediaId, offerAnswer }: Subscription,
  { medias }: Entities,
): Media | undefined => (offerAnswer ? medias.get(mediaId) : undefined);

/** Bits of `call_flags`: the families of the first offer and of its answer, and that there was one. */
export function dialogueBits(state: CallState, entities: Entities): bigint {
  const [offerer] = state.participants;
  const media = entities.medias.get(offerer?.medias[0] ?? -1);
  const offered = firstEndpointOf(media, entities);
  let bits = 0n;
  for (const subscription of media?.subscriptions ?? nobody) {
    const other = dialogueOf(subscription, entities);
    if (other === undefined) continue;
    if (offered !== null) bits |= offerBits[familyOf(offered.address)];
    const answered = firstEndpointOf(other, entities);
    if (answered === null) continue;
    return bits | answerBits[familyOf(answered.address)] | mediaCounted;
  }
  return bits;
}

/** Bit 26 of `ps_flags` means besides a zero address: nobody in dialogue with it has an endpoint yet. */
export function isUnanswered(stream: Stream, layout: Layout, entities: Entities): boolean {
  if (stream.advertisedEndpoint === null) return false;
  if (stream.component === 2 && layout === 'current') return false;
  let alone = false;
  for (const subscription of entities.medias.get(stream.mediaId)?.subscriptions ?? nobody) {
    const other = dialogueOf(subscription, entities);
    if (other === undefined) continue;
    if (firstEndpointOf(other, entities) !== null) return false;
    alone = true;
  }
  return alone;
}

/** Bit 38 of `media_flags`: its side has been sent a body. */
export const isPublic = ({ participantId }: Media, { participants }: Entities): boolean =>
  (participants.get(participantId)?.sdpSent ?? null) !== null;

/** `associated_tags`: those in dialogue with the participant, also while one of them has no tag. */
export function associatedOf(participant: Participant, entities: Entities): readonly number[] {
  const { associated } = participant;
  // Of many branches nearly all have a tag: nothing is made for them.
  const more = new Set<number>();
  for (const id of participant.medias) {
    for (const subscription of entities.medias.get(id)?.subscriptions ?? nobody) {
      const participantId = dialogueOf(subscription, entities)?.participantId;
      if (participantId === undefined) continue;
      const other = entities.participants.get(participantId);
      if (other !== undefined && (other.tag === null || participant.tag === null)) {
        if (!associated.includes(participantId)) more.add(participantId);
      }
    }
  }
  return more.size === 0 ? associated : [...associated, ...more];
}

/** A call that was read, in which ids are positions, without what follows from the rest of it. */
export function dropDerived(state: CallState, layout: Layout): void {
  const entities: Entities = {
    participants: { get: (id) => state.participants[id] },
    medias: { get: (id) => state.medias[id] },
    streams: { get: (id) => state.streams[id] },
  };
  for (const stream of state.streams) {
    const { advertisedEndpoint: endpoint, flags } = stream;
    if (!flags.has('zero-address') || endpoint === null) continue;
    if (!isZeroAddress(endpoint.address) && isUnanswered(stream, layout, entities)) {
      stream.flags = withFlag(flags, 'zero-address', false);
    }
  }
  if (layout === '10.5') return;
  dropMarks(state, layout, entities);
  const tagless = (id: number): boolean => state.participants[id]?.tag === null;
  for (const participant of state.participants) {
    const { associated, tag } = participant;
    if (tag === null && associated.length > 0) participant.associated = [];
    else if (associated.some(tagless)) {
      participant.associated = associated.filter((id) => !tagless(id));
    }
  }
}

function dropMarks(state: CallState, layout: Layout, entities: Entities): void {
  for (const media of state.medias) {
    if (media.flags.has('public') && isPublic(media, entities)) {
      media.flags = withFlag(media.flags, 'public', false);
    }
  }
  const name = unknownBitsName('call_flags', layout);
  const { [name]: bits, ...others } = state.carried;
  if (bits === undefined) return;
  const left = BigInt(bits) & ~dialogueBits(state, entities);
  state.carried = left === 0n ? others : { ...others, [name]: String(left) };
}
