/**
 * What the control plane may ask of the data plane (design.md §2): `reconcile` is the only door in,
 * events are the only way out. Implemented by `src/native/relay.ts` over the C++ addon.
 */
import type { Endpoint, EndpointLearning, StreamStats } from './call-state.js';
import type { DtlsIdentity, DtlsSetup, Fingerprint, IceCredentials } from './media-attributes.js';
import type { DemuxTable, OwnRtcpPlan, RewritePlan } from './packet-plan.js';
import type { SrtpSuite } from './sdes/suites.js';

/** A local UDP port that has to be open. Identified inside the call by `id`. */
export interface PortPlan {
  readonly id: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Opened at this address; that the relay steers it instead of giving it a socket is its own affair. */
  readonly mode: 'bound';
}

/** What is done with an RTP packet because of its payload type. */
export type PayloadAction =
  | 'forward'
  | 'drop'
  /** The payload is overwritten with the codec's octet for silence. */
  | 'silence-pcma'
  | 'silence-pcmu'
  | 'silence-g722'
  /** Digits (RFC 4733), forwarded or not: each is told when it has ended. */
  | 'digit'
  | 'digit-drop';

/** What is done with RTP packets by payload type (block and silence commands). */
export interface PayloadRules {
  /** For types that `types` does not name, and packets that are no RTP, RTCP, STUN or DTLS. */
  readonly otherwise: 'forward' | 'drop';
  readonly types: ReadonlyMap<number, PayloadAction>;
}

/** How far a source of an SRTP session has come (RFC 3711 §3.3.1); null: nothing of it was seen. */
export interface SrtpIndexes {
  readonly ssrc: number;
  readonly rtp: number | null;
  readonly rtcp: number | null;
  /** Of a sending session: what it adds to the sequence numbers of the source, which has started them anew. */
  readonly offset: number;
}

/**
 * Keys of one direction of SRTP (RFC 3711). A session lives as long as plans of its call name it with the
 * same keys, whichever transports do, and knows which packet indexes it has used.
 */
export interface SrtpSessionPlan {
  readonly suite: SrtpSuite;
  /** Master key and salt, of the suite's length. */
  readonly key: Buffer;
  /** Master key identifier in packets, empty: none. */
  readonly mki: Buffer;
  readonly unencryptedSrtp: boolean;
  readonly unencryptedSrtcp: boolean;
  readonly unauthenticatedSrtp: boolean;
  /** It continues a session of another process, of which this is known; only looked at when it is new. */
  readonly resumed: boolean;
  readonly indexes: readonly SrtpIndexes[];
}

/** The other end of a transport. */
export interface RemotePlan {
  /** Where packets go; null: nowhere yet. */
  readonly endpoint: Endpoint | null;
  /** What the SDP said; the heuristic ranks sources against it. */
  readonly signalledEndpoint: Endpoint | null;
  /** The endpoint is already learned, e.g. after a restore: learning is over. */
  readonly confirmed: boolean;
  /**
   * The relay keeps what it has learned as long as this number stays. A plan with another number
   * replaces the learned endpoint by `endpoint`/`confirmed` and starts the learning time anew; if `endpoint`
   * is what was learned, that source is preferred as long as it sends.
   */
  readonly generation: number;
}

/**
 * How what arrives on a transport is told apart. `component`: all of it is of the only stream. `rtcp-mux`:
 * likewise, and RTCP (RFC 5761 payload types 64-95) is expected among it; without that what is clearly RTCP
 * is RTCP all the same.
 */
export type Demux = 'component' | 'rtcp-mux' | DemuxTable;

/**
 * Connectivity checks of one component with the other end (RFC 8445). Path i of the agent is port i of the
 * transport (16 at most). The agent goes on while the transport stays, and starts anew (RFC 8445 §9) when
 * credentials change; what it chooses replaces `remote` and `egressPort` of the transport.
 */
