/** The configuration as one typed, frozen value: command line, file and environment read once. */
import { accessList } from './access-list.js';
import { parseListenAddress, type ListenAddress } from './addresses.js';
import { replayConfig, type ReplayConfig } from './replay.js';
import { parseCommandLine, type OptionValues } from './command-line.js';
import { ConfigError } from './errors.js';
import { parseInterfaces, type InterfaceSection, type InterfaceSpecs } from './interfaces.js';
import type { OptionSpec, OptionValue } from './option-spec.js';
import { optionGroupOf, optionNamed, options as optionTable } from './options.js';
import { processorList } from './processors.js';
import { parseRedisAddress, type RedisAddress, type RedisTls } from './redis-address.js';
import {
  mosConfig,
  ssrcReportingOf,
  uselessMos,
  type MosConfig,
  type SsrcReporting,
} from './mos.js';
import {
  attempt,
  OptionReader,
  readOptions,
  type OnWrong,
  type ReadFile,
  type Templates,
} from './sources.js';
import { telemetryConfig, uselessTelemetry, type TelemetryConfig } from './telemetry.js';
import { logSubsystems, type LogSubsystem } from './subsystems.js';

export { ConfigError } from './errors.js';
export type { ListenAddress } from './addresses.js';
export type { RedisAddress } from './redis-address.js';
export type { InterfaceSpecs } from './interfaces.js';
export type { ReadFile } from './sources.js';

/** How the remote endpoint of a stream is learned (options.md §3). */
export type EndpointLearningMode = 'off' | 'immediate' | 'delayed' | 'heuristic';

/** Form of stored calls; `auto` goes on with what the database holds. */
export type RedisFormat = 'auto' | 'bencode' | 'JSON' | 'JSON-10.5' | 'JSON-12.5';

/** How the operating system schedules threads. */
export interface SchedulingConfig {
  /** As it was given. */
  readonly policy: string;
  /** null: the one that the process has. */
  readonly priority: number | null;
  /** The operator wants it so. */
  readonly asked: boolean;
}

/** What concerns media and ports. */
export interface MediaConfig {
  readonly interfaces: InterfaceSpecs;
  readonly portMin: number;
  readonly portMax: number;
  /** TOS byte of media packets, 0-255. */
  readonly tos: number;
  readonly endpointLearning: EndpointLearningMode;
  readonly kernelForward: 'auto' | 'tc' | 'xdp' | 'xdp-generic' | 'nft' | 'none';
  /** Devices to forward on; empty: those that hold or route the media addresses. */
  readonly kernelForwardInterfaces: readonly string[];
  /** Directory of a BPF file system; null: one in /sys/fs/bpf named after listen-ng. */
  readonly kernelForwardPins: string | null;
  /** Switch IP forwarding on where nftables need it. */
  readonly kernelForwardSetForwarding: boolean;
  /** Refuse to start when the kernel cannot forward though it should. */
  readonly noFallback: boolean;
  /** `auto`: steered where that is permitted. */
  readonly portMode: 'auto' | 'bound' | 'steered';
  /** null: there is none. */
  readonly replay: ReplayConfig | null;
  /** Worker threads of the packet path. */
  readonly numThreads: number;
  /** Where they run, the first thread on the first one and round; empty: wherever the kernel puts them. */
  readonly mediaCpus: readonly number[];
  /** While many packets come, one waits so long for others at most, µs; 0: none waits. */
  readonly coalesceMicros: number;
  /** Of those threads. */
  readonly scheduling: SchedulingConfig;
  /** Of the threads of DTLS handshakes. */
  readonly idleScheduling: SchedulingConfig;
  readonly mos: MosConfig;
  readonly ssrcReporting: SsrcReporting;
  /** Every source is counted from its RTP. */
  readonly measureRtp: boolean;
  /** Mean interval of generated RTCP, ms. */
  readonly rtcpIntervalMs: number;
  /** Prefer the server role in DTLS. */
  readonly dtlsPassive: boolean;
  /** The keys of SRTP are logged. */
  readonly logSrtpKeys: boolean;
  /** They are told to the operator's command line. */
  readonly captureDecrypt: boolean;
  /** Where recordings are wanted; nothing is recorded. null: nowhere. */
  readonly recordingDir: string | null;
  /** Key of the DTLS certificate: bits of an RSA key, 0: on the curve P-256. */
  readonly dtlsRsaBits: number;
  readonly dtlsSignature: 'SHA-1' | 'SHA-256';
  /** Longest datagram of a handshake, bytes. */
  readonly dtlsMtu: number;
  /** OpenSSL's list; null: our own. */
  readonly dtlsCiphers: string | null;
}

