/** Fields of an entity by name, in the order in which they are written. */
export type FieldRecord = Readonly<Record<string, string>>;

/**
 * Fields that are being written. Two lists: an object with as many members as these is a hash table to V8, to be filled,
 * sorted and searched for each entity of each call, which took longer than the writing.
 */
export class Fields {
  readonly names: string[] = [];
  readonly values: string[] = [];

  static of(record: FieldRecord): Fields {
    const fields = new Fields();
    for (const name in record) fields.put(name, record[name] ?? '');
    return fields;
  }

  /** Each name once. */
  put(name: string, value: string): void {
    this.names.push(name);
    this.values.push(value);
  }

  has(name: string): boolean {
    return this.names.includes(name);
  }

  get entries(): (readonly [name: string, value: string])[] {
    return this.names.map((name, at) => [name, this.values[at] ?? ''] as const);
  }
}
