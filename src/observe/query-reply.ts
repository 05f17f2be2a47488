/** The `query` dictionary of a call (ng-protocol.md §6), in the order in which 10.5 writes it. */
import type {
  CallState,
  Endpoint,
  LocalSocket,
  Media,
  MediaFlag,
  Participant,
  Stream,
  StreamFlag,
} from '../media/call-state.js';
import type {
  CallStatistics,
  MosEntry,
  SsrcStatistics,
  StreamStatistics,
} from '../media/relay.js';
import type { NgDictionary, NgValue } from '../ng-protocol/dictionary.js';

export interface QueryOptions {
  /** Only these participants (and those in dialogue with them); null: all. */
  readonly tags: readonly string[] | null;
  readonly localAddressOf: (socket: LocalSocket) => string;
}

const seconds = (micros: number): number => Math.floor(micros / 1e6);

const streamFlagTexts: readonly (readonly [StreamFlag, string])[] = [
  ['rtp', 'RTP'],
  ['rtcp', 'RTCP'],
  ['fallback-rtcp', 'fallback RTCP'],
  ['filled', 'filled'],
  ['confirmed', 'confirmed'],
  ['kernelized', 'kernelized'],
  ['no-kernel-support', 'no kernel support'],
  ['fingerprint-verified', 'DTLS fingerprint verified'],
  ['strict-source', 'strict source address'],
  ['media-handover', 'media handover'],
  ['ice', 'ICE'],
];

const mediaFlagTexts: readonly (readonly [MediaFlag, string])[] = [
  ['initialized', 'initialized'],
  ['asymmetric', 'asymmetric'],
  ['send', 'send'],
  ['recv', 'recv'],
  ['rtcp-mux', 'rtcp-mux'],
  ['dtls', 'DTLS-SRTP'],
  ['setup-active', 'DTLS role active'],
  ['setup-passive', 'DTLS role passive'],
  ['sdes', 'SDES'],
  ['passthrough', 'passthrough'],
  ['ice', 'ICE'],
  ['trickle-ice', 'trickle ICE'],
  ['ice-controlling', 'ICE controlling'],
  ['ice-lite-peer', 'ICE-lite peer'],
  ['unidirectional', 'unidirectional'],
  ['loop-check', 'loop check'],
  ['generator', 'generator/sink'],
  ['ptime-override', 'ptime override'],
  ['rtcp-fb', 'RTCP feedback'],
  ['rtcp-generator', 'RTCP generator'],
  ['echo', 'echo'],
  ['blackhole', 'blackhole'],
];

/** The whole reply but for `result`. */
export function callDictionary(
  state: CallState,
  statistics: CallStatistics,
  options: QueryOptions,
): Map<string, NgValue> {
  const byStream = new Map(statistics.streams.map((entry) => [entry.streamId, entry]));
  const chosen = chosenParticipants(state, options.tags);
  let untagged = 0;
  const tags = new Map<string, NgValue>();
  for (const participant of state.participants) {
    const key = participant.tag ?? `<untagged ${++untagged}>`;
    if (!chosen.has(participant.id)) continue;
    tags.set(key, participantDictionary(state, participant, byStream, options));
  }
  return new Map<string, NgValue>([
    ['created', seconds(state.createdMicros)],
    ['created_us', state.createdMicros % 1e6],
    ['last signal', seconds(state.lastSignalMicros)],
    ['SSRC', new Map(statistics.ssrcs.map((entry) => [String(entry.ssrc), ssrcDictionary(entry)]))],
    ['tags', tags],
    ['totals', totals(state, byStream)],
  ]);
}

function chosenParticipants(
  state: CallState,
  tags: readonly string[] | null,
): ReadonlySet<number> {
  if (tags === null) return new Set(state.participants.map(({ id }) => id));
  const chosen = new Set<number>();
  for (const participant of state.participants) {
    if (participant.tag === null || !tags.includes(participant.tag)) continue;
    chosen.add(participant.id);
    for (const other of sources(state, participant)) chosen.add(other.id);
  }
  return chosen;
}

const mediasOf = (state: CallState, participant: Participant): readonly Media[] =>
  state.medias.filter((media) => media.participantId === participant.id);

function participantOf(state: CallState, mediaId: number): Participant | null {
  const media = state.medias.find(({ id }) => id === mediaId);
  return state.participants.find(({ id }) => id === media?.participantId) ?? null;
}

/** Participants that `participant` hears, each once, in order. */
function sources(state: CallState, participant: Participant): readonly Participant[] {
  const found = new Set<Participant>();
  for (const media of mediasOf(state, participant)) {
    for (const subscription of media.subscriptions) {
      const source = participantOf(state, subscription.mediaId);
      if (source !== null) found.add(source);
    }
  }
  return [...found];
}

function relations(participants: readonly Participant[]): readonly NgDictionary[] {
  return participants.map(
    (participant) =>
      new Map<string, NgValue>([
        ['tag', participant.tag ?? ''],
        ['type', 'offer/answer'],
      ]),
  );
}

function participantDictionary(
  state: CallState,
  participant: Participant,
  byStream: ReadonlyMap<number, StreamStatistics>,
  options: QueryOptions,
): NgDictionary {
  const subscribers = state.participants.filter((other) =>
    sources(state, other).includes(participant),
  );
  const dictionary = new Map<string, NgValue>([['tag', participant.tag ?? '']]);
  if (participant.viaBranch !== null) dictionary.set('via-branch', participant.viaBranch);
  if (participant.label !== null) dictionary.set('label', participant.label);
  if (participant.metadata !== null) dictionary.set('metadata', participant.metadata);
  dictionary.set('created', seconds(participant.createdMicros));
  dictionary.set('subscriptions', relations(sources(state, participant)));
  dictionary.set('subscribers', relations(subscribers));
  dictionary.set(
    'medias',
    mediasOf(state, participant).map((media) => mediaDictionary(state, media, byStream, options)),
  );
  return dictionary;
}