export interface IcePlan {
  readonly mode: 'full' | 'lite';
  /** At the start; role conflicts (RFC 8445 §7.3.1.1) may change it. */
  readonly controlling: boolean;
  readonly component: 1 | 2;
  /** 64 bits in decimal. */
  readonly tieBreaker: string;
  readonly local: IceCredentials;
  /** null until the peer's SDP is known. */
  readonly remote: IceCredentials | null;
  /** The peer's, with numeric addresses; of more than 64 those with the highest priority count. */
  readonly candidates: readonly { readonly endpoint: Endpoint; readonly priority: number }[];
  /**
   * How often the call moved to another local address than the peer knew: the PRIORITY of checks rises
   * with it.
   */
  readonly takeovers: number;
  /** Another node has the call: checks are answered, none are sent. When that ends, they are at once. */
  readonly standby: boolean;
  /** A new agent goes on where another process' stopped; only looked at when the agent is new. */
  readonly resumed: {
    /** Where media went: a port of this transport and the peer's address. null: nowhere yet. */
    readonly route: { readonly portId: number; readonly endpoint: Endpoint } | null;
    /** Of the peer's candidate there, as `ice-selected` told it. */
    readonly priority: number;
  } | null;
}

/**
 * The transport ends DTLS (RFC 5763, RFC 5764), over ICE-checked paths alone where it has ICE. Its keys come
 * out as `dtls-status`; the plan then names them in `srtp`. With `srtp: {receive: null, send: null}` nothing
 * goes in or out in the clear meanwhile.
 */
export interface DtlsPlan {
  /** `actpass`: the peer left it open; its ClientHello is waited for a moment, then ours goes out. */
  readonly role: DtlsSetup;
  /** Medias with the same content share what is made of it. */
  readonly identity: DtlsIdentity;
  /** The peer's, SHA-1 to SHA-512; null until known: an early ClientHello is answered all the same. */
  readonly fingerprint: Fingerprint | null;
  /** Raised when a new association is wanted: another fingerprint, tls-id or role. 32 bits. */
  readonly generation: number;
  /** Keyed by an earlier process: no handshake of ours; a ClientHello of the peer begins a new one. */
  readonly established: boolean;
}

/** What DTLS gave: the keys of both directions (RFC 5764 §4.2). */
export interface DtlsKeys {
  readonly suite: SrtpSuite;
  /** Master key and master salt. */
  readonly send: { readonly key: Buffer; readonly salt: Buffer };
  readonly receive: { readonly key: Buffer; readonly salt: Buffer };
  /** The peer's, DER. */
  readonly certificate: Buffer;
}

/**
 * `disconnected`: the peer's consent is lost (RFC 7675), it is asked on. `failed`: no valid pair was found for
 * 30 s; checks of the peer are answered all the same.
 */
export type IceStatus = 'checking' | 'connected' | 'disconnected' | 'failed';

/**
 * `unverified`: the handshake is done, the peer's fingerprint not known yet. `refused`: its certificate is not
 * that of the fingerprint; without ICE the peer itself may come later. `failed`: no SRTP profile in common, or
 * too many attempts. `closed`: by the peer. `keyed` may come again with other keys: the peer began anew.
 */
export type DtlsStatus = 'keyed' | 'unverified' | 'refused' | 'failed' | 'closed';

/**
 * Local ports and the one remote that they talk to (RFC 8445 §5.1: a pair, or what will become one). Its id
 * is that of the model's stream.
 */
