/** The addon `rtprelay-nft`: libnftables, and the counters of nf_tables. */
import { loadNative, NativeRelayError } from './addon.js';

/** native/nft_api/nft_addon.cc */
export interface Nft {
  run(commands: string, json: boolean): { readonly error: string | null; readonly output: string };
  exists(table: string, set: string): boolean;
  counters(table: string, set: string, marks: Uint32Array, counters: Float64Array): string | null;
  lock(name: string): string | null;
  unlock(): void;
}

interface Addon {
  readonly Nft: new () => Nft;
}

/** A connection of its own to libnftables, with a lock of its own. @throws NativeRelayError */
export function newNft(): Nft {
  try {
    const { Nft: Native } = loadNative('rtprelay-nft') as Addon;
    return new Native();
  } catch (cause) {
    if (!(cause instanceof NativeRelayError) || cause.code !== 'addon-not-built') throw cause;
    const help = 'built without libnftables (install libnftables-dev, run scripts/build-native)';
    throw new NativeRelayError('addon-not-built', help, { cause });
  }
}
