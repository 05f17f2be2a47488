/** The live page: wishes go to the daemon, frames come back and are shown. */
import type { Filter, Frame, SortKey, Wish } from '../../src/daemon/live/protocol.js';
import { CallPane } from './call-pane.js';
import { CallRows, conditionTexts } from './call-rows.js';
import { byId, element, setText } from './dom.js';
import { Feed, type FeedState } from './feed.js';
import { clock, whole } from './format.js';
import { NodePane } from './node-pane.js';

/** Titles of the columns, what they sort by, and whether the greatest comes first. */
const columns: readonly (readonly [title: string, sort: SortKey, descending: boolean])[] = [
  ['Call', 'id', false],
  ['Age', 'age', true],
  ['Packets /s', 'rate', true],
  ['Loss %', 'loss', true],
  ['Jitter ms', 'jitter', true],
  ['MOS', 'mos', false],
];

const filters: readonly (readonly [Filter, string])[] = [
  ['all', 'all'],
  ['trouble', 'trouble'],
  ...(['one-way', 'silent', 'poor', 'hold', 'ringing', 'ok', 'standby'] as const).map(
    (condition) => [condition, conditionTexts[condition][0]] as const,
  ),
];

/** Longer ones the daemon takes for no wish (src/daemon/live/wish.ts). */
const longestId = 1024;

const opened = (): string | null => {
  const [, coded] = /^#call=(.+)$/.exec(location.hash) ?? [];
  try {
    const id = coded === undefined ? null : decodeURIComponent(coded);
    return id !== null && id.length > longestId ? null : id;
  } catch {
    return null;
  }
};

let wish: Wish = {
  ...{ sort: 'trouble', descending: true, search: '', filter: 'all', from: 0, count: 30 },
  call: opened(),
};
const search = byId('search') as HTMLInputElement;
const chips = new Map<Filter, HTMLElement>();
const node = new NodePane();
const pane = new CallPane(() => open(null));
const rows = new CallRows({
  onRange: (from, count) => change({ from, count: Math.min(100, count) }),
  onOpen: (id) => open(id),
});
let startedMs = 0;
const feed = new Feed(wish, onFrame, onState);

function change(part: Partial<Wish>): void {
  wish = { ...wish, ...part };
  // Before the feed is there, it takes the wish that it is made with.
  queueMicrotask(() => feed.wish(wish));
}

function open(id: string | null): void {
  history.replaceState(
    null,
    '',
    id === null ? location.pathname : `#call=${encodeURIComponent(id)}`,
  );
  if (id === null) {
    pane.close();
    rows.focus();
  } else pane.open(id);
  document.body.classList.toggle('with-call', id !== null);
  change({ call: id });
}

function onFrame(frame: Frame): void {
  const { list, call } = frame;
  const began = frame.node.nowMs - frame.node.uptimeSeconds * 1000;
  // Another process answers than before: its events count from the start.
  if (Math.abs(began - startedMs) > 5000) node.forget();
  startedMs = began;
  node.show(frame.node, frame.events);
  const why =
    list.total === 0
      ? 'No calls at this moment. They appear here with their first offer.'
      : 'No call is like that. Clear the search or choose another condition.';
  rows.show(list, wish.call, why);
  setText(
    byId('matching'),
    list.matching === list.total
      ? `${whole(list.total)} calls`
      : `${whole(list.matching)} of ${whole(list.total)}`,
  );
  for (const [filter, chip] of chips) {
    const { conditions } = list;
    const count =
      filter === 'all'
        ? list.total
        : filter === 'trouble'
          ? conditions['one-way'] + conditions.silent + conditions.poor
          : conditions[filter];
    setText(chip.lastElementChild ?? chip, whole(count));
    chip.classList.toggle('none', count === 0);
  }
  if (call !== null && call.id === wish.call) pane.show(call);
}

