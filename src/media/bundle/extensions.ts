/**
 * Header extensions of sides that bundle (RFC 8285, RFC 9143 §15): the sections of a bundle have one numbering,
 * and its packets say their MID where nothing else may tell them apart. Pure.
 */
import { noExtensions, type Media } from '../call-state.js';
import { noBundle, type HeaderExtension } from '../media-attributes.js';
import type { MediaPair } from '../media-pair.js';
import type { ExtensionRewrite } from '../packet-plan.js';
import type { SignallingKind, SignallingRequest } from '../signalling.js';
import { isRemovedExtension } from '../../sdp/edits.js';
import type { SdpMedia } from '../../sdp/types.js';
import { isTransportWide, midUri, writtenExtensions } from './attributes.js';
import { isBundled } from './negotiation.js';

type Numbered = Pick<HeaderExtension, 'id' | 'uri'>;

const asUsed = ({ id, uri }: Numbered): HeaderExtension => ({ id, uri, inUse: true });

/** Ids that fit into the short form (RFC 8285 §4.2). */
const shortIds = Array.from({ length: 14 }, (_, at) => at + 1);

/** One numbering for the sections of a group. */
class Numbering {
  readonly #ids = new Map<string, number>();
  readonly #taken = new Set<number>();

  /** What the side knows already stays. */
  know(extensions: readonly HeaderExtension[]): void {
    for (const { id, uri } of extensions) {
      if (this.#ids.has(uri) || this.#taken.has(id)) continue;
      this.#ids.set(uri, id);
      this.#taken.add(id);
    }
  }

  /** `wanted` if nobody has it. null: there are none left. */
  idOf(uri: string, wanted: number | null): number | null {
    const known = this.#ids.get(uri);
    if (known !== undefined) return known;
    const id =
      wanted !== null && !this.#taken.has(wanted)
        ? wanted
        : (shortIds.find((each) => !this.#taken.has(each)) ?? null);
    if (id === null) return null;
    this.#ids.set(uri, id);
    this.#taken.add(id);
    return id;
  }
}

const concerns = ({ sender, receiver, rejected, untouched }: MediaPair): boolean =>
  !rejected && !untouched && (sender.bundle !== noBundle || receiver.bundle !== noBundle);

/** One side sends over one transport what the other gets over several: what counts per transport has no meaning. */
function differs(kind: SignallingKind, { sender, receiver }: MediaPair): boolean {
  const toReceiver = kind === 'offer' ? receiver.bundle.group > 0 : isBundled(receiver);
  return isBundled(sender) !== toReceiver;
}

/** Whether feedback about a whole transport is of no use. */
export const dropsTransportFeedback = (kind: SignallingKind, pair: MediaPair): boolean =>
  concerns(pair) && differs(kind, pair);

/** Settles `extensions` of the medias. */
export function applyExtensions(
  kind: SignallingKind,
  pairs: readonly MediaPair[],
  request: SignallingRequest,
): void {
  const concerned = pairs.filter(concerns);
  if (concerned.length === 0) return;
  const numberings = new Map<number, Numbering>();
  for (const { receiver } of concerned) {
    const { group } = receiver.bundle;
    const numbering = numberings.get(group) ?? new Numbering();
    if (receiver.bundle.agreed || kind === 'answer') numbering.know(receiver.extensions);
    numberings.set(group, numbering);
  }
  const hidden = request.edits?.extensions ?? null;
  for (const pair of concerned) {
    const { section, sender, receiver } = pair;
    const written = writtenExtensions(section);
    const shown = written.filter(
      ({ id, uri, rest }) =>
        (hidden === null || !isRemovedExtension(`${id}${rest}`, hidden)) &&
        !(isTransportWide(uri) && differs(kind, pair)),
    );
    sender.extensions = written.map(asUsed);
    receiver.extensions =
      kind === 'offer'
        ? offered(receiver, shown, numberings.get(receiver.bundle.group))
        : accepted(receiver, shown);
  }
}

function offered(
  { bundle }: Media,
  shown: readonly Numbered[],
  numbering: Numbering | undefined,
): readonly HeaderExtension[] {
  if (bundle.group === 0 || numbering === undefined) return shown.map(asUsed);
  const withMid = shown.some(({ uri }) => uri === midUri)
    ? shown
    : [...shown, { id: null, uri: midUri }];
  return withMid.flatMap(({ id, uri }) => {
    const number = numbering.idOf(uri, id);
    return number === null ? [] : [{ id: number, uri, inUse: true }];
  });
}

/** Of what the offerer has offered: what the answerer takes, and the MID where the relay itself sees to it. */
function accepted(
  { extensions, bundle }: Media,
  shown: readonly Numbered[],
): readonly HeaderExtension[] {
  return extensions.map(({ id, uri }) => ({
    ...{ id, uri },
    inUse: shown.some((each) => each.uri === uri) || (uri === midUri && bundle.carrier !== null),
  }));
}

/** Values of a=extmap for the receiver; null: those of the section. */
export function extensionLines(section: SdpMedia, pair: MediaPair): readonly string[] | null {
  if (!concerns(pair)) return null;
  const written = writtenExtensions(section);
  return pair.receiver.extensions.flatMap(({ id, uri, inUse }) => {
    if (!inUse) return [];
    const known = written.find((each) => each.uri === uri);
    return known === undefined ? `${id} ${uri}` : `${id}${known.rest}`;
  });
}

const idOf = ({ extensions }: Media, uri: string): number | null =>
  extensions.find((each) => each.inUse && each.uri === uri)?.id ?? null;

/** The id of the MID in what the media sends; null: there is none. */
export const midExtensionOf = (media: Media): number | null => {
  const id = idOf(media, midUri);
  return id !== null && id <= 255 ? id : null;
};

/** The MID that packets on their way to the receiver have to say; null: they say it, or need not. */
function addedMid(source: Media, receiver: Media): ExtensionRewrite['mid'] {
  const id = midExtensionOf(receiver);
  if (id === null || receiver.mid === null || !isBundled(receiver)) return null;
  const says = midExtensionOf(source) !== null && source.mid === receiver.mid;
  return says ? null : { id, value: receiver.mid };
}

/** What becomes of the extensions in what `source` sends on its way to `receiver`; null: they stay. */
export function extensionRewrite(source: Media, receiver: Media): ExtensionRewrite | null {
  const { hiddenExtensions: hidden } = receiver;
  const ids = new Map<number, number | null>();
  let mid: ExtensionRewrite['mid'] = null;
  if (source.bundle !== noBundle || receiver.bundle !== noBundle) {
    for (const { id, uri } of source.extensions) {
      const there = idOf(receiver, uri);
      if (id <= 255 && there !== id) ids.set(id, there !== null && there <= 255 ? there : null);
    }
    mid = addedMid(source, receiver);
  }
  if (hidden !== 'all') for (const id of hidden) ids.set(id, null);
  if (hidden === 'all') ids.clear();
  if (ids.size === 0 && mid === null && hidden === noExtensions) return null;
  return { ids, others: hidden === 'all' ? 'remove' : 'keep', mid };
}
