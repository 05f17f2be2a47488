/** Keys, fingerprints, certificates and ICE as fields of the stored entities (redis-layout.md §6.6, §6.7). */
import type { Endpoint, IceRoute, Media } from '../media/call-state.js';
import { canonicalAddress } from '../media/call-state.js';
import {
  plainMedia,
  type Fingerprint,
  type IceCandidate,
  type IceCredentials,
  type MediaIce,
  type MediaSecurity,
  type SdesCrypto,
  type SrtpKeys,
} from '../media/media-attributes.js';
import type { MediaModes } from './flags.js';
import type { Fields } from './fields.js';
import { extraFields, packList, unpackList } from './schema.js';
import { parseInteger, type FieldReader } from './stored-value.js';

/** Of the fixed buffers. */
const keyBytes = 32;
const saltBytes = 14;
const fingerprintBytes = 64;

/** Bytes of key and salt that the suites use (RFC 4568 §6.2, RFC 6188, RFC 7714). */
const suiteBytes: ReadonlyMap<string, readonly [number, number]> = new Map([
  ['AES_CM_128_HMAC_SHA1_80', [16, 14]],
  ['AES_CM_128_HMAC_SHA1_32', [16, 14]],
  ['AES_192_CM_HMAC_SHA1_80', [24, 14]],
  ['AES_192_CM_HMAC_SHA1_32', [24, 14]],
  ['AES_256_CM_HMAC_SHA1_80', [32, 14]],
  ['AES_256_CM_HMAC_SHA1_32', [32, 14]],
  ['AEAD_AES_128_GCM', [16, 12]],
  ['AEAD_AES_256_GCM', [32, 12]],
  ['F8_128_HMAC_SHA1_80', [16, 14]],
  ['F8_128_HMAC_SHA1_32', [16, 14]],
  ['NULL_HMAC_SHA1_80', [16, 14]],
  ['NULL_HMAC_SHA1_32', [16, 14]],
]);

/** Bytes of the digests (RFC 8122 §5). */
const digestBytes: ReadonlyMap<string, number> = new Map([
  ['md5', 16],
  ['sha-1', 20],
  ['sha-224', 28],
  ['sha-256', 32],
  ['sha-384', 48],
  ['sha-512', 64],
]);

const onlyZeros = /^\0*$/;

/** What of a stored buffer means something; the whole of it where that is not known. */
function unpadded(buffer: string, length: number | undefined, size: number): string {
  if (length === undefined || buffer.length !== size) return buffer;
  return onlyZeros.test(buffer.slice(length)) ? buffer.slice(0, length) : buffer;
}

/** How a form writes text and blobs; see `Form`. */
interface Writing {
  readonly text: (text: string) => string;
  readonly blob: (bytes: string) => string;
}

/** Writes `prefix-crypto_suite` and the others. */
export function putKeys(
  { text, blob }: Writing,
  fields: Fields,
  prefix: string,
  keys: SrtpKeys,
): void {
  const bit = (on: boolean): string => (on ? '1' : '0');
  fields.put(`${prefix}-crypto_suite`, text(keys.suite));
  fields.put(`${prefix}-master_key`, blob(keys.masterKey.padEnd(keyBytes, '\0')));
  fields.put(`${prefix}-master_salt`, blob(keys.masterSalt.padEnd(saltBytes, '\0')));
  fields.put(`${prefix}-unenc-srtp`, bit(keys.unencryptedRtp));
  fields.put(`${prefix}-unenc-srtcp`, bit(keys.unencryptedRtcp));
  fields.put(`${prefix}-unauth-srtp`, bit(keys.unauthenticatedRtp));
  if (keys.mki !== null) fields.put(`${prefix}-mki`, blob(keys.mki));
}

/** null where there is no suite. @throws RestoreError */
export function readKeys(fields: FieldReader, prefix: string): SrtpKeys | null {
  const suite = fields.optional(`${prefix}-crypto_suite`);
  if (suite === null) return null;
  const [keyLength, saltLength] = suiteBytes.get(suite) ?? [];
  return {
    suite,
    masterKey: unpadded(fields.text(`${prefix}-master_key`), keyLength, keyBytes),
    masterSalt: unpadded(fields.text(`${prefix}-master_salt`), saltLength, saltBytes),
    unencryptedRtp: fields.boolean(`${prefix}-unenc-srtp`),
    unencryptedRtcp: fields.boolean(`${prefix}-unenc-srtcp`),
    unauthenticatedRtp: fields.boolean(`${prefix}-unauth-srtp`),
    mki: fields.optional(`${prefix}-mki`),
  };
}

