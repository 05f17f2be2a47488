/** The list of calls: only the rows in sight exist, and only they are asked for. */
import type { Condition, Frame, Row } from '../../src/daemon/live/protocol.js';
import { byId, element, setClass, setText } from './dom.js';
import {
  age,
  jitterLevel,
  lossLevel,
  milliseconds,
  mosLevel,
  percent,
  rate,
  score,
  shown,
} from './format.js';
import { Spark } from './spark.js';

/** What a condition is called, and what it means. */
export const conditionTexts: Readonly<Record<Condition, readonly [name: string, meaning: string]>> =
  {
    'one-way': ['one way', 'one side is heard, the other is not'],
    silent: ['silent', 'nobody is heard'],
    poor: ['poor', 'more than 5 % lost, or MOS below 3.1'],
    hold: ['on hold', 'one side is not to send'],
    ringing: ['ringing', 'no answer yet'],
    ok: ['well', 'all sides are heard'],
    standby: ['standby', "another node's call, kept ready here"],
  };

const where: Readonly<Record<Row['where'], string>> = {
  ...({ kernel: 'kernel', userspace: 'userspace', both: 'both', nothing: '–' } as const),
};

/** One line; shows whatever row it is given. */
class Line {
  readonly node = element('div', { role: 'option', class: 'row' });
  readonly #dot = element('i', { class: 'dot' });
  readonly #id = element('b', { class: 'id' });
  readonly #parties = element('span', { class: 'parties' });
  readonly #age = element('span', { class: 'num age' });
  readonly #rate = element('span', { class: 'num' });
  readonly #loss = element('span', { class: 'num' });
  readonly #jitter = element('span', { class: 'num jitter' });
  readonly #mos = element('span', { class: 'num mos' });
  readonly #where = element('span', { class: 'where' });
  readonly #rateSpark = new Spark('rate');
  readonly #lossSpark = new Spark('loss');
  id = '';

