/** Bit numbers of stored flags (redis-layout.md §6.10). */
import type { MediaFlag, SharedFlag, StreamFlag } from '../media/call-state.js';

/**
 * The layouts (redis-layout.md §6); JSON and bencode share the current one. That of 12.5 is the current one
 * in what is said of medias and by flags, and 10.5's in its units and encodings.
 */
export type Layout = '10.5' | '12.5' | 'current';

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

const mediaBits: readonly (readonly [MediaFlag, number])[] = [
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

const mediaBitsCurrent: readonly (readonly [MediaFlag, number])[] = [
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
  encode(flags: ReadonlySet<F>, unknown: string | undefined): StoredFlags {
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

const mediaFlagNames: ReadonlySet<MediaFlag> = new Set<MediaFlag>([
  ...[...sharedBits, ...sharedBitsCurrent].map(([flag]) => flag),
  ...mediaBits.map(([flag]) => flag),
  ...mediaBitsCurrent.map(([flag]) => flag),
  'transcode',
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
export const mediaFlagTables: Readonly<Record<Layout, FlagTable<MediaFlag>>> = {
  '10.5': new FlagTable<MediaFlag>(
    [...sharedBits, ...mediaBits, ['transcode', 23]],
    mediaFlagNames,
  ),
  // Bits that 12.5 was not seen to set are left alone.
  '12.5': new FlagTable<MediaFlag>(
    [...sharedBits, ...mediaBits, ['transcoding', 32]],
    mediaFlagNames,
  ),
  current: new FlagTable<MediaFlag>(
    [...sharedBits, ...sharedBitsCurrent, ...mediaBits, ...mediaBitsCurrent],
    mediaFlagNames,
  ),
};

/** Bits of `ml_flags` and `call_flags` that the model knows; the others are carried. */
export const participantBits = { blockMedia: 1n << 23n, silenceMedia: 1n << 24n } as const;
export const callBits = {
  dropTraffic: 1n << 23n,
  foreign: 1n << 24n,
  blockMedia: 1n << 28n,
  silenceMedia: 1n << 29n,
} as const;
