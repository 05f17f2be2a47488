/** `rtprelayctl top`: calls and streams by rate, loss and jitter. Asks the daemon again and again. */
import { printable } from '../../observe/printable.js';
import type { CallStreams, ListedStream, StreamsSnapshot } from './streams.js';

/** A stream with what happened in the last interval. */
export interface TopRow extends ListedStream {
  readonly callId: string;
  readonly foreign: boolean;
  readonly packetsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly errorsPerSecond: number;
  readonly packetsOutPerSecond: number;
}

export interface TopFrame {
  readonly calls: number;
  readonly foreignCalls: number;
  /** Streams that had a packet in the interval. */
  readonly activeStreams: number;
  readonly streams: number;
  readonly packetsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly errorsPerSecond: number;
  /** The busiest first, of equal ones those with more loss. */
  readonly rows: readonly TopRow[];
}

const keyOf = ({ callId }: CallStreams, { tag, section, local }: ListedStream): string =>
  JSON.stringify([callId, tag, section, local]);

/** What has happened between two snapshots. */
export function topFrame(before: StreamsSnapshot, now: StreamsSnapshot): TopFrame {
  const seconds = Math.max(0.001, (now.atMicros - before.atMicros) / 1e6);
  const known = new Map<string, ListedStream>();
  for (const call of before.calls) {
    for (const stream of call.streams) known.set(keyOf(call, stream), stream);
  }
  const rows = now.calls.flatMap((call) =>
    call.streams.map((stream): TopRow => {
      const old = known.get(keyOf(call, stream));
      const rate = (of: (counters: ListedStream) => number): number =>
        Math.max(0, of(stream) - (old === undefined ? 0 : of(old))) / seconds;
      return {
        ...{ callId: call.callId, foreign: call.foreign },
        ...stream,
        packetsPerSecond: rate(({ packets }) => packets),
        bytesPerSecond: rate(({ bytes }) => bytes),
        errorsPerSecond: rate(({ errors }) => errors),
        packetsOutPerSecond: rate(({ packetsOut }) => packetsOut),
      };
    }),
  );
  rows.sort(
    (a, b) =>
      b.packetsPerSecond - a.packetsPerSecond || (b.lossPercent ?? 0) - (a.lossPercent ?? 0),
  );
  const sum = (of: (row: TopRow) => number): number => rows.reduce((all, row) => all + of(row), 0);
  return {
    calls: now.calls.length,
    foreignCalls: now.calls.filter(({ foreign }) => foreign).length,
    activeStreams: rows.filter(({ packetsPerSecond }) => packetsPerSecond > 0).length,
    streams: rows.length,
    packetsPerSecond: sum((row) => row.packetsPerSecond),
    bytesPerSecond: sum((row) => row.bytesPerSecond),
    errorsPerSecond: sum((row) => row.errorsPerSecond),
    rows,
  };
}

const number = (value: number | null, digits: number): string =>
  value === null ? '-' : value.toFixed(digits);

/** Columns: title, width (negative: to the left), content. */
const columns: readonly (readonly [string, number, (row: TopRow) => string])[] = [
  ['CALL', -24, ({ callId }) => callId],
  ['FROM', -12, ({ tag, label }) => label ?? tag],
  ['MEDIA', -6, ({ media }) => media],
  ['REMOTE', -22, ({ remote }) => remote ?? '-'],
  ['PORT', 6, ({ local }) => local.slice(local.lastIndexOf(':') + 1)],
  ['IN/S', 7, (row) => row.packetsPerSecond.toFixed(0)],
  ['OUT/S', 7, (row) => row.packetsOutPerSecond.toFixed(0)],
  ['KBIT/S', 7, (row) => ((row.bytesPerSecond * 8) / 1000).toFixed(0)],
  ['ERR/S', 6, (row) => row.errorsPerSecond.toFixed(0)],
  ['LOSS%', 6, ({ lossPercent }) => number(lossPercent, 1)],
  ['JIT ms', 7, ({ jitterMs }) => number(jitterMs, 0)],
  ['MOS', 5, ({ mos }) => number(mos, 1)],
  ['LAST s', 7, ({ lastPacketSecondsAgo: last }) => number(last, 0)],
  ['WHERE', -6, ({ kernelPackets }) => (kernelPackets > 0 ? 'kernel' : 'user')],
];

