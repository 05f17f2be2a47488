/**
 * SDP text -> document (RFC 8866 §5, §9). Tolerant where rtpengine is, strict where it is
 * (sdp-rules.md §11). One pass, linear.
 */
import { canonicalAddress } from './address.js';
import {
  SdpError,
  type SdpAttribute,
  type SdpConnection,
  type SdpDocument,
  type SdpLine,
  type SdpOrigin,
  type SdpSession,
} from './types.js';

/** As many as the datagram of a reply can carry; rtpengine 10.5 takes 700 (seen). */
export const maxMedias = 800;
const maxLines = 10_000;
/** Twice the payload types there are; offered and answered formats are compared with each other. */
const maxFormats = 256;

const sessionTypes = 'osiuepcbtrzka';
const mediaTypes = 'icbka';
/** Lines of the session that some endpoints write behind their sections. */
const lateSessionTypes = 'ueptrz';

interface OpenMedia {
  readonly type: string;
  readonly port: number;
  readonly portCount: number;
  readonly protocol: string;
  readonly formats: readonly string[];
  connection: SdpConnection | null;
  readonly attributes: SdpAttribute[];
  readonly lines: SdpLine[];
}

interface OpenSession {
  origin: SdpOrigin | null;
  name: string;
  connection: SdpConnection | null;
  readonly attributes: SdpAttribute[];
  readonly lines: SdpLine[];
  readonly medias: OpenMedia[];
  /** The lines so far, as soon as one stands behind a section. */
  known: Set<string> | null;
}

/** Length of the line ends that some message bodies begin with. */
function emptyLinesBefore(text: string): number {
  let at = 0;
  while (text.charCodeAt(at) === 13 || text.charCodeAt(at) === 10) at++;
  return at;
}

/**
 * Parses a body. Text after an empty line is dropped, and so is a single byte at its very end; empty lines
 * at its beginning do no harm.
 * @throws SdpError 'syntax' or 'too-many-medias' with the offset of the line.
 */
export function parseSdp(text: string): SdpDocument {
  const sessions: OpenSession[] = [];
  let offset = emptyLinesBefore(text);
  let lineCount = 0;
  while (offset < text.length) {
    const newline = text.indexOf('\n', offset);
    const end = newline < 0 ? text.length : newline;
    const stop = end > offset && text.charCodeAt(end - 1) === 13 ? end - 1 : end;
    if (stop === offset || (newline < 0 && stop === offset + 1)) break;
    if (++lineCount > maxLines) throw new SdpError('syntax', 'too many lines', offset);
    if (text.charCodeAt(offset + 1) !== 61) {
      throw new SdpError('syntax', "line without '='", offset);
    }
    const type = text.charAt(offset);
    const value = text.slice(offset + 2, stop);
    if (type === 'v') {
      if (value !== '0') throw new SdpError('syntax', 'v= is not 0', offset);
      sessions.push(openSession());
    } else {
      const session = sessions[sessions.length - 1];
      if (session === undefined)
        throw new SdpError('syntax', 'the body must begin with v=0', offset);
      addLine(session, type, value, offset);
    }
    offset = end + 1;
  }
  if (sessions.length === 0) throw new SdpError('syntax', 'no v= line', 0);
  return { sessions: sessions.map(closeSession) };
}

/** V8 copies substrings below this length; longer ones point into the text they were cut from. */
const shortestSlice = 13;

/**
 * `text` without a tie to the body it was cut from, for values that a call keeps: one slice of it
 * would else hold the whole body in memory for as long as the call lasts.
 */
export function detached(text: string): string {
  return text.length < shortestSlice ? text : Buffer.from(text, 'latin1').toString('latin1');
}

function openSession(): OpenSession {
  return {
    origin: null,
    name: '-',
    connection: null,
    attributes: [],
    lines: [],
    medias: [],
    known: null,
  };
}

/** Of a body without o=, which rtpengine takes as well. */
const noOrigin: SdpOrigin = {
  username: '-',
  sessionId: '0',
  version: '0',
  networkType: 'IN',
  addressType: 'IP4',
  address: '0.0.0.0',
};

function closeSession(session: OpenSession): SdpSession {
  const { origin, name, connection, attributes, lines, medias } = session;
  return { origin: origin ?? noOrigin, name, connection, attributes, lines, medias };
}

