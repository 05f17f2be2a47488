/**
 * How packets of a media are secured and told apart while an offer that would change it is not answered. Such an offer
 * may be refused, and nobody tells the relay so: until there is an answer media goes on as was agreed on (RFC 3264 §8).
 * Pure.
 */
import {
  copyOfMedia,
  shallowCopyOf,
  withFlag,
  type AgreedSecurity,
  type CallState,
  type Media,
  type Sharing,
} from './call-state.js';
import {
  noBundle,
  plainMedia,
  type MediaBundle,
  type MediaIce,
  type MediaSecurity,
} from './media-attributes.js';
import { lineKey } from './sdes/crypto-line.js';
import type { SdesState } from './sdes/negotiation.js';
import { isRtpProtocol, isSecureProtocol } from '../sdp/view.js';

/** What `agreedOf` cannot see in a media any more once a body was looked at. */
export type SeenBefore = Sharing & Readonly<Pick<Media, 'protocol' | 'rtcpMux'>>;

/** @param before the body at hand was looked at. */
export const agreedOf = (
  { security, sdes, ice, flags }: Pick<Media, 'security' | 'sdes' | 'ice' | 'flags'>,
  { protocol, rtcpMux, bundle, extensions, mid }: SeenBefore,
): AgreedSecurity => ({
  protocol,
  rtcpMux,
  bundle,
  extensions,
  mid,
  security,
  sdes,
  ice,
  passthrough: flags.has('passthrough'),
  iceRestarted: flags.has('ice-restarted'),
});

function putBack(media: Media, agreed: AgreedSecurity): void {
  media.protocol = agreed.protocol;
  media.rtcpMux = agreed.rtcpMux;
  media.bundle = agreed.bundle;
  media.extensions = agreed.extensions;
  media.mid = agreed.mid;
  media.security = agreed.security;
  media.sdes = agreed.sdes;
  media.ice = agreed.ice;
  const flags = withFlag(media.flags, 'passthrough', agreed.passthrough);
  media.flags = withFlag(flags, 'ice-restarted', agreed.iceRestarted);
  media.agreed = null;
}

/**
 * The offer that was not answered is none any more: another one has come.
 * @param isRefused which refuses the section: of what is refused, how RTCP goes stays as it was offered last.
 */
export function withdrawOffer(media: Media, isRefused: boolean): void {
  const { agreed, rtcpMux } = media;
  if (agreed !== null) putBack(media, isRefused ? { ...agreed, rtcpMux } : agreed);
}

/** Its section was refused: as `withdrawOffer`; what it shares has been settled with the others. */
export function refuseOffer(media: Media): void {
  const { agreed, rtcpMux, bundle, extensions, mid } = media;
  if (agreed !== null) putBack(media, { ...agreed, rtcpMux, bundle, extensions, mid });
}

/** The media as its packets are to be treated now. Not to be changed. */
export function inUse(media: Readonly<Media>): Readonly<Media> {
  if (media.agreed === null) return media;
  const view = copyOfMedia(media);
  putBack(view, media.agreed);
  return view;
}

/** The bundle in which its packets come and go now. */
export const bundleInUse = ({ bundle, agreed }: Pick<Media, 'bundle' | 'agreed'>): MediaBundle =>
  agreed === null ? bundle : agreed.bundle;

/** Views of published medias: who compares plans by their entities finds the same one again. */
const views = new WeakMap<Readonly<Media>, Readonly<Media>>();

function viewOf(media: Readonly<Media>): Readonly<Media> {
  const view = views.get(media) ?? inUse(media);
  if (view !== media) views.set(media, view);
  return view;
}

/** A published call with its medias as they are in use; `state` itself where that is what they say. */
export function stateInUse(state: CallState): CallState {
  if (state.medias.every(({ agreed }) => agreed === null)) return state;
  const next = shallowCopyOf(state);
  next.medias = state.medias.map(viewOf);
  return next;
}

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Nothing is checked, encrypted or decrypted, whatever is in its packets. */
const isPlain = ({
  protocol,
  security,
  sdes,
  ice,
}: Pick<AgreedSecurity, 'protocol' | 'security' | 'sdes' | 'ice'>): boolean =>
  (security === plainMedia || security.mode === 'plain') &&
  sdes === null &&
  !ice.enabled &&
  !isSecureProtocol(protocol);

const kindOf = (protocol: string): string =>
  isRtpProtocol(protocol) ? (isSecureProtocol(protocol) ? 'SRTP' : 'RTP') : protocol;

const associationOf = ({
  mode,
  setup,
  fingerprint,
  identity,
  generation,
}: MediaSecurity): unknown =>
  mode === 'plain' || mode === 'SDES' ? null : [setup, fingerprint, identity, generation];

const keysOf = (sdes: SdesState | null): unknown =>
  sdes && [lineKey(sdes.receive), lineKey(sdes.send), sdes.passthrough, sdes.required];

/** Candidates that are added do not begin anything anew. */
const agentOf = ({ enabled, local, remote, lite, peerIsLite }: MediaIce): unknown =>
  enabled && [local, remote, lite, peerIsLite];

/** Of a bundle, what its packets are told apart and written by. */
const sharedBy = ({ bundle, extensions, mid }: Sharing): unknown =>
  bundle === noBundle
    ? null
    : [
        bundle.carrier,
        bundle.group > 0,
        mid,
        extensions.flatMap(({ id, uri, inUse }) => (inUse ? [id, uri] : [])),
      ];

const sharesAlike = (before: Sharing, now: Sharing): boolean =>
  (before.bundle === noBundle && now.bundle === noBundle) ||
  isSame(sharedBy(before), sharedBy(now));

/** Whether packets would be treated otherwise than before. */
export function isSecuredOtherwise(before: AgreedSecurity, media: Media): boolean {
  const now = agreedOf(media, media);
  if (before.rtcpMux !== now.rtcpMux || !sharesAlike(before, now)) return true;
  if (isPlain(before) && isPlain(now) && before.passthrough === now.passthrough) return false;
  return !(
    before.passthrough === now.passthrough &&
    kindOf(before.protocol) === kindOf(now.protocol) &&
    isSame(associationOf(before.security), associationOf(now.security)) &&
    isSame(keysOf(before.sdes), keysOf(now.sdes)) &&
    isSame(agentOf(before.ice), agentOf(now.ice))
  );
}
