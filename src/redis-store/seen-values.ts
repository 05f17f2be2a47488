/** Which values of other nodes' calls have been read already, by a digest of each. */
import { createHash } from 'node:crypto';

/** Characters of base64 kept of a digest: 96 bits tell any number of values apart. */
const digestLength = 16;

export class SeenValues {
  readonly #digests = new Map<string, string>();

  /** Whether the call had this very value when it was asked for last. Remembers it. */
  isSame(callId: string, value: Buffer): boolean {
    const digest = createHash('sha256').update(value).digest('base64').slice(0, digestLength);
    if (this.#digests.get(callId) === digest) return true;
    this.#digests.set(callId, digest);
    return false;
  }

  forget(callId: string): void {
    this.#digests.delete(callId);
  }

  /** Forgets all calls but these. */
  keep(present: ReadonlySet<string>): void {
    for (const callId of this.#digests.keys()) {
      if (!present.has(callId)) this.#digests.delete(callId);
    }
  }
}
