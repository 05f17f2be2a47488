/** Bit numbers of stored flags (redis-layout.md §6.10). */
import type { Media, MediaFlag, SharedFlag, StreamFlag } from '../media/call-state.js';
import {
  directionOfFlags,
  noIce,
  noIceControlling,
  receivesFrom,
  sendsTo,
  type DtlsSetup,
  type MediaDirection,
  type MediaIce,
  type SecurityMode,
} from '../media/media-attributes.js';

/**
 * The layouts (redis-layout.md §6); JSON and bencode share the current one. That of 12.5 is the current one
 * in what is said of medias and by flags, and 10.5's in its units and encodings.
 */
export type Layout = '10.5' | '12.5' | 'current';

/** Everything that has a bit in `media_flags`: the marks of a media, and what is a field of it in the model. */
export type MediaBit =
  | MediaFlag
  | SharedFlag
  | 'dtls'
  | 'sdes'
  | 'ice-controlling'
  | 'ice-lite-self'
  | 'end-of-candidates'
  | 'ice2';

const sharedBits: readonly (readonly [SharedFlag, number])[] = [
  ['implicit-rtcp', 0],
  ['asymmetric', 1],
  ['send', 2],
  ['recv', 3],
  ['rtcp-mux', 4],
  ['setup-active', 5],
  ['setup-passive', 6],
  ['ice', 7],
  ['strict-source', 8],
  ['media-handover', 9],
  ['trickle-ice', 10],
  ['ice-lite-peer', 11],
  ['unidirectional', 12],
  ['rtcp-fb', 13],
];

const sharedBitsCurrent: readonly (readonly [SharedFlag, number])[] = [
  ['legacy-osrtp', 14],
  ['legacy-osrtp-reverse', 15],
];

const streamBits: readonly (readonly [StreamFlag, number])[] = [
  ['rtp', 16],
  ['rtcp', 17],
  ['fallback-rtcp', 18],
  ['received', 19],
  ['filled', 20],
  ['no-kernel-support', 23],
  ['fingerprint-verified', 25],
  ['zero-address', 26],
  ['pierce-nat', 27],
  ['nat-wait', 28],
];

const mediaBits: readonly (readonly [MediaBit, number])[] = [
  ['initialized', 16],
  ['rtcp-mux-override', 17],
  ['dtls', 18],
  ['sdes', 19],
  ['passthrough', 20],
  ['ice-controlling', 21],
  ['loop-check', 22],
  ['ptime-override', 24],
  ['generator', 25],
  ['ice-lite-self', 26],
  ['rtcp-generator', 27],
  ['echo', 28],
  ['blackhole', 29],
];

const mediaBitsCurrent: readonly (readonly [MediaBit, number])[] = [
  ['reorder-forced', 23],
  ['end-of-candidates', 30],
  ['audio-player', 31],
  ['transcoding', 32],
  ['block-egress', 33],
  ['fake-sendrecv', 34],
  ['real-sendonly', 35],
  ['select-pt', 36],
  ['recrypt', 37],
  ['public', 38],
  ['extmap-short', 39],
  ['bundle-only', 40],
  ['audio-player-implicit', 41],
  ['ice2', 42],
];

/** What a set of flags looks like in a stored value. */
export interface StoredFlags {
  /** Decimal. */
  readonly bits: string;
  /** Names of the flags that have no bit in the layout, separated by spaces. */
  readonly others: string;
}

/** A flag field that was read. */
export interface DecodedFlags<F extends string> {
  readonly flags: ReadonlySet<F>;
  /** The bits without a name in decimal, '' if there are none. */
  readonly unknown: string;
}

/** Bounds of the shared sets, whatever is stored. */
const maxShared = 1000;
const maxSharedKey = 200;

/** Numbers up to here are exact and their bits can be tested without BigInt. */
const maxPlainBits = 0x7fff_ffff;

/** The bits of one flag field in one layout. */
export class FlagTable<F extends string> {
  readonly #bitOf: ReadonlyMap<string, bigint>;
  readonly #numberOf: ReadonlyMap<string, number>;
  readonly #known: bigint;
  /** Calls have few different sets: they share them. */
  readonly #decoded = new Map<string, DecodedFlags<F>>();

