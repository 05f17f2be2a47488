/**
 * Opportunistic SRTP as it was before RFC 8643: an offer has each medium twice, in plain RTP and in SRTP, one
 * section after the other. `OSRTP=accept-legacy` takes the secure one (which pairs count, as seen on rtpengine 12.5).
 */
import type { SignallingRequest } from './signalling.js';
import type { SdpMedia, SdpSession } from '../sdp/types.js';
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
