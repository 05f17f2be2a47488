/**
 * ICE of one m= section: from what its sender says and the request to the states of both medias (RFC 8445,
 * 8839). Each side has an agent of ours of its own; or, passed through, none. Pure but for random numbers; the
 * rules are rtpengine's (sdp-rules.md §7, 10.5 seen).
 */
import type { Media } from '../call-state.js';
import { noIce, noIceControlling, type IceCandidate, type MediaIce } from '../media-attributes.js';
import type { IceLiteWord, IceWords } from '../../ng-protocol/requests.js';
import { newCredentials, newTieBreaker } from './candidates.js';
import type { OfferedIce } from './attributes.js';

export interface IceRequest {
  readonly kind: 'offer' | 'answer';
  readonly words: IceWords;
  /** The key `ICE-lite`, before the word of `ICE`. */
  readonly lite: IceLiteWord | null;
  /** a=ice-options:trickle towards the receiver. */
  readonly trickle: boolean;
  /** The offerer is answered without ICE. */
  readonly reject: boolean;
  /** New credentials for the receiver, and what it did not speak before is asked for again. */
  readonly reset: boolean;
}

export interface IcePair {
  /** What the sender's section says; null: nothing. */
  readonly offered: OfferedIce | null;
  readonly sender: Media;
  readonly receiver: Media;
  /** The receiver has sent a body of its own before. */
  readonly receiverIsKnown: boolean;
}

/** Without ICE; who would be controlling is kept (rtpengine notes it in plain calls, too). */
const disabled = ({ controlling }: MediaIce): MediaIce => (controlling ? noIceControlling : noIce);

const isListed = (list: readonly IceCandidate[], { component, endpoint }: IceCandidate): boolean =>
  list.some(
    (known) =>
      known.component === component &&
      known.endpoint.port === endpoint.port &&
      known.endpoint.address === endpoint.address,
  );

/** The relay takes no more of one media into account. */
const maxKnown = 128;

/** `known` with those of `more` that are new. */
export const mergedCandidates = (
  known: readonly IceCandidate[],
  more: readonly IceCandidate[],
): readonly IceCandidate[] =>
  [...known, ...more.filter((each) => !isListed(known, each))].slice(0, maxKnown);

/** RFC 8445 §6.1.1: a full agent controls a lite one. */
function controllingOf(ice: Pick<MediaIce, 'controlling' | 'lite' | 'peerIsLite'>): boolean {
  if (ice.lite === ice.peerIsLite) return ice.controlling;
  return ice.peerIsLite;
}

const withRole = (ice: MediaIce): MediaIce => {
  const controlling = controllingOf(ice);
  return controlling === ice.controlling ? ice : { ...ice, controlling };
};

/** What the peer says of itself. In an offer other credentials begin anew (RFC 8839 §4.4.1.1.1). */
function heard(ice: MediaIce, offered: OfferedIce, kind: IceRequest['kind']): MediaIce {
  const { credentials } = offered;
  const before = ice.enabled ? ice.remote : null;
  const restarts =
    before !== null && (before.ufrag !== credentials?.ufrag || before.pwd !== credentials.pwd);
  const known = before === null || restarts ? [] : ice.remoteCandidates;
  const told = ice.enabled ? ice.local : null;
  return withRole({
    ...ice,
    enabled: true,
    remote: credentials,
    remoteCandidates: mergedCandidates(known, offered.candidates),
    local: restarts && kind === 'offer' && told !== null ? newCredentials() : told,
    tieBreaker: ice.tieBreaker === '' ? newTieBreaker() : ice.tieBreaker,
    trickle: offered.trickle,
    ice2: offered.ice2,
    peerIsLite: offered.lite,
    endOfCandidates: offered.endOfCandidates,
  });
}

/** We speak it with the side, and have told it our credentials. */
function spoken(ice: MediaIce, request: IceRequest): MediaIce {
  const known = ice.enabled && !request.reset ? ice.local : null;
  return withRole({
    ...ice,
    enabled: true,
    local: known ?? newCredentials(),
    tieBreaker: ice.tieBreaker === '' ? newTieBreaker() : ice.tieBreaker,
    trickle: ice.trickle || request.trickle || request.words.trickle,
    ice2: ice.ice2 || request.words.ice2,
  });
}

/** Applies the words about lite agents, from the sides' own point of view. */
function applyLite({ sender, receiver }: IcePair, request: IceRequest): void {
  const word = request.lite ?? request.words.lite;
  if (word === null) return;
  const set = (media: Media, lite: boolean): void => {
    if (media.ice.lite === lite || !media.ice.enabled) return;
    media.ice = withRole({ ...media.ice, lite, controlling: media.ice.controlling && !lite });
  };
  set(receiver, word === 'forward' || word === 'both');
  set(sender, word === 'backward' || word === 'both');
}

function isWanted(pair: IcePair, { words, reset }: IceRequest): boolean {
  switch (words.mode) {
    case 'remove':
      return false;
    case 'force':
    case 'optional':
    case 'force-relay':
      return true;
    case 'default':
    case null:
      // Who answered without is not asked again, and who speaks it goes on (10.5 and 12.5 seen).
      if (pair.offered === null)
        return pair.receiver.ice.enabled && pair.receiver.ice.remote !== null;
      return reset || !pair.receiverIsKnown || pair.receiver.ice.enabled;
  }
}

const usable = (offered: OfferedIce | null): OfferedIce | null =>
  offered === null || offered.credentials === null ? null : offered;

function applyOffer(pair: IcePair, request: IceRequest): void {
  const { sender, receiver } = pair;
  const offered = request.reject ? null : usable(pair.offered);
  sender.ice = offered === null ? disabled(sender.ice) : heard(sender.ice, offered, 'offer');
  receiver.ice = isWanted(pair, request) ? spoken(receiver.ice, request) : disabled(receiver.ice);
}

function applyAnswer(pair: IcePair, request: IceRequest): void {
  const { sender, receiver } = pair;
  const offered = sender.ice.enabled ? usable(pair.offered) : null;
  sender.ice = offered === null ? disabled(sender.ice) : heard(sender.ice, offered, 'answer');
  const answered =
    receiver.ice.enabled && receiver.ice.remote !== null && request.words.mode !== 'remove';
  receiver.ice = answered ? spoken(receiver.ice, request) : disabled(receiver.ice);
}

/** The ends speak it with each other: there is no agent here. */
function applyPassed({ offered, sender, receiver }: IcePair): void {
  for (const media of [sender, receiver]) {
    const ice = disabled(media.ice);
    media.ice =
      offered === null
        ? ice
        : { ...ice, enabled: true, trickle: offered.trickle, remoteCandidates: [] };
  }
}

/** Settles `ice` of both medias. Returns what to warn of. */
export function applyIce(
  pair: IcePair,
  request: IceRequest,
  passesThrough: boolean,
): readonly string[] {
  const warnings: string[] = [];
  if (passesThrough) {
    applyPassed(pair);
    return warnings;
  }
  if (pair.offered !== null && pair.offered.credentials === null) {
    warnings.push('ICE without credentials that can be used counts as none');
  }
  if (request.kind === 'offer') applyOffer(pair, request);
  else applyAnswer(pair, request);
  applyLite(pair, request);
  return warnings;
}