export interface TransportPlan {
  readonly id: number;
  /** Packets that arrive at these ports are this transport's; a port belongs to one. */
  readonly ports: readonly number[];
  /** The port from which packets leave; may be another transport's. null: nothing can be sent. */
  readonly egressPort: number | null;
  readonly remote: RemotePlan;
  readonly learning: EndpointLearning;
  /** Packets of other sources than the learned one are dropped (counted as errors). */
  readonly strictSource: boolean;
  /** A changed source is followed after learning. */
  readonly mediaHandover: boolean;
  /** Send packets to the endpoint until one arrives (pierce-NAT). */
  readonly pierceNat: boolean;
  /** Send nothing to the endpoint before it has sent a packet (NAT-wait). */
  readonly natWait: boolean;
  readonly demux: Demux;
  /** null: STUN is passed on like anything else. */
  readonly ice: IcePlan | null;
  /** null: DTLS is passed on like anything else. */
  readonly dtls: DtlsPlan | null;
  /**
   * SRTP ends here: what comes is taken only when `receive` finds it authentic, what goes is protected by
   * `send`; null: no keys, so nothing comes or goes. null: nothing is secured (by us).
   */
  readonly srtp: {
    readonly receive: SrtpSessionPlan | null;
    readonly send: SrtpSessionPlan | null;
    /** There are no keys because it comes and goes in the clear, but for what goes on as before (`former`). */
    readonly isPlain?: true;
    /**
     * What came by before: taken as well until something is authentic by `receive`, or has come in the clear where that is
     * how it comes now. `plain`: in the clear, from its endpoint alone.
     */
    readonly former?: SrtpSessionPlan | 'plain';
    /** What went by before, beside `former`: while something comes by that, what goes is protected by this one. */
    readonly formerSend?: SrtpSessionPlan;
    /** What of both goes to the other side of the call as it came, in the place of being protected. */
    readonly passing?: 'present' | 'former';
  } | null;
}

/** A bit for each payload type from 0 on, 32 in each number. */
export type AnnouncedTypes = readonly [number, number, number, number];

/**
 * What arrives on a transport and belongs together. `rtp`: with its RTCP, where that comes to the same port;
 * `rtcp`: RTCP on a port of its own; `opaque`: not RTP, or not readable (SRTP passed through, UDPTL), and
 * every datagram goes its RTP routes as it is.
 */
export interface StreamPlan {
  readonly id: number;
  readonly transport: number;
  readonly kind: 'rtp' | 'rtcp' | 'opaque';
  /** Everything that arrives is dropped. */
  readonly blocked: boolean;
  /** What is dropped does not count as received (`drop-traffic`). */
  readonly uncounted: boolean;
  /** null: packets of all payload types are forwarded. */
  readonly payloads: PayloadRules | null;
  /** RTP of other payload types counts as an error, and goes on; null: of none. */
  readonly announced: AnnouncedTypes | null;
  /** RTP clock rate in Hz for jitter; 0 unknown. */
  readonly clockRate: number;
  /** Packets that come again and again are dropped (`loop`). */
  readonly loopCheck: boolean;
  /** Loss, duplicates, order and jitter of each source are counted from its RTP. */
  readonly measured: boolean;
  /** null: its sender gets RTCP of other senders alone. */
  readonly ownRtcp: OwnRtcpPlan | null;
  /** Counters to go on from when this stream is new to the relay (restore). */
  readonly initialStats: {
    readonly packets: number;
    readonly bytes: number;
    readonly errors: number;
    /** Of them: in the counters of the stream's kernel flow, if that is still there. */
    readonly kernelPackets: number;
    readonly kernelBytes: number;
    readonly lastPacketMicros: number;
  };
}

/** RTP or RTCP of one stream goes to the remote of another one's transport. */
export interface RoutePlan {
  readonly fromStream: number;
  /** Packets leave by this stream's transport and are counted as sent to it. */
  readonly toStream: number;
  readonly kind: 'rtp' | 'rtcp';
  /** RTCP goes without feedback: that side does not take part in it (RFC 4585). */
  readonly withoutFeedback: boolean;
  /** What is changed in the header of each packet; null: nothing. Not for routes from an opaque stream. */
  readonly rewrite: RewritePlan | null;
  /** What else has to see each packet. */
  readonly processor: null;
}

/** Counters of one stream, see `StreamStatistics`. */
export type StreamCounters = StreamStats & {
  /** 0: no packet has come here yet. */
  readonly lastPacketMicros: number;
};

/** Of calls that nothing has come to. */
export const nothingHeard: ReadonlyMap<number, StreamCounters> = new Map();

/** Everything the relay has to know of one call. An empty plan closes the call. */
export interface MediaPlan {
  readonly callId: string;
  /** TOS byte / traffic class of every port of the call, 0-255; -1 leaves the default. */
  readonly tos: number;
  readonly ports: readonly PortPlan[];
  readonly transports: readonly TransportPlan[];
  readonly streams: readonly StreamPlan[];
  readonly routes: readonly RoutePlan[];
  /** What is different from an earlier plan of the call, where that is little of a large one. */
  readonly change?: PlanChange | null;
}