/** The first has no number, those after it count from 0. */
const cryptoPrefix = (name: string, at: number): string => (at === 0 ? name : `${name}-${at - 1}`);

const lifetimeField = (prefix: string): string => `${extraFields.lifetime}_${prefix}`;

function putCryptos(
  form: Writing,
  fields: Fields,
  name: string,
  list: readonly SdesCrypto[],
): void {
  list.forEach((crypto, at) => {
    const prefix = cryptoPrefix(name, at);
    fields.put(`${prefix}_tag`, String(crypto.tag));
    putKeys(form, fields, prefix, crypto);
    if (crypto.lifetime !== null) fields.put(lifetimeField(prefix), form.text(crypto.lifetime));
  });
}

/** a=crypto lines of one side; nobody has more. */
const maxCryptos = 64;

function readCryptos(fields: FieldReader, name: string): readonly SdesCrypto[] {
  const list: SdesCrypto[] = [];
  while (list.length < maxCryptos) {
    const prefix = cryptoPrefix(name, list.length);
    const keys = readKeys(fields, prefix);
    if (keys === null) break;
    const tag = fields.integer(`${prefix}_tag`, { min: 0, max: 0xffff_ffff, missing: 0 });
    list.push({ ...keys, tag, lifetime: fields.optional(lifetimeField(prefix)) });
  }
  return list.length === 0 ? plainMedia.sdesIn : list;
}

/** @param media whose mode and role are among its flags already. */
export function putSecurity(form: Writing, fields: Fields, { security }: Media): void {
  if (security === plainMedia) return;
  putCryptos(form, fields, 'sdes_in', security.sdesIn);
  putCryptos(form, fields, 'sdes_out', security.sdesOut);
  const { fingerprint, identity } = security;
  if (fingerprint !== null) {
    fields.put('hash_func', form.text(fingerprint.hash));
    fields.put('fingerprint', form.blob(fingerprint.digest.padEnd(fingerprintBytes, '\0')));
  }
  if (identity !== null) {
    const { generation, tlsId, digests } = security;
    const { certificate, privateKey } = identity;
    fields.put(
      extraFields.identity,
      packList([
        ...[certificate, privateKey, String(generation), tlsId ?? ''],
        ...(digests === '' ? [] : [Buffer.from(digests, 'latin1').toString('base64url')]),
      ]),
    );
  }
}

function readFingerprint(fields: FieldReader): Fingerprint | null {
  const hash = fields.optional('hash_func');
  if (hash === null) return null;
  const digest = fields.text('fingerprint');
  return { hash, digest: unpadded(digest, digestBytes.get(hash), fingerprintBytes) };
}

type Association = Pick<MediaSecurity, 'identity' | 'generation' | 'tlsId' | 'digests'>;

/** Values of before have the certificate and its key alone, or no digests. */
function readAssociation(fields: FieldReader): Association {
  const text = fields.optional(extraFields.identity);
  if (text === null) return { identity: null, generation: 0, tlsId: null, digests: '' };
  const [certificate, privateKey, count = '0', tlsId = '', digests = ''] = unpackList(text);
  const generation = parseInteger(count);
  if (certificate === undefined || privateKey === undefined)
    return fields.fail(extraFields.identity);
  if (generation === null || generation < 0 || generation > 0xffff_ffff)
    fields.fail(extraFields.identity);
  return {
    identity: { certificate, privateKey },
    generation,
    tlsId: tlsId === '' ? null : tlsId,
    digests: Buffer.from(digests, 'base64url').toString('latin1'),
  };
}

/** @throws RestoreError */
export function readSecurity(fields: FieldReader, { mode, setup }: MediaModes): MediaSecurity {
  const sdesIn = readCryptos(fields, 'sdes_in');
  const sdesOut = readCryptos(fields, 'sdes_out');
  const fingerprint = readFingerprint(fields);
  const association = readAssociation(fields);
  const { identity } = association;
  const isPlain = mode === 'plain' && setup === null && fingerprint === null && identity === null;
  if (isPlain && sdesIn.length === 0 && sdesOut.length === 0) return plainMedia;
  return { mode, setup, sdesIn, sdesOut, fingerprint, ...association };
}

