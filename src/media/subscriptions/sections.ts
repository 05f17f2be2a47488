/** What publishing and subscribing share: the sections of a body, and the ports of one side. */
import type { CallDraft } from '../call-draft.js';
import type { Media } from '../call-state.js';
import { endpointMapFor, selectMap, servableFamily } from '../endpoint-maps.js';
import { speaksIce } from '../ice/plan.js';
import { ensureStreams } from '../media-setup.js';
import type { SignallingContext } from '../signalling.js';
import type { SdpDocument, SdpMedia, SdpSession } from '../../sdp/types.js';

/** A section and its place in the body. */
export interface Placed {
  readonly session: SdpSession;
  readonly section: SdpMedia;
  /** From 1. */
  readonly index: number;
}

export function flatSections({ sessions }: SdpDocument): readonly Placed[] {
  const placed: Placed[] = [];
  for (const session of sessions) {
    for (const section of session.medias) {
      placed.push({ session, section, index: placed.length + 1 });
    }
  }
  return placed;
}

/** The streams of the sections that are answered: whoever stands in opposite must find them there (`StandIn`). */
export function ensureAnswered(
  draft: CallDraft,
  medias: ReadonlyMap<number, Media>,
  sections: readonly Placed[],
  nowMicros: number,
): void {
  for (const { index, section } of sections) {
    const media = medias.get(index);
    if (media !== undefined) ensureStreams(draft, media, section.portCount, nowMicros);
  }
}

/** The ports that face a side with nobody opposite: those it has, or new ones. @throws PortAllocationError */
export function facePorts(
  draft: CallDraft,
  media: Media,
  portCount: number,
  sharesRtcpPort: boolean,
  { interfaces, ports }: SignallingContext,
): void {
  if (media.logicalInterface === interfaces.default.name && media.endpointMaps.length === 0)
    media.logicalInterface = interfaces.defaultFor(media.desiredFamily).name;
  media.desiredFamily = servableFamily(interfaces, media.logicalInterface, media.desiredFamily);
  const numPorts = portCount === 1 && sharesRtcpPort ? 1 : portCount * 2;
  const everyAddress = speaksIce(media);
  const wish = { opposite: null, numPorts, oneWillDo: true, keepPorts: true, everyAddress };
  selectMap(draft, media, endpointMapFor(draft, media, wish, interfaces, ports));
}

/** A refused media has none. */
export function giveUpPorts(draft: CallDraft, media: Media): void {
  for (const id of media.streams) {
    const stream = draft.stream(id);
    stream.sockets = [];
    stream.selectedSocket = null;
  }
}
