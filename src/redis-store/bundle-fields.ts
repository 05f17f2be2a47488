/** Bundles and header extensions as fields of the stored medias. */
import type { Media } from '../media/call-state.js';
import { noBundle, type HeaderExtension, type MediaBundle } from '../media/media-attributes.js';
import type { Fields } from './fields.js';
import { extraFields, packList, unpackList } from './schema.js';
import { parseInteger, type FieldReader } from './stored-value.js';
import type { StoredIndex } from './subscriptions.js';

/** Of one section. */
const maxSsrcs = 64;

/** Where the call goes on, what was learned is known as what was named is. */
const sourcesOf = ({ ssrcs, learned }: MediaBundle): readonly number[] => {
  const named = ssrcs.slice(0, maxSsrcs);
  const room = maxSsrcs - named.length;
  return room === 0 ? named : [...named, ...learned.slice(-room)];
};

export function putBundle(fields: Fields, { bundle, extensions }: Media, index: StoredIndex): void {
  if (bundle !== noBundle) {
    const { group, order, carrier, agreed } = bundle;
    const [position = '-1'] = index.stored(index.mediaAt, carrier === null ? [] : [carrier]);
    fields.put(
      extraFields.bundle,
      [group, order, position, agreed ? 1 : 0, ...sourcesOf(bundle)].join(' '),
    );
  }
  if (extensions.length > 0)
    fields.put(
      extraFields.extensions,
      packList(extensions.map(({ id, uri, inUse }) => `${id}${inUse ? '' : '-'} ${uri}`)),
    );
}

/** @param medias how many the call has. @throws RestoreError */
export function readBundle(fields: FieldReader, medias: number): MediaBundle {
  const text = fields.text(extraFields.bundle);
  if (text === '') return noBundle;
  const numbers = text.split(' ').map((word) => parseInteger(word) ?? -2);
  const [group = -2, order = -2, carrier = -2, agreed = -2, ...ssrcs] = numbers;
  const isWrong =
    group < 0 || order < 0 || carrier < -1 || carrier >= medias || agreed < 0 || agreed > 1;
  if (isWrong || ssrcs.length > maxSsrcs || ssrcs.some((one) => one < 0 || one > 0xffff_ffff))
    fields.fail(extraFields.bundle);
  return {
    group,
    order,
    carrier: carrier < 0 ? null : carrier,
    agreed: agreed === 1,
    ssrcs,
    learned: [],
  };
}

/** @throws RestoreError */
export function readHeaderExtensions(fields: FieldReader): readonly HeaderExtension[] {
  const text = fields.text(extraFields.extensions);
  if (text === '') return [];
  return unpackList(text).map((line) => {
    const blank = line.indexOf(' ');
    const isDeclined = line[blank - 1] === '-';
    const id = parseInteger(line.slice(0, isDeclined ? blank - 1 : blank));
    if (id === null || id < 1 || id > 0xffff || blank < 0)
      return fields.fail(extraFields.extensions);
    return { id, uri: line.slice(blank + 1), inUse: !isDeclined };
  });
}
