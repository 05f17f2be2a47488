/**
 * What the block and silence commands make of a media's packets (ng-protocol.md §3.9; which packets
 * are concerned, and the octets for silence, as seen on rtpengine 10.5).
 */
import {
  isTelephoneEvent,
  type BlockDtmf,
  type CallState,
  type Codec,
  type Media,
  type Participant,
} from './call-state.js';
import type { AnnouncedTypes, PayloadAction, PayloadRules } from './relay.js';

/** What is wanted of the packets of one participant: its own settings, or the call's. */
export interface Restrictions {
  readonly blockMedia: boolean;
  readonly blockDtmf: BlockDtmf;
  readonly silenceMedia: boolean;
}

/** @param isBlocked by all who hear it. */
export function restrictionsOf(
  state: CallState,
  owner: Participant | undefined,
  isBlocked = false,
): Restrictions {
  return {
    blockMedia: isBlocked || state.blockMedia || owner?.blockMedia === true,
    blockDtmf: state.blockDtmf === 'off' ? (owner?.blockDtmf ?? 'off') : state.blockDtmf,
    silenceMedia: state.silenceMedia || owner?.silenceMedia === true,
  };
}

/** Assigned for good (RFC 3551 §6): meant even where the SDP does not list them. */
const staticSilence: readonly (readonly [number, PayloadAction])[] = [
  [0, 'silence-pcmu'],
  [8, 'silence-pcma'],
  [9, 'silence-g722'],
];

const silences: ReadonlyMap<string, PayloadAction> = new Map([
  ['PCMA', 'silence-pcma'],
  ['PCMU', 'silence-pcmu'],
  ['G722', 'silence-g722'],
]);

/** Payload types are 7 bits; what a stored call says may be anything. */
const isPayloadType = ({ payloadType }: Codec): boolean => payloadType >= 0 && payloadType <= 127;

/**
 * The rules for what `media` sends; null: everything is forwarded. `receivers` gives those who get it:
 * a payload type means what the SDP of its receiver says (RFC 3264 §5.1). `tellsDigits`: somebody wants to know
 * of each digit that is dialled.
 */
export function payloadRules(
  restrictions: Restrictions,
  media: Media,
  receivers: () => readonly Media[],
  tellsDigits = false,
): PayloadRules | null {
  const { blockMedia, blockDtmf, silenceMedia } = restrictions;
  if (!blockMedia && blockDtmf === 'off' && !silenceMedia && !tellsDigits) return null;
  const types = new Map<number, PayloadAction>();
  if (silenceMedia && !blockMedia && media.type === 'audio') {
    for (const [type, action] of staticSilence) types.set(type, action);
  }
  for (const codec of [media, ...receivers()].flatMap(({ codecs }) => codecs)) {
    if (!isPayloadType(codec)) continue;
    const action = actionOf(codec, restrictions, tellsDigits);
    if (action === (blockMedia ? 'drop' : 'forward')) types.delete(codec.payloadType);
    else types.set(codec.payloadType, action);
  }
  if (types.size === 0 && !blockMedia) return null;
  return { otherwise: blockMedia ? 'drop' : 'forward', types };
}

const knownTypes = new WeakMap<readonly Codec[], AnnouncedTypes>();

/** A list that others share is gone through once. */
function typesIn(codecs: readonly Codec[]): AnnouncedTypes {
  let types = knownTypes.get(codecs);
  if (types === undefined) {
    const bits: [number, number, number, number] = [0, 0, 0, 0];
    for (const { payloadType } of codecs.filter(isPayloadType)) {
      const at = (payloadType >> 5) as 0 | 1 | 2 | 3;
      bits[at] = (bits[at] | (1 << (payloadType & 31))) >>> 0;
    }
    types = bits;
    knownTypes.set(codecs, types);
  }
  return types;
}

/** What a side may send: what it was offered, or has offered, and what was agreed on (10.5 and 12.5 seen); null: nothing is known. */
export function announcedTypes({ codecs, offered }: Media): AnnouncedTypes | null {
  if (codecs.length === 0) return null;
  const agreed = typesIn(codecs);
  if (offered === null || offered.length === 0 || offered === codecs) return agreed;
  const more = typesIn(offered);
  return [
    (agreed[0] | more[0]) >>> 0,
    (agreed[1] | more[1]) >>> 0,
    (agreed[2] | more[2]) >>> 0,
    (agreed[3] | more[3]) >>> 0,
  ];
}

function actionOf(
  codec: Codec,
  { blockMedia, blockDtmf, silenceMedia }: Restrictions,
  tellsDigits: boolean,
): PayloadAction {
  if (isTelephoneEvent(codec)) {
    const passes = blockDtmf === 'off';
    return tellsDigits ? (passes ? 'digit' : 'digit-drop') : passes ? 'forward' : 'drop';
  }
  if (blockMedia) return 'drop';
  return (silenceMedia ? silences.get(codec.encoding.toUpperCase()) : undefined) ?? 'forward';
}
