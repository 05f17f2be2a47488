/**
 * Which groups of a call may be written otherwise than the last time. States share the entities that did not change, so
 * of a call with hundreds of branches most are told by a glance at their identity, and nothing of them is asked.
 */
import type { CallState, Media, Participant, Subscription } from '../media/call-state.js';
import type { CallIndex } from '../media/call-index.js';
import { changedPositions } from '../media/state-changes.js';
import type { GroupKind } from './encode-output.js';
import { sameAtEnd } from './item-list.js';
import type { StoredIndex } from './subscriptions.js';

const nothing: readonly Subscription[] = [];

/** What others that name a media write of it, and what decides where packets go (`CallIndex.targetsOf`). */
const looksOtherwise = (was: Media | undefined, is: Media): boolean =>
  was?.streams !== is.streams || was.rtcpMux !== is.rtcpMux || was.direction !== is.direction;

/** What is written of its sockets (`seeKeysOf`). */
const hasOtherKeys = (was: Media, is: Media): boolean =>
  was.sdes !== is.sdes || was.security !== is.security || was.protocol !== is.protocol;

class Changes {
  readonly medias = new Set<number>();
  /** Medias of which all sockets may be others. */
  readonly keyed = new Set<number>();
  /** Medias have other places among those of a participant that was there before. */
  placesMoved = false;
  readonly #before: CallState;
  readonly #index: CallIndex;

  constructor(before: CallState, index: CallIndex) {
    this.#before = before;
    this.#index = index;
  }

  find(): void {
    const before = this.#before;
    const { state } = this.#index;
    for (const at of changedPositions(before, state, 'medias')) {
      const [was, is] = [before.medias[at], state.medias[at]];
      if (is !== undefined) this.#media(was, is);
    }
    this.#streams();
    this.#sockets();
    this.#maps();
    for (const at of changedPositions(before, state, 'participants')) {
      const [was, is] = [before.participants[at], state.participants[at]];
      if (is !== undefined) this.#participant(was, is);
    }
    this.#wholeParticipants();
  }

  #media(was: Media | undefined, is: Media): void {
    this.medias.add(is.id);
    if (was !== undefined && hasOtherKeys(was, is)) this.keyed.add(is.id);
    const before = was?.subscriptions ?? nothing;
    if (looksOtherwise(was, is)) {
      for (const { mediaId } of before) this.medias.add(mediaId);
      for (const { mediaId } of is.subscriptions) this.medias.add(mediaId);
      this.#subscribersOf(is.id);
    } else if (before !== is.subscriptions) {
      this.#others(before, is.subscriptions);
    }
  }

  /** Whom one of the lists names and the other does not. */
  #others(before: readonly Subscription[], now: readonly Subscription[]): void {
    const same = sameAtEnd(before, now);
    const old = new Set(before.slice(0, before.length - same));
    const come = new Set(now.slice(0, now.length - same));
    for (const each of old) if (!come.has(each)) this.medias.add(each.mediaId);
    for (const each of come) if (!old.has(each)) this.medias.add(each.mediaId);
  }

  #subscribersOf(mediaId: number): void {
    for (const { media } of this.#index.subscribersOf(mediaId)) this.medias.add(media.id);
  }

  #streams(): void {
    const { state } = this.#index;
    for (const at of changedPositions(this.#before, state, 'streams')) {
      const [was, is] = [this.#before.streams[at], state.streams[at]];
      if (is === undefined) continue;
      this.medias.add(is.mediaId);
      if (was !== undefined && was.mediaId !== is.mediaId) {
        this.medias.add(was.mediaId);
        this.keyed.add(is.mediaId);
      }
      // Whether it has been answered is written of those who wait for it.
      const wasAnswered = (was?.advertisedEndpoint ?? null) !== null;
      if (wasAnswered !== (is.advertisedEndpoint !== null)) this.#subscribersOf(is.mediaId);
    }
  }

  #sockets(): void {
    const { state } = this.#index;
    for (const at of changedPositions(this.#before, state, 'sockets')) {
      const [was, is] = [this.#before.sockets[at], state.sockets[at]];
      if (is === undefined) continue;
      for (const streamId of [is.streamId, was?.streamId ?? -1]) {
        const stream = this.#index.streams.get(streamId);
        if (stream !== undefined) this.medias.add(stream.mediaId);
      }
    }
  }

  #maps(): void {
    const { state } = this.#index;
    for (const at of changedPositions(this.#before, state, 'endpointMaps')) {
      const is = state.endpointMaps[at];
      if (is !== undefined) this.medias.add(is.mediaId);
    }
  }

  #participant(was: Participant | undefined, is: Participant): void {
    for (const id of is.medias) this.medias.add(id);
    if (was?.medias === is.medias) return;
    if (was !== undefined) this.placesMoved = true;
    // Subscriptions by tag count from the place of the media among those of its participant.
    for (const id of is.medias) this.#subscribersOf(id);
    for (const id of was?.medias ?? []) this.#subscribersOf(id);
  }

  /** What is written of one media of a participant may depend on the others. */
  #wholeParticipants(): void {
    const participants = new Set<number>();
    for (const id of this.medias) {
      const media = this.#index.medias.get(id);
      if (media !== undefined) participants.add(media.participantId);
    }
    for (const id of participants)
      for (const media of this.#index.participants.get(id)?.medias ?? []) this.medias.add(media);
  }
}

