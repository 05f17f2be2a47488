/**
 * The table of all options: rtpengine's names, letters and 26.3 defaults (options.md §3, appendix),
 * and our own, marked `extension`. The parser, `--help` and docs/config.md are generated from it.
 */
import { flag, float, int, later, reloaded, text, words, type OptionSpec } from './option-spec.js';
import { laterOptions } from './options-later.js';
import { telemetryOptions } from './options-telemetry.js';
import { logSubsystems, syslogFacilities } from './subsystems.js';

const seconds = { unit: 's', minimum: 0 } as const;
const milliseconds = { unit: 'ms', minimum: 0 } as const;
const tos = { minimum: 0, maximum: 255 } as const;
const level = { minimum: -1, maximum: 7 } as const;
/** Threads that the relay can have. */
const maxThreads = 64;
const schedulingWords = 'default, none, other, batch, idle, fifo, rr';
const priorities = { minimum: -20, maximum: 99 };

const general: readonly OptionSpec[] = [
  flag('version', 'Print the version and exit', { short: 'v' }),
  flag('check', 'List supported, ignored and wrong options, and exit (1 when one is wrong)', {
    extension: true,
  }),
  flag('codecs', 'Print the codecs that can be relayed and exit', { tier: 3 }),
  text('config-file', null, 'Read options from this file; `none` reads no file', {
    placeholder: 'FILE',
    defaultText: '/etc/rtprelay/rtprelay.conf, else /etc/rtpengine/rtpengine.conf',
  }),
  text('config-section', 'rtpengine', 'Section of the file to use'),
  flag('foreground', "Don't go to the background", { short: 'f' }),
  text('pidfile', null, 'Write the process id to this file', { short: 'p', placeholder: 'FILE' }),
  words(
    'socket-store',
    'auto',
    'Keep the sockets in the service manager, to outlive the process',
    ['auto', 'yes', 'no'],
    { extension: true },
  ),
  words(
    'pair',
    'auto',
    'Start as a parent that keeps the sockets and has a second process ready; auto: in the foreground, unless a service manager keeps the sockets',
    ['auto', 'yes', 'no'],
    { extension: true },
  ),
  flag('no-pair', 'The daemon alone, as pair=no', { extension: true }),
  int('num-threads', null, 'Number of worker threads', {
    minimum: 1,
    maximum: maxThreads,
    defaultText: `number of CPU cores, at least 4, or of media-cpus; at most ${maxThreads}`,
  }),
  text('media-cpus', null, 'CPUs of the media threads, one each in turn', {
    extension: true,
    list: true,
    placeholder: 'LIST',
    defaultText: 'any',
  }),
  int('coalesce-usecs', 0, 'Longest time in µs that a packet waits for others, while many come', {
    ...{ extension: true, placeholder: 'USECS', minimum: 0, maximum: 2000 },
  }),
  text('scheduling', null, `Scheduling of the media threads: ${schedulingWords}`),
  int('priority', null, 'Priority of the media threads: nice value, or that of fifo and rr', {
    ...priorities,
    defaultText: '-10 where permitted, unless scheduling is given',
  }),
  text('idle-scheduling', null, `Scheduling of the threads of DTLS handshakes: ${schedulingWords}`),
  int('idle-priority', null, 'Priority of the threads of DTLS handshakes, as priority', {
    ...priorities,
    defaultText: '10, unless idle-scheduling is given',
  }),
];

