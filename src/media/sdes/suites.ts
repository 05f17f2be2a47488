/** The crypto suites of SRTP (RFC 4568 §6.2, 6188, 7714; sdp-rules.md §6). */

/** In the order in which they are offered; the position is the number that the addon knows a suite by. */
export const srtpSuiteNames = [
  'AEAD_AES_256_GCM',
  'AEAD_AES_128_GCM',
  'AES_256_CM_HMAC_SHA1_80',
  'AES_256_CM_HMAC_SHA1_32',
  'AES_192_CM_HMAC_SHA1_80',
  'AES_192_CM_HMAC_SHA1_32',
  'AES_CM_128_HMAC_SHA1_80',
  'AES_CM_128_HMAC_SHA1_32',
  'F8_128_HMAC_SHA1_80',
  'F8_128_HMAC_SHA1_32',
  'NULL_HMAC_SHA1_80',
  'NULL_HMAC_SHA1_32',
] as const;

export type SrtpSuite = (typeof srtpSuiteNames)[number];

/** Lengths of the master key and salt, bytes. */
export interface SuiteTraits {
  readonly number: number;
  readonly keyLength: number;
  readonly saltLength: number;
}

const lengthsOf = (name: SrtpSuite): readonly [key: number, salt: number] => {
  if (name.startsWith('AEAD_AES_256')) return [32, 12];
  if (name.startsWith('AEAD_AES_128')) return [16, 12];
  if (name.startsWith('AES_256')) return [32, 14];
  if (name.startsWith('AES_192')) return [24, 14];
  return [16, 14];
};

export const srtpSuites: Readonly<Record<SrtpSuite, SuiteTraits>> = Object.fromEntries(
  srtpSuiteNames.map((name, number) => {
    const [keyLength, saltLength] = lengthsOf(name);
    return [name, { number, keyLength, saltLength }];
  }),
) as Record<SrtpSuite, SuiteTraits>;

const byName: ReadonlyMap<string, SrtpSuite> = new Map(srtpSuiteNames.map((name) => [name, name]));

/** In any case of its letters (10.5 seen); null: there is no such suite. */
export function srtpSuite(name: string): SrtpSuite | null {
  return byName.get(name.toUpperCase()) ?? null;
}