function onState(state: FeedState): void {
  const link = byId('link');
  const banner = byId('banner');
  link.dataset['state'] = state.is;
  setText(link, { connecting: 'connecting', live: 'live', lost: 'lost', busy: 'full' }[state.is]);
  const stale = state.is === 'lost' || state.is === 'busy';
  document.body.classList.toggle('stale', stale);
  banner.hidden = !stale;
  if (state.is === 'lost') {
    const since = state.sinceMs === null ? '' : ` What you see is of ${clock(state.sinceMs)}.`;
    setText(banner, `No connection to the daemon, trying again.${since}`);
  } else if (state.is === 'busy') {
    setText(banner, 'Too many viewers look at this node already; trying again in a while.');
  }
}

function sortBy(sort: SortKey, descending: boolean): void {
  const same = wish.sort === sort;
  change({ sort, descending: same ? !wish.descending : descending });
  rows.toStart();
  showSort();
}

function showSort(): void {
  for (const button of document.querySelectorAll<HTMLElement>('[data-sort]')) {
    const isIt = button.dataset['sort'] === wish.sort;
    button.setAttribute('aria-pressed', String(isIt));
    button.dataset['order'] = !isIt ? '' : wish.descending ? 'down' : 'up';
  }
}

function buildColumns(): void {
  for (const [title, sort, descending] of columns) {
    const button = element('button', { type: 'button', 'data-sort': sort, title: 'Sort' }, title);
    button.addEventListener('click', () => sortBy(sort, descending));
    byId('columns').append(button);
  }
  byId('columns').append(element('span', { class: 'where' }, 'Path'));
  byId('worst').addEventListener('click', () => sortBy('trouble', true));
  showSort();
}

function buildChips(): void {
  for (const [filter, name] of filters) {
    const chip = element(
      'button',
      { type: 'button', class: `chip ${filter}`, 'aria-pressed': String(filter === wish.filter) },
      element('span', {}, name),
      element('b', {}, '0'),
    );
    chip.addEventListener('click', () => {
      change({ filter });
      for (const [each, other] of chips)
        other.setAttribute('aria-pressed', String(each === filter));
      rows.toStart();
    });
    chips.set(filter, chip);
    byId('chips').append(chip);
  }
}

const themes = ['system', 'dark', 'light'] as const;

function buildTheme(): void {
  const button = byId('theme');
  const root = document.documentElement;
  const show = (): void => {
    const now = root.dataset['theme'] ?? 'system';
    const text = now === 'system' ? 'as the system has them' : now;
    button.setAttribute('aria-label', `Colours: ${text}`);
    button.title = `Colours: ${text}`;
  };
  button.addEventListener('click', () => {
    const at = themes.findIndex((each) => each === (root.dataset['theme'] ?? 'system'));
    const next = themes[(at + 1) % themes.length] ?? 'system';
    if (next === 'system') delete root.dataset['theme'];
    else root.dataset['theme'] = next;
    try {
      localStorage.setItem('rtprelay-theme', next);
    } catch {
      // It holds for this visit.
    }
    show();
  });
  show();
}

function buildTabs(): void {
  const [calls, other] = [byId('tab-calls'), byId('tab-node')];
  const choose = (tab: 'calls' | 'node'): void => {
    byId('panes').dataset['tab'] = tab;
    calls.setAttribute('aria-pressed', String(tab === 'calls'));
    other.setAttribute('aria-pressed', String(tab === 'node'));
  };
  calls.addEventListener('click', () => choose('calls'));
  other.addEventListener('click', () => choose('node'));
}

function listenToKeys(): void {
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target === search;
    if (event.key === 'Escape' && pane.isOpen) open(null);
    else if (event.key === 'Escape' && typing) rows.focus();
    else if (event.key === '/' && !typing) {
      event.preventDefault();
      search.focus();
    } else if (event.key === 'ArrowDown' && typing) {
      event.preventDefault();
      rows.focus();
    }
  });
}

search.addEventListener('input', () => {
  change({ search: search.value.slice(0, 200) });
  rows.toStart();
});
addEventListener('hashchange', () => open(opened()));
buildColumns();
buildChips();
buildTheme();
buildTabs();
listenToKeys();
if (wish.call !== null) open(wish.call);