const mediaPlane: readonly OptionSpec[] = [
  text('interface', null, 'Local interface for media', {
    short: 'i',
    list: true,
    placeholder: '[NAME/]ADDR[!ADVERTISED]',
    reloads: true,
  }),
  text('interfaces-config', null, 'Prefix of the sections that describe interfaces', {
    placeholder: 'PREFIX',
    tier: 4,
    reloads: true,
  }),
  flag('save-interface-ports', 'Open ports on one address of the wanted family only', {
    short: 'S',
    tier: 4,
    status: { noEffect: 'each port is opened on one address in any case' },
  }),
  int('port-min', 30000, 'Lowest port for media', { short: 'm', minimum: 1, maximum: 65535 }),
  int('port-max', 39999, 'Highest port for media', { short: 'M', minimum: 1, maximum: 65535 }),
  int('tos', 0, 'TOS byte of media packets', {
    ...{ ...tos, short: 'T' },
    rangeError: 'Invalid TOS value',
  }),
  words('endpoint-learning', 'heuristic', 'How the remote address is learned from packets', [
    ...['off', 'immediate', 'delayed', 'heuristic'],
  ]),
  int('table', -1, 'Kernel table; 0 or more: forward in the kernel (as kernel-forward=auto)', {
    short: 't',
    minimum: -1,
  }),
  flag('no-fallback', 'Refuse to start when the kernel cannot forward', { short: 'F' }),
  words(
    'kernel-forward',
    null,
    'How the kernel forwards settled streams',
    ['auto', 'tc', 'xdp', 'xdp-generic', 'nft', 'none'],
    { defaultText: 'auto with --table of 0 or more, else none', extension: true },
  ),
  text('kernel-forward-interface', null, 'Devices that media arrives on', {
    list: true,
    placeholder: 'DEVICE',
    defaultText: 'those that hold or route the media addresses',
    extension: true,
  }),
  text('kernel-forward-pins', null, 'Where the kernel keeps flows while no daemon runs', {
    placeholder: 'DIRECTORY',
    defaultText: 'in /sys/fs/bpf, named after listen-ng',
    extension: true,
  }),
  flag('kernel-forward-set-forwarding', 'Switch IP forwarding on where nft needs it', {
    extension: true,
  }),
  words(
    'port-mode',
    'bound',
    'How media ports are opened: a socket each, or steered by BPF to one for each thread',
    ['auto', 'bound', 'steered'],
    { extension: true },
  ),
  text(
    'replay-interface',
    null,
    'Devices on which packets to the other node are heard: replay at takeover',
    {
      list: true,
      placeholder: 'DEVICE',
      extension: true,
    },
  ),
  text('replay-listen', null, 'Own addresses of heartbeats, one for each path to the other node', {
    list: true,
    placeholder: 'ADDR:PORT',
    extension: true,
  }),
  text('replay-peer', null, 'Addresses of the other node, in the order of replay-listen', {
    list: true,
    placeholder: 'ADDR:PORT',
    extension: true,
  }),
  text('replay-key-file', null, 'Keys of heartbeats, the same on both nodes', {
    placeholder: 'FILE',
    extension: true,
  }),
  int('replay-window', 100, 'How long packets to the other node are kept', {
    ...{ unit: 'ms', minimum: 20, maximum: 2000, extension: true },
  }),
  words(
    'mos',
    'CQ',
    'How MOS is estimated: conversational or listening quality; by which formula (G.107)',
    ['CQ', 'LQ', 'legacy', 'G.107', 'G.107.2'],
    { list: true, tier: 3 },
  ),
  words(
    'ssrc-reporting',
    'full',
    'Where query and delete show the statistics of each source: in its media, in one table, both',
    ['full', 'inline', 'global', 'none'],
    { tier: 3 },
  ),
  flag(
    'measure-rtp',
    'Count each source from its RTP: lost, repeated, reordered; not in the kernel',
    {
      tier: 3,
    },
  ),
  int('rtcp-interval', 5000, 'Interval of generated RTCP', {
    ...{ unit: 'ms', minimum: 100, maximum: 600_000, tier: 3 },
  }),
];

