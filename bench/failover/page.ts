/** The page of a bench: tables and plots in one file that loads nothing. */
import { decode, sampleRate, wav } from './audio.js';
import { chart, colours, waveform, type Line } from './plots.js';
import { sentSamples, short, typicalRun, type Entry, type Summary } from './summary.js';
import type { PhaseResult, RunResult } from './run.js';
import type { Scenario } from './scenario.js';
import { arrivalsPerBin } from './trace.js';

const second = 1_000_000;
const leadMicros = second / 5;
const binMicros = 10_000;
/** Seconds of sound in the page, before and after the event. */
const soundBefore = 1;
const soundAfter = 2;

export const escape = (text: string): string =>
  text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

function table(rows: readonly (readonly string[])[], heading: boolean): string {
  const body = rows.map((cells, row) => {
    const tag = heading && row === 0 ? 'th' : 'td';
    return `<tr>${cells.map((cell) => `<${tag}>${escape(cell)}</${tag}>`).join('')}</tr>`;
  });
  return `<div class="wide"><table>${body.join('')}</table></div>`;
}

interface Shown {
  readonly entry: Entry;
  readonly run: RunResult;
  readonly phase: PhaseResult;
}

/** The phase with that number of the typical run of each daemon. */
function shown(entries: readonly Entry[], number: number): readonly Shown[] {
  return entries.flatMap((entry) => {
    const run = typicalRun(entry);
    const phase = run?.phases[number];
    return run === undefined || phase === undefined ? [] : [{ entry, run, phase }];
  });
}

function arrivals(list: readonly Shown[], ptimeMs: number): string {
  // Pauses that the machine's other guests cause are none to show.
  const noteworthy = 5 * ptimeMs * 1000;
  const ends = list.flatMap(({ phase }) =>
    phase.streams
      .filter(({ gap }) => gap.to - gap.from > noteworthy)
      .map(({ gap }) => gap.to - phase.event),
  );
  const after = Math.min(4 * second, Math.max(0, ...ends) + 0.3 * second);
  const expected = list[0]?.run.traces.length ?? 0;
  const perBin = (expected * binMicros) / (ptimeMs * 1000);
  const lines = list.map(({ entry, run, phase }): Line => {
    const window = { from: phase.event - leadMicros, to: phase.event + after };
    const points = arrivalsPerBin(run.traces, window, binMicros).map((y, bin) => ({
      x: (bin * binMicros - leadMicros) / 1000,
      y,
    }));
    return { label: entry.daemon, colour: colours[entry.daemon], points, steps: true };
  });
  const title = `${list[0]?.phase.name ?? ''}: packets received per ${binMicros / 1000} ms, typical run`;
  const axes = { xLabel: 'ms after the event', yLabel: 'packets' };
  const highest = Math.max(perBin, ...lines.flatMap((line) => line.points.map(({ y }) => y)));
  const span = { from: -leadMicros / 1000, to: after / 1000, top: highest * 1.1, mark: 0 };
  return chart({ title, ...axes, ...span }, lines);
}

function gapDistribution(entries: readonly Entry[], number: number): string {
  const lines = entries.flatMap((entry): Line[] => {
    const gaps = entry.runs
      .flatMap((run) => run.phases[number]?.streams ?? [])
      .map(({ gap }) => (gap.to - gap.from) / 1000)
      .sort((a, b) => a - b);
    if (gaps.length === 0) return [];
    const points = gaps.map((x, at) => ({ x, y: ((at + 1) / gaps.length) * 100 }));
    const label = entry.daemon;
    return [{ label, colour: colours[label], points: [{ x: 0, y: 0 }, ...points], steps: true }];
  });
  const longest = Math.max(1, ...lines.flatMap((line) => line.points.map(({ x }) => x)));
  const title = 'Longest pause of each stream, all runs';
  const axes = { xLabel: 'ms', yLabel: '% of streams' };
  return chart({ title, ...axes, from: 0, to: longest * 1.05, top: 100 }, lines);
}

/** Spans of missing packets of the first stream, in samples. */
function missing(run: RunResult): readonly { readonly from: number; readonly to: number }[] {
  const arrived = run.traces[0]?.arrived ?? new Int32Array();
  const packet = arrived.length === 0 ? 0 : run.heard.length / arrived.length;
  const spans: { from: number; to: number }[] = [];
  arrived.forEach((at, number) => {
    if (at >= 0) return;
    const [from, to] = [number * packet, (number + 1) * packet];
    const last = spans.at(-1);
    if (last?.to === from) last.to = to;
    else spans.push({ from, to });
  });
  return spans;
}

function sound(label: string, samples: Int16Array): string {
  const data = wav(samples).toString('base64');
  return `<figure><figcaption>${label}</figcaption><audio controls preload="none" src="data:audio/wav;base64,${data}"></audio></figure>`;
}

interface Waves {
  readonly sent: string;
  readonly received: string;
  readonly sounds: string;
}

