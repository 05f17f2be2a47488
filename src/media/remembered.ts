/** Maps and sets that remember what came last. */

interface Entries<Key> {
  readonly size: number;
  keys(): Iterable<Key>;
  delete(key: Key): unknown;
}

/** Forgets those that were added first, until there are `most` at the most. */
export function forgetOldest<Key>(entries: Entries<Key>, most: number): void {
  for (const oldest of entries.keys()) {
    if (entries.size <= most) return;
    entries.delete(oldest);
  }
}
