/** SRTP and SRTCP of all suites that SDES names (RFC 3711, 4568, 6188, 7714), written without the product. */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';

type Cipher = 'CM' | 'GCM' | 'F8' | 'NULL';

interface Suite {
  readonly keyBytes: number;
  readonly saltBytes: number;
  /** Of SRTP; SRTCP has 10 where it is less. */
  readonly tagBytes: number;
  readonly cipher: Cipher;
}

const suiteOf = (keyBytes: number, saltBytes: number, tagBytes: number, cipher: Cipher): Suite => ({
  keyBytes,
  saltBytes,
  tagBytes,
  cipher,
});

export const srtpSuites: Readonly<Record<string, Suite>> = {
  AEAD_AES_256_GCM: suiteOf(32, 12, 16, 'GCM'),
  AEAD_AES_128_GCM: suiteOf(16, 12, 16, 'GCM'),
  AES_256_CM_HMAC_SHA1_80: suiteOf(32, 14, 10, 'CM'),
  AES_256_CM_HMAC_SHA1_32: suiteOf(32, 14, 4, 'CM'),
  AES_192_CM_HMAC_SHA1_80: suiteOf(24, 14, 10, 'CM'),
  AES_192_CM_HMAC_SHA1_32: suiteOf(24, 14, 4, 'CM'),
  AES_CM_128_HMAC_SHA1_80: suiteOf(16, 14, 10, 'CM'),
  AES_CM_128_HMAC_SHA1_32: suiteOf(16, 14, 4, 'CM'),
  F8_128_HMAC_SHA1_80: suiteOf(16, 14, 10, 'F8'),
  F8_128_HMAC_SHA1_32: suiteOf(16, 14, 4, 'F8'),
  NULL_HMAC_SHA1_80: suiteOf(16, 14, 10, 'NULL'),
  NULL_HMAC_SHA1_32: suiteOf(16, 14, 4, 'NULL'),
};

export function srtpSuite(name: string): Suite {
  const suite = srtpSuites[name];
  if (suite === undefined) throw new Error(`no suite ${name}`);
  return suite;
}

/** An a=crypto line. */
export interface KeyLine {
  readonly tag: number;
  readonly suite: string;
  /** Master key and salt, base64 without padding. */
  readonly key: string;
  readonly mki: { readonly value: number; readonly length: number } | null;
  readonly unencryptedRtp: boolean;
  readonly unencryptedRtcp: boolean;
  readonly unauthenticatedRtp: boolean;
}

const parameters = ['UNENCRYPTED_SRTP', 'UNENCRYPTED_SRTCP', 'UNAUTHENTICATED_SRTP'] as const;

export function keyLineText(line: KeyLine): string {
  const { tag, suite, key, mki } = line;
  const said = [line.unencryptedRtp, line.unencryptedRtcp, line.unauthenticatedRtp];
  const words = parameters.filter((_, at) => said[at]).map((word) => ` ${word}`);
  const identifier = mki === null ? '' : `|${mki.value}:${mki.length}`;
  return `a=crypto:${tag} ${suite} inline:${key}${identifier}${words.join('')}`;
}

/** Those of a body. */
export const readKeyLines = (body: string): readonly KeyLine[] =>
  [...body.matchAll(/^a=crypto:(\d+) (\S+) inline:([^|\s]+)(?:\|(\d+):(\d+))?(.*)$/gm)].map(
    ([, tag = '', suite = '', key = '', value, length, rest = '']) => {
      const words = rest.trim().split(' ');
      return {
        tag: Number(tag),
        ...{ suite, key },
        mki: value === undefined ? null : { value: Number(value), length: Number(length) },
        unencryptedRtp: words.includes(parameters[0]),
        unencryptedRtcp: words.includes(parameters[1]),
        unauthenticatedRtp: words.includes(parameters[2]),
      };
    },
  );

/** `a`, of whose first bytes those of `b` are added. */
function xor(a: Buffer, b: Buffer): Buffer {
  const sum = Buffer.from(a);
  b.forEach((byte, at) => {
    if (at < sum.length) sum.writeUInt8(sum.readUInt8(at) ^ byte, at);
  });
  return sum;
}