/** Positions in the lists of the call, ascending. */
export type ChangedGroups = Readonly<Record<GroupKind, readonly number[]>>;

interface At {
  get(id: number): number | undefined;
}

/** Positions of entities, each once, and all from `known` to `count`. */
class Positions {
  readonly #all = new Set<number>();

  constructor(known: number, count: number) {
    for (let at = known; at < count; at += 1) this.#all.add(at);
  }

  add(positions: Iterable<number>): this {
    for (const at of positions) this.#all.add(at);
    return this;
  }

  addOf(places: At, ids: Iterable<number>): this {
    for (const id of ids) {
      const at = places.get(id);
      if (at !== undefined) this.#all.add(at);
    }
    return this;
  }

  get ascending(): readonly number[] {
    return [...this.#all].sort((a, b) => a - b);
  }
}

/**
 * What may have to be written anew. No entity may have been taken out since `before`.
 * @param counted ids of streams of which counters were written then, or are now.
 * @returns `placesMoved`: medias have other places among those of a participant.
 */
export function changedGroups(
  before: CallState,
  index: StoredIndex,
  counted: readonly ReadonlySet<number>[],
): { readonly groups: ChangedGroups; readonly placesMoved: boolean } {
  const { state } = index;
  const changes = new Changes(before, index);
  changes.find();
  const streams = new Positions(before.streams.length, state.streams.length);
  const participants = new Positions(before.participants.length, state.participants.length);
  participants.add(changedPositions(before, state, 'participants'));
  for (const id of changes.medias) {
    const media = index.medias.get(id);
    if (media === undefined) continue;
    streams.addOf(index.streamAt, media.streams);
    participants.addOf(index.participantAt, [media.participantId]);
  }
  const medias = new Positions(before.medias.length, state.medias.length);
  const media = medias.addOf(index.mediaAt, changes.medias).ascending;
  const lists = streams.ascending;
  for (const ids of counted) streams.addOf(index.streamAt, ids);
  const sockets = new Positions(before.sockets.length, state.sockets.length);
  const socket = sockets
    .add(changedPositions(before, state, 'sockets'))
    .add(socketsOf(index, changes.keyed)).ascending;
  const participant = participants.ascending;
  const map = changedPositions(before, state, 'endpointMaps');
  const groups: ChangedGroups = {
    ...{ socket, stream: streams.ascending, 'stream lists': lists },
    ...{ participant, 'participant lists': participant, told: participant },
    ...{ media, 'media lists': media, map, 'map lists': map },
  };
  return { groups, placesMoved: changes.placesMoved };
}

/** Positions of the sockets of medias; most often of none. */
function* socketsOf(index: StoredIndex, medias: ReadonlySet<number>): Generator<number> {
  if (medias.size === 0) return;
  const streams = new Set<number>();
  for (const id of medias)
    for (const stream of index.medias.get(id)?.streams ?? []) streams.add(stream);
  const { sockets } = index.state;
  for (let at = 0; at < sockets.length; at += 1)
    if (streams.has(sockets[at]?.streamId ?? -1)) yield at;
}
