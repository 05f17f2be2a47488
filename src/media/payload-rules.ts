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
import type { PayloadAction, PayloadRules } from './relay.js';

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
 * The rules for what `media` sends; null: everything is forwarded. `listeners` gives those who hear it:
 * a payload type means what the SDP of its receiver says (RFC 3264 §5.1). `tellsDigits`: somebody wants to know
 * of each digit that is dialled.
 */
export function payloadRules(
  restrictions: Restrictions,
  media: Media,
  listeners: () => readonly Media[],
  tellsDigits = false,
): PayloadRules | null {
  const { blockMedia, blockDtmf, silenceMedia } = restrictions;
  if (!blockMedia && blockDtmf === 'off' && !silenceMedia && !tellsDigits) return null;
  const types = new Map<number, PayloadAction>();
  if (silenceMedia && !blockMedia && media.type === 'audio') {
    for (const [type, action] of staticSilence) types.set(type, action);
  }
  for (const codec of [media, ...listeners()].flatMap(({ codecs }) => codecs)) {
    if (!isPayloadType(codec)) continue;
    const action = actionOf(codec, restrictions, tellsDigits);
    if (action === (blockMedia ? 'drop' : 'forward')) types.delete(codec.payloadType);
    else types.set(codec.payloadType, action);
  }
  if (types.size === 0 && !blockMedia) return null;
  return { otherwise: blockMedia ? 'drop' : 'forward', types };
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
