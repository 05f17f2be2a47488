/** `MediaRelay` over the C++ addon. Everything else sees the interface, so that it can be tested without it. */
import { availableParallelism } from 'node:os';
import type { Endpoint } from '../media/call-state.js';
import { PlanEncoder, dropReasons } from '../media/plan-codec.js';
import { nothingHeard } from '../media/relay.js';
import type {
  AddressCounters,
  CallStatistics,
  DialledDigit,
  DropReason,
  DtlsStatus,
  IceStatus,
  MediaPlan,
  PlanVersion,
  MediaRelay,
  PortFailureCause,
  ReconcileResult,
  RelayEvent,
  RelayTotals,
  RtcpCopy,
  SampleSums,
  SourceCounts,
  SrtpIndexes,
  StreamCounters,
  StreamGlance,
  StreamSource,
  StreamStatistics,
  StreamTrace,
  TransportPlan,
} from '../media/relay.js';
import { forgetOldest } from '../media/remembered.js';
import { srtpSuiteNames } from '../media/sdes/suites.js';
import { loadRelayAddon, messageOf, NativeRelayError } from './addon.js';
import { startReplay, type AddonReplay, type ReplayStart, type ReplayStatus } from './replay.js';

/** How the operating system schedules threads. */
export interface ThreadScheduling {
  /** sched(7); `default`: the policy that they have. */
  readonly policy: SchedulingPolicy;
  /** Of a real-time policy its priority, of others the nice value; null: 1, or the one that they have. */
  readonly priority: number | null;
}

/** Their numbers are the kernel's (sched_setscheduler(2)). */
const schedulingPolicies = { default: -1, other: 0, fifo: 1, rr: 2, batch: 3, idle: 5 } as const;
export type SchedulingPolicy = keyof typeof schedulingPolicies;

const unchanged: ThreadScheduling = { policy: 'default', priority: null };
const later: ThreadScheduling = { policy: 'default', priority: 10 };

export interface NativeRelayOptions {
  /** Threads of the packet path, 1-64. Default: the number of processors available. */
  readonly workers?: number;
  /** Nothing is read or sent until `activate`. Default false. */
  readonly dormant?: boolean;
  /** Bind addresses that the machine does not have (yet), e.g. a virtual address. Default false. */
  readonly freeBind?: boolean;
  /**
   * Added to CLOCK_MONOTONIC it gives the moments of packets, µs; they do not jump with the wall
   * clock. Default: those of the wall clock as it was when the process started.
   */
  readonly epochMicros?: number;
  /** How receiver reports are rated. Default: conversational quality by G.107. */
  readonly mos?: {
    readonly formula: 'G.107' | 'legacy';
    readonly kind: 'conversational' | 'listening';
  };
  /** Longest datagram of DTLS, bytes, default 1200; OpenSSL's list of cipher suites, null: our own. */
  readonly dtls?: { readonly mtu: number; readonly ciphers: string | null };
  /** Of the packet path; of handshakes. Default: as the process, handshakes a little later. */
  readonly scheduling?: { readonly media: ThreadScheduling; readonly idle: ThreadScheduling };
  /** Where the threads of the packet path run, in turn. Default: anywhere. */
  readonly mediaCpus?: readonly number[];
  /** No packet waits longer for others, µs; 0: none waits. Default 0. */
  readonly coalesceMicros?: number;
  /** Maps of the steering program (`Steering`). Default: each port has a socket of its own. */
  readonly steering?: SteeringMaps;
  /** `startReplay` will be called. Default false. */
  readonly replays?: boolean;
}

/** Descriptors, which the caller closes. */
export interface SteeringMaps {
  readonly ports: number;
  readonly sockets: number;
  readonly blocks: number;
}

/** Position of each number of a stream, then the drops by reason; as in native/api/relay_object.cc. */
const counter = {
  streamId: 0,
  packets: 1,
  bytes: 2,
  errors: 3,
  packetsOut: 4,
  bytesOut: 5,
  lastPacketMicros: 6,
  ssrc: 7,
  port: 8,
  confirmed: 9,
  received: 10,
  /** Four times SSRC and payload type. */
  sources: 11,
  drops: 19,
} as const;
const countersPerStream = counter.drops + dropReasons.length;

