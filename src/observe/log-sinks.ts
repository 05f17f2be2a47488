/** Where text lines go: a file descriptor (stderr) or syslog. */
import { writeSync } from 'node:fs';
import { formatRecord, type LineFormat } from './log-text.js';
import type { LogSink } from './log.js';

/** Bytes kept while the reader of a pipe is too slow; older lines go first to it, newer ones are lost. */
const maxBacklogBytes = 1024 * 1024;

const beyondLatin1 = /[^\x00-\xff]/;

/** Wire text is one character per byte and leaves as those bytes; other text leaves as UTF-8. */
function toBytes(text: string): Buffer {
  return Buffer.from(text, beyondLatin1.test(text) ? 'utf8' : 'latin1');
}

/** Writes lines to a descriptor at once. A reader that is too slow costs lines, never time. */
export class DescriptorWriter {
  #backlog: Buffer[] = [];
  #backlogBytes = 0;
  #lost = 0;

  constructor(private readonly descriptor: number) {}

  /** Lines that were lost for good since the start. */
  get lost(): number {
    return this.#lost;
  }

  /** @param line with its line end. */
  write(line: string): void {
    const bytes = toBytes(line);
    if (this.#backlogBytes > 0) {
      if (!this.#drain()) {
        this.#keep(bytes);
        return;
      }
    }
    const rest = this.#put(bytes);
    if (rest !== null) this.#keep(rest);
  }

  #drain(): boolean {
    for (;;) {
      const first = this.#backlog[0];
      if (first === undefined) return true;
      const rest = this.#put(first);
      this.#backlogBytes -= first.length - (rest?.length ?? 0);
      if (rest !== null) {
        this.#backlog[0] = rest;
        return false;
      }
      this.#backlog.shift();
    }
  }

  #keep(bytes: Buffer): void {
    if (this.#backlogBytes + bytes.length > maxBacklogBytes) {
      this.#lost++;
      return;
    }
    this.#backlog.push(bytes);
    this.#backlogBytes += bytes.length;
  }

  /** What could not be written now, null when nothing is left. */
  #put(bytes: Buffer): Buffer | null {
    let offset = 0;
    while (offset < bytes.length) {
      try {
        offset += writeSync(this.descriptor, bytes, offset, bytes.length - offset);
      } catch (error) {
        const again = error instanceof Error && 'code' in error && error.code === 'EAGAIN';
        if (again) return offset === 0 ? bytes : bytes.subarray(offset);
        // Nobody reads any more (EPIPE) or the disk is full: there is no place left to say so.
        this.#lost++;
        return null;
      }
    }
    return null;
  }
}

/** `[EPOCH.USEC]` of a wall clock in µs. */
export function formatTimestamp(micros: number): string {
  const seconds = Math.floor(micros / 1_000_000);
  const fraction = Math.floor(micros - seconds * 1_000_000);
  return `[${seconds}.${fraction.toString().padStart(6, '0')}]`;
}

/** rtpengine's stderr lines: `[EPOCH.USEC] LEVEL: [CALLID]: [SUBSYS] MESSAGE`. */
export class DescriptorSink implements LogSink {
  readonly #writer: DescriptorWriter;

  /**
   * @param descriptor 2 for stderr.
   * @param nowMicros wall clock in µs; null: no timestamps.
   */
  constructor(
    descriptor: number,
    private readonly nowMicros: (() => number) | null,
    private readonly format: LineFormat,
  ) {
    this.#writer = new DescriptorWriter(descriptor);
  }

  /** Lines lost because the reader was too slow. */
  get lost(): number {
    return this.#writer.lost;
  }

  readonly write: LogSink['write'] = (level, subsystem, callId, message) => {
    formatRecord(level, subsystem, callId, message, this.format, (line) => {
      const time = this.nowMicros === null ? '' : `${formatTimestamp(this.nowMicros())} `;
      this.#writer.write(`${time}${line}\n`);
    });
  };
}

/** syslog(3): priority is facility * 8 + level. Must not throw. */
export type Syslog = (priority: number, message: string) => void;

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

/** Lines to syslog: as on stderr but without the time, which syslog adds itself. */
export class SyslogSink implements LogSink {
  readonly #facility: number;

  /** @param facility name; an unknown one is `daemon`. */
  constructor(
    private readonly syslog: Syslog,
    facility: string,
    private readonly format: LineFormat,
  ) {
    this.#facility = (facilities[facility] ?? 3) * 8;
  }

  readonly write: LogSink['write'] = (level, subsystem, callId, message) => {
    formatRecord(level, subsystem, callId, message, this.format, (line) => {
      this.syslog(this.#facility + level, line);
    });
  };
}
