/**
 * SDP text -> document (RFC 8866 §5, §9). Tolerant where rtpengine is, strict where it is
 * (sdp-rules.md §11). One pass, linear.
 */
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
}

/**
 * Parses a body. Text after an empty line is dropped.
 * @throws SdpError 'syntax' with the offset of the line.
 */
export function parseSdp(text: string): SdpDocument {
  const sessions: OpenSession[] = [];
  let offset = 0;
  let lineCount = 0;
  while (offset < text.length) {
    const newline = text.indexOf('\n', offset);
    const end = newline < 0 ? text.length : newline;
    const stop = end > offset && text.charCodeAt(end - 1) === 13 ? end - 1 : end;
    if (stop === offset) break;
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
  return { origin: null, name: '-', connection: null, attributes: [], lines: [], medias: [] };
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
  if (!(media === undefined ? sessionTypes : mediaTypes).includes(type)) {
    throw new SdpError('syntax', `unexpected line type '${type}'`, offset);
  }
  const target = media ?? session;
  target.lines.push({ type, value: type === 't' ? detached(value) : value });
  if (type === 'a') target.attributes.push(parseAttribute(value));
  else if (type === 'c') {
    if (target.connection !== null) throw new SdpError('syntax', 'more than one c= line', offset);
    target.connection = parseConnection(value, offset);
  } else if (type === 'o') session.origin = parseOrigin(value, offset);
  else if (type === 's' && media === undefined) session.name = detached(value);
}

function parseAttribute(value: string): SdpAttribute {
  const colon = value.indexOf(':');
  return colon < 0
    ? { name: value, value: null }
    : { name: value.slice(0, colon), value: value.slice(colon + 1) };
}

function isNumber(text: string): boolean {
  if (text.length === 0 || text.length > 10) return false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 48 || code > 57) return false;
  }
  return true;
}

const tokensOf = (value: string): string[] => value.split(' ').filter((token) => token !== '');

function parseMedia(value: string, offset: number): OpenMedia {
  const [type, ports, protocol, ...formats] = tokensOf(value);
  if (type === undefined || ports === undefined || protocol === undefined) {
    throw new SdpError('syntax', 'malformed m= line', offset);
  }
  if (formats.length > maxFormats) {
    throw new SdpError('syntax', 'too many formats in m= line', offset);
  }
  const slash = ports.indexOf('/');
  const port = slash < 0 ? ports : ports.slice(0, slash);
  const count = slash < 0 ? '1' : ports.slice(slash + 1);
  if (!isNumber(port) || !isNumber(count)) {
    throw new SdpError('syntax', 'malformed port in m= line', offset);
  }
  const portNumber = Number(port);
  const portCount = Number(count);
  if (portNumber > 65_535 || portCount < 1 || portCount > 32) {
    throw new SdpError('syntax', 'port out of range in m= line', offset);
  }
  return {
    type: detached(type),
    port: portNumber,
    portCount,
    protocol: detached(protocol),
    formats: formats.map(detached),
    connection: null,
    attributes: [],
    lines: [],
  };
}

function parseConnection(value: string, offset: number): SdpConnection {
  const [network, family, address] = tokensOf(value);
  if (network !== 'IN' || address === undefined || (family !== 'IP4' && family !== 'IP6')) {
    throw new SdpError('syntax', 'malformed c= line', offset);
  }
  // Multicast, and with it a TTL (RFC 8866 §5.7), is nothing a call can be relayed to.
  if (!isAddress(address, family)) {
    throw new SdpError('syntax', 'malformed address in c= line', offset);
  }
  return { family, address: detached(address) };
}

function parseOrigin(value: string, offset: number): SdpOrigin {
  // Further words are dropped.
  const [username, sessionId, version, networkType, addressType, address] = tokensOf(value);
  if (
    username === undefined ||
    sessionId === undefined ||
    version === undefined ||
    networkType !== 'IN' ||
    (addressType !== 'IP4' && addressType !== 'IP6') ||
    address === undefined
  ) {
    throw new SdpError('syntax', 'malformed o= line', offset);
  }
  return {
    username: detached(username),
    sessionId: detached(sessionId),
    version: detached(version),
    networkType,
    addressType,
    address: detached(address),
  };
}

/** Whether `text` is an address literal of that family. */
export function isAddress(text: string, family: 'IP4' | 'IP6'): boolean {
  return family === 'IP4' ? isIpv4(text) : isIpv6(text);
}

function isIpv4(text: string): boolean {
  const parts = text.split('.');
  return (
    parts.length === 4 &&
    parts.every((part) => part.length <= 3 && isNumber(part) && Number(part) < 256)
  );
}

function isIpv6(text: string): boolean {
  if (text.length > 45) return false;
  const halves = text.split('::');
  if (halves.length > 2) return false;
  let groups = 0;
  for (const half of halves) {
    if (half === '') continue;
    const parts = half.split(':');
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i] ?? '';
      if (i === parts.length - 1 && half === halves[halves.length - 1] && isIpv4(part)) groups += 2;
      else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups += 1;
      else return false;
    }
  }
  return halves.length === 2 ? groups < 8 : groups === 8;
}
