/** A call as a path: phone, port, kernel or userspace, port, phone; a lane for each direction. */
import type { LossHop, Way, WayEnd } from '../../src/daemon/live/protocol.js';
import { element, svg } from './dom.js';
import { rate, shown } from './format.js';

/** Both directions of one section, as far as there are two. */
export interface WayPair {
  readonly there: Way;
  readonly back: Way | null;
}

const sameEnd = (a: WayEnd, b: WayEnd): boolean => a.name === b.name && a.local === b.local;

/** Directions that go between the same two ends belong together. */
export function pairsOf(ways: readonly Way[]): readonly WayPair[] {
  const left = [...ways];
  const pairs: WayPair[] = [];
  for (let there = left.shift(); there !== undefined; there = left.shift()) {
    const { from, to, media } = there;
    const at = left.findIndex(
      (way) => way.media === media && sameEnd(way.from, to) && sameEnd(way.to, from),
    );
    const [back = null] = at < 0 ? [] : left.splice(at, 1);
    pairs.push({ there, back });
  }
  return pairs;
}

const icons: Readonly<
  Record<'phone' | 'port' | 'kernel' | 'userspace' | 'both' | 'nothing', string>
> = {
  phone:
    'M6 3h3l1.5 4-2 1.5a12 12 0 0 0 5 5l1.5-2 4 1.5v3a2 2 0 0 1-2.2 2A16 16 0 0 1 4 5.2 2 2 0 0 1 6 3z',
  port: 'M4 7h16v10H4zM8 7v3m4-3v3m4-3v3',
  kernel: 'M7 7h10v10H7zM10 3v4m4-4v4m-4 10v4m4-4v4M3 10h4m-4 4h4m10-4h4m-4 4h4',
  userspace: 'M4 5h16v12H4zM8 21h8m-4-4v4M7 9l2.5 2L7 13m4.5 0H15',
  both: 'M7 7h10v10H7zM10 3v4m4-4v4m-4 10v4m4-4v4M3 10h4m-4 4h4m10-4h4m-4 4h4',
  nothing: 'M4 5h16v12H4zM8 21h8m-4-4v4',
};

const places: Readonly<Record<Way['place'], string>> = {
  kernel: 'kernel',
  userspace: 'userspace',
  both: 'kernel and userspace',
  nothing: 'nothing comes',
};

/** An address is broken before its port, if it has to be. */
function breakable(text: string): readonly (Node | string)[] {
  const [, address, port] = /^(.+)(:\d+.*)$/.exec(text) ?? [];
  return address === undefined || port === undefined ? [text] : [address, element('wbr'), port];
}

function station(kind: keyof typeof icons, name: string, below: string, classes = ''): HTMLElement {
  const icon = svg('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true' });
  icon.append(svg('path', { d: icons[kind] }));
  return element(
    'li',
    { class: `station ${kind} ${classes}` },
    element('span', { class: 'icon' }, icon),
    element('b', {}, name),
    element('small', {}, ...breakable(below)),
  );
}

/** Which of the four hops a direction loses on, from its sender's side. */
const hopsOf: Readonly<Record<LossHop, readonly number[]>> = {
  from: [1],
  relay: [2, 3],
  to: [4],
  way: [1, 4],
};

/** What a hop that loses is called. */
export const hopNames: Readonly<Record<LossHop, string>> = {
  from: 'before the relay',
  relay: 'in the relay',
  to: 'behind the relay',
  way: 'before or behind the relay',
};

function lanes(way: Way, direction: 'there' | 'back'): HTMLElement[] {
  const lossy = way.losesAt === null ? [] : hopsOf[way.losesAt];
  return [1, 2, 3, 4].map((hop) => {
    // What is lost on the way never comes further.
    const perSecond = hop <= 2 ? way.receivedPerSecond : way.sentPerSecond;
    const loses = lossy.includes(hop);
    const unsure = loses && way.losesAt === 'way';
    const moving = perSecond > 0 ? 'moving' : 'still';
    const mark = loses ? (unsure ? 'unsure' : 'loses') : '';
    const place = direction === 'there' ? hop : 5 - hop;
    const text = hop === 1 || hop === 4 ? `${rate(perSecond)}/s` : '';
    return element(
      'span',
      { class: `lane ${direction} hop${place} ${moving} ${mark}` },
      element('em', {}, text),
      ...(loses ? [element('i', { title: 'lost here' }, unsure ? '?' : '×')] : []),
    );
  });
}

const told = ({ remote, heard }: WayEnd): string =>
  remote === null ? 'address not known' : `${shown(remote)}${heard ? '' : ' (as\u00a0signalled)'}`;

/** What a reader who sees no picture is told. */
function spoken(way: Way): string {
  const where = way.losesAt === null ? 'nothing is lost' : `lost ${hopNames[way.losesAt]}`;
  const [from, to] = [shown(way.from.name), shown(way.to.name)];
  return `${from} to ${to}: ${rate(way.receivedPerSecond)} packets a second come, ${rate(way.sentPerSecond)} leave, ${where}`;
}

/** The picture of a pair. */
export function drawPath({ there, back }: WayPair): HTMLElement {
  const { from, to } = there;
  const place = [there, back].find((way) => way !== null && way.place !== 'nothing')?.place;
  const relay = place ?? 'nothing';
  const inRelay = [there, back].some((way) => way?.losesAt === 'relay') ? 'loses' : '';
  const label = back === null ? spoken(there) : `${spoken(there)}; ${spoken(back)}`;
  return element(
    'figure',
    { class: 'path', role: 'img', 'aria-label': label },
    element(
      'div',
      { class: 'track', 'aria-hidden': 'true' },
      ...lanes(there, 'there'),
      ...(back === null ? [] : lanes(back, 'back')),
    ),
    element(
      'ol',
      { 'aria-hidden': 'true' },
      station('phone', shown(from.name), told(from)),
      station('port', 'port', from.local ?? 'none'),
      station(
        relay,
        relay === 'nothing' ? 'relay' : places[relay],
        relay === 'nothing' ? places[relay] : 'relay',
        inRelay,
      ),
      station('port', 'port', to.local ?? 'none'),
      station('phone', shown(to.name), told(to)),
    ),
  );
}
