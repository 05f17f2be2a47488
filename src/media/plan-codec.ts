/**
 * The media plan as one compact buffer for the addon. The layout is the table in `native/core/plan.h`, which
 * reads it; `test/golden/media-plan.txt` holds both to it.
 */
import type { Endpoint, EndpointLearning } from './call-state.js';
import type {
  Demux,
  DropReason,
  MediaPlan,
  PayloadAction,
  PayloadRules,
  PortPlan,
  RoutePlan,
  SrtpIndexes,
  SrtpSessionPlan,
  StreamPlan,
  TransportPlan,
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

const planMagic = 0x324c5052;
const noPort = 0xffffffff;
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

const portModeCodes: Readonly<Record<PortPlan['mode'], number>> = { bound: 0 };
const demuxCodes: Readonly<Record<Demux, number>> = { component: 0, 'rtcp-mux': 1 };
const streamKindCodes: Readonly<Record<StreamPlan['kind'], number>> = {
  rtp: 0,
  rtcp: 1,
  opaque: 2,
};
const routeKindCodes: Readonly<Record<RoutePlan['kind'], number>> = { rtp: 0, rtcp: 1 };

function transportFlags(transport: TransportPlan): number {
  return (
    (transport.remote.confirmed ? 1 : 0) |
    (transport.strictSource ? 2 : 0) |
    (transport.mediaHandover ? 4 : 0) |
    (transport.pierceNat ? 8 : 0) |
    (transport.natWait ? 16 : 0) |
    (transport.srtp !== null ? 32 : 0)
  );
}

interface NumberedSession {
  readonly purpose: 0 | 1;
  readonly session: SrtpSessionPlan;
}

/** The sessions of a plan, each once however many transports use it, and their positions. */
class SessionTable {
  readonly list: NumberedSession[] = [];
  readonly #positions = new Map<string, number>();

  constructor(plan: MediaPlan) {
    for (const { srtp } of plan.transports) {
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

const hasCounters = ({ initialStats }: StreamPlan): boolean =>
  initialStats.packets > 0 ||
  initialStats.bytes > 0 ||
  initialStats.errors > 0 ||
  initialStats.lastPacketMicros > 0;

/** Upper bound of the encoded size, bytes. */
function sizeBound(plan: MediaPlan): number {
  let size = 22 + plan.callId.length + 15 * plan.routes.length;
  for (const port of plan.ports) size += 8 + port.localAddress.length;
  for (const { ports, remote, srtp } of plan.transports) {
    size += 29 + 4 * ports.length;
    for (const session of [srtp?.receive, srtp?.send]) {
      if (session !== null && session !== undefined)
        size += 7 + session.key.length + session.mki.length + 20 * session.indexes.length;
    }
    size += remote.endpoint?.address.length ?? 0;
    size += remote.signalledEndpoint?.address.length ?? 0;
  }
  for (const { payloads } of plan.streams) size += 48 + 2 * (payloads?.types.size ?? 0);
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
    this.#u16(plan.ports.length);
    this.#u16(plan.transports.length);
    this.#u16(plan.streams.length);
    this.#u16(plan.routes.length);
    const sessions = new SessionTable(plan);
    this.#u16(sessions.list.length);
    for (const session of sessions.list) this.#session(session);
    for (const port of plan.ports) this.#port(port);
    for (const transport of plan.transports) this.#transport(transport, sessions);
    for (const stream of plan.streams) this.#stream(stream);
    for (const route of plan.routes) this.#route(route);
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

  #port(port: PortPlan): void {
    this.#u32(port.id);
    this.#u8(portModeCodes[port.mode]);
    this.#address(port.localAddress, port.localPort);
  }

  #transport(transport: TransportPlan, sessions: SessionTable): void {
    const { remote, ports } = transport;
    this.#u32(transport.id);
    this.#u8(learningCodes[transport.learning]);
    this.#u8(demuxCodes[transport.demux]);
    this.#u8(transportFlags(transport));
    this.#u32(remote.generation);
    this.#u32(transport.egressPort ?? noPort);
    this.#endpoint(remote.endpoint);
    this.#endpoint(remote.signalledEndpoint);
    this.#u16(sessions.position(1, transport.srtp?.receive));
    this.#u16(sessions.position(0, transport.srtp?.send));
    this.#u16(ports.length);
    for (const id of ports) this.#u32(id);
    this.#noSections();
  }

  #stream(stream: StreamPlan): void {
    const counted = hasCounters(stream);
    const { payloads, initialStats } = stream;
    this.#u32(stream.id);
    this.#u32(stream.transport);
    this.#u8(streamKindCodes[stream.kind]);
    this.#u8((stream.blocked ? 1 : 0) | (counted ? 2 : 0) | (payloads === null ? 0 : 4));
    this.#u32(stream.clockRate);
    if (counted) {
      this.#f64(initialStats.packets);
      this.#f64(initialStats.bytes);
      this.#f64(initialStats.errors);
      this.#f64(initialStats.lastPacketMicros);
    }
    if (payloads !== null) this.#payloads(payloads);
  }

  #route(route: RoutePlan): void {
    this.#u32(route.id);
    this.#u32(route.fromStream);
    this.#u32(route.toStream);
    this.#u8(routeKindCodes[route.kind]);
    this.#u8(route.withoutFeedback ? 1 : 0);
    this.#noSections();
  }

  /** What goes beyond plain relaying: each with its tag and length. */
  #noSections(): void {
    this.#u8(0);
  }

  #payloads(rules: PayloadRules): void {
    this.#u8(actionCodes[rules.otherwise]);
    this.#u8(rules.types.size);
    for (const [type, action] of rules.types) {
      this.#u8(type);
      this.#u8(actionCodes[action]);
    }
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
