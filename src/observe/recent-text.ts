/** A kept line of the log, as it was written to stderr. */
import { formatTimestamp } from './log-sinks.js';
import { formatRecord, subjectOf } from './log-text.js';
import type { RecentLine } from './recent-lines.js';

const format = { splitLines: false, maxLength: 0 };

/** With its line end. */
export function recentLineText(line: RecentLine): string {
  const { atMicros, level, subsystem, callId, message, port } = line;
  let text = '';
  formatRecord(level, subsystem, subjectOf(callId, port), message, format, (shown) => {
    text += `${formatTimestamp(atMicros)} ${shown}\n`;
  });
  return text;
}
