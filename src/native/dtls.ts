/** Certificates for DTLS, by the OpenSSL of the addon. */
import type { DtlsIdentity } from '../media/media-attributes.js';
import { loadRelayAddon } from './addon.js';

/** native/api/dtls_identity.h */
interface Addon {
  createDtlsIdentity(rsaBits: number): DtlsIdentity;
}

/**
 * A self-signed certificate, good from yesterday for 31 days.
 * @param rsaBits of an RSA key; 0: a key on the curve P-256.
 * @throws Error: OpenSSL refuses; NativeRelayError
 */
export const createDtlsIdentity = (rsaBits: number): DtlsIdentity =>
  (loadRelayAddon() as Addon).createDtlsIdentity(rsaBits);
