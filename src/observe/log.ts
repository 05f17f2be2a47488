/**
 * Log lines in rtpengine's form (options.md §6): levels with syslog's numbers, one threshold for each
 * subsystem, the call-id in front. A line is written before the call returns, so a crash loses
 * none; a reader that is too slow is never waited for (log-output.ts).
 *
 * Text lines are formatted here and not by pino: pino writes JSON only, and importing it takes 25-30 ms
 * of a start that may take 100 ms in all. `--log-format=json` uses pino (log-json.ts).
 */
import type { LogSubsystem } from '../config/subsystems.js';
import { RecentLines, type RecentLine } from './recent-lines.js';

/** Levels with syslog's numbers (RFC 5424 §6.2.1). */
export const logLevel = {
  emergency: 0,
  alert: 1,
  critical: 2,
  error: 3,
  warning: 4,
  notice: 5,
  info: 6,
  debug: 7,
} as const;

/** 0 emergency … 7 debug. */
export type LogLevel = (typeof logLevel)[keyof typeof logLevel];

/** rtpengine's names of the levels, by number. */
export const logLevelNames: Readonly<Record<LogLevel, string>> = {
  0: 'EMERG',
  1: 'ALERT',
  2: 'CRIT',
  3: 'ERR',
  4: 'WARNING',
  5: 'NOTICE',
  6: 'INFO',
  7: 'DEBUG',
};

/** Where records go. `write` must neither throw nor wait. */
export interface LogSink {
  /** false: some lines wait for a reader that is too slow. */
  readonly empty?: boolean;
  /** Nothing is written any more, also not what still waits. */
  close?(): void;
  /** Opens again what may have been replaced meanwhile (log rotation, a restarted syslog). */
  reopen?(): void;
  /** `port`: the local media port that the line is about; `tag`: of whom it is. */
  write(
    level: LogLevel,
    subsystem: LogSubsystem,
    callId: string | null,
    message: string,
    port?: number | null,
    tag?: string | null,
  ): void;
}

/** Everything that a log is made of. */
export interface LogOptions {
  readonly sink: LogSink;
  /** Highest level written, by subsystem; -1 nothing. Missing ones: 6. */
  readonly levels: ReadonlyMap<LogSubsystem, number>;
  /** Put around private data; empty by default. */
  readonly markPrefix?: string;
  readonly markSuffix?: string;
  /** Wall clock in µs; with it the last lines of calls are kept. */
  readonly nowMicros?: () => number;
}

/** Bytes of a call-id that a line has: it comes off the wire. */
const maxCallIdBytes = 255;

const shortened = (callId: string): string =>
  callId.length <= maxCallIdBytes ? callId : `${callId.slice(0, maxCallIdBytes)}...`;

const lowest = -1;
const highest = logLevel.debug;

/** The log of the daemon. Cheap to ask whether a line would be written: `enabled`. */
export class Log {
  #sink: LogSink;
  readonly #levels: Map<LogSubsystem, number>;
  #markPrefix: string;
  #markSuffix: string;
  /** Calls of which every line is written (`debug CALLID on`). */
  readonly #debugged = new Set<string>();
  readonly #nowMicros: (() => number) | null;
  readonly #recent = new RecentLines();
  #tagOf: (callId: string, port: number) => string | null = () => null;

  constructor(options: LogOptions) {
    this.#sink = options.sink;
    this.#levels = new Map(options.levels);
    this.#markPrefix = options.markPrefix ?? '';
    this.#markSuffix = options.markSuffix ?? '';
    this.#nowMicros = options.nowMicros ?? null;
  }

  /** Who knows of whom a local media port of a call is. */
  tagsBy(tagOf: (callId: string, port: number) => string | null): void {
    this.#tagOf = tagOf;
  }

  /** The last lines of a call, the oldest first, as far as they are kept. */
  recentOf(callId: string): readonly RecentLine[] {
    return this.#recent.of(callId);
  }

