/**
 * DTLS-SRTP of one m= section (RFC 5763, 8842): who offers it, who takes it, in which role. Pure; the rules
 * are rtpengine's (sdp-rules.md §6, 10.5 seen).
 */
import { createHash } from 'node:crypto';
import type { Media } from '../call-state.js';
import {
  plainMedia,
  type DtlsIdentity,
  type DtlsSetup,
  type MediaSecurity,
} from '../media-attributes.js';
import { isOneOf, type OfferedDtls } from './attributes.js';
import { isSecureProtocol } from '../../sdp/view.js';

export interface DtlsRequest {
  /** Not towards the receiver, if that is offered it or can do otherwise; not with the sender, likewise. */
  readonly off: boolean;
  readonly offReverse: boolean;
  /** Our role towards an offerer that leaves us the choice; null: nothing is asked for. */
  readonly role: 'active' | 'passive' | null;
  /** Then (option dtls-passive). */
  readonly defaultRole: 'active' | 'passive';
  /** The certificate of new associations. */
  readonly identity: () => DtlsIdentity;
}

/** Whether DTLS was offered to that side, or is settled with it. */
export const speaksDtls = ({ security }: Pick<Media, 'security'>): boolean =>
  security.mode === 'DTLS' || security.mode === 'SDES or DTLS';

/** Our role in the handshake as far as it goes (RFC 5763 §5: who offered both waits). */
export const roleOf = ({ setup }: Pick<MediaSecurity, 'setup'>): 'active' | 'passive' =>
  setup === 'active' ? 'active' : 'passive';

/** The side was told a role of ours. */
const isSettled = ({ setup, identity }: MediaSecurity): boolean =>
  identity !== null && (setup === 'active' || setup === 'passive');

/** Our role for what an offerer says. */
function roleForOffer(
  { setup }: OfferedDtls,
  before: MediaSecurity,
  role: 'active' | 'passive' | null,
): DtlsSetup {
  if (setup === 'active') return 'passive';
  if (setup === 'passive') return 'active';
  // Established roles stay (RFC 8842 §5.5).
  return isSettled(before) ? roleOf(before) : (role ?? 'actpass');
}

/**
 * Our role for what an answerer says. One that leaves it open (RFC 5763 §5 does not permit that) may wait, as RFC 4145
 * §4.1 has it, or begin, as browsers take it: what it does decides.
 */
function roleForAnswer({ setup }: OfferedDtls, before: MediaSecurity): DtlsSetup {
  if (setup === 'active') return 'passive';
  if (setup === 'passive') return 'active';
  return isSettled(before) ? roleOf(before) : 'actpass';
}

/** `security` with what the peer says of itself; a change begins a new association (RFC 8842 §3.2). */
function heard(
  before: MediaSecurity,
  { fingerprint, tlsId }: OfferedDtls,
  setup: DtlsSetup,
): MediaSecurity {
  const known = before.fingerprint;
  // The certificate that it has shown, by another hash, is the same.
  const isOther =
    known !== null &&
    (known.hash !== fingerprint.hash || known.digest !== fingerprint.digest) &&
    !isOneOf(before.digests, fingerprint);
  const isNew = before.tlsId !== null && tlsId !== null && tlsId !== before.tlsId;
  // Of roles that were left open the handshake has decided.
  const isDecided = before.setup === 'actpass' && before.digests !== '';
  const turns = before.identity !== null && !isDecided && roleOf(before) !== roleOf({ setup });
  if (!isOther && !isNew && !turns) return { ...before, setup, fingerprint, tlsId };
  const generation = before.generation + 1;
  return { ...before, setup, fingerprint, tlsId, generation, digests: '' };
}

/** Without DTLS. What comes later is another association. */
export function withoutDtls(security: MediaSecurity): MediaSecurity {
  if (security === plainMedia || security.mode === 'plain' || security.mode === 'SDES') {
    return security.setup === null && security.fingerprint === null
      ? security
      : { ...security, setup: null, fingerprint: null, tlsId: null };
  }
  return {
    ...security,
    mode: security.mode === 'DTLS' ? 'plain' : 'SDES',
    setup: null,
    fingerprint: null,
    tlsId: null,
    generation: security.generation + 1,
    digests: '',
  };
}

/** `security` as one in which DTLS is offered, or was taken. */
const withDtls = (security: MediaSecurity): MediaSecurity =>
  security.mode === 'SDES' || security.mode === 'SDES or DTLS'
    ? { ...security, mode: 'SDES or DTLS' }
    : { ...security, mode: 'DTLS' };

/** The sender of an offer; whether it gets DTLS shows in the answer. */
export function hearOfferer(
  media: Media,
  offered: OfferedDtls | null,
  hasKeys: boolean,
  request: DtlsRequest,
  prefersKeys: boolean,
): void {
  if (offered === null || ((request.offReverse || prefersKeys) && hasKeys)) {
    media.security = withoutDtls(media.security);
    return;
  }
  const setup = roleForOffer(offered, media.security, request.role);
  media.security = withDtls(heard(media.security, offered, setup));
}

/** The side was offered DTLS and took something else. */
export const hasDeclinedDtls = (media: Pick<Media, 'security'>): boolean =>
  media.security.identity !== null && !speaksDtls(media);

/** The receiver of an offer. */
export function offerTo(media: Media, wanted: boolean, request: DtlsRequest): void {
  if (!wanted || request.off) {
    const before = withoutDtls(media.security);
    // Of a side that does not speak SRTP any more nothing is known.
    const isKnown = before.identity === null || isSecureProtocol(media.protocol);
    media.security = isKnown ? before : { ...before, identity: null };
    return;
  }
  const { setup, identity } = media.security;
  const kept = isSettled(media.security) ? setup : 'actpass';
  media.security = withDtls({
    ...media.security,
    setup: kept,
    identity: identity ?? request.identity(),
  });
}

/** The sender of an answer. @returns whether DTLS is spoken with it. */
export function hearAnswerer(
  media: Media,
  offered: OfferedDtls | null,
  prefersKeys: boolean,
  request: DtlsRequest,
): boolean {
  const { security } = media;
  const isOffered = speaksDtls(media) && security.identity !== null;
  if (!isOffered || offered === null || prefersKeys || request.offReverse) {
    media.security = withoutDtls(security);
    return false;
  }
  const setup = roleForAnswer(offered, security);
  media.security = { ...heard(security, offered, setup), mode: 'DTLS' };
  return true;
}

/** The offerer, whom the answer goes to. @returns whether DTLS is spoken with it. */
export function answerTo(media: Media, prefersKeys: boolean, request: DtlsRequest): boolean {
  const { security } = media;
  if (!speaksDtls(media) || security.fingerprint === null || prefersKeys) {
    media.security = withoutDtls(security);
    return false;
  }
  const setup =
    security.setup === 'actpass' ? (request.role ?? request.defaultRole) : security.setup;
  media.security = {
    ...security,
    mode: 'DTLS',
    setup,
    identity: security.identity ?? request.identity(),
  };
  return true;
}

/** a=tls-id (RFC 8842 §4): another one for each association. */
export const tlsIdOf = (callId: string, { id, security }: Media): string =>
  createHash('sha256')
    .update(`${callId}\0${id}\0${security.generation}\0${security.identity?.certificate ?? ''}`)
    .digest('hex')
    .slice(0, 32);
