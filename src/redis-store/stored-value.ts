/**
 * Bytes -> members of a stored call. Every string is taken apart into a decoded byte string; what has
 * an unexpected form is a RestoreError. Work and memory are linear in the length of the value.
 */
import { isUtf8 } from 'node:buffer';
import { RestoreError, type EntityKind, type RestoreReason } from './errors.js';
import { percentDecode } from './percent-encoding.js';
import { extraFields, type BencodeCodec, type Secrets, type StoredFormat } from './schema.js';
import { noKeysError } from './sealing.js';

/** Longer values are refused: a call with a hundred participants takes some 200 KiB. */
const maxValueBytes = 16 * 1024 * 1024;

const codeOfBrace = 0x7b;
const codeOfD = 0x64;

/** The members of a value by name, not looked at yet. */
export interface StoredValue {
  readonly format: StoredFormat;
  readonly members: ReadonlyMap<string, unknown>;
  /** Decodes one string. */
  readonly text: (stored: string) => string;
}

/** Whether a value could be meant as a call at all, readable or not; cheap. */
export function looksLikeCall(bytes: Buffer): boolean {
  if (bytes[0] === codeOfBrace) return bytes.includes('"json"');
  return bytes[0] === codeOfD && bytes.includes('4:json');
}

/** @throws RestoreError */
export function parseStoredValue(bytes: Buffer, bencode: BencodeCodec): StoredValue {
  if (bytes.length === 0) {
    throw new RestoreError('could not retrieve JSON data from redis', 'empty value');
  }
  if (bytes.length > maxValueBytes) throw new RestoreError('could not parse JSON data', 'too long');
  if (bytes[0] === codeOfBrace) return parseJson(bytes);
  if (bytes[0] === codeOfD) return parseBencode(bytes, bencode);
  throw new RestoreError('Unrecognised serial format', `first byte ${bytes[0] ?? 0}`);
}

/** An escape for a character beyond ASCII: then characters and bytes differ. */
const nonAsciiEscape = /\\u(?:00[89a-f]|0[1-9a-f]|[1-9a-f])/i;

const utf8ToBytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

function parseJson(bytes: Buffer): StoredValue {
  const byteText = bytes.toString('latin1');
  const asUtf8 = nonAsciiEscape.test(byteText) && isUtf8(bytes);
  let parsed: unknown;
  try {
    parsed = JSON.parse(asUtf8 ? bytes.toString('utf8') : byteText);
  } catch (cause) {
    throw new RestoreError('could not parse JSON data', 'no JSON', { cause });
  }
  const members = entriesOf(parsed);
  if (members === null) throw new RestoreError('could not parse JSON data', 'no object');
  return {
    format: formatOf(members),
    members,
    text: asUtf8 ? (stored) => percentDecode(utf8ToBytes(stored)) : percentDecode,
  };
}

function parseBencode(bytes: Buffer, bencode: BencodeCodec): StoredValue {
  let parsed: unknown;
  try {
    parsed = bencode.decode(bytes);
  } catch (cause) {
    throw new RestoreError('could not parse JSON data', 'no bencode', { cause });
  }
  const members = entriesOf(parsed);
  if (members === null) throw new RestoreError('could not parse JSON data', 'no dictionary');
  return { format: 'bencode', members, text: (stored) => stored };
}

/** In seconds until the year 33658, in microseconds since two weeks into 1970. */
const inSeconds = /^[0-9]{1,12}$/;

/**
 * 10.5 has other lists than all later ones. Of these, 12.5 has seconds where the current one has microseconds,
 * and no `maxptime`.
 */
function formatOf(members: ReadonlyMap<string, unknown>): StoredFormat {
  const call = entriesOf(members.get('json'));
  if (isOf105(members, call)) return 'JSON-10.5';
  if (entriesOf(members.get('media-0'))?.has('maxptime') === true) return 'JSON';
  return inSeconds.test(scalarText(call?.get('last_signal')) ?? '') ? 'JSON-12.5' : 'JSON';
}

