/** What the relay has to know of a stream's ICE. Pure. */
import type { CallState, Media, Stream } from '../call-state.js';
import type { IcePlan } from '../relay.js';
import { resumedIce } from './resume.js';

/** Whether an agent of ours speaks ICE with that side. */
export const speaksIce = ({ ice, flags }: Pick<Media, 'ice' | 'flags'>): boolean =>
  ice.enabled && !flags.has('passthrough');

/** null: it is not spoken, the side has not been told our credentials yet, or RTCP goes with RTP. */
export function icePlanOf(state: CallState, media: Media, stream: Stream): IcePlan | null {
  const { ice } = media;
  if (!speaksIce(media) || ice.local === null) return null;
  if (stream.component === 2 && media.rtcpMux) return null;
  // Neither would ever check, and media is let in from checked addresses alone: a lite agent answers (RFC 8445 §2.5).
  const bothLite = ice.lite && ice.peerIsLite;
  const candidates = ice.remoteCandidates.filter(({ component }) => component === stream.component);
  return {
    mode: ice.lite && !bothLite ? 'lite' : 'full',
    controlling: ice.controlling || bothLite,
    component: stream.component,
    tieBreaker: ice.tieBreaker,
    local: ice.local,
    remote: ice.remote,
    candidates: candidates.map(({ endpoint, priority }) => ({ endpoint, priority })),
    standby: state.ownership === 'foreign',
    ...resumedIce(stream),
  };
}
