/** The connections of the store: made from its options. */
import { RedisConnection } from './connection.js';
import type { ConnectionOptions } from './connection-options.js';
import { formatIn, type FormatReason } from './format-choice.js';
import { silentLog } from './log.js';
import type { RedisStoreOptions } from './redis-store-options.js';
import { ReplicaWait } from './replica-wait.js';
import type { CodecSettings } from './schema.js';
import type { SendCommand } from './send-command.js';
import type { RedisServer } from './server-address.js';

export const sendOver =
  (connection: RedisConnection): SendCommand =>
  (...command) =>
    connection.send(...command);

export function connectionTo(
  server: RedisServer,
  options: RedisStoreOptions,
  events: Pick<ConnectionOptions, 'onReady' | 'onLost' | 'onState' | 'exchange' | 'mayWait'>,
  log = options.log,
): RedisConnection {
  const { connectTimeoutMs, commandTimeoutMs, allowedErrors, disableTimeSeconds } = options;
  const { keepAlive } = options;
  return new RedisConnection({
    server,
    connectTimeoutMs,
    commandTimeoutMs,
    allowedErrors,
    disableTimeSeconds,
    keepAlive,
    log,
    ...events,
  });
}

/** null: no replica is waited for. */
export function replicaWaitOf(options: RedisStoreOptions, send: SendCommand): ReplicaWait | null {
  const { waitReplicas = 0, commitTimeoutMs, commandTimeoutMs, log } = options;
  if (waitReplicas === 0) return null;
  // Writes of other calls have to wait for it as well, and Redis is late by up to 100 ms.
  const limitMs =
    commandTimeoutMs > 0 ? Math.min(commitTimeoutMs, commandTimeoutMs) : commitTimeoutMs;
  const timeoutMs = Math.max(1, Math.floor(limitMs / 4));
  return new ReplicaWait({ replicas: waitReplicas, timeoutMs, send, log });
}

/** One that cannot be read now tells nothing: its follower says so. */
export async function formatOfFollowed(
  server: RedisServer,
  options: RedisStoreOptions,
  settings: CodecSettings,
): Promise<FormatReason | null> {
  const connection = connectionTo(
    server,
    options,
    { onReady: () => undefined, onLost: () => undefined },
    silentLog,
  );
  try {
    await connection.open(1);
    return await formatIn(server, sendOver(connection), settings);
  } catch {
    return null;
  } finally {
    connection.close();
  }
}
