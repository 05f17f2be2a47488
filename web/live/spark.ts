/** A line of the last minutes, without axes. */
import type { Trace } from '../../src/daemon/live/protocol.js';
import { setClass, svg } from './dom.js';
import { minutesOf, pointsOf, slotsPerMinute } from './trace.js';

const width = 60;
const height = 20;

const yOf = (value: number): string => (height - 1 - value * (height - 2)).toFixed(2);

/** Line and area of a trace; where nothing is known, there is a gap. */
function paths(trace: Trace): readonly [line: string, area: string] {
  let [line, area] = ['', ''];
  let start: number | null = null;
  const values = pointsOf(trace);
  const offset = width - values.length;
  const finish = (end: number): void => {
    if (start !== null) area += `L${end} ${height}L${start} ${height}Z`;
    start = null;
  };
  values.forEach((value, at) => {
    const x = offset + at + 0.5;
    if (value === null) {
      finish(x - 1);
      return;
    }
    const step = `${start === null ? 'M' : 'L'}${x} ${yOf(value)}`;
    line += step;
    area += step;
    start ??= x;
  });
  finish(offset + values.length - 0.5);
  return [line, area];
}

export class Spark {
  readonly node: SVGElement;
  readonly #line = svg('path', { class: 'line' });
  readonly #area = svg('path', { class: 'area' });
  readonly #kind: string;
  #drawn = '';

  /** @param kind class of its colour. */
  constructor(kind: string) {
    this.#kind = kind;
    this.node = svg(
      'svg',
      {
        ...{ class: `spark ${kind}`, viewBox: `0 0 ${width} ${height}` },
        ...{ preserveAspectRatio: 'none', 'aria-hidden': 'true' },
      },
      this.#area,
      this.#line,
    );
  }

  draw(trace: Trace, minutes = minutesOf(trace)): void {
    const drawn = `${minutes} ${trace.points}`;
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const [line, area] = paths(trace);
    const slots = minutes * slotsPerMinute;
    this.node.setAttribute('viewBox', `${width - slots} 0 ${slots} ${height}`);
    // Nothing lost is nothing to be alarmed by.
    setClass(this.node, `spark ${this.#kind}${/[1-9A-Za-z]/.test(trace.points) ? '' : ' flat'}`);
    this.#line.setAttribute('d', line);
    this.#area.setAttribute('d', area);
  }
}
