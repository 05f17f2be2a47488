/** A party that is offered something nobody has sent (ng-protocol.md §3.16), to be connected with others later. */
import { CallDraft } from '../call-draft.js';
import type { CallState, Codec, Media } from '../call-state.js';
import { SignallingError } from '../errors.js';
import { noIce } from '../media-attributes.js';
import { applySection, ensureStreams, mediaAt, sharesRtcpPort } from '../media-setup.js';
import type { MediaPair } from '../media-pair.js';
import {
  bodyFailure,
  chooseInterface,
  emptyCall,
  labelOf,
  pairOf,
  readBody,
} from '../offer-answer.js';
import { writeSdp } from '../sdp-output.js';
import type { SignallingContext, SignallingRequest } from '../signalling.js';
import { localBody, ownSession, withOwnOrigin } from './local-body.js';
import type { Published } from './publish.js';
import { ensureAnswered, facePorts, flatSections, giveUpPorts } from './sections.js';
import { StandIn } from './stand-in.js';
import type { SubscriptionResult } from './subscribe.js';
import { staticPayloadTypeOf } from '../../sdp/static-payloads.js';
import { parseCodecName } from '../../sdp/edits.js';

/** A section that is to be offered: its type, its codecs as `NAME[/clock[/channels]]`. */
export interface WantedMedia {
  readonly type: string;
  readonly codecs: readonly string[];
}

const firstDynamic = 96;

/** Static numbers where there are, else the first free dynamic ones (sdp-rules.md §4). */
function numbered(names: readonly string[]): readonly Codec[] {
  let next = firstDynamic;
  return names.map((name): Codec => {
    const { encoding, clockRate, channels } = parseCodecName(name);
    const known = staticPayloadTypeOf(encoding, clockRate, channels);
    return {
      payloadType: known ?? next++,
      encoding,
      clockRate,
      channels,
      fmtp: '',
      bitrate: 0,
      ptimeMs: 20,
    };
  });
}

/** Offers `request.fromTag` these medias. @throws SignallingError */
export function create(
  previous: CallState | null,
  request: SignallingRequest,
  wanted: readonly WantedMedia[],
  context: SignallingContext,
): Published {
  const draft = new CallDraft(previous ?? emptyCall(request.callId, context));
  draft.state.lastSignalMicros = context.nowMicros;
  const warnings: string[] = [];
  const party =
    draft.participantByTag(request.fromTag) ??
    draft.addParticipant(request.fromTag, context.nowMicros);
  party.label = labelOf(request) ?? party.label;
  const logicalInterface = chooseInterface(
    party,
    request.interface ?? request.fromInterface,
    context,
    warnings,
  );
  const family = request.addressFamily ?? 'IP4';
  const sections = wanted.map(({ type, codecs }) => ({
    ...{ type, port: 9, portCount: 1, protocol: request.transportProtocol ?? 'RTP/AVP' },
    ...{ codecs: numbered(codecs), formats: '', family, direction: 'sendrecv' as const },
    ...{ mid: null, ptimeMs: 0, rtcpMux: false, lines: '' },
  }));
  try {
    const document = localBody(ownSession(party, context), '', sections);
    const placed = flatSections(document);
    const medias = placed.map(({ index }): Media => {
      const media = mediaAt(draft, party, index, logicalInterface, context);
      media.logicalInterface = logicalInterface;
      ensureStreams(draft, media, 1, context.nowMicros);
      return media;
    });
    const standIn = new StandIn(draft, context);
    const pairs: MediaPair[] = [];
    placed.forEach((each, at) => {
      const receiver = medias[at];
      if (receiver === undefined) return;
      const parts = { ...each, sender: standIn.opposite(receiver), receiver };
      const pair = pairOf('offer', parts, request, { ...context, sipSource: false });
      warnings.push(...applySection(draft, 'offer', pair, request, context));
      if (!receiver.ice.enabled) receiver.ice = noIce;
      receiver.desiredFamily = family;
      facePorts(draft, receiver, 1, sharesRtcpPort('offer', pair, request), context);
      pairs.push(pair);
    });
    standIn.leave();
    const dialogue = { from: { ...party, id: -1 }, to: party };
    const sdp = writeSdp({
      ...{ kind: 'offer', draft, dialogue, document, pairs, context },
      request: withOwnOrigin(request),
    });
    const state = draft.finished();
    return { state, sdp, isNewCall: previous === null, warnings };
  } catch (error) {
    throw bodyFailure(error);
  }
}

/** Its answer. @throws SignallingError; `previous` then stands. */
export function createAnswer(
  previous: CallState,
  request: SignallingRequest,
  context: SignallingContext,
): SubscriptionResult {
  const received = readBody(request.sdp, context.rejectInvalidSdp);
  const draft = new CallDraft(previous);
  const party = draft.participantByTag(request.fromTag);
  if (party === null) throw new SignallingError('unknown-participant', 'from-tag not found');
  draft.state.lastSignalMicros = context.nowMicros;
  const warnings: string[] = [];
  try {
    const medias = new Map(party.medias.map((id) => [draft.media(id).index, draft.media(id)]));
    const sections = flatSections(received);
    ensureAnswered(draft, medias, sections, context.nowMicros);
    const standIn = new StandIn(draft, context);
    for (const placed of sections) {
      const sender = medias.get(placed.index);
      if (sender === undefined) {
        throw new SignallingError('refused-answer', 'failed to perform answer');
      }
      const parts = { ...placed, sender, receiver: standIn.opposite(sender) };
      const pair = pairOf('answer', parts, request, context);
      warnings.push(...applySection(draft, 'answer', pair, request, context));
      if (pair.rejected) giveUpPorts(draft, sender);
      else if (!pair.untouched)
        facePorts(draft, sender, placed.section.portCount, sender.rtcpMux, context);
    }
    standIn.leave();
    return { state: draft.finished(), warnings: [...new Set(warnings)] };
  } catch (error) {
    throw bodyFailure(error);
  }
}
