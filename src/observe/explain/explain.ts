/** Why is there no audio? What is known of a call, as findings per direction. Pure. */
import { ById, CallIndex } from '../../media/call-index.js';
import { formatEndpoint, type Endpoint, type Media, type Stream } from '../../media/call-state.js';
import type { StreamStatistics, StreamTrace } from '../../media/relay.js';
import type { CloseReason } from '../counters.js';
import { heardQuality, type Quality } from '../measured.js';
import {
  admittedOf,
  ago,
  lastOf,
  nameOf,
  packetsOf,
  remoteOf,
  type CallEvidence,
  type DirectionEvidence,
  type EndEvidence,
  type StreamEvidence,
} from './evidence.js';
import { cause, hint, isHold, type Finding } from './finding.js';
import { heardFindings } from './heard.js';
import { signalledFindings } from './signalled.js';

/** One end of a direction, for reading. */
export interface ExplainedEnd {
  readonly tag: string;
  readonly label: string | null;
  /** Position in its SDP, from 1. */
  readonly section: number;
  /** Where its SDP says that it is; null: it has said nothing. */
  readonly signalled: string | null;
  /** Where its packets come from; null: it was not heard. */
  readonly learned: string | null;
  /** Seconds since then; null: never, or by an earlier process. */
  readonly learnedSecondsAgo: number | null;
  readonly confirmed: boolean;
  /** The relay's port for it. */
  readonly local: string | null;
}

export interface ExplainedDirection {
  readonly media: string;
  readonly from: ExplainedEnd;
  readonly to: ExplainedEnd;
  /** Something comes, goes on, and nothing speaks against it. */
  readonly flows: boolean;
  readonly received: number;
  /** Packets sent to `to`, whoever they came from. */
  readonly sent: number;
  readonly lastPacketSecondsAgo: number | null;
  readonly dropped: Readonly<Record<string, number>>;
  readonly quality: Quality;
  readonly findings: readonly Finding[];
}

export interface Explanation {
  readonly callId: string;
  /** One sentence. */
  readonly summary: string;
  readonly findings: readonly Finding[];
  readonly directions: readonly ExplainedDirection[];
}

/** A stream that has just sent something flows, µs. */
const flowingMicros = 2e6;

const endings: Readonly<Record<CloseReason, string>> = {
  regular: "by the proxy's 'delete'",
  forced: "by the operator's 'terminate'",
  timeout: 'by timeout: no stream had a packet for as long as --timeout',
  'silent-timeout': 'by silent-timeout: nothing came while it was on hold',
  'final-timeout': 'by final-timeout: it had reached its greatest age',
  'offer-timeout': 'by offer-timeout: no answer came',
};

/** Explains a call. */
export function explain(evidence: CallEvidence): Explanation {
  const directions = directionsOf(evidence);
  const explained = directions.map(explainDirection);
  const findings = callFindings(evidence, directions);
  return {
    callId: evidence.state.callId,
    summary: summaryOf(evidence, findings, explained),
    findings,
    directions: explained,
  };
}

function directionsOf(call: CallEvidence): readonly DirectionEvidence[] {
  const { state, statistics, traces, ports } = call;
  const index = new CallIndex(state);
  const participants = new ById(state.participants);
  const counters = new Map(statistics.streams.map((entry) => [entry.streamId, entry]));
  const traced = new Map(traces.map((entry) => [entry.streamId, entry]));
  const evidenceOf = (stream: Stream | undefined): StreamEvidence | null =>
    stream === undefined ? null : streamEvidence(stream, counters, traced, ports);
  const endOf = (media: Media): EndEvidence | null => {
    const participant = participants.get(media.participantId);
    const streams = media.streams.map((id) => index.streams.get(id));
    const rtp = evidenceOf(streams.find((stream) => stream?.component === 1));
    if (participant === undefined || rtp === null) return null;
    const rtcp = evidenceOf(streams.find((stream) => stream?.component === 2));
    return { participant, media, rtp, rtcp };
  };
  // Whoever has called first speaks first.
  const order = new Map(state.participants.map(({ id }, at) => [id, at]));
  const orderOf = ({ participantId }: Media): number => order.get(participantId) ?? 0;
  return state.medias
    .toSorted((a, b) => orderOf(a) - orderOf(b))
    .flatMap((media) => {
      const from = endOf(media);
      if (from === null) return [];
      return index.subscribersOf(media.id).flatMap((subscriber) => {
        const to = endOf(subscriber.media);
        const quality = heardQuality(index, media, statistics, from.rtp.counters ?? undefined);
        return to === null ? [] : [{ from, to, back: to.rtp, quality, call }];
      });
    });
}

