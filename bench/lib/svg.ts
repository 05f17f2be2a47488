/** Curves as SVG files that stand alone. */
import { chart, type Line } from '../failover/plots.js';
import { middles, type Curve } from './study.js';

const palette = [
  '#0b6fa4',
  '#3aa35b',
  '#8a5fb0',
  '#d1611d',
  '#7aa6c2',
  '#9fd0ae',
  '#c3aedb',
  '#e8b08e',
];
const style = `text{font:11px system-ui,sans-serif;fill:#444}.title{font-size:12px;font-weight:600}
.grid{stroke:#e3e3e3}.line{fill:none;stroke-width:1.6}`;

/** Names that fit beside each other in one row. */
const short: Readonly<Record<string, string>> = {
  rtprelayd: 'bound',
  'rtprelayd-steered': 'steered',
};

/** Medians of the runs, joined. */
export function curveSvg({ title, xLabel, yLabel, values }: Curve): string {
  const lines: Line[] = [...values].map(([label, points], index) => ({
    label: short[label] ?? label,
    colour: palette[index % palette.length] ?? '#000',
    points: middles(points),
  }));
  const all = lines.flatMap((line) => line.points);
  const xs = all.map(({ x }) => x);
  const [from, to] = [Math.min(...xs), Math.max(...xs)];
  const top = Math.max(...all.map(({ y }) => y)) * 1.1;
  const drawn = chart(
    { title, xLabel, yLabel, from, to: to > from ? to : from + 1, top: top > 0 ? top : 1 },
    lines,
  );
  return drawn
    .replace('<svg ', '<svg xmlns="http://www.w3.org/2000/svg" width="720" height="240" ')
    .replace('>', `><style>${style}</style><rect width="720" height="240" fill="#fff"/>`);
}
