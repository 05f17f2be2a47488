/** Which local ports face the two sides of a section (sdp-rules.md §9). */
import { usesOther } from './bundle/negotiation.js';
import { inUse } from './agreed.js';
import type { CallDraft } from './call-draft.js';
import { familyOf, type AddressFamily, type Endpoint, type Media } from './call-state.js';
import { endpointMapFor, selectMap, servableFamily } from './endpoint-maps.js';
import { speaksIce } from './ice/plan.js';
import type { InterfaceTable } from './interfaces.js';
import type { MediaPair } from './media-pair.js';
import { sharesRtcpPort } from './media-setup.js';
import type { SignallingContext, SignallingKind, SignallingRequest } from './signalling.js';
import { directionOf, isRtpProtocol, isZeroAddress } from '../sdp/view.js';

/** Without interfaces of these names they are the families of a bridge between IPv4 and IPv6. */
export function familyNamed(wanted: string | null): AddressFamily | null {
  if (wanted === 'internal') return 'IP4';
  return wanted === 'external' ? 'IP6' : null;
}

function firstEndpoint(draft: CallDraft, media: Media): Endpoint | null {
  const id = media.streams[0];
  return id === undefined ? null : draft.stream(id).advertisedEndpoint;
}

function wantedFamily(
  draft: CallDraft,
  pair: MediaPair,
  request: SignallingRequest,
  { interfaces }: SignallingContext,
): AddressFamily {
  if (request.addressFamily !== null) return request.addressFamily;
  const named = familyNamed(request.toInterface);
  if (
    named !== null &&
    interfaces.find(request.toInterface ?? '', pair.receiver.logicalInterface) === null
  )
    return named;
  const known = firstEndpoint(draft, pair.receiver);
  if (known !== null && known.address !== '') return familyOf(known.address);
  return pair.sender.desiredFamily;
}

/** Family of the ports that a side was told last; null: none. */
function shownFamily(draft: CallDraft, media: Media): AddressFamily | null {
  const id = media.streams[0];
  const socket = id === undefined ? null : draft.stream(id).selectedSocket;
  return socket === null ? null : draft.socketAsIs(socket).family;
}

const isShut = (draft: CallDraft, media: Media): boolean => shownFamily(draft, media) === null;

function closeStreams(draft: CallDraft, media: Media): void {
  for (const id of media.streams) {
    const stream = draft.stream(id);
    stream.sockets = [];
    stream.selectedSocket = null;
  }
}

/**
 * A sender that takes nothing may move as it likes: nothing that is on its way to it has to be told apart. One that is
 * nowhere (a zero address) leaves the ports to where it is next (12.5 seen).
 */
function keepsPorts(
  { section, session, receiver }: MediaPair,
  { flags }: SignallingRequest,
  place: Endpoint | null,
): boolean {
  if (flags.has('no-port-latching')) return false;
  if (receiver.ice.enabled || inUse(receiver).ice.enabled) return true;
  if (receiver.bundle.agreed) return true;
  if (place !== null && isZeroAddress(place.address)) return true;
  const direction = directionOf(section, session);
  return flags.has('port-latching') || direction === 'sendonly' || direction === 'inactive';
}

/** What a request says of the interface that faces a side: its name, one that there is none of, nothing. */
export type InterfaceChoice = 'named' | 'usual' | 'as-before';

export interface InterfaceChoices {
  readonly from: InterfaceChoice;
  readonly to: InterfaceChoice;
}

const serves = (interfaces: InterfaceTable, name: string, family: AddressFamily): boolean =>
  interfaces.addressFor(name, family)?.family === family;

/** The media has ports of that family, or had them before it was refused; its interface may have been named since. */
function hasFaced(
  draft: CallDraft,
  media: Media,
  family: AddressFamily,
  interfaces: InterfaceTable,
): boolean {
  const shown = shownFamily(draft, media);
  if (shown !== null) return shown === family;
  return (
    media.endpointMaps.some((id) => draft.endpointMapAsIs(id).family === family) &&
    serves(interfaces, media.logicalInterface, family)
  );
}

/**
 * The interface that faces a media: the one that the request names, whatever families it has; the one that
 * it had, as long as its family stays; else the first that has the family (10.5 seen).
 */
