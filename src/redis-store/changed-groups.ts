/**
 * Which groups of a call may be written otherwise than the last time. States share the entities that did not change, so
 * of a call with hundreds of branches most are told by a glance at their identity, and nothing of them is asked.
 */
import type { CallState, Media, Participant, Subscription } from '../media/call-state.js';
import type { CallIndex } from '../media/call-index.js';
import type { GroupKind } from './encode-output.js';
import type { StoredIndex } from './subscriptions.js';

const nothing: readonly Subscription[] = [];

/** What others that name a media write of it, and what decides where packets go (`CallIndex.targetsOf`). */
const looksOtherwise = (was: Media | undefined, is: Media): boolean =>
  was?.streams !== is.streams || was.rtcpMux !== is.rtcpMux || was.direction !== is.direction;

class Changes {
  readonly medias = new Set<number>();
  readonly #before: CallState;
  readonly #index: CallIndex;

  constructor(before: CallState, index: CallIndex) {
    this.#before = before;
    this.#index = index;
  }

  find(): void {
    const { participants, medias } = this.#index.state;
    for (let at = 0; at < medias.length; at += 1) {
      const [was, is] = [this.#before.medias[at], medias[at]];
      if (is !== undefined && is !== was) this.#media(was, is);
    }
    this.#streams();
    this.#sockets();
    this.#maps();
    for (let at = 0; at < participants.length; at += 1) {
      const [was, is] = [this.#before.participants[at], participants[at]];
      if (is !== undefined && is !== was) this.#participant(was, is);
    }
    this.#wholeParticipants();
  }

  #media(was: Media | undefined, is: Media): void {
    this.medias.add(is.id);
    const before = was?.subscriptions ?? nothing;
    if (looksOtherwise(was, is)) {
      for (const { mediaId } of before) this.medias.add(mediaId);
      for (const { mediaId } of is.subscriptions) this.medias.add(mediaId);
      this.#subscribersOf(is.id);
    } else if (before !== is.subscriptions) {
      const [old, now] = [new Set(before), new Set(is.subscriptions)];
      for (const each of before) if (!now.has(each)) this.medias.add(each.mediaId);
      for (const each of is.subscriptions) if (!old.has(each)) this.medias.add(each.mediaId);
    }
  }

  #subscribersOf(mediaId: number): void {
    for (const { media } of this.#index.subscribersOf(mediaId)) this.medias.add(media.id);
  }

  #streams(): void {
    const { streams } = this.#index.state;
    for (let at = 0; at < streams.length; at += 1) {
      const [was, is] = [this.#before.streams[at], streams[at]];
      if (is === undefined || is === was) continue;
      this.medias.add(is.mediaId);
      if (was !== undefined) this.medias.add(was.mediaId);
      // Whether it has been answered is written of those who wait for it.
      const wasAnswered = (was?.advertisedEndpoint ?? null) !== null;
      if (wasAnswered !== (is.advertisedEndpoint !== null)) this.#subscribersOf(is.mediaId);
    }
  }

  #sockets(): void {
    const { sockets } = this.#index.state;
    for (let at = 0; at < sockets.length; at += 1) {
      const [was, is] = [this.#before.sockets[at], sockets[at]];
      if (is === undefined || is === was) continue;
      for (const streamId of [is.streamId, was?.streamId ?? -1]) {
        const stream = this.#index.streams.get(streamId);
        if (stream !== undefined) this.medias.add(stream.mediaId);
      }
    }
  }

  #maps(): void {
    const { endpointMaps } = this.#index.state;
    for (let at = 0; at < endpointMaps.length; at += 1) {
      const [was, is] = [this.#before.endpointMaps[at], endpointMaps[at]];
      if (is === undefined || is === was) continue;
      this.medias.add(is.mediaId);
    }
  }

  #participant(was: Participant | undefined, is: Participant): void {
    for (const id of is.medias) this.medias.add(id);
    if (was?.medias === is.medias) return;
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

/**
 * The ids of medias of which a part may have to be written anew: of themselves, their streams, sockets and
 * participants, and of others that they write something of.
 */
function changedMedias(before: CallState, index: CallIndex): ReadonlySet<number> {
  const changes = new Changes(before, index);
  changes.find();
  return changes.medias;
}

/** Positions in the lists of the call, ascending. */
export type ChangedGroups = Readonly<Record<GroupKind, readonly number[]>>;

/** Those for which `isChanged` holds, and all from `known` on. */
function positionsOf<T>(
  list: readonly T[],
  known: number,
  isChanged: (entity: T) => boolean,
): readonly number[] {
  const positions: number[] = [];
  for (let at = 0; at < list.length; at += 1) {
    const entity = list[at];
    if (at >= known || (entity !== undefined && isChanged(entity))) positions.push(at);
  }
  return positions;
}

/**
 * What may have to be written anew. No entity may have been taken out since `before`.
 * @param counted ids of streams of which counters were written then, or are now.
 */
export function changedGroups(
  before: CallState,
  index: StoredIndex,
  counted: readonly ReadonlySet<number>[],
): ChangedGroups {
  const { participants, medias, streams, sockets, endpointMaps } = index.state;
  // By position: thousands of entities ask for their media.
  const changed = new Uint8Array(medias.length);
  for (const id of changedMedias(before, index)) {
    const at = index.mediaAt.get(id);
    if (at !== undefined) changed[at] = 1;
  }
  const isChanged = (id: number): boolean => changed[index.mediaAt.get(id) ?? -1] === 1;
  const isCounted = (id: number): boolean => counted.some((ids) => ids.has(id));
  const stream = positionsOf(streams, before.streams.length, (each) => isChanged(each.mediaId));
  const told = positionsOf(
    participants,
    before.participants.length,
    (each) => each.medias.length === 0 || each.medias.some(isChanged),
  );
  const media = positionsOf(medias, before.medias.length, ({ id }) => isChanged(id));
  const maps = before.endpointMaps.length;
  const map = positionsOf(endpointMaps, maps, (each) => isChanged(each.mediaId));
  return {
    socket: positionsOf(sockets, before.sockets.length, ({ streamId }) =>
      isChanged(index.streams.get(streamId)?.mediaId ?? -1),
    ),
    stream: counted.every(({ size }) => size === 0)
      ? stream
      : positionsOf(
          streams,
          before.streams.length,
          (each) => isChanged(each.mediaId) || isCounted(each.id),
        ),
    ...{ 'stream lists': stream, participant: told, 'participant lists': told, told },
    ...{ media, 'media lists': media, map, 'map lists': map },
  };
}