  constructor(
    bits: readonly (readonly [F, number])[],
    /** Every flag of the model, with or without a bit here. */
    readonly names: ReadonlySet<F>,
  ) {
    this.#bitOf = new Map(bits.map(([flag, bit]) => [flag, 1n << BigInt(bit)]));
    this.#numberOf = new Map(
      bits.filter(([, bit]) => bit < 31).map(([flag, bit]) => [flag, 2 ** bit]),
    );
    this.#known = [...this.#bitOf.values()].reduce((all, bit) => all | bit, 0n);
  }

  /** @param unknown decimal bits without a name here that were there when the value was read. */
  encode(flags: Iterable<F>, unknown: string | undefined): StoredFlags {
    let low = 0;
    let high = 0n;
    let others = '';
    for (const flag of flags) {
      const number = this.#numberOf.get(flag);
      if (number !== undefined) {
        low += number;
        continue;
      }
      const bit = this.#bitOf.get(flag);
      if (bit !== undefined) high |= bit;
      else others += others === '' ? flag : ` ${flag}`;
    }
    if (unknown !== undefined) high |= parseBits(unknown) ?? 0n;
    return { bits: high === 0n ? String(low) : String(high | BigInt(low)), others };
  }

  /**
   * @param bits decimal, as stored.
   * @param others `StoredFlags.others`; names that the model does not know are ignored.
   * @returns null if `bits` is not a number; `unknown` are the bits without a name ('' if none).
   */
  decode(bits: string, others: string): DecodedFlags<F> | null {
    const key = `${bits} ${others}`;
    const known = this.#decoded.get(key);
    if (known !== undefined) return known;
    const decoded = this.#decode(bits, others);
    if (decoded !== null && this.#decoded.size < maxShared && key.length < maxSharedKey) {
      this.#decoded.set(key, decoded);
    }
    return decoded;
  }

  #decode(bits: string, others: string): DecodedFlags<F> | null {
    const value = parseBits(bits);
    if (value === null) return null;
    const flags = new Set<F>();
    const low = value <= BigInt(maxPlainBits) ? Number(value) : null;
    for (const name of this.names) {
      const number = this.#numberOf.get(name);
      const isSet =
        low !== null
          ? number !== undefined && (low & number) !== 0
          : (value & (this.#bitOf.get(name) ?? 0n)) !== 0n;
      if (isSet) flags.add(name);
    }
    if (others !== '') {
      for (const name of this.names) {
        if (!this.#bitOf.has(name) && ` ${others} `.includes(` ${name} `)) flags.add(name);
      }
    }
    const unknown = value & ~this.#known;
    return { flags, unknown: unknown === 0n ? '' : String(unknown) };
  }
}

/** An unsigned number of at most 64 bits; null for anything else. */
export function parseBits(text: string): bigint | null {
  if (!/^[0-9]{1,20}$/.test(text)) return null;
  const value = BigInt(text);
  return value < 1n << 64n ? value : null;
}

const streamFlagNames: ReadonlySet<StreamFlag> = new Set<StreamFlag>([
  ...[...sharedBits, ...sharedBitsCurrent].map(([flag]) => flag),
  ...streamBits.map(([flag]) => flag),
  'confirmed',
  'kernelized',
]);

const mediaBitNames: ReadonlySet<MediaBit> = new Set<MediaBit>([
  ...[...sharedBits, ...sharedBitsCurrent].map(([flag]) => flag),
  ...mediaBits.map(([flag]) => flag),
  ...mediaBitsCurrent.map(([flag]) => flag),
  'transcode',
  ...(['left-out', 'rtcp-mux-offered', 'rtcp-mux-settled', 'dtls-interrupted'] as const),
  ...(['dtls-renewed', 'fir-alone', 'ice-restarted'] as const),
]);

/** `ps_flags`. */
export const streamFlagTables: Readonly<Record<Layout, FlagTable<StreamFlag>>> = {
  '10.5': new FlagTable<StreamFlag>(
    [...sharedBits, ...streamBits, ['confirmed', 21], ['kernelized', 22]],
    streamFlagNames,
  ),
  '12.5': new FlagTable<StreamFlag>([...sharedBits, ...streamBits], streamFlagNames),
  current: new FlagTable<StreamFlag>(
    [...sharedBits, ...sharedBitsCurrent, ...streamBits],
    streamFlagNames,
  ),
};

/** `media_flags`. */
export const mediaFlagTables: Readonly<Record<Layout, FlagTable<MediaBit>>> = {
  '10.5': new FlagTable<MediaBit>([...sharedBits, ...mediaBits, ['transcode', 23]], mediaBitNames),
  // Bits that 12.5 was not seen to set are left alone.
  '12.5': new FlagTable<MediaBit>(
    [...sharedBits, ...mediaBits, ['transcoding', 32]],
    mediaBitNames,
  ),
  current: new FlagTable<MediaBit>(
    [...sharedBits, ...sharedBitsCurrent, ...mediaBits, ...mediaBitsCurrent],
    mediaBitNames,
  ),
};

/** Bits of `ml_flags` and `call_flags` that the model knows; the others are carried. */
export const participantBits = { blockMedia: 1n << 23n, silenceMedia: 1n << 24n } as const;
/** In the current layout only. */
export const finalResponseBit = 1n << 21n;
export const callBits = {
  dropTraffic: 1n << 23n,
  foreign: 1n << 24n,
  blockMedia: 1n << 28n,
  silenceMedia: 1n << 29n,
} as const;

/** What the bits of a media say that is a field of it. */
export interface MediaModes {
  readonly flags: ReadonlySet<MediaFlag>;
  readonly direction: MediaDirection;
  readonly rtcpMux: boolean;
  readonly mode: SecurityMode;
  readonly setup: DtlsSetup | null;
  /** Without credentials and candidates. */
  readonly ice: MediaIce;
}

const modeBits: Readonly<Record<SecurityMode, readonly MediaBit[]>> = {
  plain: [],
  SDES: ['sdes'],
  DTLS: ['dtls'],
  'SDES or DTLS': ['dtls', 'sdes'],
};

const setupBits: Readonly<Record<DtlsSetup, readonly MediaBit[]>> = {
  active: ['setup-active'],
  passive: ['setup-passive'],
  actpass: ['setup-active', 'setup-passive'],
};

const iceBits: readonly (readonly [(ice: MediaIce) => boolean, MediaBit])[] = [
  [({ enabled }) => enabled, 'ice'],
  [({ trickle }) => trickle, 'trickle-ice'],
  [({ peerIsLite }) => peerIsLite, 'ice-lite-peer'],
  [({ controlling }) => controlling, 'ice-controlling'],
  [({ lite }) => lite, 'ice-lite-self'],
  [({ endOfCandidates }) => endOfCandidates, 'end-of-candidates'],
  [({ ice2 }) => ice2, 'ice2'],
];

/** The bits of a media: those of its fields, then its marks. */
export function mediaBitsOf({ flags, direction, rtcpMux, security, ice }: Media): MediaBit[] {
  const bits: MediaBit[] = [];
  if (security.mode !== 'plain') bits.push(...modeBits[security.mode]);
  if (sendsTo(direction)) bits.push('send');
  if (receivesFrom(direction)) bits.push('recv');
  if (rtcpMux) bits.push('rtcp-mux');
  if (security.setup !== null) bits.push(...setupBits[security.setup]);
  if (ice === noIceControlling) bits.push('ice-controlling');
  else if (ice !== noIce) for (const [applies, bit] of iceBits) if (applies(ice)) bits.push(bit);
  for (const flag of flags) bits.push(flag);
  return bits;
}

/** A bit that is a field of the media in the model. */
const fieldBits: ReadonlySet<MediaBit> = new Set<MediaBit>([
  ...(['send', 'recv', 'rtcp-mux', 'setup-active', 'setup-passive', 'dtls', 'sdes'] as const),
  ...iceBits.map(([, bit]) => bit),
]);

const isMark = (bit: MediaBit): bit is MediaFlag => !fieldBits.has(bit);

function setupOf(bits: ReadonlySet<MediaBit>): DtlsSetup | null {
  if (bits.has('setup-active')) return bits.has('setup-passive') ? 'actpass' : 'active';
  return bits.has('setup-passive') ? 'passive' : null;
}

function modeOf(bits: ReadonlySet<MediaBit>): SecurityMode {
  if (bits.has('sdes')) return bits.has('dtls') ? 'SDES or DTLS' : 'SDES';
  return bits.has('dtls') ? 'DTLS' : 'plain';
}

function iceOf(bits: ReadonlySet<MediaBit>): MediaIce {
  const ice: MediaIce = {
    ...noIce,
    enabled: bits.has('ice'),
    trickle: bits.has('trickle-ice'),
    peerIsLite: bits.has('ice-lite-peer'),
    controlling: bits.has('ice-controlling'),
    lite: bits.has('ice-lite-self'),
    endOfCandidates: bits.has('end-of-candidates'),
    ice2: bits.has('ice2'),
  };
  const shared = ice.controlling ? noIceControlling : noIce;
  return iceBits.every(([applies]) => applies(ice) === applies(shared)) ? shared : ice;
}

/** `FlagTable.decode` shares its sets, and with them go these. */
const modesOfBits = new WeakMap<ReadonlySet<MediaBit>, MediaModes>();

/** The inverse of `mediaBitsOf`. */
export function mediaModesOf(bits: ReadonlySet<MediaBit>): MediaModes {
  const known = modesOfBits.get(bits);
  if (known !== undefined) return known;
  const modes: MediaModes = {
    flags: new Set([...bits].filter(isMark)),
    direction: directionOfFlags(bits.has('send'), bits.has('recv')),
    rtcpMux: bits.has('rtcp-mux'),
    mode: modeOf(bits),
    setup: setupOf(bits),
    ice: iceOf(bits),
  };
  modesOfBits.set(bits, modes);
  return modes;
}
