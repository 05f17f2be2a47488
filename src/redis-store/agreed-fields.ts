/** How packets of a media are treated while an offer is not answered (`Media.agreed`), in one additional field. */
import { agreedOf, inUse } from '../media/agreed.js';
import type {
  AgreedSecurity,
  Association,
  AssociationKeys,
  FormerSecurity,
  Media,
} from '../media/call-state.js';
import type { MediaDirection, SrtpKeys } from '../media/media-attributes.js';
import { cryptoLineText, readCryptoLine, type CryptoLine } from '../media/sdes/crypto-line.js';
import { keysOfLine, lineOfKeys, sdesMarks, sdesOf } from '../media/sdes/stored.js';
import { reservedIndexes, resumeFrom } from '../media/srtp-resume.js';
import { putBundle, readBundle, readHeaderExtensions } from './bundle-fields.js';
import { Fields } from './fields.js';
import { mediaBitsOf, mediaFlagTables, mediaModesOf } from './flags.js';
import { extraFields, listStart, packList, unpackList } from './schema.js';
import { putIce, putSecurity, readIce, readSecurity } from './security-fields.js';
import { readSrtpIndexes, srtpIndexText } from './srtp-indexes.js';
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
/** In the place of the former key. */
const plainMark = 'plain';
const associationMark = 'DTLS';

const lineText = (line: CryptoLine): string =>
  cryptoLineText(line, { pad: false, lifetime: false });

function keysText(keys: SrtpKeys | undefined): string {
  const line = lineOfKeys(keys ?? null);
  return line === null ? '' : lineText(line);
}

const associationTexts = ({ indexes, name, keys }: Association): readonly string[] => [
  ...[srtpIndexText(indexes), name],
  ...keys.flatMap((each) => [keysText(each?.receive), keysText(each?.send)]),
];

/** How far it was known to have come, and where it goes on. */
function readResume(indexText: string): Pick<Association, 'indexes' | 'resume'> {
  const known = readSrtpIndexes(indexText);
  const resume = resumeFrom(known);
  return { indexes: reservedIndexes(known, resume), resume };
}

/** Lists of earlier ones come behind the keys, which begin otherwise than any list. */
function readAssociation([indexText = '', name = '', ...more]: readonly string[]): Association {
  const keys = readAssociationKeys(more.filter((text) => !text.startsWith(listStart)));
  return { name, keys, ...readResume(indexText) };
}

function formerText(former: FormerSecurity): string {
  if (former.kind === 'plain') return packList([plainMark]);
  const indexes = srtpIndexText(former.indexes);
  if (former.kind === 'DTLS') {
    const earlier = former.earlier.map((each) => packList(associationTexts(each)));
    return packList([associationMark, ...associationTexts(former), ...earlier]);
  }
  const { line, send, passed } = former;
  const ours = passed ? [passedMark] : send === null ? [] : [lineText(send)];
  return packList([lineText(line), indexes, ...ours]);
}

/** How its side secured its media before (`Media.former`), which counts until something comes as is agreed on now. */
export function putFormer(fields: Fields, { former }: Media): void {
  if (former !== null) fields.put(extraFields.formerKey, formerText(former));
}

function readKeys(text: string): SrtpKeys | null {
  const line = readCryptoLine(text);
  return typeof line === 'string' ? null : keysOfLine(line);
}

function readAssociationKeys(texts: readonly string[]): readonly (AssociationKeys | null)[] {
  const keys: (AssociationKeys | null)[] = [];
  for (let at = 0; at < texts.length; at += 2) {
    const [receive, send] = [readKeys(texts[at] ?? ''), readKeys(texts[at + 1] ?? '')];
    keys.push(receive === null || send === null ? null : { receive, send });
  }
  return keys;
}

/** null: there is none, or it cannot be read: what is agreed on now is what counts. */
export function readFormer(media: FieldReader): FormerSecurity | null {
  const text = media.optional(extraFields.formerKey);
  if (text === null) return null;
  const [written = '', ...rest] = unpackList(text);
  if (written === plainMark) return { kind: 'plain' };
  if (written === associationMark) {
    const earlier = rest.filter((each) => each.startsWith(listStart)).map(unpackList);
    return { kind: 'DTLS', ...readAssociation(rest), earlier: earlier.map(readAssociation) };
  }
  const [indexText = '', ours = ''] = rest;
  const line = readCryptoLine(written);
  if (typeof line === 'string') return null;
  const send = readCryptoLine(ours);
  const passed = ours === passedMark;
  return {
    ...{ kind: 'SDES', line, send: typeof send === 'string' ? null : send },
    ...{ passed, ...readResume(indexText) },
  };
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