function cell(text: string, width: number): string {
  const size = Math.abs(width);
  const shown = printable(text);
  const cut = shown.length > size ? `${shown.slice(0, size - 1)}~` : shown;
  return width < 0 ? cut.padEnd(size) : cut.padStart(size);
}

/** The frame as lines of at most `width` characters, at most `height` of them. */
export function topLines(frame: TopFrame, width: number, height: number): readonly string[] {
  const head =
    `calls ${frame.calls} (foreign ${frame.foreignCalls})  streams ${frame.activeStreams} of ` +
    `${frame.streams} active  ${frame.packetsPerSecond.toFixed(0)} packets/s  ` +
    `${((frame.bytesPerSecond * 8) / 1e6).toFixed(2)} Mbit/s  ${frame.errorsPerSecond.toFixed(0)} errors/s`;
  const titles = columns.map(([title, size]) => cell(title, size)).join(' ');
  const rows = frame.rows
    .slice(0, Math.max(0, height - 3))
    .map((row) => columns.map(([, size, of]) => cell(of(row), size)).join(' '));
  return [head, '', titles, ...rows].map((line) => line.slice(0, width).trimEnd());
}

export interface TopOptions {
  /** One frame, then the end. */
  readonly once: boolean;
  readonly json: boolean;
  readonly intervalMs: number;
}

/** What `top` needs of a terminal. */
export interface TopTerminal {
  readonly write: (text: string) => void;
  readonly size: () => { readonly width: number; readonly height: number };
  /** Calls back for each key; returns what stops that. */
  readonly onKey: (listener: (key: string) => void) => () => void;
  readonly isTerminal: boolean;
}

const enterScreen = '\x1b[?1049h\x1b[?25l';
const leaveScreen = '\x1b[?25h\x1b[?1049l';

/** Words behind `top`; a text: what is wrong with them. */
export function topOptions(words: readonly string[]): TopOptions | string {
  let [once, json, intervalMs] = [false, false, 2000];
  for (const word of words) {
    const [, seconds] = /^--?interval=(\d+(?:\.\d+)?)$/.exec(word) ?? [];
    if (/^--?once$/.test(word)) once = true;
    else if (/^--?json$/.test(word)) json = true;
    else if (seconds !== undefined) intervalMs = Number(seconds) * 1000;
    else return `top takes --once, --json and --interval=SECONDS, not '${word}'`;
  }
  if (intervalMs < 200 || intervalMs > 3_600_000) return '--interval is from 0.2 to 3600 seconds';
  return { once, json, intervalMs };
}

const keysThatEnd: ReadonlySet<string> = new Set(['q', 'Q', '\x03', '\x1b']);

/** Shows frames until a key ends it (q) or, with `once`, one. Rejects when the daemon cannot be asked. */
export async function runTop(
  options: TopOptions,
  snapshot: () => Promise<StreamsSnapshot>,
  terminal: TopTerminal,
): Promise<void> {
  const once = options.once || !terminal.isTerminal;
  const screen = !once && !options.json;
  let end: () => void = () => undefined;
  let ended = false;
  const stop = once
    ? (): void => undefined
    : terminal.onKey((key) => {
        if (!keysThatEnd.has(key)) return;
        ended = true;
        end();
      });
  if (screen) terminal.write(enterScreen);
  try {
    let before = await snapshot();
    do {
      await new Promise<void>((resolve) => {
        end = resolve;
        setTimeout(resolve, options.intervalMs);
      });
      if (ended) return;
      const now = await snapshot();
      terminal.write(frameText(topFrame(before, now), options, terminal, once));
      before = now;
    } while (!once);
  } finally {
    stop();
    if (screen) terminal.write(leaveScreen);
  }
}

function frameText(
  frame: TopFrame,
  { json }: TopOptions,
  terminal: TopTerminal,
  once: boolean,
): string {
  if (json) return `${JSON.stringify(frame)}\n`;
  const { width, height } = once ? { width: 200, height: Infinity } : terminal.size();
  const lines = topLines(frame, width, height);
  if (once) return `${lines.join('\n')}\n`;
  return `\x1b[H${lines.map((line) => `${line}\x1b[K`).join('\r\n')}\x1b[J`;
}