/** `PCMA/8000`: the first codec that carries media; null before any packet, as on 10.5. */
export function codecText(media: Media): string | null {
  const codec = media.codecs.find(({ ptimeMs, encoding }) => ptimeMs >= 0 && encoding !== '');
  if (codec === undefined) return null;
  const channels = codec.channels > 1 ? `/${codec.channels}` : '';
  return `${codec.encoding}/${codec.clockRate}${channels}`;
}

function mediaDictionary(
  state: CallState,
  media: Media,
  byStream: ReadonlyMap<number, StreamStatistics>,
  options: QueryOptions,
): NgDictionary {
  const streams = media.streams.flatMap((id) => state.streams.filter((stream) => stream.id === id));
  const heard = streams.some((stream) => (byStream.get(stream.id)?.packets ?? 0) > 0);
  const codec = heard ? codecText(media) : null;
  const dictionary = new Map<string, NgValue>([
    ['index', media.index],
    ['type', media.type],
    ['protocol', media.protocol],
  ]);
  if (codec !== null) dictionary.set('codec', codec);
  dictionary.set(
    'streams',
    streams.map((stream) => streamDictionary(state, stream, byStream.get(stream.id), options)),
  );
  dictionary.set(
    'flags',
    mediaFlagTexts.filter(([flag]) => media.flags.has(flag)).map(([, text]) => text),
  );
  return dictionary;
}

const familyText = (address: string): string => (address.includes(':') ? 'IPv6' : 'IPv4');

function endpointDictionary(endpoint: Endpoint): NgDictionary {
  return new Map<string, NgValue>([
    ['family', familyText(endpoint.address)],
    ['address', endpoint.address],
    ['port', endpoint.port],
  ]);
}

function streamDictionary(
  state: CallState,
  stream: Stream,
  figures: StreamStatistics | undefined,
  options: QueryOptions,
): NgDictionary {
  const dictionary = new Map<string, NgValue>();
  const socket = state.sockets.find(({ id }) => id === stream.selectedSocket);
  if (socket?.open === true) {
    const address = options.localAddressOf(socket);
    dictionary.set('local port', socket.port);
    dictionary.set('local address', address);
    dictionary.set('family', familyText(address));
  }
  const endpoint = figures?.endpoint ?? stream.endpoint;
  if (endpoint !== null) dictionary.set('endpoint', endpointDictionary(endpoint));
  if (stream.advertisedEndpoint !== null) {
    dictionary.set('advertised endpoint', endpointDictionary(stream.advertisedEndpoint));
  }
  const last = Math.max(figures?.lastPacketMicros ?? 0, stream.lastPacketMicros);
  dictionary.set('last packet', seconds(last));
  const confirmed = figures?.confirmed === true && figures.received;
  dictionary.set(
    'flags',
    streamFlagTexts
      .filter(([flag]) => (flag === 'confirmed' ? confirmed : stream.flags.has(flag)))
      .map(([, text]) => text),
  );
  if (figures !== undefined && figures.ssrc !== null) dictionary.set('SSRC', figures.ssrc);
  dictionary.set(
    'stats',
    new Map<string, NgValue>([
      ['packets', figures?.packets ?? stream.stats.packets],
      ['bytes', figures?.bytes ?? stream.stats.bytes],
      ['errors', figures?.errors ?? stream.stats.errors],
    ]),
  );
  return dictionary;
}

function totals(state: CallState, byStream: ReadonlyMap<number, StreamStatistics>): NgDictionary {
  const sums = {
    RTP: { packets: 0, bytes: 0, errors: 0 },
    RTCP: { packets: 0, bytes: 0, errors: 0 },
  };
  for (const stream of state.streams) {
    const sum = stream.component === 1 ? sums.RTP : sums.RTCP;
    const figures = byStream.get(stream.id) ?? stream.stats;
    sum.packets += figures.packets;
    sum.bytes += figures.bytes;
    sum.errors += figures.errors;
  }
  return new Map<string, NgValue>(
    Object.entries(sums).map(([kind, sum]) => [kind, new Map(Object.entries(sum))]),
  );
}

function mosDictionary(entry: Omit<MosEntry, 'reportedAtSeconds'>): Map<string, NgValue> {
  return new Map<string, NgValue>([
    ['MOS', entry.mos],
    ['round-trip time', entry.roundTripMicros],
    ['round-trip time leg', entry.roundTripLegMicros],
    ['jitter', entry.jitterMs],
    ['packet loss', entry.packetLossPercent],
  ]);
}

const reported = (entry: MosEntry): NgDictionary =>
  mosDictionary(entry).set('reported at', entry.reportedAtSeconds);

function ssrcDictionary(entry: SsrcStatistics): NgDictionary {
  const dictionary = new Map<string, NgValue>([['cumulative loss', entry.cumulativeLoss]]);
  if (entry.average !== null) {
    dictionary.set(
      'average MOS',
      mosDictionary(entry.average).set('samples', entry.average.samples),
    );
  }
  if (entry.lowest !== null) dictionary.set('lowest MOS', reported(entry.lowest));
  if (entry.highest !== null) dictionary.set('highest MOS', reported(entry.highest));
  if (entry.progression.length > 0) {
    dictionary.set(
      'MOS progression',
      new Map<string, NgValue>([
        ['interval', entry.progressionIntervalSeconds],
        ['entries', entry.progression.map(reported)],
      ]),
    );
  }
  return dictionary;
}
