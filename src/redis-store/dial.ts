/** One connection of ioredis, which neither queues nor repeats anything nor connects again by itself. */
import type { Redis } from 'ioredis';
import { loadRedisClient } from './client.js';
import type { DialAddress, TlsFiles } from './server-address.js';

export interface DialOptions {
  readonly connectTimeoutMs: number;
  /** A command unanswered for so long is rejected with `Command timed out`. */
  readonly commandTimeoutMs: number;
  /** Ignored for Unix sockets. */
  readonly tls: TlsFiles | undefined;
}

const disconnectTimeoutMs = 20;

/** What node:tls is told. Reads the files, so that renewed certificates count. */
async function tlsOptions(
  files: TlsFiles,
  serverName: string | null,
): Promise<Readonly<Record<string, unknown>>> {
  const { readFile } = await import('node:fs/promises');
  const read = async (path: string | null): Promise<Buffer | undefined> =>
    path === null ? undefined : readFile(path);
  const [ca, cert, key] = await Promise.all([read(files.ca), read(files.cert), read(files.key)]);
  return {
    rejectUnauthorized: files.verify,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    // An address is no name for SNI; the certificate is compared with it all the same.
    ...(serverName === null ? {} : { servername: serverName }),
  };
}

/** @throws Error after `milliseconds`; `promise` goes on unobserved then. */
export async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('Connection timed out')), milliseconds);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Connects and runs `greet`, both within the time limit. AUTH and SELECT are the greeting's: an error
 * of either has to be one of the connection attempt.
 * @throws Error with the cause, not merely that the connection was closed.
 */
export async function dial<T>(
  address: DialAddress,
  options: DialOptions,
  greet: (redis: Redis) => Promise<T>,
): Promise<{ readonly redis: Redis; readonly greeting: T }> {
  const { connectTimeoutMs, commandTimeoutMs, tls } = options;
  const Redis = await loadRedisClient();
  const place =
    'path' in address ? { path: address.path } : { host: address.host, port: address.port };
  const secured =
    tls === undefined || 'path' in address
      ? {}
      : { tls: await tlsOptions(tls, address.serverName) };
  const redis = new Redis({
    ...place,
    ...secured,
    enableReadyCheck: false,
    disableClientInfo: true,
    protocol: 2,
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    connectTimeout: connectTimeoutMs,
    // A server that hangs does not close its side; until then ioredis leaves commands pending.
    disconnectTimeout: disconnectTimeoutMs,
    commandTimeout: commandTimeoutMs,
  });
  // What ioredis rejects with is only that the connection was closed; why comes as an event.
  let cause: unknown = null;
  redis.on('error', (error: unknown) => {
    cause ??= error;
  });
  try {
    const greeting = await within(
      redis.connect().then(() => greet(redis)),
      connectTimeoutMs,
    );
    return { redis, greeting };
  } catch (error) {
    redis.disconnect();
    throw error instanceof Error && error.message === 'Connection is closed.'
      ? (cause ?? error)
      : error;
  }
}

/** AUTH when there is something to say. */
export async function authenticate(
  redis: Redis,
  username: string | null,
  password: string | null,
): Promise<void> {
  if (username !== null) await redis.call('AUTH', username, password ?? '');
  else if (password !== null) await redis.call('AUTH', password);
}
