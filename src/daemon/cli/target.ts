/** What the operator's command line needs of the daemon. Implemented by the daemon. */
import type { LogSubsystem } from '../../config/subsystems.js';
import type { CaptureAnswer } from './capture-file.js';
import type { KeysAnswer } from './decrypt.js';
import type { RecentLine } from '../../observe/recent-lines.js';
import type { ReplayStatus } from '../../native/replay.js';
import type { NodeStatus } from '../node-status.js';
import type { CallStreams } from './streams.js';
import type { Explanation } from '../../observe/explain/explain.js';

/** One call in a list. */
export interface CliSession {
  readonly callId: string;
  readonly deletionScheduled: boolean;
  readonly createdSeconds: number;
  /** Control client that created it, `ip:port`. */
  readonly createdFrom: string;
  readonly redisDatabase: number;
  readonly foreign: boolean;
}

/** A port pair's half in the details of a call. */
export interface CliPort {
  readonly local: { readonly address: string; readonly port: number };
  /** null: not known yet. */
  readonly remote: { readonly address: string; readonly port: number } | null;
  readonly rtcp: boolean;
  readonly ssrc: number | null;
  readonly packets: number;
  readonly bytes: number;
  readonly errors: number;
  readonly lastPacketSeconds: number;
}

export interface CliMedia {
  /** From 1. */
  readonly index: number;
  readonly type: string;
  readonly protocol: string;
  /** `PCMU/8000`; null: unknown. */
  readonly codec: string | null;
  readonly ports: readonly CliPort[];
}

export interface CliParticipant {
  /** '' until it is known. */
  readonly tag: string;
  readonly role: 'FROM_TAG' | 'TO_TAG' | 'UNKNOWN';
  readonly label: string;
  readonly viaBranch: string;
  readonly durationSeconds: number;
  readonly subscribedTo: readonly string[];
  readonly subscribers: readonly string[];
  readonly medias: readonly CliMedia[];
}

/** One call in full. */
export interface CliCall extends CliSession {
  readonly tos: number;
  readonly lastSignalSeconds: number;
  readonly participants: readonly CliParticipant[];
}

export interface CliInterface {
  readonly name: string;
  readonly address: string;
  readonly portMin: number;
  readonly portMax: number;
  readonly portsUsed: number;
  /** 0: none yet. */
  readonly lastPort: number;
}

export interface CliSessionCounts {
  readonly own: number;
  readonly foreign: number;
  readonly transcodedMedia: number;
  readonly ipv4Only: number;
  readonly ipv6Only: number;
  readonly mixed: number;
}

/**
 * The sections of the statistics with their members as numbers (options.md §8); the same object with
 * durations as strings is the reply to NG `statistics`. Durations are in seconds.
 */
export interface CliStatistics {
  readonly currentstatistics: Readonly<Record<string, number>>;
  readonly totalstatistics: Readonly<Record<string, number>>;
  readonly intervalstatistics: Readonly<Record<string, number>>;
  readonly mos: Readonly<Record<string, number>>;
  readonly controlstatistics: Readonly<
    Record<string, number | readonly Readonly<Record<string, number | string>>[]>
  >;
  readonly interfaces: readonly unknown[];
  readonly transcoders: readonly unknown[];
}

/** One flow of the kernel with its counters. */
export interface CliFlow {
  readonly from: string;
  readonly local: string;
  readonly source: string;
  readonly to: string;
  /** Forwarded only while no daemon reads it. */
  readonly rtcpOnly: boolean;
  readonly packets: number;
  readonly bytes: number;
  readonly passedUp: number;
  readonly dropped: number;
  readonly lost: number;
  /** RTP time units. */
  readonly jitter: number;
}

export interface CliKernel {
  readonly mode: string;
  readonly devices: readonly string[];
  readonly flows: readonly CliFlow[];
  /** Flows that the kernel did not take. */
  readonly refused: { readonly now: number; readonly total: number };
  /** Packets by what became of them. */
  readonly totals: Readonly<Record<string, number>>;
}

/** Parameters in the order in which they are told. */
export type ParameterLines = readonly (readonly [name: string, value: string])[];