/** What a plan has of one stream. */
export interface StreamPart {
  readonly transport: TransportPlan;
  readonly stream: StreamPlan;
  readonly routes: readonly RoutePlan[];
}

/** Known by identity. */
export type PlanVersion = object;

/**
 * A plan, by what it has beyond an earlier one and no longer. In such plans each stream has a transport of its own, at the
 * same position, and the routes are in the order of the streams.
 */
export interface PlanChange {
  readonly version: PlanVersion;
  /** The version that it changes; null: it says nothing of another. */
  readonly since: PlanVersion | null;
  /** Ids of ports that are closed. */
  readonly closed: readonly number[];
  /** New ones. */
  readonly ports: readonly PortPlan[];
  /** New ones come last. */
  readonly parts: readonly PartChange[];
}

/** A stream that is new, or is not as before. */
export interface PartChange {
  readonly position: number;
  readonly part: StreamPart;
  /** Those of its transport's ports that it did not have before; they come behind the others. */
  readonly ports: readonly number[];
  /** Routes that come to those before, of each kind behind those; null: all are others. */
  readonly routes: readonly RoutePlan[] | null;
}

/** The plan that closes a call. */
export const emptyPlan = (callId: string): MediaPlan => ({
  ...{ callId, tos: -1, ports: [], transports: [], streams: [], routes: [] },
});

/** Whether the plan closes the call. */
export const closesCall = (plan: MediaPlan): boolean =>
  plan.ports.length === 0 && plan.transports.length === 0;

export type PortFailureCause =
  'port-busy' | 'address-not-local' | 'fd-limit' | 'permission' | 'system-error';

export interface PortFailure {
  readonly portId: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly cause: PortFailureCause;
  /** errno name, e.g. EADDRINUSE. */
  readonly errno: string;
}

/** Either the relay equals the plan, or nothing was changed and the failures are named. */
export type ReconcileResult =
  { readonly ok: true } | { readonly ok: false; readonly failures: readonly PortFailure[] };

/** Why a packet that arrived was not relayed. */
export type DropReason =
  | 'strict-source'
  | 'no-sink'
  | 'no-endpoint'
  | 'blocked'
  | 'nat-wait'
  | 'malformed'
  | 'truncated'
  | 'send-failed'
  | 'unknown-protocol'
  /** RTCP feedback for a side that has not negotiated it (RFC 4585). */
  | 'feedback'
  /** SRTP without the tag of somebody who has the key. */
  | 'not-authentic'
  /** SRTP or SRTCP with a packet index that was used already, or is too old to know. */
  | 'repeated'
  /** SRTP without keys. */
  | 'no-key'
  /** DTLS that comes faster than any handshake does. */
  | 'handshake-flood'
  /** It has come again and again (loop check). */
  | 'loop'
  /** Of none of the streams that share the transport (RFC 9143 §9.2). */
  | 'unknown-stream'
  /** More came than could be relayed, and it had waited for too long. */
  | 'stale';

/** A digit that is dialled in a sender's place (RFC 4733). Times are in units of the RTP clock, but for the last. */
export interface DialledDigit {
  /** 0 to 15 (RFC 4733 §3.2). */
  readonly event: number;
  /** dBm0 without its sign, 0 to 63. */
  readonly volume: number;
  readonly payloadType: number;
  readonly duration: number;
  /** Until the next one may begin. */
  readonly pause: number;
  /** Of one packet. */
  readonly frame: number;
  /** It ends as one of the sender's own: `PayloadAction` 'digit'. */
  readonly told: boolean;
  /** Duration and pause, ms. */
  readonly lastsMs: number;
}

