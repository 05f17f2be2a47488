/**
 * The media plan as one compact buffer for the addon. The layout is the table in `native/core/plan.h`, which
 * reads it; `test/golden/media-plan.txt` holds both to it.
 */
import type { Endpoint, EndpointLearning } from './call-state.js';
import type { DtlsIdentity, IceCredentials } from './media-attributes.js';
import {
  demuxTableBound,
  ownRtcpBound,
  rewriteBound,
  writeDemuxTable,
  writeOwnRtcp,
  writeRewrite,
  type PlanSink,
} from './plan-sections.js';
import type {
  Demux,
  DropReason,
  DtlsPlan,
  IcePlan,
  MediaPlan,
  PayloadAction,
  PayloadRules,
  PlanChange,
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
  'handshake-flood',
  'loop',
  'unknown-stream',
  'stale',
];

/** Longest string that is copied byte by byte; a call into the runtime costs about as much. */
const maxInlineLength = 32;

const planMagic = 0x334c5052;
const changeMagic = 0x34445052;
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
  digit: 5,
  'digit-drop': 6,
};

const portModeCodes: Readonly<Record<PortPlan['mode'], number>> = { bound: 0 };
const demuxCodes = { component: 0, 'rtcp-mux': 1 } as const;
const demuxCode = (demux: Demux): number => (typeof demux === 'string' ? demuxCodes[demux] : 2);
const streamKindCodes: Readonly<Record<StreamPlan['kind'], number>> = {
  rtp: 0,
  rtcp: 1,
  opaque: 2,
};
const routeKindCodes: Readonly<Record<RoutePlan['kind'], number>> = { rtp: 0, rtcp: 1 };
const sectionTags = { ice: 1, dtls: 2, demux: 3, rewrite: 4, ownRtcp: 5, former: 6 } as const;
/** Code and size in bytes of the digests of fingerprints. */
const hashes: Readonly<Record<string, readonly [code: number, size: number]>> = {
  'sha-1': [0, 20],
  'sha-224': [1, 28],
  'sha-256': [2, 32],
  'sha-384': [3, 48],
  'sha-512': [4, 64],
};

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

const passingCode = (passing: 'present' | 'former' | undefined): number =>
  passing === undefined ? 0 : passing === 'present' ? 1 : 2;

const sessionBefore = ({ former }: NonNullable<TransportPlan['srtp']>): SrtpSessionPlan | null =>
  former === undefined || former === 'plain' ? null : former;

interface NumberedSession {
  readonly purpose: 0 | 1;
  readonly session: SrtpSessionPlan;
}

/** The sessions of a plan, each once however many transports use it, and their positions. */
class SessionTable {
  readonly list: NumberedSession[] = [];
  readonly #positions = new Map<string, number>();

