/** SDES of one m= section: from its a=crypto lines and the request to the states of both medias. */
import { randomBytes } from 'node:crypto';
import type { Media } from '../call-state.js';
import { cryptoLineText, lineKey, readCryptoLine, type CryptoLine } from './crypto-line.js';
import {
  agreementOf,
  linesToChooseFrom,
  linesToOffer,
  withoutKeys,
  type SdesState,
} from './negotiation.js';
import { securityOf } from './stored.js';
import type { SdesWords } from '../../ng-protocol/requests.js';
import type { SdpMedia } from '../../sdp/types.js';
import { hasAttribute, isSecureProtocol } from '../../sdp/view.js';

/** What an offer or answer asks for, and what DTLS leaves to keys. */
export interface SdesRequest {
  readonly kind: 'offer' | 'answer';
  readonly options: SdesWords;
  /** Keys go with plain RTP, if the other side likes (RFC 8643). */
  readonly opportunistic: boolean;
  /** The receiver had plain RTP as its protocol: keys it has all the same were a choice. */
  readonly receiverWasPlain: boolean;
  readonly recrypt: boolean;
  /** The request names no protocol: keys that came with plain RTP are passed on. */
  readonly keepsProtocol: boolean;
  /** Of an offer: it can be answered by DTLS. Of an answer: it is. */
  readonly senderDtls: boolean;
  /** The receiver is offered DTLS as well; or is answered by it. */
  readonly receiverDtls: boolean;
  /** Of an offer: DTLS is all that its receiver wants. */
  readonly receiverDtlsAlone: boolean;
  /** Of an answer: plain RTP was not offered. */
  readonly required: boolean;
  /** What the sides of the call have offered. */
  readonly othersLines: () => readonly CryptoLine[];
  /** Who is offered SRTP, or was, has the choice of plain RTP. */
  readonly mayBePlain: boolean;
}

/** Lines that can be used; the others are told. */
function linesOf(section: SdpMedia, warnings: string[]): readonly CryptoLine[] {
  const lines: CryptoLine[] = [];
  for (const { name, value } of section.attributes) {
    if (name !== 'crypto') continue;
    const line = readCryptoLine(value ?? '');
    if (typeof line === 'string') warnings.push(`An a=crypto line is not used: ${line}`);
    else lines.push(line);
  }
  return lines;
}

const hasKeys = (sdes: SdesState | null): boolean =>
  sdes !== null && (sdes.receive !== null || sdes.send !== null);

/** What the sender of an offer encrypts is decrypted here: the receiver has no keys. */
export const hasKeysOfItsOwn = (sender: Media, receiver: Media): boolean =>
  hasKeys(sender.sdes) && !hasKeys(receiver.sdes);

/** null: there is nothing to keep of the former negotiation, or DTLS does it. */
function orNull(media: Media, sdes: SdesState, dtls: boolean): SdesState | null {
  if (hasKeys(sdes) || sdes.offered.length + sdes.own.length > 0) return sdes;
  return isSecureProtocol(media.protocol) && !dtls ? sdes : null;
}

export interface SecuredPair {
  readonly section: SdpMedia;
  readonly sender: Media;
  readonly receiver: Media;
}

function applyOffer(pair: SecuredPair, request: SdesRequest, warnings: string[]): void {
  const { section, sender, receiver } = pair;
  const received = linesOf(section, warnings);
  const formerly = sender.sdes?.offered ?? [];
  const endHere = hasKeysOfItsOwn(sender, receiver);
  const offered = linesToChooseFrom(received, request.options);
  const heard = { ...(sender.sdes ?? withoutKeys), offered, own: [] };
  sender.sdes = orNull(sender, heard, request.senderDtls);
  const required = isSecureProtocol(receiver.protocol);
  // Plain RTP with the choice of SRTP: keys that end here are not offered on, those in use are offered again.
  const hasChosenKeys = request.receiverWasPlain && hasKeys(receiver.sdes);
  const passedOn =
    ((received.length > 0 && !endHere) || request.senderDtls || hasChosenKeys) &&
    request.keepsProtocol &&
    !isSecureProtocol(sender.protocol);
  const isAsked = required || request.opportunistic || passedOn;
  const wanted = !request.options.off && !request.receiverDtlsAlone && isAsked;
  const previous = receiver.sdes;
  const own = wanted
    ? linesToOffer({
        received,
        othersLines: () => [...formerly, ...request.othersLines()],
        previous,
        options: request.options,
        // What its offerer is answered with may be DTLS: then we must not send with its keys.
        recrypt: request.recrypt || request.senderDtls,
        random: randomBytes,
      })
    : [];
  const must = required && !request.mayBePlain;
  const told = { ...(previous ?? withoutKeys), offered: [], own, required: must };
  receiver.sdes = orNull(receiver, told, request.receiverDtls);
  if (required && own.length === 0 && !request.receiverDtls) {
    warnings.push('SRTP is offered without keys; there will be no media with that side');
  }
}