/** What is counted of one source from its RTP (RFC 3550 A.1, A.3, A.8). */
export interface SourceCounts {
  readonly packets: number;
  /** Whole UDP payloads. */
  readonly bytes: number;
  /** Missing so far. */
  readonly lost: number;
  readonly duplicates: number;
  /** Came after one with a higher number. */
  readonly reordered: number;
  /** Runs of numbers that are missing so far, and how often the numbers began anew. */
  readonly skips: number;
  readonly resets: number;
  /** In units of the stream's clock rate. */
  readonly jitter: number;
  readonly lastSequence: number;
  readonly lastTimestamp: number;
}

/** A source that has sent as a stream. */
export interface StreamSource {
  readonly ssrc: number;
  /** Of its last packet; null: it has sent RTCP alone. */
  readonly payloadType: number | null;
  /** null: the plan does not have it counted (`StreamPlan.measured`). */
  readonly counts: SourceCounts | null;
}

export interface StreamStatistics {
  readonly streamId: number;
  /** Packets, bytes (whole UDP payload) and errors received as this stream. */
  readonly packets: number;
  readonly bytes: number;
  readonly errors: number;
  /** Of them: counted by the kernel flow that the stream has now. */
  readonly kernelPackets: number;
  readonly kernelBytes: number;
  /** Packets and bytes sent to this stream's endpoint. */
  readonly packetsOut: number;
  readonly bytesOut: number;
  /**
   * When the last packet came that was not rejected for its source, 0 never: µs since the epoch by
   * a clock that does not jump.
   */
  readonly lastPacketMicros: number;
  /** Of them the last ones that userspace and the kernel forwarded; without: all came to userspace. */
  readonly lastUserPacketMicros?: number;
  readonly lastKernelPacketMicros?: number;
  /** SSRC of the last RTP (RTCP) packet received, null before the first. */
  readonly ssrc: number | null;
  /** The sources of the stream, latest first where they are not counted; at most 8. */
  readonly sources: readonly StreamSource[];
  readonly endpoint: Endpoint | null;
  readonly confirmed: boolean;
  /** true once a packet has been admitted (the `received` flag). */
  readonly received: boolean;
  readonly drops: Readonly<Partial<Record<DropReason, number>>>;
}

/** One evaluated RTCP receiver report (ng-protocol.md §6, computation). */
export interface MosEntry {
  /** MOS times 10; 0: no end-to-end round-trip time was known. */
  readonly mos: number;
  readonly roundTripMicros: number;
  readonly roundTripLegMicros: number;
  readonly jitterMs: number;
  readonly packetLossPercent: number;
  /** Seconds since the epoch, by the clock of `lastPacketMicros`. */
  readonly reportedAtSeconds: number;
}

/** Quality as heard by the party that sends with `ssrc` (its receiver reports). */
export interface SsrcStatistics {
  readonly ssrc: number;
  /** The stream on whose port the reports arrived (its media's RTP stream for muxed RTCP). */
  readonly streamId: number;
  readonly cumulativeLoss: number;
  /** Sums over the samples with a MOS; null before the first. */
  readonly average: (Omit<MosEntry, 'reportedAtSeconds'> & { readonly samples: number }) | null;
  readonly lowest: MosEntry | null;
  readonly highest: MosEntry | null;
  readonly progressionIntervalSeconds: number;
  readonly progression: readonly MosEntry[];
  /** The last one; the progression of a long call leaves most out. */
  readonly latest?: MosEntry;
}

/** Whom something came from or was about, how often, and when last (as `lastPacketMicros`). */
export interface Sighting {
  readonly endpoint: Endpoint | null;
  readonly count: number;
  readonly atMicros: number;
}

/** What the relay remembers of a stream and its transport for whoever asks why nothing is heard. */
export interface StreamTrace {
  readonly streamId: number;
  /** Of this process; 0: none yet. Moments are of the clock of `lastPacketMicros`. */
  readonly firstPacketMicros: number;
  /** When the endpoint was last learned or confirmed, 0 never. */
  readonly learnedMicros: number;
  readonly ssrcChanges: number;
  readonly ssrcChangedMicros: number;
  /** Of the last RTP packet. */
  readonly payloadType: number;
  /** Bytes of its payload; 0: none came yet, or its header had more than the fixed part. */
  readonly payloadBytes: number;
  /** All that have come. */
  readonly payloadTypes: readonly number[];
  /** RTP packets that came to the port of RTCP. */
  readonly rtpOnRtcpPort: number;
  /** The last source that was rejected. */
  readonly stranger: Sighting | null;
  /** What ICMP errors said of packets sent from the stream's ports; `errno` as of a connected socket. */
  readonly unreachable: (Sighting & { readonly errno?: string }) | null;
  /** Packets that could not be sent to its endpoint, and the last errno. */
  readonly sendFailures: number;
  readonly sendErrno?: string;
}

