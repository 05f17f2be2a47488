/** The key file of `--redis-encrypt-keys`. */
import { readFileSync, statSync } from 'node:fs';
import { ConfigError } from '../config/errors.js';
import type { SealingKey } from '../redis-store/sealing.js';

const option = 'redis-encrypt-keys';

const linePattern = /^([A-Za-z0-9_-]{1,32})[ \t]+([0-9A-Fa-f]{64})$/;

const fail = (message: string): never => {
  throw new ConfigError('bad-value', option, `${message} (--${option})`);
};

function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    return fail(`Cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/**
 * One key a line, `NAME HEX` with 64 hexadecimal digits; the first one encrypts, all of them decrypt. Empty
 * lines and those that begin with # are passed over. @throws ConfigError
 */
export function readKeyFile(path: string): readonly SealingKey[] {
  const keys: SealingKey[] = [];
  readText(path)
    .split('\n')
    .forEach((line, at) => {
      const text = line.trim();
      if (text === '' || text.startsWith('#')) return;
      const [, name = '', hex = ''] = linePattern.exec(text) ?? [];
      // The line itself may hold a key.
      if (name === '') fail(`Line ${at + 1} of ${path} is not NAME and 64 hexadecimal digits`);
      if (keys.some((known) => known.name === name)) fail(`${path} has two keys named ${name}`);
      keys.push({ name, key: Buffer.from(hex, 'hex') });
    });
  return keys.length === 0 ? fail(`${path} has no key`) : keys;
}

/** Whether others than its owner may read the file. */
export function isReadByOthers(path: string): boolean {
  try {
    return (statSync(path).mode & 0o077) !== 0;
  } catch {
    return false;
  }
}
