/** Readers over a parsed body. Pure; they never throw on what `parseSdp` let through. */
import { detached, isAddress } from './lines.js';
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

type Section = Pick<SdpMedia, 'attributes' | 'lines'>;

/** Value of the first attribute of that name; null when absent or without a value. */
export function attributeOf(section: Section, name: string): string | null {
  return section.attributes.find((attribute) => attribute.name === name)?.value ?? null;
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

/** 0.0.0.0 and ::, the old way to hold (RFC 3264 §8.4). */
export function isZeroAddress(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

/** The media's c= line, else the session's. */
export function connectionOf(media: SdpMedia, session: SdpSession): SdpConnection | null {
  return media.connection ?? session.connection;
}

const directions: ReadonlySet<string> = new Set(['sendrecv', 'sendonly', 'recvonly', 'inactive']);

const isDirection = (name: string): name is SdpDirection => directions.has(name);

/** The direction attribute of the section itself; the last one counts. */
export function explicitDirectionOf(section: Section): SdpDirection | null {
  let found: SdpDirection | null = null;
  for (const { name } of section.attributes) if (isDirection(name)) found = name;
  return found;
}

/** Media over session level, `sendrecv` by default (RFC 8866 §6.7). */
export function directionOf(media: SdpMedia, session: SdpSession): SdpDirection {
  return explicitDirectionOf(media) ?? explicitDirectionOf(session) ?? 'sendrecv';
}

/** a=rtcp (RFC 3605). A malformed one counts as absent. */
export function rtcpEndpointOf(media: SdpMedia): { port: number; address: string | null } | null {
  const value = attributeOf(media, 'rtcp');
  if (value === null) return null;
  const [port = '', network, family, address] = value.trim().split(/ +/);
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) return null;
  const named =
    network === 'IN' &&
    (family === 'IP4' || family === 'IP6') &&
    address !== undefined &&
    isAddress(address, family);
  return { port: Number(port), address: named ? detached(address) : null };
}

/** a=rtcp-mux (RFC 5761). */
export function hasRtcpMux(media: SdpMedia): boolean {
  return hasAttribute(media, 'rtcp-mux');
}

function milliseconds(media: SdpMedia, name: string): number | null {
  const value = attributeOf(media, name);
  return value !== null && /^\d{1,5}(?:\.\d+)?$/.test(value) ? Math.floor(Number(value)) : null;
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
      const figure = value.slice(modifier.length + 1);
      return /^\d{1,12}$/.test(figure) ? Number(figure) : null;
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

/** Whether any ICE credentials or candidates are offered (RFC 8839). */
export function hasIce(session: SdpSession): boolean {
  const offers = (attributes: readonly SdpAttribute[]): boolean =>
    attributes.some(({ name }) => name === 'candidate' || name === 'ice-ufrag');
  return offers(session.attributes) || session.medias.some((media) => offers(media.attributes));
}

/** Values of a=rtpengine, the loop-protection mark. */
export function loopMarks(session: SdpSession): readonly string[] {
  return session.attributes.flatMap(({ name, value }) =>
    name === 'rtpengine' && value !== null ? [value] : [],
  );
}

/** A decimal number of at most `maxDigits` digits; -1 for any other text. */
function decimal(text: string, maxDigits: number): number {
  if (text.length === 0 || text.length > maxDigits) return -1;
  let number = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    number = number * 10 + digit;
  }
  return number;
}

/** Splits `PT rest`; null when it does not start with a payload type. */
export function payloadPrefix(value: string): { payloadType: number; rest: string } | null {
  const space = value.indexOf(' ');
  const payloadType = decimal(space < 0 ? value : value.slice(0, space), 3);
  if (payloadType < 0) return null;
  return { payloadType, rest: space < 0 ? '' : value.slice(space + 1).trim() };
}

interface RtpMap {
  readonly encoding: string;
  readonly clockRate: number;
  readonly channels: number;
}

/** null: not `ENCODING/CLOCK[/CHANNELS]`. */
function parseRtpMap(text: string): RtpMap | null {
  const [encoding = '', clock = '', channels = ''] = text.split('/');
  const clockRate = decimal(clock, 9);
  if (encoding === '' || clockRate <= 0) return null;
  return { encoding: detached(encoding), clockRate, channels: Math.max(1, decimal(channels, 2)) };
}

/** Read once for the model and again for the body that is written. */
const knownCodecs = new WeakMap<SdpMedia, readonly SdpCodec[]>();

/**
 * The codecs of an RTP media in m= order; a dynamic type without rtpmap has an empty encoding.
 * @throws SdpError 'incomplete' for a format that is no payload type.
 */
export function codecsOf(media: SdpMedia): readonly SdpCodec[] {
  let codecs = knownCodecs.get(media);
  if (codecs === undefined) {
    codecs = readCodecs(media);
    knownCodecs.set(media, codecs);
  }
  return codecs;
}

function readCodecs(media: SdpMedia): readonly SdpCodec[] {
  const maps = new Map<number, RtpMap>();
  const fmtp = new Map<number, string>();
  const feedback = new Map<number, string[]>();
  for (const { name, value } of media.attributes) {
    if (value === null) continue;
    if (name !== 'rtpmap' && name !== 'fmtp' && name !== 'rtcp-fb') continue;
    const split = payloadPrefix(value);
    if (split === null) continue;
    if (name === 'rtpmap') {
      const map = parseRtpMap(split.rest);
      if (map !== null) maps.set(split.payloadType, map);
    } else if (name === 'fmtp') fmtp.set(split.payloadType, detached(split.rest));
    else {
      const list = feedback.get(split.payloadType);
      if (list === undefined) feedback.set(split.payloadType, [split.rest]);
      else list.push(split.rest);
    }
  }
  return media.formats.map((format) => {
    const payloadType = decimal(format, 3);
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
}