/** The statistics of a stream that are looked at again and again: few, and cheap to have. */
export interface StreamGlance {
  readonly streamId: number;
  /** As in `StreamStatistics`. */
  readonly packets: number;
  readonly bytes: number;
  readonly errors: number;
  readonly kernelPackets: number;
  readonly packetsOut: number;
  readonly lastPacketMicros: number;
  /** RTP packets that are missing, of all its sources; null: they are not counted (`StreamPlan.measured`). */
  readonly lost: number | null;
  /** The last receiver report that came as this stream; null: none did. */
  readonly report: Omit<MosEntry, 'roundTripLegMicros'> | null;
}

export interface CallStatistics {
  readonly streams: readonly StreamStatistics[];
  readonly ssrcs: readonly SsrcStatistics[];
}

/** Sums over all calls, those that have ended included. */
export interface RelayTotals {
  readonly packets: number;
  readonly bytes: number;
  readonly errors: number;
}

/** Sum and sum of squares. */
export interface SampleSums {
  readonly total: number;
  readonly squares: number;
}

/** What reports have said, all that count (ng-protocol.md §6). Times are in ms and µs, loss in percent. */
export interface ReportSums {
  readonly reports: number;
  readonly jitterMs: SampleSums;
  readonly roundTripMicros: SampleSums;
  readonly roundTripLegMicros: SampleSums;
  readonly lossPercent: SampleSums;
  /** Of those with a MOS, 1 to 5. */
  readonly rated: number;
  readonly mos: SampleSums;
}

/** What came to and left one local address, and what the reports that came there have said. */
export interface AddressCounters extends RelayTotals {
  readonly address: string;
  readonly packetsOut: number;
  readonly bytesOut: number;
  readonly reports: ReportSums;
}

export type RelayEvent =
  | {
      readonly type: 'endpoint-learned';
      readonly callId: string;
      readonly transportId: number;
      /** `RemotePlan.generation` that it was learned in. */
      readonly generation: number;
      readonly endpoint: Endpoint;
      /** Learning is over: the endpoint is final until the plan changes or media is handed over. */
      readonly confirmed: boolean;
    }
  | { readonly type: 'first-packet'; readonly callId: string; readonly transportId: number }
  | {
      /** A source is new to one direction of the transport's SRTP, or has come a good deal further. */
      readonly type: 'srtp-index';
      readonly callId: string;
      readonly transportId: number;
      readonly direction: 'receive' | 'send';
      /** By the keys of before (`TransportPlan.srtp.former`, `formerSend`). */
      readonly isFormer: boolean;
      readonly indexes: SrtpIndexes;
    }
  | {
      /** What came was secured before, and is plain by now (`TransportPlan.srtp.isPlain`). */
      readonly type: 'plain-heard';
      readonly callId: string;
      readonly transportId: number;
    }
  | {
      /** A packet said which stream of the transport an SSRC belongs to; told at a bounded rate. */
      readonly type: 'ssrc-learned';
      readonly callId: string;
      readonly transportId: number;
      readonly streamId: number;
      readonly ssrc: number;
    }
  | {
      /** Media goes there from now on. */
      readonly type: 'ice-selected';
      readonly callId: string;
      readonly transportId: number;
      /** From this port of the transport, ... */
      readonly portId: number;
      /** ... to the peer's candidate with this priority. */
      readonly endpoint: Endpoint;
      readonly priority: number;
    }
  | {
      readonly type: 'ice-status';
      readonly callId: string;
      readonly transportId: number;
      readonly status: IceStatus;
      /** The role after conflicts, if any, were settled. */
      readonly controlling: boolean;
    }
  | {
      readonly type: 'dtls-status';
      readonly callId: string;
      readonly transportId: number;
      /** `DtlsPlan.generation` that the association belongs to. */
      readonly generation: number;
      readonly status: DtlsStatus;
      /** With `keyed`, null otherwise. */
      readonly keys: DtlsKeys | null;
    }
  | {
      /** A digit of RFC 4733 has ended (`PayloadAction` digit). */
      readonly type: 'digit-ended';
      readonly callId: string;
      readonly transportId: number;
      readonly streamId: number;
      readonly ssrc: number;
      /** 0 to 15 are the keys of a telephone, * and # are 10 and 11. */
      readonly digit: number;
      /** dBm0 without its sign. */
      readonly volume: number;
      /** In units of the RTP clock of the codec. */
      readonly durationUnits: number;
    }
  | {
      /** The first failure, and then once a minute while they go on. */
      readonly type: 'send-failed';
      readonly callId: string;
      readonly transportId: number;
      /** Where the packets should have gone. */
      readonly endpoint: Endpoint | null;
      /** Since the last event of this kind. */
      readonly packets: number;
      /** Name of the last one, e.g. ENETUNREACH. */
      readonly errno: string;
    };

