/** Files of keys: `--redis-encrypt-keys`, `--replay-key-file`. */
import { readFileSync, statSync } from 'node:fs';
import { ConfigError } from '../config/errors.js';
import type { SealingKey } from '../redis-store/sealing.js';

const linePattern = /^([A-Za-z0-9_-]{1,32})[ \t]+([0-9A-Fa-f]{64})$/;

const fail = (option: string, message: string): never => {
  throw new ConfigError('bad-value', option, `${message} (--${option})`);
};

function readText(path: string, option: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return fail(option, `Cannot read ${path}: ${reason}`);
  }
}

/**
 * One key a line, `NAME HEX` with 64 hexadecimal digits; the first one is used, all of them are accepted.
 * Empty lines and those that begin with # are passed over. @throws ConfigError
 */
export function readKeyFile(path: string, option = 'redis-encrypt-keys'): readonly SealingKey[] {
  const keys: SealingKey[] = [];
  readText(path, option)
    .split('\n')
    .forEach((line, at) => {
      const text = line.trim();
      if (text === '' || text.startsWith('#')) return;
      const [, name = '', hex = ''] = linePattern.exec(text) ?? [];
      // The line itself may hold a key.
      if (name === '')
        fail(option, `Line ${at + 1} of ${path} is not NAME and 64 hexadecimal digits`);
      if (keys.some((known) => known.name === name))
        fail(option, `${path} has two keys named ${name}`);
      keys.push({ name, key: Buffer.from(hex, 'hex') });
    });
  return keys.length === 0 ? fail(option, `${path} has no key`) : keys;
}

/** Whether others than its owner may read the file. */
export function isReadByOthers(path: string): boolean {
  try {
    return (statSync(path).mode & 0o077) !== 0;
  } catch {
    return false;
  }
}
