/** What the relay has to know of a stream's DTLS. Pure. */
import type { Media, Stream } from '../call-state.js';
import type { DtlsPlan } from '../relay.js';
import { roleOf, speaksDtls } from './negotiation.js';

/** DTLS gives the keys: nothing else was agreed on before a re-offer that leaves the choice again. */
export const usesDtls = (media: Pick<Media, 'security' | 'sdes'>): boolean =>
  speaksDtls(media) && (media.sdes?.receive ?? media.sdes?.send ?? null) === null;

/** null: it is not spoken, the side has not been told our fingerprint yet, or RTCP goes with RTP. */
export function dtlsPlanOf(media: Media, stream: Stream): DtlsPlan | null {
  const { identity, fingerprint, generation, setup } = media.security;
  if (!usesDtls(media) || identity === null || media.flags.has('passthrough')) return null;
  if (stream.component === 2 && media.rtcpMux) return null;
  return {
    // Before it has said anything the side may begin, and we do not.
    role: setup === 'actpass' && fingerprint !== null ? 'actpass' : roleOf(media.security),
    identity,
    fingerprint,
    generation,
    established: stream.srtp !== null && !media.flags.has('dtls-renewed'),
  };
}
