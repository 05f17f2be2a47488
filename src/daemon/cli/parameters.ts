/** Lines of `params start` and `params current` (samples of 10.5), from the configuration. */
import type { Config, ListenAddress, RedisAddress } from '../../config/config.js';
import type { LogSubsystem } from '../../config/subsystems.js';
import type { InterfaceSpec } from '../../config/interfaces.js';
import { serverName } from '../../redis-store/server-address.js';
import type { CliSetting, ParameterLines } from './target.js';

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

/** Under the names of `params start`, or of `params current`: rtpengine has others for some. */
type Form = 'start' | 'current';

/** Where the values are from that an operator may change. */
interface Values {
  setting(name: CliSetting): number;
  logLevel(subsystem: LogSubsystem): number;
}

function redisLines({ redis }: Config, form: Form): ParameterLines {
  const written = redis?.write === redis?.read ? null : redis?.write;
  const places: ParameterLines =
    form === 'start'
      ? [
          ['redis', redisAddress(redis?.read)],
          ['redis-write', redisAddress(written)],
        ]
      : [
          ['redis-db', String(redis?.read?.database ?? -1)],
          ['redis-write-db', String(written?.database ?? -1)],
        ];
  return [...places, ['no-redis-required', redis === null || redis.required ? '0' : '1']];
}

function listenerLines({ control }: Config): ParameterLines {
  return [
    ...control.listenNg.map((address) => ['listen-ng', listener(address)] as const),
    ...control.listenUnix.map((path) => ['listen-ng', `unix:${path}`] as const),
    ...control.listenTcpNg.map((address) => ['listen-tcp-ng', listener(address)] as const),
    ...control.listenHttp.map((address) => ['listen-http', listener(address)] as const),
    ...control.listenHttps.map((address) => ['listen-https', listener(address)] as const),
    ...control.listenCli.map((address) => ['listen-cli', listener(address)] as const),
  ];
}

/** The parameters as rtpengine names and orders them, passwords left out. */
export function parameterLines(config: Config, values: Values, form: Form): ParameterLines {
  const { media, redis, given } = config;
  const number = (name: string, key: CliSetting, digits = 0): readonly [string, string] => [
    name,
    values.setting(key).toFixed(digits),
  ];
  const written = (name: string, fallback: string): readonly [string, string] => [
    name,
    String(given.get(name) ?? fallback),
  ];
  const word = (name: string, numbers: Readonly<Record<string, number>>): string =>
    String(numbers[String(given.get(name))] ?? Object.values(numbers)[0]);
  return [
    ...[...config.log.levels.keys()].map(
      (name) => [`log-level-${name}`, String(values.logLevel(name))] as const,
    ),
    written('table', '-1'),
    number('max-sessions', 'maxsessions'),
    number('timeout', 'timeout'),
    number('silent-timeout', 'silenttimeout'),
    number('final-timeout', 'finaltimeout'),
    number('offer-timeout', 'offertimeout'),
    number('delete-delay', 'deletedelay'),
    ['redis-expires', String(redis?.expiresSeconds ?? 86400)],
    ['tos', String(media.tos)],
    number('control-tos', 'controltos'),
    written('graphite-interval', '0'),
    written('redis-num-threads', String(media.numThreads)),
    ['homer-protocol', word('homer-protocol', { udp: 2, tcp: 1 })],
    written('homer-id', '2001'),
    ['no-fallback', media.noFallback ? '1' : '0'],
    ['port-min', String(media.portMin)],
    ['port-max', String(media.portMax)],
    ...redisLines(config, form),
    ['num-threads', String(media.numThreads)],
    written('xmlrpc-format', '0'),
    ['log_format', word('log-format', { default: 0, parsable: 1, json: 2 })],
    number('redis_allowed_errors', 'redisallowederrors'),
    number('redis_disable_time', 'redisdisabletime'),
    number('redis_cmd_timeout', 'rediscmdtimeout'),
    number('redis_connect_timeout', 'redisconnecttimeout'),
    number('max-cpu', 'maxcpu', 1),
    number('max-load', 'maxload', 2),
    number(form === 'start' ? 'max-bandwidth' : 'max-bw', 'maxbw'),
    written('max-recv-iters', '50'),
    ...media.interfaces.interfaces.map(
      (spec, index) => [`interface[${index}]`, interfaceText(spec)] as const,
    ),
    ['b2b_url', written('b2b-url', '(null)')[1]],
    ['redis-auth', secret(redis?.read)],
    ['redis-write-auth', secret(redis?.write === redis?.read ? null : redis?.write)],
    written('recording-dir', '(null)'),
    written('recording-method', 'pcap'),
    written('recording-format', 'raw'),
    written('iptables-chain', '(null)'),
    ...listenerLines(config),
  ];
}

/** `parameterLines` of the same values under both sets of names. */
export const bothForms = (
  config: Config,
  values: Values,
): Readonly<Record<Form, ParameterLines>> => ({
  start: parameterLines(config, values, 'start'),
  current: parameterLines(config, values, 'current'),
});
