/** What the relay has to know of bundles. Pure. */
import type { CallIndex } from '../call-index.js';
import type { Media, Stream } from '../call-state.js';
import { noBundle } from '../media-attributes.js';
import type { DemuxEntry, DemuxTable } from '../packet-plan.js';
import { midExtensionOf } from './extensions.js';
import { usesOther } from './negotiation.js';

/** The bundles of a call. */
export class Bundles {
  /** Medias by the one that carries them, itself included, in the order of their groups. */
  readonly #members = new Map<number, Media[]>();

  constructor(private readonly index: CallIndex) {
    const { medias } = index.state;
    if (medias.every(({ bundle }) => bundle === noBundle)) return;
    for (const media of medias) {
      const carrier = this.#carrierOf(media);
      if (carrier === null) continue;
      const list = this.#members.get(carrier.id);
      if (list === undefined) this.#members.set(carrier.id, [media]);
      else list.push(media);
    }
    for (const list of this.#members.values()) {
      const place = ({ bundle: { group, order } }: Media): number => (group === 0 ? 1e6 : order);
      list.sort((a, b) => place(a) - place(b));
    }
  }

  /**
   * Stored values may say anything, and an answer of somebody else ends a bundle on the sections that it has:
   * only a media of the same side that has a transport, and knows of it, carries.
   */
  #carrierOf(media: Media): Media | null {
    const { carrier } = media.bundle;
    const found = carrier === null ? undefined : this.index.medias.get(carrier);
    if (found === undefined || found.participantId !== media.participantId) return null;
    return found.bundle.carrier !== found.id || found.streams.length === 0 ? null : found;
  }

  /** The stream whose transport a stream uses; itself where that is its own. */
  transportOf(stream: Stream, media: Media): number {
    if (stream.component !== 1 || media.streams[0] !== stream.id || !usesOther(media))
      return stream.id;
    return this.#carrierOf(media)?.streams[0] ?? stream.id;
  }

  /**
   * Ids of open sockets by the streams whose transports they belong to. Until an offer is answered that takes a section out
   * of its bundle, its own are there already, and it goes on in the bundle.
   */
  portsOf(open: ReadonlyMap<number, readonly number[]>): ReadonlyMap<number, readonly number[]> {
    let ports: Map<number, readonly number[]> | null = null;
    for (const media of this.#members.size === 0 ? [] : this.index.state.medias) {
      const carrier = usesOther(media) ? this.#carrierOf(media) : null;
      const [to] = carrier?.streams ?? [];
      const [from] = media.streams;
      const own = open.get(from ?? -1);
      if (to === undefined || from === undefined || own === undefined) continue;
      ports ??= new Map(open);
      ports.set(to, [...(ports.get(to) ?? []), ...own]);
      ports.delete(from);
    }
    return ports ?? open;
  }

  /** null: nothing else arrives on its transport. */
  tableOf(stream: Stream, media: Media): DemuxTable | null {
    const members = this.#members.get(media.id) ?? [];
    if (members.length < 2 || media.streams[0] !== stream.id) return null;
    const ids = members.map(midExtensionOf).filter((id) => id !== null);
    return { midExtension: ids[0] ?? null, streams: members.flatMap(entryOf) };
  }
}

function entryOf(media: Media): readonly DemuxEntry[] {
  const [streamId] = media.streams;
  if (streamId === undefined) return [];
  // Its section was refused: nothing is its.
  if (media.bundle.group === 0) return [{ streamId, mid: null, ssrcs: [], payloadTypes: [] }];
  const types = [...media.codecs, ...(media.offered ?? [])].map(({ payloadType }) => payloadType);
  const payloadTypes = [...new Set(types)].filter((type) => type >= 0 && type <= 127);
  const { ssrcs, learned } = media.bundle;
  return [{ streamId, mid: media.mid, ssrcs: [...ssrcs, ...learned], payloadTypes }];
}
