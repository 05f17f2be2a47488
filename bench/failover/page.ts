/** The page: for each scenario what arrived over time, the distribution of pauses, and what was heard. */
import type { ScenarioResult } from '../failover.js';
import { decodeALaw, sampleRate } from './audio.js';

const colours = { rtprelayd: '#0a7d3c', rtpengine: '#b5541c' } as const;
const width = 900;
const height = 150;
/** Shown before and after the event, ms. */
const beforeMs = 200;
const afterMs = 1300;

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

const path = (points: readonly (readonly [number, number])[]): string =>
  points.map(([x, y], at) => `${at === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');

function frame(title: string, body: string, marks: readonly (readonly [number, string])[]): string {
  const ticks = marks
    .map(
      ([x, text]) =>
        `<line x1="${x}" x2="${x}" y1="0" y2="${height}" class="tick"/>` +
        `<text x="${x + 3}" y="${height - 4}">${escape(text)}</text>`,
    )
    .join('');
  return (
    `<figure><figcaption>${escape(title)}</figcaption>` +
    `<svg viewBox="0 0 ${width} ${height}" role="img">${ticks}${body}</svg></figure>`
  );
}

const xOf = (ms: number): number => ((ms + beforeMs) / (beforeMs + afterMs)) * width;
const timeMarks = [0, 250, 500, 750, 1000].map(
  (ms) => [xOf(ms), ms === 0 ? 'event' : `+${ms} ms`] as const,
);

/** Packets received in each 10 ms, the first run of each daemon. */
function timeline(results: readonly ScenarioResult[]): string {
  let top = 1;
  const curves = results.flatMap(({ daemon, runs }) => {
    const [first] = runs;
    if (first === undefined) return [];
    const { bins, binMs, eventBin } = first.timeline;
    const points: (readonly [number, number])[] = [];
    for (let ms = -beforeMs; ms < afterMs; ms += 2 * binMs) {
      const bin = eventBin + ms / binMs;
      const count = (bins[bin] ?? 0) + (bins[bin + 1] ?? 0);
      top = Math.max(top, count);
      points.push([ms, count]);
    }
    return [{ daemon, points }];
  });
  const body = curves
    .map(({ daemon, points }) => {
      const scaled = points.map(
        ([ms, count]) => [xOf(ms), height - 4 - (count / top) * (height - 12)] as const,
      );
      return `<path d="${path(scaled)}" stroke="${colours[daemon]}" class="curve"/>`;
    })
    .join('');
  return frame(`packets received in 10 ms (top: ${top})`, body, timeMarks);
}

/** How many streams paused for how long, all runs. */
function pauses(results: readonly ScenarioResult[]): string {
  const longest = Math.max(
    40,
    ...results.flatMap(({ runs }) => runs.flatMap((run) => run.pauseMs)),
  );
  const steps = 60;
  const counts = results.map(({ daemon, runs }) => {
    const histogram = new Array<number>(steps).fill(0);
    for (const pause of runs.flatMap((run) => run.pauseMs)) {
      const step = Math.min(steps - 1, Math.floor((pause / longest) * steps));
      histogram[step] = (histogram[step] ?? 0) + 1;
    }
    return { daemon, histogram };
  });
  const top = Math.max(1, ...counts.flatMap(({ histogram }) => histogram));
  const bar = width / steps / counts.length;
  const body = counts
    .flatMap(({ daemon, histogram }, nth) =>
      histogram.map((count, step) => {
        const tall = count === 0 ? 0 : Math.max(2, (count / top) * (height - 24));
        const x = (step * width) / steps + nth * bar;
        return `<rect x="${x.toFixed(1)}" y="${(height - 16 - tall).toFixed(1)}" width="${(bar * 0.9).toFixed(1)}" height="${tall.toFixed(1)}" fill="${colours[daemon]}"/>`;
      }),
    )
    .join('');
  const marks = [0, 0.25, 0.5, 0.75].map(
    (share) => [share * width, `${Math.round(share * longest)} ms`] as const,
  );
  return frame(`longest pause of each stream (top: ${top} streams)`, body, marks);
}

/** Envelope of the audio around the event; where nothing came, the line is flat and red. */
function waveform(title: string, pcma: Uint8Array, eventSample: number, colour: string): string {
  const start = eventSample - (beforeMs / 1000) * sampleRate;
  const count = ((beforeMs + afterMs) / 1000) * sampleRate;
  const step = Math.floor(count / width);
  const parts: string[] = [];
  for (let x = 0; x < width; x++) {
    let [low, high, silent] = [0, 0, 0];
    for (let n = 0; n < step; n++) {
      const code = pcma[start + x * step + n] ?? 0xd5;
      const sample = decodeALaw(code);
      if (code === 0xd5) silent += 1;
      low = Math.min(low, sample);
      high = Math.max(high, sample);
    }
    const y = (value: number): string => (height / 2 - (value / 20_000) * (height / 2)).toFixed(1);
    const gap = silent === step;
    parts.push(
      `<line x1="${x}" x2="${x}" y1="${gap ? 0 : y(high)}" y2="${gap ? height : y(low)}" ` +
        `stroke="${gap ? '#d22' : colour}" stroke-opacity="${gap ? 0.35 : 1}"/>`,
    );
  }
  return frame(title, parts.join(''), timeMarks);
}

function audio(results: readonly ScenarioResult[]): string {
  return results
    .map(({ scenario, daemon, runs }, nth) => {
      const [first] = runs;
      if (first === undefined) return '';
      const { eventBin, binMs } = first.timeline;
      const eventSample = Math.round(((eventBin * binMs) / 1000) * sampleRate);
      const sent = new Uint8Array(first.audio.received.length).map(
        (_, n) => first.audio.sent[n % first.audio.sent.length] ?? 0,
      );
      const heard = `${scenario.name}-${daemon}-received.wav`;
      const played = (file: string): string =>
        `<audio controls preload="none" src="${file}"></audio>`;
      const original =
        nth > 0
          ? ''
          : waveform('sent', sent, eventSample, '#456') + played(`${scenario.name}-sent.wav`);
      return (
        original +
        waveform(
          `heard through ${daemon}; red: nothing to play`,
          first.audio.received,
          eventSample,
          colours[daemon],
        ) +
        played(heard)
      );
    })
    .join('');
}

/** Everything but the WAV files is in the page itself. */
export function failoverPage(
  machine: string,
  options: { readonly calls: number; readonly ptimeMs: number; readonly store: string },
  results: readonly ScenarioResult[],
): string {
  const scenarios = [...new Set(results.map(({ scenario }) => scenario))];
  const sections = scenarios.map((scenario) => {
    const own = results.filter((result) => result.scenario === scenario);
    const lines = own.map(({ daemon, obstacle, runs }) => {
      if (obstacle !== null) return `<li><b>${daemon}</b>: ${escape(obstacle)}</li>`;
      const lost = runs.flatMap((run) => run.lost).sort((a, b) => a - b);
      const pause = runs.flatMap((run) => run.pauseMs).sort((a, b) => a - b);
      const middle = (values: readonly number[]): number =>
        values[values.length >> 1] ?? Number.NaN;
      const calls = Math.max(0, ...runs.map((run) => run.callsLost));
      return (
        `<li><b style="color:${colours[daemon]}">${daemon}</b>: lost per stream median ${middle(lost)}, ` +
        `most ${lost.at(-1) ?? '-'}; longest pause median ${middle(pause).toFixed(0)} ms, most ` +
        `${(pause.at(-1) ?? Number.NaN).toFixed(0)} ms; calls lost ${calls}</li>`
      );
    });
    return (
      `<section><h2>${escape(scenario.name)}</h2><p>${escape(scenario.title)}</p>` +
      `<ul>${lines.join('')}</ul>${timeline(own)}${pauses(own)}${audio(own)}</section>`
    );
  });
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Failover</title><style>
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
figure{margin:1rem 0}figcaption{color:#555;font-size:13px}svg{width:100%;background:#f6f6f4}
.curve{fill:none;stroke-width:1.6}.tick{stroke:#ccc}text{font-size:11px;fill:#777}audio{width:100%}
</style><h1>What a failover costs</h1><p>${options.calls} calls, ${options.ptimeMs} ms, store ${escape(options.store)}; ${escape(machine)}</p>${sections.join('\n')}</html>\n`;
}
