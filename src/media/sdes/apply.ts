/** SDES of one m= section: from its a=crypto lines and the request to the states of both medias. */
import { randomBytes } from 'node:crypto';
import type { Media } from '../call-state.js';
import { cryptoLineText, readCryptoLine, type CryptoLine } from './crypto-line.js';
import { agreementOf, linesToOffer, withoutKeys, type SdesState } from './negotiation.js';
import { securityOf } from './stored.js';
import type { SdesWords } from '../../ng-protocol/requests.js';
import type { SdpMedia, SdpSession } from '../../sdp/types.js';
import { isRtpProtocol, isSecureProtocol } from '../../sdp/view.js';

/** What an offer or answer asks for. */
export interface SdesRequest {
  readonly kind: 'offer' | 'answer';
  readonly options: SdesWords;
  /** Keys go with plain RTP, if the other side likes (RFC 8643). */
  readonly opportunistic: boolean;
  readonly recrypt: boolean;
  /** The request names no protocol: keys that came with plain RTP are passed on. */
  readonly keepsProtocol: boolean;
}

const isDtlsProtocol = (protocol: string): boolean => /^UDP\/TLS\//i.test(protocol);

const hasAttribute = (
  section: { readonly attributes: SdpMedia['attributes'] },
  name: string,
): boolean => section.attributes.some((attribute) => attribute.name === name);

/** Secured by DTLS, and by no keys of its own: not ours to end (yet). */
export function needsDtls(section: SdpMedia, session: SdpSession): boolean {
  if (isDtlsProtocol(section.protocol)) return true;
  const fingerprint = hasAttribute(section, 'fingerprint') || hasAttribute(session, 'fingerprint');
  return fingerprint && !hasAttribute(section, 'crypto');
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

/** Nothing of the former negotiation is left to keep. */
const orNull = (media: Media, sdes: SdesState): SdesState | null =>
  isSecureProtocol(media.protocol) || hasKeys(sdes) || sdes.offered.length + sdes.own.length > 0
    ? sdes
    : null;

export interface SecuredPair {
  readonly section: SdpMedia;
  readonly session: SdpSession;
  readonly sender: Media;
  readonly receiver: Media;
}

function applyOffer(pair: SecuredPair, request: SdesRequest, warnings: string[]): void {
  const { section, sender, receiver } = pair;
  const received = linesOf(section, warnings);
  sender.sdes = orNull(sender, { ...(sender.sdes ?? withoutKeys), offered: received, own: [] });
  const required = isSecureProtocol(receiver.protocol);
  const passedOn =
    received.length > 0 && request.keepsProtocol && !isSecureProtocol(sender.protocol);
  const wanted = !request.options.off && (required || request.opportunistic || passedOn);
  const previous = receiver.sdes;
  const own = wanted
    ? linesToOffer({
        received,
        previous,
        options: request.options,
        recrypt: request.recrypt,
        random: randomBytes,
      })
    : [];
  receiver.sdes = orNull(receiver, { ...(previous ?? withoutKeys), offered: [], own, required });
  if (required && own.length === 0) {
    warnings.push('SRTP is offered without keys; there will be no media with that side');
  }
}

function applyAnswer(pair: SecuredPair, request: SdesRequest, warnings: string[]): void {
  const { section, sender, receiver } = pair;
  const offered = sender.sdes !== null && sender.sdes.own.length > 0;
  const answered = linesOf(section, warnings);
  const { answerer, offerer } = agreementOf({
    answerer: offered ? sender.sdes : null,
    answered,
    answererMayBePlain: sender.sdes?.required !== true,
    offerer: receiver.sdes !== null && receiver.sdes.offered.length > 0 ? receiver.sdes : null,
    offererMayBePlain: !isSecureProtocol(receiver.protocol),
    options: request.options,
    recrypt: request.recrypt,
    random: randomBytes,
  });
  const needed = (media: Media): SdesState | null =>
    isSecureProtocol(media.protocol) || media.sdes?.required === true ? withoutKeys : null;
  const required = sender.sdes?.required === true;
  const settled = answerer ?? (offered ? null : needed(sender));
  sender.sdes = settled === null ? null : { ...settled, required };
  receiver.sdes = offerer ?? needed(receiver);
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

const lineKey = (line: CryptoLine | null): string =>
  line === null ? '' : JSON.stringify({ ...line, tag: 0 });

/** Indexes belong to a key: of a new one none has been used. */
function forgetIndexes(media: Media, before: SdesState | null): void {
  for (const direction of ['receive', 'send'] as const) {
    const [was = null, is = null] = [before?.[direction], media.sdes?.[direction]];
    if (lineKey(was) === lineKey(is)) continue;
    media.srtpIndexes = media.srtpIndexes.filter((each) => each.direction !== direction);
    media.srtpResume = { ...media.srtpResume, [direction]: null };
  }
}

function note(media: Media): void {
  media.security = securityOf(media.security, media.sdes);
}

/** Whether a section without keys so far has some, or is to have some. */
const asksForKeys = ({ section, sender, receiver }: SecuredPair, request: SdesRequest): boolean =>
  request.kind === 'offer' &&
  (request.opportunistic ||
    isSecureProtocol(sender.protocol) ||
    isSecureProtocol(receiver.protocol) ||
    hasAttribute(section, 'crypto'));

/** Settles `sdes` of both medias. Their protocols say already what each side speaks. */
export function applySdes(pair: SecuredPair, request: SdesRequest): readonly string[] {
  const { section, session, sender, receiver } = pair;
  const protocols = [section.protocol, sender.protocol, receiver.protocol];
  if (section.port === 0 || !protocols.every(isRtpProtocol)) return [];
  const known = sender.sdes !== null || receiver.sdes !== null;
  if (protocols.some(isDtlsProtocol) || needsDtls(section, session)) {
    // Passed through as it is; the plan sees to it that nothing in the clear goes that way.
    if (known) sender.sdes = receiver.sdes = null;
    note(sender);
    note(receiver);
    return [];
  }
  if (!known && !asksForKeys(pair, request)) {
    note(sender);
    note(receiver);
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
  else if (known) applyAnswer(pair, request, warnings);
  forgetIndexes(sender, before[0]);
  forgetIndexes(receiver, before[1]);
  note(sender);
  note(receiver);
  return warnings;
}

/** Values of a=crypto for the receiver of the body; null: the section's own lines are not touched. */
export function cryptoLinesFor(
  kind: 'offer' | 'answer',
  { sender, receiver }: Pick<SecuredPair, 'sender' | 'receiver'>,
  { pad, lifetime }: SdesWords,
): readonly string[] | null {
  const sdes = receiver.sdes;
  if (sdes === null) {
    const converted = isSecureProtocol(sender.protocol) && !isSecureProtocol(receiver.protocol);
    return sender.sdes !== null || converted ? [] : null;
  }
  const lines = kind === 'offer' ? sdes.own : sdes.send === null ? [] : [sdes.send];
  return lines.map((line) => cryptoLineText(line, { pad, lifetime }));
}
