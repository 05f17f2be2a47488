/** Reads the index of an AES_CM_128_HMAC_SHA1_80 packet off its tag (RFC 3711), on its own. */
import { expect } from 'chai';
import { createCipheriv, createHmac } from 'node:crypto';
import { derivedKey } from './srtp-codec.js';

const tagBytes = 10;

const derived = (key: Buffer, label: number, bytes: number): Buffer =>
  derivedKey(key.subarray(0, 16), key.subarray(16, 30), label, bytes);

const tagOf = (authKey: Buffer, ...parts: readonly Buffer[]): Buffer => {
  const hmac = createHmac('sha1', authKey);
  for (const part of parts) hmac.update(part);
  return hmac.digest().subarray(0, tagBytes);
};

/** Rollover counter and sequence number of a packet as one number; null: no counter up to 3 fits. */
export function srtpIndex(key: Buffer, packet: Buffer): number | null {
  const authKey = derived(key, 1, 20);
  const tag = packet.subarray(-tagBytes);
  for (let rollover = 0; rollover < 4; rollover++) {
    const trailer = Buffer.alloc(4);
    trailer.writeUInt32BE(rollover);
    if (tagOf(authKey, packet.subarray(0, -tagBytes), trailer).equals(tag)) {
      return rollover * 0x10000 + packet.readUInt16BE(2);
    }
  }
  return null;
}

/** SRTCP's index, which it carries; null: its tag is wrong. */
export function srtcpIndex(key: Buffer, packet: Buffer): number | null {
  const authentic = tagOf(derived(key, 4, 20), packet.subarray(0, -tagBytes));
  if (!authentic.equals(packet.subarray(-tagBytes))) return null;
  return packet.readUInt32BE(packet.length - tagBytes - 4) & 0x7fff_ffff;
}

/** An RTP packet as SRTP with AES_CM_128_HMAC_SHA1_80. `key`: master key and salt. */
export function srtpPacket(key: Buffer, rtp: Buffer, rollover = 0): Buffer {
  const counter = Buffer.concat([derived(key, 2, 14), Buffer.alloc(2)]);
  const trailer = Buffer.alloc(4);
  trailer.writeUInt32BE(rollover);
  for (let at = 0; at < 4; at++) {
    counter[4 + at] = (counter[4 + at] ?? 0) ^ (rtp[8 + at] ?? 0);
    counter[8 + at] = (counter[8 + at] ?? 0) ^ (trailer[at] ?? 0);
  }
  for (let at = 0; at < 2; at++) counter[12 + at] = (counter[12 + at] ?? 0) ^ (rtp[2 + at] ?? 0);
  const cipher = createCipheriv('aes-128-ctr', derived(key, 0, 16), counter);
  const packet = Buffer.concat([rtp.subarray(0, 12), cipher.update(rtp.subarray(12))]);
  return Buffer.concat([packet, tagOf(derived(key, 1, 20), packet, trailer)]);
}

/** What one receiver has had, by the indexes of its packets. */
export class Indexes {
  readonly rtp = new Set<number>();
  #lastReport = -1;

  constructor(
    readonly name: string,
    readonly key: Buffer,
  ) {}

  take(packets: readonly Buffer[], reports: readonly Buffer[]): void {
    for (const bytes of packets) {
      const index = srtpIndex(this.key, bytes) ?? -1;
      expect(index, `${this.name}: an authentic packet`).to.be.above(-1);
      expect(this.rtp.has(index), `${this.name}: SRTP index ${index} once`).to.equal(false);
      this.rtp.add(index);
    }
    for (const bytes of reports) {
      const index = srtcpIndex(this.key, bytes) ?? -1;
      expect(index, `${this.name}: SRTCP indexes of authentic reports only grow`).to.be.above(
        this.#lastReport,
      );
      this.#lastReport = index;
    }
  }
}
