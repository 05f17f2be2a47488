/** What an m= section says of security and ICE, applied to the medias of its sender and its receiver. */
import { refuseOffer } from './agreed.js';
import type { CallDraft } from './call-draft.js';
import { setMediaFlag, type MediaPair } from './media-pair.js';
import { hasFingerprint, offeredDtls } from './dtls/attributes.js';
import {
  answerTo,
  hasDeclinedDtls,
  hearAnswerer,
  hearOfferer,
  offerTo,
  speaksDtls,
  withoutDtls,
  type DtlsRequest,
} from './dtls/negotiation.js';
import { offeredIce } from './ice/attributes.js';
import { applyIce } from './ice/negotiation.js';
import { Former } from './former.js';
import { applySdes, hasKeysOfItsOwn, withoutSdes } from './sdes/apply.js';
import { readCryptoLine } from './sdes/crypto-line.js';
import type { SignallingContext, SignallingKind, SignallingRequest } from './signalling.js';
import { noBundle, noIce, noIceControlling, plainMedia } from './media-attributes.js';
import type { Media, Sharing } from './call-state.js';
import type { SdpAttribute } from '../sdp/types.js';
import { isRtpProtocol, isSecureProtocol } from '../sdp/view.js';

/**
 * Whether SRTP, DTLS and ICE are the ends' own affair: asked for as such, or because ICE is to show the
 * receiver the sender's own candidates, or was to before. Of an answer its offer decides.
 */
export function passesThrough(
  kind: SignallingKind,
  {
    section,
    session,
    sender,
    receiver,
  }: Pick<MediaPair, 'section' | 'session' | 'sender' | 'receiver'>,
  { passthrough, ice }: SignallingRequest,
): boolean {
  if (kind === 'answer') return receiver.flags.has('passthrough');
  if (passthrough === true) return true;
  const goesOn =
    ice.mode === null && [sender, receiver].every(({ flags }) => flags.has('passthrough'));
  const shows = ice.mode === 'optional' || ice.mode === 'force-relay' || goesOn;
  return shows && offeredIce(section, session) !== null;
}

const isDtlsProtocol = (protocol: string): boolean => /^UDP\/TLS\//i.test(protocol);

/** How media are secured: a protocol of another kind means another end of it. */
const kindOf = (protocol: string): string =>
  isDtlsProtocol(protocol) ? 'DTLS' : isSecureProtocol(protocol) ? 'SRTP' : 'RTP';

/**
 * The protocol towards the receiver of an offer: without a word that of before, as long as the offerer keeps
 * to his (10.5 and 12.5 seen).
 */
export function protocolFor(
  { section, receiver }: Pick<MediaPair, 'section' | 'receiver'>,
  asked: string | null,
  passed: boolean,
  senderProtocol: string,
): string {
  const received = section.protocol;
  const wanted = asked ?? (senderProtocol === received ? receiver.protocol : '');
  if (!isRtpProtocol(received) || !isRtpProtocol(wanted)) return received;
  return passed && kindOf(received) !== kindOf(wanted) ? received : wanted;
}

