/** Reads SRTP after the fact, by the session that reads it off the wire. */
import { loadRelayAddon } from './addon.js';

/** What one direction is protected with. */
export interface ReceiverKeys {
  /** Number of the suite (`srtpSuites`). */
  readonly suite: number;
  /** Master key and salt, of the suite's length. */
  readonly key: Buffer;
  /** Master key identifier in packets, empty: none. */
  readonly mki: Buffer;
  readonly unencryptedSrtp: boolean;
  readonly unencryptedSrtcp: boolean;
  readonly unauthenticatedSrtp: boolean;
}

/** native/api/srtp_receiver.h */
interface AddonReceiver {
  resume(ssrc: number, index: number): void;
  unprotect(packet: Buffer, rtcp: boolean): number;
}

interface Addon {
  readonly SrtpReceiver: new (
    suite: number,
    keyAndSalt: Buffer,
    mki: Buffer,
    flags: number,
  ) => AddonReceiver;
}

export class NativeSrtpReceiver {
  readonly #receiver: AddonReceiver;

  /** @throws TypeError: a key that the suite does not take; NativeRelayError */
  constructor({ suite, key, mki, ...parameters }: ReceiverKeys) {
    const flags =
      (parameters.unencryptedSrtp ? 1 : 0) +
      (parameters.unencryptedSrtcp ? 2 : 0) +
      (parameters.unauthenticatedSrtp ? 4 : 0);
    const { SrtpReceiver } = loadRelayAddon() as Addon;
    this.#receiver = new SrtpReceiver(suite, key, mki, flags);
  }

  /** A source whose newest packet index (RFC 3711 §3.3.1) is known: later ones are read, earlier ones not. */
  resume(ssrc: number, index: number): void {
    this.#receiver.resume(ssrc, index);
  }

  /** The plain packet; null: the keys do not fit, or it came before. */
  unprotect(packet: Buffer, rtcp: boolean): Buffer | null {
    const bytes = Buffer.from(packet);
    const size = this.#receiver.unprotect(bytes, rtcp);
    return size < 0 ? null : bytes.subarray(0, size);
  }
}