function addLine(session: OpenSession, type: string, value: string, offset: number): void {
  if (type === 'm') {
    const medias = session.medias;
    if (medias.length >= maxMedias) {
      throw new SdpError(
        'too-many-medias',
        `Too many media sections, at most ${maxMedias}`,
        offset,
      );
    }
    medias.push(parseMedia(value, offset));
    return;
  }
  const media = session.medias[session.medias.length - 1];
  if (media !== undefined && lateSessionTypes.includes(type)) {
    addLateLine(session, type, value);
    return;
  }
  if (!(media === undefined ? sessionTypes : mediaTypes).includes(type)) {
    throw new SdpError('syntax', `unexpected line type '${type}'`, offset);
  }
  const target = media ?? session;
  target.lines.push({ type, value: type === 't' ? detached(value) : value });
  if (type === 'a') target.attributes.push(parseAttribute(value));
  else if (type === 'c') {
    if (target.connection !== null) throw new SdpError('syntax', 'more than one c= line', offset);
    target.connection = parseConnection(value, offset);
  } else if (type === 'o') {
    if (session.origin !== null) throw new SdpError('syntax', 'more than one o= line', offset);
    session.origin = parseOrigin(value, offset);
  }
  if (type === 's') session.name = detached(value);
}

/** Takes a line of the session that stands behind an m= line, unless it only repeats one. */
function addLateLine(session: OpenSession, type: string, value: string): void {
  session.known ??= new Set(session.lines.map((line) => line.type + line.value));
  if (session.known.has(type + value)) return;
  session.known.add(type + value);
  session.lines.push({ type, value: detached(value) });
}

function parseAttribute(value: string): SdpAttribute {
  const colon = value.indexOf(':');
  return colon < 0
    ? { name: value, value: null }
    : { name: value.slice(0, colon), value: value.slice(colon + 1) };
}

/** The number that `text` begins with, as strtoul(3) reads it: what follows it is ignored; else -1. */
export function leadingNumber(text: string): number {
  let at = 0;
  while (text.charCodeAt(at) === 32 || text.charCodeAt(at) === 9) at++;
  if (text.charCodeAt(at) === 43) at++;
  const start = at;
  let number = 0;
  for (; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) break;
    number = number * 10 + digit;
  }
  return at === start ? -1 : number;
}

/** What blanks separate. */
function tokensOf(value: string): string[] {
  const tokens: string[] = [];
  let start = 0;
  while (start < value.length) {
    const blank = value.indexOf(' ', start);
    const end = blank < 0 ? value.length : blank;
    if (end > start) tokens.push(value.slice(start, end));
    start = end + 1;
  }
  return tokens;
}

/** Names of protocols as they are written; they compare without case (RFC 8866 §5.14): by their capitals, and by themselves. */
const protocolNames: ReadonlyMap<string, string> = new Map(
  [
    ...['RTP/AVP', 'RTP/SAVP', 'RTP/AVPF', 'RTP/SAVPF', 'udptl'],
    ...['UDP/TLS/RTP/SAVP', 'UDP/TLS/RTP/SAVPF'],
  ].flatMap((name): [string, string][] => [
    [name, name],
    [name.toUpperCase(), name],
  ]),
);

/** What separates the words before the formats may be tabs (10.5 reads the port before one, and loses the protocol). */
function mediaWords(value: string): readonly string[] {
  const words = tokensOf(value);
  if (!value.includes('\t')) return words;
  const isTabbed = words.slice(0, 3).some((word) => word.includes('\t'));
  return isTabbed ? tokensOf(value.replaceAll('\t', ' ')) : words;
}

function parseMedia(value: string, offset: number): OpenMedia {
  const [type, ports, protocol, ...formats] = mediaWords(value);
  if (type === undefined || ports === undefined || protocol === undefined) {
    throw new SdpError('syntax', 'malformed m= line', offset);
  }
  if (formats.length > maxFormats) {
    throw new SdpError('syntax', 'too many formats in m= line', offset);
  }
  const slash = ports.indexOf('/');
  const port = leadingNumber(ports);
  const portCount = slash < 0 ? 1 : leadingNumber(ports.slice(slash + 1));
  if (port < 0 || portCount < 0) {
    throw new SdpError('syntax', 'malformed port in m= line', offset);
  }
  if (port > 65_535 || portCount < 1 || portCount > 32) {
    throw new SdpError('syntax', 'port out of range in m= line', offset);
  }
  return {
    type: detached(type),
    port,
    portCount,
    protocol:
      protocolNames.get(protocol) ??
      protocolNames.get(protocol.toUpperCase()) ??
      detached(protocol),
    formats: formats.map(detached),
    connection: null,
    attributes: [],
    lines: [],
  };
}

