/** Reads what a viewer asks for. It comes off the wire: whatever it is, the result is a wish or null. */
import type { Condition, Filter, SortKey, Wish } from './protocol.js';

/** Longest message of a viewer, bytes. */
const maxWishBytes = 8192;
const maxRows = 100;
const longestText = 1024;

const sorts: readonly SortKey[] = ['trouble', 'id', 'age', 'rate', 'loss', 'jitter', 'mos'];
const conditions: readonly Condition[] = [
  ...(['one-way', 'silent', 'poor', 'hold', 'ringing', 'ok', 'standby'] as const),
];
const filters: readonly Filter[] = ['all', 'trouble', ...conditions];

/** What a viewer sees that has said nothing yet. */
export const firstWish: Wish = {
  ...{ sort: 'trouble', descending: true, search: '', filter: 'all', from: 0, count: 20 },
  call: null,
};

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 1e9;
const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= longestText;

/** null: it is none. */
export function parseWish(text: string): Wish | null {
  if (text.length > maxWishBytes) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const member = (name: keyof Wish): unknown => Reflect.get(value, name);
  const sort = sorts.find((each) => each === member('sort'));
  const filter = filters.find((each) => each === member('filter'));
  const [descending, search, from] = [member('descending'), member('search'), member('from')];
  const [count, call] = [member('count'), member('call')];
  if (sort === undefined || filter === undefined || typeof descending !== 'boolean') return null;
  if (!isText(search) || !isCount(from) || !isCount(count)) return null;
  if (call !== null && !isText(call)) return null;
  return { sort, filter, descending, search, from, count: Math.min(count, maxRows), call };
}
