/**
 * `MediaRelay` over the C++ addon. This is the only file that loads the addon; everything else sees
 * the interface, so that it can be tested without a compiler.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Endpoint } from './call-state.js';
import { PlanEncoder, dropReasons } from './plan-codec.js';
import type {
  CallStatistics,
  DropReason,
  MediaPlan,
  MediaRelay,
  PortFailureCause,
  ReconcileResult,
  RelayEvent,
  RelayTotals,
  StreamStatistics,
} from './relay.js';

export type NativeRelayErrorCode =
  | 'addon-not-built'
  | 'addon-not-loadable'
  | 'invalid-plan'
  | 'invalid-option'
  | 'relay-not-startable'
  | 'relay-closed';

/** The native engine cannot do what was asked. `code` is stable. */
export class NativeRelayError extends Error {
  override readonly name = 'NativeRelayError';
  constructor(
    readonly code: NativeRelayErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

export interface NativeRelayOptions {
  /** Threads of the packet path, 1-64. Default: the number of processors available. */
  readonly workers?: number;
  /** Bind addresses that the machine does not have (yet), e.g. a virtual address. Default false. */
  readonly freeBind?: boolean;
  /**
   * Added to CLOCK_MONOTONIC it gives the moments of packets, µs; they do not jump with the wall
   * clock. Default: those of the wall clock as it was when the process started.
   */
  readonly epochMicros?: number;
}

/** Position of each number of a stream, then the drops by reason; as in native/api/relay_object.cc. */
const figure = {
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
  drops: 11,
} as const;
const figuresPerStream = figure.drops + dropReasons.length;

interface NativeFailure {
  readonly socketId: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly errno: string;
}

interface NativeEvent {
  readonly callId: string;
  readonly streamId: number;
  /** 1 first packet, 2 endpoint learned, 4 packets could not be sent. */
  readonly bits: number;
  readonly latchEpoch: number;
  readonly endpoint: Endpoint | null;
  readonly confirmed: boolean;
  /** With bit 4. */
  readonly sendFailures?: number;
  readonly sendErrno?: string;
}

interface NativeStatistics {
  /** Address of each stream's endpoint, absent without one. */
  readonly hosts: readonly (string | undefined)[];
  readonly ssrcs: CallStatistics['ssrcs'];
}

/** native/api/relay_object.h */
interface AddonRelay {
  /** Nothing: done. A string: the plan is invalid. A list: these ports could not be opened. */
  reconcile(plan: Buffer, length: number): undefined | string | readonly NativeFailure[];
  /** Fills `figures`; a number: how many are needed. null: no such call. */
  statistics(callId: string, figures: Float64Array): NativeStatistics | number | null;
  /** call-id, micros, call-id, micros, … */
  lastActivity(): readonly (string | number)[];
  totals(): RelayTotals;
  onEvents(listener: (events: readonly NativeEvent[]) => void): void;
  close(): void;
}

/** Messages that were not taken, and who sent the last of them. */
export interface RefusedMessages {
  /** They did not look like messages, or came from somebody who sends such. */
  readonly malformed: number;
  /** Too many waited already. */
  readonly overflow: number;
  readonly host: string;
  readonly port: number;
}

/** native/api/datagram_socket.h */
interface AddonDatagramSocket {
  start(
    onMessages: (
      lengths: readonly number[],
      hosts: readonly string[],
      ports: readonly number[],
    ) => number,
    onError: (code: string) => void,
  ): void;
  refused(): RefusedMessages | null;
  send(bytes: Buffer, host: string, port: number): boolean;
  address(): { readonly address: string; readonly port: number };
  close(): void;
}

/** Notifications and stored sockets; native/api/service_manager.h. */
interface AddonServiceManager {
  inherit(first: number, count: number): number;
  open(path: string, keepNew: boolean): boolean;
  notify(text: string): boolean;
  openEarly(hosts: readonly string[], ports: readonly number[], freeBind: boolean): void;
  releaseRest(): number;
}

/** What Node lacks of the process itself; native/api/process.cc. */
export interface AddonProcess {
  /** Signals that mean nothing to the daemon no longer end or stop it. */
  ignoreSignals(): void;
  /** A descriptor of the same file for `writeOutput`; may be `fd` itself. */
  openOutput(fd: number): number;
  /** A Unix socket: its descriptor and whether it is a stream; a number: errno. */
  connectOutput(path: string): readonly [fd: number, stream: boolean] | number;
  /** Never waits: bytes taken, 0 when it would have to wait, -errno. */
  writeOutput(fd: number, bytes: Buffer): number;
  /** Limits of open files; Infinity: none. */
  openFiles(): readonly [soft: number, hard: number];
  /** Sets both; 0, or errno. */
  setOpenFiles(count: number): number;
  /** Pages of the C library's heap that nothing lies on go back to the system. */
  releaseMemory(): void;
}

interface Addon {
  readonly serviceManager: AddonServiceManager;
  readonly Relay: new (workers: number, freeBind: boolean, epochMicros: number) => AddonRelay;
  readonly process: AddonProcess;
  readonly DatagramSocket: new (
    host: string,
    port: number,
    receiveBufferBytes: number,
    tos: number,
    memory: Buffer,
    freeBind: boolean,
  ) => AddonDatagramSocket;
}

const firstPacketBit = 1;
const endpointLearnedBit = 2;
const sendFailedBit = 4;
const maxWorkers = 64;

let loadedAddon: Addon | null = null;

/** The folder of the package above this file: the same from src/ and from dist/. */
function packageFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'native')) && !existsSync(join(folder, 'build'))) {
    const parent = dirname(folder);
    if (parent === folder) {
      throw new NativeRelayError(
        'addon-not-built',
        'no folder with the native engine above the program',
      );
    }
    folder = parent;
  }
  return folder;
}