/** Position of each number of a stream in a glance; as in native/api/relay_object.cc. */
const glanced = {
  ...({
    streamId: 0,
    packets: 1,
    bytes: 2,
    errors: 3,
    packetsOut: 4,
    lastPacketMicros: 5,
  } as const),
  ...({ lost: 6, reportedAt: 7, lossPercent: 8, jitterMs: 9, mos: 10, roundTrip: 11 } as const),
} as const;
const numbersPerGlance = 12;

function streamGlance(counters: Float64Array, at: number): StreamGlance {
  const number = (position: number): number => counters[at + position] ?? 0;
  const lost = number(glanced.lost);
  const reportedAtSeconds = number(glanced.reportedAt);
  return {
    streamId: number(glanced.streamId),
    packets: number(glanced.packets),
    bytes: number(glanced.bytes),
    errors: number(glanced.errors),
    kernelPackets: 0,
    packetsOut: number(glanced.packetsOut),
    lastPacketMicros: number(glanced.lastPacketMicros),
    lost: lost < 0 ? null : lost,
    report:
      reportedAtSeconds === 0
        ? null
        : {
            reportedAtSeconds,
            packetLossPercent: number(glanced.lossPercent),
            jitterMs: number(glanced.jitterMs),
            mos: number(glanced.mos),
            roundTripMicros: number(glanced.roundTrip),
          },
  };
}

interface NativeFailure {
  readonly portId: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly errno: string;
}

interface NativeEvent {
  readonly callId: string;
  readonly transportId: number;
  /**
   * 1 first packet, 2 endpoint learned, 4 packets could not be sent, 16 ICE route, 32 ICE status; alone: 8
   * SRTP indexes, 64 DTLS status, 128 digit, 256 SSRC learned.
   */
  readonly bits: number;
  readonly generation: number;
  readonly endpoint: Endpoint | null;
  readonly confirmed: boolean;
  /** With bit 4. */
  readonly sendFailures?: number;
  readonly sendErrno?: string;
  /** With bit 8, and then none of the others. -1: none. */
  readonly sends?: boolean;
  readonly former?: boolean;
  readonly ssrc?: number;
  readonly rtpIndex?: number;
  readonly rtcpIndex?: number;
  readonly offset?: number;
  /** With bit 128 or 256, and then beside `ssrc` alone. */
  readonly streamId?: number;
  readonly digit?: number;
  readonly volume?: number;
  readonly durationUnits?: number;
  /** With bit 16 or 32. */
  readonly portId?: number;
  readonly priority?: number;
  readonly iceStatus?: number;
  readonly controlling?: boolean;
  /** With bit 64, and then beside `generation` alone; the rest where it is keyed. */
  readonly dtlsStatus?: number;
  readonly suite?: number;
  readonly send?: { readonly key: Buffer; readonly salt: Buffer };
  readonly receive?: { readonly key: Buffer; readonly salt: Buffer };
  readonly certificate?: Buffer;
}

/** Address of each stream's endpoint, absent without one. */
type NativeHosts = readonly (string | undefined)[];

interface NativeStatistics {
  readonly hosts: NativeHosts;
  readonly ssrcs: CallStatistics['ssrcs'];
  /** Sources of streams that have theirs counted. */
  readonly counted: readonly CountedSource[];
}

const isHosts = (result: NativeStatistics | NativeHosts): result is NativeHosts =>
  Array.isArray(result);

const noSsrcs: CallStatistics['ssrcs'] = [];
const noneCounted: readonly CountedSource[] = [];

const withHostsAlone = (hosts: NativeHosts): NativeStatistics => ({
  hosts,
  ssrcs: noSsrcs,
  counted: noneCounted,
});

interface CountedSource extends SourceCounts {
  readonly streamId: number;
  readonly ssrc: number;
  /** -1: none. */
  readonly payloadType: number;
}