const control: readonly OptionSpec[] = [
  text('listen-ng', null, 'UDP address of the NG control protocol, or a Unix stream socket', {
    short: 'n',
    list: true,
    placeholder: '[ADDR:]PORT|unix:PATH',
  }),
  text('listen-tcp-ng', null, 'TCP address of the NG control protocol', {
    short: 'N',
    list: true,
    placeholder: '[ADDR:]PORT',
    tier: 3,
  }),
  text('listen-http', null, 'HTTP and WebSocket address: NG, CLI, metrics', {
    list: true,
    placeholder: '[ADDR:]PORT',
    tier: 2,
  }),
  text('listen-https', null, 'The same by HTTPS', {
    list: true,
    placeholder: '[ADDR:]PORT',
    tier: 2,
  }),
  text('https-cert', null, 'PEM file of the certificate for HTTPS', {
    placeholder: 'FILE',
    tier: 2,
  }),
  text('https-key', null, 'PEM file of its key; default: in the same file', {
    placeholder: 'FILE',
    tier: 2,
  }),
  int('http-idle-timeout', 0, 'Close idle HTTP connections after, 0: 5 s', {
    ...seconds,
    tier: 4,
  }),
  flag('live-page', 'Serve a page with the calls of this moment at /live/ of these listeners', {
    extension: true,
  }),
  text('control-allow', null, 'Networks that may use the control listeners; none given: all', {
    list: true,
    placeholder: 'ADDR[/PREFIX]',
    extension: true,
  }),
  text('listen-cli', null, 'TCP address of the operator command line', {
    short: 'c',
    list: true,
    placeholder: '[ADDR:]PORT',
  }),
  int('control-tos', 0, 'TOS byte of control packets', {
    ...tos,
    rangeError: 'Invalid control-ng TOS value',
  }),
  words(
    'control-pmtu',
    null,
    'Path MTU discovery for what the UDP ports of NG send',
    ['want', 'dont'],
    {
      defaultText: 'as the system is set',
      tier: 4,
    },
  ),
  text('software-id', null, 'Name in the s= line of bodies that are made here', {
    defaultText: 'rtprelayd-VERSION',
  }),
  flag('sip-source', 'Send media to the source of the SIP message, not to the SDP address'),
  text('templates', null, 'Section of the file with templates of flags', {
    placeholder: 'SECTION',
    reloads: true,
    tier: 4,
  }),
  flag('reject-invalid-sdp', 'Refuse SDP that is not well-formed instead of repairing it'),
  ...later(4, 'the legacy control protocol is', [
    text('listen-tcp', null, 'TCP address of the legacy control protocol', {
      short: 'l',
      list: true,
      placeholder: '[ADDR:]PORT',
    }),
    text('listen-udp', null, 'UDP address of the legacy control protocol', {
      short: 'u',
      list: true,
      placeholder: '[ADDR:]PORT',
    }),
  ]),
];

const limits: readonly OptionSpec[] = reloaded([
  int(
    'timeout',
    60,
    'Remove a call when no stream has had a packet for so long while its address was here',
    {
      ...seconds,
      short: 'o',
    },
  ),
  int(
    'silent-timeout',
    3600,
    'The same where nothing is to be sent: on hold, or the section closed (port 0)',
    { ...seconds, short: 's' },
  ),
  int('final-timeout', 0, 'Greatest age of any call, 0 unlimited', { ...seconds, short: 'a' }),
  int('offer-timeout', 3600, 'The same for streams that wait for an answer', seconds),
  int('delete-delay', 30, 'Keep a deleted call for so long', { ...seconds, short: 'd' }),
  int('max-sessions', -1, 'Most calls at a time; -1 unlimited, 0 refuses all', { minimum: -1 }),
  int('drain-timeout', null, 'Longest drain; given, SIGUSR1 drains (0: until the last call ends)', {
    ...seconds,
    extension: true,
    defaultText: '0, and SIGUSR1 keeps its meaning for the log',
  }),
  float('max-load', 0, 'Refuse new calls above this load average, 0 off', { minimum: 0 }),
  float('max-cpu', 0, 'Refuse new calls above this CPU usage, 0 off', {
    unit: '%',
    minimum: 0,
    maximum: 100,
  }),
  int('max-bandwidth', 0, 'Refuse new calls above this media rate, 0 off', {
    unit: 'bytes/s',
    minimum: 0,
  }),
]);