/** What was built from `native/` besides the addons, e.g. the BPF object. */
export function builtFile(...names: readonly string[]): string {
  return join(packageFolder(), 'build', ...names);
}

/** @throws NativeRelayError */
export function loadNative(name: string): unknown {
  const file = builtFile('Release', `${name}.node`);
  if (!existsSync(file)) {
    throw new NativeRelayError(
      'addon-not-built',
      `the native engine is not built: ${file} does not exist; run scripts/build-native`,
    );
  }
  try {
    return createRequire(import.meta.url)(file) as unknown;
  } catch (error) {
    throw new NativeRelayError(
      'addon-not-loadable',
      `the native engine ${file} cannot be loaded: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

function loadAddon(): Addon {
  loadedAddon ??= loadNative('rtprelay') as Addon;
  return loadedAddon;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
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

const nothingDropped: StreamStatistics['drops'] = {};

function dropsOf(figures: Float64Array, at: number): StreamStatistics['drops'] {
  let drops: Partial<Record<DropReason, number>> | null = null;
  for (let index = 0; index < dropReasons.length; index++) {
    const count = figures[at + index] ?? 0;
    const reason = dropReasons[index];
    if (count === 0 || reason === undefined) continue;
    drops ??= {};
    drops[reason] = count;
  }
  return drops ?? nothingDropped;
}

function streamStatistics(
  figures: Float64Array,
  at: number,
  host: string | undefined,
): StreamStatistics {
  const number = (position: number): number => figures[at + position] ?? 0;
  const ssrc = number(figure.ssrc);
  return {
    streamId: number(figure.streamId),
    packets: number(figure.packets),
    bytes: number(figure.bytes),
    errors: number(figure.errors),
    kernelPackets: 0,
    kernelBytes: 0,
    packetsOut: number(figure.packetsOut),
    bytesOut: number(figure.bytesOut),
    lastPacketMicros: number(figure.lastPacketMicros),
    ssrc: ssrc < 0 ? null : ssrc,
    endpoint: host === undefined ? null : { address: host, port: number(figure.port) },
    confirmed: number(figure.confirmed) !== 0,
    received: number(figure.received) !== 0,
    drops: dropsOf(figures, at + figure.drops),
  };
}

function relayEvents(batch: readonly NativeEvent[]): RelayEvent[] {
  const events: RelayEvent[] = [];
  for (const event of batch) {
    const { callId, streamId, bits, latchEpoch, endpoint, confirmed } = event;
    if ((bits & firstPacketBit) !== 0) events.push({ type: 'first-packet', callId, streamId });
    if ((bits & endpointLearnedBit) !== 0 && endpoint !== null) {
      events.push({ type: 'endpoint-learned', callId, streamId, latchEpoch, endpoint, confirmed });
    }
    if ((bits & sendFailedBit) !== 0) {
      const { sendFailures: packets = 0, sendErrno: errno = '' } = event;
      events.push({ type: 'send-failed', callId, streamId, endpoint, packets, errno });
    }
  }
  return events;
}

/**
 * The native engine. Several may exist at once. Threads and sockets live until `close()`; events
 * alone do not keep the process running.
 */
export class NativeRelay implements MediaRelay {
  readonly #relay: AddonRelay;
  readonly #encoder = new PlanEncoder();
  /** Filled by each `statistics`; grows with the largest call. */
  #figures = new Float64Array(64 * figuresPerStream);
  #closed = false;

  /** Throws NativeRelayError when the addon is missing or its threads cannot be started. */
  constructor(options: NativeRelayOptions = {}) {
    const workers = options.workers ?? Math.min(availableParallelism(), maxWorkers);
    if (!Number.isInteger(workers) || workers < 1 || workers > maxWorkers) {
      throw new NativeRelayError('invalid-option', `workers: 1 to ${maxWorkers}, not ${workers}`);
    }
    const { Relay } = loadAddon();
    const epochMicros = Math.round(
      options.epochMicros ??
        (performance.timeOrigin + performance.now() - Number(process.hrtime.bigint()) / 1e6) * 1000,
    );
    try {
      this.#relay = new Relay(workers, options.freeBind ?? false, epochMicros);
    } catch (error) {
      throw new NativeRelayError('relay-not-startable', messageOf(error), { cause: error });
    }
  }

  /** Throws NativeRelayError `invalid-plan` for a plan that contradicts itself. */
  reconcile(plan: MediaPlan): ReconcileResult {
    this.#assertOpen();
    const { buffer, length } = this.#encoder.encode(plan);
    const outcome = this.#relay.reconcile(buffer, length);
    if (outcome === undefined) return { ok: true };
    if (typeof outcome === 'string') {
      throw new NativeRelayError('invalid-plan', `media plan of call ${plan.callId}: ${outcome}`);
    }
    return {
      ok: false,
      failures: outcome.map((failure) => ({ ...failure, cause: causeOf(failure.errno) })),
    };
  }

  statistics(callId: string): CallStatistics | null {
    this.#assertOpen();
    let result = this.#relay.statistics(callId, this.#figures);
    if (typeof result === 'number') {
      this.#figures = new Float64Array(result);
      result = this.#relay.statistics(callId, this.#figures);
    }
    if (result === null || typeof result === 'number') return null;
    const { hosts, ssrcs } = result;
    const streams: StreamStatistics[] = [];
    for (let index = 0; index < hosts.length; index++) {
      streams.push(streamStatistics(this.#figures, index * figuresPerStream, hosts[index]));
    }
    return { streams, ssrcs };
  }

  *lastActivity(): Generator<readonly [callId: string, lastPacketMicros: number]> {
    this.#assertOpen();
    const pairs = this.#relay.lastActivity();
    for (let index = 0; index + 1 < pairs.length; index += 2) {
      const callId = pairs[index];
      const micros = pairs[index + 1];
      if (typeof callId === 'string' && typeof micros === 'number') yield [callId, micros];
    }
  }

  totals(): RelayTotals {
    this.#assertOpen();
    return this.#relay.totals();
  }

  onEvents(listener: (events: readonly RelayEvent[]) => void): void {
    this.#assertOpen();
    this.#relay.onEvents((batch) => {
      const events = relayEvents(batch);
      if (events.length > 0) listener(events);
    });
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

/** What Node lacks of the process itself. */
export function nativeProcess(): AddonProcess {
  return loadAddon().process;
}

/** The process' side of the service manager; one for the whole process. */
export function nativeServiceManager(): AddonServiceManager {
  return loadAddon().serviceManager;
}

/** As in native/api/datagram_socket.h. */
const datagramBatch = 4;
const datagramBytes = 65_536;

/** A bound UDP socket for control messages, read and written in batches. */
export class NativeDatagramSocket {
  readonly #socket: AddonDatagramSocket;
  readonly #memory = Buffer.allocUnsafeSlow(datagramBatch * datagramBytes);
  readonly address: Endpoint;
  #closed = false;

  /** @throws Error with the system's `code`. */
  constructor(options: {
    readonly address: string;
    readonly port: number;
    readonly receiveBufferBytes: number;
    readonly tos: number;
    /** Bind an address that the machine does not have (yet). Default false. */
    readonly freeBind?: boolean;
  }) {
    const { address, port, receiveBufferBytes, tos, freeBind = false } = options;
    const { DatagramSocket } = loadAddon();
    this.#socket = new DatagramSocket(
      address,
      port,
      receiveBufferBytes,
      tos,
      this.#memory,
      freeBind,
    );
    this.address = this.#socket.address();
  }

  /**
   * `receive` gets a buffer of its own and says whether it was a command, whose senders are served
   * first from then on; `onError` the system's code of a message not sent.
   */
  start(
    receive: (datagram: Buffer, host: string, port: number) => boolean,
    onError: (code: string) => void,
  ): void {
    this.#socket.start((lengths, hosts, ports) => {
      let commands = 0;
      for (let index = 0; index < lengths.length; index++) {
        const start = index * datagramBytes;
        const view = this.#memory.subarray(start, start + (lengths[index] ?? 0));
        const isCommand = receive(Buffer.from(view), hosts[index] ?? '', ports[index] ?? 0);
        if (isCommand) commands |= 1 << index;
      }
      return commands;
    }, onError);
  }

  /** What was not taken since the last call; null: nothing. */
  refused(): RefusedMessages | null {
    return this.#closed ? null : this.#socket.refused();
  }

  send(bytes: Buffer, host: string, port: number): boolean {
    return !this.#closed && this.#socket.send(bytes, host, port);
  }

  /** Sends what is queued. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}
