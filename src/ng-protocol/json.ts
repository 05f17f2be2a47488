/**
 * JSON requests and replies (ng-protocol.md §1.1). JSON text is UTF-8; inside the daemon strings
 * are byte strings, so `ü` is two characters there.
 */
import { isUtf8 } from 'node:buffer';
import { isDictionary, type NgDictionary, type NgValue } from './dictionary.js';
import { NgError } from './errors.js';

/** Containers within containers. */
const maxJsonDepth = 64;

const escapes = /\\(?:u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|u([0-9a-f]{4})|.)/gis;

function utf8Bytes(high: string, low: string): string {
  const text = String.fromCharCode(Number.parseInt(high, 16), Number.parseInt(low, 16));
  return Buffer.from(text, 'utf8').toString('latin1');
}

/**
 * Writes `\uXXXX` escapes of characters beyond ASCII as their UTF-8 bytes, so that the parser,
 * which is given latin1 text, yields byte strings for them too.
 */
function expandEscapes(text: string): string {
  return text.replace(
    escapes,
    (all: string, high?: string, low?: string, unit?: string): string => {
      if (high !== undefined && low !== undefined) return utf8Bytes(high, low);
      if (unit === undefined || Number.parseInt(unit, 16) < 0x80) return all;
      return Buffer.from(String.fromCharCode(Number.parseInt(unit, 16)), 'utf8').toString('latin1');
    },
  );
}

/** The value, or undefined for `null`, which counts as absent. */
function fromJson(value: unknown, depth: number): NgValue | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return Math.trunc(value);
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value !== 'object' || value === null) return undefined;
  if (depth >= maxJsonDepth) throw new NgError('bad-json', 'Failed to parse JSON document');
  if (Array.isArray(value)) {
    const list: NgValue[] = [];
    for (const member of value as readonly unknown[]) {
      const converted = fromJson(member, depth + 1);
      if (converted !== undefined) list.push(converted);
    }
    return list;
  }
  const dictionary = new Map<string, NgValue>();
  for (const [key, member] of Object.entries(value)) {
    const converted = fromJson(member, depth + 1);
    if (converted !== undefined) dictionary.set(key, converted);
  }
  return dictionary;
}

/**
 * Reads a JSON object. Booleans become 0 and 1, fractions are cut off, `null` is left out, the
 * last of several equal keys counts (10.5 seen).
 * @throws NgError with the reply text of §2.
 */
export function decodeJson(bytes: Buffer): NgDictionary {
  const text = bytes.toString('latin1');
  let parsed: unknown;
  try {
    parsed = JSON.parse(text.includes('\\u') ? expandEscapes(text) : text);
  } catch (cause) {
    throw new NgError('bad-json', 'Failed to parse JSON document', { cause });
  }
  const value = fromJson(parsed, 0);
  if (!isDictionary(value)) {
    throw new NgError('not-a-json-object', 'Could not decode JSON dictionary');
  }
  return value;
}

function textOf(value: NgValue): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : '0';
  if (isDictionary(value)) {
    const members: string[] = [];
    for (const [key, member] of value) members.push(`${JSON.stringify(key)}:${textOf(member)}`);
    return `{${members.join(',')}}`;
  }
  return `[${value.map(textOf).join(',')}]`;
}

/**
 * The JSON of `value` with `prefix` before it, as bytes, in the order of the dictionaries. Bytes
 * that are not UTF-8 are replaced by U+FFFD, so that the document stays readable.
 */
export function encodeJson(value: NgValue, prefix = ''): Buffer {
  // Byte strings written as latin1 are the UTF-8 they came from.
  const body = Buffer.from(textOf(value), 'latin1');
  const document = isUtf8(body) ? body : Buffer.from(body.toString('utf8'), 'utf8');
  return prefix === '' ? document : Buffer.concat([Buffer.from(prefix, 'latin1'), document]);
}
