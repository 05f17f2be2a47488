/** Becoming the parent of a pair. */
import { existsSync } from 'node:fs';
import type { Config, Environment } from '../../config/config.js';
import { executeProgram, pairProgram } from '../../native/pair.js';

/** Set by the parent for its children; `no`: none unless `--pair=yes` asks for it. */
export const pairVariable = 'RTPRELAY_PAIR';

/** A process that has not spoken for so long is dead. */
const watchdogMs = 5000;
/** After an upgrade the former version stands by for so long. */
const probationMs = 10_000;

/** Sockets are kept already by the service manager that has started us. */
const isKeptElsewhere = (config: Config, env: Environment): boolean =>
  config.socketStore === 'yes' ||
  (config.socketStore === 'auto' &&
    [env['FDSTORE'], env['LISTEN_FDS']].some((count) => Number(count ?? 0) > 0));

/** Whether this process is to be a parent, with the daemon as its child. */
export function wantsPair(config: Config, env: Environment): boolean {
  const given = env[pairVariable] ?? '';
  // A child of the parent has its role there.
  if (!config.foreground || config.pair === 'no' || !['', 'no'].includes(given)) return false;
  return config.pair === 'yes' || (given === '' && !isKeptElsewhere(config, env));
}

/**
 * Turns this process into the parent, which starts the daemon with the same command. Returns only when that
 * cannot be: why.
 */
export function becomePair(command: readonly string[]): string {
  const program = pairProgram();
  // Of glibc, read when a program starts: each of V8's threads would keep megabytes in an arena of its own.
  process.env['MALLOC_ARENA_MAX'] ??= '1';
  if (!existsSync(program)) return `${program} does not exist; scripts/build-native makes it`;
  const words = ['rtprelayd', String(watchdogMs), String(probationMs), ...command];
  return `${program}: error ${executeProgram(program, words)}`;
}
