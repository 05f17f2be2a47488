/** Certificates for DTLS, by the OpenSSL of the addon. */
import type { DtlsIdentity } from '../media/media-attributes.js';
import { loadRelayAddon } from './addon.js';

/** native/api/dtls_identity.h */
interface Addon {
  createDtlsIdentity(rsaBits: number, sha1: boolean, ciphers: string): DtlsIdentity;
}

export interface DtlsIdentityOptions {
  /** Of an RSA key; 0: a key on the curve P-256. */
  readonly rsaBits: number;
  /** Of the certificate; default SHA-256. */
  readonly signature?: 'SHA-1' | 'SHA-256';
  /** OpenSSL's list of cipher suites that it is to be used with; null: our own. */
  readonly ciphers?: string | null;
}

/**
 * A self-signed certificate, good from yesterday for 31 days.
 * @throws Error: OpenSSL refuses, e.g. a list that names no cipher suite; NativeRelayError
 */
export const createDtlsIdentity = ({
  rsaBits,
  signature = 'SHA-256',
  ciphers = null,
}: DtlsIdentityOptions): DtlsIdentity =>
  (loadRelayAddon() as Addon).createDtlsIdentity(rsaBits, signature === 'SHA-1', ciphers ?? '');
