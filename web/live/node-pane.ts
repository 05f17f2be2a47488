/** The node: tiles on top, and what it has been through at the side. */
import type { NodeEvent, NodeStatistics } from '../../src/daemon/live/protocol.js';
import { byId, element, setClass, setText } from './dom.js';
import { age, bits, clock, mosLevel, percent, rate, score, whole } from './format.js';
import { Spark } from './spark.js';

class Tile {
  readonly node: HTMLElement;
  readonly #value = element('b');
  readonly #unit = element('span', { class: 'unit' });
  readonly #below = element('span');
  /** Where there is room for it. */
  readonly #besides = element('span', { class: 'besides' });
  readonly #spark: Spark;

  constructor(title: string, kind: string) {
    this.#spark = new Spark(kind);
    const value = element('p', { class: 'value' }, this.#value, this.#unit);
    this.node = element(
      'div',
      { class: 'tile' },
      element('h2', {}, title),
      value,
      element('small', {}, this.#below, this.#besides),
      this.#spark.node,
    );
  }

  show(
    value: string,
    unit: string,
    below: string,
    trace: NodeStatistics['traces']['calls'],
    { level = '', besides = '' } = {},
  ): void {
    setText(this.#value, value);
    setText(this.#unit, unit === '' ? '' : ` ${unit}`);
    setText(this.#below, below);
    setText(this.#besides, besides === '' ? '' : ` · ${besides}`);
    setClass(this.node, `tile ${level}`);
    this.#spark.draw(trace);
  }
}

/** So much of the past is on the time line. */
const timelineMs = 15 * 60_000;
const shownEvents = 40;

const row = (name: string, value: string, mark = ''): HTMLElement =>
  element('tr', { class: mark }, element('th', { scope: 'row' }, name), element('td', {}, value));

const table = (title: string, rows: readonly HTMLElement[], empty: string): HTMLElement =>
  element(
    'section',
    { class: 'block' },
    element('h3', {}, title),
    rows.length === 0
      ? element('p', { class: 'nothing' }, empty)
      : element('table', {}, element('tbody', {}, ...rows)),
  );

function dropRows({ drops }: NodeStatistics): readonly HTMLElement[] {
  return drops.map(({ reason, total, perSecond }) => {
    const now = perSecond > 0 ? `, ${rate(perSecond)}/s` : '';
    return row(reason, `${whole(total)}${now}`, perSecond > 0 ? 'rising' : '');
  });
}

function pairRows(node: NodeStatistics): readonly HTMLElement[] {
  const standby = node.standby.map(({ database, waiting, behindMs, lastMs }) =>
    row(
      `follows keyspace ${database}`,
      waiting === 0
        ? `last change in ${lastMs.toFixed(1)} ms`
        : `${whole(waiting)} changes behind, ${(behindMs / 1000).toFixed(1)} s`,
      waiting > 100 || behindMs > 1000 ? 'rising' : '',
    ),
  );
  return [
    row('own calls', whole(node.own)),
    row("other nodes' calls", whole(node.foreign)),
    ...node.addresses.map(({ address, held }) =>
      row(address, held ? 'is here' : 'is at another node', held ? 'held' : ''),
    ),
    ...standby,
    row('taken over from others', whole(node.takeovers)),
    row('taken over by others', whole(node.takenOver)),
    row(
      'Redis',
      { none: 'not used', healthy: 'has every call', degraded: 'is away' }[node.store],
      node.store === 'degraded' ? 'rising' : '',
    ),
  ];
}

function progressBlock({ progress }: NodeStatistics): readonly HTMLElement[] {
  return progress.map(({ what, text, share, running }) => {
    const bar = element('progress', { max: '1', 'aria-label': what });
    if (share !== null) bar.value = share;
    return element(
      'div',
      { class: `progress ${running ? 'running' : ''}` },
      element('p', {}, text),
      ...(running ? [bar] : []),
    );
  });
}

function timeline(events: readonly NodeEvent[], nowMs: number): HTMLElement {
  const line = element('div', { class: 'timeline', 'aria-hidden': 'true' });
  for (const { atMs, kind, text } of events) {
    const share = 1 - (nowMs - atMs) / timelineMs;
    if (share < 0) continue;
    const mark = element('i', { class: `mark ${kind}`, title: `${clock(atMs)} ${text}` });
    mark.style.left = `${Math.min(100, share * 100).toFixed(2)}%`;
    line.append(mark);
  }
  const list = [...events]
    .reverse()
    .slice(0, shownEvents)
    .map(({ atMs, kind, text }) =>
      element(
        'li',
        { class: kind },
        element('time', {}, clock(atMs)),
        element('i', { class: `mark ${kind}` }),
        element('span', {}, text),
      ),
    );
  return element(
    'section',
    { class: 'block' },
    element('h3', {}, 'What has happened'),
    line,
    element('small', { class: 'axis' }, element('span', {}, '−15 min'), element('span', {}, 'now')),
    element('ol', { class: 'events' }, ...list),
  );
}

export class NodePane {
  readonly #side = byId('side');
  readonly #calls = new Tile('Calls', 'calls');
  readonly #packets = new Tile('Packets', 'rate');
  readonly #mos = new Tile('MOS', 'mos');
  readonly #drops = new Tile('Dropped', 'loss');
  readonly #lag = new Tile('Standby', 'jitter');
  #events: NodeEvent[] = [];
  #drawn = '';

  constructor() {
    const tiles = [this.#calls, this.#packets, this.#mos, this.#drops, this.#lag];
    byId('tiles').append(...tiles.map(({ node }) => node));
  }

  /** A daemon that has begun anew tells its own story. */
  forget(): void {
    this.#events = [];
  }

  show(node: NodeStatistics, events: readonly NodeEvent[]): void {
    if (events.length > 0) this.#events = [...this.#events, ...events].slice(-200);
    setText(byId('node-name'), node.name);
    setText(byId('node-facts'), `version ${node.version} · up ${age(node.uptimeSeconds)}`);
    this.#showTiles(node);
    this.#showSide(node);
  }

  #showTiles(node: NodeStatistics): void {
    const { traces } = node;
    const foreign = node.foreign > 0 ? `${whole(node.foreign)} of other nodes` : 'all its own';
    this.#calls.show(whole(node.own), '', foreign, traces.calls);
    const [number, unit] = bits(node.bitsPerSecond);
    const kernel =
      node.kernel === null
        ? 'userspace'
        : `${percent((100 * node.kernel.packetsPerSecond) / Math.max(1, node.packetsPerSecond))} % in the kernel`;
    this.#packets.show(whole(node.packetsPerSecond), '/s', `${number} ${unit}`, traces.packets, {
      besides: kernel,
    });
    const worst = node.worstLossPercent;
    this.#mos.show(
      score(node.meanMos),
      'mean',
      worst === null ? 'no reports yet' : `worst loss ${percent(worst)} %`,
      traces.mos,
      { level: mosLevel(node.meanMos) },
    );
    const dropping = node.drops.reduce((sum, { perSecond }) => sum + perSecond, 0);
    const total = node.drops.reduce((sum, each) => sum + each.total, 0);
    this.#drops.show(rate(dropping), '/s', `${whole(total)} since the start`, traces.drops, {
      level: dropping > 0 ? 'fair' : '',
    });
    const [first] = node.standby;
    const behind = node.standby.reduce((most, { behindMs }) => Math.max(most, behindMs), 0);
    if (first === undefined) this.#lag.show('–', '', 'follows no other node', traces.lag);
    else {
      const text = `follows keyspace ${node.standby.map(({ database }) => database).join(', ')}`;
      this.#lag.show(
        behind < 1000 ? behind.toFixed(0) : (behind / 1000).toFixed(1),
        behind < 1000 ? 'ms behind' : 's behind',
        text,
        traces.lag,
        { level: behind > 1000 ? 'bad' : '' },
      );
    }
  }

  #showSide(node: NodeStatistics): void {
    const { drops, standby, addresses, progress, own, foreign, store } = node;
    const key = JSON.stringify([
      ...[drops, standby, addresses, progress, own, foreign, store, this.#events.length],
      Math.floor(node.nowMs / 5000),
    ]);
    if (key === this.#drawn) return;
    this.#drawn = key;
    this.#side.replaceChildren(
      ...progressBlock(node),
      timeline(this.#events, node.nowMs),
      table('The pair', pairRows(node), ''),
      table('Dropped packets', dropRows(node), 'None since the start.'),
      element(
        'p',
        { class: 'nothing' },
        `${node.viewers === 1 ? '1 viewer' : `${node.viewers} viewers`} of this page`,
      ),
    );
  }
}
