/**
 * Options of features that this version does not have. They are parsed and checked for their type,
 * so that an existing rtpengine configuration goes on starting, and named in one warning line.
 */
import { flag, float, int, later, text, words, type OptionSpec } from './option-spec.js';

const count = { minimum: 0 } as const;
const ms = { unit: 'ms', minimum: 0 } as const;
const s = { unit: 's', minimum: 0 } as const;
/** -1 or 0: rtpengine's own choice. */
const threads = { minimum: -1 } as const;
const path = { placeholder: 'FILE' } as const;
const directory = { placeholder: 'DIRECTORY' } as const;
const port = { minimum: 0, maximum: 65535 } as const;
const secret = { secret: true } as const;

const transports = later(2, 'this option of the control protocols is', [
  int('http-threads', null, 'Threads for HTTP', {
    ...threads,
    defaultText: 'number of CPU cores',
  }),
  int('http-buf-size', null, 'Send buffer of HTTP connections', { ...count, unit: 'kB' }),
  int('ng-client-timeout', 50, 'Time limit of an outgoing NG request', ms),
  int('ng-client-retries', 5, 'Repetitions of an outgoing NG request', count),
]);

const tuning = later(4, 'tuning of the packet path by this option is', [
  int('media-num-threads', null, 'Threads for media players', {
    ...threads,
    defaultText: 'num-threads',
  }),
  int('kernel-num-threads', null, 'Threads of the kernel module', threads),
  int('kernel-slots', null, 'Slots of a kernel table', count),
  int('codec-num-threads', null, 'Threads for transcoding', threads),
  int('thread-stack', 2048, 'Stack of a thread', { ...threads, unit: 'kB' }),
  int('poller-size', 128, 'Events taken at a time', { minimum: 1 }),
  flag('poller-per-thread', 'One poller for each thread'),
  flag('io-uring', 'Use io_uring'),
  int('io-uring-buffers', null, 'Buffers for io_uring', count),
  int('timer-accuracy', 500, 'Accuracy of timers', { ...count, unit: 'µs' }),
  int('max-recv-iters', 50, 'Packets taken from a port at a time', { minimum: 1 }),
  int('socket-cpu-affinity', 0, 'Bind sockets to CPU cores', { minimum: -1 }),
]);

const oneShot = { status: { refused: 'rtprelayd manages no firewall rules' } } as const;

const firewall = later(4, 'management of firewall rules is', [
  text('iptables-chain', null, 'Chain to add rules to'),
  text('nftables-chain', 'rtpengine', 'Own chain'),
  text('nftables-base-chain', 'INPUT', 'Chain to hook into'),
  flag('nftables-append', 'Append instead of prepending'),
  text('nftables-family', 'ip,ip6', 'Families of the rules'),
  flag('nftables-start', 'Add the rules and exit', oneShot),
  flag('nftables-stop', 'Remove the rules and exit', oneShot),
  flag('nftables-status', 'Check the rules and exit', oneShot),
  flag('xtables', 'Use the old iptables interface'),
]);

const crypto = later(2, 'a log of crypto internals is', [
  flag('debug-srtp', 'Log crypto internals'),
]);

const recording = later(3, 'recording is', [
  text('recording-dir', null, 'Spool directory of recordings', directory),
  words('recording-method', 'pcap', 'How to record', ['pcap', 'proc', 'all']),
  words('recording-format', 'raw', 'Frames of a pcap file', ['raw', 'eth']),
  flag('record-egress', 'Record what is sent'),
  flag('record-both', 'Record what is received and what is sent'),
  text('vsc-start-rec', null, 'DTMF code: start recording'),
  text('vsc-stop-rec', null, 'DTMF code: stop recording'),
  text('vsc-pause-rec', null, 'DTMF code: pause recording'),
  text('vsc-start-stop-rec', null, 'DTMF code: start or stop recording'),
  text('vsc-pause-resume-rec', null, 'DTMF code: pause or resume recording'),
  text('vsc-start-pause-resume-rec', null, 'DTMF code: start, pause or resume recording'),
]);

