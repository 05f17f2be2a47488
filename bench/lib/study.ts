/** What a bench run measures, of which daemons, how often: single figures and curves. */
import { addSample, median, type Samples } from './report.js';
import type { MeasuredName } from './rig.js';

/** Values by daemon and place on the x axis, one a run. */
export interface Curve {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly values: Map<string, Map<number, number[]>>;
}

export class Study {
  readonly samples: Samples = new Map();
  readonly curves = new Map<string, Curve>();

  constructor(
    readonly subjects: readonly MeasuredName[],
    readonly runs: number,
  ) {}

  note(subject: MeasuredName, measure: string, value: number): void {
    addSample(this.samples, measure, subject, value);
  }

  /** @param line what to call it where a daemon has several. */
  plot(name: string, labels: Omit<Curve, 'values'>, line: string, x: number, y: number): void {
    const curve = this.curves.get(name) ?? {
      ...labels,
      values: new Map<string, Map<number, number[]>>(),
    };
    this.curves.set(name, curve);
    const points = curve.values.get(line) ?? new Map<number, number[]>();
    curve.values.set(line, points);
    points.set(x, [...(points.get(x) ?? []), y]);
  }

  /** Has each daemon measured `runs` times, in an order that changes from run to run, so that none always comes second. */
  async alternate(
    what: string,
    measure: (subject: MeasuredName) => Promise<void>,
    subjects: readonly MeasuredName[] = this.subjects,
    runs: number = this.runs,
  ): Promise<void> {
    for (let run = 0; run < runs; run++) {
      for (const subject of run % 2 === 0 ? subjects : [...subjects].reverse()) {
        console.log(`${what}, run ${run + 1} of ${runs}: ${subject}`);
        await measure(subject);
      }
    }
  }
}

/** The middle of each place on a curve, in order. */
export const middles = (
  points: ReadonlyMap<number, readonly number[]>,
): { x: number; y: number }[] =>
  [...points].map(([x, values]) => ({ x, y: median(values) })).sort((a, b) => a.x - b.x);
