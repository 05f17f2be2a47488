/** The lines about security and ICE in the body for a side (sdp-rules.md §6, §7). */
import type { CallDraft } from './call-draft.js';
import type { Endpoint, LocalSocket, Media } from './call-state.js';
import { fingerprintText } from './dtls/attributes.js';
import { fingerprintOf } from './dtls/identity.js';
import { speaksDtls, tlsIdOf } from './dtls/negotiation.js';
import { candidateText, offeredIce } from './ice/attributes.js';
import { foundationOf, hostPriority, lastResortPriority } from './ice/candidates.js';
import type { IceCandidate } from './media-attributes.js';
import type { MediaPair } from './media-pair.js';
import type { SignallingContext, SignallingKind, SignallingRequest } from './signalling.js';
import { isRtpProtocol } from '../sdp/view.js';

export interface LineRequest {
  readonly kind: SignallingKind;
  readonly draft: CallDraft;
  readonly request: SignallingRequest;
  readonly context: SignallingContext;
}

/** Attributes for the receiver of the body, without `a=`: setup, fingerprint, tls-id. */
export function dtlsLinesFor(
  { kind, draft, request }: LineRequest,
  { receiver }: Pick<MediaPair, 'receiver'>,
): readonly string[] {
  const { identity, setup, fingerprint } = receiver.security;
  if (!speaksDtls(receiver) || identity === null) return [];
  // Who offered first has said which one it knows; what was chosen for the other side stays (12.5 seen).
  const own = receiver.ice.controlling ? undefined : fingerprint?.hash;
  const hash = own ?? request.dtlsFingerprint ?? 'sha-256';
  const lines = [
    // RFC 8842 §5.3: whoever offers leaves the choice, established roles stay all the same.
    `setup:${kind === 'offer' ? 'actpass' : (setup ?? 'passive')}`,
    `fingerprint:${fingerprintText(fingerprintOf(identity, hash))}`,
  ];
  if (!request.flags.has('no-tls-id'))
    lines.push(`tls-id:${tlsIdOf(draft.state.callId, receiver)}`);
  return lines;
}

/** How our own candidates appear: as the only ones, as a last resort beside others, as relays. */
type Appearance = 'own' | 'last-resort' | 'relay';

function appearanceOf({ kind, request }: LineRequest, { receiver }: MediaPair): Appearance {
  if (request.ice.mode === 'force-relay' && (kind === 'offer' || receiver.flags.has('passthrough')))
    return 'relay';
  return receiver.flags.has('passthrough') ? 'last-resort' : 'own';
}

/** Whether the section's own address and port stay: media are to find the relay by its candidates alone. */
export function keepsAddress(lines: LineRequest, pair: MediaPair): boolean {
  return pair.receiver.ice.enabled && appearanceOf(lines, pair) === 'relay';
}

/** Local sockets of one component, in the order of the addresses. */
function socketsOf(draft: CallDraft, media: Media, component: 1 | 2): readonly LocalSocket[] {
  const id = media.streams[component - 1];
  if (id === undefined) return [];
  return draft.stream(id).sockets.map((socket) => draft.socket(socket));
}

interface Position {
  readonly index: number;
  readonly addresses: number;
  readonly component: 1 | 2;
}

function priorityFor(
  appearance: Appearance,
  others: readonly IceCandidate[],
  at: Position,
): number {
  if (appearance === 'own') return hostPriority(at.index, at.component);
  return lastResortPriority(others, appearance === 'relay' ? 'relay' : 'host', at);
}

/** Where ICE is done: the stream, the place of the chosen socket among its own, and the peer (RFC 8839 §4.4.1.2.2). */
interface Chosen {
  readonly index: number;
  readonly remote: Endpoint;
}

