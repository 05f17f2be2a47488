/** What bodies say of bundles: groups, sources, header extensions (RFC 9143, 5576, 8285). Pure. */
import { parse } from 'sdp-transform';
import type { HeaderExtension, MediaBundle } from '../media-attributes.js';
import type { SdpMedia, SdpSession } from '../../sdp/types.js';

/** The mids of each a=group:BUNDLE of a session, in its order. */
export const bundleGroups = (session: SdpSession): readonly (readonly string[])[] =>
  session.attributes.flatMap(({ name, value }) => {
    if (name !== 'group' || value === null) return [];
    const [semantics, ...mids] = value.trim().split(/\s+/);
    return semantics === 'BUNDLE' && mids.length > 0 ? [mids] : [];
  });

/** Port 0 with a=bundle-only is no refusal, for who takes the bundle (RFC 9143 §6). */
export const isBundleOnly = ({ port, attributes }: SdpMedia): boolean =>
  port === 0 && attributes.some(({ name }) => name === 'bundle-only');

/** Of one line: nobody writes more, and what is longer is not looked at. */
const maxLineLength = 1024;
/** Of one section. */
const maxLines = 64;

/** Values of an attribute that can be read at all. */
const valuesOf = ({ attributes }: SdpMedia, wanted: string): readonly string[] =>
  attributes
    .flatMap(({ name, value }) => (name === wanted && value !== null ? [value] : []))
    .filter((value) => value.length <= maxLineLength && !/[\r\n]/.test(value))
    .slice(0, maxLines);

/** SSRCs that the section names, each once. */
export function ssrcsOf(section: SdpMedia): MediaBundle['ssrcs'] {
  const lines = valuesOf(section, 'ssrc').map((value) => `a=ssrc:${value}`);
  if (lines.length === 0) return [];
  const { ssrcs = [] } = parse(['m=- 9 - -', ...lines].join('\n')).media[0] ?? {};
  const known = ssrcs.map(({ id }) => Number(id));
  return [...new Set(known.filter((id) => Number.isInteger(id) && id > 0 && id <= 0xffff_ffff))];
}

/** `ID[/DIRECTION]`, URI, and what follows them. */
interface WrittenExtension extends Omit<HeaderExtension, 'inUse'> {
  /** All behind the id: the value of a=extmap with another id is the id and this. */
  readonly rest: string;
}

/** The header extensions of a section; ids that no packet can have are left out, as RFC 8285 §4.2 has it. */
export function writtenExtensions(section: SdpMedia): readonly WrittenExtension[] {
  return valuesOf(section, 'extmap').flatMap((value) => {
    const [, id = '', rest = '', uri = ''] =
      /^(\d{1,5})((?:\/\w+)?[ \t]+(\S+).*)$/.exec(value.trim()) ?? [];
    const number = Number(id);
    return uri !== '' && number >= 1 && number <= 0xffff ? [{ id: number, uri, rest }] : [];
  });
}

/** RFC 9143 §15.2. */
export const midUri = 'urn:ietf:params:rtp-hdrext:sdes:mid';

/** Numbers the packets of a whole transport: of use only to who sees all of them. */
export const isTransportWide = (uri: string): boolean =>
  uri.includes('transport-wide-cc-extensions');
