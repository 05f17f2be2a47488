/** What a section says of ICE (RFC 8839, 8838, 8840). Pure; what cannot be read counts as absent. */
import { parse } from 'sdp-transform';
import type { IceCandidate, IceCredentials } from '../media-attributes.js';
import { canonicalAddress } from '../../sdp/address.js';
import type { SdpAttribute, SdpMedia, SdpSession } from '../../sdp/types.js';

/** ICE as one side speaks it in one section. */
export interface OfferedIce {
  /** null: none that are usable (RFC 8839 §5.4: 4 to 256 and 22 to 256 characters). */
  readonly credentials: IceCredentials | null;
  readonly candidates: readonly IceCandidate[];
  readonly trickle: boolean;
  readonly ice2: boolean;
  readonly lite: boolean;
  readonly endOfCandidates: boolean;
}

type Attributes = readonly SdpAttribute[];

// RFC 8839 has letters, digits, + and /; others are not refused, as with 10.5.
const ufragPattern = /^[!-~]{4,256}$/;
const pwdPattern = /^[!-~]{22,256}$/;

const lastOf = (attributes: Attributes, name: string): string | null =>
  attributes.findLast((attribute) => attribute.name === name)?.value ?? null;

const has = (attributes: Attributes, name: string): boolean =>
  attributes.some((attribute) => attribute.name === name);

/** Those of the section before those of the session. */
function credentialsIn(media: Attributes, session: Attributes): IceCredentials | null {
  const ufrag = lastOf(media, 'ice-ufrag') ?? lastOf(session, 'ice-ufrag');
  const pwd = lastOf(media, 'ice-pwd') ?? lastOf(session, 'ice-pwd');
  if (ufrag === null || pwd === null) return null;
  return ufragPattern.test(ufrag) && pwdPattern.test(pwd) ? { ufrag, pwd } : null;
}

/** Browsers have a few dozen at most. */
const maxCandidates = 128;
/** Of one line: nobody writes more, and what is longer is not looked at. */
const maxLineLength = 1024;

const types = ['host', 'srflx', 'prflx', 'relay'] as const;

const isNumberWithin = (value: unknown, least: number, greatest: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= least && value <= greatest;

/** What `sdp-transform` makes of a line: numbers where they are written as such, else text. */
interface ParsedCandidate {
  readonly foundation?: string | number;
  readonly component?: string | number;
  readonly transport?: string | number;
  readonly priority?: string | number;
  readonly ip?: string | number;
  readonly port?: string | number;
  readonly type?: string | number;
  readonly raddr?: string | number;
  readonly rport?: string | number;
}

function relatedEndpoint({ raddr, rport }: ParsedCandidate): IceCandidate['related'] {
  const address = canonicalAddress(String(raddr ?? ''));
  return address === null || !isNumberWithin(rport, 0, 65_535) ? null : { address, port: rport };
}

/**
 * The value of one a=candidate line. null: it cannot be read, is not for UDP, or names no address that could
 * be sent to: browsers write host names that only their own network resolves.
 */
export function readCandidate(value: string): IceCandidate | null {
  if (value.length > maxLineLength || /[\r\n]/.test(value)) return null;
  const { candidates } = parse(`m=- 9 - -\na=candidate:${value}`).media[0] ?? {};
  const line: ParsedCandidate | undefined = candidates?.[0];
  if (line === undefined) return null;
  const { component, priority, port } = line;
  const type = types.find((known) => known === line.type);
  const address = canonicalAddress(String(line.ip ?? ''));
  const isUdp = String(line.transport ?? '').toUpperCase() === 'UDP';
  if (!isUdp || type === undefined || address === null || address.includes('%')) return null;
  if (!isNumberWithin(component, 1, 256) || !isNumberWithin(port, 1, 65_535)) return null;
  if (!isNumberWithin(priority, 0, 0xffff_ffff)) return null;
  return {
    foundation: String(line.foundation ?? ''),
    component,
    priority,
    endpoint: { address, port },
    type,
    related: relatedEndpoint(line),
  };
}

function candidatesIn(attributes: Attributes): readonly IceCandidate[] {
  const candidates: IceCandidate[] = [];
  for (const { name, value } of attributes) {
    if (name !== 'candidate' || value === null) continue;
    const candidate = readCandidate(value);
    if (candidate !== null) candidates.push(candidate);
    if (candidates.length >= maxCandidates) break;
  }
  return candidates;
}

function addOptions(options: string[], attributes: Attributes): void {
  for (const { name, value } of attributes)
    if (name === 'ice-options' && value !== null) options.push(...value.split(/\s+/));
}

/** ICE of a section; null: it does not speak it. Candidates and options alone say nothing (10.5 seen). */
export function offeredIce(
  media: Pick<SdpMedia, 'attributes'>,
  session: Pick<SdpSession, 'attributes'>,
): OfferedIce | null {
  const spoken = has(media.attributes, 'ice-ufrag') || has(session.attributes, 'ice-ufrag');
  return spoken ? readIce(media, session) : null;
}

/** What a section says of ICE. */
export function readIce(
  media: Pick<SdpMedia, 'attributes'>,
  session: Pick<SdpSession, 'attributes'>,
): OfferedIce {
  const own = media.attributes;
  const shared = session.attributes;
  const options: string[] = [];
  addOptions(options, own);
  addOptions(options, shared);
  return {
    credentials: credentialsIn(own, shared),
    candidates: candidatesIn(own),
    trickle: options.includes('trickle'),
    ice2: options.includes('ice2'),
    lite: has(shared, 'ice-lite') || has(own, 'ice-lite'),
    endOfCandidates: has(own, 'end-of-candidates') || has(shared, 'end-of-candidates'),
  };
}

/** The value of a=candidate. */
export function candidateText(candidate: IceCandidate): string {
  const { foundation, component, priority, endpoint, type, related } = candidate;
  const own = `${foundation} ${component} UDP ${priority} ${endpoint.address} ${endpoint.port}`;
  return related === null
    ? `${own} typ ${type}`
    : `${own} typ ${type} raddr ${related.address} rport ${related.port}`;
}
