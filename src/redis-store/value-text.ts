/** How members of a value are written as text, each character a byte: as JSON, as bencode. */
import { Fields } from './fields.js';
import type { Member } from './schema.js';

export interface ValueText {
  /** Between members, and before the first one. */
  readonly separator: '' | ',';
  readonly opening: '{' | 'd';
  readonly closing: '}' | 'e';
  readonly key: (name: string) => string;
  readonly value: (value: Member) => string;
  /** An item of a list, with what comes before it. */
  readonly item: (text: string) => string;
  /** The list of such items. */
  readonly list: (items: string) => string;
  /** How room for so many bytes begins behind the members of a value; whatever bytes the rest of it has says nothing. */
  readonly room: (bytes: number) => string;
}

/** Less room is of no use. */
export const leastRoom = 64;

/** A member that nobody looks for. */
const roomNames = ['rtprelay_room', 'rtprelay_room_'];

/** A string that takes so many bytes with its name: one or the other name makes its length come out. */
function bencodeOfRoom(bytes: number): string {
  for (const name of roomNames) {
    const left = bytes - bencodeOfText(name).length - 1;
    for (let digits = 1; digits < left; digits += 1) {
      const length = String(left - digits);
      if (length.length === digits) return `${bencodeOfText(name)}${length}:`;
    }
  }
  throw new RangeError(`no room of ${bytes} bytes`);
}

/** What JSON writes otherwise (RFC 8259 §7). */
const escaped = /["\\\x00-\x1f]/;
/** As JSON.stringify writes it. */
const quoted = (text: string): string => (escaped.test(text) ? JSON.stringify(text) : `"${text}"`);

const isTexts = (list: readonly string[] | readonly Fields[]): list is readonly string[] =>
  typeof list[0] === 'string';

function jsonOfFields({ names, values }: Fields): string {
  let text = '{';
  for (let at = 0; at < names.length; at += 1)
    text += `${at === 0 ? '' : ','}${quoted(names[at] ?? '')}:${quoted(values[at] ?? '')}`;
  return `${text}}`;
}

function jsonOf(value: Member): string {
  if (value instanceof Fields) return jsonOfFields(value);
  return isTexts(value) ? JSON.stringify(value) : `[${value.map(jsonOfFields).join(',')}]`;
}

const bencodeOfText = (text: string): string => `${text.length}:${text}`;

function bencodeOfFields({ names, values }: Fields): string {
  let text = 'd';
  for (let at = 0; at < names.length; at += 1)
    text += bencodeOfText(names[at] ?? '') + bencodeOfText(values[at] ?? '');
  return `${text}e`;
}

function bencodeOf(value: Member): string {
  if (value instanceof Fields) return bencodeOfFields(value);
  let text = 'l';
  for (const item of value)
    text += typeof item === 'string' ? bencodeOfText(item) : bencodeOfFields(item);
  return `${text}e`;
}

export const jsonText: ValueText = {
  ...{ separator: ',', opening: '{', closing: '}' },
  key: (name) => `"${name}":`,
  value: jsonOf,
  item: (text) => `,${quoted(text)}`,
  list: (items) => `[${items.slice(1)}]`,
  room: () => '',
};

export const bencodeText: ValueText = {
  ...{ separator: '', opening: 'd', closing: 'e' },
  key: bencodeOfText,
  value: bencodeOf,
  item: bencodeOfText,
  list: (items) => `l${items}e`,
  room: bencodeOfRoom,
};
