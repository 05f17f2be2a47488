/**
 * Subscriptions are stored by participant in the 10.5 layout
 * (`tag/media-offset/offer_answer/rtcp_only/egress`) and by media in the current one
 * (`media/offer_answer/rtcp_only/egress/inject`); the sinks of streams follow from them.
 */
import type { CallState, Media, Participant, Stream, Subscription } from '../media/call-state.js';

const bit = (value: boolean): string => (value ? '1' : '0');

/** `offer_answer/rtcp_only/egress` */
const attributesOf = (subscription: Subscription): string =>
  `${bit(subscription.offerAnswer)}/${bit(subscription.rtcpOnly)}/${bit(subscription.egress)}`;

/** Lookups by id that several encoders need, made once for each call. */
export class CallIndex {
  readonly medias = new Map<number, Media>();
  readonly streams = new Map<number, Stream>();
  readonly participants = new Map<number, Participant>();
  /** Positions in the lists of the state: what the ids become when written. */
  readonly participantAt = new Map<number, number>();
  readonly mediaAt = new Map<number, number>();
  readonly streamAt = new Map<number, number>();
  readonly socketAt = new Map<number, number>();
  readonly mapAt = new Map<number, number>();
  /** Media id -> the medias that hear it and how. */
  readonly #listeners = new Map<number, { media: Media; subscription: Subscription }[]>();

  constructor(readonly state: CallState) {
    state.participants.forEach((entry, at) => {
      this.participants.set(entry.id, entry);
      this.participantAt.set(entry.id, at);
    });
    state.medias.forEach((media, at) => {
      this.medias.set(media.id, media);
      this.mediaAt.set(media.id, at);
      for (const subscription of media.subscriptions) {
        const list = this.#listeners.get(subscription.mediaId);
        if (list === undefined)
          this.#listeners.set(subscription.mediaId, [{ media, subscription }]);
        else list.push({ media, subscription });
      }
    });
    state.streams.forEach((stream, at) => {
      this.streams.set(stream.id, stream);
      this.streamAt.set(stream.id, at);
    });
    state.sockets.forEach((socket, at) => this.socketAt.set(socket.id, at));
    state.endpointMaps.forEach((map, at) => this.mapAt.set(map.id, at));
  }

  /** Stored ids of `ids`; those that no longer exist are left out. */
  stored(positions: ReadonlyMap<number, number>, ids: readonly number[]): string[] {
    const list: string[] = [];
    for (const id of ids) {
      const at = positions.get(id);
      if (at !== undefined) list.push(String(at));
    }
    return list;
  }

  /** Stored ids of the streams that get what `stream` receives (`rtp_sinks-N`, `rtcp_sinks-N`). */
  sinksOf(stream: Stream): { rtp: string[]; rtcp: string[] } {
    const rtp: number[] = [];
    const rtcp: number[] = [];
    const media = this.medias.get(stream.mediaId);
    const position = media === undefined ? -1 : media.streams.indexOf(stream.id);
    if (position < 0) return { rtp: [], rtcp: [] };
    const sendsRtp = stream.component === 1;
    const sendsRtcp = stream.component === 2 || stream.flags.has('rtcp');
    const pairStart = position - (position % 2);
    for (const listener of this.#listeners.get(stream.mediaId) ?? []) {
      const rtpSink = listener.media.streams[pairStart];
      const rtcpSink = listener.media.flags.has('rtcp-mux')
        ? rtpSink
        : listener.media.streams[pairStart + 1];
      if (sendsRtp && !listener.subscription.rtcpOnly && rtpSink !== undefined) rtp.push(rtpSink);
      if (sendsRtcp && rtcpSink !== undefined) rtcp.push(rtcpSink);
    }
    return { rtp: this.stored(this.streamAt, rtp), rtcp: this.stored(this.streamAt, rtcp) };
  }
}

/** Items of `media-subscriptions-N`. */
export function mediaSubscriptions(index: CallIndex, media: Media): string[] {
  const items: string[] = [];
  for (const subscription of media.subscriptions) {
    const at = index.mediaAt.get(subscription.mediaId);
    if (at === undefined) continue;
    items.push(`${at}/${attributesOf(subscription)}/${bit(subscription.inject)}`);
  }
  return items;
}

/** Items of `subscriptions-N`, each once, in the order in which the medias name them. */
export function tagSubscriptions(index: CallIndex, participant: Participant): string[] {
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
  index: CallIndex,
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