/** native/api/relay_object.h */
interface AddonRelay extends AddonReplay {
  activate(): void;
  replayLeft(): number;
  rebase(callId: string, counters: Float64Array): void;
  pause(): void;
  paused(): void;
  resume(path: string, pins?: string): number;
  releaseResumed(): number;
  /** Nothing: done. A string: the plan is invalid. A list: these ports could not be opened. */
  reconcile(plan: Buffer, length: number): undefined | string | readonly NativeFailure[];
  /** Fills `counters`; a number: how many are needed. null: no such call. The hosts alone: there is nothing but these. */
  statistics(
    callId: string,
    counters: Float64Array,
  ): NativeStatistics | NativeHosts | number | null;
  /** Fills `counters` as far as all fit; how many there are. -1: no such call. */
  glance(callId: string, counters: Float64Array): number;
  /** Five numbers for each stream that something came to, as far as all fit; how many there are. */
  counters(callId: string, counters: Float64Array): number;
  keepPorts(callIds: readonly string[]): void;
  requestKeyFrames(callId: string): boolean;
  /** Stream, event, volume, payload type, duration, pause, frame, told (0, 1). */
  dial(callId: string, digit: Uint32Array): boolean;
  lastPacket(callId: string): number;
  activeStreams(): number;
  totals(): RelayTotals;
  /** In the order of `addressCountersOf`. */
  byAddress(): readonly { readonly address: string; readonly counters: Float64Array }[];
  /** By position in `dropReasons`. */
  drops(): readonly number[];
  traces(callId: string): readonly StreamTrace[];
  onRtcp(listener: (copies: readonly RtcpCopy[]) => void): void;
  onEvents(listener: (events: readonly NativeEvent[]) => void): void;
  bindPorts(): void;
  expectPorts(hosts: readonly string[], ports: readonly number[]): void;
  releaseLeftPorts(): number;
  close(): void;
}

interface Addon {
  trySchedulingOfThread(policy: number, priority?: number, cpu?: number): string | null;
  readonly Relay: new (
    workers: number,
    freeBind: boolean,
    epochMicros: number,
    legacyMos: boolean,
    listeningMos: boolean,
    dormant: boolean,
    dtlsMtu: number,
    dtlsCiphers: string,
    mediaPolicy: number,
    mediaPriority: number | undefined,
    idlePolicy: number,
    idlePriority: number | undefined,
    mediaCpus: Int32Array,
    portsMap?: number,
    socketsMap?: number,
    blocksMap?: number,
    replays?: boolean,
    coalesceMicros?: number,
  ) => AddonRelay;
}

const firstPacketBit = 1;
const endpointLearnedBit = 2;
const sendFailedBit = 4;
const srtpIndexBit = 8;
const iceSelectedBit = 16;
const iceStatusBit = 32;
const dtlsStatusBit = 64;
const digitEndedBit = 128;
const ssrcLearnedBit = 256;
const plainHeardBit = 512;
const maxWorkers = 64;
/** Large calls of which the addon is told what changes. */
const maxVersions = 16;
/** It has no plan that can be changed so (native/core/plan.cc). */
const unknownPlan = 'the plan that it changes is not known';

/** In the order of native/ice/agent.h. */
const iceStatuses: readonly IceStatus[] = ['checking', 'connected', 'disconnected', 'failed'];
/** In the order of native/dtls/session.h; a handshake that goes on is not told. */
const dtlsStatuses: readonly (DtlsStatus | null)[] = [
  ...([null, 'unverified', 'keyed', 'refused', 'failed', 'closed'] as const),
];

/** By its name in any case; `none` is `default`. null: there is none. */
export function schedulingPolicyNamed(word: string): SchedulingPolicy | null {
  const name = word.toLowerCase();
  if (name === 'none') return 'default';
  return Object.hasOwn(schedulingPolicies, name) ? (name as SchedulingPolicy) : null;
}

/** Why threads of this process cannot be scheduled like that; null: they can. */
export function schedulingRefusal({ policy, priority }: ThreadScheduling): string | null {
  const addon = loadRelayAddon() as Addon;
  return addon.trySchedulingOfThread(schedulingPolicies[policy], priority ?? undefined);
}

/** Why no thread of this process can run on that processor; null: it can. */
export function processorRefusal(cpu: number): string | null {
  const addon = loadRelayAddon() as Addon;
  return addon.trySchedulingOfThread(schedulingPolicies.default, undefined, cpu);
}

function causeOf(errno: string): PortFailureCause {
  switch (errno) {
    case 'EADDRINUSE':
      return 'port-busy';
    case 'EADDRNOTAVAIL':
      return 'address-not-local';
    case 'EMFILE':
    case 'ENFILE':
      return 'fd-limit';
    case 'EACCES':
    case 'EPERM':
      return 'permission';
    default:
      return 'system-error';
  }
}

const noSources: readonly StreamSource[] = [];

