/**
 * Bencode as somebody else writes it: the npm package `bencode`, so that the tests do not read the
 * daemon's replies with the daemon's own codec. The package sorts the keys of what it encodes.
 *
 * It is used on replies of a daemon under test only: on hostile input it can run for ever.
 */
import * as bencode from 'bencode';

/** A value of an NG message. Strings are byte strings: one character per byte (latin1). */
export type NgValue = string | number | readonly NgValue[] | NgDictionary;

export interface NgDictionary {
  readonly [key: string]: NgValue;
}

interface BencodePackage {
  readonly encode: (value: unknown) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => unknown;
}

function isPackage(value: unknown): value is BencodePackage {
  return typeof value === 'object' && value !== null && 'encode' in value && 'decode' in value;
}

function packageOf(module: { readonly default: unknown }): BencodePackage {
  if (!isPackage(module.default)) throw new Error('the bencode package has changed its exports');
  return module.default;
}

const codec = packageOf(bencode);

function toBytes(value: NgValue): unknown {
  if (typeof value === 'string') return Buffer.from(value, 'latin1');
  if (typeof value === 'number') return value;
  if (Array.isArray(value)) return value.map(toBytes);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, toBytes(member)]));
}

function fromBytes(value: unknown): NgValue {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1');
  if (typeof value === 'number') return value;
  if (Array.isArray(value)) return value.map(fromBytes);
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(([key, member]) => [key, fromBytes(member)] as const);
    return Object.fromEntries(members);
  }
  throw new Error(`not a bencode value: ${String(value)}`);
}

/** Dictionary → bytes. */
export function encodeBencode(dictionary: NgDictionary): Buffer {
  return Buffer.from(codec.encode(toBytes(dictionary)));
}

/** Bytes → dictionary. Throws when the bytes hold anything else. */
export function decodeBencode(bytes: Uint8Array): NgDictionary {
  const value = fromBytes(codec.decode(bytes));
  if (!isDictionary(value)) throw new Error(`not a dictionary: ${String(value)}`);
  return value;
}

export function isDictionary(value: NgValue | undefined): value is NgDictionary {
  return typeof value === 'object' && !Array.isArray(value);
}

export function isList(value: NgValue | undefined): value is readonly NgValue[] {
  return Array.isArray(value);
}

/** The dictionary at `key`; empty when there is none. */
export function dictionaryAt(dictionary: NgDictionary, key: string): NgDictionary {
  const value = dictionary[key];
  return isDictionary(value) ? value : {};
}

/** The list at `key`; empty when there is none. */
export function listAt(dictionary: NgDictionary, key: string): readonly NgValue[] {
  const value = dictionary[key];
  return isList(value) ? value : [];
}
