/** Readers over a parsed body. Pure; they never throw on what `parseSdp` let through. */
import { isZeroAddress } from './address.js';
import { detached, leadingNumber, readAddress } from './lines.js';
import { staticPayload } from './static-payloads.js';
import {
  SdpError,
  type SdpAttribute,
  type SdpCodec,
  type SdpConnection,
  type SdpDirection,
  type SdpMedia,
  type SdpSession,
} from './types.js';

export { isZeroAddress };

type Section = Pick<SdpMedia, 'attributes' | 'lines'>;

/** Value of the first attribute of that name; null when absent or without a value. */
export function attributeOf(section: Section, name: string): string | null {
  for (const attribute of section.attributes) if (attribute.name === name) return attribute.value;
  return null;
}

export function hasAttribute(section: Section, name: string): boolean {
  return section.attributes.some((attribute) => attribute.name === name);
}

interface ProtocolTraits {
  readonly rtp: boolean;
  readonly secure: boolean;
  readonly feedback: boolean;
  readonly udp: boolean;
}

/**
 * Traits of the protocols seen, which are few and short; whoever invents more, or longer ones, does
 * not fill the memory.
 */
const knownProtocols = new Map<string, ProtocolTraits>();
const maxKnownProtocols = 256;
const maxKnownLength = 32;

function traitsOf(protocol: string): ProtocolTraits {
  let traits = knownProtocols.get(protocol);
  if (traits === undefined) {
    traits = {
      rtp: /^(?:UDP\/TLS\/)?RTP\/S?AVPF?$/i.test(protocol),
      secure: /RTP\/SAVPF?$/i.test(protocol),
      feedback: /RTP\/S?AVPF$/i.test(protocol),
      udp: !/^TCP(?:\/|$)/i.test(protocol) && !/\/TCP(?:\/|$)/i.test(protocol),
    };
    if (protocol.length <= maxKnownLength && knownProtocols.size < maxKnownProtocols) {
      knownProtocols.set(detached(protocol), traits);
    }
  }
  return traits;
}

/** RTP profiles (RFC 3551, 3711, 4585, 5124, 5764). */
export function isRtpProtocol(protocol: string): boolean {
  return traitsOf(protocol).rtp;
}

export function isSecureProtocol(protocol: string): boolean {
  return traitsOf(protocol).secure;
}

/** Profiles with RTCP feedback (RFC 4585). */
export function isFeedbackProtocol(protocol: string): boolean {
  return traitsOf(protocol).feedback;
}

/** Media carried over UDP is relayed; TCP media (RFC 4145, MSRP) is not. */
export function isUdpProtocol(protocol: string): boolean {
  return traitsOf(protocol).udp;
}

/** The media's c= line, else the session's. */
export function connectionOf(media: SdpMedia, session: SdpSession): SdpConnection | null {
  return media.connection ?? session.connection;
}

/** Of several those behind count (10.5 and 12.5 seen). */
const directions: readonly string[] = ['sendrecv', 'inactive', 'sendonly', 'recvonly'];

/** The direction attribute of the section itself. */
export function explicitDirectionOf(section: Section): SdpDirection | null {
  let found = -1;
  for (const { name } of section.attributes) found = Math.max(found, directions.indexOf(name));
  return (directions[found] as SdpDirection | undefined) ?? null;
}

/** Media over session level, `sendrecv` by default (RFC 8866 §6.7). */
export function directionOf(media: SdpMedia, session: SdpSession): SdpDirection {
  return explicitDirectionOf(media) ?? explicitDirectionOf(session) ?? 'sendrecv';
}

/**
 * a=rtcp (RFC 3605). One that cannot be understood counts as absent, and so does port 0; the address is
 * null when the line has none or an unspecified one (0.0.0.0, ::): then the media's is meant.
 */
export function rtcpEndpointOf(media: SdpMedia): { port: number; address: string | null } | null {
  const written = attributeOf(media, 'rtcp');
  if (written === null) return null;
  const words = written.split(' ').filter((word) => word !== '');
  const [number = '', network, family = '', text = ''] = words;
  const port = leadingNumber(number);
  if (port <= 0 || port > 65_535) return null;
  if (network === undefined) return { port, address: null };
  // The zone of a link-local address is one of the sender's links; nothing can be sent there.
  if (network.toUpperCase() !== 'IN' || text.includes('%')) return null;
  const address = readAddress(family, text)?.address;
  if (address === undefined) return null;
  return { port, address: isZeroAddress(address) ? null : address };
}

