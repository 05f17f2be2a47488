/**
 * Subscriptions are stored by participant in the 10.5 layout
 * (`tag/media-offset/offer_answer/rtcp_only/egress`) and by media in the current one
 * (`media/offer_answer/rtcp_only/egress/inject`); the sinks of streams follow from them.
 */
import { ById, CallIndex } from '../media/call-index.js';
import type { CallState, Media, Participant, Stream, Subscription } from '../media/call-state.js';

const bit = (value: boolean): string => (value ? '1' : '0');

/** `offer_answer/rtcp_only/egress` */
const attributesOf = (subscription: Subscription): string =>
  `${bit(subscription.offerAnswer)}/${bit(subscription.rtcpOnly)}/${bit(subscription.egress)}`;

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
  /**
   * Two states of a call with the same shape, the later one with no fewer entities, have the same positions for the
   * same ids. Ids are given out once and in order, so most often they are the positions.
   */
  readonly shape: string;
  /** Entities by kind. */
  readonly counts: readonly number[];

  constructor(state: CallState) {
    super(state);
    const sockets = new ById(state.sockets);
    const maps = new ById(state.endpointMaps);
    this.participantAt = positionsIn(this.participants);
    this.mediaAt = positionsIn(this.medias);
    this.streamAt = positionsIn(this.streams);
    this.socketAt = positionsIn(sockets);
    this.mapAt = positionsIn(maps);
    const lists = [this.participants, this.medias, this.streams, sockets, maps];
    this.shape = lists.map(({ gaps }) => gaps).join(';');
    this.counts = [
      ...[state.participants.length, state.medias.length, state.streams.length],
      ...[state.sockets.length, state.endpointMaps.length],
    ];
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
    const { rtp, rtcp } = this.targetsOf(stream);
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

/** Items of `subscriptions-N`, each once, in the order in which the medias name them. */
export function tagSubscriptions(index: StoredIndex, participant: Participant): string[] {
  const items = new Set<string>();
  participant.medias.forEach((mediaId, position) => {
    for (const subscription of index.medias.get(mediaId)?.subscriptions ?? []) {
      const source = index.medias.get(subscription.mediaId);
      const owner = source && index.participants.get(source.participantId);
      const tag = owner && index.participantAt.get(owner.id);
      if (owner === undefined || tag === undefined) continue;
      const offset = position - owner.medias.indexOf(subscription.mediaId);
      // The media's position in its subscriber cannot be told by a negative offset.
      if (offset >= 0) items.add(`${tag}/${offset}/${attributesOf(subscription)}`);
    }
  });
  return [...items];
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

/**
 * Whether a reader of `subscriptions-N` would give the medias of `participant` exactly the
 * subscriptions that they have; else they need the additional field.
 */
export function toldByTags(
  index: StoredIndex,
  participant: Participant,
  items: readonly string[],
): boolean {
  const parsed: TagSubscription[] = [];
  for (const item of items) {
    const [tag, offset, offerAnswer, rtcpOnly, egress] = item.split('/');
    const source = index.state.participants[Number(tag)];
    if (source === undefined) return false;
    parsed.push({
      participant: source,
      offset: Number(offset),
      offerAnswer: offerAnswer === '1',
      rtcpOnly: rtcpOnly === '1',
      egress: egress === '1',
    });
  }
  return participant.medias.every((mediaId, position) => {
    const wanted = index.medias.get(mediaId)?.subscriptions ?? [];
    const told = expandTagSubscriptions(parsed, position);
    return (
      told.length === wanted.length &&
      told.every((subscription, at) => {
        const other = wanted[at];
        return (
          other !== undefined &&
          other.mediaId === subscription.mediaId &&
          !other.inject &&
          attributesOf(other) === attributesOf(subscription)
        );
      })
    );
  });
}
