/** Options of what the daemon tells others by itself (options.md §3.4, §9). */
import { flag, int, text, words, type OptionSpec } from './option-spec.js';
import { syslogFacilities } from './subsystems.js';

const path = { placeholder: 'FILE', tier: 3 } as const;
const receiver = { placeholder: 'ADDR:PORT', tier: 3 } as const;
const facility = { placeholder: 'daemon|local0|...|local7', tier: 3 } as const;
const mosquitto = 'the npm package mqtt has no such option; --mqtt-cafile takes one file';

export const telemetryOptions: readonly OptionSpec[] = [
  text('graphite', null, 'Graphite server (plaintext, TCP)', { ...receiver, short: 'g' }),
  int('graphite-interval', 0, 'Interval of reports, 0 off', {
    ...{ unit: 's', minimum: 0, short: 'G', tier: 3 },
  }),
  text('graphite-prefix', null, 'Text in front of the names', { tier: 3 }),
  int('graphite-timeout', null, 'Time limit of connecting and sending', {
    ...{ unit: 's', minimum: 0, tier: 3, defaultText: '10' },
  }),
  text('homer', null, 'Homer server: RTCP of the calls by HEP3', receiver),
  words('homer-protocol', 'udp', 'Transport to Homer', ['udp', 'tcp'], { tier: 3 }),
  int('homer-id', 2001, 'Capture id', { minimum: 0, tier: 3 }),
  flag('homer-disable-rtcp-stats', 'No RTCP to Homer', { tier: 3 }),
  flag('homer-enable-ng', 'NG commands and replies to Homer', { tier: 3 }),
  int('homer-ng-capture-proto', 0x3d, 'HEP type of NG messages', {
    ...{ minimum: 0, maximum: 255, tier: 3 },
  }),
  text('mqtt-host', null, 'MQTT broker', { tier: 3 }),
  int('mqtt-port', 1883, 'Its port', { minimum: 1, maximum: 65535, tier: 3 }),
  text('mqtt-tls-alpn', null, 'ALPN name', { tier: 3 }),
  text('mqtt-id', null, 'Client id', { tier: 3 }),
  int('mqtt-keepalive', 30, 'Keepalive interval', { unit: 's', minimum: 0, tier: 3 }),
  text('mqtt-user', null, 'User', { tier: 3 }),
  text('mqtt-pass', null, 'Password', { secret: true, tier: 3 }),
  text('mqtt-cafile', null, 'PEM file of the authorities; with it, or a certificate: TLS', path),
  text('mqtt-capath', null, 'Directory of CA certificates', {
    ...{ placeholder: 'DIRECTORY', tier: 3, status: { noEffect: mosquitto } },
  }),
  text('mqtt-certfile', null, 'PEM file of our certificate', path),
  text('mqtt-keyfile', null, 'PEM file of its key', path),
  int('mqtt-publish-qos', 0, 'Quality of service', {
    ...{ placeholder: '0|1|2', minimum: 0, maximum: 2, tier: 3 },
  }),
  text('mqtt-publish-topic', null, 'Topic; needed with mqtt-host', { tier: 3 }),
  int('mqtt-publish-interval', 5000, 'Interval of reports', {
    ...{ unit: 'ms', minimum: 100, tier: 3 },
  }),
  words(
    'mqtt-publish-scope',
    'global',
    'What is published: all in one, without the calls, by call, by section',
    ['global', 'summary', 'call', 'media'],
    { tier: 3 },
  ),
  text('b2b-url', null, 'XML-RPC address told of timeouts; %% in it: the control client', {
    ...{ short: 'b', placeholder: 'URL', tier: 4 },
  }),
  int('xmlrpc-format', 0, 'Form of the XML-RPC call: SEMS, call-id alone, Kamailio', {
    ...{ short: 'x', minimum: 0, maximum: 2, tier: 4 },
  }),
  words('log-facility-cdr', null, 'Syslog facility of call records', syslogFacilities, facility),
  words('log-facility-rtcp', null, 'Syslog facility of RTCP records', syslogFacilities, facility),
  words('log-facility-dtmf', null, 'Syslog facility of DTMF records', syslogFacilities, facility),
  text('dtmf-log-dest', null, 'UDP address told of each digit that is dialled, in JSON', receiver),
  flag('dtmf-log-ng-tcp', 'Tell the connected NG clients of TCP of each digit that is dialled'),
  flag('dtmf-no-log-injects', "Tell nobody of digits that are dialled by 'play DTMF'"),
];
