/** One call in full: what `explain` says, its path, its statistics of the last minutes. */
import type { CallDetail, Way } from '../../src/daemon/live/protocol.js';
import { byId, element } from './dom.js';
import {
  age,
  bits,
  jitterLevel,
  lossLevel,
  milliseconds,
  mosLevel,
  percent,
  rate,
  score,
  shown,
  whole,
  type Level,
} from './format.js';
import { drawPath, hopNames, pairsOf } from './path.js';
import { Spark } from './spark.js';
import { minutesOf } from './trace.js';

function chart(
  kind: keyof Way['traces'],
  title: string,
  value: string,
  unit: string,
  level: Level,
  { traces }: Way,
): HTMLElement {
  const spark = new Spark(kind);
  const minutes = minutesOf(...Object.values(traces));
  spark.draw(traces[kind], minutes);
  return element(
    'div',
    { class: 'chart' },
    element('h4', {}, title),
    element('p', { class: `value ${level}` }, element('b', {}, value), ` ${unit}`),
    spark.node,
    element(
      'small',
      { class: 'axis' },
      element('span', {}, `−${minutes} min`),
      element('span', {}, 'now'),
    ),
  );
}

function findingsOf(findings: Way['findings']): HTMLElement[] {
  return findings.map(({ decides, text, next }) =>
    element(
      'li',
      { class: decides ? 'cause' : 'hint' },
      element('p', {}, shown(text)),
      ...(next === null ? [] : [element('p', { class: 'next' }, shown(next))]),
    ),
  );
}

function facts(way: Way): string {
  const parts = [`${whole(way.received)} came`, `${whole(way.sent)} left`];
  const [number, unit] = bits(way.bitsPerSecond);
  if (way.bitsPerSecond > 0) parts.push(`${number} ${unit}`);
  if (way.lastPacketSecondsAgo !== null && way.lastPacketSecondsAgo > 2) {
    parts.push(`last ${age(way.lastPacketSecondsAgo)} ago`);
  }
  for (const [reason, packets] of way.dropped) parts.push(`${whole(packets)} dropped: ${reason}`);
  return parts.join(' · ');
}

function wayBlock(way: Way): HTMLElement {
  const [from, to] = [shown(way.from.name), shown(way.to.name)];
  const state =
    way.losesAt !== null
      ? element('span', { class: 'tag bad' }, `lost ${hopNames[way.losesAt]}`)
      : way.flows
        ? element('span', { class: 'tag good' }, 'flows')
        : element('span', { class: 'tag' }, way.held ? 'on hold' : 'quiet');
  return element(
    'article',
    { class: way.held ? 'way held' : 'way' },
    element(
      'h3',
      {},
      `${from} → ${to} `,
      element('span', { class: 'kind' }, way.media),
      ' ',
      state,
    ),
    element('ul', { class: 'findings' }, ...findingsOf(way.findings)),
    element('p', { class: 'facts' }, facts(way)),
    element(
      'div',
      { class: 'charts' },
      chart('rate', 'Rate', rate(way.receivedPerSecond), '/s', '', way),
      chart('loss', 'Loss', percent(way.lossPercent), '%', lossLevel(way.lossPercent), way),
      chart('jitter', 'Jitter', milliseconds(way.jitterMs), 'ms', jitterLevel(way.jitterMs), way),
      chart('mos', 'MOS', score(way.mos), '', mosLevel(way.mos), way),
    ),
  );
}

function heading(call: CallDetail): readonly Node[] {
  const facts: string[] = [];
  if (call.ageSeconds !== null) facts.push(age(call.ageSeconds));
  if (call.createdFrom !== '') facts.push(`made by ${call.createdFrom}`);
  if (call.foreign) facts.push("another node's, kept ready here");
  if (call.ended) facts.push('ended');
  return [
    element('h2', { class: 'id' }, shown(call.id)),
    element('p', { class: 'facts' }, facts.join(' · ')),
  ];
}

/** Ways that go on and lose something. */
const lossyWays = ({ ways }: CallDetail): readonly Way[] =>
  ways.filter(({ flows, losesAt }) => flows && losesAt !== null);

/** `explain`'s sentence; that something is lost on a way that flows, is no matter of it. */
function summaryOf(call: CallDetail): string {
  const losses = lossyWays(call).map(
    ({ from, lossPercent, losesAt }) =>
      ` ${percent(lossPercent)} % of what ${shown(from.name)} sends is lost ${losesAt === null ? '' : hopNames[losesAt]}.`,
  );
  return shown(call.summary) + losses.join('');
}

function levelOf(call: CallDetail): 'good' | 'calm' | 'fair' | 'bad' {
  const { known, ended, foreign, ways } = call;
  if (!known || ended) return 'calm';
  if (!foreign && ways.some(({ flows, losesAt }) => !flows && losesAt !== null)) return 'bad';
  if (lossyWays(call).length > 0) return 'fair';
  return ways.every(({ flows }) => flows) ? 'good' : 'calm';
}

export class CallPane {
  readonly #pane = byId('detail');
  readonly #body = element('div', { class: 'body' });
  readonly #close = element(
    'button',
    { type: 'button', class: 'quiet close', 'aria-label': 'Close the call (Escape)' },
    '✕',
  );
  /** What is drawn, so that nothing is built anew that is the same. */
  #drawn = '';

  constructor(onClose: () => void) {
    this.#pane.append(this.#close, this.#body);
    this.#close.addEventListener('click', onClose);
  }

  get isOpen(): boolean {
    return !this.#pane.hidden;
  }

  /** @param id of the call that is on its way. */
  open(id: string): void {
    this.#drawn = '';
    this.#pane.hidden = false;
    this.#body.replaceChildren(
      element('h2', { class: 'id' }, shown(id)),
      element('p', { class: 'facts' }, 'asking …'),
    );
    this.#body.scrollTop = 0;
    this.#close.focus();
  }

  close(): void {
    this.#pane.hidden = true;
    this.#drawn = '';
  }

  show(call: CallDetail): void {
    const text = JSON.stringify(call);
    if (text === this.#drawn) return;
    this.#drawn = text;
    this.#body.replaceChildren(
      ...heading(call),
      element('p', { class: `summary ${levelOf(call)}`, role: 'status' }, summaryOf(call)),
      element('ul', { class: 'findings' }, ...findingsOf(call.findings.slice(1))),
      ...pairsOf(call.ways).flatMap((pair) => [
        drawPath(pair),
        wayBlock(pair.there),
        ...(pair.back === null ? [] : [wayBlock(pair.back)]),
      ]),
    );
  }
}