/** What concerns signalling. */
export interface ControlConfig {
  /** UDP; there is at least one listener of NG among these and the next four. */
  readonly listenNg: readonly ListenAddress[];
  /** Paths of Unix stream sockets. */
  readonly listenUnix: readonly string[];
  readonly listenTcpNg: readonly ListenAddress[];
  readonly listenHttp: readonly ListenAddress[];
  readonly listenHttps: readonly ListenAddress[];
  /** PEM files; the key may be in the certificate's. null: no HTTPS. */
  readonly https: { readonly cert: string; readonly key: string } | null;
  /** 0: Node's own. */
  readonly httpIdleTimeoutSeconds: number;
  /** /live/ is served there. */
  readonly livePage: boolean;
  /** `ADDR[/PREFIX]`, checked; empty: everybody may use the listeners. */
  readonly allow: readonly string[];
  readonly listenCli: readonly ListenAddress[];
  /** TOS byte of control packets, 0-255. */
  readonly controlTos: number;
  /** Whether control datagrams may not be fragmented on their way; null: as the system is set. */
  readonly pathMtu: 'want' | 'dont' | null;
  /** Media goes to the source of the SIP message rather than to the SDP address. */
  readonly sipSource: boolean;
  /** Session name of bodies that are made here; null: name and version of the program. */
  readonly softwareId: string | null;
  readonly rejectInvalidSdp: boolean;
  /** Flags of requests by name (ng-protocol.md §5.3). */
  readonly templates: Templates;
}

/** Limits and timers; 0 means off where the name says "max" or "final", except maxSessions. */
export interface LimitConfig {
  readonly timeoutSeconds: number;
  readonly silentTimeoutSeconds: number;
  readonly finalTimeoutSeconds: number;
  readonly offerTimeoutSeconds: number;
  readonly deleteDelaySeconds: number;
  /** Longest drain, 0 unlimited. */
  readonly drainTimeoutSeconds: number;
  /** -1 unlimited, 0 refuses every call. */
  readonly maxSessions: number;
  readonly maxLoad: number;
  readonly maxCpuPercent: number;
  readonly maxBandwidthBytesPerSecond: number;
}

/** What concerns logging. */
export interface LogConfig {
  /** Highest level that is written, by subsystem: 0 emergency … 7 debug, -1 nothing. */
  readonly levels: ReadonlyMap<LogSubsystem, number>;
  readonly toStderr: boolean;
  /** Name of the syslog facility. */
  readonly facility: string;
  readonly programName: string;
  readonly json: boolean;
  readonly markPrefix: string;
  readonly markSuffix: string;
  readonly splitLines: boolean;
  readonly timestamps: boolean;
  /** Greatest line length in characters, 0 unlimited. */
  readonly maxLineLength: number;
}

/** TCP keepalives: after so many seconds of silence, and then at an interval. */
export interface KeepAliveConfig {
  readonly idleSeconds: number;
  readonly intervalSeconds: number;
  /** Unanswered ones that end the connection. */
  readonly probes: number;
}

/** Where calls are stored. */
export interface RedisConfig {
  /** Calls are restored from here; null when only redis-write is given. */
  readonly read: RedisAddress | null;
  /** Calls are written here (= `read` unless redis-write says otherwise). */
  readonly write: RedisAddress;
  readonly format: RedisFormat;
  /** Refuse to start when the server is away. */
  readonly required: boolean;
  readonly expiresSeconds: number;
  /** -1 unlimited. */
  readonly allowedErrors: number;
  readonly disableTimeSeconds: number;
  /** 0 none. */
  readonly commandTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** TCP keepalives; null: none. */
  readonly keepAlive: KeepAliveConfig | null;
  /** How long an NG reply waits for the acknowledgement. */
  readonly commitTimeoutMs: number;
  /** Replicas that have to hold a call before the NG reply, within the same time. */
  readonly waitReplicas: number;
  /** File of the keys that secret fields are encrypted with; null: they are written as rtpengine does. */
  readonly encryptKeys: string | null;
  /** Server whose databases are followed. */
  readonly subscribe: RedisAddress;
  /** Databases of other nodes to stand by for. */
  readonly keyspaces: readonly number[];
  /** Signalling and media make a foreign call this node's own. */
  readonly activeSwitchover: boolean;
}

