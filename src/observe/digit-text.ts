/** A digit that was dialled, as rtpengine tells of it (options.md §9.2). */
import { isTelephoneEvent, type CallState, type Media } from '../media/call-state.js';
import type { RelayEvent } from '../media/relay.js';
import type { NgValue } from '../ng-protocol/dictionary.js';

type DigitEnded = Extract<RelayEvent, { readonly type: 'digit-ended' }>;

/** Units of telephone-event per second where its rtpmap is not known. */
const usualRate = 8000;

const rateOf = ({ codecs }: Media): number => {
  const rate = codecs.find(isTelephoneEvent);
  return rate === undefined || rate.clockRate <= 0 ? usualRate : rate.clockRate;
};

/** What is told, its members in rtpengine's order. */
export type DigitRecord = Readonly<Record<string, string | number | readonly string[]>>;

/** null: the stream is gone. @param nowMicros by the wall clock. */
export function digitRecord(
  state: CallState,
  event: DigitEnded,
  nowMicros: number,
): DigitRecord | null {
  const stream = state.streams.find(({ id }) => id === event.streamId);
  const media = state.medias.find(({ id }) => id === stream?.mediaId);
  const source = state.participants.find(({ id }) => id === media?.participantId);
  if (stream === undefined || media === undefined || source === undefined) return null;
  return {
    callid: state.callId,
    source_tag: source.tag ?? '',
    source_label: source.label ?? '',
    tags: state.participants.flatMap(({ tag }) => (tag === null ? [] : [tag])),
    type: 'DTMF',
    timestamp: Math.floor(nowMicros / 1e6),
    source_ip: stream.endpoint?.address ?? '',
    event: event.digit,
    duration: Math.round((event.durationUnits * 1000) / rateOf(media)),
    volume: event.volume,
  };
}

/** As NG clients of TCP are told: dictionary and order of rtpengine 10.5 and 12.5. */
export function digitNotice(record: DigitRecord): ReadonlyMap<string, NgValue> {
  const first = ['tags', 'callid', 'source_tag', 'source_label', 'type', 'source_ip', 'timestamp'];
  const data = new Map<string, NgValue>();
  for (const name of [...first, 'event', 'duration', 'volume']) {
    const value = record[name];
    if (value !== undefined) data.set(name, value);
  }
  return new Map<string, NgValue>([
    ['notify', 'onDTMF'],
    ['data', data],
  ]);
}
