/**
 * Opportunistic SRTP as it was before RFC 8643: an offer has each medium twice, in plain RTP and in SRTP, one
 * section after the other. `OSRTP=accept-legacy` takes the secure one (which pairs count, as seen on rtpengine 12.5);
 * `OSRTP=offer-legacy` offers both, on one port, and the answer takes one of them.
 */
import type { SignallingRequest } from './signalling.js';
import type { CallDraft } from './call-draft.js';
import type { Participant } from './call-state.js';
import type { SdpDocument, SdpMedia, SdpSession } from '../sdp/types.js';
import { isRtpProtocol, isSecureProtocol } from '../sdp/view.js';

export const noTwins: ReadonlySet<SdpMedia> = new Set();

const areTwins = (one: SdpMedia, next: SdpMedia): boolean =>
  one.type === next.type &&
  isRtpProtocol(one.protocol) &&
  isRtpProtocol(next.protocol) &&
  isSecureProtocol(one.protocol) !== isSecureProtocol(next.protocol);

/** The plain sections that have a secure twin beside them. */
export function plainTwins(
  { medias }: SdpSession,
  { acceptsTwins }: SignallingRequest['opportunistic'],
): ReadonlySet<SdpMedia> {
  if (!acceptsTwins) return noTwins;
  const plain = new Set<SdpMedia>();
  for (let at = 0; at + 1 < medias.length; at += 1) {
    const [one, next] = [medias[at], medias[at + 1]];
    if (one === undefined || next === undefined || !areTwins(one, next)) continue;
    plain.add(isSecureProtocol(one.protocol) ? next : one);
    at += 1;
  }
  return plain;
}

/** The protocol of the plain section beside a secure one. */
export const plainProtocol = (secure: string): string =>
  secure.replace(/^(?:UDP\/TLS\/)?RTP\/SAVP/i, 'RTP/AVP');

/** Of each two sections of an answer that are one medium the one that was taken; the secure one, if both were. */
function takenOnes(medias: readonly SdpMedia[]): readonly SdpMedia[] {
  const taken: SdpMedia[] = [];
  for (let at = 0; at < medias.length; at += 1) {
    const [one, next] = [medias[at], medias[at + 1]];
    if (one === undefined) continue;
    if (next === undefined || !areTwins(one, next)) taken.push(one);
    else {
      const [plain, secure] = isSecureProtocol(one.protocol) ? [next, one] : [one, next];
      taken.push(secure.port === 0 && plain.port !== 0 ? plain : secure);
      at += 1;
    }
  }
  return taken;
}

/** The body of an answerer who was offered twins, or may have been, with one section for each medium. */
export function withoutTwins(
  document: SdpDocument,
  draft: CallDraft,
  answerer: Participant,
  { acceptsTwins }: SignallingRequest['opportunistic'],
): SdpDocument {
  const wereOffered = answerer.medias.some((id) => draft.mediaAsIs(id).flags.has('legacy-osrtp'));
  if (!acceptsTwins && !wereOffered) return document;
  return {
    sessions: document.sessions.map((session) => ({
      ...session,
      medias: takenOnes(session.medias),
    })),
  };
}
