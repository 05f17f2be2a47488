/** What an m= section says of security and ICE, applied to the medias of its sender and its receiver. */
import type { CallDraft } from './call-draft.js';
import { setMediaFlag, type MediaPair } from './media-pair.js';
import { hasFingerprint, offeredDtls } from './dtls/attributes.js';
import {
  answerTo,
  hearAnswerer,
  hearOfferer,
  offerTo,
  speaksDtls,
  withoutDtls,
  type DtlsRequest,
} from './dtls/negotiation.js';
import { offeredIce } from './ice/attributes.js';
import { applyIce } from './ice/negotiation.js';
import { applySdes, withoutSdes } from './sdes/apply.js';
import type { SignallingContext, SignallingKind, SignallingRequest } from './signalling.js';
import { noBundle } from './media-attributes.js';
import { nothingToResume, type Media } from './call-state.js';
import { hasAttribute, isRtpProtocol, isSecureProtocol } from '../sdp/view.js';

/**
 * Whether SRTP, DTLS and ICE are the ends' own affair: asked for as such, or because ICE is to show the
 * receiver the sender's own candidates. Of an answer its offer decides.
 */
export function passesThrough(
  kind: SignallingKind,
  { section, session, receiver }: MediaPair,
  { passthrough, ice }: SignallingRequest,
): boolean {
  if (kind === 'answer') return receiver.flags.has('passthrough');
  if (passthrough === true) return true;
  const shows = ice.mode === 'optional' || ice.mode === 'force-relay';
  return shows && offeredIce(section, session) !== null;
}

const isDtlsProtocol = (protocol: string): boolean => /^UDP\/TLS\//i.test(protocol);

/** How media are secured: a protocol of another kind means another end of it. */
const kindOf = (protocol: string): string =>
  isDtlsProtocol(protocol) ? 'DTLS' : isSecureProtocol(protocol) ? 'SRTP' : 'RTP';

/** The protocol towards the receiver of an offer. */
export function protocolFor(
  { section }: Pick<MediaPair, 'section'>,
  wanted: string | null,
  passed: boolean,
): string {
  const received = section.protocol;
  if (wanted === null || !isRtpProtocol(received) || !isRtpProtocol(wanted)) return received;
  return passed && kindOf(received) !== kindOf(wanted) ? received : wanted;
}

function dtlsRequestOf(request: SignallingRequest, context: SignallingContext): DtlsRequest {
  const words = [request.dtls, request.dtlsReverse];
  const role = words.find((word) => word !== null && word !== 'off') ?? null;
  return {
    off: request.dtls === 'off',
    offReverse: request.dtlsReverse === 'off',
    role,
    defaultRole: context.dtlsPassive ? 'passive' : 'active',
    identity: context.dtlsIdentity,
  };
}

const hasCrypto = ({ transport }: MediaPair): boolean => hasAttribute(transport, 'crypto');

interface Sides {
  readonly senderDtls: boolean;
  readonly receiverDtls: boolean;
}

function applyDtls(
  kind: SignallingKind,
  pair: MediaPair,
  request: SignallingRequest,
  context: SignallingContext,
): Sides {
  const { transport, session, sender, receiver } = pair;
  const offered = offeredDtls(transport, session);
  const wish = dtlsRequestOf(request, context);
  if (kind === 'offer') {
    hearOfferer(sender, offered, hasCrypto(pair), wish);
    const passedOn = request.transportProtocol === null && speaksDtls(sender);
    offerTo(receiver, isSecureProtocol(receiver.protocol) || passedOn, wish);
    return { senderDtls: speaksDtls(sender), receiverDtls: speaksDtls(receiver) };
  }
  const prefers = request.sdes.preferred;
  const keysOfOfferer = (receiver.sdes?.offered.length ?? 0) > 0;
  return {
    senderDtls: hearAnswerer(sender, offered, prefers && hasCrypto(pair), wish),
    receiverDtls: answerTo(receiver, (prefers || wish.off) && keysOfOfferer, wish),
  };
}

/** Keys that DTLS gave belong to an association: with the next one they are gone. */
function forgetKeys(draft: CallDraft, media: Media): void {
  for (const id of media.streams) {
    const stream = draft.stream(id);
    stream.srtp = null;
    for (const socket of stream.sockets) draft.socket(socket).srtp = null;
  }
}

const associationOf = (media: Media): string =>
  speaksDtls(media) ? String(media.security.generation) : '';

/** `sender.protocol` before the section was looked at. */
export interface Before {
  readonly senderProtocol: string;
  readonly receiverIsKnown: boolean;
}

/** Settles DTLS, SDES and ICE of both medias. Their protocols say already what each side speaks. */
export function applySecurity(
  draft: CallDraft,
  kind: SignallingKind,
  pair: MediaPair,
  request: SignallingRequest,
  context: SignallingContext,
  before: Before,
): readonly string[] {
  const { section, transport, session, sender, receiver } = pair;
  if (pair.rejected || pair.untouched) return [];
  const passed = passesThrough(kind, pair, request);
  for (const media of [sender, receiver]) setMediaFlag(media, 'passthrough', passed);
  const told = [sender, receiver].map(({ ice }) => ice.local);
  const warnings = [
    ...applyIce(
      {
        offered: offeredIce(transport, session),
        sender,
        receiver,
        receiverIsKnown: before.receiverIsKnown,
      },
      {
        kind,
        words: request.ice,
        lite: request.iceLite,
        trickle: request.flags.has('trickle-ice'),
        reject: request.flags.has('reject-ice'),
        reset: request.flags.has('reset'),
      },
      passed,
    ),
  ];
  [sender, receiver].forEach((media, at) => {
    // What was chosen before counts no longer (RFC 8445 §9).
    const was = told[at] ?? null;
    if (was !== media.ice.local) setMediaFlag(media, 'ice-restarted', was !== null);
  });
  if (![section.protocol, sender.protocol, receiver.protocol].every(isRtpProtocol)) return warnings;
  const known = [sender, receiver].map(associationOf);
  if (passed) {
    for (const media of [sender, receiver]) media.security = withoutDtls(media.security);
    withoutSdes([sender, receiver]);
  } else {
    if (offeredDtls(transport, session) === null && hasFingerprint(transport, session)) {
      warnings.push('A fingerprint that cannot be used counts as none');
    }
    // Keys of one section that others send with, too, are the other side's no longer.
    const isShared = [sender, receiver].some(({ bundle }) => bundle !== noBundle);
    const sides = applyDtls(kind, pair, request, context);
    warnings.push(
      ...applySdes(
        { section: transport, sender, receiver },
        sdesRequestOf(kind, request, sides, before, isShared),
      ),
    );
  }
  [sender, receiver].forEach((media, at) => {
    // Those of streams and sockets are of before; with SDES the media's count.
    const isOther = associationOf(media) !== known[at];
    if (isOther || passed || (media.sdes !== null && !speaksDtls(media))) forgetKeys(draft, media);
    if (isOther && known[at] !== '') {
      media.srtpIndexes = [];
      media.srtpResume = nothingToResume;
    }
  });
  return warnings;
}

const sdesRequestOf = (
  kind: SignallingKind,
  request: SignallingRequest,
  sides: Sides,
  { senderProtocol }: Before,
  isShared: boolean,
): Parameters<typeof applySdes>[1] => ({
  kind,
  options: request.sdes,
  opportunistic: request.opportunistic.offers,
  recrypt: isShared || request.flags.has('recrypt'),
  keepsProtocol: request.transportProtocol === null,
  ...sides,
  required: kind === 'answer' && isSecureProtocol(senderProtocol),
});