/** What the offerer is answered: another profile where that is asked for, though never one that is secured otherwise. */
export function answeredProtocol(offered: string, asked: string | null): string {
  if (asked === null || !isRtpProtocol(offered) || !isRtpProtocol(asked)) return offered;
  return kindOf(offered) === kindOf(asked) ? asked : offered;
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

/** One that can be used, of a suite that is known: others count as absent. */
const hasCrypto = ({ transport }: MediaPair): boolean =>
  transport.attributes.some(
    ({ name, value }) => name === 'crypto' && typeof readCryptoLine(value ?? '') !== 'string',
  );

/** The side has said for itself that it speaks SRTP, and nothing of DTLS. */
const hasKeysAlone = (media: Media, { receiverProtocol, receiverHasRefused }: Before): boolean =>
  media.flags.has('initialized') &&
  !receiverHasRefused &&
  isSecureProtocol(receiverProtocol) &&
  !speaksDtls(media);

/** Whether the receiver of an offer is to have the choice of DTLS, whatever else there is. */
function isDtlsWanted(pair: MediaPair, request: SignallingRequest, before: Before): boolean {
  const { sender, receiver } = pair;
  const mayTake = !(hasDeclinedDtls(receiver) || hasKeysAlone(receiver, before));
  if (isSecureProtocol(receiver.protocol)) {
    const isAsked = request.flags.has('reset') || isDtlsProtocol(receiver.protocol);
    return isAsked || mayTake;
  }
  // Plain RTP with the choice of SRTP (RFC 8643): as it came, or as is asked for.
  const isPassedOn = request.transportProtocol === null && receiver.protocol === sender.protocol;
  const isOffered = request.opportunistic.offers && (request.flags.has('reset') || mayTake);
  const offersKeys = hasCrypto(pair) && !hasKeysOfItsOwn(sender, receiver);
  return isOffered || (isPassedOn && (speaksDtls(sender) || offersKeys));
}

/** Plain RTP was offered with the choice of SRTP, and the answerer takes nothing but plain RTP. */
function isPlainAlike(pair: MediaPair): boolean {
  const { sender, receiver, section } = pair;
  if (isSecureProtocol(receiver.protocol) || isSecureProtocol(section.protocol)) return false;
  return hasDeclinedDtls(sender) && !hasCrypto(pair);
}

interface Sides {
  readonly senderDtls: boolean;
  readonly receiverDtls: boolean;
  /** The receiver of an offer once offered DTLS without keys: it is not offered any. */
  readonly receiverDtlsAlone: boolean;
}

function applyDtls(
  kind: SignallingKind,
  pair: MediaPair,
  request: SignallingRequest,
  context: SignallingContext,
  before: Before,
): Sides {
  const { transport, session, sender, receiver } = pair;
  const offered = offeredDtls(transport, session);
  const wish = dtlsRequestOf(request, context);
  if (kind === 'offer') {
    const { security, ice, sdes } = receiver;
    const receiverDtlsAlone = security.mode === 'DTLS' && !ice.controlling && sdes === null;
    hearOfferer(sender, offered, hasCrypto(pair), wish, request.sdes.preferred);
    offerTo(receiver, isDtlsWanted(pair, request, before), wish);
    const receiverDtls = speaksDtls(receiver);
    return {
      senderDtls: speaksDtls(sender),
      receiverDtls,
      receiverDtlsAlone: receiverDtls && receiverDtlsAlone,
    };
  }
  const prefers = request.sdes.preferred;
  const keysOfOfferer = (receiver.sdes?.offered.length ?? 0) > 0;
  return {
    senderDtls: hearAnswerer(sender, offered, prefers && hasCrypto(pair), wish),
    receiverDtls: answerTo(receiver, (wish.off && keysOfOfferer) || isPlainAlike(pair), wish),
    receiverDtlsAlone: false,
  };
}

/** Protocols, and whether RTCP came with RTP, before the section was looked at. */
export interface Before {
  readonly senderProtocol: string;
  readonly receiverProtocol: string;
  readonly senderMux: boolean;
  readonly receiverMux: boolean;
  readonly receiverIsKnown: boolean;
  readonly receiverHasRefused: boolean;
  /** Of both sides there have been bodies: something was agreed on. */
  readonly isAgreed: boolean;
}

/** Nothing but plain RTP (or something that is none) has ever been spoken, or offered, or is held back. */
const hasBeenPlain = ({ security, sdes, former, ice, agreed, protocol, flags }: Media): boolean =>
  security === plainMedia &&
  sdes === null &&
  former === null &&
  (ice === noIce || ice === noIceControlling) &&
  agreed === null &&
  !isSecureProtocol(protocol) &&
  !flags.has('passthrough') &&
  !flags.has('dtls-renewed');

const sharesNothing = ({ bundle }: Media, before: Sharing): boolean =>
  bundle === noBundle && before.bundle === noBundle;

const saysNothing = (attributes: readonly SdpAttribute[]): boolean => {
  for (const { name } of attributes)
    if (name === 'crypto' || name === 'fingerprint' || name === 'ice-ufrag') return false;
  return true;
};

/**
 * Neither side has or says anything of security or ICE, nothing of it is asked for, RTCP goes as before, and ports are
 * not shared: all of `applySecurity` would leave everything as it is. Nearly all calls of phones are such.
 */
function staysPlain(
  kind: SignallingKind,
  { section, transport, session, sender, receiver, before }: MediaPair,
  request: SignallingRequest,
  { senderProtocol, receiverProtocol, senderMux, receiverMux }: Before,
): boolean {
  const { mode } = request.ice;
  return (
    sender.rtcpMux === senderMux &&
    receiver.rtcpMux === receiverMux &&
    hasBeenPlain(sender) &&
    hasBeenPlain(receiver) &&
    sharesNothing(sender, before.sender) &&
    sharesNothing(receiver, before.receiver) &&
    !isSecureProtocol(senderProtocol) &&
    !isSecureProtocol(receiverProtocol) &&
    saysNothing(section.attributes) &&
    (transport === section || saysNothing(transport.attributes)) &&
    saysNothing(session.attributes) &&
    (kind === 'answer' ||
      (request.passthrough !== true &&
        !request.opportunistic.offers &&
        (mode === null || mode === 'default' || mode === 'remove')))
  );
}

/** How both sides secured their media so far. */
const formersOf = (
  draft: CallDraft,
  { sender, receiver, before: was }: MediaPair,
  before: Before,
) =>
  [
    new Former(draft, sender, {
      ...was.sender,
      ...{ protocol: before.senderProtocol, rtcpMux: before.senderMux },
    }),
    new Former(draft, receiver, {
      ...was.receiver,
      ...{ protocol: before.receiverProtocol, rtcpMux: before.receiverMux },
    }),
  ] as const;

function settleIce(
  kind: SignallingKind,
  { transport, session, sender, receiver }: MediaPair,
  request: SignallingRequest,
  { receiverIsKnown }: Before,
  passed: boolean,
): readonly string[] {
  const told = [sender, receiver].map(({ ice }) => ice.local);
  const warnings = applyIce(
    { offered: offeredIce(transport, session), sender, receiver, receiverIsKnown },
    {
      kind,
      words: request.ice,
      lite: request.iceLite,
      // Who offers says whether it can (10.5 and 12.5 seen).
      trickle: kind === 'offer' && request.flags.has('trickle-ice'),
      reject: request.flags.has('reject-ice'),
      reset: request.flags.has('reset'),
    },
    passed,
  );
  [sender, receiver].forEach((media, at) => {
    // What was chosen before counts no longer (RFC 8445 §9).
    const was = told[at] ?? null;
    if (was !== media.ice.local) setMediaFlag(media, 'ice-restarted', was !== null);
  });
  return warnings;
}

/** DTLS and SDES of sections that are secured, or may be, by the relay. */
function settleKeys(
  draft: CallDraft,
  kind: SignallingKind,
  pair: MediaPair,
  request: SignallingRequest,
  context: SignallingContext,
  before: Before,
): readonly string[] {
  const { transport, session, sender, receiver } = pair;
  const unusable = offeredDtls(transport, session) === null && hasFingerprint(transport, session);
  // Keys of one section that others send with, too, are the other side's no longer.
  const isShared = [sender, receiver].some(({ bundle }) => bundle !== noBundle);
  const isAlike = receiver.protocol === sender.protocol;
  const mayBePlain = (kind === 'offer' ? receiver : sender).flags.has('legacy-osrtp');
  const sides = applyDtls(kind, pair, request, context, before);
  const warnings = applySdes(
    { section: transport, sender, receiver },
    {
      ...sdesRequestOf(kind, request, sides, before, { isShared, isAlike, mayBePlain }),
      othersLines: () => draft.state.medias.flatMap(({ sdes }) => sdes?.offered ?? []),
    },
  );
  return unusable ? ['A fingerprint that cannot be used counts as none', ...warnings] : warnings;
}

/** Both sides hold what they had, or none: what one is sent is what comes from the other. */
function settleFormers(
  kind: SignallingKind,
  formers: ReturnType<typeof formersOf>,
  before: Before,
  passed: boolean,
): void {
  const isAgreed = [before.isAgreed, before.receiverIsKnown];
  const isHeld =
    kind === 'offer' && formers.some(({ isOther }, at) => isAgreed[at] === true && isOther);
  formers.forEach((former, at) => {
    if (isHeld && isAgreed[at] === true) former.hold(at === 1);
    else former.settle(passed, before.isAgreed, formers[1 - at] ?? former);
  });
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
  const { section, sender, receiver } = pair;
  if (pair.rejected || pair.untouched) {
    refuseOffer(sender);
    refuseOffer(receiver);
    return [];
  }
  if (staysPlain(kind, pair, request, before)) return [];
  const passed = passesThrough(kind, pair, request);
  const formers = formersOf(draft, pair, before);
  for (const media of [sender, receiver]) setMediaFlag(media, 'passthrough', passed);
  const warnings = [...settleIce(kind, pair, request, before, passed)];
  const isRtp = [section.protocol, sender.protocol, receiver.protocol].every(isRtpProtocol);
  if (passed || !isRtp) {
    for (const media of [sender, receiver]) media.security = withoutDtls(media.security);
    withoutSdes([sender, receiver]);
  } else warnings.push(...settleKeys(draft, kind, pair, request, context, before));
  settleFormers(kind, formers, before, passed);
  return warnings;
}

const sdesRequestOf = (
  kind: SignallingKind,
  request: SignallingRequest,
  sides: Sides,
  { senderProtocol, receiverProtocol }: Before,
  {
    isShared,
    isAlike,
    mayBePlain,
  }: Readonly<Record<'isShared' | 'isAlike' | 'mayBePlain', boolean>>,
): Omit<Parameters<typeof applySdes>[1], 'othersLines'> => ({
  kind,
  options: request.sdes,
  opportunistic: request.opportunistic.offers,
  receiverWasPlain: !isSecureProtocol(receiverProtocol),
  recrypt: isShared || request.flags.has('recrypt'),
  keepsProtocol: request.transportProtocol === null && isAlike,
  ...sides,
  required: kind === 'answer' && isSecureProtocol(senderProtocol) && !mayBePlain,
  mayBePlain,
});
