/**
 * SDP (RFC 8866) as the relay sees it. Text is latin1-safe: one character per byte.
 * `lines.ts` parses, `view.ts` reads values, `rewrite.ts` writes the body for the other side.
 */

/** What was wrong, in terms of the NG error it causes (sdp-rules.md §11). */
export type SdpErrorCode = 'syntax' | 'too-many-medias' | 'incomplete' | 'not-writable';

export class SdpError extends Error {
  override readonly name = 'SdpError';
  constructor(
    readonly code: SdpErrorCode,
    message: string,
    /** Byte offset of the offending line in the body; -1 when no single line is to blame. */
    readonly offset: number,
  ) {
    super(message);
  }
}

/** Changes to the attribute lines of a section; texts are what stands behind `a=`. */
export interface AttributeEdits {
  readonly add: string[];
  /** A whole line, its name, or its name with the first word of its value; case does not matter. */
  readonly remove: string[];
  readonly substitute: (readonly [from: string, to: string])[];
}

export interface SdpLine {
  /** One letter. */
  readonly type: string;
  readonly value: string;
}

/** An a= line: `name` or `name:value`. */
export interface SdpAttribute {
  readonly name: string;
  readonly value: string | null;
}

/** A c= line of network type IN. */
export interface SdpConnection {
  /** Of the address: an IPv4 address mapped into IPv6 is IP4. */
  readonly family: 'IP4' | 'IP6';
  /** Without TTL or address count; in its one spelling (address.ts). */
  readonly address: string;
}

export interface SdpOrigin {
  /** Without white space, never empty. */
  readonly username: string;
  readonly sessionId: string;
  readonly version: string;
  readonly networkType: string;
  readonly addressType: string;
  readonly address: string;
}

export interface SdpMedia {
  readonly type: string;
  readonly port: number;
  /** N of `PORT/N`, else 1. */
  readonly portCount: number;
  readonly protocol: string;
  readonly formats: readonly string[];
  readonly connection: SdpConnection | null;
  readonly attributes: readonly SdpAttribute[];
  /** All lines of the section after the m= line, in order, a= and c= lines included. */
  readonly lines: readonly SdpLine[];
}

export interface SdpSession {
  readonly origin: SdpOrigin;
  readonly name: string;
  readonly connection: SdpConnection | null;
  readonly attributes: readonly SdpAttribute[];
  /** All session-level lines after v=, in order. */
  readonly lines: readonly SdpLine[];
  readonly medias: readonly SdpMedia[];
}

/** A body: usually one session, several when v= comes again (sdp-rules.md §11). */
export interface SdpDocument {
  readonly sessions: readonly SdpSession[];
}

export type SdpDirection = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

/** One payload type of an RTP media, from m=, rtpmap, fmtp, ptime and the static table. */
export interface SdpCodec {
  readonly payloadType: number;
  readonly encoding: string;
  readonly clockRate: number;
  readonly channels: number;
  readonly fmtp: string;
  readonly rtcpFeedback: readonly string[];
}

/** What the offer/answer model wants a media section to say. */
export interface MediaEdit {
  /**
   * keep: written out as received, untouched (media that is not relayed, e.g. TCP).
   * rejected: `m=… 0 …` with i=, c= zero, b=, mid/label/bundle-only only (sdp-rules.md §8).
   * relay: rewritten as the other fields say.
   * left-out: not written at all.
   */
  readonly kind: 'relay' | 'rejected' | 'keep' | 'left-out';
  readonly port: number;
  readonly protocol: string;
  /** Of a plain section for the same medium and port, written before it without keys; null: there is none. */
  readonly twin: string | null;
  readonly connection: SdpConnection;
  /** Formats to list, in this order; null: as received (refused sections, protocols other than RTP). */
  readonly formats: readonly string[] | null;
  /** Those of them that the section does not describe. */
  readonly addedCodecs: readonly SdpCodec[];
  /** RTP protocols get rtpmap/fmtp/rtcp-fb per payload type; others keep their attributes as received. */
  readonly rtp: boolean;
  /** `keep`: copy whatever direction attribute was received, or none (original-sendrecv). */
  readonly direction: SdpDirection | 'keep' | null;
  /** Value of a=rtcp (`PORT` or `PORT IN IP4 ADDR`); null: none. */
  readonly rtcp: string | null;
  readonly rtcpMux: boolean;
  readonly mid: string | null;
  /** a=ptime in ms; null: none. */
  readonly ptime: number | null;
  /**
   * Drop `crypto`, `setup`, `fingerprint`, `tls-id` (false: keep them as received, for secure media
   * that passes through unchanged).
   */
  readonly stripSecurity: boolean;
  /** Values of a=crypto to write. */
  readonly crypto: readonly string[];
  /** `setup`, `fingerprint`, `tls-id` to write, without `a=`. */
  readonly dtls: readonly string[];
  /** What is kept of the section's own ICE attributes, its `end-of-candidates` apart. */
  readonly keptIce: 'none' | 'all' | 'without-relays';
  /** ICE attributes to write, without `a=`. */
  readonly ice: readonly string[];
  /** Whether the section is only to be had in its bundle (RFC 9143 §6); keep: as received. */
  readonly bundleOnly: boolean | 'keep';
  /** Values of a=extmap to write; null: as received. */
  readonly extensions: readonly string[] | null;
  /** Header extensions that are not listed: URIs or `all`; null: none. */
  readonly droppedExtensions: ReadonlySet<string> | null;
  /** The kind of feedback (RFC 4585 §4.2) that is not listed; null: none. */
  readonly droppedFeedback: string | null;
  /** Applied to the lines of the section, last of all. */
  readonly attributes: AttributeEdits | null;
}

export interface SessionEdit {
  /** The o= line to write. */
  readonly origin: SdpOrigin;
  readonly name: string;
  /** Lines put at steps 7 to 9 of the layout (`rtpengine:ID`, `ice-lite`), without `a=`. */
  readonly addedAttributes: readonly string[];
  readonly stripIce: boolean;
  readonly stripSecurity: boolean;
  /** Drop `group`. */
  readonly stripGroups: boolean;
  /** Applied to the lines before the first section, last of all. */
  readonly attributes: AttributeEdits | null;
  /** One entry for each media of the session, in order. */
  readonly medias: readonly MediaEdit[];
}
