/** What is published by MQTT: members and their order as rtpengine 12.5 publishes them. */
import { CallIndex } from '../media/call-index.js';
import type {
  CallState,
  Codec,
  LocalSocket,
  Media,
  Participant,
  Stream,
} from '../media/call-state.js';
import type { CallStatistics, MosEntry, StreamStatistics } from '../media/relay.js';
import { isDictionary, type NgValue } from '../ng-protocol/dictionary.js';
import type { Counters } from './counters.js';
import type { InterfaceIntervals } from './interface-intervals.js';
import { sourcesIn, type Source, type SourcesOf } from './sources.js';
import { reportsAbout } from './measured.js';
import { statisticsDictionary, statisticsSections, type Gauges } from './statistics.js';

/** A value of JSON. */
export type Json = string | number | readonly Json[] | { readonly [key: string]: Json };

/** A call as it is published. */
export interface PublishedCall {
  readonly state: CallState;
  readonly statistics: CallStatistics;
}

export interface PublishContext {
  readonly nowMicros: number;
  /** `nowMicros` minus the clock of the calls' moments. */
  readonly offsetMicros: number;
  readonly localAddressOf: (socket: LocalSocket) => string;
  readonly intervals: InterfaceIntervals;
  /** What a call had counted when it was published last; null: it was not. */
  readonly before: (callId: string) => CountedCall | null;
}

type Direction = 'ingress' | 'egress';

/** The counters of one source of a media. */
type CountedSource = Readonly<Record<string, number>>;

/** The counters of a call at a moment. */
export interface CountedCall {
  readonly atMicros: number;
  readonly sources: ReadonlyMap<string, CountedSource>;
}

const sourceKey = (media: Media, direction: Direction, { ssrc }: Source): string =>
  `${media.id} ${direction} ${ssrc}`;

function jsonOf(value: NgValue): Json {
  if (isDictionary(value)) {
    return Object.fromEntries([...value].map(([key, entry]) => [key, jsonOf(entry as NgValue)]));
  }
  if (Array.isArray(value)) return value.map((entry) => jsonOf(entry as NgValue));
  return typeof value === 'number' ? value : String(value);
}

const timestamp = (micros: number): number => micros / 1e6;

