/** From the text of a value to its typed form, by the row of the option table. */
import type { OptionSpec, OptionValue } from './option-spec.js';

/** The value, or why the text is none. */
export type ParsedValue =
  | { readonly ok: true; readonly value: OptionValue }
  | { readonly ok: false; readonly reason: string };

/** Where the text stands; the two differ in the number bases they take, as glib's parsers do. */
export type ValueSource = 'command-line' | 'file';

const patterns = {
  'command-line': /^[+-]?(0[xX][0-9a-fA-F]+|[0-9]+)$/,
  file: /^[+-]?[0-9]+$/,
} as const;
const fraction = /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/;

/** `0x10` and `010` are 16 and 8 on the command line (strtol, base 0). */
function toInteger(text: string, source: ValueSource): number | null {
  if (!patterns[source].test(text)) return null;
  const negative = text.startsWith('-');
  const digits = text.replace(/^[+-]/, '');
  let magnitude: number;
  if (/^0[xX]/.test(digits)) magnitude = Number.parseInt(digits.slice(2), 16);
  else if (source === 'command-line' && /^0[0-9]/.test(digits)) {
    if (/[89]/.test(digits)) return null;
    magnitude = Number.parseInt(digits, 8);
  } else magnitude = Number.parseInt(digits, 10);
  if (!Number.isSafeInteger(magnitude)) return null;
  return negative && magnitude !== 0 ? -magnitude : magnitude;
}

function rangeError(option: OptionSpec, value: number): string | null {
  const { minimum, maximum, rangeError: known } = option;
  const more = known === null ? '' : `: ${known}`;
  if (minimum !== null && value < minimum) return `must not be less than ${minimum}${more}`;
  if (maximum !== null && value > maximum) return `must not be greater than ${maximum}${more}`;
  // 64 bits only where a rate is counted in bytes; everything else is a C int in rtpengine too.
  if (option.unit !== 'bytes/s' && Math.abs(value) > 0x7fffffff) return 'is out of range';
  return null;
}

function parseNumber(option: OptionSpec, text: string, source: ValueSource): ParsedValue {
  const trimmed = text.trim();
  let value: number | null;
  if (option.type === 'int') value = toInteger(trimmed, source);
  else value = fraction.test(trimmed) ? Number(trimmed) : null;
  if (value === null || !Number.isFinite(value)) {
    const kind = option.type === 'int' ? 'a whole number' : 'a number';
    return { ok: false, reason: `is not ${kind}` };
  }
  const reason = rangeError(option, value);
  return reason === null ? { ok: true, value } : { ok: false, reason };
}

/** Parses one value (one item of a list). Flags take true/false, yes/no, 1/0. */
export function parseValue(option: OptionSpec, text: string, source: ValueSource): ParsedValue {
  switch (option.type) {
    case 'int':
    case 'float':
      return parseNumber(option, text, source);
    case 'flag': {
      const word = text.trim().toLowerCase();
      if (word === 'true' || word === 'yes' || word === '1') return { ok: true, value: true };
      if (word === 'false' || word === 'no' || word === '0') return { ok: true, value: false };
      return { ok: false, reason: 'is neither true nor false' };
    }
    case 'string': {
      if (option.choices === null) return { ok: true, value: text };
      const word = text.trim().toLowerCase();
      const choice = option.choices.find((each) => each.toLowerCase() === word);
      if (choice !== undefined) return { ok: true, value: choice };
      return { ok: false, reason: `is none of ${option.choices.join(', ')}` };
    }
  }
}
