/** Lines of `params start` and `params current` (samples of 10.5), from the configuration. */
import type { Config, ListenAddress, RedisAddress } from '../../config/config.js';
import type { LogSubsystem } from '../../config/subsystems.js';
import type { InterfaceSpec } from '../../config/interfaces.js';
import { serverName } from '../../redis-store/server-address.js';
import type { CliSetting } from './target.js';

function listener(address: ListenAddress | undefined): string {
  if (address === undefined) return '';
  if (address.host === null) return `0.0.0.0:${address.port}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}

function redisAddress(address: RedisAddress | null | undefined): string {
  if (address === null || address === undefined) return ':0/-1';
  return `${serverName(address)}/${address.database}`;
}

function interfaceText(spec: InterfaceSpec): string {
  const { source } = spec;
  const local =
    source.kind === 'any' ? 'any' : source.kind === 'name' ? source.name : source.address;
  return `${spec.name}\\${local} ${spec.advertised ?? ''}`;
}

function secret(address: RedisAddress | null | undefined): string {
  return address?.password === null || address?.password === undefined ? '(null)' : '(set)';
}

function redisLines(config: Config): readonly (readonly [string, string])[] {
  const { redis } = config;
  return [
    ['redis', redisAddress(redis?.read)],
    ['redis-write', redisAddress(redis?.write === redis?.read ? null : redis?.write)],
    ['no-redis-required', redis === null || redis.required ? '0' : '1'],
  ];
}

/**
 * The parameters as rtpengine names them, passwords left out.
 *
 * @param setting value of a setting at the time in question.
 * @param logLevel level of a subsystem at that time.
 */
export function parameterLines(
  config: Config,
  setting: (name: CliSetting) => number,
  logLevel: (subsystem: LogSubsystem) => number,
): readonly (readonly [name: string, value: string])[] {
  const number = (name: string, key: CliSetting, digits = 0): readonly [string, string] => [
    name,
    setting(key).toFixed(digits),
  ];
  const { media, control, redis } = config;
  return [
    ...[...config.log.levels.keys()].map(
      (name) => [`log-level-${name}`, String(logLevel(name))] as const,
    ),
    number('max-sessions', 'maxsessions'),
    number('timeout', 'timeout'),
    number('silent-timeout', 'silenttimeout'),
    number('final-timeout', 'finaltimeout'),
    number('offer-timeout', 'offertimeout'),
    number('delete-delay', 'deletedelay'),
    ['redis-expires', String(redis?.expiresSeconds ?? 86400)],
    ['tos', String(media.tos)],
    number('control-tos', 'controltos'),
    ['redis-num-threads', String(config.given.get('redis-num-threads') ?? media.numThreads)],
    ['port-min', String(media.portMin)],
    ['port-max', String(media.portMax)],
    ...redisLines(config),
    ['num-threads', String(media.numThreads)],
    number('redis_allowed_errors', 'redisallowederrors'),
    number('redis_disable_time', 'redisdisabletime'),
    number('redis_cmd_timeout', 'rediscmdtimeout'),
    number('redis_connect_timeout', 'redisconnecttimeout'),
    number('max-cpu', 'maxcpu', 1),
    number('max-load', 'maxload', 2),
    number('max-bandwidth', 'maxbw'),
    ...media.interfaces.interfaces.map(
      (spec, index) => [`interface[${index}]`, interfaceText(spec)] as const,
    ),
    ['redis-auth', secret(redis?.read)],
    ['redis-write-auth', secret(redis?.write)],
    ...control.listenNg.map((address) => ['listen-ng', listener(address)] as const),
    ...control.listenUnix.map((path) => ['listen-ng', `unix:${path}`] as const),
    ...control.listenTcpNg.map((address) => ['listen-tcp-ng', listener(address)] as const),
    ...control.listenHttp.map((address) => ['listen-http', listener(address)] as const),
    ...control.listenHttps.map((address) => ['listen-https', listener(address)] as const),
    ...control.listenCli.map((address) => ['listen-cli', listener(address)] as const),
  ];
}
