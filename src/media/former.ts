/**
 * How a side secured its media before a body, while that may be provisional: media goes on so until something comes as is
 * agreed on now, since a refusal is told to nobody.
 */
import { createHash } from 'node:crypto';
import { agreedOf, inUse, isSecuredOtherwise, type SeenBefore } from './agreed.js';
import type { CallDraft } from './call-draft.js';
import {
  nothingToResume,
  type AgreedSecurity,
  type Association,
  type AssociationKeys,
  type FormerSecurity,
  type Media,
} from './call-state.js';
import { roleOf, speaksDtls } from './dtls/negotiation.js';
import { usesDtls } from './dtls/plan.js';
import type { MediaSecurity, SrtpKeys } from './media-attributes.js';
import { setMediaFlag } from './media-pair.js';
import { forgetIndexes, passesKeys } from './sdes/apply.js';
import { lineKey } from './sdes/crypto-line.js';
import { lineOfKeys } from './sdes/stored.js';
import { reservedIndexes, resumeFrom } from './srtp-resume.js';
import { isRtpProtocol, isSecureProtocol } from '../sdp/view.js';

/** The same while the same two certificates shake hands in the same roles: a peer begins no other handshake then. */
export function associationName(security: MediaSecurity): string {
  const { fingerprint, identity } = security;
  const parts = [fingerprint?.hash, fingerprint?.digest, roleOf(security), identity?.certificate];
  return createHash('sha256').update(parts.join('\0'), 'latin1').digest('hex').slice(0, 32);
}

/** Keys that DTLS gave belong to an association: with the next one they are gone. */
function forgetKeys(draft: CallDraft, media: Media): void {
  for (const id of media.streams) {
    const stream = draft.stream(id);
    stream.srtp = null;
    for (const socket of stream.sockets) draft.socket(socket).srtp = null;
  }
}

/** Phones that a request reaches at once are few. */
const maxAssociations = 4;

/** That association itself, and those before it. */
const associationsIn = (former: FormerSecurity | null): readonly Association[] => {
  if (former?.kind !== 'DTLS') return [];
  const { name, keys, indexes, resume, earlier } = former;
  return [{ name, keys, indexes, resume }, ...earlier];
};

/** Of each stream; null: DTLS has given none. */
function keysOf(draft: CallDraft, media: Media): readonly (AssociationKeys | null)[] | null {
  const keys = media.streams.map((id) => {
    const { srtp: send, sockets } = draft.stream(id);
    const receive = sockets
      .map((socket) => draft.socket(socket).srtp)
      .find((srtp) => srtp !== null);
    return send === null || receive === undefined ? null : { receive, send };
  });
  return keys.some((each) => each !== null) ? keys : null;
}

const keyText = (keys: SrtpKeys | undefined): string => lineKey(lineOfKeys(keys ?? null));

export const isKeyedBy = (
  { receive, send }: AssociationKeys,
  stream: { readonly receive: SrtpKeys | undefined; readonly send: SrtpKeys | undefined },
): boolean =>
  keyText(receive) === keyText(stream.receive) && keyText(send) === keyText(stream.send);

/** Of each stream; null: DTLS has given none. */
const sameKeys = (
  a: readonly (AssociationKeys | null)[],
  b: readonly (AssociationKeys | null)[] | null,
): boolean =>
  b !== null &&
  a.every((each, at) => {
    const other = b[at] ?? null;
    return each === null ? other === null : other !== null && isKeyedBy(each, other);
  });

const associationOf = (media: Pick<Media, 'security'>): string =>
  speaksDtls(media) ? String(media.security.generation) : '';

/** What packets are treated by; null: nothing that a side could go on with. */
type Kind = FormerSecurity['kind'] | null;

function kindOf(
  { protocol, security, sdes }: Pick<Media, 'protocol' | 'security' | 'sdes'>,
  passedOn: boolean,
): Kind {
  if (passedOn || !isRtpProtocol(protocol)) return null;
  if (usesDtls({ security, sdes })) return 'DTLS';
  if (sdes !== null && sdes.receive !== null) return 'SDES';
  return isSecureProtocol(protocol) || sdes?.required === true ? null : 'plain';
}