function streamEvidence(
  stream: Stream,
  counters: ReadonlyMap<number, StreamStatistics>,
  traced: ReadonlyMap<number, StreamTrace>,
  ports: CallEvidence['ports'],
): StreamEvidence {
  return {
    stream,
    counters: counters.get(stream.id) ?? null,
    trace: traced.get(stream.id) ?? null,
    local: ports.get(stream.selectedSocket ?? stream.sockets[0] ?? -1) ?? null,
  };
}

const isAnswered = ({ state }: CallEvidence): boolean => {
  const medias = new Map(state.medias.map((media) => [media.id, media.participantId]));
  const filled = state.streams.filter(
    ({ flags, component }) => component === 1 && flags.has('filled'),
  );
  return new Set(filled.map(({ mediaId }) => medias.get(mediaId))).size > 1;
};

/** Another node's, and that is where its media are. */
const isElsewhere = ({ state, statistics }: CallEvidence): boolean =>
  state.ownership === 'foreign' && statistics.streams.every(({ packets }) => packets === 0);

function callFindings(
  call: CallEvidence,
  directions: readonly DirectionEvidence[],
): readonly Finding[] {
  const { state, ended, nowMicros } = call;
  const findings: Finding[] = [];
  if (ended !== null) findings.push(endedFinding(call, ended));
  if (state.ownership === 'foreign') {
    findings.push(
      hint(
        'foreign-call',
        `The call is another node's (Redis database ${state.redisHostedDb}); here it is kept ready.`,
        'Ask the node that holds the address of its media.',
      ),
    );
  }
  if (!isAnswered(call) && ended?.reason !== 'offer-timeout') {
    const offered = directions.find(({ from }) => from.rtp.stream.flags.has('filled'));
    const who = offered === undefined ? 'the other side' : nameOf(offered.from.participant);
    findings.push(
      cause(
        'answer-missing',
        `There is no answer: ${who} has offered ${ago(nowMicros, state.lastSignalMicros)} ago, and nobody has answered yet.`,
        "Normal while it rings. If the phones talk, the proxy does not send 'answer' for the 18x or 200 with SDP, or sends it with another call-id or from-tag.",
      ),
    );
  }
  return findings;
}

function endedFinding(
  { nowMicros, timeoutSeconds, ports }: CallEvidence,
  { reason, atMicros }: NonNullable<CallEvidence['ended']>,
): Finding {
  const when = ago(nowMicros, atMicros);
  const text = `The call was closed ${when} ago ${endings[reason]}.`;
  if (reason === 'regular' || reason === 'forced') return cause('call-ended', text);
  const list = [...ports.values()].map(({ endpoint }) => formatEndpoint(endpoint)).join(', ');
  const seconds = reason === 'timeout' ? ` (--timeout=${timeoutSeconds})` : '';
  return cause(
    'port-closed-by-timeout',
    `${text} Its ports${list === '' ? '' : ` (${list})`} are closed, what is still sent to them is refused${seconds}.`,
    'If the phones were still in the call, see below why nothing came; a proxy can learn of it by --b2b-url.',
  );
}