function placeMedia(
  draft: CallDraft,
  media: Media,
  choice: InterfaceChoice,
  family: AddressFamily,
  { interfaces }: SignallingContext,
): void {
  if (choice === 'named') return;
  const participant = draft.participant(media.participantId);
  if (choice === 'as-before') {
    if (hasFaced(draft, media, family, interfaces)) return;
    // A section that is new in the dialogue is where the others are.
    if (media.endpointMaps.length === 0) {
      for (const id of participant.medias) {
        const other = draft.media(id);
        if (!hasFaced(draft, other, family, interfaces)) continue;
        media.logicalInterface = other.logicalInterface;
        return;
      }
      // All of them were refused so far, and one was named.
      if (
        participant.logicalInterface === media.logicalInterface &&
        participant.medias.every((id) => draft.mediaAsIs(id).endpointMaps.length === 0) &&
        serves(interfaces, media.logicalInterface, family)
      )
        return;
    }
  }
  media.logicalInterface = interfaces.defaultFor(family).name;
  if (media.index === 1) participant.logicalInterface = media.logicalInterface;
}

/** An offer of RTP always has formats. */
const refusedByOffer = ({ section, sender: { offered } }: MediaPair): boolean =>
  isRtpProtocol(section.protocol) && offered?.length === 0;

/** Picks or opens the local ports that face both sides of the pair. */
export function assignPorts(
  kind: SignallingKind,
  draft: CallDraft,
  pair: MediaPair,
  choices: InterfaceChoices,
  request: SignallingRequest,
  context: SignallingContext,
): void {
  const { sender, receiver } = pair;
  const { interfaces } = context;
  const received = wantedFamily(draft, pair, request, context);
  placeMedia(draft, receiver, choices.to, received, context);
  receiver.desiredFamily = servableFamily(interfaces, receiver.logicalInterface, received);
  // An answerer sends to the ports of its offer, whatever family it wants to be sent to.
  const sent = (kind === 'answer' ? shownFamily(draft, sender) : null) ?? sender.desiredFamily;
  placeMedia(draft, sender, choices.from, sent, context);
  sender.desiredFamily = servableFamily(interfaces, sender.logicalInterface, sent);
  const isClosed = pair.rejected || pair.untouched;
  // Who offers what was refused is shown ports by the answer; who accepts what its offer refused has none (10.5 and
  // 12.5 seen).
  const isRefused = kind === 'offer' || (isShut(draft, receiver) && refusedByOffer(pair));
  const hasNone = !pair.isFirst && isShut(draft, sender) && isRefused;
  if (isClosed && pair.carries.receiver === null) closeStreams(draft, receiver);
  else if (!usesOther(receiver)) faceReceiver(kind, draft, pair, request, context);
  if (isClosed && pair.carries.sender === null) closeStreams(draft, sender);
  else if (!usesOther(sender) && !hasNone) faceSender(kind, draft, pair, context);
}

/** Ports that a side of the pair needs, `mux`: with one for both RTP and RTCP. */
const portsFor = (mux: boolean, { section: { portCount } }: MediaPair): number =>
  portCount === 1 && mux ? 1 : portCount * 2;

function faceReceiver(
  kind: SignallingKind,
  draft: CallDraft,
  pair: MediaPair,
  request: SignallingRequest,
  { interfaces, ports }: SignallingContext,
): void {
  const { section, sender, receiver } = pair;
  const isRtp = isRtpProtocol(section.protocol);
  const required = kind === 'offer' && request.rtcpMux.has('require') && isRtp;
  const shares = sharesRtcpPort(kind, pair, request);
  const opposite = firstEndpoint(draft, sender);
  const receiverMap = endpointMapFor(
    draft,
    receiver,
    {
      opposite,
      numPorts: required ? section.portCount : portsFor(isRtp && shares, pair),
      oneWillDo: speaksIce(receiver),
      keepPorts: keepsPorts(pair, request, opposite),
      everyAddress: speaksIce(receiver),
    },
    interfaces,
    ports,
  );
  selectMap(draft, receiver, receiverMap);
}

function faceSender(
  kind: SignallingKind,
  draft: CallDraft,
  pair: MediaPair,
  { interfaces, ports }: SignallingContext,
): void {
  const { sender } = pair;
  const settled = sender.flags.has('rtcp-mux-override') || kind === 'answer';
  const senderMap = endpointMapFor(
    draft,
    sender,
    {
      opposite: null,
      numPorts: portsFor(settled && sender.rtcpMux, pair),
      oneWillDo: true,
      keepPorts: true,
      everyAddress: speaksIce(sender),
    },
    interfaces,
    ports,
  );
  selectMap(draft, sender, senderMap);
}