/** a=rtcp-mux (RFC 5761), or RTCP on the RTP port without the word for it. */
export function hasRtcpMux(media: SdpMedia): boolean {
  return (
    hasAttribute(media, 'rtcp-mux') ||
    (media.port !== 0 && rtcpEndpointOf(media)?.port === media.port)
  );
}

/** More is no packet time. */
const maxMilliseconds = 99_999;

function milliseconds(media: SdpMedia, name: string): number | null {
  const written = attributeOf(media, name);
  const value = written === null ? 0 : leadingNumber(written);
  return value > 0 && value <= maxMilliseconds ? value : null;
}

/** a=ptime in ms. */
export function ptimeOf(media: SdpMedia): number | null {
  return milliseconds(media, 'ptime');
}

/** a=maxptime in ms. */
export function maxPtimeOf(media: SdpMedia): number | null {
  return milliseconds(media, 'maxptime');
}

/** a=mid (RFC 5888). */
export function midOf(media: SdpMedia): string | null {
  const mid = attributeOf(media, 'mid');
  return mid === null ? null : detached(mid);
}

/** Value of a b= line of that modifier, in the unit of the modifier. */
export function bandwidthOf(section: Section, modifier: string): number | null {
  for (const { type, value } of section.lines) {
    if (type === 'b' && value.startsWith(`${modifier}:`)) {
      const digits = value.slice(modifier.length + 1);
      return /^\d{1,12}$/.test(digits) ? Number(digits) : null;
    }
  }
  return null;
}

const iceNames: ReadonlySet<string> = new Set([
  'candidate',
  'ice-ufrag',
  'ice-pwd',
  'ice-options',
  'ice-lite',
  'ice-mismatch',
  'remote-candidates',
  'end-of-candidates',
]);

export const isIceAttribute = (name: string): boolean => iceNames.has(name);

/** Whether the section itself has ICE credentials, candidates or options (RFC 8839, 8840). */
export function hasIceIn(section: Pick<Section, 'attributes'>): boolean {
  return section.attributes.some(
    ({ name }) => name === 'candidate' || name === 'ice-ufrag' || name === 'ice-options',
  );
}

/** Values of a=rtpengine, the loop-protection mark. */
export function loopMarks(session: SdpSession): readonly string[] {
  return session.attributes.flatMap(({ name, value }) =>
    name === 'rtpengine' && value !== null ? [value] : [],
  );
}

const isBlank = (code: number): boolean => code === 32 || code === 9;

/** Splits `PT rest`; `text` is the rest with its blanks. null when it does not start with a payload type. */
function payloadPrefix(value: string): { payloadType: number; rest: string; text: string } | null {
  let at = 0;
  while (isBlank(value.charCodeAt(at))) at++;
  const first = at;
  while (value.charCodeAt(at) === 48) at++;
  const start = at;
  let payloadType = 0;
  for (; at < value.length && at - start <= 3; at++) {
    const digit = value.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) break;
    payloadType = payloadType * 10 + digit;
  }
  const ended = at === value.length || isBlank(value.charCodeAt(at));
  if (at === first || at - start > 3 || !ended) return null;
  const text = value.slice(at + 1);
  return { payloadType, rest: text.trim(), text };
}

interface RtpMap {
  readonly encoding: string;
  readonly clockRate: number;
  readonly channels: number;
}

/** null: not `ENCODING/CLOCK[/CHANNELS]`. */
function parseRtpMap(text: string): RtpMap | null {
  const [name = '', clock = '', channels = ''] = text.split('/');
  const encoding = name.trim();
  const clockRate = leadingNumber(clock);
  if (encoding === '' || clockRate <= 0 || clockRate > 999_999_999) return null;
  const count = leadingNumber(channels);
  return {
    encoding: detached(encoding),
    clockRate,
    channels: count > 0 && count < 100 ? count : 1,
  };
}

interface CodecLines {
  readonly codecs: readonly SdpCodec[];
  /** Attributes that speak of codecs and say nothing that can be read. */
  readonly unread: ReadonlySet<SdpAttribute>;
}

