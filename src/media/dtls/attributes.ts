/** What a section says of DTLS-SRTP (RFC 5763, 8122, 8842). Pure. */
import { createHash } from 'node:crypto';
import type { Fingerprint } from '../media-attributes.js';
import type { SdpAttribute, SdpMedia, SdpSession } from '../../sdp/types.js';

/** a=setup (RFC 4145 §4). */
export type OfferedSetup = 'active' | 'passive' | 'actpass';

export interface OfferedDtls {
  readonly fingerprint: Fingerprint;
  /** null: none, or `holdconn`, or one that is unknown. */
  readonly setup: OfferedSetup | null;
  readonly tlsId: string | null;
}

/** Bytes of the digests (RFC 8122 §5); those of others are not checked by anybody (MD5, MD2). */
const digestBytes: ReadonlyMap<string, number> = new Map([
  ['sha-1', 20],
  ['sha-224', 28],
  ['sha-256', 32],
  ['sha-384', 48],
  ['sha-512', 64],
]);

/** The digests of a certificate (DER) by all of these hashes, one after the other. */
export const digestsOf = (certificate: Buffer): string =>
  [...digestBytes.keys()]
    .map((hash) =>
      createHash(hash.replace('-', '')).update(certificate).digest().toString('latin1'),
    )
    .join('');

/** Whether a fingerprint is of the certificate that `digests` are of. */
export function isOneOf(digests: string, { hash, digest }: Fingerprint): boolean {
  let at = 0;
  for (const [name, size] of digestBytes) {
    if (name === hash) return digests.slice(at, at + size) === digest;
    at += size;
  }
  return false;
}

/** The value of a=fingerprint. null: it cannot be read, or its hash is unknown or too weak. */
export function readFingerprint(value: string): Fingerprint | null {
  const [, name = '', digits = ''] = /^(\S{1,16})[ \t]+([0-9A-Fa-f:]{2,256})\s*$/.exec(value) ?? [];
  const hash = name.toLowerCase();
  const size = digestBytes.get(hash);
  if (size === undefined || !/^(?:[0-9A-Fa-f]{2}:)*[0-9A-Fa-f]{2}$/.test(digits)) return null;
  const digest = Buffer.from(digits.replaceAll(':', ''), 'hex').toString('latin1');
  return digest.length === size ? { hash, digest } : null;
}

/** In upper case: Firefox takes nothing else. */
export const fingerprintText = ({ hash, digest }: Fingerprint): string =>
  `${hash} ${(Buffer.from(digest, 'latin1').toString('hex').toUpperCase().match(/../g) ?? []).join(':')}`;

/** Stronger ones first. */
const strength = [...digestBytes.keys()].reverse();

/** Of several the strongest; of equally strong ones the last, as browsers take it. */
function bestFingerprint(attributes: readonly SdpAttribute[]): Fingerprint | null {
  let best: Fingerprint | null = null;
  for (const { name, value } of attributes) {
    if (name !== 'fingerprint' || value === null) continue;
    const read = readFingerprint(value);
    if (read === null) continue;
    if (best === null || strength.indexOf(read.hash) <= strength.indexOf(best.hash)) best = read;
  }
  return best;
}

const valueOf = (attributes: readonly SdpAttribute[], name: string): string | null =>
  attributes.findLast((attribute) => attribute.name === name)?.value ?? null;

const isSetup = (value: string | undefined): value is OfferedSetup =>
  value === 'active' || value === 'passive' || value === 'actpass';

const isFingerprint = ({ name }: SdpAttribute): boolean => name === 'fingerprint';

/** Whether a fingerprint is there that `offeredDtls` cannot use. */
export const hasFingerprint = (
  media: Pick<SdpMedia, 'attributes'>,
  session: Pick<SdpSession, 'attributes'>,
): boolean => media.attributes.some(isFingerprint) || session.attributes.some(isFingerprint);

/** DTLS of a section, its own attributes before those of the session; null: it does not speak it. */
export function offeredDtls(
  media: Pick<SdpMedia, 'attributes'>,
  session: Pick<SdpSession, 'attributes'>,
): OfferedDtls | null {
  const fingerprint = bestFingerprint(media.attributes) ?? bestFingerprint(session.attributes);
  if (fingerprint === null) return null;
  const find = (name: string): string | null =>
    valueOf(media.attributes, name) ?? valueOf(session.attributes, name);
  const setup = find('setup')?.trim().toLowerCase();
  const tlsId = find('tls-id')?.trim() ?? '';
  return {
    fingerprint,
    setup: isSetup(setup) ? setup : null,
    tlsId: /^[A-Za-z0-9+/_-]{20,255}$/.test(tlsId) ? tlsId : null,
  };
}
