/** `COOKIE SP DICT` (ng-protocol.md §1.1) and the errors of the framing (§2). */
import { decodeBencode, encodeBencodeShared } from './bencode.js';
import { isDictionary, type NgDictionary, type NgValue } from './dictionary.js';
import { BencodeError, NgError } from './errors.js';
import { decodeJson, encodeJson } from './json.js';

/** How a body is written; a reply uses the encoding of its request. */
export type NgEncoding = 'bencode' | 'json';

/** A message taken apart, its body not yet read. */
export interface NgMessage {
  /** Byte string. */
  readonly cookie: string;
  readonly body: Buffer;
}

const codeOfSpace = 0x20;
const codeOfBrace = 0x7b;
const codeOfD = 0x64;

/** Splits at the first space; null: there is no cookie, such a message is not answered. */
export function splitMessage(datagram: Buffer): NgMessage | null {
  const space = datagram.indexOf(codeOfSpace);
  if (space <= 0) return null;
  return { cookie: datagram.toString('latin1', 0, space), body: datagram.subarray(space + 1) };
}

/** By the first byte: `{` is JSON, anything else bencode (10.5 seen). */
export function encodingOf(body: Buffer): NgEncoding {
  return body[0] === codeOfBrace ? 'json' : 'bencode';
}

function decodeBencodeBody(body: Buffer): NgDictionary {
  let value: NgValue;
  try {
    value = decodeBencode(body, { lenient: true });
  } catch (cause) {
    if (!(cause instanceof BencodeError)) throw cause;
    throw new NgError('bad-bencode', 'Could not decode bencode dictionary', { cause });
  }
  if (!isDictionary(value)) throw new NgError('bad-format', 'Invalid NG data format');
  return value;
}

/**
 * Reads a body.
 * @throws NgError with the texts of §2.
 */
export function decodeBody(body: Buffer): NgDictionary {
  const first = body[0];
  if (first === undefined) throw new NgError('no-payload', 'Invalid data (no payload)');
  if (first === codeOfBrace) return decodeJson(body);
  if (first !== codeOfD) throw new NgError('bad-format', 'Invalid NG data format');
  return decodeBencodeBody(body);
}

/** The bytes of a reply, valid until the next one is written; `cookie` null: without one (`/ng-plain`). */
export function encodeReply(
  cookie: string | null,
  reply: NgDictionary,
  encoding: NgEncoding,
): Buffer {
  const prefix = cookie === null ? '' : `${cookie} `;
  return encoding === 'json' ? encodeJson(reply, prefix) : encodeBencodeShared(reply, prefix);
}