/** Everything the daemon is told when it starts. */
export interface Config {
  readonly media: MediaConfig;
  readonly control: ControlConfig;
  readonly limits: LimitConfig;
  readonly log: LogConfig;
  readonly telemetry: TelemetryConfig;
  /** null: calls are not stored. */
  readonly redis: RedisConfig | null;
  readonly foreground: boolean;
  readonly pidfile: string | null;
  /** Keep copies of the sockets in the service manager; auto: when it offers to. */
  readonly socketStore: 'auto' | 'yes' | 'no';
  /** Whether a parent keeps the sockets and a second process is ready; auto: where it makes sense. */
  readonly pair: 'auto' | 'yes' | 'no';
  /** SIGUSR1 drains instead of lowering the log levels. */
  readonly drainsOnSignal: boolean;
  /** File that was read, null when none was. */
  readonly configFile: string | null;
  /** Values by option, as they were given; the others have their defaults. */
  readonly given: ReadonlyMap<string, OptionValue | readonly OptionValue[]>;
  /** What `interfaces-config` names; `media.interfaces` has what they mean. */
  readonly interfaceSections: readonly InterfaceSection[];
  /** To be logged at start, one line each. */
  readonly warnings: readonly string[];
}

/** What the command line asks for. */
export type Invocation =
  | { readonly kind: 'help' | 'version' | 'codecs' }
  | { readonly kind: 'check'; readonly report: CheckReport }
  | { readonly kind: 'run'; readonly config: Config };

/** What the defaults depend on. */
export interface HostFacts {
  /** Number of CPU cores. */
  readonly cores: number;
}

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

interface Context {
  readonly env: Environment;
  readonly host: HostFacts;
}

function bad(option: string, message: string): never {
  throw new ConfigError('bad-value', option, message);
}

function threadsOf(options: OptionReader, host: HostFacts, processors: number): number {
  const most = optionNamed('num-threads')?.maximum ?? host.cores;
  const given = options.number('num-threads');
  return given > 0 ? given : Math.min(most, processors > 0 ? processors : Math.max(4, host.cores));
}

function schedulingOf(
  options: OptionReader,
  prefix: '' | 'idle-',
  usualPriority: number,
): SchedulingConfig {
  const policy = options.text(`${prefix}scheduling`);
  const given = options.given.has(`${prefix}priority`);
  const usual = policy === null ? usualPriority : null;
  return {
    policy: policy ?? 'default',
    priority: given ? options.number(`${prefix}priority`) : usual,
    asked: given || policy !== null,
  };
}

function endpointLearningOf(options: OptionReader): EndpointLearningMode {
  const mode = options.text('endpoint-learning');
  if (mode === 'off' || mode === 'immediate' || mode === 'delayed' || mode === 'heuristic') {
    return mode;
  }
  return bad('endpoint-learning', `Invalid --endpoint-learning option ('${mode ?? ''}')`);
}

/** A table number is how rtpengine's configurations ask for it. */
function kernelForwardOf(options: OptionReader): MediaConfig['kernelForward'] {
  const mode = options.text('kernel-forward') ?? (options.number('table') >= 0 ? 'auto' : 'none');
  const known = ['auto', 'tc', 'xdp', 'xdp-generic', 'nft', 'none'] as const;
  return known.find((each) => each === mode) ?? 'none';
}

function portModeOf(options: OptionReader): MediaConfig['portMode'] {
  const mode = options.text('port-mode');
  return mode === 'auto' || mode === 'steered' ? mode : 'bound';
}

function interfacesOf(options: OptionReader, portMin: number, portMax: number): InterfaceSpecs {
  const specs = parseInterfaces(options.texts('interface'), options.sections.interfaces);
  for (const { name, ports } of specs.interfaces) {
    if (ports === null) continue;
    const [min, max] = [ports.min ?? portMin, ports.max ?? portMax];
    if (min >= max) {
      bad('interfaces-config', `Invalid port range of interface '${name}': ${min} to ${max}`);
    }
  }
  return specs;
}