  constructor() {
    this.node.append(
      element('span', { class: 'who' }, this.#dot, this.#id, this.#parties),
      this.#age,
      element('span', { class: 'figure in' }, this.#rateSpark.node, this.#rate),
      element('span', { class: 'figure lost' }, this.#lossSpark.node, this.#loss),
      this.#jitter,
      this.#mos,
      this.#where,
    );
  }

  place(index: number, height: number, selected: boolean): void {
    this.node.hidden = false;
    this.node.id = `row-${index}`;
    this.node.style.transform = `translateY(${index * height}px)`;
    this.node.setAttribute('aria-selected', String(selected));
    this.node.setAttribute('aria-posinset', String(index + 1));
  }

  wait(): void {
    this.id = '';
    setClass(this.node, 'row waiting');
  }

  show(row: Row): void {
    const [name, meaning] = conditionTexts[row.condition];
    this.id = row.id;
    setClass(this.node, `row ${row.condition}`);
    setClass(this.#dot, `dot ${row.condition}`);
    this.#dot.title = `${name}: ${meaning}`;
    setText(this.#id, shown(row.id));
    this.node.title = shown(row.id);
    const parties = row.parties.map((party) => (party === '' ? '…' : shown(party)));
    setText(this.#parties, `${name} · ${row.media} · ${parties.join(' ↔ ')}`);
    setText(this.#age, age(row.ageSeconds));
    setText(this.#rate, rate(row.packetsPerSecond));
    setText(this.#loss, percent(row.lossPercent));
    setText(this.#jitter, milliseconds(row.jitterMs));
    setText(this.#mos, score(row.mos));
    setClass(
      this.#loss,
      `num ${row.lossPercent === null ? 'unknown' : lossLevel(row.lossPercent)}`,
    );
    setClass(this.#jitter, `num jitter ${jitterLevel(row.jitterMs)}`);
    setClass(this.#mos, `num mos ${mosLevel(row.mos)}`);
    setText(this.#where, where[row.where]);
    this.#rateSpark.draw(row.rate);
    this.#lossSpark.draw(row.loss);
  }
}

/** Rows above and below those in sight, so that a short way needs no waiting. */
const margin = 6;

export interface RowsOptions {
  /** The rows from and so many are in sight now. */
  readonly onRange: (from: number, count: number) => void;
  readonly onOpen: (id: string) => void;
}

export class CallRows {
  readonly #box = byId('rows');
  readonly #space = byId('space');
  readonly #empty = byId('empty');
  readonly #options: RowsOptions;
  readonly #lines: Line[] = [];
  #list: Frame['list'] | null = null;
  #selected = 0;
  #opened: string | null = null;
  #from = 0;
  #count = 0;
  #due = false;

  constructor(options: RowsOptions) {
    this.#options = options;
    this.#box.addEventListener('scroll', () => this.#soon());
    new ResizeObserver(() => this.#soon()).observe(this.#box);
    this.#box.addEventListener('keydown', (event) => this.#key(event));
    this.#box.addEventListener('click', ({ target }) => {
      const line = this.#lines.find(({ node }) => target instanceof Node && node.contains(target));
      if (line === undefined || line.id === '') return;
      this.#selected = Number(line.node.id.slice('row-'.length));
      this.#options.onOpen(line.id);
    });
    this.#soon();
  }

  /** Of a row, px: what the style sheet says. */
  get #height(): number {
    return Number.parseFloat(getComputedStyle(this.#box).getPropertyValue('--row')) || 48;
  }

  /** The beginning of the list is in sight. */
  toStart(): void {
    this.#box.scrollTop = 0;
    this.#selected = 0;
    this.#soon();
  }

  focus(): void {
    this.#box.focus();
  }

  /** @param opened the call that is shown in full. @param why there is nothing, if there is nothing. */
  show(list: Frame['list'], opened: string | null, why: string): void {
    this.#list = list;
    this.#opened = opened;
    this.#selected = Math.min(this.#selected, Math.max(0, list.matching - 1));
    this.#space.style.height = `${list.matching * this.#height}px`;
    this.#empty.hidden = list.matching > 0;
    setText(this.#empty, list.matching > 0 ? '' : why);
    this.#draw();
  }

  #soon(): void {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#draw();
    });
  }

  #draw(): void {
    const height = this.#height;
    const first = Math.floor(this.#box.scrollTop / height);
    const inSight = Math.ceil(this.#box.clientHeight / height) + 1;
    const from = Math.max(0, first - margin);
    const count = Math.max(1, inSight + 2 * margin);
    if (from !== this.#from || count !== this.#count) {
      this.#from = from;
      this.#count = count;
      this.#options.onRange(from, count);
    }
    const list = this.#list;
    if (list === null) return;
    const end = Math.min(from + count, list.matching);
    while (this.#lines.length < end - from) {
      const line = new Line();
      this.#lines.push(line);
      this.#space.append(line.node);
    }
    this.#lines.forEach((line, at) => {
      const index = from + at;
      if (index >= end) {
        line.node.hidden = true;
        return;
      }
      line.place(index, height, index === this.#selected);
      const row = list.rows[index - list.from];
      if (row === undefined) line.wait();
      else line.show(row);
      line.node.classList.toggle('opened', row !== undefined && row.id === this.#opened);
    });
    this.#box.setAttribute('aria-activedescendant', `row-${this.#selected}`);
  }

  #key(event: KeyboardEvent): void {
    const page = Math.max(1, Math.floor(this.#box.clientHeight / this.#height) - 1);
    const last = Math.max(0, (this.#list?.matching ?? 1) - 1);
    const moves: Readonly<Record<string, number>> = {
      ArrowDown: this.#selected + 1,
      ArrowUp: this.#selected - 1,
      PageDown: this.#selected + page,
      PageUp: this.#selected - page,
      Home: 0,
      End: last,
    };
    const to = moves[event.key];
    if (to !== undefined) {
      event.preventDefault();
      this.#select(Math.max(0, Math.min(last, to)));
    } else if (event.key === 'Enter' || event.key === ' ') {
      const line = this.#lines.find(({ node }) => node.id === `row-${this.#selected}`);
      if (line === undefined || line.id === '') return;
      event.preventDefault();
      this.#options.onOpen(line.id);
    }
  }

  #select(index: number): void {
    this.#selected = index;
    const height = this.#height;
    const [top, bottom] = [index * height, (index + 1) * height];
    const box = this.#box;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
    this.#draw();
  }
}
