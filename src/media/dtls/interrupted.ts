/** DTLS handshakes that another process began. Pure. */
import { inUse } from '../agreed.js';
import type { CallState, Media } from '../call-state.js';
import { copyOfMedia, shallowCopyOf, withFlag } from '../call-state.js';

/**
 * Both certificates are known and no keys: whoever held the call may have been in the middle of the handshake.
 * A peer that has heard its ServerHello goes on repeating its own last flight, which nobody else can answer,
 * and one that was done does not begin again: then only a new association helps (a new offer).
 */
function isUnderWay(state: CallState, media: Media): boolean {
  const { id, security, flags, bundle } = inUse(media);
  const { mode, identity, fingerprint } = security;
  if (mode !== 'DTLS' || identity === null || fingerprint === null) return false;
  if (flags.has('passthrough') || (bundle.carrier !== null && bundle.carrier !== id)) return false;
  return state.streams.some(
    ({ mediaId, component, srtp, advertisedEndpoint }) =>
      mediaId === id && component === 1 && srtp === null && (advertisedEndpoint?.port ?? 0) > 0,
  );
}

export interface Interrupted {
  readonly state: CallState;
  /** Those that are marked now and were not before. */
  readonly medias: readonly Media[];
}

/** Marks the medias of a call that this process goes on with. */
export function withInterruptedDtls(state: CallState): Interrupted {
  const medias = state.medias.filter(
    (media) => !media.flags.has('dtls-interrupted') && isUnderWay(state, media),
  );
  if (medias.length === 0) return { state, medias };
  const next = shallowCopyOf(state);
  next.medias = state.medias.map((media) => {
    if (!medias.includes(media)) return media;
    const marked = copyOfMedia(media);
    marked.flags = withFlag(media.flags, 'dtls-interrupted', true);
    return marked;
  });
  return { state: next, medias };
}
