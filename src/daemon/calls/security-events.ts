/** What ICE and DTLS of the relay say: where a side is, and its keys. */
import {
  copyOfMedia,
  copyOfSocket,
  copyOfStream,
  formatEndpoint,
  shallowCopyOf,
  withFlag,
  type CallState,
  type DraftState,
  type Media,
  type StoredSrtpIndexes,
  type Stream,
} from '../../media/call-state.js';
import { inUse } from '../../media/agreed.js';
import { isKeyedBy } from '../../media/former.js';
import { withSharedTransports } from '../../media/bundle/transport.js';
import { selectRoute, type TellsOf } from '../../media/ice/resume.js';
import { digestsOf } from '../../media/dtls/attributes.js';
import type { MediaSecurity, SrtpKeys } from '../../media/media-attributes.js';
import type { DtlsKeys, RelayEvent } from '../../media/relay.js';
import type { Log } from '../../observe/log.js';

export type SecurityEvent = Extract<
  RelayEvent,
  { readonly type: 'ice-selected' | 'ice-status' | 'dtls-status' }
>;

export const isSecurityEvent = (event: RelayEvent): event is SecurityEvent =>
  event.type === 'ice-selected' || event.type === 'ice-status' || event.type === 'dtls-status';

/** The next state of a call whose entities are copied when they are changed. */
class Changes {
  readonly #streams = new Map<number, Stream>();
  readonly #medias = new Map<number, Media>();
  readonly #keys = new Map<number, SrtpKeys>();

  constructor(
    readonly state: CallState,
    readonly tellsOf: TellsOf,
  ) {}

  stream(id: number): Stream | null {
    const known = this.#streams.get(id);
    if (known !== undefined) return known;
    const found = this.state.streams.find((stream) => stream.id === id);
    if (found === undefined) return null;
    const copy = copyOfStream(found);
    this.#streams.set(id, copy);
    return copy;
  }

  mediaOf({ mediaId }: Stream): Media | null {
    const known = this.#medias.get(mediaId);
    if (known !== undefined) return known;
    const found = this.state.medias.find(({ id }) => id === mediaId);
    if (found === undefined) return null;
    const copy = copyOfMedia(found);
    this.#medias.set(mediaId, copy);
    return copy;
  }

  receiveWith(stream: Stream, keys: SrtpKeys): void {
    for (const id of stream.sockets) this.#keys.set(id, keys);
  }

  receivedWith({ sockets }: Stream): SrtpKeys | undefined {
    const own = this.state.sockets.filter(({ id }) => sockets.includes(id));
    return own.map(({ srtp }) => srtp).find((srtp) => srtp !== null);
  }

  portOf({ selectedSocket }: Stream): number | null {
    return this.state.sockets.find(({ id }) => id === selectedSocket)?.port ?? null;
  }

