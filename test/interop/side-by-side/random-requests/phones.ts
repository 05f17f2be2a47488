/** Phones that offer what a plan says, and answer what they were offered as RFC 3264 wants it. */
import { sdpSections } from '../../../support/sdp.js';
import type { Party, Scene } from '../sequence.js';

export interface OfferedSection {
  readonly type?: string;
  /** The first section of a phone with `real` ports has its own. */
  readonly port?: number;
  readonly protocol?: string;
  readonly formats?: string;
  readonly address?: string;
  readonly lines?: readonly string[];
}

export interface OfferedBody {
  readonly version?: number;
  readonly address?: string;
  readonly sessionLines?: readonly string[];
  readonly media?: readonly OfferedSection[];
  /** The phone is on the loopback, at its port of this run. */
  readonly real?: boolean;
}

/** How a phone answers; what is absent is the plain way. */
export interface Manner {
  readonly version?: number;
  readonly address?: string;
  readonly real?: boolean;
  /** Of the formats: all, the first that is no event (and events), or all but the first. */
  readonly formats?: 'first' | 'but the first';
  /** Sections refused, counted from 0. */
  readonly refuses?: readonly number[];
  readonly direction?: string;
  readonly mux?: boolean;
  readonly ice?: boolean;
  /** `active`, `passive`: by DTLS where that is offered. */
  readonly setup?: 'active' | 'passive';
  readonly moves?: boolean;
  /** Further lines of the first section. */
  readonly lines?: readonly string[];
  readonly bundle?: boolean;
}

const hosts: Readonly<Record<Party, { readonly address: string; readonly port: number }>> = {
  a: { address: '192.0.2.10', port: 6000 },
  x: { address: '192.0.2.77', port: 7000 },
  y: { address: '192.0.2.78', port: 8000 },
  z: { address: '192.0.2.79', port: 9000 },
};

const fingerprint = `a=fingerprint:sha-256 ${Array.from({ length: 32 }, (_, at) =>
  at.toString(16).toUpperCase().padStart(2, '0'),
).join(':')}`;
export const dtlsLines = (setup: string): readonly string[] => [`a=setup:${setup}`, fingerprint];
export const iceLines: readonly string[] = [
  'a=ice-ufrag:abcd',
  'a=ice-pwd:0123456789abcdef012345',
  'a=candidate:1 1 udp 2113937151 192.0.2.80 50000 typ host',
];
export const phoneKeys: Readonly<Record<'caller' | 'called', string>> = {
  caller: 'MDEyMzQ1Njc4OUFCQ0RFRjAxMjM0NTY3ODlBQkNE',
  called: 'QkNERUYwMTIzNDU2Nzg5QUJDREVGMDEyMzQ1Njc4',
};

async function whereIs(
  party: Party,
  real: boolean | undefined,
  scene: Scene,
): Promise<{ readonly address: string; readonly port: number }> {
  return real === true ? { address: '127.0.0.1', port: await scene.port(party) } : hosts[party];
}

function text(
  party: Party,
  { version = 3, address }: { readonly version?: number | undefined; readonly address: string },
  lines: readonly string[],
): string {
  const { address: origin } = hosts[party];
  const family = address.includes(':') ? 'IP6' : 'IP4';
  return [
    'v=0',
    `o=${party} 7001 ${version} IN IP4 ${origin}`,
    's=call one',
    `c=IN ${family} ${address}`,
    't=0 0',
    ...lines,
  ]
    .map((line) => `${line}\r\n`)
    .join('');
}

export async function offerOf(body: OfferedBody, party: Party, scene: Scene): Promise<string> {
  const place = await whereIs(party, body.real, scene);
  const sections = (body.media ?? []).flatMap((section, at) => {
    const { type = 'audio', port = 0, protocol = 'RTP/AVP', formats = '0 8', lines = [] } = section;
    const shown = body.real === true && at === 0 && port !== 0 ? place.port : port;
    const own = section.address === undefined ? [] : [`c=IN IP4 ${section.address}`];
    return [`m=${type} ${shown} ${protocol} ${formats}`, ...own, ...lines];
  });
  return text(party, { version: body.version, address: body.address ?? place.address }, [
    ...(body.sessionLines ?? []),
    ...sections,
  ]);
}

