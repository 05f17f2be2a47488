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
import { directionInUse, receivesFrom, sendsTo } from './media-attributes.js';
import { hearingMedias } from './state-changes.js';

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
/** For so many medias each is looked for by itself. */
const fewAsked = 12;
const nowhere: RouteTargets = { rtp: [], rtcp: [] };

/** Held by a zero address (RFC 2543 style): it gets nothing, even where its source is known. */
export const isHeld = (stream: Stream): boolean => stream.flags.has('zero-address');

/** Media go from who is to send to who is to get something: neither holds (12.5 seen; RTCP goes on). */
const passes = (from: Media, to: Media): boolean =>
  receivesFrom(directionInUse(from)) && sendsTo(directionInUse(to));

/** What is stored: routes of a dialogue are there on hold as well. */
const isRouted = (to: Media, { offerAnswer }: Subscription): boolean =>
  offerAnswer || sendsTo(to.direction);

/** Where ids count from 0; or, where some are gone, ascend; or neither. */
type Order = 'position' | 'ascending' | 'none';

function orderOf(entities: readonly { readonly id: number }[]): Order {
  let at = 0;
  while (at < entities.length && entities[at]?.id === at) at += 1;
  if (at === entities.length) return 'position';
  for (let last = at - 1; at < entities.length; at++) {
    const id = entities[at]?.id ?? -1;
    if (id <= last) return 'none';
    last = id;
  }
  return 'ascending';
}

/** Entities of one kind by their ids, which are their positions unless one before them is gone. */
export class ById<T extends { readonly id: number }> {
  readonly #entities: readonly T[];
  /** null: nobody has asked for an id that is not a position. */
  #order: Order | null = null;
  /** Positions by id, where they have no order. */
  #positions: ReadonlyMap<number, number> | null = null;

  constructor(entities: readonly T[]) {
    this.#entities = entities;
  }

  get(id: number): T | undefined {
    const at = this.positionOf(id);
    return at === undefined ? undefined : this.#entities[at];
  }

  /** Position in the list. */
  positionOf(id: number): number | undefined {
    if (id < 0) return undefined;
    if (this.#entities[id]?.id === id) return id;
    this.#order ??= orderOf(this.#entities);
    if (this.#order === 'position') return undefined;
    if (this.#order === 'none')
      this.#positions ??= new Map(this.#entities.map((entity, at) => [entity.id, at]));
    return this.#positions === null ? this.#searched(id) : this.#positions.get(id);
  }

  #searched(id: number): number | undefined {
    let [low, high] = [0, this.#entities.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#entities[middle]?.id ?? id) < id) low = middle + 1;
      else high = middle;
    }
    return this.#entities[low]?.id === id ? low : undefined;
  }
}

function mediasThatHear(medias: CallState['medias']): readonly Media[] {
  const hearing = hearingMedias(medias);
  if (hearing === null) return medias;
  const those: Media[] = [];
  for (const at of hearing) {
    const media = medias[at];
    if (media !== undefined) those.push(media);
  }
  return those;
}

function subscribersIn(
  { medias }: CallState,
  about: ReadonlySet<number> | null,
): ReadonlyMap<number, Subscriber[]> {
  const subscribers = new Map<number, Subscriber[]>();
  // A few: a list of them is gone through faster than a set is asked.
  const few = about !== null && about.size <= 8 ? [...about] : null;
  for (const media of mediasThatHear(medias)) {
    for (const subscription of media.subscriptions) {
      const { mediaId } = subscription;
      if (few !== null ? !few.includes(mediaId) : about?.has(mediaId) === false) continue;
      const list = subscribers.get(mediaId);
      if (list === undefined) subscribers.set(mediaId, [{ media, subscription }]);
      else list.push({ media, subscription });
    }
  }
  return subscribers;
}

/** Lookups by id in one call, made once. Ids that do not exist find nothing. */
export class CallIndex {
  readonly medias: ById<Media>;
  readonly streams: ById<Stream>;
  readonly participants: ById<Participant>;
  #sockets: ById<LocalSocket> | null = null;
  /** null: nobody has asked for any. */
  #subscribers: ReadonlyMap<number, Subscriber[]> | null = null;
  readonly #asked = new Map<number, readonly Subscriber[]>();
  /** Of which medias `#subscribers` says something; null: of all. */
  #about: ReadonlySet<number> | null;

  /** @param about medias whose subscribers will be asked for; null: all. */
  constructor(
    readonly state: CallState,
    about: ReadonlySet<number> | null = null,
  ) {
    this.participants = new ById(state.participants);
    this.streams = new ById(state.streams);
    this.medias = new ById(state.medias);
    this.#about = about;
  }

  get sockets(): ById<LocalSocket> {
    this.#sockets ??= new ById(this.state.sockets);
    return this.#sockets;
  }

  /** Those that get what the media sends, in the order of the call's medias. */
  subscribersOf(mediaId: number): readonly Subscriber[] {
    if (this.#about?.has(mediaId) === false) {
      this.#about = null;
      this.#subscribers = null;
    }
    if (this.#subscribers === null && this.#about === null) {
      const few = this.#askedFor(mediaId);
      if (few !== null) return few;
    }
    this.#subscribers ??= subscribersIn(this.state, this.#about);
    return this.#subscribers.get(mediaId) ?? nobody;
  }

  /** Of a few medias of a call of many: for these alone; null: it is no such call, or there have been too many of them. */
  #askedFor(mediaId: number): readonly Subscriber[] | null {
    const known = this.#asked.get(mediaId);
    if (known !== undefined) return known;
    if (this.#asked.size >= fewAsked || hearingMedias(this.state.medias) === null) return null;
    const found = subscribersIn(this.state, new Set([mediaId])).get(mediaId) ?? nobody;
    this.#asked.set(mediaId, found);
    return found;
  }

  /** Those of them that get its RTP. */
  receiversOf(mediaId: number): readonly Media[] {
    const receivers: Media[] = [];
    for (const { media, subscription } of this.subscribersOf(mediaId)) {
      if (!subscription.rtcpOnly) receivers.push(media);
    }
    return receivers;
  }

  /** Streams of those that get what the media sends: reports about it come as these. */
  subscriberStreamsOf(mediaId: number): ReadonlySet<number> {
    return new Set(this.subscribersOf(mediaId).flatMap(({ media }) => media.streams));
  }

  /**
   * Where what `stream` receives goes. RTCP that comes to an RTP port is RTCP all the same.
   * @param held what is kept back while somebody holds is there as well.
   */
  targetsOf(stream: Stream, held = false): RouteTargets {
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
      if (stream.component === 1 && (held || passes(media, media))) rtp.push(stream);
      const reports = media.rtcpMux ? own : this.#streamAt(media, pairStart + 1);
      if (reports !== undefined) rtcp.push(reports);
    }
    for (const { media: to, subscription } of subscribers) {
      // What a side hears of itself, or what is discarded, goes to no other party of its dialogue.
      if (isDiscarded && subscription.offerAnswer) continue;
      const rtpTarget = this.#streamAt(to, pairStart);
      const rtcpTarget = to.rtcpMux ? rtpTarget : this.#streamAt(to, pairStart + 1);
      const isOpen = held ? isRouted(to, subscription) : media !== undefined && passes(media, to);
      const wantsRtp = stream.component === 1 && !subscription.rtcpOnly && isOpen;
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