function mediaConfig(options: OptionReader, host: HostFacts): MediaConfig {
  const portMin = options.number('port-min');
  const portMax = options.number('port-max');
  if (portMin >= portMax) {
    bad('port-min', `Invalid port range: --port-min=${portMin} is not below --port-max=${portMax}`);
  }
  const mediaCpus = processorList('media-cpus', options.texts('media-cpus'));
  return {
    interfaces: interfacesOf(options, portMin, portMax),
    portMin,
    portMax,
    tos: options.number('tos'),
    endpointLearning: endpointLearningOf(options),
    kernelForward: kernelForwardOf(options),
    kernelForwardInterfaces: options.texts('kernel-forward-interface'),
    kernelForwardPins: options.text('kernel-forward-pins'),
    kernelForwardSetForwarding: options.flag('kernel-forward-set-forwarding'),
    noFallback: options.flag('no-fallback'),
    portMode: portModeOf(options),
    replay: replayConfig(options, kernelForwardOf(options)),
    numThreads: threadsOf(options, host, mediaCpus.length),
    mediaCpus,
    coalesceMicros: options.number('coalesce-usecs'),
    scheduling: schedulingOf(options, '', -10),
    idleScheduling: schedulingOf(options, 'idle-', 10),
    mos: mosConfig(options),
    ssrcReporting: ssrcReportingOf(options),
    measureRtp: options.flag('measure-rtp'),
    rtcpIntervalMs: options.number('rtcp-interval'),
    dtlsPassive: options.flag('dtls-passive'),
    logSrtpKeys: options.flag('log-srtp-keys'),
    captureDecrypt: options.flag('capture-decrypt'),
    recordingDir: options.text('recording-dir'),
    dtlsRsaBits:
      options.text('dtls-cert-cipher') === 'prime256v1' ? 0 : options.number('dtls-rsa-key-size'),
    dtlsSignature: options.text('dtls-signature') === 'SHA-1' ? 'SHA-1' : 'SHA-256',
    dtlsMtu: options.number('dtls-mtu'),
    dtlsCiphers: options.text('dtls-ciphers'),
  };
}

const ngListeners = ['listen-ng', 'listen-tcp-ng', 'listen-http', 'listen-https'];
const legacyListeners = ['listen-tcp', 'listen-udp'];

function requireListener(options: OptionReader): void {
  if (ngListeners.some((name) => options.texts(name).length > 0)) return;
  const others = legacyListeners.filter((name) => options.given.has(name));
  throw new ConfigError(
    'missing-option',
    'listen-ng',
    others.length === 0
      ? 'Missing option --listen-tcp, --listen-udp, --listen-ng, --listen-tcp-ng, --listen-http, or --listen-https'
      : `Missing option --listen-ng: this version does not serve ${others.join(', ')}`,
  );
}

function httpsOf(options: OptionReader): ControlConfig['https'] {
  const cert = options.text('https-cert');
  if (options.texts('listen-https').length === 0) return null;
  if (cert === null) bad('https-cert', 'Option --listen-https needs --https-cert');
  return { cert, key: options.text('https-key') ?? cert };
}

function livePageOf(options: OptionReader): boolean {
  if (!options.flag('live-page')) return false;
  if (options.texts('listen-http').length + options.texts('listen-https').length === 0) {
    bad('live-page', 'Option --live-page needs --listen-http or --listen-https');
  }
  return true;
}

const unixPrefix = 'unix:';

function pathMtuOf(options: OptionReader): ControlConfig['pathMtu'] {
  const word = options.text('control-pmtu');
  return word === 'want' || word === 'dont' ? word : null;
}

function controlConfig(options: OptionReader): ControlConfig {
  requireListener(options);
  const addresses = (name: string): readonly ListenAddress[] =>
    options
      .texts(name)
      .filter((text) => !text.startsWith(unixPrefix))
      .map((text) => parseListenAddress(text, name));
  const allow = options.texts('control-allow');
  accessList(allow);
  return {
    listenNg: addresses('listen-ng'),
    listenUnix: options
      .texts('listen-ng')
      .filter((text) => text.startsWith(unixPrefix))
      .map((text) => text.slice(unixPrefix.length)),
    listenTcpNg: addresses('listen-tcp-ng'),
    listenHttp: addresses('listen-http'),
    listenHttps: addresses('listen-https'),
    https: httpsOf(options),
    httpIdleTimeoutSeconds: options.number('http-idle-timeout'),
    livePage: livePageOf(options),
    allow,
    listenCli: options.texts('listen-cli').map((text) => parseListenAddress(text, 'listen-cli')),
    controlTos: options.number('control-tos'),
    pathMtu: pathMtuOf(options),
    sipSource: options.flag('sip-source'),
    softwareId: options.text('software-id'),
    rejectInvalidSdp: options.flag('reject-invalid-sdp'),
    templates: options.sections.templates,
  };
}