function parseConnection(value: string, offset: number): SdpConnection {
  const [network, family, text] = tokensOf(value);
  const isInternet = network?.toUpperCase() === 'IN';
  if (!isInternet || text === undefined || (family !== 'IP4' && family !== 'IP6')) {
    throw new SdpError('syntax', 'malformed c= line', offset);
  }
  // Multicast, and with it a TTL (RFC 8866 §5.7), is nothing a call can be relayed to.
  const connection = readAddress(family, text);
  if (connection === null) {
    throw new SdpError('syntax', 'malformed address in c= line', offset);
  }
  return connection;
}

/** The address of a c= line or of a=rtcp; null: it is none of that family. What follows a NUL is ignored. */
export function readAddress(family: string, text: string): SdpConnection | null {
  const end = text.indexOf('\0');
  const written = end < 0 ? text : text.slice(0, end);
  if (family !== (written.includes(':') ? 'IP6' : 'IP4')) return null;
  const address = canonicalAddress(written);
  if (address === null) return null;
  return { family: address.includes(':') ? 'IP6' : 'IP4', address: detached(address) };
}

/** The fields of an o= line behind the user name. */
const originTail = 5;

/** The words of an o= line; of one with fields that are empty each has its place. */
function originWords(value: string): readonly string[] {
  const words = tokensOf(value);
  if (words.length > originTail) return words;
  const [name = '', id = '', version = '', network = '', type = '', address = '', ...more] =
    value.split(' ');
  if (name === '' || address === '' || more.length > 0) return words;
  const family = address.includes(':') ? 'IP6' : 'IP4';
  return [name, id || '0', version || '0', network || 'IN', type || family, address];
}

/**
 * The user name may be empty or have spaces in it, so the other fields are read from the end. It is
 * kept in a form that can be written (RFC 8866 §5.2: `-` for none, no white space). Networks and addresses
 * of other kinds are taken: nothing is sent to where the line points.
 */
function parseOrigin(value: string, offset: number): SdpOrigin {
  const words = originWords(value);
  // Further words, which the line does not have, are dropped.
  const end =
    hasOriginTail(words, originTail + 1) && !hasOriginTail(words, words.length)
      ? originTail + 1
      : words.length;
  const tail = end - originTail;
  const sessionId = words[tail];
  const version = words[tail + 1];
  const network = words[tail + 2];
  const type = words[tail + 3];
  const address = words[tail + 4];
  if (
    sessionId === undefined ||
    version === undefined ||
    network === undefined ||
    type === undefined ||
    address === undefined ||
    (tail === 0 && !value.startsWith(' '))
  ) {
    throw new SdpError('syntax', 'malformed o= line', offset);
  }
  const plain = address.startsWith('[') ? (canonicalAddress(address) ?? address) : address;
  return {
    username: usernameOf(words.slice(0, tail)),
    sessionId: detached(sessionId),
    version: detached(version),
    networkType: network === 'IN' ? 'IN' : network.toUpperCase(),
    addressType: type === 'IP4' ? 'IP4' : type.toUpperCase(),
    address: detached(plain),
  };
}

/** ASCII without white space or controls. */
function isGraphic(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code <= 0x20 || code >= 0x7f) return false;
  }
  return true;
}

function usernameOf(words: readonly string[]): string {
  const [only] = words;
  if (only === undefined) return '-';
  const name = words.length === 1 ? only : words.join('_');
  return detached(isGraphic(name) ? name : name.replace(/\s/g, '_'));
}

/** Whether the words before `end` are those of an o= line behind its user name, in the Internet. */
function hasOriginTail(words: readonly string[], end: number): boolean {
  if (end < originTail) return false;
  const network = words[end - 3] ?? '';
  const type = words[end - 2] ?? '';
  if (network === 'IN' && (type === 'IP4' || type === 'IP6')) return true;
  return /^IN$/i.test(network) && /^IP[46]$/i.test(type);
}
