/** Reading dictionary values in the types that commands want; a wrong type reads as absent (§1.1). */
import { isList } from './bencode.js';
import type { NgValue } from './dictionary.js';

/** Words that switch a feature off. */
export const offWords: ReadonlySet<string> = new Set([
  ...['off', 'no', 'none', 'disable', 'disabled', 'reject'],
]);

const decimal = /^[-+]?\d{1,15}$/;

/** A string, or null. */
export function stringOf(value: NgValue | undefined): string | null {
  return typeof value === 'string' ? value : null;
}

/** An integer or a decimal string, or null. */
export function integerOf(value: NgValue | undefined): number | null {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : null;
  return typeof value === 'string' && decimal.test(value) ? Number(value) : null;
}

/** The strings of a list, or of a comma-separated string (26.3); other members are left out. */
export function wordsOf(value: NgValue): readonly string[] {
  if (typeof value === 'string') {
    return value.includes(',') ? value.split(',').filter((word) => word !== '') : [value];
  }
  if (!isList(value)) return [];
  return value.filter((member) => typeof member === 'string');
}

/** A value in the words of a log line, shortened. */
export function describeValue(value: NgValue): string {
  if (typeof value === 'string' || typeof value === 'number') return String(value).slice(0, 80);
  const words = wordsOf(value);
  return words.length > 0 ? words.join(',').slice(0, 80) : '...';
}
