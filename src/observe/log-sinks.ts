/** Where text lines go: a file descriptor (stderr) or syslog. */
import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { gapText, LogOutput, toBytes, type Outlet } from './log-output.js';
import type { OutputFunctions } from '../native/process.js';
import { formatRecord, subjectOf, type LineFormat } from './log-text.js';
import { logLevel, type LogSink } from './log.js';

/** `[EPOCH.USEC]` of a wall clock in µs. */
export function formatTimestamp(micros: number): string {
  const seconds = Math.floor(micros / 1_000_000);
  const fraction = Math.floor(micros - seconds * 1_000_000);
  return `[${seconds}.${fraction.toString().padStart(6, '0')}]`;
}

/** rtpengine's stderr lines: `[EPOCH.USEC] LEVEL: [CALLID]: [SUBSYS] MESSAGE`. */
export class DescriptorSink implements LogSink {
  readonly #output: LogOutput;

  /** @param nowMicros wall clock in µs; null: no timestamps. */
  constructor(
    outlet: Outlet,
    private readonly nowMicros: (() => number) | null,
    private readonly format: LineFormat,
  ) {
    this.#output = new LogOutput({
      outlet,
      gapLine: (lines) => toBytes(`${this.#time()}WARNING: [core] ${gapText(lines)}\n`),
    });
  }

  /** Lines that were lost: the reader was too slow, or there was no room for them. */
  get lost(): number {
    return this.#output.lost;
  }

  get empty(): boolean {
    return this.#output.empty;
  }

  close(): void {
    this.#output.close();
  }

  readonly write: LogSink['write'] = (level, subsystem, callId, message, port) => {
    formatRecord(level, subsystem, subjectOf(callId, port), message, this.format, (line) => {
      this.#output.write(toBytes(`${this.#time()}${line}\n`));
    });
  };

  #time(): string {
    return this.nowMicros === null ? '' : `${formatTimestamp(this.nowMicros())} `;
  }
}

/** The system log: priority is facility * 8 + level. Must not throw. */
export interface Syslog {
  send(priority: number, message: string): void;
  /** Nothing waits for the reader. */
  readonly empty: boolean;
  reopen(): void;
  close(): void;
}

/** Facility numbers of syslog.h (RFC 5424 §6.2.1). */
const facilities: Readonly<Record<string, number>> = {
  kern: 0,
  user: 1,
  mail: 2,
  daemon: 3,
  auth: 4,
  syslog: 5,
  lpr: 6,
  news: 7,
  uucp: 8,
  cron: 9,
  authpriv: 10,
  ftp: 11,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23,
};

/** Number of a facility; an unknown one is `daemon`. */
export function facilityNumber(name: string): number {
  return facilities[name] ?? 3;
}

/** Lines to syslog: as on stderr but without the time, which stands in front of each message. */
export class SyslogSink implements LogSink {
  readonly #facility: number;

  /** @param facility name; an unknown one is `daemon`. */
  constructor(
    private readonly syslog: Syslog,
    facility: string,
    private readonly format: LineFormat,
  ) {
    this.#facility = facilityNumber(facility) * 8;
  }

  get empty(): boolean {
    return this.syslog.empty;
  }

  close(): void {
    this.syslog.close();
  }

  reopen(): void {
    this.syslog.reopen();
  }

  readonly write: LogSink['write'] = (level, subsystem, callId, message, port) => {
    formatRecord(level, subsystem, subjectOf(callId, port), message, this.format, (line) => {
      this.syslog.send(this.#facility + level, line);
    });
  };
}

/** Who writes to the system log, and how. */
export interface SyslogOptions {
  readonly functions: OutputFunctions;
  /** Of the socket; /dev/log usually. */
  readonly path: string;
  readonly programName: string;
  /** Facility number of what the connection itself has to say. */
  readonly facility: number;
  /** Wall clock in µs. */
  readonly nowMicros: () => number;
}

const tooLong = constants.errno.EMSGSIZE;

const months = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** `Nov  9 03:04:05`, local time (RFC 3164 §4.1.2). */
function syslogTime(micros: number): string {
  const date = new Date(micros / 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = String(date.getDate()).padStart(2, ' ');
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  return `${months[date.getMonth()] ?? ''} ${day} ${time}`;
}

/**
 * A connection to the system log, made again when that has been restarted. Messages wait for it as
 * lines wait for a slow reader: syslog(3) would make the whole program wait.
 */
export class SyslogConnection implements Syslog {
  readonly #options: SyslogOptions;
  readonly #output: LogOutput;
  #socket: { readonly fd: number; readonly stream: boolean } | null = null;
  /** Everything of a message fitted but its end. */
  #owesEnd = false;

  constructor(options: SyslogOptions) {
    this.#options = options;
    this.#output = new LogOutput({
      outlet: { put: (bytes) => this.#put(bytes), close: () => this.#disconnect() },
      gapLine: (lines) =>
        this.#message(options.facility * 8 + logLevel.warning, `WARNING: [core] ${gapText(lines)}`),
    });
  }

  get empty(): boolean {
    return this.#output.empty;
  }

  send(priority: number, message: string): void {
    this.#output.write(this.#message(priority, message));
  }

  close(): void {
    this.#output.close();
  }

  /** Connects anew for the next message. */
  reopen(): void {
    this.#disconnect();
    this.#output.retryNow();
  }

  #message(priority: number, text: string): Buffer {
    const { programName, nowMicros } = this.#options;
    return toBytes(`<${priority}>${syslogTime(nowMicros())} ${programName}: ${text}`);
  }

  #put(bytes: Buffer): ReturnType<Outlet['put']> {
    const { functions, path } = this.#options;
    if (this.#socket === null) {
      const opened = functions.connectOutput(path);
      // Nobody is there: it may be on its way.
      if (typeof opened === 'number') return 'away';
      this.#socket = { fd: opened[0], stream: opened[1] };
    }
    const { fd, stream } = this.#socket;
    // On a stream a message ends with a NUL, which is how syslogd tells them apart.
    const end = Buffer.of(0);
    if (this.#owesEnd) {
      if (functions.writeOutput(fd, end) === 0) return 'later';
      this.#owesEnd = false;
    }
    const taken = functions.writeOutput(fd, stream ? Buffer.concat([bytes, end]) : bytes);
    this.#owesEnd = stream && taken === bytes.length;
    if (taken > 0) return Math.min(taken, bytes.length);
    if (taken === 0) return 'later';
    if (-taken === tooLong) return 'lost';
    this.#disconnect();
    return 'later';
  }

  #disconnect(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#owesEnd = false;
    if (socket !== null) closeSync(socket.fd);
  }
}