function sourcesOf(counters: Float64Array, at: number): readonly StreamSource[] {
  let sources: StreamSource[] | null = null;
  for (let index = at; index < at + counter.drops - counter.sources; index += 2) {
    const ssrc = counters[index] ?? -1;
    const payloadType = counters[index + 1] ?? -1;
    if (ssrc < 0) continue;
    sources ??= [];
    sources.push({ ssrc, payloadType: payloadType < 0 ? null : payloadType, counts: null });
  }
  return sources ?? noSources;
}

const countedSource = (source: CountedSource): StreamSource => {
  const { streamId: _streamId, ssrc, payloadType, ...counts } = source;
  return { ssrc, payloadType: payloadType < 0 ? null : payloadType, counts };
};

const nothingDropped: StreamStatistics['drops'] = {};

function dropsOf(counters: Float64Array, at: number): StreamStatistics['drops'] {
  let drops: Partial<Record<DropReason, number>> | null = null;
  for (let index = 0; index < dropReasons.length; index++) {
    const count = counters[at + index] ?? 0;
    const reason = dropReasons[index];
    if (count === 0 || reason === undefined) continue;
    drops ??= {};
    drops[reason] = count;
  }
  return drops ?? nothingDropped;
}

function streamStatistics(
  counters: Float64Array,
  at: number,
  host: string | undefined,
): StreamStatistics {
  const number = (position: number): number => counters[at + position] ?? 0;
  const ssrc = number(counter.ssrc);
  return {
    streamId: number(counter.streamId),
    packets: number(counter.packets),
    bytes: number(counter.bytes),
    errors: number(counter.errors),
    kernelPackets: 0,
    kernelBytes: 0,
    packetsOut: number(counter.packetsOut),
    bytesOut: number(counter.bytesOut),
    lastPacketMicros: number(counter.lastPacketMicros),
    ssrc: ssrc < 0 ? null : ssrc,
    sources: sourcesOf(counters, at + counter.sources),
    endpoint: host === undefined ? null : { address: host, port: number(counter.port) },
    confirmed: number(counter.confirmed) !== 0,
    received: number(counter.received) !== 0,
    drops: dropsOf(counters, at + counter.drops),
  };
}

/** What `NativeRelay.statistics` says of streams on which nothing has come yet. */
export function silentStreams(plans: readonly TransportPlan[]): CallStatistics {
  const counters = new Float64Array(countersPerStream);
  const streams: StreamStatistics[] = [];
  for (const { id, remote } of plans) {
    counters[counter.streamId] = id;
    counters[counter.ssrc] = -1;
    counters[counter.port] = remote.endpoint?.port ?? -1;
    counters.fill(-1, counter.sources, counter.drops);
    streams.push(streamStatistics(counters, 0, remote.endpoint?.address));
  }
  return { streams, ssrcs: [] };
}

function dtlsStatusEvent(event: NativeEvent): RelayEvent | null {
  const { callId, transportId, generation, send, receive, certificate } = event;
  const status = dtlsStatuses[event.dtlsStatus ?? 0] ?? null;
  if (status === null) return null;
  const suite = srtpSuiteNames[event.suite ?? -1];
  const keys =
    suite === undefined || send === undefined || receive === undefined || certificate === undefined
      ? null
      : { suite, send, receive, certificate };
  return { type: 'dtls-status', callId, transportId, generation, status, keys };
}

/** The route before the status: whoever is told that it is connected knows where. */
function iceEvents(event: NativeEvent): RelayEvent[] {
  const { callId, transportId, bits, endpoint, portId = -1, priority = 0 } = event;
  const events: RelayEvent[] = [];
  if ((bits & iceSelectedBit) !== 0 && endpoint !== null)
    events.push({ type: 'ice-selected', callId, transportId, portId, endpoint, priority });
  const status = iceStatuses[event.iceStatus ?? -1];
  if ((bits & iceStatusBit) !== 0 && status !== undefined) {
    const controlling = event.controlling === true;
    events.push({ type: 'ice-status', callId, transportId, status, controlling });
  }
  return events;
}

