/** What the operator's command line sees of the daemon. */
import type { LimitConfig } from '../config/config.js';
import type { LogSubsystem } from '../config/subsystems.js';
import { CallIndex } from '../media/call-index.js';
import type { CallState, Endpoint, Participant } from '../media/call-state.js';
import { inSlices } from '../media/slices.js';
import type { AddonProcess } from '../native/process.js';
import { tagType } from '../observe/cdr.js';
import type { Explanation } from '../observe/explain/explain.js';
import type { Counters } from '../observe/counters.js';
import type { Log } from '../observe/log.js';
import { messageWithoutKeys } from '../observe/dump.js';
import { heardCodec } from '../observe/query-reply.js';
import type { NgExchange } from '../observe/ng-memory.js';
import type { RecentLine } from '../observe/recent-lines.js';
import { statisticsSections, type ReadGauges } from '../observe/statistics.js';
import type { CallService } from './calls/call-service.js';
import type { Clock } from './clocks.js';
import type { Drain } from './drain.js';
import type { LiveConfig, RedisSettings } from './live-config.js';
import type { NodeStatus } from './node-status.js';
import { callStreams } from './listed-streams.js';
import type { CaptureAnswer } from './cli/capture-file.js';
import type { KeysAnswer } from './cli/decrypt.js';
import type { CallStreams } from './cli/streams.js';
import { bothForms, parameterLines } from './cli/parameters.js';
import type {
  CliCall,
  CliInterface,
  CliKernel,
  CliMedia,
  CliParticipant,
  CliSession,
  CliSessionCounts,
  CliSetting,
  CliStatistics,
  CliTarget,
  ParameterLines,
} from './cli/target.js';

/** Each once. */
const tagsOf = (participants: Iterable<Participant> = []): readonly string[] => [
  ...new Set([...participants].map(({ tag }) => tag ?? '')),
];

export interface CliTargetParts {
  readonly calls: CallService;
  readonly log: Log;
  readonly live: LiveConfig;
  /** TOS byte of what the NG ports send. */
  readonly controlTos: { get(): number; set(tos: number): void };
  /** Limits of the process. */
  readonly process: Pick<AddonProcess, 'openFiles' | 'setOpenFiles'>;
  readonly counters: Counters;
  readonly gauges: ReadGauges;
  readonly clock: Clock;
  /** Databases of other nodes. */
  readonly keyspaces: {
    readonly followed: () => readonly number[];
    readonly follow: (database: number) => void;
    readonly unfollow: (database: number) => Promise<boolean>;
  };
  /** As `CliTarget.switchRedis`. */
  readonly switchRedis: (on: boolean) => boolean;
  readonly drain: Drain;
  /** As `CliTarget.upgrade`. */
  readonly upgrade: () => boolean;
  readonly explain: (callId: string) => Explanation | null;
  readonly kernel: () => Promise<CliKernel | null>;
  readonly status: () => NodeStatus;
  /** As `CliTarget.replay`. */
  readonly replay: CliTarget['replay'];
  /** NG messages of a call, as far as they are kept. */
  readonly exchanges: (callId: string) => readonly NgExchange[];
  readonly ngAddress: () => Endpoint;
}

/** Settings kept in the limits; the others are fixed while the daemon runs. */
const limitNames: Partial<Record<CliSetting, keyof LimitConfig>> = {
  maxsessions: 'maxSessions',
  maxcpu: 'maxCpuPercent',
  maxload: 'maxLoad',
  maxbw: 'maxBandwidthBytesPerSecond',
  timeout: 'timeoutSeconds',
  silenttimeout: 'silentTimeoutSeconds',
  offertimeout: 'offerTimeoutSeconds',
  finaltimeout: 'finalTimeoutSeconds',
  deletedelay: 'deleteDelaySeconds',
};

/** Settings of the connections to Redis. */
const redisNames: Partial<Record<CliSetting, keyof RedisSettings>> = {
  redisallowederrors: 'allowedErrors',
  redisdisabletime: 'disableTimeSeconds',
  redisconnecttimeout: 'connectTimeoutMs',
  rediscmdtimeout: 'commandTimeoutMs',
};

