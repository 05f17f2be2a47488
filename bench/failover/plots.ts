/** Plots as inline SVG. */
import { short } from './summary.js';

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Line {
  readonly label: string;
  readonly colour: string;
  readonly points: readonly Point[];
  /** Values hold until the next point. */
  readonly steps?: boolean;
}

export const colours = { rtprelayd: '#0b6fa4', rtpengine: '#d1611d' } as const;

const width = 720;
const height = 240;
const margin = { left: 52, right: 28, top: 24, bottom: 36 };
const inner = {
  width: width - margin.left - margin.right,
  height: height - margin.top - margin.bottom,
};

/** Round steps that divide the span into about `wanted` parts. */
export function ticks(from: number, to: number, wanted: number): readonly number[] {
  const raw = (to - from) / wanted;
  if (!(raw > 0)) return [from];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= raw) ?? 10) * power;
  const found: number[] = [];
  for (let at = Math.ceil(from / step) * step; at <= to + step / 1000; at += step) found.push(at);
  return found;
}

export interface ChartOptions {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly from: number;
  readonly to: number;
  readonly top: number;
  /** Vertical line. */
  readonly mark?: number;
}

export function chart(options: ChartOptions, lines: readonly Line[]): string {
  const { from, to, top } = options;
  const px = (x: number): string =>
    (margin.left + ((x - from) / (to - from)) * inner.width).toFixed(1);
  const py = (y: number): string =>
    (margin.top + (1 - Math.min(y, top) / top) * inner.height).toFixed(1);
  const bottom = height - margin.bottom;
  const parts = [
    `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${options.title}">`,
    `<text x="${margin.left}" y="14" class="title">${options.title}</text>`,
  ];
  for (const x of ticks(from, to, 8)) {
    parts.push(
      `<path class="grid" d="M${px(x)} ${margin.top}V${bottom}"/>`,
      `<text x="${px(x)}" y="${bottom + 14}" text-anchor="middle">${short(x)}</text>`,
    );
  }
  for (const y of ticks(0, top, 4)) {
    parts.push(
      `<path class="grid" d="M${margin.left} ${py(y)}H${width - margin.right}"/>`,
      `<text x="${margin.left - 6}" y="${py(y)}" dy="4" text-anchor="end">${short(y)}</text>`,
    );
  }
  if (options.mark !== undefined)
    parts.push(`<path class="mark" d="M${px(options.mark)} ${margin.top}V${bottom}"/>`);
  lines.forEach((line, index) => {
    const path = line.points
      .map(({ x, y }, at) => {
        if (at === 0) return `M${px(x)} ${py(y)}`;
        return line.steps === true ? `H${px(x)}V${py(y)}` : `L${px(x)} ${py(y)}`;
      })
      .join('');
    parts.push(
      `<path class="line" stroke="${line.colour}" d="${path}"/>`,
      `<text x="${width - margin.right - 90 * (lines.length - index - 1)}" y="14" ` +
        `text-anchor="end" style="fill:${line.colour}">${line.label}</text>`,
    );
  });
  const middle = margin.top + inner.height / 2;
  parts.push(
    `<text x="${margin.left + inner.width / 2}" y="${height - 4}" text-anchor="middle">${options.xLabel}</text>`,
    `<text transform="translate(12 ${middle}) rotate(-90)" text-anchor="middle">${options.yLabel}</text>`,
    '</svg>',
  );
  return parts.join('');
}

export interface WaveOptions {
  readonly title: string;
  readonly colour: string;
  readonly sampleRate: number;
  /** Samples shown. */
  readonly from: number;
  readonly to: number;
  /** Samples that are missing. */
  readonly gaps: readonly { readonly from: number; readonly to: number }[];
  /** Sample that is second 0 of the axis. */
  readonly zero: number;
}

const waveHeight = 96;

/** Lowest and highest sample of each column. */
export function waveform(samples: Int16Array, options: WaveOptions): string {
  const { from, to, zero, sampleRate } = options;
  const px = (at: number): number => margin.left + ((at - from) / (to - from)) * inner.width;
  const py = (value: number): string => (20 + (1 - value / 32_768) * 0.5 * 56).toFixed(1);
  let path = '';
  for (let column = 0; column < inner.width; column++) {
    const begin = Math.floor(from + (column * (to - from)) / inner.width);
    const end = Math.max(begin + 1, Math.floor(from + ((column + 1) * (to - from)) / inner.width));
    const part = samples.subarray(begin, end);
    if (part.length === 0) continue;
    path += `M${margin.left + column + 0.5} ${py(Math.max(...part))}V${py(Math.min(...part) - 60)}`;
  }
  const gaps = options.gaps.map((gap) => {
    const x = px(gap.from);
    return `<rect class="gap" x="${x.toFixed(1)}" y="18" width="${(px(gap.to) - x).toFixed(1)}" height="60"/>`;
  });
  const seconds = ticks((from - zero) / sampleRate, (to - zero) / sampleRate, 10);
  const labels = seconds.map(
    (at) =>
      `<text x="${px(zero + at * sampleRate).toFixed(1)}" y="92" text-anchor="middle">${short(Math.round(at * 1000))}</text>`,
  );
  return (
    `<svg viewBox="0 0 ${width} ${waveHeight}" role="img" aria-label="${options.title}">` +
    `<text x="${margin.left}" y="14" class="title">${options.title}</text>${gaps.join('')}` +
    `<path d="${path}" stroke="${options.colour}" class="wave"/>${labels.join('')}</svg>`
  );
}