function limitConfig(options: OptionReader): LimitConfig {
  return {
    timeoutSeconds: options.number('timeout'),
    silentTimeoutSeconds: options.number('silent-timeout'),
    finalTimeoutSeconds: options.number('final-timeout'),
    offerTimeoutSeconds: options.number('offer-timeout'),
    deleteDelaySeconds: options.number('delete-delay'),
    drainTimeoutSeconds: options.number('drain-timeout', 0),
    maxSessions: options.number('max-sessions'),
    maxLoad: options.number('max-load'),
    maxCpuPercent: options.number('max-cpu'),
    maxBandwidthBytesPerSecond: options.number('max-bandwidth'),
  };
}

function logConfig(options: OptionReader): LogConfig {
  const general = options.number('log-level');
  const toStderr = options.flag('log-stderr');
  const levels = logSubsystems.map(([name]) => {
    return [name, options.number(`log-level-${name}`, general)] as const;
  });
  return {
    levels: new Map(levels),
    toStderr,
    facility: options.text('log-facility') ?? 'daemon',
    programName: options.text('log-name') ?? 'rtpengine',
    json: options.text('log-format') === 'json',
    markPrefix: options.text('log-mark-prefix') ?? '',
    markSuffix: options.text('log-mark-suffix') ?? '',
    splitLines: options.flag('split-logs'),
    timestamps: !options.flag('no-log-timestamps'),
    maxLineLength: Math.max(0, options.number('max-log-line-length', toStderr ? 0 : 500)),
  };
}

function redisFormatOf(options: OptionReader): RedisFormat {
  const format = options.text('redis-format');
  if (format === 'native' || format === 'bencode') return 'bencode';
  const named = (['JSON', 'JSON-10.5', 'JSON-12.5'] as const).find((name) => name === format);
  return named ?? 'auto';
}

function redisTlsOf(options: OptionReader): RedisTls {
  const cert = options.text('redis-tls-cert');
  const key = options.text('redis-tls-key');
  if ((cert === null) !== (key === null)) {
    bad('redis-tls-cert', 'Option --redis-tls-cert needs --redis-tls-key and the reverse');
  }
  const verify = !options.flag('redis-tls-insecure');
  return { ca: options.text('redis-tls-ca'), cert, key, verify };
}

function keepAliveOf(options: OptionReader): KeepAliveConfig | null {
  const idleSeconds = options.number('redis-tcp-keepalive-time');
  if (idleSeconds === 0) return null;
  return {
    idleSeconds,
    intervalSeconds: options.number('redis-tcp-keepalive-intvl'),
    probes: options.number('redis-tcp-keepalive-probes'),
  };
}

function redisConfig(options: OptionReader, env: Environment): RedisConfig | null {
  const shared = {
    tls: redisTlsOf(options),
    sentinel: {
      username: options.text('redis-sentinel-user'),
      password:
        options.text('redis-sentinel-password') ?? env['RTPENGINE_REDIS_SENTINEL_AUTH_PW'] ?? null,
    },
  };
  const address = (option: string, password: string | null): RedisAddress | null => {
    const text = options.text(option);
    const databaseOptional = option === 'redis-subscribe';
    if (text === null || text === '') return null;
    return parseRedisAddress(text, { option, password, databaseOptional, ...shared });
  };
  const read = address('redis', env['RTPENGINE_REDIS_AUTH_PW'] ?? null);
  const write = address('redis-write', env['RTPENGINE_REDIS_WRITE_AUTH_PW'] ?? null) ?? read;
  const subscribe = address(
    'redis-subscribe',
    env['RTPENGINE_REDIS_SUBSCRIBE_AUTH_PW'] ?? read?.password ?? null,
  );
  if (write === null) return null;
  return {
    read,
    write,
    format: redisFormatOf(options),
    required: !options.flag('no-redis-required'),
    expiresSeconds: options.number('redis-expires'),
    allowedErrors: options.number('redis-allowed-errors'),
    disableTimeSeconds: options.number('redis-disable-time'),
    commandTimeoutMs: options.number('redis-cmd-timeout'),
    connectTimeoutMs: options.number('redis-connect-timeout'),
    keepAlive: keepAliveOf(options),
    commitTimeoutMs: options.number('redis-commit-timeout'),
    waitReplicas: options.number('redis-wait-replicas'),
    encryptKeys: options.text('redis-encrypt-keys'),
    subscribe: subscribe ?? read ?? write,
    keyspaces: options.numbers('subscribe-keyspace'),
    activeSwitchover: options.flag('active-switchover'),
  };
}