/** All statistics; with the calls, a last member `calls` has `callMembers` of each. */
export function globalMessage(counters: Counters, gauges: Gauges, context: PublishContext): Json {
  const texts = statisticsDictionary(counters, gauges);
  const sections = statisticsSections(counters, gauges);
  // Two sections are as in the reply to `statistics`, in which fractions are texts.
  const asInReply = (name: string): Json => jsonOf(texts.get(name) ?? '');
  return {
    timestamp: timestamp(context.nowMicros),
    currentstatistics: asInReply('currentstatistics'),
    totalstatistics: asInReply('totalstatistics'),
    // Between two reports to Graphite.
    ...(counters.interval.last === null ? {} : { intervalstatistics: sections.intervalstatistics }),
    mos: sections.mos,
    voip_metrics: sections.voip_metrics,
    controlstatistics: sections.controlstatistics,
    interfaces: context.intervals
      .next(sections.interfaces, context.nowMicros)
      .map((entry) => jsonOf(entry)),
    transcoders: [],
  };
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
  readonly #sourcesOf: SourcesOf;
  readonly #before: CountedCall | null;

  constructor(
    readonly state: CallState,
    readonly statistics: CallStatistics,
    readonly context: PublishContext,
  ) {
    this.#index = new CallIndex(state);
    this.#counters = new Map(statistics.streams.map((entry) => [entry.streamId, entry]));
    this.#sourcesOf = sourcesIn(state, this.#counters);
    this.#before = context.before(state.callId);
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
      ingress: {
        ...{ bytes: counters?.bytes ?? 0, packets: counters?.packets ?? 0 },
        ...{ errors: counters?.errors ?? 0, SSRC: this.#sources(media, 'ingress') },
      },
      egress: {
        ...{ bytes: counters?.bytesOut ?? 0, packets: counters?.packetsOut ?? 0 },
        ...{ errors: 0, SSRC: this.#sources(media, 'egress') },
      },
    };
  }

  #rtpOf(media: Media): Stream | undefined {
    return media.streams
      .map((id) => this.#index.streams.get(id))
      .find((each) => each?.component === 1);
  }

  #codecOf({ codecs }: Media, { payloadType }: Source): Codec | undefined {
    const media = codecs.filter(({ ptimeMs, encoding }) => ptimeMs >= 0 && encoding !== '');
    return media.find((codec) => codec.payloadType === payloadType) ?? media[0];
  }

  #sources(media: Media, direction: Direction): readonly Json[] {
    const report = direction === 'ingress' ? this.#reportAbout(media) : null;
    return this.#sourcesOf(media, direction).map((source, at) => {
      const codec = this.#codecOf(media, source);
      const clockRate = codec?.clockRate ?? 0;
      // Reports are about the one that is heard now.
      const about = at === 0 ? report : null;
      const measured = source.jitter === null || clockRate === 0 ? null : source.jitter / clockRate;
      const jitter = measured === null ? (about?.jitterMs ?? null) : measured * 1000;
      return {
        SSRC: source.ssrc,
        codec: codec?.encoding ?? '',
        clock_rate: clockRate,
        codec_params: codec !== undefined && codec.channels > 1 ? String(codec.channels) : '',
        codec_format: codec?.fmtp ?? '',
        metrics: {
          ...this.#counts(media, direction, source),
          ...(jitter === null ? {} : { jitter }),
          ...(about === null
            ? {}
            : { RTT: about.roundTripMicros / 1000, RTT_leg: about.roundTripLegMicros / 1000 }),
        },
      };
    });
  }

  /** Counters, and what they have risen by in a second since the last message or the call's beginning. */
  #counts(media: Media, direction: Direction, source: Source): Record<string, number> {
    const { nowMicros, offsetMicros } = this.context;
    const since = this.#before?.atMicros ?? this.state.createdMicros + offsetMicros;
    const seconds = (nowMicros - since) / 1e6;
    const before = this.#before?.sources.get(sourceKey(media, direction, source)) ?? {};
    const now = Object.entries(this.#counted(media, direction, source));
    const rates = now.map(([name, value]) => {
      const rise = Math.max(0, value - (before[name] ?? 0));
      return [`${name}_per_second`, seconds <= 0 ? 0 : rise / seconds] as const;
    });
    return Object.fromEntries([...now, ...rates]);
  }

  /** Of several sources that are not counted one by one only the sums are known. */
  #counted(media: Media, direction: Direction, source: Source): CountedSource {
    const { packets, bytes, lost, duplicates } = source;
    const passed = packets === null || bytes === null ? {} : { packets, bytes };
    if (direction === 'egress') return { ...passed, lost: 0, duplicates: 0 };
    const missed = lost ?? lostOf(this.statistics, this.#index.subscriberStreamsOf(media.id));
    return { ...passed, lost: missed, duplicates: duplicates ?? 0 };
  }

  /** What those who get it reported last. */
  #reportAbout(media: Media): MosEntry | null {
    return reportsAbout(this.#index, media, this.statistics).at(-1) ?? null;
  }

  counted(): CountedCall {
    const sources = new Map<string, CountedSource>();
    for (const media of this.state.medias) {
      for (const direction of ['ingress', 'egress'] as const) {
        for (const source of this.#sourcesOf(media, direction)) {
          const key = sourceKey(media, direction, source);
          sources.set(key, this.#counted(media, direction, source));
        }
      }
    }
    return { atMicros: this.context.nowMicros, sources };
  }
}

/** Packets that the subscribers of a stream have missed. */
function lostOf({ ssrcs }: CallStatistics, subscribers: ReadonlySet<number>): number {
  return ssrcs
    .filter(({ streamId }) => subscribers.has(streamId))
    .reduce((most, { cumulativeLoss }) => Math.max(most, cumulativeLoss), 0);
}

/** What is to be remembered of a call for the next message. */
export const countedCall = (
  { state, statistics }: PublishedCall,
  context: PublishContext,
): CountedCall => new CallReader(state, statistics, context).counted();