  constructor({ transports }: Pick<MediaPlan, 'transports'>) {
    for (const { srtp } of transports) {
      if (srtp === null) continue;
      this.#add(1, srtp.receive);
      this.#add(1, sessionBefore(srtp));
      this.#add(0, srtp.formerSend ?? null);
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

/** The certificates of a plan, each once. */
class IdentityTable {
  readonly list: DtlsIdentity[] = [];

  constructor({ transports }: Pick<MediaPlan, 'transports'>) {
    for (const { dtls } of transports)
      if (dtls !== null && this.position(dtls.identity) < 0) this.list.push(dtls.identity);
  }

  position({ certificate, privateKey }: DtlsIdentity): number {
    return this.list.findIndex(
      (known) => known.certificate === certificate && known.privateKey === privateKey,
    );
  }
}

const noSessions = new SessionTable({ transports: [] });
const noIdentities = new IdentityTable({ transports: [] });

const iceFlags = ({ mode, controlling, remote, resumed, standby }: IcePlan): number =>
  (mode === 'lite' ? 1 : 0) |
  (controlling ? 2 : 0) |
  (remote !== null ? 4 : 0) |
  (resumed !== null ? 8 : 0) |
  (standby ? 16 : 0) |
  (resumed !== null && resumed.route !== null ? 32 : 0);

const credentialsSize = ({ ufrag, pwd }: IceCredentials): number => 4 + ufrag.length + pwd.length;

/** Upper bound of the bytes of a transport's sections but for its table. */
function sectionsBound({ ice, dtls, srtp }: TransportPlan): number {
  let size = srtp?.former === undefined ? 0 : 9;
  if (dtls !== null) size += 11 + (dtls.fingerprint?.digest.length ?? 0);
  if (ice === null) return size;
  size += 24 + credentialsSize(ice.local) + (ice.remote === null ? 0 : credentialsSize(ice.remote));
  for (const { endpoint } of ice.candidates) size += 7 + endpoint.address.length;
  const route = ice.resumed?.route;
  return size + 8 + (route === null || route === undefined ? 0 : 7 + route.endpoint.address.length);
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

const streamFlags = (stream: StreamPlan): number =>
  (stream.blocked ? 1 : 0) |
  (hasCounters(stream) ? 2 : 0) |
  (stream.payloads === null ? 0 : 4) |
  (stream.loopCheck ? 8 : 0) |
  (stream.measured ? 16 : 0) |
  (stream.ownRtcp === null ? 0 : 32) |
  (stream.uncounted ? 64 : 0) |
  (stream.announced === null ? 0 : 128);

/** Upper bounds of encoded sizes, bytes: of what stands before the entries, and of one entry each. */
const bounds = {
  head: ({ callId, transports }: MediaPlan): number => {
    let size = 24 + callId.length;
    for (const { srtp, dtls } of transports) {
      if (dtls !== null)
        size += 4 + dtls.identity.certificate.length + dtls.identity.privateKey.length;
      if (srtp !== null)
        for (const each of [srtp.receive, srtp.send, sessionBefore(srtp), srtp.formerSend])
          size += sessionBound(each ?? null);
    }
    return size;
  },
  port: ({ localAddress }: PortPlan): number => 8 + localAddress.length,
  transport: (transport: TransportPlan, ports = transport.ports): number => {
    const { remote, demux } = transport;
    const size = 29 + 4 * ports.length + sectionsBound(transport);
    const addresses =
      (remote.endpoint?.address.length ?? 0) + (remote.signalledEndpoint?.address.length ?? 0);
    return size + addresses + (typeof demux === 'string' ? 0 : demuxTableBound(demux));
  },
  stream: ({ payloads, ownRtcp }: StreamPlan): number =>
    64 + 2 * (payloads?.types.size ?? 0) + (ownRtcp === null ? 0 : 1 + ownRtcpBound(ownRtcp)),
};

const sessionBound = (session: SrtpSessionPlan | null): number =>
  session === null ? 0 : 7 + session.key.length + session.mki.length + 22 * session.indexes.length;

/**
 * Encodes plans into a buffer that is used again and again: the result is valid until the next
 * `encode`. Throws `PlanCodecError` for values that do not fit.
 */
export class PlanEncoder {
  #buffer = Buffer.alloc(4096);
  #at = 0;
  readonly #sink: PlanSink = {
    u8: (value) => {
      this.#u8(value);
    },
    u16: (value) => {
      this.#u16(value);
    },
    u32: (value) => {
      this.#u32(value);
    },
    longText: (text) => {
      this.#longText(text);
    },
  };

  /** The encoded plan is the first `length` bytes of `buffer`. */
  encode(plan: MediaPlan): { readonly buffer: Buffer; readonly length: number } {
    return this.#encoded(plan.callId, () => {
      this.#plan(plan);
    });
  }

  /** The same of what a plan changes. */
  encodeChange(
    { callId, tos }: MediaPlan,
    change: PlanChange,
  ): { readonly buffer: Buffer; readonly length: number } {
    return this.#encoded(callId, () => {
      this.#change(callId, tos, change);
    });
  }

  #encoded(
    callId: string,
    write: () => void,
  ): { readonly buffer: Buffer; readonly length: number } {
    this.#at = 0;
    try {
      write();
      if (this.#at > this.#buffer.length) throw new RangeError('longer than its bound');
    } catch (error) {
      if (
        error instanceof RangeError ||
        error instanceof TypeError ||
        error instanceof SyntaxError
      ) {
        throw new PlanCodecError(`media plan of call ${callId}: ${error.message}`, {
          cause: error,
        });
      }
      throw error;
    }
    return { buffer: this.#buffer, length: this.#at };
  }

  /** So many bytes more will fit. */
  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.alloc(needed * 2);
    this.#buffer.copy(grown, 0, 0, this.#at);
    this.#buffer = grown;
  }

  #plan(plan: MediaPlan): void {
    this.#reserve(bounds.head(plan));
    this.#u32(planMagic);
    this.#u16(plan.callId.length);
    this.#text(plan.callId);
    this.#at = this.#buffer.writeInt16LE(plan.tos, this.#at);
    this.#u16(plan.ports.length);
    this.#u16(plan.transports.length);
    this.#u16(plan.streams.length);
    this.#u16(plan.routes.length);
    const sessions = new SessionTable(plan);
    const identities = new IdentityTable(plan);
    this.#u16(sessions.list.length);
    this.#u16(identities.list.length);
    for (const session of sessions.list) this.#session(session);
    for (const { certificate, privateKey } of identities.list) {
      this.#longText(certificate);
      this.#longText(privateKey);
    }
    this.#entries(plan.ports, bounds.port, this.#port);
    let size = 0;
    for (const transport of plan.transports) size += bounds.transport(transport);
    this.#reserve(size);
    for (const transport of plan.transports) this.#transport(transport, sessions, identities);
    this.#entries(plan.streams, bounds.stream, this.#stream);
    this.#routes(plan.routes);
  }

  #entries<T>(
    entries: readonly T[],
    boundOf: (entry: T) => number,
    write: (this: this, entry: T) => void,
  ): void {
    let size = 0;
    for (const entry of entries) size += boundOf(entry);
    this.#reserve(size);
    for (const entry of entries) write.call(this, entry);
  }

  /** What transports say of sessions and certificates are positions in a plan's tables; a change has none. */
  #change(callId: string, tos: number, { closed, ports, parts }: PlanChange): void {
    this.#reserve(12 + callId.length + 4 * closed.length);
    this.#u32(changeMagic);
    this.#longText(callId);
    this.#at = this.#buffer.writeInt16LE(tos, this.#at);
    this.#u16(closed.length);
    for (const id of closed) this.#u32(id);
    this.#reserve(2);
    this.#u16(ports.length);
    this.#entries(ports, bounds.port, this.#port);
    this.#reserve(2);
    this.#u16(parts.length);
    for (const { position, part, ports: added, routes: more } of parts) {
      const { transport, stream } = part;
      this.#reserve(5 + bounds.transport(transport, added) + bounds.stream(stream));
      this.#u16(position);
      this.#transport(transport, noSessions, noIdentities, added);
      this.#stream(stream);
      const routes = more ?? part.routes;
      this.#u8(more === null ? 0 : 1);
      this.#u16(routes.length);
      this.#routes(routes);
    }
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

  #indexes({ ssrc, rtp, rtcp, offset }: SrtpIndexes): void {
    this.#u32(ssrc);
    this.#f64(rtp ?? -1);
    this.#f64(rtcp ?? -1);
    this.#u16(offset);
  }

  #port(port: PortPlan): void {
    this.#u32(port.id);
    this.#u8(portModeCodes[port.mode]);
    this.#address(port.localAddress, port.localPort);
  }

  #transport(
    transport: TransportPlan,
    sessions: SessionTable,
    identities: IdentityTable,
    ports = transport.ports,
  ): void {
    const { remote, ice, dtls, demux } = transport;
    const former = transport.srtp?.former;
    this.#u32(transport.id);
    this.#u8(learningCodes[transport.learning]);
    this.#u8(demuxCode(demux));
    this.#u8(transportFlags(transport));
    this.#u32(remote.generation);
    this.#u32(transport.egressPort ?? noPort);
    this.#endpoint(remote.endpoint);
    this.#endpoint(remote.signalledEndpoint);
    this.#u16(sessions.position(1, transport.srtp?.receive));
    this.#u16(sessions.position(0, transport.srtp?.send));
    this.#u16(ports.length);
    for (const id of ports) this.#u32(id);
    const table = typeof demux === 'string' ? null : demux;
    const present = [ice, dtls, table, former ?? null].filter((section) => section !== null);
    this.#u8(present.length);
    if (ice !== null) {
      this.#section(sectionTags.ice, () => {
        this.#ice(ice);
      });
    }
    if (dtls !== null) {
      this.#section(sectionTags.dtls, () => {
        this.#dtls(dtls, identities.position(dtls.identity));
      });
    }
    if (table !== null) {
      this.#section(sectionTags.demux, () => {
        writeDemuxTable(this.#sink, table);
      });
    }
    if (former !== undefined) {
      this.#section(sectionTags.former, () => {
        this.#u16(sessions.position(1, former === 'plain' ? null : former));
        this.#u16(sessions.position(0, transport.srtp?.formerSend));
        this.#u8(passingCode(transport.srtp?.passing));
        this.#u8((former === 'plain' ? 1 : 0) | (transport.srtp?.isPlain === true ? 2 : 0));
      });
    }
  }

  #section(tag: number, write: () => void): void {
    this.#u8(tag);
    const lengthAt = this.#at;
    this.#at += 2;
    write();
    this.#buffer.writeUInt16LE(this.#at - lengthAt - 2, lengthAt);
  }

  #ice(ice: IcePlan): void {
    const { remote, resumed } = ice;
    this.#u8(iceFlags(ice));
    this.#u8(ice.component);
    this.#at = this.#buffer.writeBigUInt64LE(BigInt(ice.tieBreaker), this.#at);
    this.#u32(ice.takeovers);
    this.#credentials(ice.local);
    if (remote !== null) this.#credentials(remote);
    if (resumed !== null) this.#u32(resumed.priority);
    if (resumed !== null && resumed.route !== null) {
      this.#u32(resumed.route.portId);
      this.#endpoint(resumed.route.endpoint);
    }
    this.#u16(ice.candidates.length);
    for (const { endpoint, priority } of ice.candidates) {
      this.#endpoint(endpoint);
      this.#u32(priority);
    }
  }

  #credentials({ ufrag, pwd }: IceCredentials): void {
    this.#longText(ufrag);
    this.#longText(pwd);
  }

  #dtls({ role, fingerprint, generation, established }: DtlsPlan, identity: number): void {
    const flags = { passive: 0, active: 1, actpass: 8 }[role] | (established ? 2 : 0);
    this.#u8(flags | (fingerprint !== null ? 4 : 0));
    this.#u32(generation);
    this.#u16(identity);
    if (fingerprint === null) return;
    const [code, size] = hashes[fingerprint.hash.toLowerCase()] ?? [-1, -1];
    if (fingerprint.digest.length !== size) {
      throw new RangeError(
        `a fingerprint of ${fingerprint.digest.length} bytes, ${fingerprint.hash}`,
      );
    }
    this.#u8(code);
    this.#text(fingerprint.digest);
  }

  #stream(stream: StreamPlan): void {
    const { payloads, announced, initialStats, ownRtcp } = stream;
    this.#u32(stream.id);
    this.#u32(stream.transport);
    this.#u8(streamKindCodes[stream.kind]);
    this.#u8(streamFlags(stream));
    this.#u32(stream.clockRate);
    if (hasCounters(stream)) {
      this.#f64(initialStats.packets);
      this.#f64(initialStats.bytes);
      this.#f64(initialStats.errors);
      this.#f64(initialStats.lastPacketMicros);
    }
    if (payloads !== null) this.#payloads(payloads);
    if (announced !== null) for (const types of announced) this.#u32(types);
    if (ownRtcp === null) return;
    this.#u8(1);
    this.#section(sectionTags.ownRtcp, () => {
      writeOwnRtcp(this.#sink, ownRtcp);
    });
  }

  /** The most numerous part of a call with many branches: nearly all are eleven bytes. */
  #routes(routes: readonly RoutePlan[]): void {
    this.#reserve(11 * routes.length);
    for (const { fromStream, toStream, kind, withoutFeedback, rewrite } of routes) {
      this.#u32(fromStream);
      this.#u32(toStream);
      const bytes = this.#buffer;
      bytes[this.#at] = routeKindCodes[kind];
      bytes[this.#at + 1] = withoutFeedback ? 1 : 0;
      bytes[this.#at + 2] = rewrite === null ? 0 : 1;
      this.#at += 3;
      if (rewrite === null) continue;
      this.#reserve(rewriteBound(rewrite) + 11 * routes.length);
      this.#section(sectionTags.rewrite, () => {
        writeRewrite(this.#sink, rewrite);
      });
    }
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

  #longText(text: string): void {
    this.#u16(text.length);
    this.#text(text);
  }

  #text(text: string): void {
    if (text.length > maxInlineLength) {
      this.#at += this.#buffer.write(text, this.#at, 'latin1');
      return;
    }
    const buffer = this.#buffer;
    let at = this.#at;
    for (let i = 0; i < text.length; i++) buffer[at++] = text.charCodeAt(i);
    this.#at = at;
  }

  // Byte by byte: a plan has hundreds of numbers, and Buffer's methods cost several times as much.

  #u8(value: number): void {
    if ((value & 0xff) !== value) throw new RangeError(`${value} does not fit into 8 bits`);
    this.#buffer[this.#at++] = value;
  }

  #u16(value: number): void {
    if ((value & 0xffff) !== value) throw new RangeError(`${value} does not fit into 16 bits`);
    const buffer = this.#buffer;
    const at = this.#at;
    buffer[at] = value;
    buffer[at + 1] = value >>> 8;
    this.#at = at + 2;
  }

  #u32(value: number): void {
    if (value >>> 0 !== value) throw new RangeError(`${value} does not fit into 32 bits`);
    const buffer = this.#buffer;
    const at = this.#at;
    buffer[at] = value;
    buffer[at + 1] = value >>> 8;
    buffer[at + 2] = value >>> 16;
    buffer[at + 3] = value >>> 24;
    this.#at = at + 4;
  }

  #f64(value: number): void {
    this.#at = this.#buffer.writeDoubleLE(value, this.#at);
  }
}