const logging: readonly OptionSpec[] = reloaded([
  int('log-level', 6, 'Log level, 0 emergency to 7 debug, -1 nothing', { ...level, short: 'L' }),
  ...logSubsystems.map(([name, description]) =>
    int(`log-level-${name}`, name === 'internals' ? -1 : null, `Log level for: ${description}`, {
      ...level,
      ...(name === 'internals' ? {} : { defaultText: 'log-level' }),
    }),
  ),
  flag('log-stderr', 'Log to stderr instead of syslog', { short: 'E' }),
  words('log-facility', 'daemon', 'Syslog facility', syslogFacilities, {
    placeholder: 'daemon|local0|...|local7',
  }),
  words(
    'log-format',
    'default',
    'Form of log lines; json is one object a line, on stderr',
    ['default', 'parsable', 'json'],
    { tier: 3 },
  ),
  text('log-name', 'rtpengine', 'Program name in syslog', { tier: 4 }),
  text('log-mark-prefix', '', 'Text in front of private data in log lines', { tier: 4 }),
  text('log-mark-suffix', '', 'Text behind private data in log lines', { tier: 4 }),
  flag('split-logs', 'Write each line of a multi-line message by itself', { tier: 4 }),
  flag('no-log-timestamps', 'Leave out the time on stderr', { tier: 4 }),
  int('max-log-line-length', null, 'Break log lines at this length, 0 or -1 unlimited', {
    unit: 'characters',
    tier: 4,
    minimum: -1,
    defaultText: '500 on syslog, unlimited on stderr',
  }),
]);

/** What the kernel takes as an interval of TCP keepalives. */
const keepAliveSeconds = { unit: 's', minimum: 0, maximum: 32_767, tier: 4 } as const;

const redis: readonly OptionSpec[] = [
  ...reloaded([
    text('redis', null, 'Redis database that holds the calls; other notations: docs/redis.md', {
      short: 'r',
      placeholder: '[PW@]HOST:PORT/DB',
      secret: true,
    }),
    text('redis-write', null, 'Write calls to this database instead', {
      short: 'w',
      placeholder: '[PW@]HOST:PORT/DB',
      secret: true,
    }),
    int('redis-commit-timeout', 200, 'How long an NG reply waits for Redis', {
      ...milliseconds,
      extension: true,
    }),
    int(
      'redis-wait-replicas',
      0,
      'Replicas that hold a call before the NG reply, if they do in time',
      {
        minimum: 0,
        extension: true,
      },
    ),
    int('redis-expires', 86400, 'Life time of a stored call', { unit: 's', minimum: 1 }),
    int('redis-allowed-errors', -1, 'Errors before Redis is left alone, -1 unlimited', {
      minimum: -1,
    }),
    int('redis-disable-time', 10, 'How long Redis is then left alone', seconds),
    int('redis-cmd-timeout', 0, 'Time limit of a command, 0: 5 s', milliseconds),
    int('redis-connect-timeout', 1000, 'Time limit of connecting', { unit: 'ms', minimum: 1 }),
    int('subscribe-keyspace', null, 'Redis databases to follow: hot standby', {
      short: 'k',
      list: true,
      minimum: 0,
    }),
    text('redis-subscribe', null, 'Server to follow databases on; default: redis', {
      placeholder: '[PW@]HOST:PORT[/DB]',
      secret: true,
    }),
    text('redis-sentinel-user', null, 'ACL user of the sentinels', { extension: true }),
    text('redis-sentinel-password', null, 'Password of the sentinels', {
      secret: true,
      extension: true,
    }),
    text('redis-tls-ca', null, 'PEM file of the authorities that sign certificates of Redis', {
      placeholder: 'FILE',
      defaultText: 'those of Node',
      extension: true,
    }),
    text('redis-tls-cert', null, 'PEM file of our certificate for Redis', {
      placeholder: 'FILE',
      extension: true,
    }),
    text('redis-tls-key', null, 'PEM file of its key', { placeholder: 'FILE', extension: true }),
    flag('redis-tls-insecure', 'Do not verify the certificate of Redis', { extension: true }),
    text(
      'redis-encrypt-keys',
      null,
      'Encrypt SRTP keys, private keys and passwords of ICE in Redis',
      {
        placeholder: 'FILE',
        extension: true,
      },
    ),
  ]),
  words(
    'redis-format',
    'auto',
    'Form of stored calls; auto: as in the database, else for the installed rtpengine',
    [...['auto', 'native', 'bencode', 'JSON', 'JSON-10.5', 'JSON-12.5']],
  ),
  flag('no-redis-required', 'Start although Redis is away', { short: 'q' }),
  int('redis-num-threads', null, 'Threads that restore calls', {
    minimum: 1,
    status: { noEffect: 'all calls are restored in batches by one thread' },
  }),
  flag('active-switchover', 'Signalling or media makes a foreign call an own one'),
  flag('redis-resolve-on-reconnect', 'Host names are looked up at each connection, always'),
  int('redis-tcp-keepalive-time', 0, 'Idle time before TCP keepalives, 0 off', keepAliveSeconds),
  int('redis-tcp-keepalive-intvl', 1, 'Interval of TCP keepalives', {
    ...keepAliveSeconds,
    minimum: 1,
  }),
  int('redis-tcp-keepalive-probes', 3, 'Lost keepalives that end the connection', {
    ...{ minimum: 1, maximum: 127, tier: 4 },
  }),
  ...later(4, 'this Redis setting is', [
    int('redis-delete-async', 0, 'Delete stored calls without waiting', { short: 'y', minimum: 0 }),
    int('redis-delete-async-interval', 0, 'Interval of such deletions', {
      ...seconds,
      short: null,
    }),
  ]),
];