  applied(): CallState {
    const next = shallowCopyOf(this.state) as DraftState;
    next.streams = this.state.streams.map((each) => this.#streams.get(each.id) ?? each);
    next.medias = this.state.medias.map((each) => this.#medias.get(each.id) ?? each);
    if (this.#keys.size > 0) {
      next.sockets = this.state.sockets.map((socket) => {
        const srtp = this.#keys.get(socket.id);
        if (srtp === undefined) return socket;
        const copy = copyOfSocket(socket);
        copy.srtp = srtp;
        return copy;
      });
    }
    return next;
  }
}

/** Takes the events in. null: nothing of the call has changed. */
export function withSecurityEvents(
  log: Log,
  state: CallState,
  events: readonly SecurityEvent[],
  tellsOf: TellsOf,
): CallState | null {
  const changes = new Changes(state, tellsOf);
  let changed = false;
  for (const event of events) {
    const stream = changes.stream(event.transportId);
    if (stream === null) continue;
    if (event.type === 'ice-selected') changed = selected(log, changes, stream, event) || changed;
    else if (event.type === 'ice-status')
      changed = iceStatus(log, changes, stream, event) || changed;
    else changed = dtlsStatus(log, changes, stream, event) || changed;
  }
  return changed ? withSharedTransports(changes.applied()) : null;
}

type EventOf<Type extends SecurityEvent['type']> = Extract<SecurityEvent, { readonly type: Type }>;

function selected(
  log: Log,
  changes: Changes,
  stream: Stream,
  event: EventOf<'ice-selected'>,
): boolean {
  const local = changes.tellsOf(event.portId);
  if (!stream.sockets.includes(event.portId) || local === null) return false;
  selectRoute(stream, event, local);
  const media = changes.mediaOf(stream);
  if (media?.flags.has('ice-restarted') === true)
    media.flags = withFlag(media.flags, 'ice-restarted', false);
  const to = log.mark(formatEndpoint(event.endpoint));
  const { callId } = changes.state;
  log.info('ice', `ICE: media goes to ${to}`, callId, changes.portOf(stream));
  return true;
}

const iceTexts = {
  checking: 'ICE: looking for a way to the peer',
  connected: 'ICE completed',
  disconnected: 'ICE: the peer does not answer any more',
  failed: 'ICE failed: no way to the peer was found',
} as const;

function iceStatus(
  log: Log,
  changes: Changes,
  stream: Stream,
  { status, controlling }: EventOf<'ice-status'>,
): boolean {
  const { callId } = changes.state;
  const port = changes.portOf(stream);
  if (status === 'failed') log.warning('ice', iceTexts.failed, callId, port);
  else log.info('ice', iceTexts[status], callId, port);
  const media = changes.mediaOf(stream);
  // An agent of each component settles it, and all of a media have one role.
  if (media === null || media.ice.controlling === controlling || !media.ice.enabled) return false;
  if (media.ice.lite !== media.ice.peerIsLite) return false;
  media.ice = { ...media.ice, controlling };
  return true;
}

const storedKeys = (suite: string, { key, salt }: DtlsKeys['send']): SrtpKeys => ({
  suite,
  masterKey: key.toString('latin1'),
  masterSalt: salt.toString('latin1'),
  mki: null,
  unencryptedRtp: false,
  unencryptedRtcp: false,
  unauthenticatedRtp: false,
});

/** Indexes belong to a key: of this stream's part of the media none has been used. */
function forgetIndexes(media: Media, { component }: Stream): void {
  const { rtcpMux } = inUse(media);
  const own = rtcpMux || component === 1;
  const left: StoredSrtpIndexes[] = [];
  for (const each of media.srtpIndexes) {
    const rtp = own ? null : each.rtp;
    const rtcp = rtcpMux || component === 2 ? null : each.rtcp;
    if (rtp !== null || rtcp !== null) left.push({ ...each, rtp, rtcp });
  }
  media.srtpIndexes = left;
  if (own) media.srtpResume = { receive: null, send: null };
}

const dtlsTexts = {
  refused: "DTLS: the peer's certificate is not the one of its fingerprint; its media is refused",
  refusedAnew:
    'DTLS: another handshake with a certificate that is not the one of its fingerprint: the keys stay',
  failed: 'DTLS handshake failed: no keys could be agreed on; its media is not relayed',
  unverified: "DTLS handshake done before the peer's fingerprint is known",
  closed: 'DTLS: the peer has closed the association',
} as const;

/** What the peer has shown; also of an association that an offer without an answer would replace. */
function noteCertificate(media: Media, generation: number, certificate: Buffer): void {
  const digests = digestsOf(certificate);
  const noted = (security: MediaSecurity): MediaSecurity =>
    security.generation === generation ? { ...security, digests } : security;
  media.security = noted(media.security);
  if (media.agreed !== null)
    media.agreed = { ...media.agreed, security: noted(media.agreed.security) };
}

/** Keys of before were in use until now: how far they have come goes with them. */
function keepFormerIndexes(media: Media, stream: Stream, receive: SrtpKeys | undefined): void {
  const { former } = media;
  if (former?.kind !== 'DTLS') return;
  const keys = former.keys[media.streams.indexOf(stream.id)] ?? null;
  if (keys === null || !isKeyedBy(keys, { receive, send: stream.srtp ?? undefined })) return;
  const of = ({ direction, ssrc }: StoredSrtpIndexes): string => `${direction}/${ssrc}`;
  const known = new Map(former.indexes.map((each) => [of(each), each]));
  for (const each of media.srtpIndexes) known.set(of(each), each);
  media.former = { ...former, indexes: [...known.values()] };
}

function dtlsStatus(
  log: Log,
  changes: Changes,
  stream: Stream,
  { generation, status, keys }: EventOf<'dtls-status'>,
): boolean {
  const media = changes.mediaOf(stream);
  if (media === null || inUse(media).security.generation !== generation) return false;
  const { callId } = changes.state;
  const port = changes.portOf(stream);
  if (status !== 'keyed') {
    if (status === 'failed' && stream.srtp !== null) {
      log.info('crypto', 'No other DTLS handshake came about: the keys stay', callId, port);
    } else if (status === 'refused' && stream.srtp !== null) {
      log.error('crypto', dtlsTexts.refusedAnew, callId);
    } else if (status === 'refused' || status === 'failed') {
      log.error('crypto', dtlsTexts[status], callId);
    } else log.info('crypto', dtlsTexts[status], callId, port);
    return false;
  }
  if (keys === null) return false;
  log.info('crypto', `DTLS-SRTP successfully negotiated using ${keys.suite}`, callId, port);
  keepFormerIndexes(media, stream, changes.receivedWith(stream));
  stream.srtp = storedKeys(keys.suite, keys.send);
  changes.receiveWith(stream, storedKeys(keys.suite, keys.receive));
  stream.flags = withFlag(stream.flags, 'fingerprint-verified', true);
  media.flags = withFlag(media.flags, 'dtls-renewed', false);
  noteCertificate(media, generation, keys.certificate);
  if (media.flags.has('dtls-interrupted')) {
    media.flags = withFlag(media.flags, 'dtls-interrupted', false);
    log.notice('crypto', 'The DTLS handshake that was cut off has ended well', callId);
  }
  forgetIndexes(media, stream);
  return true;
}
