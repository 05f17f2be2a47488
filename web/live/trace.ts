/** What a trace says. */
import type { Trace } from '../../src/daemon/live/protocol.js';

const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
export const slotsPerMinute = 12;

/** From 0 to 1 for each point; null: not known. */
export const pointsOf = ({ points }: Trace): readonly (number | null)[] =>
  [...points].map((point) =>
    point === '-' ? null : Math.max(0, digits.indexOf(point)) / (digits.length - 1),
  );

/** Minutes that a picture of these spans: the fewest that hold all that is known. */
export function minutesOf(...traces: readonly Trace[]): number {
  const known = traces.map(({ points }) => points.replace(/^-+/, '').length);
  const most = Math.max(...known);
  return [1, 2].find((minutes) => minutes * slotsPerMinute >= most) ?? 5;
}
