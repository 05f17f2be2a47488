/**
 * Lists that name every branch of a call. With each command one item comes or goes: the text of the others is that of
 * the last time.
 */

/** Shorter ones are written as lists of strings: that takes no longer. */
const longList = 16;

/** How many items at their ends two lists have in common: new ones come first, and most of a list is the same. */
export function sameAtEnd(before: readonly unknown[], now: readonly unknown[]): number {
  const least = Math.min(before.length, now.length);
  let same = 0;
  while (same < least && before[before.length - 1 - same] === now[now.length - 1 - same]) same += 1;
  return same;
}

/** A list by what its items are made of. */
export class ItemList {
  private constructor(
    readonly keys: readonly unknown[],
    /** null: the item is left out. */
    readonly textOf: (key: unknown) => string | null,
    /** Another number where the same key may have another text. */
    readonly version: number,
  ) {}

  /** @param textOf of a key, the same as long as `version` is. */
  static of<Key>(
    keys: readonly Key[],
    textOf: (key: Key) => string | null,
    version = 0,
  ): readonly string[] | ItemList {
    const list = new ItemList(keys, textOf as (key: unknown) => string | null, version);
    return keys.length < longList ? list.items : list;
  }

  get items(): readonly string[] {
    const items: string[] = [];
    for (const key of this.keys) {
      const text = this.textOf(key);
      if (text !== null) items.push(text);
    }
    return items;
  }
}

/** As `items`, of a list of either kind. */
export const itemsOf = (list: readonly string[] | ItemList): readonly string[] =>
  list instanceof ItemList ? list.items : list;

interface KnownList {
  readonly keys: readonly unknown[];
  readonly version: number;
  /** Of each item with what comes before it, characters. */
  readonly lengths: readonly number[];
  readonly body: string;
}

/** What was written last of the long lists of a call, by the names of their members. */
export class KnownLists {
  readonly #known = new Map<string, KnownList>();
  readonly #itemOf: (text: string) => string;

  /** @param itemOf how an item is written, with what comes before it. */
  constructor(itemOf: (text: string) => string) {
    this.#itemOf = itemOf;
  }

  /** The member is no long list any more. */
  forget(name: string): void {
    this.#known.delete(name);
  }

  /** All items, one behind the other, and whether they are those of the last time. */
  bodyOf(name: string, { keys, textOf, version }: ItemList): { body: string; isSame: boolean } {
    const known = this.#known.get(name);
    const before = known?.version === version ? known.keys : [];
    const end = sameAtEnd(before, keys);
    if (known !== undefined && end === keys.length && end === before.length)
      return { body: known.body, isSame: known.version === version };
    const most = Math.min(before.length, keys.length) - end;
    let start = 0;
    while (start < most && before[start] === keys[start]) start += 1;
    const lengths: number[] = [];
    let from = 0;
    let to = 0;
    for (let at = 0; at < start; at += 1) from += lengths[at] = known?.lengths[at] ?? 0;
    let body = known?.body.slice(0, from) ?? '';
    for (let at = start; at < keys.length - end; at += 1) {
      const text = textOf(keys[at]);
      const item = text === null ? '' : this.#itemOf(text);
      lengths.push(item.length);
      body += item;
    }
    for (let at = before.length - end; at < before.length; at += 1) {
      const length = known?.lengths[at] ?? 0;
      lengths.push(length);
      to += length;
    }
    if (known !== undefined && to > 0) body += known.body.slice(known.body.length - to);
    this.#known.set(name, { keys, version, lengths, body });
    return { body, isSame: false };
  }
}
