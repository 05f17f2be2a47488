/** The keys of a media in the terms of the stored value (`MediaSecurity`), and back. */
import type { Media } from '../call-state.js';
import {
  plainMedia,
  type MediaSecurity,
  type SdesCrypto,
  type SrtpKeys,
} from '../media-attributes.js';
import { keyBytes, mkiBytes, type CryptoLine } from './crypto-line.js';
import type { SdesState } from './negotiation.js';
import { srtpSuite, srtpSuites } from './suites.js';
import { isRtpProtocol, isSecureProtocol } from '../../sdp/view.js';

function cryptoOf(line: CryptoLine): SdesCrypto {
  const bytes = keyBytes(line);
  const { keyLength } = srtpSuites[line.suite];
  return {
    tag: line.tag,
    suite: line.suite,
    masterKey: bytes.toString('latin1', 0, keyLength),
    masterSalt: bytes.toString('latin1', keyLength),
    mki: line.mki === null ? null : mkiBytes(line.mki).toString('latin1'),
    unencryptedRtp: line.unencryptedSrtp,
    unencryptedRtcp: line.unencryptedSrtcp,
    unauthenticatedRtp: line.unauthenticatedSrtp,
    lifetime: null,
  };
}

/** Keys as a line, which has them in another form; null as `lineOf`. */
export const lineOfKeys = (keys: SrtpKeys | null): CryptoLine | null =>
  keys === null ? null : lineOf({ ...keys, tag: 0, lifetime: null });

/** null: a suite that is unknown here, or a key of another length. */
function lineOf(crypto: SdesCrypto): CryptoLine | null {
  const suite = srtpSuite(crypto.suite);
  if (suite === null) return null;
  const { keyLength, saltLength } = srtpSuites[suite];
  const { masterKey, masterSalt, mki } = crypto;
  if (masterKey.length !== keyLength || masterSalt.length !== saltLength) return null;
  const key = Buffer.from(masterKey + masterSalt, 'latin1').toString('base64');
  const number = Buffer.from(mki ?? '', 'latin1').toString('hex');
  return {
    tag: crypto.tag,
    suite,
    key: key.replace(/=+$/, ''),
    mki:
      mki === null || mki === '' || mki.length > 128
        ? null
        : { value: BigInt(`0x${number}`).toString(), length: mki.length },
    unencryptedSrtp: crypto.unencryptedRtp,
    unencryptedSrtcp: crypto.unencryptedRtcp,
    unauthenticatedSrtp: crypto.unauthenticatedRtp,
  };
}

/** What of a line counts for packets. */
export function keysOfLine(line: CryptoLine): SrtpKeys {
  const { suite, masterKey, masterSalt, mki, ...rest } = cryptoOf(line);
  const { unencryptedRtp, unencryptedRtcp, unauthenticatedRtp } = rest;
  return {
    ...{ suite, masterKey, masterSalt, mki },
    ...{ unencryptedRtp, unencryptedRtcp, unauthenticatedRtp },
  };
}

const listed = (chosen: CryptoLine | null, others: readonly CryptoLine[]): readonly SdesCrypto[] =>
  [...(chosen === null ? [] : [chosen]), ...others].map(cryptoOf);

/** `security` with the keys of `sdes`: those in use first, then those that were offered. */
export function securityOf(security: MediaSecurity, sdes: SdesState | null): MediaSecurity {
  const dtls = security.mode === 'DTLS' || security.mode === 'SDES or DTLS';
  if (sdes === null) {
    if (security.mode !== 'SDES' && security.mode !== 'SDES or DTLS') return security;
    const plain: MediaSecurity = {
      ...security,
      mode: dtls ? 'DTLS' : 'plain',
      sdesIn: [],
      sdesOut: [],
    };
    const isPlain = plain.setup === null && plain.fingerprint === null && plain.identity === null;
    return isPlain ? plainMedia : plain;
  }
  return {
    ...security,
    mode: dtls ? 'SDES or DTLS' : 'SDES',
    sdesIn: listed(sdes.receive, sdes.offered),
    sdesOut: listed(sdes.send, sdes.own),
  };
}

/** What the lists do not tell: which of them begin with a key in use. null: it is as they say. */
export function sdesMarks({ sdes, security, protocol }: Media): string | null {
  if (sdes === null) return null;
  const plainly = sdesOf(security, protocol, null);
  if (JSON.stringify(plainly) === JSON.stringify(sdes)) return null;
  return [
    sdes.receive === null ? '' : 'r',
    sdes.send === null ? '' : 's',
    sdes.required ? 'q' : '',
    sdes.passthrough ? 'p' : '',
    '.',
  ].join('');
}

const linesOf = (cryptos: readonly SdesCrypto[]): readonly CryptoLine[] =>
  cryptos.map(lineOf).filter((line) => line !== null);

/** @param marks null: a call that rtpengine stored, whose first lines are in use. */
export function sdesOf(
  security: MediaSecurity,
  protocol: string,
  marks: string | null,
): SdesState | null {
  const { mode } = security;
  if ((mode !== 'SDES' && mode !== 'SDES or DTLS') || !isRtpProtocol(protocol)) return null;
  const theirs = linesOf(security.sdesIn);
  const ours = linesOf(security.sdesOut);
  if (marks === null) {
    return {
      offered: theirs,
      own: ours,
      receive: theirs[0] ?? null,
      send: ours[0] ?? null,
      passthrough: false,
      required: isSecureProtocol(protocol),
    };
  }
  const [receives, sends] = [marks.includes('r'), marks.includes('s')];
  return {
    offered: receives ? theirs.slice(1) : theirs,
    own: sends ? ours.slice(1) : ours,
    receive: receives ? (theirs[0] ?? null) : null,
    send: sends ? (ours[0] ?? null) : null,
    passthrough: marks.includes('p'),
    required: marks.includes('q'),
  };
}

/** For the stored sockets and streams. */
export const storedKeys = (line: CryptoLine | null | undefined): SrtpKeys | null =>
  line === null || line === undefined ? null : cryptoOf(line);
