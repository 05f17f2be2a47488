/** What a request wants changed in the body for the other side, beyond what relaying takes (ng-protocol.md §4.4, §4.5). */
import type { AttributeEdits, SdpCodec, SdpMedia } from './types.js';

/** Codec specifications `NAME[/clock[/channels[/bitrate[/ptime[/fmtp]]]]]`, `all` or `full`. */
export interface CodecLists {
  readonly strip: string[];
  readonly except: string[];
  readonly offer: string[];
  readonly mask: string[];
  readonly consume: string[];
  readonly transcode: string[];
  /** Of a published body: what its answer may have. */
  readonly accept: string[];
}

export const newCodecLists = (): CodecLists => ({
  ...{ strip: [], except: [], offer: [], mask: [], consume: [], transcode: [], accept: [] },
});

export interface BodyEdits {
  /** By type of media; `session` for the lines before the first m=. null: none. */
  attributes: Map<string, AttributeEdits> | null;
  /** Characters in them: each may be written once for each line of the body. */
  attributeText: number;
  /** Types of media whose sections are left out; null: none. */
  removedMedia: Set<string> | null;
  /** null: none. */
  codecs: CodecLists | null;
  /** Header extensions (RFC 8285) to leave out: their URIs, or `all`; null: none. */
  extensions: Set<string> | null;
  /** a=ptime in ms for the receiver and for the sender; null: as received. */
  ptimeMs: number | null;
  ptimeReverseMs: number | null;
}

export function newBodyEdits(): BodyEdits {
  return {
    attributes: null,
    attributeText: 0,
    removedMedia: null,
    codecs: null,
    extensions: null,
    ptimeMs: null,
    ptimeReverseMs: null,
  };
}

/** `name:first word` of an attribute, lower case; the whole of it where it has no further words. */
function headOf(attribute: string): string {
  const blank = attribute.indexOf(' ');
  return blank < 0 ? attribute : attribute.slice(0, blank);
}

function nameOf(attribute: string): string {
  const colon = attribute.indexOf(':');
  return colon < 0 ? attribute : attribute.slice(0, colon);
}

/** Finds what is said of an attribute under its whole text, its head, or its name; undefined: nothing. */
function lookUp<Value>(table: ReadonlyMap<string, Value>, attribute: string): Value | undefined {
  const text = attribute.toLowerCase();
  const key = [text, headOf(text), nameOf(text)].find((candidate) => table.has(candidate));
  return key === undefined ? undefined : table.get(key);
}

/** Edits the a= lines of `lines` from `start` on; additions come last. */
export function editAttributes(lines: string[], start: number, edits: AttributeEdits): void {
  const replaced = new Map<string, string | null>();
  for (const [from, to] of edits.substitute) replaced.set(from.toLowerCase(), to);
  for (const text of edits.remove) replaced.set(text.toLowerCase(), null);
  let kept = start;
  for (let at = start; at < lines.length; at++) {
    const line = lines[at] ?? '';
    const change = line.startsWith('a=') ? lookUp(replaced, line.slice(2)) : undefined;
    if (change === null) continue;
    lines[kept] = change === undefined ? line : `a=${change}`;
    kept += 1;
  }
  lines.length = kept;
  for (const text of edits.add) lines.push(`a=${text}`);
}

type NamedCodec = Pick<SdpCodec, 'encoding' | 'clockRate' | 'channels'>;

/**
 * Whether the specification names the codec: a name alone whatever its clock, `NAME/clock` one of one channel. With a
 * bitrate, or what else follows the channels, it names none (10.5 and 12.5 seen).
 */
export function namesCodec(specification: string, codec: NamedCodec): boolean {
  const [name = '', clock, channels = '1', ...more] = specification.split('/', 4);
  if (more.length > 0 || name === '' || name.toLowerCase() !== codec.encoding.toLowerCase())
    return false;
  if (clock === undefined) return true;
  return Number(clock) === codec.clockRate && Number(channels) === codec.channels;
}

const named = (list: readonly string[], codec: NamedCodec): boolean =>
  list.some((specification) => namesCodec(specification, codec));

/** Digits and comfort noise. */
export const goesWithSound = ({ encoding }: Pick<SdpCodec, 'encoding'>): boolean =>
  /^(?:telephone-event|CN)$/i.test(encoding);

const isEverything = (word: string): boolean => word === 'all' || word === 'full';

/**
 * The codecs that stay in the body, in the order in which they are listed. With `all` those excepted stay in
 * their order, behind them the ones that `offer` and `transcode` name, in the order of these lists (seen with
 * 12.5). What is left out by its name stays out, unless `offer` names it: then it is the last of the sound (10.5 and
 * 12.5 seen).
 */
export function shownCodecs<Each extends NamedCodec>(
  codecs: readonly Each[],
  lists: CodecLists,
): readonly Each[] {
  const hiding = [...lists.strip, ...lists.mask, ...lists.consume];
  const candidates = codecs.filter((codec) => !named(hiding, codec));
  const asked = lists.offer.flatMap((specification) =>
    codecs.filter((codec) => !candidates.includes(codec) && namesCodec(specification, codec)),
  );
  if (asked.length > 0) {
    const at = candidates.findIndex(goesWithSound);
    candidates.splice(at < 0 ? candidates.length : at, 0, ...new Set(asked));
  }
  if (!hiding.some(isEverything)) return candidates;
  const shown = candidates.filter((codec) => named(lists.except, codec));
  const restored = hiding.includes('full') ? lists.offer : [...lists.offer, ...lists.transcode];
  for (const specification of restored) {
    for (const codec of candidates) {
      if (!shown.includes(codec) && namesCodec(specification, codec)) shown.push(codec);
    }
  }
  return shown;
}

/** Those that are hidden from the receiver and taken all the same when its answer has them. */
export function maskedCodecs<Each extends NamedCodec>(
  codecs: readonly Each[],
  lists: CodecLists,
): readonly Each[] {
  const masking = [...lists.mask, ...lists.consume];
  if (masking.length === 0) return [];
  const everything = masking.some(isEverything);
  return codecs.filter((codec) => everything || named(masking, codec));
}

/** Whether the section's type is one of those that are left out. */
export const isRemoved = ({ type }: Pick<SdpMedia, 'type'>, edits: BodyEdits | null): boolean =>
  edits?.removedMedia?.has(type) === true;

/** Whether an a=extmap line is one that is to be left out (`ID[/direction] URI …`). */
export function isRemovedExtension(value: string, extensions: ReadonlySet<string>): boolean {
  if (extensions.has('all')) return true;
  const uri = value.trim().split(/\s+/, 2)[1];
  return uri !== undefined && extensions.has(uri);
}

/** `NAME[/clock[/channels]]` in its parts; 8000 Hz and one channel where it does not say. */
export function parseCodecName(
  specification: string,
): Pick<SdpCodec, 'encoding' | 'clockRate' | 'channels'> {
  const [encoding = '', clock = '', channels = ''] = specification.split('/', 3);
  const clockRate =
    Number(clock) > 0 ? Number(clock) : encoding.toLowerCase() === 'opus' ? 48_000 : 8000;
  const count = Number(channels) > 0 ? Number(channels) : encoding.toLowerCase() === 'opus' ? 2 : 1;
  return { encoding, clockRate, channels: count };
}
