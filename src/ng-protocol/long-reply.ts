/** Replies with long lists: 20,000 call-ids take 3 ms as bencode and 10 ms as JSON, for which nobody is to wait. */
import { encodeBencode, isList } from './bencode.js';
import type { NgDictionary, NgValue } from './dictionary.js';
import { encodeJson } from './json.js';
import type { NgEncoding } from './message.js';

/** Members of a list that are encoded in one go. */
const membersInOneGo = 512;

const isLong = (value: NgValue): value is readonly NgValue[] =>
  isList(value) && value.length > 2 * membersInOneGo;

/** Whether a reply is better encoded by `encodeLongReply`. */
export function isLongReply(reply: NgDictionary): boolean {
  for (const value of reply.values()) if (isLong(value)) return true;
  return false;
}

/** What surrounds the members of a dictionary and of a list, and what stands between them. */
interface Syntax {
  readonly encode: (value: NgValue) => Buffer;
  readonly dictionary: readonly [opens: string, afterKey: string, closes: string];
  readonly list: readonly [opens: string, closes: string];
  readonly between: string;
}

const syntaxes: Readonly<Record<NgEncoding, Syntax>> = {
  bencode: { encode: encodeBencode, dictionary: ['d', '', 'e'], list: ['l', 'e'], between: '' },
  json: { encode: encodeJson, dictionary: ['{', ':', '}'], list: ['[', ']'], between: ',' },
};

function* listPieces(list: readonly NgValue[], syntax: Syntax): Generator<string | Buffer> {
  const [opens, closes] = syntax.list;
  yield opens;
  for (let from = 0; from < list.length; from += membersInOneGo) {
    if (from > 0) yield syntax.between;
    // Without its own brackets.
    yield syntax.encode(list.slice(from, from + membersInOneGo)).subarray(1, -1);
  }
  yield closes;
}

function* pieces(reply: NgDictionary, syntax: Syntax): Generator<string | Buffer> {
  const [opens, afterKey, closes] = syntax.dictionary;
  yield opens;
  let between = '';
  for (const [key, value] of reply) {
    yield between;
    yield syntax.encode(key);
    yield afterKey;
    if (isLong(value)) yield* listPieces(value, syntax);
    else yield syntax.encode(value);
    between = syntax.between;
  }
  yield closes;
}

/**
 * The same bytes as those of `encodeReply`, in memory of their own; others have their turn between some hundred members of
 * a long list. Rejects as that throws.
 */
export async function encodeLongReply(
  cookie: string | null,
  reply: NgDictionary,
  encoding: NgEncoding,
): Promise<Buffer> {
  const parts: Buffer[] = [Buffer.from(cookie === null ? '' : `${cookie} `, 'latin1')];
  for (const piece of pieces(reply, syntaxes[encoding])) {
    if (typeof piece === 'string') {
      parts.push(Buffer.from(piece, 'latin1'));
      continue;
    }
    parts.push(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return Buffer.concat(parts);
}
