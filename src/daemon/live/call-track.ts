/** What the live page remembers of one call: its statistics of now and of the last minutes. */
import { CallIndex, isHeld } from '../../media/call-index.js';
import {
  formatEndpoint,
  type CallState,
  type LocalSocket,
  type Media,
} from '../../media/call-state.js';
import { receivesFrom } from '../../media/media-attributes.js';
import type { StreamGlance } from '../../media/relay.js';
import { combined, History, slotOf, traceOf } from './history.js';
import { shortName } from './names.js';
import type { Condition, Place, Row, Trace } from './protocol.js';

/** What a stream is, as the state of its call has it. */
interface StreamFacts {
  readonly streamId: number;
  readonly media: string;
  readonly tag: string;
  readonly section: number;
  /** Its side is to send: neither on hold nor refused. */
  readonly expected: boolean;
  /** Streams whose sides hear it and report on it. */
  readonly subscribers: ReadonlySet<number>;
}

interface CallFacts {
  readonly streams: readonly StreamFacts[];
  readonly parties: readonly string[];
  readonly media: string;
  readonly answered: boolean;
  /** What a search looks in, in lower case. */
  readonly text: string;
}

const nameOf = ({ tag, label }: { tag: string | null; label: string | null }): string =>
  shortName(label ?? tag ?? '');

function factsOf(state: CallState, localAddressOf: (socket: LocalSocket) => string): CallFacts {
  const index = new CallIndex(state);
  const streams = state.medias.flatMap((media) => streamFacts(index, media));
  const parties = state.participants.map(nameOf);
  const places = state.sockets.map((socket) => `${localAddressOf(socket)}:${socket.port}`);
  const remotes = state.streams.flatMap(({ endpoint }) =>
    endpoint === null ? [] : [formatEndpoint(endpoint)],
  );
  const filled = state.streams.filter(
    ({ component, flags }) => component === 1 && flags.has('filled'),
  );
  const sides = new Set(filled.map(({ mediaId }) => index.medias.get(mediaId)?.participantId));
  const tags = state.participants.map(({ tag }) => tag ?? '');
  return {
    ...{ streams, parties, answered: sides.size > 1 },
    media: [...new Set(state.medias.map(({ type }) => type))].join(', '),
    text: [state.callId, ...tags, ...parties, ...places, ...remotes].join('\n').toLowerCase(),
  };
}

function streamFacts(index: CallIndex, media: Media): readonly StreamFacts[] {
  const stream = media.streams
    .map((id) => index.streams.get(id))
    .find((each) => each?.component === 1 && each.selectedSocket !== null);
  if (stream === undefined) return [];
  const subscribers = index.subscriberStreamsOf(media.id);
  return [
    {
      streamId: stream.id,
      media: media.type,
      tag: index.participants.get(media.participantId)?.tag ?? '',
      section: media.index,
      expected:
        receivesFrom(media.direction) &&
        !isHeld(stream) &&
        stream.flags.has('filled') &&
        subscribers.size > 0,
      subscribers,
    },
  ];
}

/** What a receiver reported of a stream. */
type Report = NonNullable<StreamGlance['report']>;

/** Counters of one stream; rates are those between the last two looks. */
interface StreamTrack {
  facts: StreamFacts;
  readonly history: History;
  glance: StreamGlance | null;
  atMicros: number;
  /** Where the present slot began. */
  slotPackets: number;
  slotAtMicros: number;
  packetsPerSecond: number;
  bitsPerSecond: number;
  sentPerSecond: number;
  kernelPerSecond: number;
  quality: Report | null;
  /** Of its RTP, as far as it is counted here (measure-rtp); null: it is not. */
  arrivedLossPercent: number | null;
  lost: number | null;
}

const historySeries = { rate: 0, loss: 1, jitter: 2, mos: 3 } as const;
/** So long after its last packet a stream is silent, and so long a new call may be. */
const silentMicros = 5e6;
/** What is called poor: more than 5 % lost, or less than `some users dissatisfied` (ITU-T G.107 annex B). */
const poorLossPercent = 5;
const poorMos = 3.1;
/** Reports older than this say nothing of now, s. */
const staleReportSeconds = 30;
/** Scales of traces begin here: packets a second, percent, ms. */
const leastRate = 60;
const leastLoss = 5;
const leastJitter = 20;
const mosTop = 5;

export interface StreamView {
  readonly packetsPerSecond: number;
  readonly bitsPerSecond: number;
  readonly sentPerSecond: number;
  readonly kernelPerSecond: number;
  readonly kernelPackets: number;
  readonly packetsOut: number;
  readonly quality: Report | null;
  readonly arrivedLossPercent: number | null;
  readonly traces: { rate: Trace; loss: Trace; jitter: Trace; mos: Trace };
}

export class CallTrack {
  /** What its call is shown as, and asked for. */
  readonly name: string;
  #state: CallState;
  #facts: CallFacts;
  #streams: StreamTrack[] = [];
  /** As they were drawn last; a slot that is over makes them others. */
  #traces: { readonly slot: number; readonly rate: Trace; readonly loss: Trace } | null = null;
  readonly #localAddressOf: (socket: LocalSocket) => string;
  atMicros = 0;
  /** As of the last look; what is not known sorts last. */
  condition: Condition = 'ringing';
  packetsPerSecond = 0;
  bitsPerSecond = 0;
  lossPercent: number | null = null;
  jitterMs: number | null = null;
  mos: number | null = null;

