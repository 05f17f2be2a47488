/**
 * What an m= section agreed on besides its codecs: direction, security, ICE. Values to write, in the
 * model's own terms; the Redis layout's bits and fields are derived from them (`redis-store/flags.ts`,
 * `redis-store/security-fields.ts`).
 *
 * SRTP reads `SrtpKeys` and `SdesCrypto`, DTLS `MediaSecurity`, ICE `MediaIce`. Each of these objects is
 * immutable and replaced as a whole; medias without them share one.
 */
import type { Endpoint } from './endpoint.js';

/** Seen from the relay: `sendonly`: it sends to this side and takes nothing from it. */
export type MediaDirection = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

export function directionOfFlags(sends: boolean, receives: boolean): MediaDirection {
  if (sends) return receives ? 'sendrecv' : 'sendonly';
  return receives ? 'recvonly' : 'inactive';
}

/** Whether the relay sends to the side of a media. */
export const sendsTo = (direction: MediaDirection): boolean =>
  direction === 'sendrecv' || direction === 'sendonly';

/** Whether the relay takes what the side of a media sends. */
export const receivesFrom = (direction: MediaDirection): boolean =>
  direction === 'sendrecv' || direction === 'recvonly';

/**
 * What counts for packets: an offer that holds may be refused, and nobody tells the relay so. What it takes away goes
 * on until it is answered; what it adds begins at once.
 */
export function directionInUse({
  direction,
  agreedDirection,
}: {
  readonly direction: MediaDirection;
  readonly agreedDirection: MediaDirection | null;
}): MediaDirection {
  if (agreedDirection === null) return direction;
  return directionOfFlags(
    sendsTo(direction) || sendsTo(agreedDirection),
    receivesFrom(direction) || receivesFrom(agreedDirection),
  );
}

/** The parameters of one SRTP direction (RFC 4568 §6). Keys are byte strings. */
export interface SrtpKeys {
  /** Name of RFC 4568 or 7714, `AES_CM_128_HMAC_SHA1_80`. Stored ones may have any name. */
  readonly suite: string;
  /** As long as the suite's; as stored where the suite is unknown. */
  readonly masterKey: string;
  readonly masterSalt: string;
  /** RFC 3711 §9.7; null: none. Its length is that in the packets. */
  readonly mki: string | null;
  readonly unencryptedRtp: boolean;
  readonly unencryptedRtcp: boolean;
  readonly unauthenticatedRtp: boolean;
}

/** One a=crypto line (RFC 4568 §9.1). */
export interface SdesCrypto extends SrtpKeys {
  readonly tag: number;
  /** Packets the key may be used for, as written (`2^31`, `1048576`); null: not said. */
  readonly lifetime: string | null;
}

/**
 * What is in use. `SDES or DTLS`: both are offered and neither is chosen yet. What the m= line says is
 * `Media.protocol`.
 */
export type SecurityMode = 'plain' | 'SDES' | 'DTLS' | 'SDES or DTLS';

/** The relay's part in the handshake with this side (RFC 5763 §5); null: not said. */
export type DtlsSetup = 'active' | 'passive' | 'actpass';

/** a=fingerprint (RFC 8122 §5). */
export interface Fingerprint {
  /** `sha-256` */
  readonly hash: string;
  /** As a byte string. */
  readonly digest: string;
}

/** The certificate that this side was shown the fingerprint of; with its key it outlives the process. */
export interface DtlsIdentity {
  /** PEM. */
  readonly certificate: string;
  /** PEM (PKCS #8). */
  readonly privateKey: string;
}

export interface MediaSecurity {
  readonly mode: SecurityMode;
  readonly setup: DtlsSetup | null;
  /** What this side sends with: its a=crypto lines, those that count first. */
  readonly sdesIn: readonly SdesCrypto[];
  /** What the relay sends to this side with. */
  readonly sdesOut: readonly SdesCrypto[];
  /** The peer's. */
  readonly fingerprint: Fingerprint | null;
  /** null: none was needed, or it is not known (a call that rtpengine stored). */
  readonly identity: DtlsIdentity | null;
  /** The peer's a=tls-id (RFC 8842 §4); null: none. */
  readonly tlsId: string | null;
  /** Counts the associations that were wanted. */
  readonly generation: number;
  /** Of the certificate that the peer has shown in it, see `digestsOf`; '' none, or not known. */
  readonly digests: string;
}

export const plainMedia: MediaSecurity = Object.freeze({
  mode: 'plain',
  setup: null,
  sdesIn: Object.freeze([]),
  sdesOut: Object.freeze([]),
  fingerprint: null,
  identity: null,
  tlsId: null,
  generation: 0,
  digests: '',
});

/** RFC 8839 §5.4. */
export interface IceCredentials {
  readonly ufrag: string;
  readonly pwd: string;
}

/** a=candidate (RFC 8839 §5.1), UDP. */
export interface IceCandidate {
  readonly foundation: string;
  readonly component: number;
  readonly priority: number;
  readonly endpoint: Endpoint;
  readonly type: 'host' | 'srflx' | 'prflx' | 'relay';
  readonly related: Endpoint | null;
}

export interface MediaIce {
  /** ICE is spoken with this side. */
  readonly enabled: boolean;
  /** The relay's role (RFC 8445 §6.1.1). */
  readonly controlling: boolean;
  readonly trickle: boolean;
  /** The peer is a lite agent. */
  readonly peerIsLite: boolean;
  /** The relay told this side that it is one. */
  readonly lite: boolean;
  readonly endOfCandidates: boolean;
  /** a=ice-options:ice2 (RFC 8445 §10). */
  readonly ice2: boolean;
  readonly local: IceCredentials | null;
  readonly remote: IceCredentials | null;
  /** 64 bits in decimal; '' until there is one. */
  readonly tieBreaker: string;
  readonly remoteCandidates: readonly IceCandidate[];
}

export const noIce: MediaIce = Object.freeze({
  enabled: false,
  controlling: false,
  trickle: false,
  peerIsLite: false,
  lite: false,
  endOfCandidates: false,
  ice2: false,
  local: null,
  remote: null,
  tieBreaker: '',
  remoteCandidates: Object.freeze([]),
});

/** As `noIce` where the relay would be the controlling side: rtpengine notes it in plain calls, too. */
export const noIceControlling: MediaIce = Object.freeze({ ...noIce, controlling: true });

/** What a section shares with others of its side (RFC 9143). */
export interface MediaBundle {
  /** Of the groups of its side that of which it is, from 1; 0: none. */
  readonly group: number;
  /** Its place in the group, from 1. */
  readonly order: number;
  /** Id of the media whose transport it uses, its own where others use that; null: one for itself. */
  readonly carrier: number | null;
  /** An answer says so. Until then each section may still be on its own. */
  readonly agreed: boolean;
  /** Sources that its side has named (RFC 5576). */
  readonly ssrcs: readonly number[];
  /** Others that its packets have shown to be its own, the latest last. */
  readonly learned: readonly number[];
}

export const noBundle: MediaBundle = Object.freeze({
  group: 0,
  order: 0,
  carrier: null,
  agreed: false,
  ssrcs: Object.freeze([]),
  learned: Object.freeze([]),
});

/** a=extmap (RFC 8285 §5), as its side knows it. */
export interface HeaderExtension {
  readonly id: number;
  readonly uri: string;
  /** The other side has not declined it. */
  readonly inUse: boolean;
}
