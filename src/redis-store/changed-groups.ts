/**
 * Which groups of a call may be written otherwise than the last time. States share the entities that did not change, so
 * of a call with hundreds of branches most are told by a glance at their identity, and nothing of them is asked.
 */
import type { CallState, Media, Participant, Subscription } from '../media/call-state.js';
import type { CallIndex } from '../media/call-index.js';
import { changedPositions } from '../media/state-changes.js';
import type { GroupKind } from './encode-output.js';
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
      const [old, now] = [new Set(before), new Set(is.subscriptions)];
      for (const each of before) if (!now.has(each)) this.medias.add(each.mediaId);
      for (const each of is.subscriptions) if (!old.has(each)) this.medias.add(each.mediaId);
    }
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

/** Those for which `isChanged` holds, and all from `known` on. */
function positionsOf<T>(
  list: readonly T[],
  known: number,
  isChanged: (entity: T, at: number) => boolean,
): readonly number[] {
  const positions: number[] = [];
  for (let at = 0; at < list.length; at += 1) {
    const entity = list[at];
    if (at >= known || (entity !== undefined && isChanged(entity, at))) positions.push(at);
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
  const { state } = index;
  const { participants, medias, streams, sockets } = state;
  const changes = new Changes(before, index);
  changes.find();
  // By position: thousands of entities ask for their media.
  const changed = new Uint8Array(medias.length);
  for (const id of changes.medias) {
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
  const socket = changedPositions(before, state, 'sockets');
  const map = changedPositions(before, state, 'endpointMaps');
  const { keyed } = changes;
  return {
    socket:
      keyed.size === 0
        ? socket
        : positionsOf(
            sockets,
            before.sockets.length,
            (each, at) =>
              each !== before.sockets[at] ||
              keyed.has(index.streams.get(each.streamId)?.mediaId ?? -1),
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
