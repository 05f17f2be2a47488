/**
 * Subscriptions are stored by participant in the 10.5 layout
 * (`tag/media-offset/offer_answer/rtcp_only/egress`) and by media in the current one
 * (`media/offer_answer/rtcp_only/egress/inject`); the sinks of streams follow from them.
 */
import { ById, CallIndex } from '../media/call-index.js';
import type { CallState, Media, Participant, Stream, Subscription } from '../media/call-state.js';

const bit = (value: boolean): string => (value ? '1' : '0');

/** `offer_answer/rtcp_only/egress`, by the bits of these. */
const attributeTexts: readonly string[] = Array.from(
  { length: 8 },
  (_, bits) => `${bit((bits & 4) !== 0)}/${bit((bits & 2) !== 0)}/${bit((bits & 1) !== 0)}`,
);

const attributesOf = ({ offerAnswer, rtcpOnly, egress }: Subscription): string =>
  attributeTexts[(offerAnswer ? 4 : 0) | (rtcpOnly ? 2 : 0) | (egress ? 1 : 0)] ?? '';

/** What an id becomes when it is written: the position of its entity. */
export interface Positions {
  get(id: number): number | undefined;
}

const positionsIn = (entities: ById<{ readonly id: number }>): Positions => ({
  get: (id) => entities.positionOf(id),
});

/** The index of the call, and what its ids become when written: positions in the lists of the state. */
export class StoredIndex extends CallIndex {
  readonly participantAt: Positions;
  readonly mediaAt: Positions;
  readonly streamAt: Positions;
  readonly socketAt: Positions;
  readonly mapAt: Positions;
  readonly #told = new Map<number, ToldByTags>();

  constructor(state: CallState) {
    super(state);
    this.participantAt = positionsIn(this.participants);
    this.mediaAt = positionsIn(this.medias);
    this.streamAt = positionsIn(this.streams);
    this.socketAt = positionsIn(this.sockets);
    this.mapAt = positionsIn(new ById(state.endpointMaps));
  }

  /** `subscriptions-N` of a participant, made once. */
  toldByTags(participant: Participant): ToldByTags {
    let told = this.#told.get(participant.id);
    if (told === undefined) {
      told = toldByTags(this, participant);
      this.#told.set(participant.id, told);
    }
    return told;
  }

  /** Stored ids of `ids`; those that no longer exist are left out. */
  stored(positions: Positions, ids: readonly number[]): string[] {
    const list: string[] = [];
    for (const id of ids) {
      const at = positions.get(id);
      if (at !== undefined) list.push(String(at));
    }
    return list;
  }

  /** Stored ids of the streams that get what `stream` receives (`rtp_sinks-N`, `rtcp_sinks-N`). */
  sinksOf(stream: Stream): { rtp: string[]; rtcp: string[] } {
    const { rtp, rtcp } = this.targetsOf(stream, true);
    const storesRtcp = stream.component === 2 || stream.flags.has('rtcp');
    return { rtp: this.#positionsOf(rtp), rtcp: storesRtcp ? this.#positionsOf(rtcp) : [] };
  }

  #positionsOf(streams: readonly Stream[]): string[] {
    return this.stored(
      this.streamAt,
      streams.map(({ id }) => id),
    );
  }
}

/** Items of `media-subscriptions-N`. */
export function mediaSubscriptions(index: StoredIndex, media: Media): string[] {
  const items: string[] = [];
  for (const subscription of media.subscriptions) {
    const at = index.mediaAt.get(subscription.mediaId);
    if (at === undefined) continue;
    items.push(`${at}/${attributesOf(subscription)}/${bit(subscription.inject)}`);
  }
  return items;
}

/** One item of `subscriptions-N`. */
interface TagItem {
  readonly source: Participant;
  readonly offset: number;
  readonly attributes: string;
}

/** Items of `subscriptions-N` by their texts, each once, in the order in which the medias name them. */
function tagItems(index: StoredIndex, participant: Participant): ReadonlyMap<string, TagItem> {
  const items = new Map<string, TagItem>();
  participant.medias.forEach((mediaId, position) => {
    for (const subscription of index.medias.get(mediaId)?.subscriptions ?? []) {
      const media = index.medias.get(subscription.mediaId);
      const source = media && index.participants.get(media.participantId);
      const tag = source && index.participantAt.get(source.id);
      if (source === undefined || tag === undefined) continue;
      const offset = position - source.medias.indexOf(subscription.mediaId);
      // The media's position in its subscriber cannot be told by a negative offset.
      if (offset < 0) continue;
      const attributes = attributesOf(subscription);
      items.set(`${tag}/${offset}/${attributes}`, { source, offset, attributes });
    }
  });
  return items;
}

/** What is written of the subscriptions of one participant by tag. */
export interface ToldByTags {
  /** `subscriptions-N` */
  readonly items: readonly string[];
  /**
   * Whether a reader of them would give the medias of the participant exactly the subscriptions that they
   * have; else they need the additional field.
   */
  readonly isAll: boolean;
}

function toldByTags(index: StoredIndex, participant: Participant): ToldByTags {
  const items = tagItems(index, participant);
  const isAll = participant.medias.every((mediaId, position) => {
    const wanted = index.medias.get(mediaId)?.subscriptions ?? [];
    let at = 0;
    for (const { source, offset, attributes } of items.values()) {
      const told = source.medias[position - offset];
      if (told === undefined) continue;
      const other = wanted[at];
      if (other?.mediaId !== told || other.inject || attributesOf(other) !== attributes)
        return false;
      at += 1;
    }
    return at === wanted.length;
  });
  return { items: [...items.keys()], isAll };
}

/** One item of `subscriptions-N`, parsed. */
export interface TagSubscription {
  readonly participant: Participant;
  readonly offset: number;
  readonly offerAnswer: boolean;
  readonly rtcpOnly: boolean;
  readonly egress: boolean;
}

/** What the media at `position` of its participant hears according to the participant's list. */
export function expandTagSubscriptions(
  subscriptions: readonly TagSubscription[],
  position: number,
): Subscription[] {
  const expanded: Subscription[] = [];
  for (const { participant, offset, offerAnswer, rtcpOnly, egress } of subscriptions) {
    const mediaId = participant.medias[position - offset];
    if (mediaId === undefined) continue;
    expanded.push({ mediaId, offerAnswer, rtcpOnly, egress, inject: false });
  }
  return expanded;
}
