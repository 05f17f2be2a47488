/** A kept line of the log, for somebody who reads it. */
import { formatRecord, subjectOf } from './log-text.js';
import type { RecentLine } from './recent-lines.js';

const format = { splitLines: false, maxLength: 0 };

/** `2026-11-30T14:03:12.018233Z` */
function timeOfDay(micros: number): string {
  const [toSeconds] = new Date(Math.floor(micros / 1000)).toISOString().split('.');
  return `${toSeconds}.${String(micros % 1e6).padStart(6, '0')}Z`;
}

/** The line as it is on stderr but for its time; with its end. */
export function recentLineText(line: RecentLine): string {
  const { atMicros, level, subsystem, callId, message, port } = line;
  let text = '';
  formatRecord(level, subsystem, subjectOf(callId, port), message, format, (shown) => {
    text += `${timeOfDay(atMicros)} ${shown}\n`;
  });
  return text;
}
