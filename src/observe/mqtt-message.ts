/** What is published by MQTT: members and their order as rtpengine 10.5 publishes them. */
import { CallIndex } from '../media/call-index.js';
import type { CallState, LocalSocket, Media, Participant, Stream } from '../media/call-state.js';
import type { CallStatistics, MosEntry, StreamStatistics } from '../media/relay.js';
import type { NgValue } from '../ng-protocol/dictionary.js';
import type { Counters } from './counters.js';
import { measuredOf } from './measured.js';
import { statisticsDictionary, type Gauges } from './statistics.js';

/** A value of JSON. */
export type Json = string | number | readonly Json[] | { readonly [key: string]: Json };

/** A call as it is published. Moments are those of `nowMicros`' clock. */
export interface PublishedCall {
  readonly state: CallState;
  readonly statistics: CallStatistics;
}

export interface PublishContext {
  readonly nowMicros: number;
  readonly localAddressOf: (socket: LocalSocket) => string;
  /** What a stream had counted when it was published last; null: it was not. */
  readonly before: (callId: string, streamId: number) => CountedStream | null;
}

/** The counters of a stream at a moment. */
export interface CountedStream {
  readonly atMicros: number;
  readonly packets: number;
  readonly bytes: number;
  readonly packetsOut: number;
  readonly bytesOut: number;
  readonly lost: number;
  readonly duplicates: number;
}

function jsonOf(value: NgValue): Json {
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, entry]) => [key, jsonOf(entry as NgValue)]));
  }
  if (Array.isArray(value)) return value.map((entry) => jsonOf(entry as NgValue));
  return typeof value === 'number' ? value : String(value);
}

const timestamp = (micros: number): number => micros / 1e6;

/** All statistics; with `calls` (`callMembers` of each), those too. */
export function globalMessage(
  counters: Counters,
  gauges: Gauges,
  context: PublishContext,
  calls: readonly Json[] | null,
): Json {
  const sections = statisticsDictionary(counters, gauges);
  const message: Record<string, Json> = { timestamp: timestamp(context.nowMicros) };
  for (const [name, section] of sections) message[name] = jsonOf(section);
  if (calls !== null) message['calls'] = calls;
  return message;
}

/** One call. */
export function callMessage(call: PublishedCall, context: PublishContext): Json {
  return { timestamp: timestamp(context.nowMicros), ...callMembers(call, context) };
}

/** A call without the moment. */
export function callMembers(
  { state, statistics }: PublishedCall,
  context: PublishContext,
): Record<string, Json> {
  const reader = new CallReader(state, statistics, context);
  return {
    call_id: state.callId,
    legs: state.participants.map((participant) => ({
      ...nameOf(participant),
      medias: reader.mediasOf(participant).map((media) => reader.media(media)),
    })),
  };
}

/** One message for each section of a call. */
export function mediaMessages(call: PublishedCall, context: PublishContext): readonly Json[] {
  const { state, statistics } = call;
  const reader = new CallReader(state, statistics, context);
  return state.participants.flatMap((participant) =>
    reader.mediasOf(participant).map((media) => ({
      timestamp: timestamp(context.nowMicros),
      call_id: state.callId,
      ...nameOf(participant),
      ...reader.media(media),
    })),
  );
}

const nameOf = ({ tag, label }: Participant): Record<string, Json> => ({
  tag: tag ?? '',
  ...(label === null ? {} : { label }),
});

class CallReader {
  readonly #index: CallIndex;
  readonly #counters: ReadonlyMap<number, StreamStatistics>;

  constructor(
    readonly state: CallState,
    readonly statistics: CallStatistics,
    readonly context: PublishContext,
  ) {
    this.#index = new CallIndex(state);
    this.#counters = new Map(statistics.streams.map((entry) => [entry.streamId, entry]));
  }

  mediasOf({ id }: Participant): readonly Media[] {
    return this.state.medias.filter(({ participantId }) => participantId === id);
  }