  /** Would a line of this level be written? */
  enabled(level: LogLevel, subsystem: LogSubsystem, callId: string | null = null): boolean {
    if (level <= (this.#levels.get(subsystem) ?? logLevel.info)) return true;
    return callId !== null && this.#debugged.size > 0 && this.#debugged.has(callId);
  }

  /**
   * @param callId the call the line belongs to (a byte string), null: none.
   * @param port the local media port it is about, null: none.
   */
  write(
    level: LogLevel,
    subsystem: LogSubsystem,
    message: string,
    callId: string | null = null,
    port: number | null = null,
  ): void {
    if (!this.enabled(level, subsystem, callId)) return;
    if (callId === null) {
      this.#sink.write(level, subsystem, null, message, port);
      return;
    }
    if (this.#nowMicros !== null) {
      const atMicros = this.#nowMicros();
      this.#recent.add({ atMicros, level, subsystem, callId, message, port });
    }
    const tag = port === null ? null : this.#tagOf(callId, port);
    this.#sink.write(level, subsystem, this.mark(shortened(callId)), message, port, tag);
  }

  critical(subsystem: LogSubsystem, message: string, callId: string | null = null): void {
    this.write(logLevel.critical, subsystem, message, callId);
  }

  error(subsystem: LogSubsystem, message: string, callId: string | null = null): void {
    this.write(logLevel.error, subsystem, message, callId);
  }

  warning(
    subsystem: LogSubsystem,
    message: string,
    callId: string | null = null,
    port: number | null = null,
  ): void {
    this.write(logLevel.warning, subsystem, message, callId, port);
  }

  notice(subsystem: LogSubsystem, message: string, callId: string | null = null): void {
    this.write(logLevel.notice, subsystem, message, callId);
  }

  info(
    subsystem: LogSubsystem,
    message: string,
    callId: string | null = null,
    port: number | null = null,
  ): void {
    this.write(logLevel.info, subsystem, message, callId, port);
  }

  debug(subsystem: LogSubsystem, message: string, callId: string | null = null): void {
    this.write(logLevel.debug, subsystem, message, callId);
  }

  /** `text` between the marks for private data: call-ids, tags, remote addresses, SSRCs. */
  mark(text: string): string {
    return this.#markPrefix === '' && this.#markSuffix === ''
      ? text
      : `${this.#markPrefix}${text}${this.#markSuffix}`;
  }

  /** Threshold of a subsystem, -1 … 7. */
  level(subsystem: LogSubsystem): number {
    return this.#levels.get(subsystem) ?? logLevel.info;
  }

  /** Beyond the scale is all or nothing. */
  setLevel(subsystem: LogSubsystem, level: number): void {
    this.#levels.set(subsystem, Math.max(lowest, Math.trunc(level)));
  }

  /** Signals USR1 (-1) and USR2 (+1): moves the threshold of every subsystem. */
  shiftAllLevels(by: number): void {
    for (const [subsystem, before] of [...this.#levels]) {
      this.setLevel(subsystem, by > 0 && before >= highest ? before : before + by);
      const level = this.#levels.get(subsystem) ?? before;
      if (level === before) continue;
      const what = by < 0 ? 'Decreased' : 'Increased';
      // As a line of the highest level that is still shown.
      const shown = Object.values(logLevel).findLast((each) => each <= level) ?? logLevel.critical;
      this.write(shown, subsystem, `${what} '${subsystem}' log level to ${level}`);
    }
  }

  /** Everything was taken by who reads it. */
  get empty(): boolean {
    return this.#sink.empty !== false;
  }

  /** Lines go to another place from now on, with other marks round private data. */
  moveTo(sink: LogSink, marks: Pick<LogOptions, 'markPrefix' | 'markSuffix'>): void {
    const before = this.#sink;
    this.#sink = sink;
    this.#markPrefix = marks.markPrefix ?? '';
    this.#markSuffix = marks.markSuffix ?? '';
    // What still waits there is tried further.
    if (before.empty !== false) before.close?.();
  }

  /** The place is opened again. */
  reopen(): void {
    this.#sink.reopen?.();
  }

  /** Every line of this call is written from now on, or no longer. */
  setCallDebug(callId: string, on: boolean): void {
    if (on) this.#debugged.add(callId);
    else this.#debugged.delete(callId);
  }
}
