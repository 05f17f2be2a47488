/**
 * Plans of calls with many medias: a command on one branch of a hundred plans that branch, and whom it hears or is
 * heard by, and takes the rest from the plan before. States share the entities that did not change, so what is the same
 * object says the same. Only for calls without security of ours: there what one media gets may depend on all others.
 */
import { stateInUse } from './agreed.js';
import { ById, CallIndex, isHeld } from './call-index.js';
import type { CallState, Media, Stream, Subscription } from './call-state.js';
import { speaksDtls } from './dtls/negotiation.js';
import { noBundle } from './media-attributes.js';
import type { InterfaceTable } from './interfaces.js';
import {
  mediaPlan,
  noSockets,
  openSockets,
  portPlan,
  streamPart,
  type PlanSettings,
} from './plan.js';
import type {
  MediaPlan,
  PartChange,
  PlanChange,
  PlanVersion,
  PortPlan,
  RoutePlan,
  StreamPart,
  StreamPlan,
  TransportPlan,
} from './relay.js';
import { forgetOldest } from './remembered.js';
import { changedPositions, keepsPlaces } from './state-changes.js';
import { isSecureProtocol } from '../sdp/view.js';

/** Calls with fewer medias are planned whole: that is as fast. */
const manyMedias = 16;
/** Calls that are remembered. */
const maxCalls = 16;

interface KnownPlan {
  readonly state: CallState;
  /** What `InterfaceTable.all` was. */
  readonly interfaces: InterfaceTable['all'];
  /** By position in the state's streams. */
  readonly parts: readonly StreamPart[];
  /** By position in the state's sockets; null: not open. */
  readonly ports: readonly (PortPlan | null)[];
  readonly plan: PlanOfParts;
}

/** Its lists are made when they are asked for: whoever knows the plan before looks at the change alone. */
class PlanOfParts implements MediaPlan {
  readonly callId: string;
  readonly tos: number;
  readonly change: PlanChange;
  readonly #parts: KnownPlan['parts'];
  readonly #open: KnownPlan['ports'];
  #ports: readonly PortPlan[] | null = null;
  #routes: readonly RoutePlan[] | null = null;
  #transports: readonly TransportPlan[] | null = null;
  #streams: readonly StreamPlan[] | null = null;

  constructor(
    { callId, tos }: CallState,
    parts: KnownPlan['parts'],
    open: KnownPlan['ports'],
    change: PlanChange,
  ) {
    this.callId = callId;
    this.tos = tos;
    this.change = change;
    this.#parts = parts;
    this.#open = open;
  }

