/** What `replay` answers. */
import type { ReplayStatus } from '../../native/replay.js';

const ms = (micros: number): string => `${(micros / 1000).toFixed(1)} ms`;
const ago = (micros: number | null): string => (micros === null ? 'never' : `${ms(micros)} ago`);

/** One line for each statistic. */
export function replayText(status: ReplayStatus | null): string {
  if (status === null) return 'There is no replay at takeover (--replay-interface).\n';
  const lines: (readonly [string, string | number])[] = [
    ['Last heartbeat of the other node', ago(status.silentMicros)],
    ['Longest time between two', ms(status.longestGapMicros)],
    ['Heartbeats taken', status.heartbeats],
    ['Came again (second path)', status.repeated],
    ['Of an earlier life', status.outdated],
    ['Made without the key', status.forged],
    ['No heartbeats', status.malformed],
    ...status.paths.map((path, at): readonly [string, string] => [
      `Path ${at + 1}`,
      `${path.received} received, the last one ${ago(path.silentMicros)}, ${path.sendFailures} not sent`,
    ]),
    ['Packets to the other node, heard', status.heard],
    ['In memory', `${status.kept} (${status.keptBytes} bytes)`],
    ['Crowded out of it', status.crowdedOut],
    ['Frames missed', status.missedFrames],
    ['Sent packets that were not told', status.untold],
    ['Sources remembered', `${status.sources}, ${status.tooManySources} too many`],
    ['Takeovers', status.takeovers],
    ['Packets replayed', status.replayed],
    ['Known to be sent', status.alreadySent],
    ['Not known of', status.unknown],
    ['Not encrypted again', status.secret],
  ];
  return lines.map(([name, value]) => `${name}: ${value}\n`).join('');
}
