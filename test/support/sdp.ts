/** SDP bodies for tests (RFC 8866), and the few things tests read from the ones that come back. */

export interface MediaSection {
  readonly type?: string;
  readonly port: number;
  readonly protocol?: string;
  readonly formats?: string;
  /** c= address of this section; none when absent. */
  readonly address?: string;
  /** Further lines of this section in order, without line end. */
  readonly lines?: readonly string[];
}

export interface SdpOptions {
  readonly user?: string;
  readonly version?: number;
  /** Address in o=. */
  readonly origin?: string;
  readonly sessionName?: string;
  /** Address of the session's c= line; null leaves it out. */
  readonly address?: string | null;
  /** Session lines after t=. */
  readonly sessionLines?: readonly string[];
  readonly media?: readonly MediaSection[];
}

const telephoneEvent = 'a=rtpmap:101 telephone-event/8000';

function connection(address: string): string {
  return `c=IN ${address.includes(':') ? 'IP6' : 'IP4'} ${address}`;
}

/** A section of audio: PCMU, PCMA and telephone events. */
export function audio(port: number, lines: readonly string[] = []): MediaSection {
  return { port, lines: [telephoneEvent, ...lines] };
}

/** A section of video. */
export function video(port: number, lines: readonly string[] = []): MediaSection {
  return { type: 'video', port, formats: '96', lines: ['a=rtpmap:96 H264/90000', ...lines] };
}

function sectionLines(section: MediaSection): readonly string[] {
  const { type = 'audio', port, protocol = 'RTP/AVP', formats = '0 8 101' } = section;
  const own = section.address === undefined ? [] : [connection(section.address)];
  return [`m=${type} ${port} ${protocol} ${formats}`, ...own, ...(section.lines ?? [])];
}

/** A body with CRLF line ends; by default one of audio at 192.0.2.10:6000. */
export function buildSdp(options: SdpOptions = {}): string {
  const { user = 'ann', version = 3, origin = '192.0.2.10', sessionName = 'call one' } = options;
  const address = options.address === undefined ? '192.0.2.10' : options.address;
  const lines = [
    'v=0',
    `o=${user} 7001 ${version} IN ${origin.includes(':') ? 'IP6' : 'IP4'} ${origin}`,
    `s=${sessionName}`,
    ...(address === null ? [] : [connection(address)]),
    't=0 0',
    ...(options.sessionLines ?? []),
    ...(options.media ?? [audio(6000)]).flatMap(sectionLines),
  ];
  return lines.map((line) => `${line}\r\n`).join('');
}

/** Lines without their ends; empty ones left out. */
export function sdpLines(body: string): readonly string[] {
  return body.split(/\r?\n/).filter((line) => line !== '');
}

export interface SdpSections {
  readonly session: readonly string[];
  readonly media: readonly (readonly string[])[];
}

/** Session part and m= sections. */
export function sdpSections(body: string): SdpSections {
  const session: string[] = [];
  const media: string[][] = [];
  for (const line of sdpLines(body)) {
    if (line.startsWith('m=')) media.push([line]);
    else (media.at(-1) ?? session).push(line);
  }
  return { session, media };
}

/** Where a body wants the RTP of its `index`th section (from 0). Throws when it says nothing. */
export function mediaTarget(body: string, index = 0): { address: string; port: number } {
  const { session, media } = sdpSections(body);
  const section = media[index] ?? [];
  const port = Number(section[0]?.split(' ')[1]?.split('/')[0]);
  const c = [...section, ...session].find((line) => line.startsWith('c='));
  const address = c?.split(' ')[2];
  if (address === undefined || !Number.isInteger(port)) throw new Error(`no target in ${body}`);
  return { address, port };
}

/** One body, or one fragment, of several that have a section each. */
export function joinedBodies(bodies: readonly string[]): string {
  const [first = ''] = bodies;
  const sections = bodies.map((body) => body.slice(body.search(/^m=/m)));
  return [first.slice(0, first.search(/^m=/m)), ...sections].join('');
}

/** A body with one section of another one alone. */
export function sectionAlone(body: string, index: number): string {
  const { session, media } = sdpSections(body);
  return [...session, ...(media[index] ?? []), ''].join('\r\n');
}
