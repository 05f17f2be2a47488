/** Call-ids and names of participants for the live page: whatever their length off the wire, a row stays a row. */
import { createHash } from 'node:crypto';

/** Longer ones have a short form. */
const longest = 400;
const digestDigits = 16;

/** The beginning, and a digest that tells it from others which begin alike. */
export function shortName(text: string): string {
  if (text.length <= longest) return text;
  const digest = createHash('sha256').update(text, 'latin1').digest('hex').slice(0, digestDigits);
  let end = longest - digestDigits - 3;
  // Text off the wire has a character for each byte: not within one of UTF-8.
  for (let back = 0; back < 3 && /[\x80-\xbf]/.test(text[end] ?? ''); back += 1) end -= 1;
  return `${text.slice(0, end)}...${digest}`;
}

/** Whether it may be a short form. */
export const isShortName = (text: string): boolean =>
  text.length > longest - 4 && text.length <= longest && /\.\.\.[0-9a-f]{16}$/.test(text);
