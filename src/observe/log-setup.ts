/** From the log section of the configuration to a `Log`. */
import type { LogConfig } from '../config/config.js';
import { DescriptorSink, SyslogSink, type Syslog } from './log-sinks.js';
import { Log, type LogSink } from './log.js';

/** What the log needs of its surroundings. */
export interface LogEnvironment {
  /** Wall clock in µs. */
  readonly nowMicros: () => number;
  /** null: not available, stderr is used. */
  readonly syslog: Syslog | null;
  /** Descriptor for stderr lines; default 2. */
  readonly descriptor?: number;
}

/** The log that the configuration asks for. Resolves at once unless JSON lines are wanted. */
export async function createLog(config: LogConfig, environment: LogEnvironment): Promise<Log> {
  const { levels, markPrefix, markSuffix } = config;
  const sink = await createSink(config, environment);
  return new Log({ sink, levels, markPrefix, markSuffix });
}

async function createSink(config: LogConfig, environment: LogEnvironment): Promise<LogSink> {
  const descriptor = environment.descriptor ?? 2;
  const nowMicros = config.timestamps ? environment.nowMicros : null;
  if (config.json) {
    const { createJsonSink } = await import('./log-json.js');
    return createJsonSink(descriptor, nowMicros);
  }
  const format = { splitLines: config.splitLines, maxLength: config.maxLineLength };
  if (!config.toStderr && environment.syslog !== null) {
    return new SyslogSink(environment.syslog, config.facility, format);
  }
  return new DescriptorSink(descriptor, nowMicros, format);
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
