/**
 * Which local ports face a media (sdp-rules.md §9). A media remembers for each remote address of the
 * *other* side the ports that were shown for it, so that a re-offer from a known address gets the
 * same ports and one from a new address fresh ones.
 */
import { inUse } from './agreed.js';
import type { CallDraft } from './call-draft.js';
import type { AddressFamily, Endpoint, EndpointMap, Media } from './call-state.js';
import type { InterfaceAddress, InterfaceTable } from './interfaces.js';
import type { PortAllocator } from './port-pool.js';
import { PortAllocationError } from './errors.js';
import { isZeroAddress } from '../sdp/view.js';

function matches(map: Readonly<EndpointMap>, opposite: Endpoint): boolean {
  if (map.endpoint === null) return false;
  if (map.endpoint.port !== opposite.port) return false;
  // A held media (zero address) is told by its port alone.
  return (
    map.endpoint.address === opposite.address ||
    isZeroAddress(opposite.address) ||
    isZeroAddress(map.endpoint.address)
  );
}

export interface PortWish {
  /** Remote endpoint of the other side; null while it is not known: a wildcard map is made. */
  readonly opposite: Endpoint | null;
  /** Local ports needed: 2 a stream pair, 1 when RTP and RTCP share a port. */
  readonly numPorts: number;
  /** A map with one port is good enough: its side has been told of no other. */
  readonly oneWillDo: boolean;
  /** Keep the present ports although the other side's endpoint changed (port-latching). */
  readonly keepPorts: boolean;
  /** Ports on every address of the logical interface (ICE candidates), rather than on the first. */
  readonly everyAddress: boolean;
}

/** The map for `wish`, an existing one where the rules allow it, else one with new ports. */
export function endpointMapFor(
  draft: CallDraft,
  media: Media,
  wish: PortWish,
  interfaces: InterfaceTable,
  ports: PortAllocator,
): EndpointMap {
  const found = findMap(draft, media, wish);
  const map =
    found === null ? openMap(draft, media, wish, interfaces, ports) : draft.endpointMap(found.id);
  if (wish.everyAddress) openOthers(draft, media, map, interfaces, ports);
  return map;
}

/** It faces the media where that is, with as many ports as are wanted. */
const isUsable = (map: Readonly<EndpointMap>, media: Media, wish: PortWish): boolean =>
  map.logicalInterface === media.logicalInterface &&
  map.family === media.desiredFamily &&
  (map.numPorts >= wish.numPorts || (wish.oneWillDo && map.numPorts === 1));

// A media whose other side has many branches has a map for each of them: they are looked at in place.

/** The usable map whose ports are in use; null: there is none. */
function currentMap(draft: CallDraft, media: Media, wish: PortWish): Readonly<EndpointMap> | null {
  const selected = selectedSocket(draft, media);
  if (selected === null) return null;
  // Nearly always the last one; a socket is of one map.
  for (let at = media.endpointMaps.length - 1; at >= 0; at--) {
    const map = draft.endpointMapAsIs(media.endpointMaps[at] ?? -1);
    if (hasSocket(map, selected)) return isUsable(map, media, wish) ? map : null;
  }
  return null;
}

function firstMap(draft: CallDraft, media: Media, wish: PortWish): Readonly<EndpointMap> | null {
  for (const id of media.endpointMaps) {
    const map = draft.endpointMapAsIs(id);
    if (isUsable(map, media, wish)) return map;
  }
  return null;
}

function findMap(draft: CallDraft, media: Media, wish: PortWish): Readonly<EndpointMap> | null {
  const { opposite } = wish;
  if (opposite === null || wish.keepPorts) {
    const current = currentMap(draft, media, wish);
    if (opposite === null) return current ?? firstMap(draft, media, wish);
    if (current !== null) return current;
  }
  let wildcard: Readonly<EndpointMap> | null = null;
  for (const id of media.endpointMaps) {
    const map = draft.endpointMapAsIs(id);
    if (matches(map, opposite) && isUsable(map, media, wish)) return map;
    if (map.wildcard && wildcard === null && isUsable(map, media, wish)) wildcard = map;
  }
  if (wildcard === null) return null;
  const settled = draft.endpointMap(wildcard.id);
  settled.wildcard = false;
  settled.endpoint = opposite;
  return settled;
}

function selectedSocket(draft: CallDraft, media: Media): number | null {
  const streamId = media.streams[0];
  return streamId === undefined ? null : draft.stream(streamId).selectedSocket;
}

const hasSocket = (map: Readonly<EndpointMap>, socket: number): boolean =>
  map.sockets.some((group) => group.sockets.includes(socket));