const block = (key: Buffer, plain: Buffer): Buffer =>
  createCipheriv('aes-128-ecb', key, null).setAutoPadding(false).update(plain);

/** RFC 3711 §4.1.2. */
function f8(key: Buffer, salt: Buffer, iv: Buffer, data: Buffer): Buffer {
  const mask = Buffer.concat([salt, Buffer.alloc(key.length - salt.length, 0x55)]);
  const start = block(xor(key, mask), iv);
  const stream: Buffer[] = [];
  let last = Buffer.alloc(16);
  for (let at = 0; at * 16 < data.length; at++) {
    const count = Buffer.alloc(16);
    count.writeUInt32BE(at, 12);
    last = Buffer.from(block(key, xor(xor(start, last), count)));
    stream.push(last);
  }
  return xor(data, Buffer.concat(stream).subarray(0, data.length));
}

const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value % 2 ** 32);
  return bytes;
};

/** RFC 3711 §4.3.1. */
export function derivedKey(key: Buffer, salt: Buffer, label: number, bytes: number): Buffer {
  const mark = Buffer.alloc(8);
  mark[7] = label;
  const iv = xor(Buffer.concat([salt, Buffer.alloc(16 - salt.length)]), mark);
  return createCipheriv(`aes-${key.length * 8}-ctr`, key, iv).update(Buffer.alloc(bytes));
}

interface SessionKeys {
  readonly encrypt: Buffer;
  readonly authenticate: Buffer;
  readonly salt: Buffer;
}

/** A packet in the clear; 'repeated': its index has been there. null: it is not authentic. */
export type Read = Buffer | 'repeated' | null;

const controlTag = 10;
/** An index of 48 bits. */
const split = (index: number): readonly [rollover: number, sequence: number] => [
  Math.floor(index / 0x10000),
  index % 0x10000,
];

/** Keys of one direction, and how far they have come: of an encrypting end, or of a decrypting one. */
export class SrtpContext {
  readonly #suite: Suite;
  readonly #mki: Buffer;
  readonly #rtp: SessionKeys;
  readonly #rtcp: SessionKeys;
  readonly #highest = new Map<number, number>();
  readonly #seen = new Set<string>();
  readonly #reports = new Map<number, number>();
  #sent = 0;

  constructor(readonly line: KeyLine) {
    this.#suite = srtpSuite(line.suite);
    const { keyBytes, saltBytes } = this.#suite;
    const bytes = Buffer.from(line.key, 'base64');
    const [key, salt] = [bytes.subarray(0, keyBytes), bytes.subarray(keyBytes)];
    const derived = (label: number, size: number): Buffer => derivedKey(key, salt, label, size);
    const keysFrom = (label: number): SessionKeys => ({
      encrypt: derived(label, keyBytes),
      authenticate: derived(label + 1, 20),
      salt: derived(label + 2, saltBytes),
    });
    [this.#rtp, this.#rtcp] = [keysFrom(0), keysFrom(3)];
    const { value, length } = line.mki ?? { value: 0, length: 0 };
    const mki = Buffer.alloc(Math.max(8, length));
    mki.writeBigUInt64BE(BigInt(value), mki.length - 8);
    this.#mki = mki.subarray(mki.length - length);
  }

  /** How far a source has come; null: nothing of it has been there. */
  highestOf(ssrc: number): number | null {
    return this.#highest.get(ssrc) ?? null;
  }

  /** It has listened to nothing so far, and knows how far the source is (RFC 3711 leaves that to signalling). */
  joinAt(ssrc: number, index: number): void {
    if (!this.#highest.has(ssrc)) this.#highest.set(ssrc, index);
  }

  /** RFC 3711 §3.3.1. */
  #indexOf(ssrc: number, sequence: number): number {
    const highest = this.#highest.get(ssrc);
    if (highest === undefined) return sequence;
    const [rollover, last] = split(highest);
    const turns = last - sequence > 0x8000 ? 1 : sequence - last > 0x8000 ? -1 : 0;
    return Math.max(0, rollover + turns) * 0x10000 + sequence;
  }

  #counterOf(salt: Buffer, ssrc: number, index: number): Buffer {
    const iv = Buffer.alloc(16);
    iv.writeUInt32BE(ssrc, 4);
    iv.writeUIntBE(index, 8, 6);
    return xor(iv, salt);
  }

