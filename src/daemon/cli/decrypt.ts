/** `rtprelayctl capture --decrypt`: SRTP of a capture as the RTP in it, where the daemon tells the keys. */
import type { CapturedKey, Direction, PortKeys } from '../../media/captured-keys.js';
import { srtpSuites } from '../../media/sdes/suites.js';
import { NativeSrtpReceiver } from '../../native/srtp-receiver.js';
import { addressBytes, type CapturedPacket } from './pcapng.js';
import { placeKey, udpPacket, withPayload } from './udp-packet.js';

/** What the daemon's command `srtpkeys CALL-ID` answers. */
export interface KeysAnswer {
  readonly ports: readonly PortKeys[];
}

/** A packet that crosses a bridge is captured twice, close together. */
const rememberedPackets = 512;

/** RTP or RTCP, plain or not (RFC 7983 §7); null: neither. RFC 5761 §4 tells the two apart. */
function kindOf(payload: Buffer): 'rtp' | 'rtcp' | null {
  const [first = 0, second = 0] = payload;
  if (payload.length < 12 || first >> 6 !== 2) return null;
  return second >= 192 && second <= 223 ? 'rtcp' : 'rtp';
}

export class SrtpReader {
  /** By port and direction: keys of before stay, packets of theirs may still come. */
  readonly #receivers = new Map<string, Map<string, NativeSrtpReceiver>>();
  readonly #seen = new Map<string, Buffer>();
  decrypted = 0;
  /** SRTP that no key fits. */
  refused = 0;

  /** Keys that are not known yet. */
  learn({ ports }: KeysAnswer): void {
    for (const { address, port, receive, send } of ports) {
      const place = placeKey(addressBytes(address), port);
      for (const key of receive) this.#add(`${place} receive`, key);
      for (const key of send) this.#add(`${place} send`, key);
    }
  }

  #add(place: string, { indexes, ...key }: CapturedKey): void {
    const known = this.#receivers.get(place) ?? new Map<string, NativeSrtpReceiver>();
    this.#receivers.set(place, known);
    const name = JSON.stringify(key);
    if (known.has(name)) return;
    const receiver = new NativeSrtpReceiver({
      ...key,
      suite: srtpSuites[key.suite].number,
      key: Buffer.from(key.key, 'base64'),
      mki: Buffer.from(key.mki, 'base64'),
    });
    for (const [ssrc, index] of indexes) receiver.resume(ssrc, index);
    known.set(name, receiver);
  }

  /** The packet with its media in the clear; as it is when it holds none that is protected. */
  read(packet: CapturedPacket, linkType: number): CapturedPacket {
    if (packet.bytes.length < packet.length) return packet;
    const found = udpPacket(packet.bytes, linkType);
    const kind = found === null ? null : kindOf(found.payload);
    if (found === null || kind === null) return packet;
    const receivers = [
      ...this.#of(found.destination, 'receive'),
      ...this.#of(found.source, 'send'),
    ];
    if (receivers.length === 0) return packet;
    const plain = this.#plain(found.payload, kind === 'rtcp', receivers);
    if (plain === null) {
      this.refused += 1;
      return packet;
    }
    this.decrypted += 1;
    const bytes = withPayload(packet.bytes, found, plain);
    return { ...packet, bytes, length: bytes.length };
  }

  #of(place: string, direction: Direction): Iterable<NativeSrtpReceiver> {
    return this.#receivers.get(`${place} ${direction}`)?.values() ?? [];
  }

  #plain(payload: Buffer, rtcp: boolean, receivers: readonly NativeSrtpReceiver[]): Buffer | null {
    const text = payload.toString('latin1');
    const before = this.#seen.get(text);
    if (before !== undefined) return before;
    for (const receiver of receivers) {
      const plain = receiver.unprotect(payload, rtcp);
      if (plain === null) continue;
      this.#seen.set(text, plain);
      const [oldest] = this.#seen.keys();
      if (this.#seen.size > rememberedPackets && oldest !== undefined) this.#seen.delete(oldest);
      return plain;
    }
    return null;
  }
}