function openMap(
  draft: CallDraft,
  media: Media,
  wish: PortWish,
  interfaces: InterfaceTable,
  ports: PortAllocator,
): EndpointMap {
  const address = interfaces.addressFor(media.logicalInterface, media.desiredFamily);
  if (address === null) {
    throw new PortAllocationError('no-such-address', media.logicalInterface, wish.numPorts);
  }
  const sockets = openSockets(draft, media, wish.numPorts, address, ports);
  return draft.addEndpointMap({
    mediaId: media.id,
    wildcard: wish.opposite === null,
    numPorts: wish.numPorts,
    family: media.desiredFamily,
    logicalInterface: media.logicalInterface,
    endpoint: wish.opposite,
    sockets: [{ addressIndex: address.index, sockets }],
  });
}

/** Opens so many ports on one address. `address.family` is that of the list that its index counts in. */
function openSockets(
  draft: CallDraft,
  media: Media,
  numPorts: number,
  address: Pick<InterfaceAddress, 'address' | 'family' | 'index'>,
  ports: PortAllocator,
): number[] {
  const first = ports.allocate(address.address, numPorts);
  const sockets = new Array<number>(numPorts);
  for (let i = 0; i < numPorts; i++) {
    const streamId = media.streams[i] ?? media.streams[0];
    if (streamId === undefined) throw new RangeError('a media without streams needs no ports');
    const socket = draft.addSocket({
      streamId,
      port: first + i,
      logicalInterface: media.logicalInterface,
      addressIndex: address.index,
      family: address.family,
    });
    sockets[i] = socket.id;
  }
  return sockets;
}

/** Opens ports on the addresses that the map has none on. One that has no free ports is left out. */
function openOthers(
  draft: CallDraft,
  media: Media,
  map: EndpointMap,
  interfaces: InterfaceTable,
  ports: PortAllocator,
): void {
  const firstSocket = map.sockets[0]?.sockets[0];
  if (firstSocket === undefined) return;
  const { family } = draft.socket(firstSocket);
  const open = new Set(map.sockets.map(({ addressIndex }) => addressIndex));
  for (let index = 0; index < maxAddresses; index++) {
    const local = interfaces.addressAt(map.logicalInterface, family, index);
    if (local === null) return;
    if (open.has(index)) continue;
    try {
      const address = { address: local.address, family, index };
      const sockets = openSockets(draft, media, map.numPorts, address, ports);
      map.sockets = [...map.sockets, { addressIndex: index, sockets }];
    } catch (error) {
      if (!(error instanceof PortAllocationError)) throw error;
    }
  }
}

/** As many as the relay's agent takes. */
const maxAddresses = 16;

const noSockets: readonly number[] = [];

/** The sockets at a position of the groups, one on each address; without room for others. */
function socketsAt({ sockets: groups }: EndpointMap, position: number): readonly number[] {
  if (groups.length === 1) {
    const socket = groups[0]?.sockets[position];
    return socket === undefined ? noSockets : [socket];
  }
  const sockets: number[] = [];
  for (const { sockets: group } of groups) {
    const socket = group[position];
    if (socket !== undefined) sockets.push(socket);
  }
  return sockets.slice();
}

/**
 * Makes the sockets of `map` the ones that the streams of `media` use: those on its first address, or, where
 * ICE has chosen, on that one.
 */
export function selectMap(draft: CallDraft, media: Media, map: EndpointMap): void {
  const choosesByIce = inUse(media).ice.enabled;
  for (let position = 0; position < media.streams.length; position++) {
    const stream = draft.stream(media.streams[position] ?? -1);
    const sockets = socketsAt(map, position);
    const chosen = stream.selectedSocket;
    const stays = choosesByIce && chosen !== null && sockets.includes(chosen);
    if (!stays) stream.iceRoute = null;
    moveKeys(draft, stream.sockets, sockets);
    stream.sockets = sockets;
    stream.selectedSocket = stays ? chosen : (sockets[0] ?? null);
  }
}

/** What DTLS gave belongs to the association, whichever ports it is carried by. */
function moveKeys(draft: CallDraft, from: readonly number[], to: readonly number[]): void {
  // Of a section that was refused the ports themselves still have them.
  if (from.length === 0) return;
  const keyed = from.find((id) => draft.socketAsIs(id).srtp !== null);
  const keys = keyed === undefined ? null : draft.socketAsIs(keyed).srtp;
  for (const id of to) if (draft.socketAsIs(id).srtp !== keys) draft.socket(id).srtp = keys;
}

/** The family a logical interface can serve: the wanted one, or else that of its first address. */
export function servableFamily(
  interfaces: InterfaceTable,
  logicalInterface: string,
  wanted: AddressFamily,
): AddressFamily {
  return interfaces.addressFor(logicalInterface, wanted)?.family ?? wanted;
}