/** A call without tags is told by its flags. */
function isOf105(
  members: ReadonlyMap<string, unknown>,
  call: ReadonlyMap<string, unknown> | null,
): boolean {
  if (members.has('associated_tags-0') || members.has('media-subscriptions-0')) return false;
  if (members.has('other_tags-0') || members.has('subscriptions-0')) return true;
  return call?.has('call_flags') !== true;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function entriesOf(value: unknown): ReadonlyMap<string, unknown> | null {
  if (value instanceof Map) return value;
  return isObject(value) ? new Map(Object.entries(value)) : null;
}

function scalarText(value: unknown): string | null {
  if (typeof value === 'string') return value;
  return typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : null;
}

/** An integer in decimal, -1 and the unsigned forms of it included; null for anything else. */
export function parseInteger(text: string): number | null {
  return /^-?[0-9]{1,20}$/.test(text) ? Number(text) : null;
}

const unsetIds: ReadonlySet<string> = new Set(['-1', '4294967295', '18446744073709551615']);

/** Bounds of a number; `missing` is what an absent or empty field stands for. */
export interface IntegerBounds {
  readonly min: number;
  readonly max: number;
  readonly missing?: number;
}

/** The fields of one entity. Reading a field takes it; what is left over is carried. */
export class FieldReader {
  readonly #fields: Map<string, string>;

  constructor(
    fields: Map<string, string>,
    /** For errors: the member. */
    readonly member: string,
    readonly reason: RestoreReason,
  ) {
    this.#fields = fields;
  }

  /** @throws RestoreError always. */
  fail(field: string): never {
    throw new RestoreError(this.reason, `${this.member}: ${field}`);
  }

  optional(name: string): string | null {
    const value = this.#fields.get(name);
    if (value === undefined) return null;
    this.#fields.delete(name);
    return value;
  }

  text(name: string, missing = ''): string {
    return this.optional(name) ?? missing;
  }

  integer(name: string, { min, max, missing }: IntegerBounds): number {
    const text = this.optional(name) ?? '';
    if (text === '' && missing !== undefined) return missing;
    const value = parseInteger(text);
    if (value === null || value < min || value > max) this.fail(name);
    return value;
  }

  boolean(name: string): boolean {
    return this.integer(name, { min: 0, max: 1, missing: 0 }) === 1;
  }

  oneOf<T extends string>(name: string, values: readonly T[], missing?: T): T {
    const text = this.optional(name);
    if (text === null && missing !== undefined) return missing;
    return values.find((value) => value === text) ?? this.fail(name);
  }

  /** Position of another entity, null when unset. */
  reference(name: string, count: number): number | null {
    const text = this.optional(name);
    if (text === null || unsetIds.has(text)) return null;
    const value = parseInteger(text);
    if (value === null || value < 0 || value >= count) this.fail(name);
    return value;
  }

  /** Everything that was not read. */
  rest(): Readonly<Record<string, string>> {
    return this.#fields.size === 0 ? nothingLeft : Object.fromEntries(this.#fields);
  }
}

/** Shared by the many entities of which everything was read. */
const nothing: readonly never[] = Object.freeze([]);
const nothingLeft: Readonly<Record<string, string>> = Object.freeze({});

/** Typed access to the members of a value. */
export class MemberReader {
  /** @param secrets null: encrypted fields are an error. */
  constructor(
    readonly value: StoredValue,
    private readonly callId: string,
    private readonly secrets: Secrets | null,
  ) {}

  has(name: string): boolean {
    return this.value.members.has(name);
  }

  #fieldsOf(value: unknown, fail: () => never): Map<string, string> {
    const fields = new Map<string, string>();
    const entries = value instanceof Map ? value : Object.entries(isObject(value) ? value : fail());
    for (const [name, stored] of entries) {
      const text = scalarText(stored);
      if (text === null) fail();
      // A name with this character is ours and never stored.
      if (!name.includes('@')) fields.set(name, this.value.text(text));
    }
    return fields;
  }

  /** Whether the member has a field of that name, whatever it holds. */
  hasField(member: string, field: string): boolean {
    return entriesOf(this.value.members.get(member))?.has(field) ?? false;
  }

  /** @throws RestoreError with `reason` when the member is missing or no object of scalars. */
  fields(member: string, reason: RestoreReason, create: RestoreReason): FieldReader {
    const fail = (): never => {
      throw new RestoreError(reason, member);
    };
    const fields = this.#fieldsOf(this.value.members.get(member), fail);
    this.#open(fields, member);
    return new FieldReader(fields, member, create);
  }

  /** Takes in what is encrypted. @throws RestoreError */
  #open(fields: Map<string, string>, member: string): void {
    const sealed = fields.get(extraFields.sealed);
    if (sealed === undefined) return;
    if (this.secrets === null) throw noKeysError(member);
    fields.delete(extraFields.sealed);
    for (const [name, stored] of this.secrets.opened(this.callId, member, sealed)) {
      if (!name.includes('@')) fields.set(name, this.value.text(stored));
    }
  }

  /** A list of strings. @throws RestoreError `'kind' incomplete`. */
  strings(member: string, kind: EntityKind, optional = false): readonly string[] {
    const stored = this.value.members.get(member);
    if (stored === undefined && optional) return [];
    if (!Array.isArray(stored)) throw new RestoreError(`'${kind}' incomplete`, member);
    if (stored.length === 0) return nothing;
    return stored.map((item) => {
      const text = scalarText(item);
      if (text === null) throw new RestoreError(`failed to link ${kind}`, member);
      return this.value.text(text);
    });
  }

  /** A list of positions below `count`, none of them twice; `-1` (a hole) is left out. */
  references(member: string, kind: EntityKind, count: number): readonly number[] {
    const items = this.strings(member, kind);
    if (items.length === 0) return nothing;
    const seen = new Set<number>();
    for (const item of items) {
      if (unsetIds.has(item)) continue;
      const value = parseInteger(item);
      if (value === null || value < 0 || value >= count || seen.has(value)) {
        throw new RestoreError(`failed to link ${kind}`, `${member}: ${item}`);
      }
      seen.add(value);
    }
    return [...seen];
  }

  /** A list of objects; a missing one is empty. */
  tables(member: string, kind: EntityKind): readonly Readonly<Record<string, string>>[] {
    const stored = this.value.members.get(member);
    if (stored === undefined) return [];
    const fail = (): never => {
      throw new RestoreError(`failed to create ${kind}`, member);
    };
    if (!Array.isArray(stored)) return fail();
    return stored.map((item) => Object.fromEntries(this.#fieldsOf(item, fail)));
  }
}