function relayEvents(batch: readonly NativeEvent[]): RelayEvent[] {
  const events: RelayEvent[] = [];
  for (const event of batch) {
    const { callId, transportId, bits, generation, endpoint, confirmed } = event;
    if ((bits & srtpIndexBit) !== 0) {
      const { sends, former, ssrc = 0, rtpIndex = -1, rtcpIndex = -1, offset = 0 } = event;
      const indexes: SrtpIndexes = {
        ssrc,
        rtp: rtpIndex < 0 ? null : rtpIndex,
        rtcp: rtcpIndex < 0 ? null : rtcpIndex,
        offset,
      };
      const direction = sends === true ? 'send' : 'receive';
      const isFormer = former === true;
      events.push({ type: 'srtp-index', callId, transportId, direction, isFormer, indexes });
      continue;
    }
    if ((bits & ssrcLearnedBit) !== 0) {
      const { streamId = -1, ssrc = 0 } = event;
      events.push({ type: 'ssrc-learned', callId, transportId, streamId, ssrc });
      continue;
    }
    if ((bits & digitEndedBit) !== 0) {
      const { streamId = -1, ssrc = 0, digit = 0, volume = 0, durationUnits = 0 } = event;
      const told = { callId, transportId, streamId, ssrc, digit, volume, durationUnits };
      events.push({ type: 'digit-ended', ...told });
      continue;
    }
    if ((bits & dtlsStatusBit) !== 0) {
      const told = dtlsStatusEvent(event);
      if (told !== null) events.push(told);
      continue;
    }
    if ((bits & (iceSelectedBit | iceStatusBit)) !== 0) events.push(...iceEvents(event));
    if ((bits & firstPacketBit) !== 0) events.push({ type: 'first-packet', callId, transportId });
    if ((bits & plainHeardBit) !== 0) events.push({ type: 'plain-heard', callId, transportId });
    if ((bits & endpointLearnedBit) !== 0 && endpoint !== null) {
      events.push({
        type: 'endpoint-learned',
        callId,
        transportId,
        generation,
        endpoint,
        confirmed,
      });
    }
    if ((bits & sendFailedBit) !== 0) {
      const { sendFailures: packets = 0, sendErrno: errno = '' } = event;
      events.push({ type: 'send-failed', callId, transportId, endpoint, packets, errno });
    }
  }
  return events;
}

/**
 * The native engine. Several may exist at once. Threads and sockets live until `close()`; events
 * alone do not keep the process running.
 */
/** As relay_object.cc writes them. */
function addressCountersOf({
  address,
  counters,
}: {
  readonly address: string;
  readonly counters: Float64Array;
}): AddressCounters {
  const at = (position: number): number => counters[position] ?? 0;
  const sums = (position: number): SampleSums => ({
    total: at(position),
    squares: at(position + 1),
  });
  return {
    ...{ address, packets: at(0), bytes: at(1), errors: at(2) },
    ...{ packetsOut: at(3), bytesOut: at(4) },
    reports: {
      ...{ reports: at(5), jitterMs: sums(6), roundTripMicros: sums(8) },
      ...{ roundTripLegMicros: sums(10), lossPercent: sums(12), rated: at(14), mos: sums(15) },
    },
  };
}

export class NativeRelay implements MediaRelay {
  readonly #relay: AddonRelay;
  readonly #encoder = new PlanEncoder();
  /** Of the plans that the addon has obeyed last, the last one last. */
  readonly #versions = new Map<string, PlanVersion>();
  /** Filled by each `statistics`; grows with the largest call. */
  #counters = new Float64Array(64 * countersPerStream);
  #closed = false;