const opposite: Readonly<Record<string, string>> = {
  'a=sendonly': 'a=recvonly',
  'a=recvonly': 'a=sendonly',
  'a=inactive': 'a=inactive',
};

/** Numbers of the m= line that the phone takes, in their order. */
function accepted(formats: readonly string[], lines: readonly string[], manner: Manner): string[] {
  const isEvent = (format: string): boolean =>
    lines.some((line) => line.startsWith(`a=rtpmap:${format} telephone-event/`));
  const sounds = formats.filter((format) => !isEvent(format));
  if (manner.formats === 'first') return formats.filter((f) => isEvent(f) || f === sounds[0]);
  if (manner.formats === 'but the first' && sounds.length > 1)
    return formats.filter((format) => format !== sounds[0]);
  return [...formats];
}

/** What of an offered section says of which payload type. */
const ofFormat = (line: string, formats: readonly string[]): boolean => {
  const [, format] = /^a=(?:rtpmap|fmtp):(\S+)/.exec(line) ?? [];
  return format !== undefined && formats.includes(format);
};

function securityLines(lines: readonly string[], manner: Manner): readonly string[] {
  const isDtls = lines.some((line) => line.startsWith('a=fingerprint:'));
  if (isDtls && manner.setup !== undefined) return dtlsLines(manner.setup);
  const crypto = lines.find((line) => /^a=crypto:\d+ AES_CM_128_HMAC_SHA1_80 /.test(line));
  if (crypto === undefined) return isDtls ? dtlsLines('active') : [];
  return [`${crypto.replace(/inline:.*/, '')}inline:${phoneKeys.called}`];
}

function answeredSection(
  section: readonly string[],
  at: number,
  port: number,
  manner: Manner,
): readonly string[] {
  const [first = '', ...lines] = section;
  const [kind = '', offered = '0', protocol = '', ...formats] = first.split(' ');
  const mid = lines.filter((line) => line.startsWith('a=mid:'));
  if (offered === '0' || manner.refuses?.includes(at) === true)
    return [`${kind} 0 ${protocol} ${formats.join(' ')}`, ...mid];
  const taken = accepted(formats, lines, manner);
  const has = (line: string): boolean => lines.includes(line);
  const held = Object.keys(opposite).find(has);
  const direction = manner.direction ?? (held === undefined ? undefined : opposite[held]);
  return [
    `${kind} ${port} ${protocol} ${taken.join(' ')}`,
    ...mid,
    ...lines.filter((line) => ofFormat(line, taken)),
    ...(direction === undefined ? [] : [direction]),
    ...(has('a=rtcp-mux') && manner.mux === true ? ['a=rtcp-mux'] : []),
    ...securityLines(lines, manner),
    ...(manner.ice === true && lines.some((each) => each.startsWith('a=ice-ufrag:'))
      ? iceLines
      : []),
    ...(at === 0 ? (manner.lines ?? []) : []),
  ];
}

export async function answerTo(
  offer: string,
  manner: Manner,
  party: Party,
  scene: Scene,
): Promise<string> {
  const { session, media } = sdpSections(offer);
  const place = await whereIs(party, manner.real, scene);
  const group = session.filter((line) => line.startsWith('a=group:BUNDLE'));
  const moved = manner.moves === true && manner.real !== true ? 40 : 0;
  const sections = media.flatMap((section, at) =>
    answeredSection(section, at, (at === 0 ? place : hosts[party]).port + 20 * at + moved, manner),
  );
  return text(party, { version: manner.version, address: manner.address ?? place.address }, [
    ...(manner.bundle === true ? group : []),
    ...sections,
  ]);
}
