/**
 * Makes the replies of two daemons comparable: what differs from run to run (ports, times, tokens,
 * phones' own ports and SSRCs) is replaced by names. The same number gets the same name throughout
 * a sequence, so a port that is kept in one daemon and changed in the other still shows.
 */
import type { NgDictionary, NgValue } from '../../support/bencode.js';
import { isDictionary, isList } from '../../support/bencode.js';
import { sdpSections } from '../../support/sdp.js';

/** Comparable form of a reply: path → text. */
export type Flat = ReadonlyMap<string, string>;

const timeKeys: ReadonlySet<string> = new Set([
  'created',
  'created_us',
  'created_ts',
  'last signal',
  'last packet',
  'last kernel packet',
  'last user packet',
  'last redis update',
  'reported at',
]);

/** Names of numbers seen in one sequence against one daemon. */
export class Masks {
  readonly #names = new Map<string, string>();
  readonly #addresses = new Map<string, string>();
  #ports = 0;

  /**
   * @param anyOf addresses of which a daemon takes any: named in the order in which they show up.
   * @param pools by local or advertised address: the pool that its ports are of, where the same number is
   *   another port.
   */
  constructor(
    private readonly ownsPort: (port: number) => boolean,
    private readonly anyOf: readonly string[] = [],
    private readonly pools: Readonly<Record<string, string>> = {},
  ) {}

  /** Gives a number that the test knows its name, e.g. the port of a phone. */
  know(number: number, name: string): void {
    this.#names.set(String(number), name);
  }

  nameOf(number: number): string | undefined {
    return this.#names.get(String(number));
  }

  /**
   * Name of a port; `before` is the RTP port it may be the neighbour of. Ports of the addresses of which
   * any is taken are told apart by their address, since the same number is another port there.
   */
  port(port: number, before: number | null = null, address = ''): string {
    const prefix = this.anyOf.includes(address) ? `${address}/` : (this.pools[address] ?? '');
    const known = this.#names.get(`${prefix}${port}`);
    if (known !== undefined) return known;
    if (!this.ownsPort(port)) return String(port);
    const neighbour =
      before !== null && port === before + 1 ? this.#names.get(`${prefix}${before}`) : undefined;
    this.#ports += neighbour === undefined ? 1 : 0;
    const name = neighbour === undefined ? `<port ${this.#ports}>` : `${neighbour}+1`;
    this.#names.set(`${prefix}${port}`, name);
    return name;
  }

  address(text: string): string {
    if (!this.anyOf.includes(text)) return text;
    const known = this.#addresses.get(text) ?? `<address ${this.#addresses.size + 1}>`;
    this.#addresses.set(text, known);
    return known;
  }