/** RTCP as it came, in the clear; cut at 1,472 bytes. */
export interface RtcpCopy {
  readonly callId: string;
  readonly source: Endpoint;
  readonly local: Endpoint;
  /** As `StreamStatistics.lastPacketMicros`. */
  readonly atMicros: number;
  readonly bytes: Buffer;
}

export interface MediaRelay {
  /**
   * Makes the relay equal to `plan`: opens what is new, changes what differs, closes what is gone.
   * What stays is not interrupted and keeps learned endpoint and counters.
   */
  reconcile(plan: MediaPlan): ReconcileResult;
  /**
   * The ports of these calls stay open beyond their end, for the calls that have them next, until this is
   * called again. (Others may hold copies of their sockets: closed, they could not be opened at once.)
   */
  keepPorts(callIds: readonly string[]): void;
  /**
   * Asks those who send video in a call for key frames (RFC 4585 §6.3.1, RFC 5104 §4.3.1), as their streams'
   * `ownRtcp` says: at once and again after 300 ms, or when their first packet comes. false: no such call.
   */
  requestKeyFrames(callId: string): boolean;
  /**
   * Dials a digit in the place of what a stream's sender sends next, after those that were dialled before; nothing is
   * dialled while he is silent. false: no such stream.
   */
  dial(callId: string, streamId: number, digit: DialledDigit): boolean;
  /** null for an unknown call. */
  statistics(callId: string): CallStatistics | null;
  /** null for an unknown call. */
  glance(callId: string): readonly StreamGlance[] | null;
  /**
   * What of `statistics` is stored, by stream id; of streams that something has come to. Cheap, and empty for an
   * unknown call.
   */
  counters(callId: string): ReadonlyMap<number, StreamCounters>;
  /** As `StreamStatistics.lastPacketMicros`, the latest of a call's streams; 0, too, for an unknown call. */
  lastPacketMicros(callId: string): number;
  /** Media streams, RTCP is none, that have been heard within the last second; not those of the kernel. */
  activeStreams(): number;
  totals(): RelayTotals;
  /** By local address, over all calls, those that have ended included. */
  byAddress(): readonly AddressCounters[];
  /** Packets not relayed, by reason, over all calls, those that have ended included. */
  drops(): Readonly<Partial<Record<DropReason, number>>>;
  /** Empty for an unknown call. */
  traces(callId: string): readonly StreamTrace[];
  /** The listener gets the events in order, in batches; at most one listener. */
  onEvents(listener: (events: readonly RelayEvent[]) => void): void;
  /** The listener gets copies of all RTCP that comes from now on, as far as it keeps up; at most one listener. */
  onRtcp(listener: (copies: readonly RtcpCopy[]) => void): void;
  /** Stops the workers and closes every port. */
  close(): void;
}