/** A media as its packets were treated before a body. */
export class Former {
  readonly #used: AgreedSecurity;
  readonly #indexes: Pick<Media, 'srtpIndexes' | 'srtpResume'>;
  readonly #wasHeld: boolean;
  readonly #known: FormerSecurity | null;
  readonly #keys: readonly (AssociationKeys | null)[] | null;
  /** Keys of lines that its side has been offered. */
  readonly #offered: ReadonlySet<string>;

  constructor(
    private readonly draft: CallDraft,
    private readonly media: Media,
    before: SeenBefore,
  ) {
    this.#used = agreedOf(inUse(media), media.agreed ?? before);
    this.#indexes = { srtpIndexes: media.srtpIndexes, srtpResume: media.srtpResume };
    this.#wasHeld = media.agreed !== null;
    this.#known = media.former;
    this.#keys = usesDtls(this.#used) ? keysOf(draft, media) : null;
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

  get #was(): Kind {
    return kindOf(this.#used, this.#used.passthrough);
  }

  get #is(): Kind {
    return kindOf(this.media, this.media.flags.has('passthrough'));
  }

  #passed(other: Former): boolean {
    const { sdes } = this.#used;
    return sdes !== null && (sdes.passthrough || passesKeys(sdes, other.#used.sdes));
  }

  /** Its packets are treated as before. */
  #isAlike(passed: boolean): boolean {
    const { media } = this;
    if (this.#was !== this.#is) return false;
    if (this.#was === 'DTLS') return associationOf(this.#used) === associationOf(media);
    const [was, is] = [this.#used.sdes, media.sdes];
    return (
      this.#was === 'plain' ||
      (lineKey(was?.receive ?? null) === lineKey(is?.receive ?? null) && passed === is?.passthrough)
    );
  }

  /** Something has come as was agreed on, and not as before that. */
  #isHeard(passed: boolean, other: Former): boolean {
    const known = this.#known;
    if (known === null || this.#was === 'plain') return false;
    // Of what passes through packets are looked at while both sides have former keys that it ended here by.
    const isUnseen =
      passed &&
      [known, other.#known].some((each) => each === null || (each.kind === 'SDES' && each.passed));
    if (isUnseen) return true;
    if (this.#isHeardAnew()) return true;
    // By the key of before nothing shows whether it passes through now: what comes from the other side does.
    return known.kind === 'SDES' && known.passed !== passed && other.#isHeardAnew();
  }

  /** Something has come by a key that was not there before. */
  #isHeardAnew(): boolean {
    const known = this.#known;
    if (known === null || this.#was === 'plain') return false;
    if (!this.#indexes.srtpIndexes.some(({ direction }) => direction === 'receive')) return false;
    if (this.#was === 'DTLS' && known.kind === 'DTLS') return !sameKeys(known.keys, this.#keys);
    const line = known.kind === 'SDES' ? known.line : null;
    return lineKey(line) !== lineKey(this.#used.sdes?.receive ?? null);
  }

  /** What is agreed on now is what was before. */
  #isBack(known: FormerSecurity): boolean {
    const { sdes, security } = this.media;
    if (known.kind !== this.#is) return false;
    if (known.kind === 'DTLS') return known.name === associationName(security);
    return (
      known.kind === 'plain' ||
      (lineKey(known.line) === lineKey(sdes?.receive ?? null) && known.passed === sdes?.passthrough)
    );
  }

  /** An answer may be provisional: what its side has done so far is good as well. @param isAgreed there was an answer before. */
  #former(other: Former, isAgreed: boolean): FormerSecurity | null {
    const former = this.#formerOrOpen(other, isAgreed);
    // What is not authentic cannot be told from what is plain.
    const isOpen = former?.kind === 'SDES' && former.line.unauthenticatedSrtp;
    return this.#is === 'plain' && isOpen ? null : former;
  }

  /** The same with keys that take whatever comes. */
  #formerOrOpen(other: Former, isAgreed: boolean): FormerSecurity | null {
    if (this.#was === null || this.#is === null) return null;
    const passed = this.#passed(other);
    const known = this.#known;
    const isHeard = this.#isHeard(passed, other);
    // While it might pass through again every packet is looked at, and none goes through the kernel.
    if (this.#isAlike(passed))
      return isHeard && known?.kind === 'SDES' && known.passed !== passed ? null : known;
    // What nothing has come by was refused: the side is where it was before that.
    if (known !== null && !isHeard) return this.#isBack(known) ? null : known;
    return this.#goesRaw(passed, other) ? null : this.#before(passed, isAgreed);
  }

  /** Of both sides nothing was, or is, looked at: whatever comes goes to the other one as it is. */
  #goesRaw(passed: boolean, other: Former): boolean {
    const isPassed = this.media.sdes?.passthrough === true;
    return (
      (passed && isPassed) ||
      (passed && this.#is === 'plain' && other.#is === 'plain') ||
      (isPassed && this.#was === 'plain' && other.#was === 'plain')
    );
  }

  #before(passed: boolean, isAgreed: boolean): FormerSecurity | null {
    const { srtpIndexes, srtpResume } = this.#indexes;
    const { media } = this;
    const line = this.#used.sdes?.receive ?? null;
    if (this.#was === 'plain') return isAgreed ? { kind: 'plain' } : null;
    if (this.#was === 'DTLS')
      return this.#keys === null
        ? null
        : {
            ...{ kind: 'DTLS', name: associationName(this.#used.security), keys: this.#keys },
            ...{ indexes: srtpIndexes, resume: srtpResume, earlier: this.#earlier() },
          };
    if (line === null) return null;
    const ours = passed ? null : (this.#used.sdes?.send ?? null);
    const send = lineKey(ours) === lineKey(media.sdes?.send ?? null) ? null : ours;
    return {
      ...{ kind: 'SDES', line, send, passed },
      indexes: srtpIndexes.filter(({ direction }) => direction === 'receive' || send !== null),
      resume: srtpResume,
    };
  }

  /** But for the present one, and the one that becomes the former. */
  #earlier(): readonly Association[] {
    const others = [this.#used.security, this.media.security].map(associationName);
    const known = associationsIn(this.#known).filter(({ name }) => !others.includes(name));
    return known.slice(0, maxAssociations).map(({ name, keys, indexes }) => {
      // The relay has them no more.
      const resume = resumeFrom(indexes);
      return { name, keys, indexes: reservedIndexes(indexes, resume), resume };
    });
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
    if (this.#known?.kind !== 'SDES' || media.sdes === null) return;
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

  /**
   * Who shakes hands as before may begin no handshake, since for him nothing has changed: its keys are good until there
   * are others.
   */
  #takeBackAssociation(passed: boolean): void {
    const { draft, media } = this;
    if (passed || !usesDtls(media)) return;
    const present = associationName(media.security);
    const known = associationsIn(this.#known).find(({ name }) => name === present);
    if (known === undefined || sameKeys(known.keys, keysOf(draft, media))) return;
    media.streams.forEach((id, at) => {
      const keys = known.keys[at] ?? null;
      const stream = draft.stream(id);
      stream.srtp = keys?.send ?? null;
      for (const socket of stream.sockets) draft.socket(socket).srtp = keys?.receive ?? null;
    });
    setMediaFlag(media, 'dtls-renewed', true);
    media.srtpIndexes = known.indexes;
    media.srtpResume = known.resume;
  }

  /**
   * Keeps what is in use, or not.
   * @param passed the ends' own security from now on. @param isAgreed there was an answer before.
   */
  settle(passed: boolean, isAgreed: boolean, other: Former): void {
    const { media } = this;
    media.former = this.#former(other, isAgreed);
    if (this.#wasHeld) {
      media.agreed = null;
      Object.assign(media, this.#indexes);
      forgetIndexes(media, this.#used.sdes);
    }
    this.#skipUsed();
    this.#takeBack();
    this.#settleKeys(passed);
    this.#takeBackAssociation(passed);
  }

  /**
   * Keeps the keys of streams and sockets, or not: they are of before, and with SDES the media's count. Of an association that
   * is to follow another one there are none before its handshake, which may come late or not at all (there are phones that
   * write another role into every body): until then those of before are in use.
   */
  #settleKeys(passed: boolean): void {
    const { draft, media } = this;
    const association = associationOf(this.#used);
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
}