function explainDirection(direction: DirectionEvidence): ExplainedDirection {
  const { from, to, call, quality } = direction;
  const quiet = !isAnswered(call) || isElsewhere(call);
  const signalled = signalledFindings(direction).filter(
    ({ code }) => code !== 'address-not-here' || !isElsewhere(call),
  );
  const decided = signalled.some(({ weight }) => weight === 'cause');
  const heard = quiet ? [] : heardFindings(direction);
  // On hold or blocked nothing is expected: silence explains nothing more.
  const findings = decided
    ? [...signalled, ...heard.filter(({ code }) => !silences.has(code))]
    : [
        ...heard.filter(({ weight }) => weight === 'cause'),
        ...signalled,
        ...heard.filter(({ weight }) => weight === 'hint'),
      ];
  const last = lastOf(from.rtp);
  const fresh = last > 0 && call.nowMicros - last <= flowingMicros;
  return {
    media: from.media.type,
    from: explainEnd(from, call.nowMicros),
    to: explainEnd(to, call.nowMicros),
    flows:
      call.ended === null &&
      fresh &&
      admittedOf(from.rtp) > 0 &&
      (to.rtp.counters?.packetsOut ?? 0) > 0 &&
      !findings.some(({ weight }) => weight === 'cause'),
    received: packetsOf(from.rtp),
    sent: to.rtp.counters?.packetsOut ?? 0,
    lastPacketSecondsAgo:
      last === 0 ? null : Math.max(0, Math.floor((call.nowMicros - last) / 1e6)),
    dropped: { ...from.rtp.counters?.drops },
    quality,
    findings,
  };
}

const silences: ReadonlySet<Finding['code']> = new Set([
  'no-packets',
  'nothing-comes-back',
  'stopped',
]);

function explainEnd(end: EndEvidence, nowMicros: number): ExplainedEnd {
  const { participant, media, rtp } = end;
  const text = (endpoint: Endpoint | null): string | null =>
    endpoint === null ? null : formatEndpoint(endpoint);
  const { trace, counters, local } = rtp;
  const heard = counters?.received === true;
  const learned = trace?.learnedMicros ?? 0;
  return {
    tag: participant.tag ?? '',
    label: participant.label,
    section: media.index,
    signalled: text(rtp.stream.advertisedEndpoint),
    learned: heard ? text(remoteOf(rtp)) : null,
    learnedSecondsAgo: learned === 0 ? null : Math.max(0, Math.floor((nowMicros - learned) / 1e6)),
    confirmed: counters?.confirmed === true,
    local: text(local?.endpoint ?? null),
  };
}

function summaryOf(
  call: CallEvidence,
  findings: readonly Finding[],
  directions: readonly ExplainedDirection[],
): string {
  const decisive = findings.find(({ weight }) => weight === 'cause');
  if (decisive !== undefined) return decisive.text;
  const foreign = findings.find(({ code }) => code === 'foreign-call');
  if (foreign !== undefined && isElsewhere(call)) return foreign.text;
  if (directions.length === 0) return 'The call has no media that goes from one side to another.';
  const flowing = directions.filter(({ flows }) => flows);
  if (flowing.length === directions.length) return 'Media flows in all directions.';
  if (directions.every(({ received }) => received === 0)) {
    const only = directions.every(({ findings: own }) =>
      own.every(({ code }) => silences.has(code)),
    );
    if (only)
      return `No packets at all: none of the phones has sent anything for ${ago(call.nowMicros, call.state.lastSignalMicros)}.`;
  }
  const held = directions.every(({ flows, findings: own }) => flows || own.some(isHold));
  const hold = held ? 'The call is on hold: ' : '';
  if (flowing.length === 0) return `${hold}${held ? 'media' : 'Media'} flows in no direction.`;
  const [first] = flowing;
  return directions.length === 2 && first !== undefined
    ? `${hold || 'Media flows one way only: '}${name(first.from)} is heard by ${name(first.to)}, not the other way round.`
    : `${hold}${held ? 'media' : 'Media'} flows in ${flowing.length} of ${directions.length} directions.`;
}

const name = ({ tag, label }: ExplainedEnd): string => nameOf({ tag, label });
