/**
 * The values an NG message is made of (ng-protocol.md §1.1). Strings are byte strings (latin1);
 * a Map keeps the order of the keys.
 */
export type NgValue = string | number | readonly NgValue[] | NgDictionary;
export type NgDictionary = ReadonlyMap<string, NgValue>;

/**
 * A dictionary that is made to be written out once, as most of a reply is: a map hashes its keys and grows several times
 * for that. Nobody adds a key twice.
 */
export class Members implements NgDictionary {
  readonly names: string[] = [];
  readonly list: NgValue[] = [];

  add(name: string, value: NgValue): this {
    this.names.push(name);
    this.list.push(value);
    return this;
  }

  get size(): number {
    return this.names.length;
  }

  get(name: string): NgValue | undefined {
    const at = this.names.indexOf(name);
    return at < 0 ? undefined : this.list[at];
  }

  has(name: string): boolean {
    return this.names.includes(name);
  }

  forEach(visit: (value: NgValue, name: string, members: NgDictionary) => void): void {
    this.#map().forEach((value, name) => {
      visit(value, name, this);
    });
  }

  entries(): MapIterator<[string, NgValue]> {
    return this.#map().entries();
  }

  keys(): MapIterator<string> {
    return this.#map().keys();
  }

  values(): MapIterator<NgValue> {
    return this.#map().values();
  }

  [Symbol.iterator](): MapIterator<[string, NgValue]> {
    return this.entries();
  }

  #map(): Map<string, NgValue> {
    const map = new Map<string, NgValue>();
    for (const [at, name] of this.names.entries()) map.set(name, this.list[at] ?? '');
    return map;
  }
}

/** Whether `value` is a dictionary. */
export function isDictionary(value: unknown): value is NgDictionary {
  return value instanceof Map || value instanceof Members;
}
