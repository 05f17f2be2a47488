/** One a=crypto line (RFC 4568 §9): read, and written as rtpengine writes it (sdp-rules.md §6). */
import { srtpSuite, srtpSuites, type SrtpSuite } from './suites.js';

/** RFC 4568 §6.3. */
export interface SrtpParameters {
  readonly unencryptedSrtp: boolean;
  readonly unencryptedSrtcp: boolean;
  readonly unauthenticatedSrtp: boolean;
}

/** Master key identifier: a decimal number, and the bytes that it takes in each packet, 1 to 128. */
export interface MasterKeyIdentifier {
  readonly value: string;
  readonly length: number;
}

export interface CryptoLine extends SrtpParameters {
  readonly tag: number;
  readonly suite: SrtpSuite;
  /** Master key and salt in base64 without padding. */
  readonly key: string;
  readonly mki: MasterKeyIdentifier | null;
}

export const sameParameters = (a: SrtpParameters, b: SrtpParameters): boolean =>
  a.unencryptedSrtp === b.unencryptedSrtp &&
  a.unencryptedSrtcp === b.unencryptedSrtcp &&
  a.unauthenticatedSrtp === b.unauthenticatedSrtp;

/** The same of lines that differ in nothing but their tags. */
export const lineKey = (line: CryptoLine | null): string =>
  line === null ? '' : JSON.stringify({ ...line, tag: 0 });

export const keyBytes = (line: CryptoLine): Buffer => Buffer.from(line.key, 'base64');

/** Big-endian, as it stands in packets. */
export function mkiBytes(mki: MasterKeyIdentifier | null): Buffer {
  if (mki === null) return Buffer.alloc(0);
  const digits = BigInt(mki.value).toString(16);
  return Buffer.from(digits.padStart(mki.length * 2, '0').slice(-mki.length * 2), 'hex');
}

const unpadded = (text: string): string => text.replace(/=+$/, '');

/** A fresh key for a suite; `random` gives so many bytes. */
export function newKey(suite: SrtpSuite, random: (bytes: number) => Buffer): string {
  const { keyLength, saltLength } = srtpSuites[suite];
  return unpadded(random(keyLength + saltLength).toString('base64'));
}

const linePattern = /^(\d{1,9})[ \t]+([A-Za-z0-9_]+)[ \t]+(\S+)[ \t]*(.*)$/;
/** Key, then lifetime and master key identifier, either of which may be missing. */
const keyPattern =
  /^inline:([A-Za-z0-9+/]+={0,2})(\|(?:2\^)?\d{1,20})?(?:\|(\d{1,310}):(\d{1,3}))?$/i;

const maxMkiLength = 128;

function readMki(value: string, length: number): MasterKeyIdentifier | null {
  if (length < 1 || length > maxMkiLength) return null;
  const number = BigInt(value);
  return number >> BigInt(8 * length) === 0n ? { value: number.toString(), length } : null;
}

/**
 * What a line says; a string: why it cannot be used. Its lifetime does not matter here. Session parameters
 * that nobody has heard of have no effect (10.5 seen).
 */
export function readCryptoLine(text: string): CryptoLine | string {
  const [, tag = '', name = '', keys = '', rest = ''] = linePattern.exec(text) ?? [];
  if (tag === '') return 'it has another form';
  const suite = srtpSuite(name);
  if (suite === null) return `the suite ${name.slice(0, 64)} is unknown`;
  const [, key = '', , mkiValue, mkiLength] = keyPattern.exec(keys) ?? [];
  if (key === '') return keys.includes(';') ? 'it has several keys' : 'its key cannot be read';
  const { keyLength, saltLength } = srtpSuites[suite];
  const bytes = Buffer.from(key, 'base64');
  if (bytes.length !== keyLength + saltLength) {
    return `its key has ${bytes.length} bytes, not ${keyLength + saltLength}`;
  }
  const mki = mkiValue === undefined ? null : readMki(mkiValue, Number(mkiLength));
  if (mkiValue !== undefined && mki === null) return 'its MKI cannot be read';
  const words = new Set(rest.toUpperCase().split(/\s+/));
  if ([...words].some((word) => /^KDR=0*[1-9]/.test(word))) return 'it derives keys anew (KDR)';
  return {
    tag: Number(tag),
    suite,
    key: unpadded(bytes.toString('base64')),
    mki,
    unencryptedSrtp: words.has('UNENCRYPTED_SRTP'),
    unencryptedSrtcp: words.has('UNENCRYPTED_SRTCP'),
    unauthenticatedSrtp: words.has('UNAUTHENTICATED_SRTP'),
  };
}

export interface LineForm {
  /** Keys end in `=` where base64 does. */
  readonly pad: boolean;
  /** With `|2^31`. */
  readonly lifetime: boolean;
}

/** The value of the attribute. */
export function cryptoLineText(line: CryptoLine, { pad, lifetime }: LineForm): string {
  const key = pad ? keyBytes(line).toString('base64') : line.key;
  return [
    `${line.tag} ${line.suite} inline:${key}`,
    lifetime ? '|2^31' : '',
    line.mki === null ? '' : `|${line.mki.value}:${line.mki.length}`,
    line.unencryptedSrtp ? ' UNENCRYPTED_SRTP' : '',
    line.unencryptedSrtcp ? ' UNENCRYPTED_SRTCP' : '',
    line.unauthenticatedSrtp ? ' UNAUTHENTICATED_SRTP' : '',
  ].join('');
}
