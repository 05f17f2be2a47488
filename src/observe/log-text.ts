/** Text of a log record: `LEVEL: [CALLID port PORT]: [SUBSYS] MESSAGE` (options.md §6). */
import type { LogSubsystem } from '../config/subsystems.js';
import { logLevelNames, type LogLevel } from './log.js';
import { needsEscapes, printable } from './printable.js';

/** How records become lines. */
export interface LineFormat {
  /** Line ends in a message start a new log line instead of being written as `\n`. */
  readonly splitLines: boolean;
  /** Greatest length of `[SUBSYS] MESSAGE` in one line, in characters; 0 unlimited. */
  readonly maxLength: number;
}

function brokenAt(maxLength: number, text: string): readonly string[] {
  const pieces: string[] = [];
  for (let start = 0; start < text.length; start += maxLength) {
    pieces.push(text.slice(start, start + maxLength));
  }
  return pieces;
}

function piecesOf(body: string, format: LineFormat): readonly string[] {
  const lines = format.splitLines
    ? body.split(/\r?\n/).filter((line, index) => index === 0 || line !== '')
    : [body];
  const shown = lines.map(printable);
  return format.maxLength > 0 ? shown.flatMap((line) => brokenAt(format.maxLength, line)) : shown;
}

/** What stands in the first brackets: the call, and the local media port that the line is about. */
export function subjectOf(callId: string | null, port: number | null = null): string | null {
  return callId === null || port === null ? callId : `${callId} port ${port}`;
}

/**
 * Hands the lines of a record to `emit`: usually one; pieces of a broken record end in ` ...` and go on
 * with `... `, as rtpengine's do.
 */
export function formatRecord(
  level: LogLevel,
  subsystem: LogSubsystem,
  callId: string | null,
  message: string,
  format: LineFormat,
  emit: (line: string) => void,
): void {
  const call = callId === null ? '' : `[${printable(callId)}]: `;
  const prefix = `${logLevelNames[level]}: ${call}`;
  const body = `[${subsystem}] ${message}`;
  const fits = format.maxLength === 0 || body.length <= format.maxLength;
  if (fits && !needsEscapes(body)) {
    emit(prefix + body);
    return;
  }
  const pieces = piecesOf(body, format);
  for (const [index, piece] of pieces.entries()) {
    const before = index > 0 ? '... ' : '';
    const after = index < pieces.length - 1 ? ' ...' : '';
    emit(prefix + before + piece + after);
  }
}
