/** Our certificates (RFC 5763 §5): one for all new associations, renewed; each media keeps the one it was told. */
import { createHash, X509Certificate } from 'node:crypto';
import type { DtlsIdentity, Fingerprint } from '../media-attributes.js';

/** Digests of a certificate are asked for with every body. */
const known = new WeakMap<DtlsIdentity, Map<string, Fingerprint>>();

/** The fingerprint of a certificate by one of the hashes of RFC 8122. @throws Error: no certificate */
export function fingerprintOf(identity: DtlsIdentity, hash: string): Fingerprint {
  let ofIdentity = known.get(identity);
  if (ofIdentity === undefined) {
    ofIdentity = new Map();
    known.set(identity, ofIdentity);
  }
  let fingerprint = ofIdentity.get(hash);
  if (fingerprint === undefined) {
    const { raw } = new X509Certificate(identity.certificate);
    const digest = createHash(hash.replace('-', '')).update(raw).digest().toString('latin1');
    fingerprint = { hash, digest };
    ofIdentity.set(hash, fingerprint);
  }
  return fingerprint;
}

/** Certificates are good for 30 days from when they are made; calls last for hours. */
const renewalMillis = 10 * 24 * 3600 * 1000;

/** Makes the certificate of new associations. Thread: control. */
export class IdentitySource {
  readonly #generate: () => DtlsIdentity;
  readonly #nowMillis: () => number;
  #identity: DtlsIdentity | null = null;
  #made = 0;

  /** @param generate throws where the engine cannot. */
  constructor(generate: () => DtlsIdentity, nowMillis: () => number = () => performance.now()) {
    this.#generate = generate;
    this.#nowMillis = nowMillis;
  }

  /** @throws Error: there is none, and none can be made. */
  current(): DtlsIdentity {
    const now = this.#nowMillis();
    if (this.#identity === null || now - this.#made >= renewalMillis) {
      this.#identity = this.#generate();
      this.#made = now;
    }
    return this.#identity;
  }
}