  media(media: Media): Record<string, Json> {
    const stream = this.#rtpOf(media);
    const socket = this.state.sockets.find(({ id }) => id === stream?.selectedSocket);
    const counters = stream === undefined ? undefined : this.#counters.get(stream.id);
    return {
      media_index: media.index,
      type: media.type,
      interface: media.logicalInterface,
      protocol: media.protocol,
      status: media.direction,
      ...(socket === undefined
        ? {}
        : { address: this.context.localAddressOf(socket), port: socket.port }),
      ...(counters === undefined || counters.ssrc === null
        ? {}
        : { ingress: this.#ingress(media, counters) }),
      ...(counters === undefined || counters.packetsOut === 0
        ? {}
        : { egress: this.#egress(media, counters) }),
    };
  }

  #rtpOf(media: Media): Stream | undefined {
    return media.streams
      .map((id) => this.#index.streams.get(id))
      .find((each) => each?.component === 1);
  }

  #clockRateOf({ codecs }: Media): number {
    return codecs.find(({ clockRate }) => clockRate > 0)?.clockRate ?? 0;
  }

  #codec(media: Media): Record<string, Json> {
    const codec = media.codecs.find(({ ptimeMs, encoding }) => ptimeMs >= 0 && encoding !== '');
    return {
      codec: codec?.encoding ?? '',
      clock_rate: codec?.clockRate ?? 0,
      codec_params: codec !== undefined && codec.channels > 1 ? String(codec.channels) : '',
      codec_format: codec?.fmtp ?? '',
    };
  }

  #ingress(media: Media, counters: StreamStatistics): Json {
    const before = this.context.before(this.state.callId, counters.streamId);
    const report = this.#reportAbout(media);
    const measured = measuredOf(counters, this.#clockRateOf(media));
    const lost = measured?.lost ?? lostOf(this.statistics, this.#listeners(media));
    const duplicates = measured?.duplicates ?? 0;
    const jitter = measured?.jitterMs ?? report?.jitterMs ?? null;
    const { packets, bytes } = counters;
    const rate = this.#rates(before);
    return {
      SSRC: counters.ssrc ?? 0,
      ...this.#codec(media),
      metrics: {
        ...{ packets, bytes, lost, duplicates },
        packets_per_second: rate(packets, ({ packets: old }) => old),
        bytes_per_second: rate(bytes, ({ bytes: old }) => old),
        lost_per_second: rate(lost, ({ lost: old }) => old),
        duplicates_per_second: rate(duplicates, ({ duplicates: old }) => old),
        ...(jitter === null ? {} : { jitter }),
        ...(report === null
          ? {}
          : {
              RTT: report.roundTripMicros / 1000,
              RTT_leg: report.roundTripLegMicros / 1000,
            }),
      },
    };
  }

  #egress(media: Media, counters: StreamStatistics): Json {
    const before = this.context.before(this.state.callId, counters.streamId);
    const rate = this.#rates(before);
    const { packetsOut: packets, bytesOut: bytes } = counters;
    const [source] = media.subscriptions;
    const sender = source === undefined ? undefined : this.#index.medias.get(source.mediaId);
    const stream = sender === undefined ? undefined : this.#rtpOf(sender);
    const ssrc = stream === undefined ? null : (this.#counters.get(stream.id)?.ssrc ?? null);
    return {
      SSRC: ssrc ?? 0,
      ...this.#codec(media),
      metrics: {
        ...{ packets, bytes, lost: 0, duplicates: 0 },
        packets_per_second: rate(packets, ({ packetsOut }) => packetsOut),
        bytes_per_second: rate(bytes, ({ bytesOut }) => bytesOut),
        lost_per_second: 0,
        duplicates_per_second: 0,
      },
    };
  }

  #rates(
    before: CountedStream | null,
  ): (now: number, of: (old: CountedStream) => number) => number {
    if (before === null) return () => 0;
    const seconds = (this.context.nowMicros - before.atMicros) / 1e6;
    return (now, of) => (seconds <= 0 ? 0 : Math.max(0, now - of(before)) / seconds);
  }

  #listeners(media: Media): ReadonlySet<number> {
    return new Set(this.#index.subscribersOf(media.id).flatMap(({ media: each }) => each.streams));
  }

  /** What those who get it reported last. */
  #reportAbout(media: Media): MosEntry | null {
    const listeners = this.#listeners(media);
    const reports = this.statistics.ssrcs
      .filter(({ streamId }) => listeners.has(streamId))
      .flatMap(({ latest, progression }) => latest ?? progression.slice(-1));
    return reports.at(-1) ?? null;
  }
}

/** Packets that the listeners of a stream have missed. */
function lostOf({ ssrcs }: CallStatistics, listeners: ReadonlySet<number>): number {
  return ssrcs
    .filter(({ streamId }) => listeners.has(streamId))
    .reduce((most, { cumulativeLoss }) => Math.max(most, cumulativeLoss), 0);
}

/** What is to be remembered of a call for the next message. */
export function countedStreams(
  { state, statistics }: PublishedCall,
  atMicros: number,
): ReadonlyMap<number, CountedStream> {
  const index = new CallIndex(state);
  const mediaOf = new Map(state.streams.map(({ id, mediaId }) => [id, mediaId]));
  return new Map(
    statistics.streams.map((counters) => {
      const { streamId, packets, bytes, packetsOut, bytesOut } = counters;
      const mediaId = mediaOf.get(streamId);
      const listeners =
        mediaId === undefined
          ? []
          : index.subscribersOf(mediaId).flatMap(({ media }) => media.streams);
      const measured = measuredOf(counters, 0);
      const lost = measured?.lost ?? lostOf(statistics, new Set(listeners));
      const duplicates = measured?.duplicates ?? 0;
      return [streamId, { atMicros, packets, bytes, packetsOut, bytesOut, lost, duplicates }];
    }),
  );
}