/** Settings that can be read and changed while running, by their CLI names. */
export type CliSetting =
  | 'maxsessions'
  | 'maxopenfiles'
  | 'maxcpu'
  | 'maxload'
  | 'maxbw'
  | 'timeout'
  | 'silenttimeout'
  | 'offertimeout'
  | 'finaltimeout'
  | 'redisallowederrors'
  | 'redisdisabletime'
  | 'redisconnecttimeout'
  | 'rediscmdtimeout'
  | 'controltos'
  | 'deletedelay';

/** What the command line asks of the daemon. Nothing here may throw. */
export interface CliTarget {
  sessionCounts(): CliSessionCounts;
  sessions(): Iterable<CliSession>;
  /** null: unknown. */
  call(callId: string): CliCall | null;
  /** All calls with their streams, read as they are asked for, and the moment by a clock that does not jump. */
  streams(): { readonly atMicros: number; readonly calls: Iterable<CallStreams> };
  /** Why nothing is heard in a call, also in one that has ended lately; null: unknown. */
  explain(callId: string): Explanation | null;
  interfaces(): readonly CliInterface[];
  /** One more address, as behind `--interface=`; why it cannot be had, or null. Never rejects. */
  addInterface(text: string): Promise<string | null>;
  /** Removes a logical interface; why it cannot be, or null. */
  removeInterface(name: string): string | null;
  statistics(): CliStatistics;
  /** Current value, in the unit of the option it belongs to. */
  setting(name: CliSetting): number;
  /** Takes a value that is valid by itself; returns why it cannot be had, or null when it is set. */
  changeSetting(name: CliSetting, value: number): string | null;
  /** Calls are written to Redis no longer, or again; false: there is no Redis, or it was so already. */
  switchRedis(on: boolean): boolean;
  /** The last lines of the log that are a call's, as far as they are kept. */
  recentLines(callId: string): readonly RecentLine[];
  logLevel(subsystem: LogSubsystem): number;
  setLogLevel(subsystem: LogSubsystem, level: number): void;
  /** false: unknown call. */
  setCallDebug(callId: string, on: boolean): boolean;
  /** Ends a call now; false: unknown. */
  terminateCall(callId: string): boolean;
  terminateCalls(which: 'all' | 'own' | 'foreign'): Promise<void>;
  /** Redis databases that are followed. */
  keyspaces(): readonly number[];
  /** Follows one more; false: it is followed already, or there is no Redis. */
  follow(database: number): boolean;
  /** Drops the foreign calls of a database and follows it no longer; false: it was not followed. */
  unfollow(database: number): Promise<boolean>;
  /** Every call is this node's, or another's. */
  makeAll(ownership: 'own' | 'foreign'): Promise<void>;
  /** What `rtprelayctl capture` has to know of a call; null: unknown. */
  capture(callId: string): CaptureAnswer | null;
  /** The keys of its SRTP, for the same; a text: why they are not told. null: unknown call. */
  srtpKeys(callId: string): KeysAnswer | string | null;
  /** How the node is. */
  status(): NodeStatus;
  /** null: there is none. */
  replay(): ReplayStatus | null;
  /** What the kernel forwards; null: nothing, media is relayed in user space. */
  kernel(): Promise<CliKernel | null>;
  /** Reads the configuration again: what became of it, a line each. Never rejects. */
  reload(): Promise<readonly string[]>;
  processId(): number;
  /** Refuses new calls and ends the process after the last one; null: the time limit of the option. */
  drain(timeoutSeconds: number | null): void;
  /** Has the parent start what is installed now and hand over to it; false: there is no parent. */
  upgrade(): boolean;
  /** Takes new calls again; false: it was not draining. */
  cancelDrain(): boolean;
  /**
   * Parameters as `name`, `value` lines: as they were configured last, and now; `configured` are those of the start
   * under the names of now, which rtpengine has otherwise for some.
   */
  parameters(when: 'start' | 'configured' | 'current'): ParameterLines;
  /** Takes all settings back to their configured values. */
  revertParameters(): void;
}
