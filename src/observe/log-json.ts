/** `--log-format=json`: one JSON object a line, written by pino, which is loaded only for this. */
import { logLevelNames, type LogLevel, type LogSink } from './log.js';

/** pino wants rising numbers for rising severity: syslog's, turned round and spread. */
const pinoLevels: Readonly<Record<string, number>> = {
  debug: 20,
  info: 30,
  notice: 35,
  warning: 40,
  err: 50,
  crit: 60,
  alert: 70,
  emerg: 80,
};

/**
 * A sink that writes `{"level":"INFO","time":EPOCH,"subsystem":…,"callId":…,"message":…}`.
 *
 * @param descriptor 2 for stderr; written synchronously.
 * @param nowMicros wall clock in µs; null: no `time`.
 */
export async function createJsonSink(
  descriptor: number,
  nowMicros: (() => number) | null,
): Promise<LogSink> {
  const { pino } = await import('pino');
  const logger = pino(
    {
      base: null,
      level: 'debug',
      customLevels: pinoLevels,
      useOnlyCustomLevels: true,
      messageKey: 'message',
      timestamp:
        nowMicros === null ? false : () => `,"time":${(nowMicros() / 1_000_000).toFixed(6)}`,
      formatters: { level: (label) => ({ level: label.toUpperCase() }) },
    },
    pino.destination({ fd: descriptor, sync: true }),
  );
  const byLevel = new Map<LogLevel, (fields: object, message: string) => void>();
  for (const level of [0, 1, 2, 3, 4, 5, 6, 7] as const) {
    const write: unknown = Reflect.get(logger, logLevelNames[level].toLowerCase());
    if (typeof write === 'function') {
      byLevel.set(level, (fields, message) => {
        Reflect.apply(write, logger, [fields, message]);
      });
    }
  }
  return {
    write: (level, subsystem, callId, message) => {
      byLevel.get(level)?.(callId === null ? { subsystem } : { subsystem, callId }, message);
    },
  };
}
