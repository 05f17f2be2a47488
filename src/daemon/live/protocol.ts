/**
 * What the live page and the daemon say to each other, as JSON over a WebSocket. Types alone: the page
 * (web/live) is compiled against them.
 */

/** What is wrong with a call, or that nothing is; the worst first. */
export type Condition = 'one-way' | 'silent' | 'poor' | 'hold' | 'ringing' | 'ok' | 'standby';

/** Which calls are listed: those in trouble are `one-way`, `silent` and `poor`. */
export type Filter = 'all' | 'trouble' | Condition;

export type SortKey = 'trouble' | 'id' | 'age' | 'rate' | 'loss' | 'jitter' | 'mos';

/** What a viewer wants to see; each wish replaces the one before. */
export interface Wish {
  readonly sort: SortKey;
  readonly descending: boolean;
  /** In call-id, tags, labels, addresses and ports; '' everything. */
  readonly search: string;
  readonly filter: Filter;
  /** The rows in sight. */
  readonly from: number;
  readonly count: number;
  /** The call that is shown in full; null: none. */
  readonly call: string | null;
}

/**
 * The last five minutes, a character for each five seconds, the latest last: `-` nothing is known, else
 * a digit of base 62 (0-9, A-Z, a-z) of which the last one is `top`.
 */
export interface Trace {
  readonly points: string;
  readonly top: number;
}

/** One call of the list. What is null is not known. */
export interface Row {
  /** The call-id; of a very long one its beginning and a digest, which is asked for in its place. */
  readonly id: string;
  readonly condition: Condition;
  /** Tags or labels of its participants. */
  readonly parties: readonly string[];
  readonly media: string;
  readonly ageSeconds: number;
  /** Of all its streams, as they come. */
  readonly packetsPerSecond: number;
  readonly bitsPerSecond: number;
  /** The worst of its streams. */
  readonly lossPercent: number | null;
  readonly jitterMs: number | null;
  readonly mos: number | null;
  readonly where: Place;
  readonly rate: Trace;
  readonly loss: Trace;
}

/** What forwards its packets. */
export type Place = 'kernel' | 'userspace' | 'both' | 'nothing';

/** Where on its way a direction loses. `way`: before or behind the relay, which is not known. */
export type LossHop = 'from' | 'relay' | 'to' | 'way';

export interface WayEnd {
  /** Tag, or what stands for it. */
  readonly name: string;
  /** Where it sends from and gets its packets; null: not known. */
  readonly remote: string | null;
  /** false: that is what its SDP says, nothing has come from there. */
  readonly heard: boolean;
  /** The relay's port for it. */
  readonly local: string | null;
}

/** One direction of a call: phone, port, kernel or userspace, port, phone. */
export interface Way {
  readonly media: string;
  readonly from: WayEnd;
  readonly to: WayEnd;
  readonly flows: boolean;
  /** It is on hold, as somebody has said. */
  readonly held: boolean;
  readonly place: Place;
  /** Packets of `from` that came, and packets that left for `to`. */
  readonly received: number;
  readonly sent: number;
  readonly receivedPerSecond: number;
  readonly sentPerSecond: number;
  readonly bitsPerSecond: number;
  readonly lastPacketSecondsAgo: number | null;
  readonly lossPercent: number | null;
  readonly jitterMs: number | null;
  readonly mos: number | null;
  readonly dropped: readonly (readonly [reason: string, packets: number])[];
  /** null: nothing is lost. */
  readonly losesAt: LossHop | null;
  /** What explains it, the first one decides. */
  readonly findings: readonly {
    readonly decides: boolean;
    readonly text: string;
    readonly next: string | null;
  }[];
  readonly traces: {
    readonly rate: Trace;
    readonly loss: Trace;
    readonly jitter: Trace;
    readonly mos: Trace;
  };
}

/** The call that is shown in full. */
export interface CallDetail {
  readonly id: string;
  /** false: there is no such call, or not any more. */
  readonly known: boolean;
  readonly ended: boolean;
  readonly foreign: boolean;
  readonly ageSeconds: number | null;
  /** Of the proxy that has made it. */
  readonly createdFrom: string;
  /** `explain`'s sentence and what speaks of the whole call. */
  readonly summary: string;
  readonly findings: Way['findings'];
  readonly ways: readonly Way[];
}

/** Something that has happened to the node. */
export interface NodeEvent {
  /** Rises by one. */
  readonly number: number;
  /** Wall clock. */
  readonly atMs: number;
  readonly kind:
    'takeover' | 'lost' | 'address' | 'store' | 'drain' | 'start' | 'reload' | 'kernel';
  readonly text: string;
}

/** What goes on and is not done with one step. */
export interface Progress {
  readonly what: 'restore' | 'drain' | 'reload';
  readonly text: string;
  /** 0 to 1; null: how much there is, is not known. */
  readonly share: number | null;
  readonly running: boolean;
}

/** How the node is. */
export interface NodeStatistics {
  readonly name: string;
  readonly version: string;
  readonly uptimeSeconds: number;
  /** Wall clock. */
  readonly nowMs: number;
  readonly own: number;
  readonly foreign: number;
  readonly packetsPerSecond: number;
  readonly bitsPerSecond: number;
  readonly errorsPerSecond: number;
  /** Of the calls that were looked at last. */
  readonly worstLossPercent: number | null;
  readonly meanMos: number | null;
  readonly traces: {
    readonly calls: Trace;
    readonly packets: Trace;
    readonly drops: Trace;
    readonly mos: Trace;
    readonly lag: Trace;
  };
  /** Packets not relayed. */
  readonly drops: readonly {
    readonly reason: string;
    readonly total: number;
    readonly perSecond: number;
  }[];
  readonly kernel: {
    readonly mode: string;
    readonly streams: number;
    readonly packetsPerSecond: number;
  } | null;
  readonly store: 'none' | 'healthy' | 'degraded';
  /** Databases of other nodes that this one stands by for. */
  readonly standby: readonly {
    readonly database: number;
    readonly waiting: number;
    readonly behindMs: number;
    readonly lastMs: number;
  }[];
  /** Media addresses, and whether this node has them. */
  readonly addresses: readonly { readonly address: string; readonly held: boolean }[];
  readonly takeovers: number;
  readonly takenOver: number;
  readonly progress: readonly Progress[];
  readonly viewers: number;
}

/** Sent every second, and soon after a wish. */
export interface Frame {
  readonly node: NodeStatistics;
  readonly list: {
    /** Calls there are, and those that the wish is about. */
    readonly total: number;
    readonly matching: number;
    readonly from: number;
    readonly rows: readonly Row[];
    readonly conditions: Readonly<Record<Condition, number>>;
  };
  readonly call: CallDetail | null;
  /** Those that this viewer has not been sent before. */
  readonly events: readonly NodeEvent[];
  /** Frames that were left out because the viewer did not read. */
  readonly leftOut: number;
}

/** Sub-protocol of the WebSocket. */
export type LiveProtocol = 'live.rtprelay';