function chosenOf(draft: CallDraft, media: Media, component: 1 | 2): Chosen | null {
  const id = media.streams[component - 1];
  if (id === undefined || media.flags.has('ice-restarted')) return null;
  const { iceRoute, selectedSocket, endpoint, sockets } = draft.stream(id);
  if (iceRoute === null || selectedSocket === null || endpoint === null) return null;
  const index = sockets.indexOf(selectedSocket);
  return index < 0 ? null : { index, remote: endpoint };
}

/** `1 ADDRESS PORT 2 ADDRESS PORT`, of a controlling side's offer once ICE is done (RFC 8839 §5.2); null: it is not. */
function remoteCandidates(
  { kind, draft }: LineRequest,
  media: Media,
  components: 1 | 2,
): string | null {
  if (kind !== 'offer' || !media.ice.controlling || media.flags.has('passthrough')) return null;
  const words: string[] = [];
  for (const component of ([1, 2] as const).slice(0, components)) {
    const chosen = chosenOf(draft, media, component);
    if (chosen === null) return null;
    words.push(`${component} ${chosen.remote.address} ${chosen.remote.port}`);
  }
  return words.join(' ');
}

function candidatesFor(
  lines: LineRequest,
  pair: MediaPair,
  sharesPort: boolean,
): readonly IceCandidate[] {
  const { draft, request, context } = lines;
  const { receiver, section, session } = pair;
  const appearance = appearanceOf(lines, pair);
  const others = offeredIce(section, session)?.candidates ?? [];
  const both = isRtpProtocol(section.protocol) && !sharesPort;
  return ([1, 2] as const).slice(0, both ? 2 : 1).flatMap((component) => {
    const sockets = socketsOf(draft, receiver, component);
    const chosen = appearance === 'own' ? chosenOf(draft, receiver, component) : null;
    return sockets.flatMap((socket, index) => {
      if (chosen !== null && chosen.index !== index) return [];
      const { logicalInterface, family, addressIndex, port } = socket;
      const local = context.interfaces.addressAt(logicalInterface, family, addressIndex);
      if (local === null) return [];
      const endpoint = { address: request.mediaAddress ?? local.advertised, port };
      const position = { index, addresses: sockets.length, component };
      return [
        {
          foundation: foundationOf(`${local.address} ${local.advertised}`),
          component,
          priority: priorityFor(appearance, others, position),
          endpoint,
          type: appearance === 'relay' ? ('relay' as const) : ('host' as const),
          related: appearance === 'relay' ? endpoint : null,
        },
      ];
    });
  });
}

export interface IceLinesWanted {
  /** RTCP goes with RTP. */
  readonly sharesPort: boolean;
  /** Of the sections of a bundle one has them. */
  readonly candidates: boolean;
}

/** Attributes for the receiver of the body, without `a=`: credentials, options, candidates. */
export function iceLinesFor(
  lines: LineRequest,
  pair: MediaPair,
  { sharesPort, candidates }: IceLinesWanted,
): readonly string[] {
  const { ice, flags } = pair.receiver;
  if (!ice.enabled) return [];
  const out: string[] = [];
  const passed = flags.has('passthrough');
  if (!passed && ice.local !== null) {
    const options = [ice.trickle ? 'trickle' : '', ice.ice2 ? 'ice2' : ''].filter(Boolean);
    out.push(`ice-ufrag:${ice.local.ufrag}`, `ice-pwd:${ice.local.pwd}`);
    if (options.length > 0) out.push(`ice-options:${options.join(' ')}`);
  }
  if (!candidates) return out;
  for (const candidate of candidatesFor(lines, pair, sharesPort))
    out.push(`candidate:${candidateText(candidate)}`);
  const both = isRtpProtocol(pair.section.protocol) && !sharesPort;
  const remote = remoteCandidates(lines, pair.receiver, both ? 2 : 1);
  if (remote !== null) out.push(`remote-candidates:${remote}`);
  const ended = passed
    ? offeredIce(pair.section, pair.session)?.endOfCandidates === true
    : ice.trickle;
  if (ended) out.push('end-of-candidates');
  return out;
}