  get ports(): readonly PortPlan[] {
    return (this.#ports ??= this.#open.filter((port) => port !== null));
  }

  get transports(): readonly TransportPlan[] {
    return (this.#transports ??= this.#parts.map(({ transport }) => transport));
  }

  get streams(): readonly StreamPlan[] {
    return (this.#streams ??= this.#parts.map(({ stream }) => stream));
  }

  get routes(): readonly RoutePlan[] {
    return (this.#routes ??= this.#parts.flatMap(({ routes }) => routes));
  }
}

/** What is other than in the plan before. */
class Difference {
  readonly closed: number[] = [];
  readonly ports: PortPlan[] = [];
  readonly parts: PartChange[] = [];
  /** It is more than a change can say. */
  isWhole = false;

  changeOf(before: KnownPlan | null): PlanChange {
    const version: PlanVersion = {};
    if (before === null || this.isWhole)
      return { version, since: null, closed: [], ports: [], parts: [] };
    const { closed, ports, parts } = this;
    return { version, since: before.plan.change.version, closed, ports, parts };
  }
}

/** Thread: control. Knows nothing that could not be planned anew at any time. */
export class PlanMemory {
  readonly #interfaces: InterfaceTable;
  readonly #settings: PlanSettings;
  readonly #leastMedias: number;
  /** The one planned last is the last. */
  readonly #calls = new Map<string, KnownPlan>();

  /** @param leastMedias of calls that are remembered. */
  constructor(interfaces: InterfaceTable, settings: PlanSettings, leastMedias = manyMedias) {
    this.#interfaces = interfaces;
    this.#settings = settings;
    this.#leastMedias = leastMedias;
  }

  /** As `mediaPlan`. @throws MissingAddressError */
  plan(state: CallState): MediaPlan {
    const { callId } = state;
    if (state.medias.length < this.#leastMedias) return this.#whole(state);
    const known = this.#calls.get(callId) ?? null;
    this.#calls.delete(callId);
    const next = this.#next(known, stateInUse(state));
    if (next === null) return this.#whole(state);
    this.#calls.set(callId, next);
    forgetOldest(this.#calls, maxCalls);
    return next.plan;
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
    const difference = new Difference();
    const parts =
      before === null || again === null
        ? this.#allParts(state)
        : this.#changedParts(before, state, again, difference);
    if (parts === null) return null;
    const ports = this.#ports(before, state, difference);
    const change = difference.changeOf(again === null ? null : before);
    return { state, interfaces, parts, ports, plan: new PlanOfParts(state, parts, ports, change) };
  }

  #ports(
    before: KnownPlan | null,
    state: CallState,
    difference: Difference,
  ): readonly (PortPlan | null)[] {
    const { sockets } = state;
    const ports = before === null ? [] : before.ports.slice(0, sockets.length);
    const changed =
      before === null ? sockets.keys() : changedPositions(before.state, state, 'sockets');
    for (const at of changed) {
      const socket = sockets[at];
      if (socket === undefined) continue;
      const was = ports[at] ?? null;
      const is = socket.open ? portPlan(socket, this.#interfaces) : null;
      if (is !== null && was !== null && isSamePort(is, was)) continue;
      ports[at] = is;
      if (is !== null && was !== null) difference.isWhole = true;
      else if (is !== null) difference.ports.push(is);
      else if (was !== null) difference.closed.push(was.id);
    }
    return ports;
  }

  /** null: it is no such call. */
  #allParts(state: CallState): KnownPlan['parts'] | null {
    const index = new CallIndex(state);
    const open = openSockets(state);
    const parts: StreamPart[] = [];
    for (const stream of state.streams) {
      const part = this.#part(index, stream, open.get(stream.id) ?? noSockets);
      if (part === null) return null;
      parts.push(part);
    }
    return parts;
  }

  /** @param again the streams of which medias are planned anew. */
  #changedParts(
    before: KnownPlan,
    state: CallState,
    again: ReadonlySet<number>,
    difference: Difference,
  ): KnownPlan['parts'] | null {
    const index = new CallIndex(state, again);
    const parts = before.parts.slice();
    const streams: Stream[] = [];
    for (const media of again)
      for (const id of index.medias.get(media)?.streams ?? []) {
        const stream = index.streams.get(id);
        if (stream !== undefined) streams.push(stream);
      }
    const opened = openedSince(before.state, state);
    for (const stream of streams) {
      const at = index.streams.positionOf(stream.id) ?? 0;
      const was = before.parts[at]?.transport.ports ?? noSockets;
      const { ports, added } = opened.of(stream.id, was);
      const part = this.#part(index, stream, ports);
      if (part === null) return null;
      parts[at] = part;
      const routes = routesAdded(before.parts[at]?.routes, part.routes);
      difference.parts.push({ position: at, part, ports: added ?? noSockets, routes });
      if (added === null) difference.isWhole = true;
    }
    difference.parts.sort((a, b) => a.position - b.position);
    return parts;
  }

  /** null: it is not plain. */
  #part(index: CallIndex, stream: Stream, ports: readonly number[]): StreamPart | null {
    const media = index.medias.get(stream.mediaId);
    if (media === undefined) return null;
    const part = streamPart(index, stream, media, ports, this.#settings);
    return isPlainPart(part) ? part : null;
  }
}

const isSameRoute = (a: RoutePlan, b: RoutePlan | undefined): boolean =>
  a.toStream === b?.toStream &&
  a.kind === b.kind &&
  a.withoutFeedback === b.withoutFeedback &&
  a.rewrite === null &&
  b.rewrite === null;

/** How many of a stream's routes are of RTP, which come first. */
const rtpIn = (routes: readonly RoutePlan[]): number => {
  const count = routes.findIndex(({ kind }) => kind === 'rtcp');
  return count < 0 ? routes.length : count;
};

/** Those that come behind the routes of the same kind before; null: those are not what they were. */
function routesAdded(
  before: readonly RoutePlan[] | undefined,
  now: readonly RoutePlan[],
): readonly RoutePlan[] | null {
  if (before === undefined || now.length < before.length) return null;
  const [rtpBefore, rtpNow] = [rtpIn(before), rtpIn(now)];
  const shift = rtpNow - rtpBefore;
  if (shift < 0 || now.length - before.length < shift) return null;
  for (let at = 0; at < before.length; at++) {
    const was = before[at];
    if (was === undefined || !isSameRoute(was, now[at < rtpBefore ? at : at + shift])) return null;
  }
  return [...now.slice(rtpBefore, rtpNow), ...now.slice(before.length + shift)];
}

const isSamePort = (a: PortPlan, b: PortPlan): boolean =>
  a.id === b.id && a.localAddress === b.localAddress && a.localPort === b.localPort;

interface OpenSockets {
  readonly ports: readonly number[];
  /** Those that come behind those before; null: others come among them. */
  readonly added: readonly number[] | null;
}

/** The open sockets of streams, from those that they had before. */
function openedSince(
  before: CallState,
  now: CallState,
): { readonly of: (stream: number, was: readonly number[]) => OpenSockets } {
  const added = new Map<number, number[]>();
  const closed = new Set<number>();
  for (const at of changedPositions(before, now, 'sockets')) {
    const [was, is] = [before.sockets[at], now.sockets[at]];
    if (is === undefined || is.open === was?.open) continue;
    if (!is.open) closed.add(is.id);
    else {
      const list = added.get(is.streamId);
      if (list === undefined) added.set(is.streamId, [is.id]);
      else list.push(is.id);
    }
  }
  // In the order of the sockets.
  const of = (stream: number, was: readonly number[]): OpenSockets => {
    const more = added.get(stream) ?? noSockets;
    const left = closed.size === 0 ? was : was.filter((id) => !closed.has(id));
    if (more.length === 0) return { ports: left, added: noSockets };
    const all = [...left, ...more];
    if ((left.at(-1) ?? -1) < (more[0] ?? 0)) return { ports: all, added: more };
    return { ports: all.sort((a, b) => a - b), added: null };
  };
  return { of };
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

/** Whatever else a plan depends on is the same, and what was there has kept its place. */
function goesOn(before: CallState, now: CallState): boolean {
  return (
    before.ownership === now.ownership &&
    before.createdMicros === now.createdMicros &&
    before.blockMedia === now.blockMedia &&
    before.blockDtmf === now.blockDtmf &&
    before.silenceMedia === now.silenceMedia &&
    before.dropTraffic === now.dropTraffic &&
    before.digitsTo === now.digitsTo &&
    keepsPlaces(before, now, 'participants') &&
    keepsPlaces(before, now, 'medias') &&
    keepsPlaces(before, now, 'streams') &&
    keepsPlaces(before, now, 'sockets')
  );
}

/** Ids of the medias whose plan may be another one than before; null: of all. */
function mediasToPlan(before: CallState, now: CallState): ReadonlySet<number> | null {
  if (!goesOn(before, now) || participantsDiffer(before, now)) return null;
  const again = new Set<number>();
  for (const at of changedPositions(before, now, 'medias')) {
    const [was, is] = [before.medias[at], now.medias[at]];
    if (is === undefined) continue;
    if (!isPlainMedia(is)) return null;
    again.add(is.id);
    const others = looksOtherwise(was, is);
    addSources(again, was?.subscriptions ?? nothing, is.subscriptions, others);
    addSources(again, is.subscriptions, was?.subscriptions ?? nothing, others);
  }
  return addStreams(again, before, now) ? again : null;
}

const nothing: readonly Subscription[] = [];

const participantsDiffer = (before: CallState, now: CallState): boolean =>
  changedPositions(before, now, 'participants').some((at) => {
    const [was, is] = [before.participants[at], now.participants[at]];
    return (
      was !== undefined &&
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
    was.agreedDirection !== is.agreedDirection ||
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
  const told = new Set<number>();
  for (const at of changedPositions(before, now, 'streams')) {
    const [was, is] = [before.streams[at], now.streams[at]];
    if (is === undefined) continue;
    if (was !== undefined && was.mediaId !== is.mediaId) return false;
    again.add(is.mediaId);
    if (was === undefined || marksOf(was) !== marksOf(is)) told.add(is.mediaId);
  }
  if (told.size > 0) {
    const medias = new ById(now.medias);
    for (const id of told)
      addSources(again, medias.get(id)?.subscriptions ?? nothing, nothing, true);
  }
  return addSockets(again, before, now);
}

/** What those that send to a stream look at. */
const marksOf = (stream: Stream): number =>
  (isHeld(stream) ? 1 : 0) | (stream.flags.has('filled') ? 2 : 0);

function addSockets(again: Set<number>, before: CallState, now: CallState): boolean {
  const streams = new ById(now.streams);
  for (const at of changedPositions(before, now, 'sockets')) {
    const [was, is] = [before.sockets[at], now.sockets[at]];
    if (is === undefined) continue;
    if (was !== undefined && was.streamId !== is.streamId) return false;
    const media = streams.get(is.streamId)?.mediaId;
    if (media !== undefined) again.add(media);
  }
  return true;
}
