/** What the codec lists of a request leave of a section (ng-protocol.md §4.4); no codec is run. */
import type { Codec } from './call-state.js';
import type { SignallingRequest } from './signalling.js';
import { goesWithSound, maskedCodecs, shownCodecs } from '../sdp/edits.js';
import type { SdpCodec } from '../sdp/types.js';

/** Whether it is a codec for sound or pictures, rather than what goes with one. */
export const isAudible = ({ encoding }: Pick<SdpCodec, 'encoding'>): boolean =>
  !/^(?:telephone-event|CN|)$/i.test(encoding);

/** The same codec, whatever its number; one without a name is told by its number. */
export const isSameCodec = (a: SdpCodec | Codec, b: Codec): boolean =>
  a.encoding === ''
    ? a.payloadType === b.payloadType
    : a.encoding.toLowerCase() === b.encoding.toLowerCase() &&
      a.clockRate === b.clockRate &&
      a.channels === b.channels;

/** Whether the lists leave nothing of what the section has. */
export function leavesNothing(
  codecs: readonly Pick<SdpCodec, 'encoding' | 'clockRate' | 'channels' | 'fmtp'>[],
  { edits }: SignallingRequest,
): boolean {
  const lists = edits?.codecs ?? null;
  return lists !== null && codecs.length > 0 && shownCodecs(codecs, lists).length === 0;
}

/** Payload types that a codec is about: those it repeats (rtx, RFC 4588 §8.6) or carries (red, RFC 2198 §5). */
function subjectsOf({ encoding, fmtp }: Codec): readonly number[] | null {
  // rtx or red.
  if (encoding.length !== 3) return null;
  const name = encoding.toLowerCase();
  if (name === 'rtx') {
    const [, apt] = /(?:^|[;\s])apt\s*=\s*(\d{1,3})/i.exec(fmtp) ?? [];
    return apt === undefined ? null : [Number(apt)];
  }
  if (name !== 'red' || !/^\d{1,3}(?:\/\d{1,3})*$/.test(fmtp)) return null;
  return fmtp.split('/').map(Number);
}

/** Without those that are about codecs which are not there: browsers refuse such a section. */
function withoutOrphans(codecs: readonly Codec[]): readonly Codec[] {
  let left = codecs;
  if (!codecs.some((codec) => subjectsOf(codec) !== null)) return codecs;
  for (;;) {
    const types = new Set(left.map(({ payloadType }) => payloadType));
    const kept = left.filter(
      (codec) => subjectsOf(codec)?.every((type) => types.has(type)) !== false,
    );
    // A repetition of what has gone just now goes as well.
    if (kept.length === left.length || kept.length === 0) return left;
    left = kept;
  }
}

/**
 * Digits and comfort noise have the clock of the sound that they stand in for (RFC 4733 §2.1): when the lists
 * have taken the last codec of a clock, they go with it (10.5 and 12.5 seen).
 */
function withoutStrayClocks(left: readonly Codec[], all: readonly Codec[]): readonly Codec[] {
  if (left.length === all.length) return left;
  const kept = clocksOf(left);
  const lost = clocksOf(all.filter((codec) => !left.includes(codec)));
  const stays = (codec: Codec): boolean =>
    !goesWithSound(codec) || kept.has(codec.clockRate) || !lost.has(codec.clockRate);
  return left.some(isAudible) ? left.filter(stays) : left;
}

const clocksOf = (codecs: readonly Codec[]): ReadonlySet<number> =>
  new Set(codecs.filter(isAudible).map(({ clockRate }) => clockRate));

/**
 * The codecs that the other side is shown; all of them when nothing would be left. (Where the request allows
 * sections without codecs, such a one has been refused before.)
 */
export function shownTo(
  kind: 'offer' | 'answer',
  codecs: readonly Codec[],
  request: SignallingRequest,
): readonly Codec[] {
  const lists = request.edits?.codecs ?? null;
  const left = lists === null ? codecs : withoutStrayClocks(shownCodecs(codecs, lists), codecs);
  const shown = withoutOrphans(left.length > 0 ? left : codecs);
  if (kind === 'offer' || !request.flags.has('single-codec')) return shown;
  const chosen = shown.find(isAudible);
  return withoutOrphans(shown.filter((codec) => codec === chosen || !isAudible(codec)));
}

const nameOf = ({ encoding, clockRate, channels }: Codec): string =>
  `${encoding.toLowerCase()}/${clockRate}/${channels}`;

/** Codecs in the order that they had before, of an answer in its offer (flag reuse-codecs; 12.5 seen); others follow. */
export function inOrderOf(before: readonly Codec[], codecs: readonly Codec[]): readonly Codec[] {
  const names = before.map(nameOf);
  const position = (codec: Codec): number => {
    const at = names.indexOf(nameOf(codec));
    return at < 0 ? names.length : at;
  };
  return codecs.toSorted((one, other) => position(one) - position(other));
}

/** Of the codecs those that were agreed on, in that order; all when none of them is left (flag static-codecs; 12.5 seen). */
export function agreedCodecs(before: readonly Codec[], codecs: readonly Codec[]): readonly Codec[] {
  const names = codecs.map(nameOf);
  const agreed = before.flatMap((codec) => codecs[names.indexOf(nameOf(codec))] ?? []);
  return agreed.some(isAudible) ? agreed : codecs;
}

/** What an answer may have: what was shown, then what was masked. */
export function answerable(
  codecs: readonly Codec[],
  shown: readonly Codec[],
  { edits }: SignallingRequest,
): readonly Codec[] {
  const lists = edits?.codecs ?? null;
  if (lists === null) return shown;
  const masked = maskedCodecs(codecs, lists).filter((codec) => !shown.includes(codec));
  return masked.length === 0 ? shown : [...shown, ...masked];
}