/** The section that was read last: it is asked for its codecs again and again, then the next one is. */
let latest: Pick<SdpMedia, 'attributes' | 'formats'> & { readonly lines: CodecLines } = {
  attributes: [],
  formats: [],
  lines: { codecs: [], unread: new Set() },
};

/**
 * The codecs of sections that say the same of them: phones offer the same lists again and again, and calls share
 * what was read. Who invents others does not fill the memory.
 */
const sharedCodecs = new Map<string, CodecLines>();
const maxShared = 256;
const maxSharedLength = 2048;

function codecLinesOf(media: SdpMedia): CodecLines {
  const { attributes, formats } = media;
  if (latest.attributes === attributes && latest.formats === formats) return latest.lines;
  const lines = sharedLinesOf(media);
  latest = { attributes, formats, lines };
  return lines;
}

function sharedLinesOf(media: SdpMedia): CodecLines {
  let text = media.formats.join(' ');
  for (const { name, value } of media.attributes) {
    if (name === 'rtpmap' || name === 'fmtp' || name === 'rtcp-fb')
      text += `\n${name} ${value ?? ''}`;
  }
  const shared = sharedCodecs.get(text);
  if (shared !== undefined) return shared;
  const lines = readCodecs(media);
  // What cannot be read is told by the section's own lines.
  if (lines.unread.size > 0 || text.length > maxSharedLength) return lines;
  if (sharedCodecs.size >= maxShared) sharedCodecs.clear();
  sharedCodecs.set(detached(text), lines);
  return lines;
}

/**
 * The codecs of an RTP media in m= order; a dynamic type without rtpmap has an empty encoding.
 * @throws SdpError 'incomplete' for a format that is no payload type.
 */
export function codecsOf(media: SdpMedia): readonly SdpCodec[] {
  return codecLinesOf(media).codecs;
}

/**
 * Whether what the line says about a payload type is in `codecsOf`, or in the place of something better
 * that is: such lines are written anew. Others are passed on like attributes that nobody knows.
 * @throws as `codecsOf`.
 */
export function isCodecLine(media: SdpMedia, attribute: SdpAttribute): boolean {
  const { name } = attribute;
  if (name !== 'rtpmap' && name !== 'fmtp' && name !== 'rtcp-fb') return false;
  return !codecLinesOf(media).unread.has(attribute);
}

const nothingUnread: ReadonlySet<SdpAttribute> = new Set();

function readCodecs(media: SdpMedia): CodecLines {
  const maps = new Map<number, RtpMap>();
  const fmtp = new Map<number, string>();
  const feedback = new Map<number, string[]>();
  const unread: SdpAttribute[] = [];
  const unreadMaps: { readonly attribute: SdpAttribute; readonly payloadType: number }[] = [];
  for (const attribute of media.attributes) {
    const { name, value } = attribute;
    if (name !== 'rtpmap' && name !== 'fmtp' && name !== 'rtcp-fb') continue;
    const split = value === null ? null : payloadPrefix(value);
    if (split === null) {
      unread.push(attribute);
      continue;
    }
    const { payloadType, rest, text } = split;
    if (name === 'rtpmap') {
      const map = parseRtpMap(rest);
      if (map !== null) maps.set(payloadType, map);
      else unreadMaps.push({ attribute, payloadType });
    } else if (name === 'fmtp') {
      if (rest !== '') fmtp.set(payloadType, detached(text));
    } else {
      const list = feedback.get(payloadType);
      if (list === undefined) feedback.set(payloadType, [detached(rest)]);
      else list.push(detached(rest));
    }
  }
  const codecs = media.formats.map((format) => {
    const payloadType = leadingNumber(format);
    if (payloadType < 0 || payloadType > 127)
      throw new SdpError('incomplete', `'${format}' is no payload type`, -1);
    const map = maps.get(payloadType) ?? staticPayload(payloadType);
    return {
      payloadType,
      encoding: map?.encoding ?? '',
      clockRate: map?.clockRate ?? 0,
      channels: map?.channels ?? 1,
      fmtp: fmtp.get(payloadType) ?? '',
      rtcpFeedback: feedback.get(payloadType) ?? [],
    };
  });
  for (const { attribute, payloadType } of unreadMaps) {
    const codec = codecs.find((each) => each.payloadType === payloadType);
    if (codec?.encoding === '') unread.push(attribute);
  }
  return { codecs, unread: unread.length === 0 ? nothingUnread : new Set(unread) };
}
