/**
 * What of a long reply goes into a datagram: the proxy must hear that its command was done. Left out,
 * one after the other, and each only as far as needed:
 *
 * - `query`, `delete`: the MOS progressions; of the streams all but port, SSRC and counts, of the sources of
 *   a media all but SSRC and counts; the medias; the participants; the SSRCs. From the last one on. The
 *   creation and the totals stay.
 * - `list`: the last call-ids, as if the limit were smaller.
 * - `cli`: the last lines of the text.
 * - `statistics`: the least busy proxies, which are summed up as `others`; the last interfaces.
 *
 * The reply then says so in `warning`.
 */
import { isDictionary, type NgDictionary, type NgValue } from '../ng-protocol/dictionary.js';

/** Something that there are several of and that can be left out of a reply. */
interface Step {
  readonly what: string;
  /** How many there are. */
  readonly count: (reply: NgDictionary) => number;
  /** The reply with the first `kept` of them. */
  readonly keep: (reply: NgDictionary, kept: number) => NgDictionary;
}

const noDictionary: NgDictionary = new Map();

function dictionaryAt(dictionary: NgDictionary, key: string): NgDictionary {
  const value = dictionary.get(key);
  return isDictionary(value) ? value : noDictionary;
}

function listAt(dictionary: NgDictionary, key: string): readonly NgValue[] {
  const value = dictionary.get(key);
  return Array.isArray(value) ? value : [];
}

const changed = (dictionary: NgDictionary, key: string, value: NgValue): NgDictionary =>
  new Map(dictionary).set(key, value);

function without(dictionary: NgDictionary, key: string): NgDictionary {
  const copy = new Map(dictionary);
  copy.delete(key);
  return copy;
}

/** Changes the members of the dictionary at `key` behind the first `kept`. */
function changeMembers(
  reply: NgDictionary,
  key: string,
  kept: number,
  change: (member: NgDictionary) => NgDictionary,
): NgDictionary {
  const members = new Map<string, NgValue>();
  for (const [name, member] of dictionaryAt(reply, key)) {
    const shorter = members.size >= kept && isDictionary(member);
    members.set(name, shorter ? change(member) : member);
  }
  return changed(reply, key, members);
}

/** Leaves out the members of the dictionary at `key` behind the first `kept`. */
function dropMembers(reply: NgDictionary, key: string, kept: number): NgDictionary {
  return changed(reply, key, new Map([...dictionaryAt(reply, key)].slice(0, kept)));
}

/** Never empty: Kamailio 5.6 reads the first member of each stream unchecked. */
const streamKeys = ['local port', 'SSRC', 'stats'];

const sourceKeys = ['SSRC', 'bytes', 'packets'];

/** Each dictionary of the list with these keys only. */
const shortened = (list: readonly NgValue[], keys: readonly string[]): readonly NgValue[] =>
  list.map((entry) =>
    isDictionary(entry) ? new Map([...entry].filter(([key]) => keys.includes(key))) : entry,
  );

function withShortStreams(participant: NgDictionary): NgDictionary {
  const medias = listAt(participant, 'medias').map((media) => {
    if (!isDictionary(media)) return media;
    const short = new Map(media);
    for (const key of ['ingress SSRCs', 'egress SSRCs']) {
      if (short.has(key)) short.set(key, shortened(listAt(media, key), sourceKeys));
    }
    return short.set('streams', shortened(listAt(media, 'streams'), streamKeys));
  });
  return changed(participant, 'medias', medias);
}

const sizeAt =
  (key: string) =>
  (reply: NgDictionary): number =>
    dictionaryAt(reply, key).size;

const callSteps: readonly Step[] = [
  {
    what: 'MOS progressions',
    count: sizeAt('SSRC'),
    keep: (reply, kept) =>
      changeMembers(reply, 'SSRC', kept, (entry) => without(entry, 'MOS progression')),
  },
  {
    what: 'stream details',
    count: sizeAt('tags'),
    keep: (reply, kept) => changeMembers(reply, 'tags', kept, withShortStreams),
  },
  {
    what: 'medias',
    count: sizeAt('tags'),
    keep: (reply, kept) =>
      changeMembers(reply, 'tags', kept, (entry) => changed(entry, 'medias', [])),
  },
  {
    what: 'participants',
    count: sizeAt('tags'),
    keep: (reply, kept) => dropMembers(reply, 'tags', kept),
  },
  {
    what: 'SSRCs',
    count: sizeAt('SSRC'),
    keep: (reply, kept) => dropMembers(reply, 'SSRC', kept),
  },
];

const listSteps: readonly Step[] = [
  {
    what: 'call-ids',
    count: (reply) => listAt(reply, 'calls').length,
    keep: (reply, kept) => changed(reply, 'calls', listAt(reply, 'calls').slice(0, kept)),
  },
];

