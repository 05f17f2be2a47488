/** Our certificates for DTLS, as the options want them. */
import type { Config } from '../config/config.js';
import { ConfigError } from '../config/errors.js';
import { IdentitySource } from '../media/dtls/identity.js';
import { createDtlsIdentity } from '../native/dtls.js';

/** @throws ConfigError: OpenSSL does not take the list of cipher suites. */
export function identitySource({ media }: Config): IdentitySource {
  const { dtlsRsaBits: rsaBits, dtlsSignature: signature, dtlsCiphers: ciphers } = media;
  const source = new IdentitySource(() => createDtlsIdentity({ rsaBits, signature, ciphers }));
  if (ciphers === null) return source;
  try {
    // Told at the start, not by the first call.
    source.current();
  } catch {
    const text = `--dtls-ciphers: '${ciphers}' names no cipher suite that can be used`;
    throw new ConfigError('bad-value', 'dtls-ciphers', text);
  }
  return source;
}