const security: readonly OptionSpec[] = [
  flag('log-srtp-keys', 'Log SRTP keys, which else are never logged', { tier: 2 }),
  flag('capture-decrypt', 'Tell SRTP keys to the operator: rtprelayctl capture --decrypt', {
    extension: true,
    reloads: true,
  }),
  flag('dtls-passive', 'Prefer the server role in DTLS', { tier: 2 }),
  text('dtls-cert-cipher', 'prime256v1', 'Key type of the DTLS certificate: prime256v1 or RSA', {
    tier: 2,
  }),
  int('dtls-rsa-key-size', 2048, 'Size of an RSA key', {
    tier: 2,
    unit: 'bits',
    minimum: 2048,
    maximum: 8192,
  }),
  words('dtls-signature', 'SHA-256', 'Signature of the DTLS certificate', ['SHA-256', 'SHA-1'], {
    tier: 2,
  }),
  int('dtls-mtu', 1200, 'Longest datagram of a DTLS handshake', {
    tier: 2,
    unit: 'bytes',
    minimum: 576,
    maximum: 65535,
  }),
  text('dtls-ciphers', null, 'Cipher suites of DTLS, a list of OpenSSL; default our own', {
    tier: 2,
  }),
];

/** Titles of the groups in `--help` and docs/config.md, with their rows. */
export const optionGroups: readonly (readonly [title: string, rows: readonly OptionSpec[]])[] = [
  ['General', general],
  ['Media', mediaPlane],
  ['Control', control],
  ['Security', security],
  ['Limits and timers', limits],
  ['Logging', logging],
  ['Redis', redis],
  ['Telemetry', telemetryOptions],
  ...laterOptions,
];

/** All options, in the order of the groups. */
export const options: readonly OptionSpec[] = optionGroups.flatMap(([, rows]) => rows);

const byName = new Map(options.map((option) => [option.name, option]));
const byShort = new Map(
  options.flatMap((option) => (option.short === null ? [] : [[option.short, option] as const])),
);

/** The option of that long name. */
export function optionNamed(name: string): OptionSpec | undefined {
  return byName.get(name);
}

/** Title of the group that an option is in. */
export function optionGroupOf(name: string): string | null {
  const group = optionGroups.find(([, rows]) => rows.some((row) => row.name === name));
  return group?.[0] ?? null;
}

/** The option of that letter. */
export function optionWithLetter(letter: string): OptionSpec | undefined {
  return byShort.get(letter);
}
