/**
 * Plans of calls with many medias: a command on one branch of a hundred plans that branch, and whom it hears or is
 * heard by, and takes the rest from the plan before. States share the entities that did not change, so what is the same
 * object says the same. Only for calls without security of ours: there what one media gets may depend on all others.
 */
import { CallIndex, isHeld } from './call-index.js';
import type { CallState, Media, Participant, Stream, Subscription } from './call-state.js';
import { speaksDtls } from './dtls/negotiation.js';
import { noBundle } from './media-attributes.js';
import type { InterfaceTable } from './interfaces.js';
import {
  mediaPlan,
  openSockets,
  portPlan,
  streamPart,
  type PlanSettings,
  type StreamPart,
} from './plan.js';
import type { MediaPlan, PortPlan, RoutePlan, StreamPlan, TransportPlan } from './relay.js';
import { isSecureProtocol } from '../sdp/view.js';

/** Calls with fewer medias are planned whole: that is as fast. */
const leastMedias = 16;
/** Calls that are remembered. */
const maxCalls = 16;

interface KnownPlan {
  readonly state: CallState;
  /** What `InterfaceTable.all` was. */
  readonly interfaces: InterfaceTable['all'];
  /** By position in the state's streams; null: of no media. */
  readonly parts: readonly (StreamPart | null)[];
  /** By position in the state's sockets; null: not open. */
  readonly ports: readonly (PortPlan | null)[];
}

/** Thread: control. Knows nothing that could not be planned anew at any time. */
export class PlanMemory {
  readonly #interfaces: InterfaceTable;
  readonly #settings: PlanSettings;
  /** The one planned last is the last. */
  readonly #calls = new Map<string, KnownPlan>();

  constructor(interfaces: InterfaceTable, settings: PlanSettings) {
    this.#interfaces = interfaces;
    this.#settings = settings;
  }

