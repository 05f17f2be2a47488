/**
 * NG commands after parsing (ng-protocol.md §3, §4): one plain value per command. Strings are
 * byte strings (latin1, one character per byte). The fields and their types come from request-table.ts.
 */
import type { RequestFlag } from './flags.js';
import type { RequestFields } from './request-table.js';
import type { TransformMedia } from './transform.js';

export type { RequestFlag } from './flags.js';
export type { DtlsWord, IceLiteWord, IceWord, IceWords } from './ice-dtls-words.js';
export type { BundleWord, ReplaceWord, RtcpMuxWord } from './request-table.js';
export type { SdesWords } from './sdes-words.js';
export type { TransformCodec, TransformMedia } from './transform.js';

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

/** `offer` and `answer` (§3.2): every field of the table. */
export interface OfferAnswerRequest extends RequestNotes, Readonly<RequestFields> {
  readonly command: 'offer' | 'answer';
  readonly callId: string;
  readonly fromTag: string;
  readonly sdp: string;
  /** `toTag` is never null in an `answer`. */
  readonly flags: ReadonlySet<RequestFlag>;
}

/** `delete` (§3.3). */
export interface DeleteRequest extends RequestNotes, Readonly<Pick<RequestFields, DeleteField>> {
  readonly command: 'delete';
  readonly callId: string;
  readonly flags: ReadonlySet<RequestFlag>;
}
type DeleteField = 'fromTag' | 'toTag' | 'viaBranch' | 'deleteDelaySeconds' | 'metadata';

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
export type ParticipantSelection = Readonly<
  Pick<RequestFields, 'label' | 'address' | 'fromTag' | 'all' | 'setLabel'>
>;

export type RestrictionCommand =
  | 'block media'
  | 'unblock media'
  | 'block DTMF'
  | 'unblock DTMF'
  | 'silence media'
  | 'unsilence media';

type FlowField = 'toTag' | 'toLabel' | 'flows';

/** Block and silence commands (§3.9). */
export interface RestrictionRequest
  extends RequestNotes, ParticipantSelection, Readonly<Pick<RequestFields, FlowField>> {
  readonly command: RestrictionCommand;
  readonly callId: string;
  readonly flags: ReadonlySet<RequestFlag>;
}

/** Commands about subscriptions (§3.13): every field of the table. */
export interface PublishRequest extends RequestNotes, Readonly<RequestFields> {
  readonly command: 'publish';
  /** null: one is made up, and so is the from-tag. */
  readonly callId: string | null;
  readonly sdp: string;
  readonly flags: ReadonlySet<RequestFlag>;
}

export interface SubscribeRequest extends RequestNotes, Readonly<RequestFields> {
  readonly command: 'subscribe request';
  readonly callId: string;
  readonly flags: ReadonlySet<RequestFlag>;
}

export interface SubscribeAnswerRequest extends RequestNotes, Readonly<RequestFields> {
  readonly command: 'subscribe answer';
  readonly callId: string;
  readonly flags: ReadonlySet<RequestFlag>;
}

export interface UnsubscribeRequest extends RequestNotes {
  readonly command: 'unsubscribe';
  readonly callId: string;
  readonly toTag: string | null;
  readonly flags: ReadonlySet<RequestFlag>;
}

/** `connect` (§3.14): joins two participants. */
export interface ConnectRequest
  extends
    RequestNotes,
    Readonly<Pick<RequestFields, 'fromTag' | 'toTag' | 'toCallId' | 'fromTags'>> {
  readonly command: 'connect';
  readonly callId: string;
  readonly flags: ReadonlySet<RequestFlag>;
}

/** `mesh` (§3.17). */
export interface MeshRequest
  extends RequestNotes, Readonly<Pick<RequestFields, 'calls' | 'meshTags'>> {
  readonly command: 'mesh';
  readonly flags: ReadonlySet<RequestFlag>;
}

/** `create` and `create answer` (§3.16). */
export interface CreateRequest extends RequestNotes, Readonly<RequestFields> {
  readonly command: 'create';
  readonly flags: ReadonlySet<RequestFlag>;
}

export interface CreateAnswerRequest extends RequestNotes, Readonly<RequestFields> {
  readonly command: 'create answer';
  readonly callId: string;
  readonly fromTag: string;
  readonly sdp: string;
  readonly flags: ReadonlySet<RequestFlag>;
}

/** `transform` (§3.18): what comes is sent on elsewhere. */
export interface TransformRequest extends RequestNotes, Readonly<RequestFields> {
  readonly command: 'transform';
  readonly flags: ReadonlySet<RequestFlag>;
  /** null: there is none that could be read. */
  readonly transformMedias: readonly TransformMedia[] | null;
}

/** `start forwarding`, `stop forwarding` (§3.10). */
export interface ForwardingRequest extends RequestNotes, ParticipantSelection {
  readonly command: 'start forwarding' | 'stop forwarding';
  readonly callId: string;
}

/** `start recording`, `stop recording`, `pause recording` (§3.7). */
export interface RecordingRequest extends RequestNotes {
  readonly command: 'start recording' | 'stop recording' | 'pause recording';
  readonly callId: string;
}

/** `play DTMF` (§3.12). */
export interface PlayDtmfRequest
  extends
    RequestNotes,
    ParticipantSelection,
    Readonly<Pick<RequestFields, 'digit' | 'digitDurationMs' | 'digitPauseMs' | 'digitVolume'>> {
  readonly command: 'play DTMF';
  readonly callId: string;
}

/** Commands that make sound (§3.11, §3.15): understood, and refused as by rtpengine when it cannot do them. */
export interface SoundRequest
  extends RequestNotes, ParticipantSelection, Readonly<Pick<RequestFields, SoundField>> {
  readonly command: 'play media' | 'stop media' | 'inject start' | 'inject stop';
  readonly callId: string;
}
type SoundField = 'toTag' | 'mediaFile' | 'mediaBlob' | 'mediaRow' | 'sourceTag' | 'sourceCallId';

/** `cli` (§3.19): a line of the operator's. */
export interface CliRequest extends RequestNotes {
  readonly command: 'cli';
  readonly line: string;
}

/** A parsed NG command; tell them apart by `command`. */
export type NgRequest =
  | PingRequest
  | OfferAnswerRequest
  | DeleteRequest
  | QueryRequest
  | ListRequest
  | StatisticsRequest
  | RestrictionRequest
  | PublishRequest
  | SubscribeRequest
  | SubscribeAnswerRequest
  | UnsubscribeRequest
  | ConnectRequest
  | MeshRequest
  | CreateRequest
  | CreateAnswerRequest
  | TransformRequest
  | ForwardingRequest
  | RecordingRequest
  | SoundRequest
  | PlayDtmfRequest
  | CliRequest;
