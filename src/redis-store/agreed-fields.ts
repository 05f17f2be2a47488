/** How packets of a media are treated while an offer is not answered (`Media.agreed`), in one additional field. */
import { agreedOf, inUse } from '../media/agreed.js';
import type { AgreedSecurity, FormerKey, Media } from '../media/call-state.js';
import type { MediaDirection } from '../media/media-attributes.js';
import { cryptoLineText, readCryptoLine, type CryptoLine } from '../media/sdes/crypto-line.js';
import { sdesMarks, sdesOf } from '../media/sdes/stored.js';
import { putBundle, readBundle, readHeaderExtensions } from './bundle-fields.js';
import { Fields } from './fields.js';
import { mediaBitsOf, mediaFlagTables, mediaModesOf } from './flags.js';
import { extraFields, packList, unpackList } from './schema.js';
import { putIce, putSecurity, readIce, readSecurity } from './security-fields.js';
import { readSrtpIndexes, reservedIndexes, resumeFrom, srtpIndexText } from './srtp-indexes.js';
import { FieldReader } from './stored-value.js';
import type { StoredIndex } from './subscriptions.js';

const asItIs = (text: string): string => text;

/** Names and values of the fields that a media would have that says so. */
export function agreedText(media: Media, index: StoredIndex): string {
  const used = inUse(media);
  const fields = new Fields();
  const { bits, others } = mediaFlagTables.current.encode(mediaBitsOf(used), undefined);
  fields.put('protocol', used.protocol);
  fields.put('media_flags', bits);
  if (others !== '') fields.put(extraFields.flags, others);
  putSecurity({ text: asItIs, blob: asItIs }, fields, used);
  const marks = sdesMarks(used);
  if (marks !== null) fields.put(extraFields.sdes, marks);
  putIce(fields, used);
  if (used.mid !== null) fields.put('media_id', used.mid);
  putBundle(fields, used, index);
  return packList(fields.entries.flat());
}

/** null: nothing is held back. @param medias how many the call has. @throws RestoreError */
export function readAgreed(media: FieldReader, medias: number): AgreedSecurity | null {
  const text = media.optional(extraFields.agreed);
  if (text === null) return null;
  const items = unpackList(text);
  const named = new Map<string, string>();
  for (let at = 0; at + 1 < items.length; at += 2) named.set(items[at] ?? '', items[at + 1] ?? '');
  const fields = new FieldReader(named, `${media.member}: ${extraFields.agreed}`, media.reason);
  const bits = fields.text('media_flags', '0');
  const { flags } =
    mediaFlagTables.current.decode(bits, fields.text(extraFields.flags)) ??
    fields.fail('media_flags');
  const modes = mediaModesOf(flags);
  const protocol = fields.text('protocol');
  const security = readSecurity(fields, modes);
  const sdes = sdesOf(security, protocol, fields.optional(extraFields.sdes));
  const ice = readIce(fields, modes.ice);
  return agreedOf(
    { security, sdes, ice, flags: modes.flags },
    {
      ...{ protocol, rtcpMux: modes.rtcpMux, mid: fields.optional('media_id') },
      ...{ bundle: readBundle(fields, medias), extensions: readHeaderExtensions(fields) },
    },
  );
}

/** In the place of our own former key: SRTP passed through. */
const passedMark = 'passed';

/** What its side encrypted with before (`Media.formerKey`), which counts until something comes by the present key. */
export function putFormerKey(fields: Fields, { formerKey }: Media): void {
  if (formerKey === null) return;
  const { line, send, passed, indexes } = formerKey;
  const text = (each: CryptoLine): string => cryptoLineText(each, { pad: false, lifetime: false });
  const ours = passed ? [passedMark] : send === null ? [] : [text(send)];
  fields.put(extraFields.formerKey, packList([text(line), srtpIndexText(indexes), ...ours]));
}

/** null: there is none, or it cannot be read: the present one is what counts. */
export function readFormerKey(media: FieldReader): FormerKey | null {
  const text = media.optional(extraFields.formerKey);
  if (text === null) return null;
  const [written = '', indexText = '', ours = ''] = unpackList(text);
  const line = readCryptoLine(written);
  if (typeof line === 'string') return null;
  const send = readCryptoLine(ours);
  const known = readSrtpIndexes(indexText);
  const resume = resumeFrom(known);
  const indexes = reservedIndexes(known, resume);
  const passed = ours === passedMark;
  return { line, send: typeof send === 'string' ? null : send, passed, indexes, resume };
}

const directions: readonly MediaDirection[] = ['sendrecv', 'sendonly', 'recvonly', 'inactive'];

/** null: the direction of the last body counts. @throws RestoreError */
export function readAgreedDirection(media: FieldReader): MediaDirection | null {
  const text = media.optional(extraFields.agreedDirection);
  if (text === null) return null;
  return (
    directions.find((direction) => direction === text) ?? media.fail(extraFields.agreedDirection)
  );
}