/** What one phone said and what the other one heard. */
function waves(list: readonly Shown[]): readonly Waves[] {
  return list.map(({ entry, run, phase }) => {
    const zero = Math.round((phase.event / second) * sampleRate);
    const from = Math.max(0, zero - sampleRate * soundBefore);
    const to = Math.min(run.heard.length, zero + sampleRate * soundAfter);
    const sent = sentSamples(run.heard.length);
    const received = decode(run.heard);
    const common = { sampleRate, from, to, zero };
    const gaps = missing(run).filter((gap) => gap.to > from && gap.from < to);
    const length = gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0);
    const lost = `${short((length / sampleRate) * 1000)} ms missing`;
    const sentTitle = `${entry.daemon}: sent (ms after the event)`;
    const heardTitle = `${entry.daemon}: received, ${lost}`;
    return {
      sent: waveform(sent, { ...common, title: sentTitle, colour: '#555', gaps: [] }),
      received: waveform(received, {
        ...common,
        ...{ title: heardTitle, colour: colours[entry.daemon], gaps },
      }),
      sounds: `<div class="sounds">${sound('sent', sent.subarray(from, to))}${sound('received', received.subarray(from, to))}</div>`,
    };
  });
}

function section(results: Summary, scenario: Scenario): string {
  const all = results.entries.filter((entry) => entry.scenario === scenario);
  const entries = all.filter((entry) => entry.runs.length > 0);
  const reasons = all
    .filter((entry) => entry.runs.length === 0)
    .map((entry) => `<p>${entry.daemon}: ${escape(entry.skipped ?? entry.errors[0] ?? '')}</p>`);
  const phases = Math.max(0, ...entries.map((entry) => entry.runs[0]?.phases.length ?? 0));
  const plots = Array.from({ length: phases }, (_, number) => {
    const list = shown(entries, number);
    if (list.length === 0) return '';
    return (
      arrivals(list, results.conditions.ptime) +
      gapDistribution(entries, number) +
      (number === 0
        ? waves(list)
            .map(({ sent, received, sounds }) => sent + received + sounds)
            .join('')
        : '')
    );
  });
  return `<section><h2>${scenario.name}</h2><p>${escape(scenario.title)}</p>${reasons.join('')}${plots.join('')}</section>`;
}

const plotStyle = `text{font-size:11px;fill:#444}
.title{font-size:12px;font-weight:600}.grid{stroke:#e3e3e3}.mark{stroke:#b00020;stroke-dasharray:4 3}
.line{fill:none;stroke-width:1.4}.wave{stroke-width:1}.gap{fill:#b00020;opacity:.18}`;
const style = `body{font:15px/1.45 system-ui,sans-serif;max-width:78rem;margin:2rem auto;padding:0 1rem;color:#222}
svg{width:100%;max-width:720px;display:block;margin:.6rem 0}${plotStyle}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px}
th,td{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:left;white-space:nowrap}
.sounds{display:flex;gap:1rem;flex-wrap:wrap}figure{margin:.2rem 0}`;

/** One picture of a scenario's first event: what arrived, and what the typical stream of each daemon sounds like. null: no run. */
export function picture(results: Summary, scenario: Scenario): string | null {
  const entries = results.entries.filter((entry) => entry.scenario === scenario);
  const list = shown(
    entries.filter((entry) => entry.runs.length > 0),
    0,
  );
  if (list.length === 0) return null;
  const plots = [
    arrivals(list, results.conditions.ptime),
    ...waves(list).map(({ received }) => received),
  ];
  let y = 0;
  const placed = plots.map((plot) => {
    const [, width = '0', height = '0'] = /viewBox="0 0 (\d+) (\d+)"/.exec(plot) ?? [];
    const at = y;
    y += Number(height) + 8;
    return plot.replace('<svg ', `<svg y="${at}" width="${width}" height="${height}" `);
  });
  const { machine, calls, ptime } = results.conditions;
  const note = `${calls} calls, a packet every ${ptime} ms; ${escape(machine)}`;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 ${y + 18}" font-family="sans-serif">`;
  return `${head}<style>${plotStyle}</style><rect width="100%" height="100%" fill="#fff"/>${placed.join('')}<text x="52" y="${y + 10}">${note}</text></svg>\n`;
}

export function page(results: Summary): string {
  const { machine, calls, ptime, runs, mover, store, redis, stack, advertMs } = results.conditions;
  const scenarios = [...new Set(results.entries.map((entry) => entry.scenario))];
  const by = mover === 'keepalived' ? `keepalived, an advertisement every ${advertMs} ms` : 'bench';
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Failover: rtprelayd and rtpengine</title><style>${style}</style>
<h1>Failover: rtprelayd and rtpengine in turn</h1>
<p>${escape(machine)}. ${calls} calls both ways, a packet every ${ptime} ms, up to ${runs} runs of each; address moved by ${by};
store ${store}, redis ${redis}, stack ${stack}. Three values: median / 95th percentile / maximum of all streams of all runs; runs: lowest and highest median.</p>
${table(results.rows(), true)}<p></p>${table(results.figureRows(), false)}
${scenarios.map((scenario) => section(results, scenario)).join('\n')}
</html>
`;
}
