/**
 * Which sections of a side share a transport (RFC 9143). Each side has bundles of its own: what one of them
 * bundles may be apart on the other. Pure; the words are those of ng-protocol.md §4.3:
 *
 * `accept` takes an offered bundle and offers one in turn, as it is with rtcp-mux; `offer` offers one whatever
 * came; with `require` only its first section has a port, so that nobody takes it apart; with `strict` not even
 * that one is taken without the bundle; `reject` takes and offers none. A bundle that is agreed on stays.
 */
import type { Media } from '../call-state.js';
import { noBundle, type MediaBundle } from '../media-attributes.js';
import { setMediaFlag, type MediaPair } from '../media-pair.js';
import { passesThrough } from '../security.js';
import type { SignallingKind, SignallingRequest } from '../signalling.js';
import { codecsOf, isRtpProtocol, midOf } from '../../sdp/view.js';
import { bundleGroups, isBundleOnly, ssrcsOf } from './attributes.js';

export interface BundledPairs {
  readonly pairs: readonly MediaPair[];
  readonly warnings: readonly string[];
}

type Side = 'sender' | 'receiver';

/** It uses the transport of another one. */
export const usesOther = ({ id, bundle: { carrier } }: Pick<Media, 'id' | 'bundle'>): boolean =>
  carrier !== null && carrier !== id;

/** It shares a transport, or is to. */
export const isBundled = ({ bundle }: Pick<Media, 'bundle'>): boolean => bundle.carrier !== null;

/** Settles `bundle` of all medias, and which section says where each of them is. */
export function applyBundles(
  kind: SignallingKind,
  pairs: readonly MediaPair[],
  request: SignallingRequest,
): BundledPairs {
  const isNone =
    request.bundle.size === 0 &&
    pairs.every(
      ({ sender, receiver }) => sender.bundle === noBundle && receiver.bundle === noBundle,
    );
  if (isNone) return { pairs, warnings: [] };
  const bundling = new Bundling(kind, pairs, request);
  if (kind === 'offer') {
    bundling.hearOffer();
    bundling.offerOn();
  } else {
    bundling.hearAnswer();
    bundling.answerOn();
  }
  return { pairs: bundling.pairs, warnings: [...new Set(bundling.warnings)] };
}

class Bundling {
  readonly warnings: string[] = [];
  readonly pairs: MediaPair[];
  readonly #words: SignallingRequest['bundle'];

  constructor(
    private readonly kind: SignallingKind,
    pairs: readonly MediaPair[],
    private readonly request: SignallingRequest,
  ) {
    this.pairs = [...pairs];
    this.#words = request.bundle;
  }

