/**
 * Text from the network, made harmless for terminals and log files: nothing in it can move a cursor,
 * change colours, forge a line or turn its direction round. Wire text is one character per byte
 * (latin1) and mostly UTF-8, so the bytes 0x80 to 0x9f are control characters in one place and parts
 * of letters in another.
 */

/** What has to be looked at more closely: C0, DEL, C1, line and direction marks. */
const suspicious = /[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]/;

/** Sequences that could be a letter in UTF-8 (RFC 3629 §3), then single characters to be escaped. */
const pieces =
  /[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** C1, line and paragraph separators, bidirectional marks, byte order mark. */
const harmful = /[\x80-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffd]/;

function isLetter(bytes: string): boolean {
  return !harmful.test(Buffer.from(bytes, 'latin1').toString('utf8'));
}

const named: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': ' ' };

function escaped(character: string): string {
  const code = character.charCodeAt(0);
  if (code > 0xff) return `\\u${code.toString(16).padStart(4, '0')}`;
  // Other bytes of a sequence that is no letter can stay: no terminal acts on them.
  if (code >= 0xa0 || (code > 0x1f && code < 0x7f)) return character;
  return named[character] ?? `\\x${code.toString(16).padStart(2, '0')}`;
}

function visible(piece: string): string {
  if (piece.length > 1 && isLetter(piece)) return piece;
  return [...piece].map(escaped).join('');
}

/** Could `text` do more than be read? Cheap, true too for some letters. */
export function needsEscapes(text: string): boolean {
  // Nearly every text is plain, and of a short one that is seen before an expression has begun.
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code > 0x7e) return suspicious.test(text);
  }
  return false;
}

/** `text` with control characters as `\n`, `\x1b`, `\u202e`; a tab becomes a blank. */
export function printable(text: string): string {
  return needsEscapes(text) ? text.replace(pieces, visible) : text;
}

/** The same without touching line ends and tabs: for texts of several lines that are ours. */
export function printableLines(text: string): string {
  if (!/[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]/.test(text)) return text;
  return text.replace(pieces, (piece) =>
    piece === '\n' || piece === '\t' ? piece : visible(piece),
  );
}

/** What `printable` wrote, as it was: `\x1b` → ESC. For names that an operator copies. */
export function unprintable(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(/\\(?:n|r|x([0-9a-f]{2}))/g, (all, hex: string | undefined) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    return all === '\\n' ? '\n' : '\r';
  });
}

const outsideJson =
  /[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|[\x7f-\xff\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** A JSON text of wire strings as valid UTF-8 without raw control characters: `\u009b`. */
export function printableJson(json: string): string {
  if (!/[^\x00-\x7e]/.test(json)) return json;
  return json.replace(outsideJson, (piece) => {
    if (piece.length > 1 && isLetter(piece)) return piece;
    return [...piece]
      .map((each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join('');
  });
}
