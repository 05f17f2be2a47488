/**
 * NG commands after parsing (ng-protocol.md §3, §4): one plain value per command. Strings are
 * byte strings (latin1, one character per byte).
 */

/** `rtcp-mux` list words (§4.3). */
export type RtcpMuxWord = 'offer' | 'require' | 'demux' | 'accept' | 'reject';

/** `replace` list words (§4.9), in one spelling. */
export type ReplaceWord =
  | 'origin'
  | 'origin-full'
  | 'session-name'
  | 'session-connection'
  | 'sdp-version'
  | 'username'
  | 'zero-address'
  | 'force-increment-sdp-ver';

/** `ICE` key values that this version tells apart (§4.3). */
export type IceWord = 'remove' | 'force' | 'default' | 'optional' | 'force-relay';

/** Flags of §4.8 that reach the call model, in one spelling. */
export type RequestFlag =
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

/** What every parsed request carries. */
export interface RequestNotes {
  /** Complete log texts, e.g. `Unknown flag encountered: 'x'`; they never fail a command. */
  readonly unknown: readonly string[];
  /** Keys, flags and values understood but not honoured by this version, e.g. `ICE=force`. */
  readonly unsupported: readonly string[];
  /** Those that ask for nothing that would be done otherwise, e.g. `sip-code`. */
  readonly idle: readonly string[];
}

/** `ping` (§3.1). */
export interface PingRequest extends RequestNotes {
  readonly command: 'ping';
}

/** `offer` and `answer` (§3.2); structurally what the call model is asked for, and a little more. */
export interface OfferAnswerRequest extends RequestNotes {
  readonly command: 'offer' | 'answer';
  readonly callId: string;
  readonly fromTag: string;
  /** Never null in an `answer`. */
  readonly toTag: string | null;
  readonly viaBranch: string | null;
  /** May be empty: the reply is then `ok` without `sdp` (seen on 10.5). */
  readonly sdp: string;
  readonly label: string | null;
  readonly fromInterface: string | null;
  readonly toInterface: string | null;
  readonly receivedFrom: string | null;
  readonly addressFamily: 'IP4' | 'IP6' | null;
  readonly mediaAddress: string | null;
  readonly endpointLearning: 'off' | 'immediate' | 'delayed' | 'heuristic' | null;
  /** TOS byte 0-255; null: leave as it is. */
  readonly tos: number | null;
  readonly deleteDelaySeconds: number | null;
  readonly metadata: string | null;
  readonly dropTraffic: 'start' | 'stop' | null;
  readonly sipCode: number | null;
  readonly sipMessageType: 'request' | 'reply' | null;
  readonly transportProtocol: string | null;
  readonly ice: IceWord | null;
  readonly rtcpMux: ReadonlySet<RtcpMuxWord>;
  readonly replace: ReadonlySet<ReplaceWord>;
  readonly flags: ReadonlySet<RequestFlag>;
  /** The proxy understands `result: load limit` (`supports: [load limit]`). */
  readonly supportsLoadLimit: boolean;
  /** `record-call`; null: not mentioned. */
  readonly recordCall: 'on' | 'off' | 'discard' | null;
  /** Flag `debug`: the lines of the call are logged at every level from now on. */
  readonly debug: boolean;
}

/** `delete` (§3.3). */
export interface DeleteRequest extends RequestNotes {
  readonly command: 'delete';
  readonly callId: string;
  readonly fromTag: string | null;
  readonly toTag: string | null;
  readonly viaBranch: string | null;
  /** null: the configured delay; 0: at once. */
  readonly deleteDelaySeconds: number | null;
  readonly metadata: string | null;
  /** An unknown call is an error rather than a warning. */
  readonly fatal: boolean;
  /** Leave the statistics out of the reply. */
  readonly fast: boolean;
  /** Flag `to-tag`: 26.3 honours the key `to-tag` only with it, 10.5 always does. */
  readonly toTagFlag: boolean;
  readonly discardRecording: boolean;
  /** As in OfferAnswerRequest. */
  readonly debug: boolean;
}

/** `query` (§3.4). */
export interface QueryRequest extends RequestNotes {
  readonly command: 'query';
  readonly callId: string;
  readonly fromTag: string | null;
  readonly toTag: string | null;
}

/** `list` (§3.5). */
export interface ListRequest extends RequestNotes {
  readonly command: 'list';
  /** Greatest number of call-ids in the reply, >= 0. */
  readonly limit: number;
}

/** `statistics` (§3.6). */
export interface StatisticsRequest extends RequestNotes {
  readonly command: 'statistics';
}

/** Which participant a command is about (§3.8): `label` before `address` before `fromTag`. */
export interface ParticipantSelection {
  readonly label: string | null;
  /** A media address of the participant, as its SDP gave it. */
  readonly address: string | null;
  readonly fromTag: string | null;
  /** Everybody, whoever else is named. */
  readonly all: boolean;
  /** The label that the selected participant gets; null: it keeps its own. */
  readonly setLabel: string | null;
}

export type RestrictionCommand =
  | 'block media'
  | 'unblock media'
  | 'block DTMF'
  | 'unblock DTMF'
  | 'silence media'
  | 'unsilence media';

/** Block and silence commands (§3.9). */
export interface RestrictionRequest extends RequestNotes, ParticipantSelection {
  readonly command: RestrictionCommand;
  readonly callId: string;
  /** As in OfferAnswerRequest. */
  readonly debug: boolean;
}

/** A parsed NG command; tell them apart by `command`. */
export type NgRequest =
  | PingRequest
  | OfferAnswerRequest
  | DeleteRequest
  | QueryRequest
  | ListRequest
  | StatisticsRequest
  | RestrictionRequest;

/** Commands that this version runs. */
export type NgCommandName = NgRequest['command'];