  constructor(state: CallState, localAddressOf: (socket: LocalSocket) => string) {
    this.name = shortName(state.callId);
    this.#state = state;
    this.#localAddressOf = localAddressOf;
    this.#facts = factsOf(state, localAddressOf);
  }

  get callId(): string {
    return this.#state.callId;
  }

  get createdMicros(): number {
    return this.#state.createdMicros;
  }

  /** The proxy that has made it. */
  get createdFrom(): string {
    return this.#state.createdFrom;
  }

  /** Labels or tags, the one who has called first. */
  get parties(): readonly string[] {
    return this.#facts.parties;
  }

  matches(search: string): boolean {
    return this.#facts.text.includes(search);
  }

  /** A look at the call. @param nowMicros by the clock of its moments. */
  look(state: CallState, glances: readonly StreamGlance[], nowMicros: number): void {
    if (state !== this.#state || this.atMicros === 0) this.#begin(state, nowMicros);
    for (const track of this.#streams) {
      const { facts } = track;
      const glance = glances.find(({ streamId }) => streamId === facts.streamId);
      // Of what never came, reports say nothing.
      const report = (glance?.packets ?? 0) > 0 ? latestReport(facts, glances, nowMicros) : null;
      if (lookAtStream(track, glance ?? null, report, nowMicros)) this.#traces = null;
    }
    this.atMicros = nowMicros;
    this.#sumUp(nowMicros);
  }

  /** What the streams of a state that is another one have been so far, stays. */
  #begin(state: CallState, nowMicros: number): void {
    if (state !== this.#state) {
      this.#state = state;
      this.#facts = factsOf(state, this.#localAddressOf);
    }
    const before = new Map(this.#streams.map((track) => [track.facts.streamId, track]));
    this.#streams = this.#facts.streams.map((facts) => {
      const track = before.get(facts.streamId) ?? newTrack(facts, nowMicros);
      track.facts = facts;
      return track;
    });
    this.#traces = null;
  }

  #sumUp(nowMicros: number): void {
    let [packets, bits] = [0, 0];
    let loss: number | null = null;
    let jitter: number | null = null;
    let mos: number | null = null;
    for (const track of this.#streams) {
      packets += track.packetsPerSecond;
      bits += track.bitsPerSecond;
      const { quality, arrivedLossPercent } = track;
      const lost = quality?.packetLossPercent ?? arrivedLossPercent;
      if (lost !== null) loss = Math.max(loss ?? 0, lost);
      if (quality === null) continue;
      jitter = Math.max(jitter ?? 0, quality.jitterMs);
      if (quality.mos > 0) mos = Math.min(mos ?? Infinity, quality.mos / 10);
    }
    this.packetsPerSecond = packets;
    this.bitsPerSecond = bits;
    this.lossPercent = loss;
    this.jitterMs = jitter;
    this.mos = mos;
    this.condition = this.#conditionAt(nowMicros);
  }

  #conditionAt(nowMicros: number): Condition {
    const state = this.#state;
    if (state.ownership === 'foreign') return 'standby';
    if (!this.#facts.answered) return 'ringing';
    const audio = this.#streams.filter(({ facts }) => facts.media === 'audio');
    const relevant = audio.length > 0 ? audio : this.#streams;
    const expected = relevant.filter(({ facts }) => facts.expected);
    const young = nowMicros - state.lastSignalMicros < silentMicros;
    const heard = expected.filter(
      ({ glance }) => nowMicros - (glance?.lastPacketMicros ?? 0) < silentMicros,
    );
    if (heard.length < expected.length && !young) return heard.length > 0 ? 'one-way' : 'silent';
    if ((this.lossPercent ?? 0) >= poorLossPercent || (this.mos ?? 5) < poorMos) return 'poor';
    return expected.length < relevant.length ? 'hold' : 'ok';
  }

  /** Of the stream that a participant's section receives; null: it has none. */
  stream(tag: string, section: number, slot: number): StreamView | null {
    const track = this.#streams.find(({ facts }) => facts.tag === tag && facts.section === section);
    if (track === undefined) return null;
    const { glance, history } = track;
    const read = (series: keyof typeof historySeries): number[] =>
      history.read(historySeries[series], slot);
    return {
      packetsPerSecond: track.packetsPerSecond,
      bitsPerSecond: track.bitsPerSecond,
      sentPerSecond: track.sentPerSecond,
      kernelPerSecond: track.kernelPerSecond,
      kernelPackets: glance?.kernelPackets ?? 0,
      packetsOut: glance?.packetsOut ?? 0,
      quality: track.quality,
      arrivedLossPercent: track.arrivedLossPercent,
      traces: {
        rate: traceOf(read('rate'), leastRate),
        loss: traceOf(read('loss'), leastLoss),
        jitter: traceOf(read('jitter'), leastJitter),
        mos: traceOf(read('mos'), mosTop),
      },
    };
  }

  #tracesAt(slot: number): { readonly rate: Trace; readonly loss: Trace } {
    if (this.#traces?.slot === slot) return this.#traces;
    const lists = (series: number): number[][] =>
      this.#streams.map(({ history }) => history.read(series, slot));
    const rate = combined(lists(historySeries.rate), (a, b) => a + b);
    const loss = combined(lists(historySeries.loss), Math.max);
    this.#traces = {
      slot,
      rate: traceOf(rate, 2 * leastRate),
      loss: traceOf(loss, leastLoss),
    };
    return this.#traces;
  }

  row(nowMicros: number): Row {
    const { rate, loss } = this.#tracesAt(slotOf(nowMicros));
    return {
      id: this.name,
      condition: this.condition,
      parties: this.#facts.parties,
      media: this.#facts.media,
      ageSeconds: Math.max(0, Math.floor((nowMicros - this.#state.createdMicros) / 1e6)),
      packetsPerSecond: Math.round(this.packetsPerSecond * 10) / 10,
      bitsPerSecond: Math.round(this.bitsPerSecond),
      lossPercent: this.lossPercent,
      jitterMs: this.jitterMs,
      mos: this.mos,
      where: placeOf(this.#streams),
      ...{ rate, loss },
    };
  }
}

function newTrack(facts: StreamFacts, nowMicros: number): StreamTrack {
  return {
    ...{ facts, history: new History(4, slotOf(nowMicros)), glance: null, atMicros: 0 },
    ...{ slotPackets: 0, slotAtMicros: 0, packetsPerSecond: 0, bitsPerSecond: 0 },
    ...{ sentPerSecond: 0, kernelPerSecond: 0, quality: null },
    ...{ arrivedLossPercent: null, lost: null },
  };
}

/** true: a slot of its history is over. */
function lookAtStream(
  track: StreamTrack,
  glance: StreamGlance | null,
  quality: Report | null,
  nowMicros: number,
): boolean {
  track.quality = quality;
  const before = track.glance;
  if (glance === null) return false;
  const seconds = (nowMicros - track.atMicros) / 1e6;
  if (before === null) {
    track.slotPackets = glance.packets;
    track.slotAtMicros = nowMicros;
  } else if (seconds > 0.2) {
    const rate = (now: number, then: number): number => Math.max(0, now - then) / seconds;
    track.packetsPerSecond = rate(glance.packets, before.packets);
    track.bitsPerSecond = 8 * rate(glance.bytes, before.bytes);
    track.sentPerSecond = rate(glance.packetsOut, before.packetsOut);
    track.kernelPerSecond = rate(glance.kernelPackets, before.kernelPackets);
    countLost(track, glance, before);
  } else return false;
  track.glance = glance;
  track.atMicros = nowMicros;
  return closeSlots(track, glance.packets, nowMicros);
}

function countLost(track: StreamTrack, glance: StreamGlance, before: StreamGlance): void {
  const { lost } = glance;
  if (lost !== null && track.lost !== null) {
    const missing = Math.max(0, lost - track.lost);
    const sent = missing + Math.max(0, glance.packets - before.packets);
    track.arrivedLossPercent = sent === 0 ? null : (100 * missing) / sent;
  }
  track.lost = lost;
}

/** A slot that is over gets the mean of its time. */
function closeSlots(track: StreamTrack, packets: number, nowMicros: number): boolean {
  const slot = slotOf(nowMicros);
  if (slot === slotOf(track.slotAtMicros)) return false;
  const seconds = Math.max(0.5, (nowMicros - track.slotAtMicros) / 1e6);
  const { quality, arrivedLossPercent } = track;
  track.history.set(slot - 1, [
    Math.max(0, packets - track.slotPackets) / seconds,
    quality?.packetLossPercent ?? arrivedLossPercent ?? NaN,
    quality?.jitterMs ?? NaN,
    quality === null || quality.mos === 0 ? NaN : quality.mos / 10,
  ]);
  track.slotPackets = packets;
  track.slotAtMicros = nowMicros;
  return true;
}

/** What those who hear a stream have reported of it last, unless that was long ago. */
function latestReport(
  { subscribers }: StreamFacts,
  glances: readonly StreamGlance[],
  nowMicros: number,
): Report | null {
  let latest: Report | null = null;
  for (const { streamId, report } of glances) {
    if (report === null || !subscribers.has(streamId)) continue;
    if (nowMicros / 1e6 - report.reportedAtSeconds > staleReportSeconds) continue;
    if (latest === null || report.reportedAtSeconds > latest.reportedAtSeconds) latest = report;
  }
  return latest;
}

/** What forwards the packets of streams. */
export function placeOf(
  streams: readonly { readonly packetsPerSecond: number; readonly kernelPerSecond: number }[],
): Place {
  let [kernel, all] = [0, 0];
  for (const stream of streams) {
    all += stream.packetsPerSecond;
    kernel += stream.kernelPerSecond;
  }
  if (all === 0) return 'nothing';
  if (kernel === 0) return 'userspace';
  return kernel >= 0.9 * all ? 'kernel' : 'both';
}
