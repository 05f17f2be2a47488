/**
 * The media plan as one compact buffer for the addon. The layout is documented, and read, in
 * `native/core/plan.h`; nothing else knows it.
 */
import type { Endpoint, EndpointLearning } from './call-state.js';
import type {
  DropReason,
  MediaPlan,
  PayloadAction,
  PayloadRules,
  SocketPlan,
  StreamPlan,
} from './relay.js';

/** A plan that cannot be expressed: an id, length or number is out of range. */
export class PlanCodecError extends Error {
  override readonly name = 'PlanCodecError';
  readonly code = 'plan-not-encodable';
}

/** Drop reasons in the order of the addon's counters. */
export const dropReasons: readonly DropReason[] = [
  'strict-source',
  'no-sink',
  'no-endpoint',
  'blocked',
  'nat-wait',
  'malformed',
  'truncated',
  'send-failed',
  'unknown-protocol',
  'feedback',
];

const planMagic = 0x314c5052;
const noSocket = 0xffffffff;
const learningCodes: Readonly<Record<EndpointLearning, number>> = {
  off: 0,
  immediate: 1,
  delayed: 2,
  heuristic: 3,
};

const actionCodes: Readonly<Record<PayloadAction, number>> = {
  forward: 0,
  drop: 1,
  'silence-pcma': 2,
  'silence-pcmu': 3,
  'silence-g722': 4,
};

function flagsOf(stream: StreamPlan): number {
  return (
    (stream.confirmed ? 1 : 0) |
    (stream.strictSource ? 2 : 0) |
    (stream.mediaHandover ? 4 : 0) |
    (stream.rtcpMux ? 8 : 0) |
    (stream.transparent ? 16 : 0) |
    (stream.blocked ? 32 : 0) |
    (stream.pierceNat ? 64 : 0) |
    (stream.natWait ? 128 : 0) |
    (stream.feedback ? 256 : 0)
  );
}

/** Upper bound of the encoded size, bytes. */
function sizeBound(plan: MediaPlan): number {
  let size = 16 + plan.callId.length;
  for (const socket of plan.sockets) size += 11 + socket.localAddress.length;
  for (const stream of plan.streams) {
    size += 67 + 4 * (stream.rtpSinks.length + stream.rtcpSinks.length);
    size += 2 * (stream.payloads?.types.size ?? 0);
    size += stream.endpoint?.address.length ?? 0;
    size += stream.signalledEndpoint?.address.length ?? 0;
  }
  return size;
}

/**
 * Encodes plans into a buffer that is used again and again: the result is valid until the next
 * `encode`. Throws `PlanCodecError` for values that do not fit.
 */
export class PlanEncoder {
  #buffer = Buffer.alloc(4096);
  #at = 0;

  /** The encoded plan is the first `length` bytes of `buffer`. */
  encode(plan: MediaPlan): { readonly buffer: Buffer; readonly length: number } {
    const bound = sizeBound(plan);
    if (bound > this.#buffer.length) this.#buffer = Buffer.alloc(bound * 2);
    this.#at = 0;
    try {
      this.#plan(plan);
    } catch (error) {
      // Buffer refuses numbers out of range.
      if (error instanceof RangeError || error instanceof TypeError) {
        throw new PlanCodecError(`media plan of call ${plan.callId}: ${error.message}`, {
          cause: error,
        });
      }
      throw error;
    }
    return { buffer: this.#buffer, length: this.#at };
  }

  #plan(plan: MediaPlan): void {
    this.#u32(planMagic);
    this.#u16(plan.callId.length);
    this.#text(plan.callId);
    this.#at = this.#buffer.writeInt16LE(plan.tos, this.#at);
    this.#u16(plan.sockets.length);
    this.#u16(plan.streams.length);
    for (const socket of plan.sockets) this.#socket(socket);
    for (const stream of plan.streams) this.#stream(stream);
  }

  #socket(socket: SocketPlan): void {
    this.#u32(socket.id);
    this.#u32(socket.streamId);
    this.#address(socket.localAddress, socket.localPort);
  }

  #stream(stream: StreamPlan): void {
    this.#u32(stream.id);
    this.#u8(stream.component);
    this.#u8(learningCodes[stream.learning]);
    this.#u16(flagsOf(stream));
    this.#u32(stream.latchEpoch);
    this.#u32(stream.clockRate);
    this.#u32(stream.egressSocket ?? noSocket);
    this.#endpoint(stream.endpoint);
    this.#endpoint(stream.signalledEndpoint);
    this.#f64(stream.initialStats.packets);
    this.#f64(stream.initialStats.bytes);
    this.#f64(stream.initialStats.errors);
    this.#f64(stream.initialStats.lastPacketMicros);
    this.#ids(stream.rtpSinks);
    this.#ids(stream.rtcpSinks);
    this.#payloads(stream.payloads);
  }

  #payloads(rules: PayloadRules | null): void {
    this.#u8(rules === null ? 0 : 1);
    if (rules === null) return;
    this.#u8(actionCodes[rules.otherwise]);
    this.#u8(rules.types.size);
    for (const [type, action] of rules.types) {
      this.#u8(type);
      this.#u8(actionCodes[action]);
    }
  }

  #ids(ids: readonly number[]): void {
    this.#u16(ids.length);
    for (const id of ids) this.#u32(id);
  }

  #endpoint(endpoint: Endpoint | null): void {
    if (endpoint === null) this.#u8(0);
    else this.#address(endpoint.address, endpoint.port);
  }

  #address(address: string, port: number): void {
    this.#u8(address.length);
    this.#text(address);
    this.#u16(port);
  }

  #text(text: string): void {
    this.#at += this.#buffer.write(text, this.#at, 'latin1');
  }

  #u8(value: number): void {
    this.#at = this.#buffer.writeUInt8(value, this.#at);
  }

  #u16(value: number): void {
    this.#at = this.#buffer.writeUInt16LE(value, this.#at);
  }

  #u32(value: number): void {
    this.#at = this.#buffer.writeUInt32LE(value, this.#at);
  }

  #f64(value: number): void {
    this.#at = this.#buffer.writeDoubleLE(value, this.#at);
  }
}
