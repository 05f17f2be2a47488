/** NG dictionaries as 10.5 writes them into the log at level 7. */
import { isDictionary, type NgValue } from '../ng-protocol/dictionary.js';

/** `{ "command": "list" }`; an empty container has two spaces in it, as there. */
export function dumpText(value: NgValue): string {
  if (typeof value === 'string') return `"${value}"`;
  if (typeof value === 'number') return String(value);
  if (isDictionary(value)) {
    const members: string[] = [];
    for (const [key, member] of value as ReadonlyMap<string, NgValue>) {
      members.push(`"${key}": ${dumpText(member)}`);
    }
    return `{ ${members.join(', ')} }`;
  }
  return `[ ${(value as readonly NgValue[]).map(dumpText).join(', ')} ]`;
}

/** A dump without the keys of its a=crypto lines (RFC 4568 §9.1). */
export const withoutKeys = (dump: string): string =>
  dump.replace(/\binline:[A-Za-z0-9+/]+={0,2}/gi, 'inline:(hidden)');

/** The same of an NG message as it was on the wire, JSON with its escapes too: no length changes. */
export const messageWithoutKeys = (message: Buffer): Buffer =>
  Buffer.from(
    message
      .toString('latin1')
      .replace(
        /\binline:((?:[a-z0-9+/=]|\\\/|\\u00[2-7][0-9a-f])+)/gi,
        (text) => `inline:${'x'.repeat(text.length - 'inline:'.length)}`,
      ),
    'latin1',
  );
