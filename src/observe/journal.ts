/**
 * Lines to systemd's journal in its own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): the text as ever, and besides
 * it fields to search by: `journalctl CALL_ID=…`.
 */
import { closeSync, fstatSync } from 'node:fs';
import { constants } from 'node:os';
import type { OutputFunctions } from '../native/process.js';
import { gapText, LogOutput, toBytes, type Outlet } from './log-output.js';
import { formatRecord, subjectOf, type LineFormat } from './log-text.js';
import { logLevel, type LogSink } from './log.js';

/** Where journald listens. */
export const journalSocket = '/run/systemd/journal/socket';

/**
 * Whether a descriptor leads to the journal: systemd says of which one it is true
 * (`JOURNAL_STREAM=device:inode`, systemd.exec(5)).
 */
export function leadsToJournal(fd: number, stream: string | undefined): boolean {
  const [, device, inode] = /^(\d+):(\d+)$/.exec(stream ?? '') ?? [];
  if (device === undefined || inode === undefined) return false;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return dev === BigInt(device) && ino === BigInt(inode);
  } catch {
    return false;
  }
}

export type JournalFields = readonly (readonly [name: string, value: string])[];

/** One entry. A value with line ends has its length before it. */
export function journalEntry(fields: JournalFields): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of fields) {
    const bytes = toBytes(value);
    if (!bytes.includes(10)) {
      parts.push(Buffer.from(`${name}=`, 'latin1'), bytes, Buffer.from('\n'));
      continue;
    }
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(bytes.length));
    parts.push(Buffer.from(`${name}\n`, 'latin1'), length, bytes, Buffer.from('\n'));
  }
  return Buffer.concat(parts);
}

export interface JournalOptions {
  readonly functions: OutputFunctions;
  /** Default: journald's. */
  readonly path?: string;
  /** SYSLOG_IDENTIFIER, what `journalctl -t` asks for. */
  readonly programName: string;
  readonly format: LineFormat;
  /** SYSLOG_FACILITY, for whoever is given the lines as syslog. */
  readonly facility: number;
}

/** What journald does not take: an entry too long for a datagram. */
const tooLong = constants.errno.EMSGSIZE;

/** Entries to the journal; what it does not take is kept up to a limit, as with other readers. */
export class JournalSink implements LogSink {
  readonly #options: JournalOptions;
  readonly #output: LogOutput;
  #fd: number | null = null;

  constructor(options: JournalOptions) {
    this.#options = options;
    const outlet: Outlet = { put: (bytes) => this.#put(bytes), close: () => this.#disconnect() };
    this.#output = new LogOutput({
      outlet,
      gapLine: (lines) =>
        this.#entry(logLevel.warning, [['MESSAGE', `WARNING: [core] ${gapText(lines)}`]]),
    });
  }

  get empty(): boolean {
    return this.#output.empty;
  }

  close(): void {
    this.#output.close();
  }

  /** Connects anew for the next line. */
  reopen(): void {
    this.#disconnect();
    this.#output.retryNow();
  }

  readonly write: LogSink['write'] = (level, subsystem, callId, message, port, tag) => {
    const fields: (readonly [string, string])[] = [['RTPRELAY_SUBSYSTEM', subsystem]];
    if (callId !== null) fields.push(['CALL_ID', callId]);
    if (port !== null && port !== undefined) fields.push(['MEDIA_PORT', String(port)]);
    if (tag !== null && tag !== undefined) fields.push(['TAG', tag]);
    const { format } = this.#options;
    formatRecord(level, subsystem, subjectOf(callId, port), message, format, (line) => {
      this.#output.write(this.#entry(level, [['MESSAGE', line], ...fields]));
    });
  };

  #entry(level: number, fields: JournalFields): Buffer {
    const { programName, facility } = this.#options;
    return journalEntry([
      ['PRIORITY', String(level)],
      ['SYSLOG_FACILITY', String(facility)],
      ['SYSLOG_IDENTIFIER', programName],
      ...fields,
    ]);
  }

  #put(bytes: Buffer): ReturnType<Outlet['put']> {
    const { functions, path = journalSocket } = this.#options;
    if (this.#fd === null) {
      const opened = functions.connectOutput(path);
      // Nobody is there: it may be on its way.
      if (typeof opened === 'number') return 'away';
      [this.#fd] = opened;
    }
    const taken = functions.writeOutput(this.#fd, bytes);
    if (taken > 0) return bytes.length;
    if (taken === 0) return 'later';
    if (-taken === tooLong) return 'lost';
    this.#disconnect();
    return 'later';
  }

  #disconnect(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }
}