/** Candidates of one media; browsers have a few dozen at most. */
const maxCandidates = 256;

const candidateTypes = ['host', 'srflx', 'prflx', 'relay'] as const;

const addressWords = (endpoint: Endpoint | null): readonly string[] =>
  endpoint === null ? [] : [endpoint.address, String(endpoint.port)];

/** `foundation component priority type address port [related-address related-port]` */
const candidateText = (candidate: IceCandidate): string =>
  [
    candidate.foundation,
    String(candidate.component),
    String(candidate.priority),
    candidate.type,
    ...addressWords(candidate.endpoint),
    ...addressWords(candidate.related),
  ].join(' ');

/** What rtpengine does not store of ICE; its marks are among the flags. */
export function putIce(fields: Fields, { ice }: Media): void {
  const { local, remote, tieBreaker, remoteCandidates } = ice;
  if (local === null && remote === null && tieBreaker === '' && remoteCandidates.length === 0)
    return;
  fields.put(
    extraFields.ice,
    packList([
      ...[local?.ufrag ?? '', local?.pwd ?? '', remote?.ufrag ?? '', remote?.pwd ?? '', tieBreaker],
      ...remoteCandidates.map(candidateText),
    ]),
  );
}

function readEndpoint(fields: FieldReader, name: string, address: string, port: string): Endpoint {
  const canonical = canonicalAddress(address);
  const number = parseInteger(port);
  if (canonical === null || number === null || number < 0 || number > 65535) fields.fail(name);
  return { address: canonical, port: number };
}

/** `local-address local-port priority takeovers` */
export const iceRouteText = ({ local, priority, takeovers }: IceRoute): string =>
  [...addressWords(local), String(priority), String(takeovers)].join(' ');

/** @throws RestoreError */
export function readIceRoute(fields: FieldReader): IceRoute | null {
  const text = fields.optional(extraFields.iceRoute);
  if (text === null) return null;
  const [address = '', port = '', ...counts] = text.split(' ');
  const [priority = -1, takeovers = -1] = counts.map((word) => parseInteger(word) ?? -1);
  if (priority < 0 || priority > 0xffff_ffff || takeovers < 0 || takeovers > 0xffff_ffff) {
    fields.fail(extraFields.iceRoute);
  }
  return { local: readEndpoint(fields, extraFields.iceRoute, address, port), priority, takeovers };
}

function readCandidate(fields: FieldReader, text: string): IceCandidate {
  const fail = (): never => fields.fail(extraFields.ice);
  const words = text.split(' ');
  const [foundation = '', component = '', priority = '', type, address = '', port = ''] = words;
  const [relatedAddress, relatedPort = ''] = words.slice(6);
  const number = (word: string): number => parseInteger(word) ?? fail();
  return {
    foundation,
    component: number(component),
    priority: number(priority),
    type: candidateTypes.find((known) => known === type) ?? fail(),
    endpoint: readEndpoint(fields, extraFields.ice, address, port),
    related:
      relatedAddress === undefined
        ? null
        : readEndpoint(fields, extraFields.ice, relatedAddress, relatedPort),
  };
}

const credentials = (ufrag = '', pwd = ''): IceCredentials | null =>
  ufrag === '' && pwd === '' ? null : { ufrag, pwd };

/** @throws RestoreError */
export function readIce(fields: FieldReader, marks: MediaIce): MediaIce {
  const text = fields.optional(extraFields.ice);
  if (text === null) return marks;
  const [ufrag, pwd, remoteUfrag, remotePwd, tieBreaker = '', ...candidates] = unpackList(text);
  if (candidates.length > maxCandidates || !/^[0-9]{0,20}$/.test(tieBreaker))
    fields.fail(extraFields.ice);
  return {
    ...marks,
    local: credentials(ufrag, pwd),
    remote: credentials(remoteUfrag, remotePwd),
    tieBreaker,
    remoteCandidates: candidates.map((candidate) => readCandidate(fields, candidate)),
  };
}
