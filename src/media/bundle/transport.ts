/** Medias that use the transport of another one of their side (RFC 9143). Pure. */
import type { CallDraft } from '../call-draft.js';
import {
  copyOfMedia,
  copyOfStream,
  shallowCopyOf,
  withFlag,
  type CallState,
  type Media,
  type Stream,
  type StreamFlag,
} from '../call-state.js';
import { noBundle, type MediaBundle } from '../media-attributes.js';
import type { MediaPair } from '../media-pair.js';
import { bundleInUse } from '../agreed.js';
import { usesOther } from './negotiation.js';

/** What a stream that has no transport of its own says of that which it uses. */
const sharedFlags: readonly StreamFlag[] = ['confirmed', 'received', 'filled', 'ice'];

/** @param agreed until then its section may still have to do without the others. */
function copyWhereabouts(from: Readonly<Stream>, to: Stream, agreed: boolean): void {
  to.selectedSocket = from.selectedSocket;
  to.iceRoute = null;
  if (!agreed) return;
  to.endpoint = from.endpoint;
  to.advertisedEndpoint = from.advertisedEndpoint;
  for (const flag of sharedFlags) to.flags = withFlag(to.flags, flag, from.flags.has(flag));
}

/** Its own ports are given up: nobody was told of them, or the answer that bundles says that they are not used. */
function givePortsUp(draft: CallDraft, media: Media): void {
  for (const id of media.streams) {
    const stream = draft.stream(id);
    if (stream.sockets.length > 0) stream.sockets = [];
    stream.selectedSocket = null;
    stream.srtp = null;
  }
  const own = new Set(media.streams);
  for (const { id, streamId, open } of draft.state.sockets) {
    if (open && own.has(streamId)) draft.socket(id).open = false;
  }
  if (media.endpointMaps.length === 0) return;
  draft.state.endpointMaps = draft.state.endpointMaps.filter(({ mediaId }) => mediaId !== media.id);
  media.endpointMaps = [];
}

/** It uses another one's transport, and no longer its own, as it may do until an offer is answered. */
const givesPortsUp = (media: Media): boolean =>
  usesOther(media) && usesOther({ id: media.id, bundle: bundleInUse(media) });

/** Gives the medias of a body that use others' transports those, once these have their ports. */
export function shareTransports(draft: CallDraft, pairs: readonly MediaPair[]): void {
  for (const pair of pairs) {
    for (const media of [pair.receiver, pair.sender]) {
      if (!givesPortsUp(media)) continue;
      givePortsUp(draft, media);
      const [from] = draft.media(media.bundle.carrier ?? media.id).streams;
      const [to] = media.streams;
      if (from === undefined || to === undefined) continue;
      copyWhereabouts(draft.stream(from), draft.stream(to), media.bundle.agreed);
    }
  }
}

/** An SSRC that packets of a transport have shown to be a stream's. */
export interface LearnedSsrc {
  readonly transportId: number;
  readonly streamId: number;
  readonly ssrc: number;
}

/** Of one section; what was learned earliest is forgotten first. */
const maxLearned = 64;

/** The bundle of a media, as an SSRC of its transport has shown to be its own, or another one's. */
function withSsrc(bundle: MediaBundle, ssrc: number, isOwn: boolean): MediaBundle {
  const { ssrcs, learned } = bundle;
  const isKnown = ssrcs.includes(ssrc) || learned.includes(ssrc);
  if (isKnown === isOwn) return bundle;
  const others = (list: readonly number[]): readonly number[] =>
    list.filter((each) => each !== ssrc);
  // Another one's now, whatever the SDP has said.
  return isKnown
    ? { ...bundle, ssrcs: others(ssrcs), learned: others(learned) }
    : { ...bundle, learned: [...learned, ssrc].slice(-maxLearned) };
}

/** The call with what packets have told of the sections of its bundles; `state` itself where all of it is known. */
export function withLearnedSsrcs(state: CallState, learned: readonly LearnedSsrc[]): CallState {
  if (learned.length === 0) return state;
  const mediaOf = new Map(state.streams.map(({ id, mediaId }) => [id, mediaId]));
  const medias = new Map(state.medias.map((media) => [media.id, media]));
  for (const { transportId, streamId, ssrc } of learned) {
    const carrier = mediaOf.get(transportId);
    const owner = mediaOf.get(streamId);
    for (const media of medias.values()) {
      const taught = (bundle: MediaBundle): MediaBundle =>
        bundle === noBundle || (bundle.carrier ?? media.id) !== carrier
          ? bundle
          : withSsrc(bundle, ssrc, media.id === owner);
      const bundle = taught(media.bundle);
      const inUse = media.agreed === null ? null : taught(media.agreed.bundle);
      if (bundle === media.bundle && (inUse === null || inUse === media.agreed?.bundle)) continue;
      const changed = copyOfMedia(media);
      changed.bundle = bundle;
      if (changed.agreed !== null && inUse !== null)
        changed.agreed = { ...changed.agreed, bundle: inUse };
      medias.set(media.id, changed);
    }
  }
  const all = state.medias.map((media) => medias.get(media.id) ?? media);
  if (all.every((media, at) => media === state.medias[at])) return state;
  const next = shallowCopyOf(state);
  next.medias = all;
  return next;
}

/** The call with its shared transports told alike, after packets have taught something of them. */
export function withSharedTransports(state: CallState): CallState {
  if (state.medias.every(({ bundle }) => bundle === noBundle)) return state;
  const byId = new Map(state.streams.map((stream) => [stream.id, stream]));
  const medias = new Map(state.medias.map((media) => [media.id, media]));
  const changed = new Map<number, Stream>();
  for (const media of state.medias) {
    if (!givesPortsUp(media)) continue;
    const from = byId.get(medias.get(media.bundle.carrier ?? -1)?.streams[0] ?? -1);
    const to = byId.get(media.streams[0] ?? -1);
    if (from === undefined || to === undefined) continue;
    const copy = copyOfStream(to);
    copyWhereabouts(from, copy, media.bundle.agreed);
    const isSame =
      copy.selectedSocket === to.selectedSocket &&
      copy.endpoint === to.endpoint &&
      copy.flags === to.flags;
    if (!isSame) changed.set(to.id, copy);
  }
  if (changed.size === 0) return state;
  const next = shallowCopyOf(state);
  next.streams = state.streams.map((stream) => changed.get(stream.id) ?? stream);
  return next;
}