/** As the option table has them, for a daemon without Redis. */
const redisDefaults: RedisSettings = {
  allowedErrors: -1,
  disableTimeSeconds: 10,
  connectTimeoutMs: 1000,
  commandTimeoutMs: 0,
};

/** What rtpengine does not go below either. */
const leastOpenFiles = 65_536;

export class DaemonCliTarget implements CliTarget {
  readonly #parts: CliTargetParts;
  /** The call whose keys were told last. */
  #toldKeysOf: string | null = null;
  /** What was configured last, under the names of the start and of now. */
  #read: ReturnType<typeof bothForms>;

  constructor(parts: CliTargetParts) {
    this.#parts = parts;
    this.#read = bothForms(parts.live.config, this);
    parts.live.onRead(() => {
      const { limits, redis, log } = parts.live.config;
      this.#read = bothForms(parts.live.config, {
        setting: (name) => this.#configured(name, limits, redis),
        logLevel: (subsystem) => log.levels.get(subsystem) ?? this.logLevel(subsystem),
      });
    });
  }

  sessionCounts(): CliSessionCounts {
    const { calls } = this.#parts;
    const { families } = calls.table.tally;
    const own = calls.table.ownCount;
    return { own, foreign: calls.table.calls.size - own, transcodedMedia: 0, ...families };
  }

  *sessions(): Iterable<CliSession> {
    const { calls, clock } = this.#parts;
    const offset = clock.wallOffsetMicros();
    for (const state of calls.table.calls.values()) yield sessionOf(state, offset);
  }

  call(callId: string): CliCall | null {
    const { calls, clock } = this.#parts;
    const state = calls.table.call(callId);
    if (state === null) return null;
    const now = clock.nowMicros();
    const offset = clock.wallOffsetMicros();
    const relations = new CallIndex(state).relations();
    return {
      ...sessionOf(state, offset),
      tos: state.tos,
      lastSignalSeconds: Math.floor((state.lastSignalMicros + offset) / 1e6),
      participants: state.participants.map((participant, position): CliParticipant => {
        const medias = state.medias.filter((media) => media.participantId === participant.id);
        const related = relations.get(participant.id);
        return {
          tag: participant.tag ?? '',
          role: tagType(participant, related, position),
          label: participant.label ?? '',
          viaBranch: participant.viaBranch ?? '',
          durationSeconds: (now - participant.createdMicros) / 1e6,
          subscribedTo: tagsOf(related?.sources.keys()),
          subscribers: tagsOf(related?.subscribers.keys()),
          medias: medias.map((media) => this.#media(state, media)),
        };
      }),
    };
  }

  #media(state: CallState, media: CallState['medias'][number]): CliMedia {
    const { calls, clock } = this.#parts;
    const offset = clock.wallOffsetMicros();
    const statistics = calls.table.statisticsOf(state.callId);
    const current = new Map(statistics.streams.map((entry) => [entry.streamId, entry]));
    return {
      index: media.index,
      type: media.type,
      protocol: media.protocol,
      codec: heardCodec(state, media, statistics),
      ports: media.streams.flatMap((id) => {
        const stream = state.streams.find((entry) => entry.id === id);
        if (stream === undefined) return [];
        const socket = state.sockets.find((entry) => entry.id === stream.selectedSocket);
        const now = current.get(id);
        const local: Endpoint =
          socket === undefined
            ? { address: '', port: 0 }
            : { address: calls.table.localAddressOf(socket), port: socket.port };
        const last = Math.max(now?.lastPacketMicros ?? 0, stream.lastPacketMicros);
        return [
          {
            local,
            remote: now?.endpoint ?? stream.endpoint,
            rtcp: stream.component === 2,
            ssrc: now?.ssrc ?? null,
            packets: now?.packets ?? 0,
            bytes: now?.bytes ?? 0,
            errors: now?.errors ?? 0,
            lastPacketSeconds: Math.floor((last + offset) / 1e6),
          },
        ];
      }),
    };
  }

  streams(): { readonly atMicros: number; readonly calls: Iterable<CallStreams> } {
    return { atMicros: this.#parts.clock.nowMicros(), calls: this.#callStreams() };
  }

  *#callStreams(): Generator<CallStreams> {
    const { calls, clock } = this.#parts;
    for (const callId of [...calls.table.calls.keys()]) {
      const state = calls.table.call(callId);
      // It may have ended since.
      if (state === null) continue;
      const statistics = calls.table.statisticsOf(callId);
      yield callStreams(state, statistics, clock.nowMicros(), calls.table.localAddressOf);
    }
  }

  explain(callId: string): Explanation | null {
    return this.#parts.explain(callId);
  }

  addInterface(text: string): Promise<string | null> {
    return this.#parts.live.addInterface(text);
  }

  removeInterface(name: string): string | null {
    // In one go, so that no call begins to use it meanwhile; without a copy of each call's lists.
    for (const { sockets, medias } of this.#parts.calls.table.calls.values()) {
      for (const { logicalInterface } of medias)
        if (logicalInterface === name) return 'calls use it';
      for (const { logicalInterface } of sockets)
        if (logicalInterface === name) return 'calls use it';
    }
    return this.#parts.live.removeInterface(name);
  }

  interfaces(): readonly CliInterface[] {
    return this.#parts.gauges().interfaces.map((entry) => ({
      name: entry.name,
      address: entry.address,
      portMin: entry.portMin,
      portMax: entry.portMax,
      portsUsed: entry.used,
      lastPort: entry.last,
    }));
  }

  statistics(): CliStatistics {
    const sections = statisticsSections(this.#parts.counters, this.#parts.gauges());
    return { ...sections, interfaces: sections.interfaces.map(plain) };
  }

  setting(name: CliSetting): number {
    const { live, process } = this.#parts;
    if (name === 'maxopenfiles') return process.openFiles()[0];
    if (name === 'controltos') return this.#parts.controlTos.get();
    return this.#configured(name, live.limits, live.redis);
  }

  #configured(name: CliSetting, limits: LimitConfig, redis: RedisSettings | null): number {
    const limit = limitNames[name];
    if (limit !== undefined) return limits[limit];
    const setting = redisNames[name];
    if (setting !== undefined) return (redis ?? redisDefaults)[setting];
    return name === 'controltos' ? this.#parts.live.config.control.controlTos : 0;
  }

  changeSetting(name: CliSetting, value: number): string | null {
    const { live, process } = this.#parts;
    if (name === 'maxopenfiles') {
      if (value < leastOpenFiles) return `can't set it under ${leastOpenFiles}`;
      const errno = process.setOpenFiles(value);
      return errno === 0 ? null : `errno = ${errno}`;
    }
    if (name === 'controltos') {
      this.#parts.controlTos.set(value);
      return null;
    }
    const limit = limitNames[name];
    const setting = redisNames[name];
    if (limit !== undefined) live.limits[limit] = value;
    else if (setting === undefined) return 'it cannot be changed while the daemon runs';
    else if (live.redis === null) return 'there is no Redis';
    else live.changeRedis({ [setting]: value });
    return null;
  }

  switchRedis(on: boolean): boolean {
    return this.#parts.switchRedis(on);
  }

  recentLines(callId: string): readonly RecentLine[] {
    return this.#parts.log.recentOf(callId);
  }

  logLevel(subsystem: LogSubsystem): number {
    return this.#parts.log.level(subsystem);
  }

  setLogLevel(subsystem: LogSubsystem, level: number): void {
    this.#parts.log.setLevel(subsystem, level);
  }

  setCallDebug(callId: string, on: boolean): boolean {
    if (this.#parts.calls.table.call(callId) === null) return false;
    this.#parts.log.setCallDebug(callId, on);
    return true;
  }

  terminateCall(callId: string): boolean {
    if (this.#parts.calls.table.call(callId) === null) return false;
    void this.#parts.calls.ending.close(callId, 'forced');
    return true;
  }

  terminateCalls(which: 'all' | 'own' | 'foreign'): Promise<void> {
    const { table, ending } = this.#parts.calls;
    // Those of this moment.
    return inSlices([...table.calls.keys()], (callId) => {
      const ownership = table.call(callId)?.ownership;
      if (which === 'all' || which === ownership) void ending.close(callId, 'forced');
    });
  }

  keyspaces(): readonly number[] {
    return this.#parts.keyspaces.followed();
  }

  follow(database: number): boolean {
    if (this.#parts.live.redis === null || this.keyspaces().includes(database)) return false;
    this.#parts.keyspaces.follow(database);
    return true;
  }

  unfollow(database: number): Promise<boolean> {
    return this.#parts.keyspaces.unfollow(database);
  }

  makeAll(ownership: 'own' | 'foreign'): Promise<void> {
    const { calls } = this.#parts;
    return ownership === 'own' ? calls.ownership.takeOverAll() : calls.ownership.giveUpAll();
  }

  capture(callId: string): CaptureAnswer | null {
    const { calls, live, exchanges, ngAddress } = this.#parts;
    const state = calls.table.call(callId);
    const kept = exchanges(callId);
    if (state === null && kept.length === 0) return null;
    const open = (state?.sockets ?? []).filter((socket) => socket.open);
    const { captureDecrypt } = live.config.media;
    const message = (bytes: Buffer): string =>
      (captureDecrypt ? bytes : messageWithoutKeys(bytes)).toString('base64');
    return {
      callId,
      ports: open.map((socket) => ({
        address: calls.table.localAddressOf(socket),
        port: socket.port,
      })),
      ng: ngAddress(),
      exchanges: kept.map(({ atMicros, source, query, reply }) => ({
        ...{ atMicros, source },
        query: message(query),
        reply: message(reply),
      })),
    };
  }

  srtpKeys(callId: string): KeysAnswer | string | null {
    const { calls, live, log } = this.#parts;
    if (!live.config.media.captureDecrypt) return 'the option capture-decrypt permits it';
    const ports = calls.table.capturedKeys(callId);
    if (ports === null) return null;
    // A capture asks again and again.
    if (this.#toldKeysOf !== callId) {
      log.notice('control', 'The keys of its SRTP were told to the operator (capture)', callId);
    }
    this.#toldKeysOf = callId;
    return { ports };
  }

  replay(): ReturnType<CliTarget['replay']> {
    return this.#parts.replay();
  }

  status(): NodeStatus {
    return this.#parts.status();
  }

  kernel(): Promise<CliKernel | null> {
    return this.#parts.kernel();
  }

  reload(): Promise<readonly string[]> {
    return this.#parts.live.reload();
  }

  processId(): number {
    return process.pid;
  }

  drain(timeoutSeconds: number | null): void {
    this.#parts.drain.begin(timeoutSeconds ?? this.#parts.live.limits.drainTimeoutSeconds);
  }

  upgrade(): boolean {
    return this.#parts.upgrade();
  }

  cancelDrain(): boolean {
    return this.#parts.drain.cancel();
  }

  parameters(when: 'start' | 'configured' | 'current'): ParameterLines {
    if (when !== 'current') return this.#read[when === 'start' ? 'start' : 'current'];
    return parameterLines(this.#parts.live.config, this, 'current');
  }

  revertParameters(): void {
    this.#parts.live.revert();
  }
}

/** @param offset from the moments of `state` to the wall clock, µs. */
function sessionOf(state: CallState, offset: number): CliSession {
  return {
    callId: state.callId,
    deletionScheduled: state.deletedMicros > 0,
    createdSeconds: Math.floor((state.createdMicros + offset) / 1e6),
    createdFrom: state.createdFrom,
    redisDatabase: state.redisHostedDb,
    foreign: state.ownership === 'foreign',
  };
}

/** Maps to objects, for JSON. */
function plain(value: unknown): unknown {
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, entry]) => [String(key), plain(entry)]));
  }
  return value;
}
