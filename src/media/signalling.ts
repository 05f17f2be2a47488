/**
 * What the offer/answer model is asked for: an NG request after parsing (ng-protocol.md §4).
 * The NG layer produces values of this shape; the model knows nothing of dictionaries.
 */
import type { AddressFamily, EndpointLearning } from './call-state.js';

export type RtcpMuxOption = 'offer' | 'require' | 'demux' | 'accept' | 'reject';

export type ReplaceOption =
  | 'origin'
  | 'origin-full'
  | 'session-name'
  | 'session-connection'
  | 'sdp-version'
  | 'username'
  | 'zero-address'
  | 'force-increment-sdp-ver';

/** Flags of ng-protocol.md §4.8 that the model acts on, in one spelling. */
export type SignallingFlag =
  | 'trust-address'
  | 'sip-source-address'
  | 'asymmetric'
  | 'strict-source'
  | 'media-handover'
  | 'port-latching'
  | 'no-port-latching'
  | 'unidirectional'
  | 'loop-protect'
  | 'no-rtcp-attribute'
  | 'full-rtcp-attribute'
  | 'original-sendrecv'
  | 'pierce-nat'
  | 'nat-wait'
  | 'no-redis-update'
  | 'generate-mid'
  | 'to-tag'
  | 'fatal'
  | 'fast'
  | 'debug';

/** A parsed `offer` or `answer`. Strings are byte strings. */
export interface SignallingRequest {
  readonly callId: string;
  readonly fromTag: string;
  readonly toTag: string | null;
  readonly viaBranch: string | null;
  readonly sdp: string;
  readonly label: string | null;
  /** Logical interface facing the sender of this SDP, and the one facing its receiver. */
  readonly fromInterface: string | null;
  readonly toInterface: string | null;
  /** Source of the SIP message. */
  readonly receivedFrom: string | null;
  readonly addressFamily: AddressFamily | null;
  /** Address to write into the SDP instead of the interface's advertised address. */
  readonly mediaAddress: string | null;
  readonly endpointLearning: EndpointLearning | null;
  /** TOS byte 0-255; null: leave as it is. */
  readonly tos: number | null;
  readonly deleteDelaySeconds: number | null;
  readonly metadata: string | null;
  readonly dropTraffic: 'start' | 'stop' | null;
  readonly sipCode: number | null;
  /** `m=` protocol wanted towards the receiver; null: as received. Upper case names of RFC 3551, 4585. */
  readonly transportProtocol: string | null;
  readonly ice: 'remove' | 'force' | 'default' | 'optional' | 'force-relay' | null;
  readonly rtcpMux: ReadonlySet<RtcpMuxOption>;
  readonly replace: ReadonlySet<ReplaceOption>;
  readonly flags: ReadonlySet<SignallingFlag>;
}