function applyAnswer(pair: SecuredPair, request: SdesRequest, warnings: string[]): void {
  const { section, sender, receiver } = pair;
  const { senderDtls, receiverDtls } = request;
  const required = request.required || sender.sdes?.required === true;
  const offered = !senderDtls && sender.sdes !== null && sender.sdes.own.length > 0;
  const answered = linesOf(section, warnings);
  const offersKeys = !receiverDtls && receiver.sdes !== null && receiver.sdes.offered.length > 0;
  const { answerer, offerer } = agreementOf({
    answerer: offered ? sender.sdes : null,
    answered,
    answererMayBePlain: !required,
    offerer: offersKeys ? receiver.sdes : null,
    offererMayBePlain: !isSecureProtocol(receiver.protocol),
    options: request.options,
    recrypt: request.recrypt,
    random: randomBytes,
  });
  const needed = (media: Media): SdesState | null =>
    isSecureProtocol(media.protocol) || media.sdes?.required === true ? withoutKeys : null;
  const plain = offered || !required ? null : withoutKeys;
  const settled = senderDtls ? null : (answerer ?? plain ?? (offered ? null : needed(sender)));
  sender.sdes = settled === null ? null : { ...settled, required };
  receiver.sdes = receiverDtls ? null : (offerer ?? needed(receiver));
  if (sender.sdes !== null && sender.sdes.send === null) {
    warnings.push('The answer takes none of the keys that were offered; its media is not relayed');
  }
  if (receiver.sdes !== null && receiver.sdes.send === null) {
    warnings.push('The offer had no keys that can be used; its media is not relayed');
  }
}

/** Each encrypts with what the other one was given: SRTP is passed on between the two. */
export function passesKeys(a: SdesState | null, b: SdesState | null): boolean {
  if (a === null || b === null) return false;
  const agreed = a.receive !== null && a.send !== null;
  return agreed && lineKey(a.receive) === lineKey(b.send) && lineKey(a.send) === lineKey(b.receive);
}

/** Indexes belong to a key: of a new one none has been used. */
export function forgetIndexes(media: Media, before: SdesState | null): void {
  for (const direction of ['receive', 'send'] as const) {
    const [was = null, is = null] = [before?.[direction], media.sdes?.[direction]];
    if (lineKey(was) === lineKey(is)) continue;
    media.srtpIndexes = media.srtpIndexes.filter((each) => each.direction !== direction);
    media.srtpResume = { ...media.srtpResume, [direction]: null };
  }
}

/** Nobody's keys are looked at: SRTP is passed on. */
export function withoutSdes(medias: readonly Media[]): void {
  for (const media of medias) {
    const before = media.sdes;
    media.sdes = null;
    forgetIndexes(media, before);
    media.security = securityOf(media.security, null);
  }
}

/** Whether a section without keys so far has some, or is to have some. */
const asksForKeys = ({ section, sender, receiver }: SecuredPair, request: SdesRequest): boolean =>
  request.senderDtls ||
  request.receiverDtls ||
  request.required ||
  (request.kind === 'offer' &&
    (request.opportunistic ||
      isSecureProtocol(sender.protocol) ||
      isSecureProtocol(receiver.protocol) ||
      hasAttribute(section, 'crypto')));

/** Settles `sdes` of both medias. Their protocols say already what each side speaks, and DTLS is settled. */
export function applySdes(pair: SecuredPair, request: SdesRequest): readonly string[] {
  const { sender, receiver } = pair;
  const known = sender.sdes !== null || receiver.sdes !== null;
  if (!known && !asksForKeys(pair, request)) {
    for (const media of [sender, receiver]) media.security = securityOf(media.security, null);
    return [];
  }
  const warnings: string[] = [];
  const before = [sender.sdes, receiver.sdes] as const;
  if (passesKeys(before[0], before[1])) {
    // A call that rtpengine stored does not say so.
    for (const media of [sender, receiver])
      if (media.sdes !== null) media.sdes = { ...media.sdes, passthrough: true };
  }
  if (request.kind === 'offer') applyOffer(pair, request, warnings);
  else if (known || request.senderDtls || request.receiverDtls || request.required) {
    applyAnswer(pair, request, warnings);
  }
  forgetIndexes(sender, before[0]);
  forgetIndexes(receiver, before[1]);
  for (const media of [sender, receiver]) media.security = securityOf(media.security, media.sdes);
  return warnings;
}

/** Values of a=crypto for the receiver of the body. */
export function cryptoLinesFor(
  kind: 'offer' | 'answer',
  { receiver }: Pick<SecuredPair, 'receiver'>,
  { pad, lifetime }: SdesWords,
): readonly string[] {
  const sdes = receiver.sdes;
  if (sdes === null) return [];
  const lines = kind === 'offer' ? sdes.own : sdes.send === null ? [] : [sdes.send];
  return lines.map((line) => cryptoLineText(line, { pad, lifetime }));
}
