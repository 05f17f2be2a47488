/** Looks at the PEM files that connections to Redis will be made with. */
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { RedisConfig } from '../config/config.js';
import { ConfigError } from '../config/errors.js';

function read(option: string, path: string | null): Buffer | undefined {
  if (path === null) return undefined;
  try {
    return readFileSync(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ConfigError('bad-value', option, `Cannot read ${path} (--${option}): ${why}`);
  }
}

/** @throws ConfigError when a file that is needed cannot be used. */
export function checkTlsFiles(redis: RedisConfig | null): void {
  const addresses = [redis?.read, redis?.write, redis?.subscribe];
  for (const tls of new Set(addresses.map((address) => address?.tls))) {
    if (tls === undefined) continue;
    const ca = read('redis-tls-ca', tls.ca);
    const cert = read('redis-tls-cert', tls.cert);
    const key = read('redis-tls-key', tls.key);
    try {
      createSecureContext({ ca, cert, key });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const names = [tls.ca, tls.cert, tls.key].filter((name) => name !== null).join(', ');
      throw new ConfigError('bad-value', 'redis-tls-cert', `Bad certificate in ${names}: ${why}`);
    }
  }
}