const processing = later(3, 'media processing is', [
  int('jitter-buffer', 0, 'Size of the jitter buffer, 0 off', { ...count, unit: 'packets' }),
  flag('jb-clock-drift', 'Compensate clock drift'),
  flag('jb-adaptive', 'Adapt the size of the jitter buffer'),
  int('jb-adaptive-min', null, 'Smallest adaptive jitter buffer', ms),
  int('jb-adaptive-max', null, 'Largest adaptive jitter buffer', ms),
  int('dtx-delay', 0, 'Time before gaps are filled, 0 off', ms),
  int('max-dtx', 30, 'Longest gap that is filled', s),
  int('dtx-buffer', 10, 'Buffer of the gap filler', { ...count, unit: 'packets' }),
  int('dtx-lag', 100, 'Lag of the gap filler', ms),
  int('dtx-shift', 5, 'Step on over- or underrun', ms),
  text('dtx-cn-params', null, 'Comfort noise in gaps', { list: true }),
  words('amr-dtx', null, 'Silence in AMR', ['native', 'CN']),
  words('evs-dtx', null, 'Silence in EVS', ['native', 'CN']),
  float('silence-detect', 0, 'Level taken as silence, 0 off', {
    unit: '%',
    minimum: 0,
    maximum: 100,
  }),
  text('cn-payload', null, 'Comfort noise that replaces silence', { list: true }),
  flag('dtmf-no-suppress', 'Let audio through during DTMF events'),
  int('dtmf-digit-delay', 2500, 'Time between the digits of a trigger', ms),
  text('transcode-config', null, 'Section with transcoding rules'),
  text('evs-lib-path', null, 'EVS library', path),
  text('codec-chain-lib-path', null, 'External codec library', path),
  int('codec-chain-runners', null, 'Runners of a codec', count),
  int('codec-chain-concurrency', null, 'Jobs of a runner', count),
  int('codec-chain-interval', null, 'Time between runs', { ...count, unit: 'µs' }),
  int('codec-chain-async', null, 'Callback threads', count),
  flag('codec-chain-nonblock', 'Do not wait for results'),
  text('codec-chain-opus-application', null, 'Opus mode'),
  int('codec-chain-opus-complexity', null, 'Opus complexity', {
    placeholder: '0-10',
    minimum: 0,
    maximum: 10,
  }),
  text('moh-attr-name', null, 'Attribute added on hold'),
  int('moh-max-duration', 1800000, 'Longest music on hold', ms),
  int('moh-max-repeats', 999, 'Repetitions of music on hold', count),
  flag('moh-prevent-double-hold', 'Skip when the attribute is there'),
]);

const playback = later(3, 'playback is', [
  words('audio-player', 'on-demand', 'When the audio player is used', [
    'on-demand',
    'play-media',
    'transcoding',
    'always',
  ]),
  int('audio-buffer-length', 500, 'Mixing buffer', ms),
  int('audio-buffer-delay', 5, 'Initial fill of the mixing buffer', ms),
  flag('player-cache', 'Keep encoded media in memory'),
  int('kernel-player', null, 'Streams played by the kernel', count),
  int('kernel-player-media', 128, 'Files played by the kernel', count),
  text('preload-media-files', null, 'Files to preload', { list: true }),
  int('media-files-reload', null, 'Refresh interval of files', s),
  int('media-files-expire', null, 'Age limit of files', s),
  int('expiry-timer', null, 'Interval of expiry runs', s),
  text('mysql-host', null, 'Server of the media database'),
  int('mysql-port', null, 'Its port', port),
  text('mysql-user', null, 'Its user'),
  text('mysql-pass', null, 'Its password', secret),
  text('mysql-query', null, 'Query that returns the media'),
  text('preload-db-media', null, 'Database media to preload to memory', { list: true }),
  int('db-media-reload', null, 'Refresh interval of database media', s),
  int('db-media-expire', null, 'Age limit of database media', s),
  text('db-media-cache', null, 'Directory of cached database media', directory),
  text('preload-db-cache', null, 'Database media to preload to files', { list: true }),
  int('db-cache-reload', null, 'Refresh interval of cached files', s),
  int('db-cache-expire', null, 'Age limit of cached files', s),
]);

const telemetry = later(3, 'export of this telemetry is', [
  text('janus-secret', null, 'Janus admin secret', secret),
]);

/** Groups without effect in this version, by title. */
export const laterOptions: readonly (readonly [string, readonly OptionSpec[]])[] = [
  ['More of the control protocols (no effect yet)', transports],
  ['Tuning (no effect)', tuning],
  ['Firewall (no effect)', firewall],
  ['Crypto (no effect yet)', crypto],
  ['Recording (no effect yet)', recording],
  ['Media processing (no effect yet)', processing],
  ['Playback (no effect yet)', playback],
  ['More telemetry (no effect yet)', telemetry],
];