  /** Throws NativeRelayError when the addon is missing or its threads cannot be started. */
  constructor(options: NativeRelayOptions = {}) {
    const workers = options.workers ?? Math.min(availableParallelism(), maxWorkers);
    if (!Number.isInteger(workers) || workers < 1 || workers > maxWorkers) {
      throw new NativeRelayError('invalid-option', `workers: 1 to ${maxWorkers}, not ${workers}`);
    }
    const { Relay } = loadRelayAddon() as Addon;
    const epochMicros = Math.round(
      options.epochMicros ??
        (performance.timeOrigin + performance.now() - Number(process.hrtime.bigint()) / 1e6) * 1000,
    );
    const { media, idle } = options.scheduling ?? { media: unchanged, idle: later };
    try {
      this.#relay = new Relay(
        workers,
        options.freeBind ?? false,
        epochMicros,
        options.mos?.formula === 'legacy',
        options.mos?.kind === 'listening',
        options.dormant ?? false,
        options.dtls?.mtu ?? 1200,
        options.dtls?.ciphers ?? '',
        schedulingPolicies[media.policy],
        media.priority ?? undefined,
        schedulingPolicies[idle.policy],
        idle.priority ?? undefined,
        Int32Array.from(options.mediaCpus ?? []),
        options.steering?.ports,
        options.steering?.sockets,
        options.steering?.blocks,
        options.replays ?? false,
        options.coalesceMicros,
      );
    } catch (error) {
      throw new NativeRelayError('relay-not-startable', messageOf(error), { cause: error });
    }
  }

  /** Hears the other node and is heard by it from now on. null: done; otherwise why not. */
  startReplay(start: ReplayStart): string | null {
    this.#assertOpen();
    return startReplay(this.#relay, start);
  }

  /** null: there is none. */
  replayStatus(): ReplayStatus | null {
    return this.#relay.replayStatus();
  }

  /** The calls are this process' from now on. Throws NativeRelayError when threads cannot be had. */
  activate(): void {
    this.#assertOpen();
    try {
      this.#relay.activate();
    } catch (error) {
      throw new NativeRelayError('relay-not-startable', messageOf(error), { cause: error });
    }
  }

  /**
   * Relays what an ended process had received and not sent, now that its calls are known; from now on the next
   * process finds ours. How many packets, those of `activate` included.
   */
  replayLeft(): number {
    this.#assertOpen();
    return this.#relay.replayLeft();
  }

  /** What streams have counted in other processes: stream, packets, bytes, errors, last packet (µs) of each. */
  rebase(callId: string, counters: Float64Array): void {
    this.#assertOpen();
    this.#relay.rebase(callId, counters);
  }

  /**
   * Ends with what has been received; from then on packets wait in their sockets, and the thread that calls has a processor before
   * others until `paused`.
   */
  pause(): void {
    this.#assertOpen();
    this.#relay.pause();
  }

  /** Another process has them. */
  paused(): void {
    this.#relay.paused();
  }

  /**
   * Notes in this file from now on what the next process needs to go on with plain calls before it knows them, and
   * goes on with those that an earlier process has noted there, unless an early relay has done so. How many.
   * @param pins the next process may begin so before Node runs (`rtprelay-start`): directory of the maps that ports are
   * steered by, '' without. null: it does not.
   */
  resume(path: string, pins: string | null): number {
    this.#assertOpen();
    return this.#relay.resume(path, pins ?? undefined);
  }

  /** Every call that there is has been reconciled: ends those that `resume` went on with in vain. How many. */
  releaseResumed(): number {
    return this.#closed ? 0 : this.#relay.releaseResumed();
  }

  /** Throws NativeRelayError `invalid-plan` for a plan that contradicts itself. */
  reconcile(plan: MediaPlan): ReconcileResult {
    this.#assertOpen();
    const outcome = this.#outcomeOf(plan);
    if (outcome === undefined) return { ok: true };
    if (typeof outcome === 'string') {
      throw new NativeRelayError('invalid-plan', `media plan of call ${plan.callId}: ${outcome}`);
    }
    return {
      ok: false,
      failures: outcome.map((failure) => ({ ...failure, cause: causeOf(failure.errno) })),
    };
  }

  /** Of a large call that it knows, the addon is told what changes. */
  #outcomeOf(plan: MediaPlan): ReturnType<AddonRelay['reconcile']> {
    const { callId, change } = plan;
    const known = this.#versions.get(callId);
    this.#versions.delete(callId);
    let outcome: ReturnType<AddonRelay['reconcile']> = unknownPlan;
    if (change?.since !== undefined && change.since !== null && change.since === known) {
      const { buffer, length } = this.#encoder.encodeChange(plan, change);
      outcome = this.#relay.reconcile(buffer, length);
    }
    if (outcome === unknownPlan) {
      const { buffer, length } = this.#encoder.encode(plan);
      outcome = this.#relay.reconcile(buffer, length);
    }
    if (outcome !== undefined || change === undefined || change === null) return outcome;
    this.#versions.set(callId, change.version);
    forgetOldest(this.#versions, maxVersions);
    return outcome;
  }

  statistics(callId: string): CallStatistics | null {
    this.#assertOpen();
    let result = this.#relay.statistics(callId, this.#counters);
    if (typeof result === 'number') {
      this.#counters = new Float64Array(result);
      result = this.#relay.statistics(callId, this.#counters);
    }
    if (result === null || typeof result === 'number') return null;
    const { hosts, ssrcs, counted } = isHosts(result) ? withHostsAlone(result) : result;
    const streams: StreamStatistics[] = [];
    for (let index = 0; index < hosts.length; index++) {
      const stream = streamStatistics(this.#counters, index * countersPerStream, hosts[index]);
      if (counted.length === 0) {
        streams.push(stream);
        continue;
      }
      const sources = counted.filter(({ streamId }) => streamId === stream.streamId);
      streams.push(
        sources.length === 0 ? stream : { ...stream, sources: sources.map(countedSource) },
      );
    }
    return { streams, ssrcs };
  }

  glance(callId: string): readonly StreamGlance[] | null {
    this.#assertOpen();
    let numbers = this.#relay.glance(callId, this.#counters);
    if (numbers > this.#counters.length) {
      this.#counters = new Float64Array(numbers);
      numbers = this.#relay.glance(callId, this.#counters);
    }
    if (numbers < 0) return null;
    const streams: StreamGlance[] = [];
    for (let at = 0; at < numbers; at += numbersPerGlance) {
      streams.push(streamGlance(this.#counters, at));
    }
    return streams;
  }

  counters(callId: string): ReadonlyMap<number, StreamCounters> {
    this.#assertOpen();
    let numbers = this.#relay.counters(callId, this.#counters);
    if (numbers > this.#counters.length) {
      this.#counters = new Float64Array(numbers);
      numbers = this.#relay.counters(callId, this.#counters);
    }
    if (numbers === 0) return nothingHeard;
    const counters = new Map<number, StreamCounters>();
    for (let at = 0; at < numbers; at += 5) {
      const [streamId = 0, packets = 0, bytes = 0, errors = 0, lastPacketMicros = 0] =
        this.#counters.subarray(at, at + 5);
      const inKernel = { kernelPackets: 0, kernelBytes: 0 };
      counters.set(streamId, { packets, bytes, errors, lastPacketMicros, ...inKernel });
    }
    return counters;
  }

  keepPorts(callIds: readonly string[]): void {
    this.#assertOpen();
    this.#relay.keepPorts(callIds);
  }

  requestKeyFrames(callId: string): boolean {
    this.#assertOpen();
    return this.#relay.requestKeyFrames(callId);
  }

  dial(callId: string, streamId: number, digit: DialledDigit): boolean {
    this.#assertOpen();
    const { event, volume, payloadType, duration, pause, frame, told } = digit;
    const numbers = [streamId, event, volume, payloadType, duration, pause, frame, told ? 1 : 0];
    return this.#relay.dial(callId, Uint32Array.from(numbers));
  }

  lastPacketMicros(callId: string): number {
    this.#assertOpen();
    return this.#relay.lastPacket(callId);
  }

  activeStreams(): number {
    this.#assertOpen();
    return this.#relay.activeStreams();
  }

  totals(): RelayTotals {
    this.#assertOpen();
    return this.#relay.totals();
  }

  byAddress(): readonly AddressCounters[] {
    this.#assertOpen();
    return this.#relay.byAddress().map(addressCountersOf);
  }

  drops(): StreamStatistics['drops'] {
    this.#assertOpen();
    return dropsOf(Float64Array.from(this.#relay.drops()), 0);
  }

  traces(callId: string): readonly StreamTrace[] {
    this.#assertOpen();
    return this.#relay.traces(callId);
  }

  onEvents(listener: (events: readonly RelayEvent[]) => void): void {
    this.#assertOpen();
    this.#relay.onEvents((batch) => {
      const events = relayEvents(batch);
      if (events.length > 0) listener(events);
    });
  }

  onRtcp(listener: (copies: readonly RtcpCopy[]) => void): void {
    this.#assertOpen();
    this.#relay.onRtcp(listener);
  }

  /** Ports are steered no longer: each gets a socket of its own. */
  bindPorts(): void {
    this.#assertOpen();
    this.#relay.bindPorts();
  }

  /** Ports of calls that are about to be restored: where ports are steered, packets wait from now on. */
  expectPorts(endpoints: readonly Endpoint[]): void {
    this.#assertOpen();
    const hosts = endpoints.map(({ address }) => address);
    this.#relay.expectPorts(
      hosts,
      endpoints.map(({ port }) => port),
    );
  }

  /** All those are restored; ports that no call has are closed. Returns how many. */
  releaseLeftPorts(): number {
    this.#assertOpen();
    return this.#relay.releaseLeftPorts();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#relay.close();
  }

  #assertOpen(): void {
    if (this.#closed) throw new NativeRelayError('relay-closed', 'the relay is closed');
  }
}