  text(text: string): string {
    const named = this.address(text);
    return named.replace(/\b\d{4,10}\b/g, (digits) => this.#names.get(digits) ?? digits);
  }
}

function maskMediaLine(
  line: string,
  address: string,
  masks: Masks,
): { masked: string; port: number | null } {
  const match = /^(m=\S+ )(\d+)(.*)$/.exec(line);
  if (match === null) return { masked: line, port: null };
  const [, before = '', digits = '', after = ''] = match;
  return {
    masked: `${before}${masks.port(Number(digits), null, address)}${after}`,
    port: Number(digits),
  };
}

/** Keys that phones have; all others are made by the daemons. */
const phoneKeys: ReadonlySet<string> = new Set([
  'MDEyMzQ1Njc4OUFCQ0RFRjAxMjM0NTY3ODlBQkNE',
  'QkNERUYwMTIzNDU2Nzg5QUJDREVGMDEyMzQ1Njc4',
  'QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXI',
]);

/** What daemons make up by themselves for ICE and DTLS; phones' credentials have other lengths. */
function maskToken(line: string): string | null {
  if (/^a=ice-ufrag:\w{8}$/.test(line)) return 'a=ice-ufrag:<8 characters>';
  if (/^a=ice-pwd:\w{26}$/.test(line)) return 'a=ice-pwd:<26 characters>';
  if (/^a=tls-id:[0-9a-f]{32,}$/.test(line)) return 'a=tls-id:<token>';
  const [, hash] = /^a=fingerprint:(\S+) (?!00:01:02)/.exec(line) ?? [];
  return hash === undefined ? null : `a=fingerprint:${hash} <fingerprint>`;
}

function maskAttribute(
  line: string,
  rtpPort: number | null,
  address: string,
  masks: Masks,
): string {
  const rtcp = /^a=rtcp:(\d+)(.*)$/.exec(line);
  if (rtcp !== null) {
    return `a=rtcp:${masks.port(Number(rtcp[1]), rtpPort, address)}${rtcp[2] ?? ''}`;
  }
  if (line.startsWith('a=rtpengine:')) return 'a=rtpengine:<instance>';
  if (/^s=rtp(?:engine|relay)-?[\w.~+-]*$/.test(line)) return 's=<software>';
  const made = /^o=- \d{6,} \d{6,} (.*)$/.exec(line);
  if (made !== null) return `o=- <made up> ${made[1] ?? ''}`;
  const token = maskToken(line);
  if (token !== null) return token;
  const candidate =
    /^(a=candidate:)\S+( \d UDP \d+ (\S+) )(\d+)( typ \S+(?: raddr \S+ rport )?)(\d+)?$/.exec(line);
  if (candidate !== null) {
    const [, name = '', before = '', at = '', own = '', after = '', related = ''] = candidate;
    const named = (digits: string): string =>
      digits === '' ? '' : masks.port(Number(digits), rtpPort, at);
    return `${name}<foundation>${before}${named(own)}${after}${named(related)}`;
  }
  const connection = /^(c=IN IP[46] )(\S+)$/.exec(line);
  const key = /^(a=crypto:.*inline:)([^|\s]+)(.*)$/.exec(line);
  if (key !== null) {
    const [, before = '', text = '', after = ''] = key;
    return `${before}${phoneKeys.has(text) ? text : `<${text.length} characters>`}${after}`;
  }
  if (connection !== null) return `${connection[1] ?? ''}${masks.address(connection[2] ?? '')}`;
  return line;
}

/**
 * The lines of each section, without regard to their order: 10.5 edits the received text, rtprelayd
 * writes the layout of later releases. The session's c= is moved to the sections that use it; the
 * one of a rejected section says nothing.
 */
function flattenSdp(body: string, masks: Masks, into: Map<string, string>): void {
  const { session, media } = sdpSections(body);
  const inherited = session.filter((line) => line.startsWith('c='));
  const own = session.filter((line) => media.length === 0 || !line.startsWith('c='));
  addLines(
    'sdp.session',
    own.map((line) => maskAttribute(line, null, '', masks)),
    into,
  );
  media.forEach((lines, index) => {
    const [first = '', ...rest] = lines;
    const connection = rest.filter((line) => line.startsWith('c='));
    const used = connection.length > 0 ? connection : inherited;
    const address = used[0]?.split(' ')[2] ?? '';
    const { masked, port } = maskMediaLine(first, address, masks);
    const others = rest.filter((line) => !line.startsWith('c='));
    const all = [masked, ...(port === 0 ? [] : used), ...others];
    addLines(
      `sdp.media[${index}]`,
      all.map((line) => maskAttribute(line, port, address, masks)),
      into,
    );
  });
}

function addLines(path: string, lines: readonly string[], into: Map<string, string>): void {
  for (const line of lines) {
    let key = `${path} "${line}"`;
    while (into.has(key)) key += ' again';
    into.set(key, 'present');
  }
}

function leaf(key: string, value: string | number, masks: Masks): string {
  if (timeKeys.has(key)) return '<time>';
  if (typeof value === 'string') return JSON.stringify(masks.text(value));
  if (key === 'port' || key === 'SSRC') return masks.nameOf(value) ?? String(value);
  return String(value);
}

/** Of a section that is refused 10.5 shows a place with port 0, 12.5 the one before or none, the current release none. */
function withoutPlace(stream: NgDictionary): NgDictionary {
  const { endpoint: _, 'advertised endpoint': __, flags: ___, ...others } = stream;
  return others;
}

function flattenStreams(
  path: string,
  streams: readonly NgValue[],
  masks: Masks,
  into: Map<string, string>,
): void {
  let before: number | null = null;
  streams.forEach((stream, index) => {
    const at = `${path}[${index}]`;
    if (!isDictionary(stream)) return flattenValue(at, '', stream, masks, into);
    const { 'local port': port, ...told } = stream;
    const others = port === undefined ? withoutPlace(told) : told;
    const address = String(stream['local address']);
    if (typeof port === 'number') into.set(`${at}.local port`, masks.port(port, before, address));
    before = typeof port === 'number' ? port : null;
    flattenValue(at, '', others, masks, into);
  });
}

function flattenValue(
  path: string,
  key: string,
  value: NgValue,
  masks: Masks,
  into: Map<string, string>,
): void {
  if (typeof value === 'string' || typeof value === 'number') {
    into.set(path, leaf(key, value, masks));
    return;
  }
  if (isList(value)) {
    if (key === 'streams') return flattenStreams(path, value, masks, into);
    if (value.every((member) => typeof member === 'string')) {
      into.set(path, `[${value.toSorted().join(', ')}]`);
      return;
    }
    value.forEach((member, index) => flattenValue(`${path}[${index}]`, key, member, masks, into));
    return;
  }
  if (!isDictionary(value)) return;
  if (Object.keys(value).length === 0) into.set(path, '{}');
  for (const name of Object.keys(value).toSorted()) {
    const member = value[name];
    if (member === undefined) continue;
    flattenValue(path === '' ? name : `${path}.${name}`, name, member, masks, into);
  }
}

/** Comparable form of a whole reply. */
export function flattenReply(reply: NgDictionary, masks: Masks): Flat {
  const { sdp, ...others } = reply;
  const flat = new Map<string, string>();
  if (typeof sdp === 'string') flattenSdp(sdp, masks, flat);
  flattenValue('', '', others, masks, flat);
  return flat;
}

/** Comparable form that keeps the keys and types only. */
export function shapeOfReply(reply: NgDictionary): Flat {
  const flat = new Map<string, string>();
  flattenValue('', '', reply, new Masks(() => false), flat);
  return new Map([...flat].map(([path, value]) => [path, /^-?\d+$/.test(value) ? 'int' : 'text']));
}

/** Every path that is, or lies above, one of a flat reply. */
function branches(flat: Flat): ReadonlySet<string> {
  const paths = new Set<string>();
  for (const path of flat.keys()) {
    paths.add(path);
    if (path.startsWith('sdp.')) continue;
    for (const { index } of path.matchAll(/[.[]/g)) paths.add(path.slice(0, index));
  }
  return paths;
}

/** The highest branch of `path` that `others` do not have; null when they have the path itself. */
function missingBranch(path: string, others: ReadonlySet<string>): string | null {
  if (others.has(path)) return null;
  if (path.startsWith('sdp.')) return path;
  const ends = [...path.matchAll(/[.[]/g)].map(({ index }) => index);
  return ends.map((end) => path.slice(0, end)).find((branch) => !others.has(branch)) ?? path;
}

function missing(side: string, here: Flat, there: Flat): readonly string[] {
  const others = branches(there);
  const found = new Map<string, string>();
  for (const [path, value] of here) {
    const branch = missingBranch(path, others);
    if (branch === null || there.has(path)) continue;
    const shown = branch === path && value !== 'present' ? ` = ${value}` : '';
    found.set(branch, `only ${side}: ${branch}${shown}`);
  }
  return [...found.values()];
}

/** Result and reason in one, when one side refuses what the other does. */
function outcome(flat: Flat): string {
  return [flat.get('result'), flat.get('error-reason')]
    .filter((each) => each !== undefined)
    .join(' ');
}

/**
 * Differences in words. A whole branch that only one side has is named once; where the results
 * differ, the rest says nothing.
 */
export function differences(reference: Flat, subject: Flat): readonly string[] {
  if (reference.get('result') !== subject.get('result')) {
    return [`rtpengine ${outcome(reference)}, rtprelayd ${outcome(subject)}`];
  }
  const changed = [...reference].flatMap(([path, theirs]) => {
    const ours = subject.get(path);
    if (ours === undefined || ours === theirs) return [];
    return [`${path}: rtpengine ${theirs}, rtprelayd ${ours}`];
  });
  return [
    ...missing('rtpengine', reference, subject),
    ...missing('rtprelayd', subject, reference),
    ...changed,
  ];
}