  /** As `mediaPlan`. @throws MissingAddressError */
  plan(state: CallState): MediaPlan {
    const { callId } = state;
    if (state.medias.length < leastMedias) return this.#whole(state);
    const known = this.#calls.get(callId) ?? null;
    this.#calls.delete(callId);
    const next = this.#next(known, state);
    if (next === null) return this.#whole(state);
    this.#calls.set(callId, next);
    for (const oldest of this.#calls.keys()) {
      if (this.#calls.size <= maxCalls) break;
      this.#calls.delete(oldest);
    }
    return assembled(next);
  }

  forget(callId: string): void {
    this.#calls.delete(callId);
  }

  #whole(state: CallState): MediaPlan {
    return mediaPlan(state, this.#interfaces, this.#settings);
  }

  /** null: it is no such call. */
  #next(known: KnownPlan | null, state: CallState): KnownPlan | null {
    const interfaces = this.#interfaces.all;
    const before = known !== null && known.interfaces === interfaces ? known : null;
    const again = before === null ? null : mediasToPlan(before.state, state);
    if (again === null && !state.medias.every(isPlainMedia)) return null;
    const parts = this.#parts(again === null ? null : before, state, again);
    if (parts === null) return null;
    return { state, interfaces, parts, ports: this.#ports(before, state) };
  }

  #ports(before: KnownPlan | null, { sockets }: CallState): readonly (PortPlan | null)[] {
    const ports = before === null ? [] : before.ports.slice(0, sockets.length);
    for (let at = 0; at < sockets.length; at++) {
      const socket = sockets[at];
      if (socket === undefined || socket === before?.state.sockets[at]) continue;
      ports[at] = socket.open ? portPlan(socket, this.#interfaces) : null;
    }
    return ports;
  }

  /** @param again medias that are planned anew; null: all. */
  #parts(
    before: KnownPlan | null,
    state: CallState,
    again: ReadonlySet<number> | null,
  ): KnownPlan['parts'] | null {
    const index = new CallIndex(state);
    const open = openSockets(state, again === null ? null : streamsOf(index, again));
    const parts: (StreamPart | null)[] = [];
    let routes = 0;
    for (const stream of state.streams) {
      let part: StreamPart | null = null;
      if (again?.has(stream.mediaId) === false) {
        part = numbered(before?.parts[parts.length] ?? null, routes);
      } else {
        const media = index.medias.get(stream.mediaId);
        if (media !== undefined)
          part = streamPart(index, stream, media, open, routes, this.#settings);
        if (part !== null && !isPlainPart(part)) return null;
      }
      routes += part?.routes.length ?? 0;
      parts.push(part);
    }
    return parts;
  }
}

/** What it gets and what is sent to it depends on itself, and on what `looksOtherwise` compares of its opposites. */
const isPlainMedia = (media: Media): boolean =>
  media.sdes === null &&
  media.bundle === noBundle &&
  !media.flags.has('passthrough') &&
  !isSecureProtocol(media.protocol) &&
  !speaksDtls(media);

const isPlainPart = ({ transport: { id, srtp, dtls, demux }, stream }: StreamPart): boolean =>
  srtp === null && dtls === null && typeof demux === 'string' && stream.transport === id;

function streamsOf(index: CallIndex, medias: ReadonlySet<number>): ReadonlySet<number> {
  const streams = new Set<number>();
  for (const id of medias)
    for (const stream of index.medias.get(id)?.streams ?? []) streams.add(stream);
  return streams;
}

/** Whatever else a plan depends on is the same, and what was there has kept its place. */
function goesOn(before: CallState, now: CallState): boolean {
  return (
    before.ownership === now.ownership &&
    before.createdMicros === now.createdMicros &&
    before.blockMedia === now.blockMedia &&
    before.blockDtmf === now.blockDtmf &&
    before.silenceMedia === now.silenceMedia &&
    before.dropTraffic === now.dropTraffic &&
    keepsPlaces(before.participants, now.participants) &&
    keepsPlaces(before.medias, now.medias) &&
    keepsPlaces(before.streams, now.streams) &&
    keepsPlaces(before.sockets, now.sockets)
  );
}

function keepsPlaces(
  before: readonly { readonly id: number }[],
  now: readonly { readonly id: number }[],
): boolean {
  if (now.length < before.length) return false;
  for (let at = 0; at < before.length; at++)
    if (before[at] !== now[at] && before[at]?.id !== now[at]?.id) return false;
  return true;
}

/** Ids of the medias whose plan may be another one than before; null: of all. */
function mediasToPlan(before: CallState, now: CallState): ReadonlySet<number> | null {
  if (!goesOn(before, now) || participantsDiffer(before.participants, now.participants))
    return null;
  const again = new Set<number>();
  for (let at = 0; at < now.medias.length; at++) {
    const [was, is] = [before.medias[at], now.medias[at]];
    if (is === was || is === undefined) continue;
    if (!isPlainMedia(is)) return null;
    again.add(is.id);
    const others = looksOtherwise(was, is);
    addSources(again, was?.subscriptions ?? nothing, is.subscriptions, others);
    addSources(again, is.subscriptions, was?.subscriptions ?? nothing, others);
  }
  return addStreams(again, before, now) ? again : null;
}

const nothing: readonly Subscription[] = [];

const participantsDiffer = (before: readonly Participant[], now: readonly Participant[]): boolean =>
  before.some((was, at) => {
    const is = now[at];
    return (
      was !== is &&
      (was.blockMedia !== is?.blockMedia ||
        was.blockDtmf !== is.blockDtmf ||
        was.silenceMedia !== is.silenceMedia)
    );
  });

/** Whether those that it hears send it something else now. */
function looksOtherwise(was: Media | undefined, is: Media): boolean {
  return (
    was?.streams !== is.streams ||
    was.rtcpMux !== is.rtcpMux ||
    was.direction !== is.direction ||
    was.protocol !== is.protocol ||
    was.codecs !== is.codecs ||
    was.hiddenExtensions !== is.hiddenExtensions ||
    was.blockedSources !== is.blockedSources
  );
}

/** Those that are heard by `list` and not by `other`, or all of `list`. */
function addSources(
  again: Set<number>,
  list: readonly Subscription[],
  other: readonly Subscription[],
  all: boolean,
): void {
  if (all) {
    for (const { mediaId } of list) again.add(mediaId);
    return;
  }
  // New ones come first, and what goes goes alone: most of both lists is the same, seen from the end.
  let end = list.length;
  for (let at = other.length; end > 0 && at > 0 && list[end - 1] === other[at - 1]; at--) end--;
  for (let at = 0; at < end; at++) {
    const subscription = list[at];
    if (subscription !== undefined && subscription !== other[at]) again.add(subscription.mediaId);
  }
}

/** What streams and sockets say; false: they have moved to other medias. */
function addStreams(again: Set<number>, before: CallState, now: CallState): boolean {
  const mediaOf = new Map<number, number>();
  const told = new Set<number>();
  for (let at = 0; at < now.streams.length; at++) {
    const [was, is] = [before.streams[at], now.streams[at]];
    if (is === was || is === undefined) continue;
    if (was !== undefined && was.mediaId !== is.mediaId) return false;
    again.add(is.mediaId);
    mediaOf.set(is.id, is.mediaId);
    if (was === undefined || marksOf(was) !== marksOf(is)) told.add(is.mediaId);
  }
  for (const media of now.medias)
    if (told.has(media.id)) addSources(again, media.subscriptions, nothing, true);
  return addSockets(again, mediaOf, before, now);
}

/** What those that send to a stream look at. */
const marksOf = (stream: Stream): number =>
  (isHeld(stream) ? 1 : 0) | (stream.flags.has('filled') ? 2 : 0);

function addSockets(
  again: Set<number>,
  mediaOf: ReadonlyMap<number, number>,
  before: CallState,
  now: CallState,
): boolean {
  for (let at = 0; at < now.sockets.length; at++) {
    const [was, is] = [before.sockets[at], now.sockets[at]];
    if (is === was || is === undefined) continue;
    if (was !== undefined && was.streamId !== is.streamId) return false;
    const media =
      mediaOf.get(is.streamId) ?? now.streams.find(({ id }) => id === is.streamId)?.mediaId;
    if (media !== undefined) again.add(media);
  }
  return true;
}

/** With the ids that its routes have now. */
function numbered(part: StreamPart | null, firstRoute: number): StreamPart | null {
  if (part === null || part.routes.length === 0 || part.routes[0]?.id === firstRoute) return part;
  return { ...part, routes: part.routes.map((route, at) => ({ ...route, id: firstRoute + at })) };
}

function assembled({ state, parts, ports }: KnownPlan): MediaPlan {
  const { callId, tos } = state;
  const transports: TransportPlan[] = [];
  const streams: StreamPlan[] = [];
  const routes: RoutePlan[] = [];
  for (const part of parts) {
    if (part === null) continue;
    transports.push(part.transport);
    streams.push(part.stream);
    for (const route of part.routes) routes.push(route);
  }
  return { callId, tos, ports: ports.filter((port) => port !== null), transports, streams, routes };
}