const linesOf = (reply: NgDictionary): readonly string[] => {
  const text = reply.get('response');
  return typeof text === 'string' ? text.split('\n') : [];
};

const textSteps: readonly Step[] = [
  {
    what: 'lines',
    count: (reply) => linesOf(reply).length,
    keep: (reply, kept) => changed(reply, 'response', linesOf(reply).slice(0, kept).join('\n')),
  },
];

const proxiesOf = (reply: NgDictionary): readonly NgValue[] =>
  listAt(dictionaryAt(dictionaryAt(reply, 'statistics'), 'controlstatistics'), 'proxies');

/** Commands that a proxy's entry counts. */
function commandsOf(entry: NgValue): number {
  let sum = 0;
  if (!isDictionary(entry)) return sum;
  for (const [key, value] of entry) if (key.endsWith('count')) sum += Number(value);
  return sum;
}

function sumOfProxies(entries: readonly NgValue[]): NgDictionary {
  const sums = new Map<string, NgValue>();
  for (const entry of entries) {
    if (!isDictionary(entry)) continue;
    for (const [key, value] of entry) {
      const sum = Number(sums.get(key) ?? 0) + Number(value);
      // Counts are numbers, durations are texts.
      sums.set(key, key === 'proxy' ? 'others' : typeof value === 'number' ? sum : sum.toFixed(6));
    }
  }
  return sums;
}

function keepProxies(reply: NgDictionary, kept: number): NgDictionary {
  const statistics = dictionaryAt(reply, 'statistics');
  const control = dictionaryAt(statistics, 'controlstatistics');
  const proxies = [...proxiesOf(reply)].sort((a, b) => commandsOf(b) - commandsOf(a));
  const shown = [...proxies.slice(0, kept), sumOfProxies(proxies.slice(kept))];
  return changed(
    reply,
    'statistics',
    changed(statistics, 'controlstatistics', changed(control, 'proxies', shown)),
  );
}

const statisticsSteps: readonly Step[] = [
  {
    what: 'proxies',
    count: (reply) => proxiesOf(reply).length,
    keep: keepProxies,
  },
  {
    what: 'interfaces',
    count: (reply) => listAt(dictionaryAt(reply, 'statistics'), 'interfaces').length,
    keep: (reply, kept) => {
      const statistics = dictionaryAt(reply, 'statistics');
      const interfaces = listAt(statistics, 'interfaces').slice(0, kept);
      return changed(reply, 'statistics', changed(statistics, 'interfaces', interfaces));
    },
  },
];

function stepsFor(reply: NgDictionary): readonly Step[] {
  if (reply.has('tags')) return callSteps;
  if (reply.has('calls')) return listSteps;
  if (reply.has('response')) return textSteps;
  return reply.has('statistics') ? statisticsSteps : [];
}

/** `result` stays the last key. */
function withWarning(reply: NgDictionary, leftOut: readonly string[]): NgDictionary {
  const warned = new Map(reply).set(
    'warning',
    `Reply too long for a datagram, left out: ${leftOut.join(', ')}`,
  );
  const result = warned.get('result');
  if (result === undefined) return warned;
  warned.delete('result');
  return warned.set('result', result);
}

/** Every so often the middle is tried: what is likely would be so where members are much longer than others. */
const middleEvery = 3;

/** How many of `all` fit. `excess`: bytes too many with so many kept; `room`: bytes left with none. */
function largestThatFits(all: number, excess: (kept: number) => number, room: number): number {
  let [most, left] = [0, room];
  let [tooMany, over] = [all, excess(all)];
  if (over <= 0) return all;
  for (let step = 1; tooMany - most > 1; step += 1) {
    // Members are of much the same length.
    const share = step % middleEvery === 0 ? 0.5 : left / (left + over);
    const likely = most + Math.floor((tooMany - most) * share);
    const kept = Math.min(Math.max(likely, most + 1), tooMany - 1);
    const more = excess(kept);
    if (more <= 0) [most, left] = [kept, -more];
    else [tooMany, over] = [kept, more];
  }
  return most;
}

/** A reply without `excess` (bytes too many), as much of it as is possible; null: there is none. */
export function shorterReply(
  reply: NgDictionary,
  excess: (reply: NgDictionary) => number,
): NgDictionary | null {
  const leftOut: string[] = [];
  let shorter = reply;
  for (const { what, count, keep } of stepsFor(reply)) {
    const all = count(shorter);
    if (all === 0) continue;
    leftOut.push(what);
    const before = shorter;
    const keeping = (kept: number): NgDictionary => withWarning(keep(before, kept), leftOut);
    shorter = keep(before, 0);
    const least = excess(keeping(0));
    if (least > 0) continue;
    return keeping(largestThatFits(all, (kept) => excess(keeping(kept)), -least));
  }
  return null;
}
