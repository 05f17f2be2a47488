/** One call as the live page draws it: each direction as a path, and where on it something is lost. */
import type {
  ExplainedDirection,
  ExplainedEnd,
  Explanation,
} from '../../observe/explain/explain.js';
import { isHold, type Finding, type FindingCode } from '../../observe/explain/finding.js';
import { placeOf, type CallTrack, type StreamView } from './call-track.js';
import { slotOf, traceOf } from './history.js';
import { shortName } from './names.js';
import type { CallDetail, LossHop, Way, WayEnd } from './protocol.js';

/** Between which of the five stations a finding says that packets are lost; null: it does not say. */
export const hopOf: Readonly<Record<FindingCode, LossHop | null>> = {
  'call-ended': 'relay',
  'port-closed-by-timeout': 'relay',
  'foreign-call': null,
  'answer-missing': 'to',
  'traffic-dropped': 'relay',
  'address-not-here': 'from',
  'section-refused': 'relay',
  hold: null,
  blocked: 'relay',
  silenced: 'relay',
  'no-packets': 'from',
  'nothing-comes-back': 'from',
  'rtp-on-rtcp-port': 'from',
  'wrong-source': 'relay',
  stopped: 'from',
  'not-authentic': 'relay',
  'no-key': 'relay',
  'looks-like-srtp': 'to',
  'unexpected-payload': 'to',
  'codec-changed': null,
  'ssrc-changed': null,
  'other-drops': 'relay',
  'no-destination': 'to',
  'family-mismatch': 'to',
  'icmp-unreachable': 'to',
  'send-failed': 'to',
  'never-heard': 'to',
};

/** Less is no loss that anybody hears, %. */
const notableLossPercent = 1;

/** Where a direction loses, from what is known of it; null: nowhere. */
export function losesAt(
  { findings }: Pick<ExplainedDirection, 'findings'>,
  reportedPercent: number | null,
  arrivedPercent: number | null,
): LossHop | null {
  const decisive = findings.find(({ weight }) => weight === 'cause');
  if (decisive !== undefined) return hopOf[decisive.code];
  if ((arrivedPercent ?? 0) >= notableLossPercent) return 'from';
  if ((reportedPercent ?? 0) < notableLossPercent) return null;
  // What arrives is counted and whole: it is lost behind us. Else nobody knows.
  return arrivedPercent === null ? 'way' : 'to';
}

const shownFindings = (findings: readonly Finding[]): Way['findings'] =>
  findings.map(({ weight, text, next }) => ({
    decides: weight === 'cause',
    text: text,
    next,
  }));

function endOf({ tag, label, signalled, learned, local }: ExplainedEnd): WayEnd {
  return {
    name: shortName(label ?? (tag === '' ? 'no tag' : tag)),
    ...{ remote: learned ?? signalled, heard: learned !== null, local },
  };
}

const nothing = traceOf([], 1);

function wayOf(direction: ExplainedDirection, from: StreamView | null, to: StreamView | null): Way {
  const quality = from?.quality ?? null;
  const arrived = from?.arrivedLossPercent ?? null;
  const traces = from?.traces ?? { rate: nothing, loss: nothing, jitter: nothing, mos: nothing };
  return {
    media: direction.media,
    from: endOf(direction.from),
    to: endOf(direction.to),
    flows: direction.flows,
    held: direction.findings.some(isHold),
    place: from === null ? 'nothing' : placeOf([from]),
    received: direction.received,
    sent: direction.sent,
    receivedPerSecond: from?.packetsPerSecond ?? 0,
    sentPerSecond: to?.sentPerSecond ?? 0,
    bitsPerSecond: from?.bitsPerSecond ?? 0,
    lastPacketSecondsAgo: direction.lastPacketSecondsAgo,
    lossPercent: quality?.packetLossPercent ?? arrived,
    jitterMs: quality?.jitterMs ?? null,
    mos: quality === null || quality.mos === 0 ? null : quality.mos / 10,
    dropped: Object.entries(direction.dropped).filter(([, packets]) => packets > 0),
    losesAt: losesAt(direction, quality?.packetLossPercent ?? null, arrived),
    findings: shownFindings(direction.findings),
    traces,
  };
}

/** Directions that are shown of a call with many parties. */
const maxWays = 32;

/**
 * @param id as it was asked for.
 * @param explanation null: nobody knows the call.
 * @param track null: it has ended.
 */
export function callDetail(
  id: string,
  explanation: Explanation | null,
  track: CallTrack | null,
  nowMicros: number,
): CallDetail {
  const slot = slotOf(nowMicros);
  const ways = (explanation?.directions ?? []).slice(0, maxWays).map((direction) => {
    const { from, to } = direction;
    const viewOf = ({ tag, section }: ExplainedEnd): StreamView | null =>
      track?.stream(tag, section, slot) ?? null;
    return wayOf(direction, viewOf(from), viewOf(to));
  });
  return {
    id,
    known: explanation !== null,
    ended: explanation !== null && track === null,
    foreign: track?.condition === 'standby',
    ageSeconds:
      track === null ? null : Math.max(0, Math.floor((nowMicros - track.createdMicros) / 1e6)),
    createdFrom: track?.createdFrom ?? '',
    summary:
      explanation === null
        ? 'There is no such call: it has not been here since the start, or it ended long ago.'
        : explanation.summary,
    findings: shownFindings(explanation?.findings ?? []),
    ways,
  };
}
