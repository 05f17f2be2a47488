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
  SrtpIndexes,
  SrtpSessionPlan,
  SocketPlan,
  StreamPlan,
} from './relay.js';
import { srtpSuites } from './sdes/suites.js';

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
  'not-authentic',
  'repeated',
  'no-key',
];

const planMagic = 0x314c5052;
const noSocket = 0xffffffff;
const noSession = 0xffff;
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
    (stream.feedback ? 256 : 0) |
    (stream.srtp !== null ? 512 : 0)
  );
}

interface NumberedSession {
  readonly purpose: 0 | 1;
  readonly session: SrtpSessionPlan;
}

/** The sessions of a plan, each once however many streams use it, and their positions. */
class SessionTable {
  readonly list: NumberedSession[] = [];
  readonly #positions = new Map<string, number>();

  constructor(plan: MediaPlan) {
    for (const { srtp } of plan.streams) {
      if (srtp === null) continue;
      this.#add(1, srtp.receive);
      this.#add(0, srtp.send);
    }
  }

  #add(purpose: 0 | 1, session: SrtpSessionPlan | null): void {
    if (session === null) return;
    const identity = identityOf(purpose, session);
    if (this.#positions.has(identity)) return;
    this.#positions.set(identity, this.list.length);
    this.list.push({ purpose, session });
  }

  position(purpose: 0 | 1, session: SrtpSessionPlan | null | undefined): number {
    if (session === null || session === undefined) return noSession;
    return this.#positions.get(identityOf(purpose, session)) ?? noSession;
  }
}

const sessionFlags = (session: SrtpSessionPlan): number =>
  (session.unencryptedSrtp ? 1 : 0) |
  (session.unencryptedSrtcp ? 2 : 0) |
  (session.unauthenticatedSrtp ? 4 : 0);

const identityOf = (purpose: 0 | 1, session: SrtpSessionPlan): string =>
  [
    purpose,
    session.suite,
    sessionFlags(session),
    session.mki.toString('latin1'),
    session.key.toString('latin1'),
  ].join(':');

/** Upper bound of the encoded size, bytes. */
function sizeBound(plan: MediaPlan): number {
  let size = 18 + plan.callId.length;
  for (const socket of plan.sockets) size += 11 + socket.localAddress.length;
  for (const stream of plan.streams) {
    size += 71 + 4 * (stream.rtpSinks.length + stream.rtcpSinks.length);
    size += 2 * (stream.payloads?.types.size ?? 0);
    size += stream.endpoint?.address.length ?? 0;
    size += stream.signalledEndpoint?.address.length ?? 0;
    for (const session of [stream.srtp?.receive, stream.srtp?.send]) {
      if (session !== null && session !== undefined)
        size += 7 + session.key.length + session.mki.length + 20 * session.indexes.length;
    }
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
    const sessions = new SessionTable(plan);
    this.#u16(sessions.list.length);
    for (const session of sessions.list) this.#session(session);
    for (const socket of plan.sockets) this.#socket(socket);
    for (const stream of plan.streams) this.#stream(stream, sessions);
  }

  #session({ purpose, session }: NumberedSession): void {
    const suite = srtpSuites[session.suite];
    if (session.key.length !== suite.keyLength + suite.saltLength) {
      throw new RangeError(`a key of ${session.key.length} bytes for ${session.suite}`);
    }
    this.#u8(purpose);
    this.#u8(suite.number);
    this.#u8(sessionFlags(session));
    this.#u8(session.mki.length);
    this.#bytes(session.mki);
    this.#bytes(session.key);
    this.#u8(session.resumed ? 1 : 0);
    this.#u16(session.indexes.length);
    for (const indexes of session.indexes) this.#indexes(indexes);
  }

  #indexes({ ssrc, rtp, rtcp }: SrtpIndexes): void {
    this.#u32(ssrc);
    this.#f64(rtp ?? -1);
    this.#f64(rtcp ?? -1);
  }

  #socket(socket: SocketPlan): void {
    this.#u32(socket.id);
    this.#u32(socket.streamId);
    this.#address(socket.localAddress, socket.localPort);
  }

  #stream(stream: StreamPlan, sessions: SessionTable): void {
    this.#u32(stream.id);
    this.#u8(stream.component);
    this.#u8(learningCodes[stream.learning]);
    this.#u16(flagsOf(stream));
    this.#u32(stream.latchEpoch);
    this.#u32(stream.clockRate);
    this.#u32(stream.egressSocket ?? noSocket);
    this.#endpoint(stream.endpoint);
    this.#endpoint(stream.signalledEndpoint);
    this.#u16(sessions.position(1, stream.srtp?.receive));
    this.#u16(sessions.position(0, stream.srtp?.send));
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

  #bytes(bytes: Buffer): void {
    this.#at += bytes.copy(this.#buffer, this.#at);
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
