/** From the log section of the configuration to a `Log`. */
import { realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import type { LogConfig } from '../config/config.js';
import { JournalSink, journalSocket, leadsToJournal } from './journal.js';
import { descriptorOutlet } from './log-output.js';
import type { OutputFunctions } from '../native/process.js';
import { DescriptorSink, facilityNumber, SyslogConnection, SyslogSink } from './log-sinks.js';
import { Log, type LogSink } from './log.js';

/** What the log needs of its surroundings. */
export interface LogEnvironment {
  /** Wall clock in µs. */
  readonly nowMicros: () => number;
  readonly functions: OutputFunctions;
  /** Descriptor for stderr lines; default 2. */
  readonly descriptor?: number;
  /** Socket of the system log; default /dev/log. */
  readonly syslogPath?: string;
  /** JOURNAL_STREAM: which descriptor leads to the journal. */
  readonly journalStream?: string | undefined;
  /** Socket of the journal; default journald's. */
  readonly journalPath?: string;
}

/** The log that the configuration asks for. Resolves at once unless JSON lines are wanted. */
export async function createLog(config: LogConfig, environment: LogEnvironment): Promise<Log> {
  const { levels, markPrefix, markSuffix } = config;
  const sink = await createSink(config, environment);
  return new Log({ sink, levels, markPrefix, markSuffix, nowMicros: environment.nowMicros });
}

/** Do lines go to stderr? JSON always does. */
export function logsToStderr(config: LogConfig): boolean {
  return config.toStderr || config.json;
}

/** Opens what the configuration wants lines to go to. */
export async function createSink(config: LogConfig, environment: LogEnvironment): Promise<LogSink> {
  const { nowMicros, functions } = environment;
  const format = { splitLines: config.splitLines, maxLength: config.maxLineLength };
  const descriptor = environment.descriptor ?? 2;
  const toJournal = !config.json && leadsToJournal(descriptor, environment.journalStream);
  const { syslogPath = '/dev/log', journalPath = journalSocket } = environment;
  if (!logsToStderr(config) && !(toJournal && isOfJournal(syslogPath, journalPath))) {
    const connection = new SyslogConnection({
      ...{ functions, nowMicros },
      path: syslogPath,
      programName: config.programName,
      facility: facilityNumber(config.facility),
    });
    return new SyslogSink(connection, config.facility, format);
  }
  if (toJournal) {
    return new JournalSink({
      ...{ functions, format, programName: config.programName, path: journalPath },
      facility: facilityNumber(config.facility),
    });
  }
  const outlet = descriptorOutlet(descriptor, functions);
  const shownTime = config.timestamps ? nowMicros : null;
  if (!config.json) return new DescriptorSink(outlet, shownTime, format);
  const { createJsonSink } = await import('./log-json.js');
  return createJsonSink(outlet, shownTime);
}

/** Is the system log's socket another one of the journal's, which would be told less by it? */
function isOfJournal(syslogPath: string, journalPath: string): boolean {
  try {
    return dirname(realpathSync(syslogPath)) === dirname(journalPath);
  } catch {
    return false;
  }
}

/**
 * A wall clock in µs that is read without a system call's rounding to ms: the monotonic clock on top
 * of the wall clock, set anew whenever they differ by more than 2 ms (the clock was stepped or slewed).
 *
 * @param wallMs e.g. `Date.now`.
 * @param monotonicMs e.g. `performance.now`.
 */
export function createWallClockMicros(
  wallMs: () => number,
  monotonicMs: () => number,
): () => number {
  let offsetMs = wallMs() - monotonicMs();
  let last = 0;
  return () => {
    const wall = wallMs();
    let now = monotonicMs() + offsetMs;
    if (Math.abs(now - wall) > 2) {
      offsetMs += wall - now;
      now = wall;
      last = 0;
    }
    const micros = Math.max(last, Math.floor(now * 1000));
    last = micros;
    return micros;
  };
}
