/** The store of calls, and what it is told of them. */
import type { RedisConfig } from '../config/config.js';
import type { CallState, EndpointLearning } from '../media/call-state.js';
import type { InterfaceTable } from '../media/interfaces.js';
import { decodeBencode, encodeBencode } from '../ng-protocol/bencode.js';
import type { Log } from '../observe/log.js';
import type { StoreLog } from '../redis-store/log.js';
import { nativeExchange } from '../native/exchange.js';
import type { RedisStoreOptions } from '../redis-store/redis-store-options.js';
import type { RedisStore } from '../redis-store/redis-store.js';
import type { CodecSettings } from '../redis-store/schema.js';
import { asItIs } from '../redis-store/store.js';
import type { CallService } from './calls/call-service.js';
import { keepAliveOf } from './redis-keep-alive.js';

/** How calls are read and written. */
export function codecSettings(
  endpointLearning: EndpointLearning,
  interfaces: InterfaceTable,
  secrets: CodecSettings['secrets'],
): CodecSettings {
  return {
    bencode: { decode: decodeBencode, encode: encodeBencode },
    endpointLearning,
    indexOfPosition: (name, family, position) => interfaces.indexOfPosition(name, family, position),
    secrets,
  };
}

/** The daemon's log as the store sees it. */
export function storeLogOf(log: Log): StoreLog {
  return {
    critical: (message) => log.critical('core', message),
    error: (message) => log.error('core', message),
    warning: (message) => log.warning('core', message),
    notice: (message) => log.notice('core', message),
    info: (message) => log.info('core', message),
    debug: (message) => log.debug('core', message),
  };
}

/**
 * The calls' database, not yet connected to.
 * @param calls null until there are any.
 */
export async function redisStoreOf(
  redis: RedisConfig,
  settings: CodecSettings & Pick<RedisStoreOptions, 'latest' | 'mayWait'>,
  log: StoreLog,
  calls: () => CallService | null,
): Promise<RedisStore> {
  const { RedisStore } = await import('../redis-store/redis-store.js');
  return new RedisStore({
    read: redis.read,
    write: redis.write,
    format: redis.format,
    followed: redis.keyspaces.map((database) => ({ ...redis.subscribe, database })),
    installedFormat: async () => (await import('./installed-rtpengine.js')).formatOfInstalled(),
    required: redis.required,
    expiresSeconds: redis.expiresSeconds,
    connectTimeoutMs: redis.connectTimeoutMs,
    commandTimeoutMs: redis.commandTimeoutMs,
    allowedErrors: redis.allowedErrors,
    disableTimeSeconds: redis.disableTimeSeconds,
    keepAlive: keepAliveOf(redis),
    commitTimeoutMs: redis.commitTimeoutMs,
    waitReplicas: redis.waitReplicas,
    ...settings,
    exchange: nativeExchange(),
    log,
    snapshot: () => allOf(calls()),
    onLost: (callId, holder) => calls()?.ownership.lose(callId, holder),
    moment: (callId) => calls()?.storedMoment(callId) ?? asItIs,
  });
}

function* allOf(calls: CallService | null): Iterable<CallState> {
  if (calls !== null) yield* calls.table.calls.values();
}
