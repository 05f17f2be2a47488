/** Where statistics and notices go to: Graphite, Homer, MQTT, XML-RPC, syslog facilities of their own. */
import { parseListenAddress } from './addresses.js';
import { ConfigError } from './errors.js';
import type { OptionReader } from './sources.js';

/** Who is told. */
export interface Receiver {
  /** Address or name. */
  readonly host: string;
  readonly port: number;
}

export interface GraphiteConfig extends Receiver {
  readonly intervalSeconds: number;
  readonly prefix: string;
  /** 0: none. */
  readonly timeoutSeconds: number;
}

export interface HomerConfig extends Receiver {
  readonly protocol: 'udp' | 'tcp';
  readonly captureId: number;
  readonly rtcp: boolean;
  readonly ng: boolean;
  readonly ngProtocol: number;
}

export interface MqttConfig extends Receiver {
  readonly clientId: string | null;
  readonly keepaliveSeconds: number;
  readonly username: string | null;
  readonly password: string | null;
  /** PEM files. */
  readonly caFile: string | null;
  readonly certFile: string | null;
  readonly keyFile: string | null;
  readonly alpn: string | null;
  readonly qos: 0 | 1 | 2;
  readonly topic: string;
  readonly intervalMs: number;
  readonly scope: 'global' | 'summary' | 'call' | 'media';
}

export interface XmlRpcConfig {
  /** `%%` in it stands for the address of the control client. */
  readonly url: string;
  /** 0 SEMS, 1 call-id alone, 2 Kamailio. */
  readonly format: 0 | 1 | 2;
}

export interface DigitsConfig {
  readonly to: Receiver | null;
  readonly facility: string | null;
  /** Clients of NG that are connected by TCP. */
  readonly ngTcp: boolean;
}

export interface TelemetryConfig {
  readonly graphite: GraphiteConfig | null;
  readonly homer: HomerConfig | null;
  readonly mqtt: MqttConfig | null;
  readonly xmlRpc: XmlRpcConfig | null;
  /** Syslog facilities; null: no such records. */
  /** Who is told of the digits that are dialled; null: nobody. */
  readonly digits: DigitsConfig | null;
  /** Of those that the daemon dials, too. */
  readonly tellsOwnDigits: boolean;
  readonly cdrFacility: string | null;
  readonly rtcpFacility: string | null;
}

function receiver(options: OptionReader, name: string): Receiver | null {
  const text = options.text(name);
  if (text === null || text === '') return null;
  const { host, port } = parseListenAddress(text, name);
  return { host: host ?? '127.0.0.1', port };
}

function graphiteOf(options: OptionReader): GraphiteConfig | null {
  const to = receiver(options, 'graphite');
  const intervalSeconds = options.number('graphite-interval');
  if (to === null || intervalSeconds === 0) return null;
  return {
    ...to,
    intervalSeconds,
    prefix: options.text('graphite-prefix') ?? '',
    timeoutSeconds: options.number('graphite-timeout', 0),
  };
}

function homerOf(options: OptionReader): HomerConfig | null {
  const to = receiver(options, 'homer');
  if (to === null) return null;
  return {
    ...to,
    protocol: options.text('homer-protocol') === 'tcp' ? 'tcp' : 'udp',
    captureId: options.number('homer-id'),
    rtcp: !options.flag('homer-disable-rtcp-stats'),
    ng: options.flag('homer-enable-ng'),
    ngProtocol: options.number('homer-ng-capture-proto'),
  };
}

function mqttOf(options: OptionReader): MqttConfig | null {
  const host = options.text('mqtt-host');
  if (host === null || host === '') return null;
  const topic = options.text('mqtt-publish-topic');
  if (topic === null || topic === '') {
    throw new ConfigError(
      'missing-option',
      'mqtt-publish-topic',
      'Option --mqtt-host needs --mqtt-publish-topic',
    );
  }
  const qos = options.number('mqtt-publish-qos');
  const scope = options.text('mqtt-publish-scope');
  const scopes = ['global', 'summary', 'call', 'media'] as const;
  return {
    ...{ host, topic, port: options.number('mqtt-port') },
    clientId: options.text('mqtt-id'),
    keepaliveSeconds: options.number('mqtt-keepalive'),
    username: options.text('mqtt-user'),
    password: options.text('mqtt-pass'),
    caFile: options.text('mqtt-cafile'),
    certFile: options.text('mqtt-certfile'),
    keyFile: options.text('mqtt-keyfile'),
    alpn: options.text('mqtt-tls-alpn'),
    qos: qos === 1 || qos === 2 ? qos : 0,
    intervalMs: options.number('mqtt-publish-interval'),
    scope: scopes.find((each) => each === scope) ?? 'global',
  };
}

function xmlRpcOf(options: OptionReader): XmlRpcConfig | null {
  const url = options.text('b2b-url');
  if (url === null || url === '') return null;
  if (!URL.canParse(url.replaceAll('%%', '127.0.0.1')) || !/^https?:/i.test(url)) {
    throw new ConfigError('bad-value', 'b2b-url', `Invalid URL '${url}' (--b2b-url)`);
  }
  const format = options.number('xmlrpc-format');
  return { url, format: format === 1 || format === 2 ? format : 0 };
}

function digitsOf(options: OptionReader): TelemetryConfig['digits'] {
  const to = receiver(options, 'dtmf-log-dest');
  const facility = options.text('log-facility-dtmf');
  const ngTcp = options.flag('dtmf-log-ng-tcp');
  return to === null && facility === null && !ngTcp ? null : { to, facility, ngTcp };
}

/** @throws ConfigError */
export function telemetryConfig(options: OptionReader): TelemetryConfig {
  return {
    graphite: graphiteOf(options),
    homer: homerOf(options),
    mqtt: mqttOf(options),
    xmlRpc: xmlRpcOf(options),
    digits: digitsOf(options),
    tellsOwnDigits: !options.flag('dtmf-no-log-injects'),
    cdrFacility: options.text('log-facility-cdr'),
    rtcpFacility: options.text('log-facility-rtcp'),
  };
}

/** Why an option of these does nothing beside the others; null: it does something. */
export function uselessTelemetry(name: string, options: OptionReader): string | null {
  const needs = (other: string): string | null =>
    (options.text(other) ?? '') === '' ? `there is no --${other}` : null;
  if (name === 'graphite') {
    return options.number('graphite-interval') === 0 ? 'there is no --graphite-interval' : null;
  }
  if (name === 'xmlrpc-format') return needs('b2b-url');
  for (const service of ['graphite', 'homer', 'mqtt']) {
    if (name.startsWith(`${service}-`) && name !== 'mqtt-host') {
      return needs(service === 'mqtt' ? 'mqtt-host' : service);
    }
  }
  return null;
}
