/** What an m= section says of security and ICE, applied to the medias of its sender and its receiver. */
import { agreedOf, inUse, isSecuredOtherwise, refuseOffer, type SeenBefore } from './agreed.js';
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
import {
  applySdes,
  hasKeysOfItsOwn,
  forgetIndexes,
  passesKeys,
  withoutSdes,
} from './sdes/apply.js';
import { lineKey, readCryptoLine } from './sdes/crypto-line.js';
import type { SignallingContext, SignallingKind, SignallingRequest } from './signalling.js';
import { noBundle, noIce, noIceControlling, plainMedia } from './media-attributes.js';
import {
  nothingToResume,
  type AgreedSecurity,
  type FormerKey,
  type Media,
  type Sharing,
} from './call-state.js';
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
const hasKeysAlone = (media: Media, { receiverProtocol }: Before): boolean =>
  media.flags.has('initialized') && isSecureProtocol(receiverProtocol) && !speaksDtls(media);

/** Whether the receiver of an offer is to have the choice of DTLS, whatever else there is. */
function isDtlsWanted(pair: MediaPair, request: SignallingRequest, before: Before): boolean {
  const { sender, receiver } = pair;
  if (isSecureProtocol(receiver.protocol)) {
    const isAsked = request.flags.has('reset') || isDtlsProtocol(receiver.protocol);
    return isAsked || !(hasDeclinedDtls(receiver) || hasKeysAlone(receiver, before));
  }
  // Plain RTP with the choice of SRTP (RFC 8643): as it came, or as is asked for.
  const isPassedOn = request.transportProtocol === null && receiver.protocol === sender.protocol;
  const isOffered =
    request.opportunistic.offers && (request.flags.has('reset') || !hasDeclinedDtls(receiver));
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

/** Keys that DTLS gave belong to an association: with the next one they are gone. */
function forgetKeys(draft: CallDraft, media: Media): void {
  for (const id of media.streams) {
    const stream = draft.stream(id);
    stream.srtp = null;
    for (const socket of stream.sockets) draft.socket(socket).srtp = null;
  }
}

const associationOf = (media: Pick<Media, 'security'>): string =>
  speaksDtls(media) ? String(media.security.generation) : '';

/** Protocols, and whether RTCP came with RTP, before the section was looked at. */
export interface Before {
  readonly senderProtocol: string;
  readonly receiverProtocol: string;
  readonly senderMux: boolean;
  readonly receiverMux: boolean;
  readonly receiverIsKnown: boolean;
  /** Of both sides there have been bodies: something was agreed on. */
  readonly isAgreed: boolean;
}

/** A media as its packets were treated before a body. */
class Former {
  readonly #used: AgreedSecurity;
  readonly #indexes: Pick<Media, 'srtpIndexes' | 'srtpResume'>;
  readonly #wasHeld: boolean;
  readonly #known: FormerKey | null;
  /** Keys of lines that its side has been offered. */
  readonly #offered: ReadonlySet<string>;

  constructor(
    private readonly media: Media,
    before: SeenBefore,
  ) {
    this.#used = agreedOf(inUse(media), media.agreed ?? before);
    this.#indexes = { srtpIndexes: media.srtpIndexes, srtpResume: media.srtpResume };
    this.#wasHeld = media.agreed !== null;
    this.#known = media.formerKey;
    this.#offered = new Set(media.sdes?.own.map(lineKey));
  }

  /** Whether the offer would change it. */
  get isOther(): boolean {
    return isSecuredOtherwise(this.#used, this.media);
  }

  /**
   * Goes on with what was agreed on. Where the receiver of the offer goes on with ICE, our new credentials count at
   * once: it may check before its answer has come.
   */
  hold(isReceiver: boolean): void {
    const { media } = this;
    const goesOn = isReceiver && this.#used.ice.enabled && media.ice.enabled;
    media.agreed = goesOn ? { ...this.#used, ice: media.ice } : this.#used;
    Object.assign(media, this.#indexes);
  }

  /** An answer may be provisional: what its side has encrypted with so far is good as well. */
  #formerKey(other: Former): FormerKey | null {
    const [was, is] = [this.#used.sdes, this.media.sdes];
    const before = was?.receive ?? null;
    if (was === null || before === null || is === null || is.receive === null) return null;
    const passed = was.passthrough || passesKeys(was, other.#used.sdes);
    const isAlike = lineKey(before) === lineKey(is.receive) && passed === is.passthrough;
    const known = this.#known;
    const { srtpIndexes, srtpResume } = this.#indexes;
    // Of what passes through packets are looked at while both sides have former keys that it ended here by.
    const isUnseen = passed && [known, other.#known].some((each) => each?.passed !== false);
    const isHeard =
      known !== null &&
      (isUnseen ||
        (lineKey(known.line) !== lineKey(before) &&
          srtpIndexes.some(({ direction }) => direction === 'receive')));
    // While it might pass through again every packet is looked at, and none goes through the kernel.
    if (isAlike) return isHeard && known.passed !== passed ? null : known;
    // What nothing has come by was refused: the side is where it was before that.
    if (known !== null && !isHeard)
      return lineKey(known.line) === lineKey(is.receive) && known.passed === is.passthrough
        ? null
        : known;
    if (passed && is.passthrough) return null;
    const ours = passed ? null : was.send;
    const send = lineKey(ours) === lineKey(is.send) ? null : ours;
    return {
      line: before,
      send,
      passed,
      indexes: srtpIndexes.filter(({ direction }) => direction === 'receive' || send !== null),
      resume: srtpResume,
    };
  }

  /**
   * Of a forked request each answer takes one of the lines that were offered: one that an earlier answer than the last
   * had taken may have been used.
   */
  #skipUsed(): void {
    const { media } = this;
    const [was, is] = [this.#used.sdes?.send ?? null, media.sdes?.send ?? null].map(lineKey);
    if (was === is || !this.#offered.has(was ?? '') || !this.#offered.has(is ?? '')) return;
    media.srtpResume = { ...media.srtpResume, send: [] };
  }

  /** A former key that is in use again goes on from where it was. */
  #takeBack(): void {
    const { media } = this;
    if (this.#known === null || media.sdes === null) return;
    const { line, send, indexes, resume } = this.#known;
    for (const [direction, again] of [
      ['receive', line],
      ['send', send],
    ] as const) {
      const is = lineKey(media.sdes[direction]);
      if (again === null || lineKey(again) !== is) continue;
      if (lineKey(this.#used.sdes?.[direction] ?? null) === is) continue;
      media.srtpIndexes = [
        ...media.srtpIndexes.filter((each) => each.direction !== direction),
        ...indexes.filter((each) => each.direction === direction),
      ];
      media.srtpResume = { ...media.srtpResume, [direction]: resume[direction] };
    }
  }

  /** Keeps the keys in use, or not. @param passed the ends' own security from now on. */
  settle(draft: CallDraft, passed: boolean, other: Former): void {
    const { media } = this;
    media.formerKey = this.#formerKey(other);
    if (this.#wasHeld) {
      media.agreed = null;
      Object.assign(media, this.#indexes);
      forgetIndexes(media, this.#used.sdes);
    }
    this.#skipUsed();
    this.#takeBack();
    settleKeys(draft, media, associationOf(this.#used), passed);
  }
}

/** Nothing but plain RTP (or something that is none) has ever been spoken, or offered, or is held back. */
const hasBeenPlain = ({
  security,
  sdes,
  formerKey,
  ice,
  agreed,
  protocol,
  flags,
}: Media): boolean =>
  security === plainMedia &&
  sdes === null &&
  formerKey === null &&
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
  if (pair.rejected || pair.untouched) {
    refuseOffer(sender);
    refuseOffer(receiver);
    return [];
  }
  if (staysPlain(kind, pair, request, before)) return [];
  const passed = passesThrough(kind, pair, request);
  const formers = [
    new Former(sender, {
      ...pair.before.sender,
      ...{ protocol: before.senderProtocol, rtcpMux: before.senderMux },
    }),
    new Former(receiver, {
      ...pair.before.receiver,
      ...{ protocol: before.receiverProtocol, rtcpMux: before.receiverMux },
    }),
  ];
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
        // Who offers says whether it can (10.5 and 12.5 seen).
        trickle: kind === 'offer' && request.flags.has('trickle-ice'),
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
  const isRtp = [section.protocol, sender.protocol, receiver.protocol].every(isRtpProtocol);
  if (passed || !isRtp) {
    for (const media of [sender, receiver]) media.security = withoutDtls(media.security);
    withoutSdes([sender, receiver]);
  } else {
    if (offeredDtls(transport, session) === null && hasFingerprint(transport, session)) {
      warnings.push('A fingerprint that cannot be used counts as none');
    }
    // Keys of one section that others send with, too, are the other side's no longer.
    const isShared = [sender, receiver].some(({ bundle }) => bundle !== noBundle);
    const isAlike = receiver.protocol === sender.protocol;
    const mayBePlain = (kind === 'offer' ? receiver : sender).flags.has('legacy-osrtp');
    const sides = applyDtls(kind, pair, request, context, before);
    warnings.push(
      ...applySdes(
        { section: transport, sender, receiver },
        {
          ...sdesRequestOf(kind, request, sides, before, { isShared, isAlike, mayBePlain }),
          othersLines: () => draft.state.medias.flatMap(({ sdes }) => sdes?.offered ?? []),
        },
      ),
    );
  }
  const isAgreed = [before.isAgreed, before.receiverIsKnown];
  // Both sides or none: what one is sent is what comes from the other.
  const isHeld =
    kind === 'offer' && formers.some(({ isOther }, at) => isAgreed[at] === true && isOther);
  formers.forEach((former, at) => {
    if (isHeld && isAgreed[at] === true) former.hold(at === 1);
    else former.settle(draft, passed, formers[1 - at] ?? former);
  });
  return warnings;
}

/**
 * Keeps the keys of streams and sockets, or not: they are of before, and with SDES the media's count. Of an association that
 * is to follow another one there are none before its handshake, which may come late or not at all (there are phones that
 * write another role into every body): until then those of before are in use.
 * @param association in use before; '' none.
 */
function settleKeys(draft: CallDraft, media: Media, association: string, passed: boolean): void {
  const isOther = associationOf(media) !== association;
  const goesOn = isOther && association !== '' && !passed && speaksDtls(media);
  if (goesOn && media.streams.some((id) => draft.stream(id).srtp !== null)) {
    setMediaFlag(media, 'dtls-renewed', true);
    return;
  }
  if (isOther || passed || !speaksDtls(media)) setMediaFlag(media, 'dtls-renewed', false);
  if (isOther || passed || (media.sdes !== null && !speaksDtls(media))) forgetKeys(draft, media);
  if (isOther && association !== '') {
    media.srtpIndexes = [];
    media.srtpResume = nothingToResume;
  }
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
