/** The GKeyFile dialect of rtpengine.conf (options.md §1). */
import { ConfigError } from './errors.js';

/** A `key = value` line. The value is as written, without surrounding white space. */
export interface IniEntry {
  readonly value: string;
  /** From 1. */
  readonly line: number;
}

/** Entries by key, by section; of repeated keys the last. */
export type IniFile = ReadonlyMap<string, ReadonlyMap<string, IniEntry>>;

function bad(file: string, line: number, message: string): never {
  throw new ConfigError('config-file', 'config-file', `${file}, line ${line}: ${message}`);
}

function sectionName(file: string, line: number, text: string): string {
  const end = text.indexOf(']');
  if (end < 0 || text.slice(end + 1).trim() !== '') bad(file, line, `bad section header '${text}'`);
  const name = text.slice(1, end);
  if (name === '' || /[[\]]/.test(name)) bad(file, line, `bad section name '${name}'`);
  return name;
}

/**
 * Reads a file: `[section]` lines, `key = value` lines, empty lines, and comments that start with
 * `#`. Neither `;` nor a `#` inside a value starts a comment. A section may occur several times.
 *
 * @param file name for error messages.
 * @throws ConfigError naming file and line.
 */
export function parseIniFile(text: string, file: string): IniFile {
  const sections = new Map<string, Map<string, IniEntry>>();
  let current: Map<string, IniEntry> | null = null;
  const lines = text.replace(/^\uFEFF/, '').split('\n');
  for (const [index, raw] of lines.entries()) {
    const line = index + 1;
    const trimmed = raw.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    if (trimmed.startsWith('[')) {
      const name = sectionName(file, line, trimmed);
      current = sections.get(name) ?? new Map<string, IniEntry>();
      sections.set(name, current);
      continue;
    }
    const equals = trimmed.indexOf('=');
    const key = trimmed.slice(0, Math.max(equals, 0)).trimEnd();
    if (equals < 0) bad(file, line, `'${trimmed}' is neither a section nor key = value`);
    if (key === '') bad(file, line, "no key in front of '='");
    if (current === null) bad(file, line, `'${key}' stands before the first [section]`);
    current.set(key, { value: trimmed.slice(equals + 1).trimStart(), line });
  }
  return sections;
}

const escapes: Readonly<Record<string, string>> = {
  s: ' ',
  n: '\n',
  t: '\t',
  r: '\r',
  '\\': '\\',
};

/** The text of a value with `\s`, `\n`, `\t`, `\r` and `\\` replaced; null: a bad escape. */
export function unescapeValue(value: string): string | null {
  if (!value.includes('\\')) return value;
  let valid = true;
  const text = value.replace(/\\(.?)/gs, (_all, letter: string) => {
    const character = escapes[letter];
    if (character === undefined) valid = false;
    return character ?? '';
  });
  return valid ? text : null;
}

/** The items of a list value: separated by `;`, `\;` is data, one `;` at the end is nothing. */
export function splitList(value: string): readonly string[] {
  const items: string[] = [];
  let item = '';
  for (let index = 0; index < value.length; index++) {
    const character = value.charAt(index);
    if (character === '\\' && index + 1 < value.length) {
      index++;
      const escaped = value.charAt(index);
      item += escaped === ';' ? ';' : `\\${escaped}`;
    } else if (character === ';') {
      items.push(item);
      item = '';
    } else item += character;
  }
  if (item.trim() !== '' || items.length === 0) items.push(item);
  return items.map((entry) => entry.trim());
}