/** Why an option that was given does nothing; null: it does something, or says what holds anyway. */
function uselessness(option: OptionSpec, options: OptionReader): string | null {
  const { name, status, default: fallback } = option;
  const value = options.given.get(name);
  if (value === undefined || value === fallback) return null;
  if (typeof status !== 'string') return 'noEffect' in status ? status.noEffect : null;
  if (name === 'log-format' && value === 'parsable') return 'this form is not available';
  if (name === 'mos') return uselessMos(options);
  if (name === 'dtls-rsa-key-size' && options.text('dtls-cert-cipher') === 'prime256v1')
    return 'the certificate is not RSA (--dtls-cert-cipher)';
  if (/^redis-tcp-keepalive-(?:intvl|probes)$/.test(name) && keepAliveOf(options) === null)
    return 'there is no --redis-tcp-keepalive-time';
  if (name === 'redis-resolve-on-reconnect') return 'host names are looked up at each connection';
  const alone = uselessTelemetry(name, options);
  if (alone !== null) return alone;
  const group = optionGroupOf(name);
  const stored = options.text('redis') ?? options.text('redis-write') ?? '';
  if (group === 'Redis' && name !== 'redis' && stored === '') return 'there is no --redis';
  if (name === 'replay-window' && options.texts('replay-interface').length === 0)
    return 'there is no --replay-interface';
  const inKernel = name.startsWith('kernel-forward-') || name === 'no-fallback';
  if (inKernel && kernelForwardOf(options) === 'none') return 'the kernel is to forward nothing';
  return null;
}

/** A line for each reason, naming all options that were given in vain for it. */
function noEffectWarnings(options: OptionReader, redis: RedisConfig | null): readonly string[] {
  const byReason = new Map<string, string[]>();
  const add = (reason: string, name: string): void => {
    byReason.set(reason, [...(byReason.get(reason) ?? []), name]);
  };
  const secured = [redis?.read, redis?.write, redis?.subscribe].some((address) => address?.tls);
  for (const option of optionTable) {
    const { name } = option;
    const reason = uselessness(option, options);
    if (reason !== null) add(reason, name);
    else if (name.startsWith('redis-tls-') && options.given.has(name) && !secured) {
      add('no address of Redis asks for TLS', name);
    }
  }
  return [...byReason].map(
    ([reason, names]) => `Options without effect, ${reason}: ${names.join(', ')}`,
  );
}

/** Options that would mislead if they were ignored. */
function refuseUnsupported(options: OptionReader, onWrong: OnWrong): void {
  for (const name of options.given.keys()) {
    const option = optionNamed(name);
    if (option === undefined || typeof option.status === 'string') continue;
    const value = options.given.get(name);
    if (value === option.default || !('refused' in option.status)) continue;
    const message = `Option --${name} is not supported: ${option.status.refused}`;
    onWrong(new ConfigError('unsupported', name, message));
  }
}

/** What `--check` found out. */
export interface CheckReport {
  /** null: none was read. */
  readonly file: string | null;
  /** Names of options that were given and do what they say. */
  readonly supported: readonly string[];
  /** Options without effect, and why; keys of the file that are no options. */
  readonly ignored: readonly { readonly name: string; readonly reason: string }[];
  /** Mistakes: the daemon would not start. */
  readonly wrong: readonly string[];
}

