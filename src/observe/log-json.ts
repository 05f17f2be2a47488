/** `--log-format=json`: one JSON object a line, written by pino, which is loaded only for this. */
import { gapText, LogOutput, toBytes, type Outlet } from './log-output.js';
import { logLevelNames, type LogLevel, type LogSink } from './log.js';
import { printableJson } from './printable.js';

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
 * A sink that writes `{"level":"INFO","time":EPOCH,"subsystem":…,"callId":…,"port":…,"tag":…,"message":…}`
 * (docs/log.schema.json).
 *
 * @param nowMicros wall clock in µs; null: no `time`.
 */
export async function createJsonSink(
  outlet: Outlet,
  nowMicros: (() => number) | null,
): Promise<LogSink> {
  const { pino } = await import('pino');
  const gap = { level: 'WARNING', subsystem: 'core' };
  const output = new LogOutput({
    outlet,
    gapLine: (lines) => toBytes(`${JSON.stringify({ ...gap, message: gapText(lines) })}\n`),
  });
  const destination = { write: (line: string) => output.write(toBytes(printableJson(line))) };
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
    destination,
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
    get empty() {
      return output.empty;
    },
    close: () => output.close(),
    write: (level, subsystem, callId, message, port = null, tag = null) => {
      const fields = {
        subsystem,
        ...(callId === null ? {} : { callId }),
        ...(port === null ? {} : { port }),
        ...(tag === null ? {} : { tag }),
      };
      byLevel.get(level)?.(fields, message);
    },
  };
}