  /** What the offerer has bundled. */
  hearOffer(): void {
    const before = this.#forget('sender');
    const accepts = this.#words.has('accept') && !this.#words.has('reject');
    this.#groups().forEach((members, at) => {
      const known = establishedIn(members, before, 'sender');
      if (known === null && !accepts) return;
      const live = members.filter(
        (pair) => this.#canShare(pair) && (!pair.rejected || isBundleOnly(pair.section)),
      );
      const tagged = live.find(({ rejected }) => !rejected);
      if (tagged === undefined) return;
      // One that has left the group with a place of its own cannot carry it.
      const left = this.pairs.some(
        (pair) => pair.sender.id === known && !pair.rejected && !live.includes(pair),
      );
      const established = left ? null : known;
      const carrier = established ?? tagged.sender.id;
      const ordered = [tagged, ...live.filter((pair) => pair !== tagged)];
      ordered.forEach((pair, place) => {
        const { sender, section } = pair;
        sender.bundle = {
          ...{ group: at + 1, order: place + 1, carrier },
          agreed: established !== null && (before.get(sender.id)?.agreed ?? false),
          ssrcs: ssrcsOf(section),
          learned: before.get(sender.id)?.learned ?? [],
        };
        setMediaFlag(sender, 'bundle-only', section.port === 0);
        // Until it is agreed on, another one may be needed (`answerOn`).
        const isOwn = established === null && section.port !== 0;
        this.#replace(pair, { rejected: false, ...(isOwn ? {} : whereIs(tagged)) });
      });
      this.#keepAlive('sender', established, tagged);
    });
  }

  /** What the receiver of the offer is to bundle. */
  offerOn(): void {
    const before = this.#forget('receiver');
    let group = 0;
    for (const list of this.#toOffer(before)) {
      const established = establishedIn(list, before, 'receiver');
      const members = this.#thatFit(list, before);
      const [first] = members;
      if (first === undefined) continue;
      group += 1;
      const alone =
        established === null && (this.#words.has('require') || this.#words.has('strict'));
      members.forEach(({ receiver }, place) => {
        const known = before.get(receiver.id);
        receiver.bundle = {
          ...{ group, order: place + 1 },
          carrier: established ?? (alone ? first.receiver.id : null),
          agreed: established !== null && (known?.agreed ?? false),
          ssrcs: known?.ssrcs ?? [],
          learned: known?.learned ?? [],
        };
        const only = alone && (place > 0 || this.#words.has('strict'));
        setMediaFlag(receiver, 'bundle-only', only);
      });
      this.#keepAlive('receiver', established, first);
    }
  }

  /** What the answerer has bundled of what it was offered. */
  hearAnswer(): void {
    const before = this.#forget('sender');
    for (const members of groupedBy(this.pairs, before, 'sender')) {
      const established = establishedIn(members, before, 'sender');
      const answered = this.#answered(members, established);
      const hasOwn = ({ sender }: MediaPair): boolean =>
        [null, sender.id].includes(before.get(sender.id)?.carrier ?? null);
      const carrier = established ?? answered.find(hasOwn)?.sender.id ?? null;
      const [tagged] = answered;
      for (const pair of members) {
        const { sender, section } = pair;
        const known = before.get(sender.id) ?? noBundle;
        const order = answered.indexOf(pair) + 1;
        if (tagged !== undefined && carrier !== null && order > 0) {
          sender.bundle = { ...known, order, carrier, agreed: true, ssrcs: ssrcsOf(section) };
          this.#replace(pair, whereIs(tagged));
        } else if (!pair.rejected) {
          const standsAlone = established === null && hasOwn(pair);
          if (!standsAlone || sender.flags.has('bundle-only')) this.#refuse(pair);
        }
      }
      if (tagged !== undefined) this.#keepAlive('sender', established, tagged);
    }
  }

  /** What of its bundle the offerer is told. */
  answerOn(): void {
    const before = this.#forget('receiver');
    for (const members of groupedBy(this.pairs, before, 'receiver')) {
      const established = establishedIn(members, before, 'receiver');
      const isRejected = this.#words.has('reject') && established === null;
      const hasOwn = ({ receiver }: MediaPair): boolean => !receiver.flags.has('bundle-only');
      const live = members.filter(({ rejected }) => !rejected);
      const own = isRejected ? null : (live.find(hasOwn)?.receiver.id ?? null);
      const carrier = established ?? own;
      for (const pair of live) {
        const { receiver } = pair;
        const known = before.get(receiver.id) ?? noBundle;
        if (carrier !== null) {
          const order = established === null && carrier === receiver.id ? 0 : known.order;
          receiver.bundle = { ...known, order, carrier, agreed: true };
        } else if (!hasOwn(pair)) this.#refuse(pair);
      }
      const [first] = live;
      if (first !== undefined) this.#keepAlive('receiver', established, first);
    }
  }

  /** The sections of each group of the body, in its order. */
  #groups(): readonly (readonly MediaPair[])[] {
    const sessions = new Set(this.pairs.map(({ session }) => session));
    return [...sessions].flatMap((session) => {
      const byMid = new Map<string, MediaPair | null>();
      for (const pair of this.pairs) {
        const mid = pair.session === session ? midOf(pair.section) : null;
        // What two sections are called tells nothing.
        if (mid !== null) byMid.set(mid, byMid.has(mid) ? null : pair);
      }
      return bundleGroups(session).map((mids) => [
        ...new Set(mids.flatMap((mid) => byMid.get(mid) ?? [])),
      ]);
    });
  }

  /** Media that can be told apart, and whose transport ends here. */
  #canShare(pair: MediaPair): boolean {
    if (!isRtpProtocol(pair.section.protocol) || pair.untouched || pair.leftOut) return false;
    return pair.section.portCount === 1 && !passesThrough(this.kind, pair, this.request);
  }

  /** Lists of sections that are to be bundled with the receiver. */
  #toOffer(before: ReadonlyMap<number, MediaBundle>): readonly (readonly MediaPair[])[] {
    const live = this.pairs.filter((pair) => !pair.rejected && this.#canShare(pair));
    const groupOf = ({ sender: { bundle } }: MediaPair): number => bundle.group;
    let lists: MediaPair[][] = [];
    if (!this.#words.has('reject')) {
      const asked = (['offer', 'require', 'strict'] as const).some((word) => this.#words.has(word));
      const groups = new Set(live.map(groupOf).filter((group) => group > 0));
      const stays = (list: MediaPair[]): boolean =>
        this.#words.has('accept') || establishedIn(list, before, 'receiver') !== null;
      if (asked) lists = [live];
      else {
        lists = [...groups].map((group) => live.filter((pair) => groupOf(pair) === group));
        lists = lists.filter(stays);
      }
    }
    // What is agreed on stays: with those that it is to be bundled with now, or for itself.
    for (const pair of live) {
      const known = before.get(pair.receiver.id);
      if (known?.agreed !== true || lists.some((list) => list.includes(pair))) continue;
      const same = lists.find((list) => establishedIn(list, before, 'receiver') === known.carrier);
      if (same === undefined) lists.push([pair]);
      else same.push(pair);
    }
    return lists;
  }

  /** Those that can be in one bundle with the receiver: they have mids, and payload types that tell them apart. */
  #thatFit(
    list: readonly MediaPair[],
    before: ReadonlyMap<number, MediaBundle>,
  ): readonly MediaPair[] {
    const established = establishedIn(list, before, 'receiver');
    const { rtcpMux } = this.request;
    if (established === null && (rtcpMux.has('demux') || rtcpMux.has('reject'))) {
      this.warnings.push('No bundle is offered: RTCP is to have ports of its own');
      return [];
    }
    const types = new Map<number, string>();
    return list.filter((pair) => {
      const known = before.get(pair.receiver.id);
      // It is in another bundle.
      if (known?.agreed === true && known.carrier !== established) return false;
      const codecs = codecsOf(pair.section);
      const isClear = codecs.every(({ payloadType, encoding, clockRate, channels }) => {
        const text = `${encoding.toLowerCase()}/${clockRate}/${channels}`;
        return (types.get(payloadType) ?? text) === text;
      });
      if (!isClear && known?.agreed !== true) {
        this.warnings.push(
          `Section ${pair.index} is not offered in the bundle: its payload types are others there`,
        );
        return false;
      }
      for (const { payloadType, encoding, clockRate, channels } of codecs)
        types.set(payloadType, `${encoding.toLowerCase()}/${clockRate}/${channels}`);
      pair.receiver.mid ??= this.#freeMid(midOf(pair.section));
      return true;
    });
  }

  /** `wanted`, or, where there is none or a section of the receiver is called so, a number that none is called. */
  #freeMid(wanted: string | null): string {
    if (wanted !== null && this.pairs.every(({ receiver }) => receiver.mid !== wanted))
      return wanted;
    const taken = new Set(
      this.pairs.flatMap(({ section, receiver }) => [midOf(section), receiver.mid]),
    );
    let number = 0;
    while (taken.has(String(number))) number += 1;
    return String(number);
  }

  /** Of the sections of an offered group those that the answer has bundled. */
  #answered(members: readonly MediaPair[], established: number | null): readonly MediaPair[] {
    const groups = this.#groups();
    const live = members.filter(({ rejected }) => !rejected);
    // Somebody between has taken the group out, but it is there.
    if (groups.length === 0 && established !== null) {
      const [first] = live;
      return live.filter(({ section }) => section.port === first?.section.port);
    }
    return groups.flat().filter((pair) => live.includes(pair));
  }

  /** Their bundles as they were; what is not set again is none. */
  #forget(side: Side): ReadonlyMap<number, MediaBundle> {
    const before = new Map<number, MediaBundle>();
    for (const pair of this.pairs) {
      before.set(pair[side].id, pair[side].bundle);
      pair[side].bundle = noBundle;
    }
    return before;
  }

  /** The transport of a bundle stays where it is, though its section is refused. */
  #keepAlive(side: Side, carrier: number | null, live: MediaPair): void {
    const pair = this.pairs.find((each) => each[side].id === carrier);
    if (carrier === null || pair?.rejected !== true) return;
    pair[side].bundle = { ...noBundle, carrier, agreed: true };
    const now = this.pairs.find(({ index }) => index === live.index) ?? live;
    this.#replace(pair, { carries: { ...pair.carries, [side]: now } });
  }

  #refuse(pair: MediaPair): void {
    this.warnings.push(`Section ${pair.index} is refused: it cannot be had without its bundle`);
    this.#replace(pair, { rejected: true, section: { ...pair.section, port: 0 } });
  }

  #replace(pair: MediaPair, change: Partial<MediaPair>): void {
    const at = this.pairs.findIndex(({ index }) => index === pair.index);
    const now = this.pairs[at];
    if (now !== undefined) this.pairs[at] = { ...now, ...change };
  }
}

const whereIs = ({ section, address, fromSipSource }: MediaPair): Partial<MediaPair> => ({
  ...{ transport: section, address, fromSipSource },
});

/** The media whose transport the members of a list share already; null: none. */
function establishedIn(
  list: readonly MediaPair[],
  before: ReadonlyMap<number, MediaBundle>,
  side: Side,
): number | null {
  for (const pair of list) {
    const known = before.get(pair[side].id);
    if (known?.agreed === true && known.carrier !== null) return known.carrier;
  }
  return null;
}

/** The pairs of each group that one side knows, in the order of the group. */
function groupedBy(
  pairs: readonly MediaPair[],
  before: ReadonlyMap<number, MediaBundle>,
  side: Side,
): readonly (readonly MediaPair[])[] {
  const groups = new Map<number, MediaPair[]>();
  const of = (pair: MediaPair): MediaBundle => before.get(pair[side].id) ?? noBundle;
  for (const pair of pairs) {
    const { group } = of(pair);
    if (group === 0) continue;
    const list = groups.get(group) ?? [];
    list.push(pair);
    groups.set(group, list);
  }
  return [...groups.values()].map((list) => list.sort((a, b) => of(a).order - of(b).order));
}
