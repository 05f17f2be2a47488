/** Loads the C++ addons: nothing else does. What each of them gives is typed in the files beside this one. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export type NativeRelayErrorCode =
  | 'addon-not-built'
  | 'addon-not-loadable'
  | 'invalid-plan'
  | 'invalid-option'
  | 'relay-not-startable'
  | 'relay-closed';

/** The native engine cannot do what was asked. `code` is stable. */
export class NativeRelayError extends Error {
  override readonly name = 'NativeRelayError';
  constructor(
    readonly code: NativeRelayErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** The folder of the package above this file: the same from src/ and from dist/. */
function packageFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  const isTop = (): boolean =>
    existsSync(join(folder, 'build')) || existsSync(join(folder, 'native', 'addon.cc'));
  while (!isTop()) {
    const parent = dirname(folder);
    if (parent === folder) {
      throw new NativeRelayError(
        'addon-not-built',
        'no folder with the native engine above the program',
      );
    }
    folder = parent;
  }
  return folder;
}

/** What was built from `native/` besides the addons, e.g. the BPF object. */
export function builtFile(...names: readonly string[]): string {
  return join(packageFolder(), 'build', ...names);
}

/** @throws NativeRelayError */
export function loadNative(name: string): unknown {
  const file = builtFile('Release', `${name}.node`);
  if (!existsSync(file)) {
    throw new NativeRelayError(
      'addon-not-built',
      `the native engine is not built: ${file} does not exist; run scripts/build-native`,
    );
  }
  try {
    return createRequire(import.meta.url)(file) as unknown;
  } catch (error) {
    throw new NativeRelayError(
      'addon-not-loadable',
      `the native engine ${file} cannot be loaded: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

let relayAddon: unknown = null;

/** The addon `rtprelay`: relay, control socket, process, network devices. @throws NativeRelayError */
export function loadRelayAddon(): unknown {
  relayAddon ??= loadNative('rtprelay');
  return relayAddon;
}

/** What an error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
