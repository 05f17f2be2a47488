/**
 * Subscriptions are stored by participant in the 10.5 layout
 * (`tag/media-offset/offer_answer/rtcp_only/egress`) and by media in the current one
 * (`media/offer_answer/rtcp_only/egress/inject`); the sinks of streams follow from them.
 */
import { ById, CallIndex } from '../media/call-index.js';
import type { CallState, Media, Participant, Stream, Subscription } from '../media/call-state.js';
import { ItemList, itemsOf, sameAtEnd } from './item-list.js';

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
  /** Another number when medias of a participant that was there before have other places among those of it. */
  places = 0;
  /** Of participants whose subscriptions are all told by tags. */
  allTold = new AllOfEach();
  /** Of participants whose subscriptions name each media once. */
  named = new AllOfEach();

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
  stored(positions: Positions, ids: readonly number[]): readonly string[] {
    return itemsOf(this.list(positions, ids));
  }

  /** The same as a list that may be long. */
  list(positions: Positions, ids: readonly number[]): readonly string[] | ItemList {
    return ItemList.of(ids, (id) => {
      const at = positions.get(id);
      return at === undefined ? null : String(at);
    });
  }

  /** Stored ids of the streams that get what `stream` receives (`rtp_sinks-N`, `rtcp_sinks-N`). */
  sinksOf(stream: Stream): { rtp: readonly string[]; rtcp: readonly string[] } {
    const { rtp, rtcp } = this.targetsOf(stream, true);
    const storesRtcp = stream.component === 2 || stream.flags.has('rtcp');
    return { rtp: this.#positionsOf(rtp), rtcp: storesRtcp ? this.#positionsOf(rtcp) : [] };
  }

  #positionsOf(streams: readonly Stream[]): readonly string[] {
    return this.stored(
      this.streamAt,
      streams.map(({ id }) => id),
    );
  }
}

/** Items of `media-subscriptions-N`. */
export const mediaSubscriptions = (index: StoredIndex, media: Media): readonly string[] =>
  itemsOf(mediaSubscriptionList(index, media));

/** The same, as a list that may be long. @param withInject the last part of them. */
export const mediaSubscriptionList = (
  index: StoredIndex,
  { subscriptions }: Media,
  withInject = true,
): readonly string[] | ItemList =>
  ItemList.of(subscriptions, (subscription) => {
    const at = index.mediaAt.get(subscription.mediaId);
    if (at === undefined) return null;
    const text = `${at}/${attributesOf(subscription)}`;
    return withInject ? `${text}/${bit(subscription.inject)}` : text;
  });

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
  readonly items: readonly string[] | ItemList;
  /**
   * Whether a reader of them would give the medias of the participant exactly the subscriptions that they
   * have; else they need the additional field.
   */
  readonly isAll: boolean;
}

function toldByTags(index: StoredIndex, participant: Participant): ToldByTags {
  return toldOfOne(index, participant) ?? toldOfMany(index, participant);
}

/** The participant whose one media hears others; null: it is not so simple. */
function toldOfOne(
  index: StoredIndex,
  { id, medias: [only, another] }: Participant,
): ToldByTags | null {
  const subscriptions = index.medias.get(only ?? -1)?.subscriptions ?? [];
  if (another !== undefined || subscriptions.length < 2) return null;
  const isFirst = ({ mediaId }: Subscription, at: number): boolean =>
    subscriptions.findLastIndex((each) => each.mediaId === mediaId) === at;
  if (!index.named.isSo(id, subscriptions, 0, isFirst)) return null;
  const tagOf = ({ mediaId }: Subscription): number | undefined => {
    const source = index.participants.get(index.medias.get(mediaId)?.participantId ?? -1);
    // With another one before it its place cannot be told.
    return source?.medias[0] === mediaId ? index.participantAt.get(source.id) : undefined;
  };
  const textOf = (subscription: Subscription): string | null => {
    const tag = tagOf(subscription);
    return tag === undefined ? null : `${tag}/0/${attributesOf(subscription)}`;
  };
  const isTold = (subscription: Subscription): boolean =>
    !subscription.inject && tagOf(subscription) !== undefined;
  return {
    items: ItemList.of(subscriptions, textOf, index.places),
    isAll: index.allTold.isSo(id, subscriptions, index.places, isTold),
  };
}

/** Whether something holds for all items of a list that goes on: those that are new are asked. */
export class AllOfEach {
  readonly #known = new Map<
    number,
    { readonly list: readonly unknown[]; readonly version: number }
  >();

  /** @param id of whose list it is. @param version another number where what held may not hold. */
  isSo<Item>(
    id: number,
    list: readonly Item[],
    version: number,
    holds: (item: Item, at: number) => boolean,
  ): boolean {
    const known = this.#known.get(id);
    const before = known?.version === version ? known.list : [];
    const others = list.length - sameAtEnd(before, list);
    for (let at = 0; at < others; at += 1) {
      const item = list[at];
      if (item !== undefined && holds(item, at)) continue;
      this.#known.delete(id);
      return false;
    }
    this.#known.set(id, { list, version });
    return true;
  }
}

function toldOfMany(index: StoredIndex, participant: Participant): ToldByTags {
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