  #cipherRtp(header: Buffer, data: Buffer, index: number): Buffer {
    const { encrypt, salt } = this.#rtp;
    const { cipher, keyBytes } = this.#suite;
    if (cipher === 'NULL' || this.line.unencryptedRtp) return data;
    if (cipher === 'CM') {
      const iv = this.#counterOf(salt, header.readUInt32BE(8), index);
      return createCipheriv(`aes-${keyBytes * 8}-ctr`, encrypt, iv).update(data);
    }
    const iv = Buffer.concat([Buffer.alloc(1), header.subarray(1, 12), word(split(index)[0])]);
    return f8(encrypt, salt, iv, data);
  }

  #cipherRtcp(header: Buffer, data: Buffer, index: number): Buffer {
    const { encrypt, salt } = this.#rtcp;
    const { cipher, keyBytes } = this.#suite;
    if (cipher === 'NULL') return data;
    if (cipher === 'CM') {
      const iv = this.#counterOf(salt, header.readUInt32BE(4), index);
      return createCipheriv(`aes-${keyBytes * 8}-ctr`, encrypt, iv).update(data);
    }
    const iv = Buffer.concat([Buffer.alloc(4), word(2 ** 31 + index), header]);
    return f8(encrypt, salt, iv, data);
  }

  get #gcmName(): 'aes-128-gcm' | 'aes-256-gcm' {
    return this.#suite.keyBytes === 16 ? 'aes-128-gcm' : 'aes-256-gcm';
  }

  /** RFC 7714 §8.1, §9.1. */
  #nonce(salt: Buffer, ssrc: number, index: number): Buffer {
    const nonce = Buffer.alloc(12);
    nonce.writeUInt32BE(ssrc, 2);
    nonce.writeUIntBE(index, 6, 6);
    return xor(nonce, salt);
  }

  #seal(keys: SessionKeys, nonce: Buffer, known: Buffer, data: Buffer): Buffer {
    const cipher = createCipheriv(this.#gcmName, keys.encrypt, nonce).setAAD(known);
    return Buffer.concat([cipher.update(data), cipher.final(), cipher.getAuthTag()]);
  }

  #open(keys: SessionKeys, nonce: Buffer, known: Buffer, sealed: Buffer): Buffer | null {
    const decipher = createDecipheriv(this.#gcmName, keys.encrypt, nonce, { authTagLength: 16 });
    decipher.setAAD(known).setAuthTag(sealed.subarray(-16));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
    } catch {
      return null;
    }
  }

  #tag(keys: SessionKeys, bytes: number, ...parts: readonly Buffer[]): Buffer {
    const hmac = createHmac('sha1', keys.authenticate).update(Buffer.concat(parts));
    return hmac.digest().subarray(0, bytes);
  }

  get #rtpTag(): number {
    return this.line.unauthenticatedRtp ? 0 : this.#suite.tagBytes;
  }

  protect(rtp: Buffer): Buffer {
    const ssrc = rtp.readUInt32BE(8);
    const index = this.#indexOf(ssrc, rtp.readUInt16BE(2));
    this.#highest.set(ssrc, Math.max(index, this.#highest.get(ssrc) ?? 0));
    const [header, data] = [rtp.subarray(0, 12), rtp.subarray(12)];
    if (this.#suite.cipher === 'GCM') {
      const nonce = this.#nonce(this.#rtp.salt, ssrc, index);
      return Buffer.concat([header, this.#seal(this.#rtp, nonce, header, data), this.#mki]);
    }
    const packet = Buffer.concat([header, this.#cipherRtp(header, data, index)]);
    const tag = this.#tag(this.#rtp, this.#rtpTag, packet, word(split(index)[0]));
    return Buffer.concat([packet, this.#mki, tag]);
  }

  unprotect(srtp: Buffer): Read {
    if (srtp.length < 12) return null;
    const ssrc = srtp.readUInt32BE(8);
    const index = this.#indexOf(ssrc, srtp.readUInt16BE(2));
    const data = this.#readRtp(srtp, ssrc, index);
    if (data === null) return null;
    const name = `${ssrc}/${index}`;
    if (this.#seen.has(name)) return 'repeated';
    this.#seen.add(name);
    this.#highest.set(ssrc, Math.max(index, this.#highest.get(ssrc) ?? 0));
    return Buffer.concat([srtp.subarray(0, 12), data]);
  }

  #readRtp(srtp: Buffer, ssrc: number, index: number): Buffer | null {
    const header = srtp.subarray(0, 12);
    const isGcm = this.#suite.cipher === 'GCM';
    const end = srtp.length - this.#mki.length - (isGcm ? 0 : this.#rtpTag);
    if (end < (isGcm ? 28 : 12)) return null;
    if (!srtp.subarray(end, end + this.#mki.length).equals(this.#mki)) return null;
    if (isGcm) {
      const nonce = this.#nonce(this.#rtp.salt, ssrc, index);
      return this.#open(this.#rtp, nonce, header, srtp.subarray(12, end));
    }
    const tag = this.#tag(this.#rtp, this.#rtpTag, srtp.subarray(0, end), word(split(index)[0]));
    if (!srtp.subarray(end + this.#mki.length).equals(tag)) return null;
    return this.#cipherRtp(header, srtp.subarray(12, end), index);
  }

  protectRtcp(rtcp: Buffer): Buffer {
    const index = (this.#sent += 1);
    const [header, data] = [rtcp.subarray(0, 8), rtcp.subarray(8)];
    const isGcm = this.#suite.cipher === 'GCM';
    const isEncrypted = !this.line.unencryptedRtcp && (isGcm || this.#suite.cipher !== 'NULL');
    const trailer = word((isEncrypted ? 2 ** 31 : 0) + index);
    if (isGcm) {
      const nonce = this.#nonce(this.#rtcp.salt, header.readUInt32BE(4), index);
      const [known, secret] = isEncrypted ? [header, data] : [rtcp, Buffer.alloc(0)];
      const sealed = this.#seal(this.#rtcp, nonce, Buffer.concat([known, trailer]), secret);
      return Buffer.concat([known, sealed, trailer, this.#mki]);
    }
    const body = isEncrypted ? this.#cipherRtcp(header, data, index) : data;
    const packet = Buffer.concat([header, body, trailer]);
    return Buffer.concat([packet, this.#mki, this.#tag(this.#rtcp, controlTag, packet)]);
  }

  unprotectRtcp(srtcp: Buffer): Read {
    const isGcm = this.#suite.cipher === 'GCM';
    const end = srtcp.length - this.#mki.length - (isGcm ? 0 : controlTag);
    if (end < (isGcm ? 28 : 12)) return null;
    if (!srtcp.subarray(end, end + this.#mki.length).equals(this.#mki)) return null;
    const [header, trailer] = [srtcp.subarray(0, 8), srtcp.subarray(end - 4, end)];
    const [isEncrypted, index] = [
      trailer.readUInt32BE() >= 2 ** 31,
      trailer.readUInt32BE() % 2 ** 31,
    ];
    const ssrc = header.readUInt32BE(4);
    let rtcp: Buffer;
    if (isGcm) {
      const at = isEncrypted ? 8 : end - 20;
      const nonce = this.#nonce(this.#rtcp.salt, ssrc, index);
      const known = Buffer.concat([srtcp.subarray(0, at), trailer]);
      const data = this.#open(this.#rtcp, nonce, known, srtcp.subarray(at, end - 4));
      if (data === null) return null;
      rtcp = Buffer.concat([srtcp.subarray(0, at), data]);
    } else {
      const tag = this.#tag(this.#rtcp, controlTag, srtcp.subarray(0, end));
      if (!srtcp.subarray(-controlTag).equals(tag)) return null;
      const data = srtcp.subarray(8, end - 4);
      rtcp = Buffer.concat([header, isEncrypted ? this.#cipherRtcp(header, data, index) : data]);
    }
    if (index <= (this.#reports.get(ssrc) ?? -1)) return 'repeated';
    this.#reports.set(ssrc, index);
    return rtcp;
  }
}
