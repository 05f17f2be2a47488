/** What the relay does with packets beyond passing them on: the parts of a plan that plain calls don't have. */

/** A stream of a transport that carries several. */
export interface DemuxEntry {
  readonly streamId: number;
  /** As packets and SDES say it (RFC 9143 §15); null: the section has none. */
  readonly mid: string | null;
  /** Of `a=ssrc`, or known from before; what packets teach is added. */
  readonly ssrcs: readonly number[];
  /** Those that other streams have as well tell nothing. */
  readonly payloadTypes: readonly number[];
}

/**
 * Several streams share a transport (bundle): each packet belongs to the stream of its MID, else of its SSRC,
 * else of its payload type (RFC 9143 §9.2); RTCP goes by the SSRCs that it speaks of. What cannot be told
 * apart is dropped (`unknown-stream`); what is no RTP counts as the first stream's.
 */
export interface DemuxTable {
  /** Id of the MID header extension in what arrives; null: none is negotiated. */
  readonly midExtension: number | null;
  /** All streams of the transport, each once. */
  readonly streams: readonly DemuxEntry[];
}

/** What becomes of header extensions (RFC 8285), by their ids on the way in. */
export interface ExtensionRewrite {
  /** The id on the way out; null: it is taken out of each packet. */
  readonly ids: ReadonlyMap<number, number | null>;
  /** What `ids` does not name. */
  readonly others: 'keep' | 'remove';
  /** Each packet says this mid with this id, whatever it said before; null: nothing is added. */
  readonly mid: { readonly id: number; readonly value: string } | null;
}

/** What a route changes in headers. SSRCs, types and ids that are not named stay. */
export interface RewritePlan {
  readonly payloadTypes: ReadonlyMap<number, number>;
  /** SSRCs (and CSRCs) that come, and what goes in their place; in RTCP its sender's. */
  readonly ssrcs: ReadonlyMap<number, number>;
  /** Added modulo 2^16. The numbers inside of retransmissions (RFC 4588) stay, so not for their streams. */
  readonly sequenceOffset: number;
  /** Added modulo 2^32, in sender reports too. */
  readonly timestampOffset: number;
  /** null: all extensions go on as they are. */
  readonly extensions: ExtensionRewrite | null;
  /**
   * For a route of RTCP: how its sender knows the streams that it reports on and asks for, and what they are
   * called where they come from; that is, the reverse of the rewrite of the routes to the sender.
   */
  readonly about: {
    readonly ssrcs: ReadonlyMap<number, number>;
    /** What those routes add to sequence numbers; it is taken off. */
    readonly sequenceOffset: number;
  } | null;
}

/** RTCP that the relay itself sends to whoever sends a stream. */
export interface OwnRtcpPlan {
  /** It leaves by this stream's transport: the one for RTCP, or the stream itself with rtcp-mux. */
  readonly by: number;
  /**
   * Sender and receiver reports with SDES (RFC 3550 §6) about what is sent to this remote and what comes from
   * it; null: none.
   */
  readonly reports: { readonly intervalMs: number; readonly cname: string } | null;
  /** How its sender is asked for a key frame (`MediaRelay.requestKeyFrames`); null: it is no video. */
  readonly keyFrames: {
    /** RFC 4585 §6.3.1, RFC 5104 §4.3.1; with both PLI is sent. */
    readonly pli: boolean;
    readonly fir: boolean;
    /** Of what has key frames: not of retransmissions or redundancy. Empty: all of them. */
    readonly payloadTypes: readonly number[];
  } | null;
}