/** Reads everything as for a start and goes on behind mistakes. */
function check(argv: readonly string[], readFile: ReadFile, context: Context): CheckReport {
  const wrong: ConfigError[] = [];
  const onWrong = (error: ConfigError): void => void wrong.push(error);
  const request = readOptions(argv, readFile, onWrong);
  if (!('options' in request)) throw new TypeError('no check was asked for');
  const { options, unknown } = request;
  refuseUnsupported(options, onWrong);
  attempt(() => parseInterfaces(options.texts('interface'), options.sections.interfaces), onWrong);
  attempt(() => mediaConfig(options, context.host), onWrong);
  attempt(() => controlConfig(options), onWrong);
  attempt(() => limitConfig(options), onWrong);
  attempt(() => logConfig(options), onWrong);
  attempt(() => telemetryConfig(options), onWrong);
  attempt(() => redisConfig(options, context.env), onWrong);
  const mistaken = new Set(wrong.map(({ option }) => option));
  const given = [...options.given.keys()].filter((name) => name !== 'check');
  const ignored = given.flatMap((name) => {
    const option = optionNamed(name);
    const reason = option === undefined ? null : uselessness(option, options);
    return reason === null ? [] : [{ name, reason }];
  });
  const idle = new Set(ignored.map(({ name }) => name));
  return {
    file: options.file,
    supported: given.filter((name) => !idle.has(name) && !mistaken.has(name)),
    ignored: [...ignored, ...unknown.map((name) => ({ name, reason: 'no such option' }))],
    wrong: [...new Set(wrong.map(({ message }) => message))],
  };
}

function socketStoreOf(options: OptionReader): Config['socketStore'] {
  const mode = options.text('socket-store');
  return mode === 'yes' || mode === 'no' ? mode : 'auto';
}

function pairOf(options: OptionReader): Config['pair'] {
  const mode = options.flag('no-pair') ? 'no' : options.text('pair');
  return mode === 'yes' || mode === 'no' ? mode : 'auto';
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) freeze<unknown>(member);
  }
  return value;
}

/** The typed form of options. @throws ConfigError */
function typed(options: OptionReader, { env, host }: Context): Config {
  refuseUnsupported(options, (error) => {
    throw error;
  });
  const redis = redisConfig(options, env);
  return freeze({
    media: mediaConfig(options, host),
    control: controlConfig(options),
    limits: limitConfig(options),
    log: logConfig(options),
    telemetry: telemetryConfig(options),
    redis,
    foreground: options.flag('foreground'),
    pidfile: options.text('pidfile'),
    socketStore: socketStoreOf(options),
    pair: pairOf(options),
    drainsOnSignal: options.given.has('drain-timeout'),
    configFile: options.file,
    given: options.given,
    interfaceSections: options.sections.interfaces,
    warnings: [...options.warnings, ...noEffectWarnings(options, redis)],
  });
}

/** Asked first, as mistakes in the file are not to end a check. @throws ConfigError */
function wantsCheck(argv: readonly string[]): boolean {
  const { help, values } = parseCommandLine(argv);
  const others = ['version', 'codecs'].some((name) => values.get(name) === true);
  return !help && !others && values.get('check') === true;
}

/**
 * Reads the configuration. Looks up no names, opens nothing but the file.
 *
 * @param argv command line without the program's name.
 * @param env only the passwords of Redis are read from it.
 * @param readFile returns a file's text or throws like `fs.readFileSync`.
 * @throws ConfigError whose message is to be printed before exiting with 1.
 */
export function loadConfig(
  argv: readonly string[],
  env: Environment,
  readFile: ReadFile,
  host: HostFacts,
): Invocation {
  const context = { env, host };
  if (wantsCheck(argv)) return { kind: 'check', report: check(argv, readFile, context) };
  const request = readOptions(argv, readFile);
  if (!('options' in request)) return request;
  return { kind: 'run', config: typed(request.options, context) };
}

/** Reads the configuration of a running daemon again. */
export class ConfigSource {
  constructor(
    private readonly argv: readonly string[],
    private readonly env: Environment,
    private readonly readFile: ReadFile,
    private readonly host: HostFacts,
  ) {}

  /** @throws ConfigError as `loadConfig` does. */
  load(): Invocation {
    return loadConfig(this.argv, this.env, this.readFile, this.host);
  }

  /** @throws ConfigError */
  read(): Config {
    const invocation = this.load();
    if (invocation.kind === 'run') return invocation.config;
    throw new ConfigError('command-line', null, 'not the command line of a daemon');
  }

  /** `running` with the values of `read` for the options of these names. @throws ConfigError */
  merge(running: Config, read: Config, names: ReadonlySet<string>): Config {
    const values: OptionValues = new Map(running.given);
    for (const name of names) {
      const value = read.given.get(name);
      if (value === undefined) values.delete(name);
      else values.set(name, value);
    }
    const { interfaceSections } = names.has('interfaces-config') ? read : running;
    const { templates } = (names.has('templates') ? read : running).control;
    const reader = new OptionReader(values, read.configFile, read.warnings, {
      interfaces: interfaceSections,
      templates,
    });
    return typed(reader, { env: this.env, host: this.host });
  }
}
