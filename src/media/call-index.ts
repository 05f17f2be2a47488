/**
 * Who is subscribed to whom, and where packets go because of it: the one place that says so, read by
 * the plan, the store, `query`, the final statistics and the CLI. Made for one published state.
 *
 * The rules, as seen on rtpengine 10.5: a subscription to RTCP only brings no RTP, one to the egress no RTCP. A subscriber on hold by a
 * zero address stays a target of the routes (they are stored so, `rtp_sinks-N`), but is sent nothing until
 * it has an address again: `isHeld`.
 */
import type {
  CallState,
  LocalSocket,
  Media,
  Participant,
  Stream,
  Subscription,
} from './call-state.js';
import { sendsTo } from './media-attributes.js';

/** A media that gets what another one sends, and how. */
export interface Subscriber {
  readonly media: Media;
  readonly subscription: Subscription;
}

/** Streams that get what one stream receives, in the order of the subscriptions. */
export interface RouteTargets {
  readonly rtp: readonly Stream[];
  readonly rtcp: readonly Stream[];
}

const nobody: readonly Subscriber[] = [];
const nowhere: RouteTargets = { rtp: [], rtcp: [] };

/** Held by a zero address (RFC 2543 style): it gets nothing, even where its source is known. */
export const isHeld = (stream: Stream): boolean => stream.flags.has('zero-address');

/** Parties of a dialogue are sent whatever comes; who has subscribed, only what his body asks for (12.5 seen). */
const listens = ({ direction }: Media, { offerAnswer }: Subscription): boolean =>
  offerAnswer || sendsTo(direction);

/** Entities of one kind by their ids, which are their positions unless one before them is gone. */
export class ById<T extends { readonly id: number }> {
  readonly #entities: readonly T[];
  /** Positions by id; null: the ids are the positions. */
  readonly #positions: ReadonlyMap<number, number> | null;

  constructor(entities: readonly T[]) {
    this.#entities = entities;
    const inOrder = entities.every(({ id }, at) => id === at);
    this.#positions = inOrder ? null : new Map(entities.map(({ id }, at) => [id, at]));
  }

  get(id: number): T | undefined {
    const at = this.positionOf(id);
    return at === undefined ? undefined : this.#entities[at];
  }

  /** Position in the list. */
  positionOf(id: number): number | undefined {
    if (this.#positions !== null) return this.#positions.get(id);
    return id >= 0 && id < this.#entities.length ? id : undefined;
  }

  /** The ids where they are not the positions, else ''. */
  get gaps(): string {
    return this.#positions === null ? '' : [...this.#positions.keys()].join(',');
  }
}

/** Lookups by id in one call, made once. Ids that do not exist find nothing. */
export class CallIndex {
  readonly medias: ById<Media>;
  readonly streams: ById<Stream>;
  readonly participants: ById<Participant>;
  #sockets: ById<LocalSocket> | null = null;
  readonly #subscribers = new Map<number, Subscriber[]>();

  constructor(readonly state: CallState) {
    this.participants = new ById(state.participants);
    this.streams = new ById(state.streams);
    this.medias = new ById(state.medias);
    for (const media of state.medias) {
      for (const subscription of media.subscriptions) {
        const list = this.#subscribers.get(subscription.mediaId);
        if (list === undefined)
          this.#subscribers.set(subscription.mediaId, [{ media, subscription }]);
        else list.push({ media, subscription });
      }
    }
  }

  get sockets(): ById<LocalSocket> {
    this.#sockets ??= new ById(this.state.sockets);
    return this.#sockets;
  }

  /** Those that get what the media sends, in the order of the call's medias. */
  subscribersOf(mediaId: number): readonly Subscriber[] {
    return this.#subscribers.get(mediaId) ?? nobody;
  }

  /** Those of them that get its RTP. */
  receiversOf(mediaId: number): readonly Media[] {
    const receivers: Media[] = [];
    for (const { media, subscription } of this.subscribersOf(mediaId)) {
      if (!subscription.rtcpOnly) receivers.push(media);
    }
    return receivers;
  }

  /** Where what `stream` receives goes. RTCP that comes to an RTP port is RTCP all the same. */
  targetsOf(stream: Stream): RouteTargets {
    const media = this.medias.get(stream.mediaId);
    const position = media === undefined ? -1 : media.streams.indexOf(stream.id);
    const subscribers = this.subscribersOf(stream.mediaId);
    if (position < 0 || subscribers.length === 0) return nowhere;
    const rtp: Stream[] = [];
    const rtcp: Stream[] = [];
    const pairStart = position - (position % 2);
    const echo = media?.flags.has('echo') === true;
    const isDiscarded = echo || media?.flags.has('blackhole') === true;
    if (echo && media !== undefined) {
      const own = this.#streamAt(media, pairStart);
      if (stream.component === 1) rtp.push(stream);
      const reports = media.rtcpMux ? own : this.#streamAt(media, pairStart + 1);
      if (reports !== undefined) rtcp.push(reports);
    }
    for (const { media: to, subscription } of subscribers) {
      // What a side hears of itself, or what is discarded, goes to no other party of its dialogue.
      if (isDiscarded && subscription.offerAnswer) continue;
      const rtpTarget = this.#streamAt(to, pairStart);
      const rtcpTarget = to.rtcpMux ? rtpTarget : this.#streamAt(to, pairStart + 1);
      const wantsRtp =
        stream.component === 1 && !subscription.rtcpOnly && listens(to, subscription);
      if (wantsRtp && rtpTarget !== undefined) rtp.push(rtpTarget);
      if (rtcpTarget !== undefined && !subscription.egress) rtcp.push(rtcpTarget);
    }
    return { rtp, rtcp };
  }

  #streamAt(media: Media, position: number): Stream | undefined {
    const id = media.streams[position];
    return id === undefined ? undefined : this.streams.get(id);
  }

  /** Participants that each participant is subscribed to and those subscribed to it, by its id. */
  relations(): ReadonlyMap<number, Relations> {
    const relations = new Map<number, MutableRelations>();
    for (const { id } of this.state.participants) {
      relations.set(id, { sources: new Map(), subscribers: new Map() });
    }
    for (const media of this.state.medias) {
      const subscriber = this.participants.get(media.participantId);
      if (subscriber === undefined) continue;
      for (const subscription of media.subscriptions) {
        const sourceMedia = this.medias.get(subscription.mediaId);
        const source = this.participants.get(sourceMedia?.participantId ?? -1);
        if (source === undefined) continue;
        addFirst(relations.get(subscriber.id)?.sources, source, subscription);
        addFirst(relations.get(source.id)?.subscribers, subscriber, subscription);
      }
    }
    return relations;
  }
}

/** Each once, in the order of the call's medias, with the first subscription between the two. */
export interface Relations {
  readonly sources: ReadonlyMap<Participant, Subscription>;
  readonly subscribers: ReadonlyMap<Participant, Subscription>;
}

interface MutableRelations {
  readonly sources: Map<Participant, Subscription>;
  readonly subscribers: Map<Participant, Subscription>;
}

function addFirst(
  map: Map<Participant, Subscription> | undefined,
  participant: Participant,
  subscription: Subscription,
): void {
  if (map?.has(participant) === false) map.set(participant, subscription);
}
