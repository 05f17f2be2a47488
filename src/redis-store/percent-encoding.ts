/** The encoding of strings in stored JSON (redis-layout.md §6). Strings are byte strings. */
import { isUtf8 } from 'node:buffer';

const notLiteral = /[^ !#$&(-[\]-~]/;
const notLiteralAll = /[^ !#$&(-[\]-~]/g;
const escapeSequence = /%([0-9a-fA-F]{2})/g;

const hexOf: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => `%${byte.toString(16).padStart(2, '0')}`,
);

const escapeByte = (character: string): string => hexOf[character.charCodeAt(0) & 0xff] ?? '';

const byteOf = (_: string, hex: string): string => String.fromCharCode(Number.parseInt(hex, 16));

/** Bytes below 0x20, above 0x7e and `% \ ' "` become `%xx` with lower-case digits. */
export function percentEncode(text: string): string {
  return notLiteral.test(text) ? text.replace(notLiteralAll, escapeByte) : text;
}

/** The inverse; a `%` without two hexadecimal digits stands for itself. */
export function percentDecode(text: string): string {
  return text.includes('%') ? text.replace(escapeSequence, byteOf) : text;
}

/**
 * Plain strings of the current JSON form. They are stored as they are, yet every reader decodes
 * them: so `%` has to be encoded, and so has everything that JSON cannot carry (no UTF-8).
 */
export function encodePlain(text: string): string {
  const encoded = text.includes('%') ? text.replaceAll('%', '%25') : text;
  if (!notLiteral.test(encoded)) return encoded;
  return isUtf8(Buffer.from(text, 'latin1')) ? encoded : percentEncode(text);
}
