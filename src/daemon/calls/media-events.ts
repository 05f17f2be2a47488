/** What media taught: the state of a call follows, and the store with it. */
import { withStreams } from '../../media/call-change.js';
import {
  copyOfMedia,
  copyOfStream,
  shallowCopyOf,
  withFlag,
  type CallState,
  type StoredSrtpIndexes,
  type Stream,
} from '../../media/call-state.js';
import {
  withLearnedSsrcs,
  withSharedTransports,
  type LearnedSsrc,
} from '../../media/bundle/transport.js';
import type { RelayEvent } from '../../media/relay.js';
import type { Log } from '../../observe/log.js';
import type { CallTable } from './call-table.js';
import { logLearned, logSendFailed } from './media-log.js';
import { isSecurityEvent, withSecurityEvents, type SecurityEvent } from './security-events.js';

type SrtpIndexEvent = Extract<RelayEvent, { readonly type: 'srtp-index' }>;

/** Who is told of the digits that are dialled. */
export type DigitListener = (
  state: CallState,
  event: Extract<RelayEvent, { readonly type: 'digit-ended' }>,
) => void;

/** What is needed of the calls. */
export type EventTable = Pick<CallTable, 'call' | 'commit' | 'tellsOf'>;

/** Takes the relay's events in. Each call that is concerned gets one new state, whatever has happened. */
export function applyRelayEvents(
  table: EventTable,
  log: Log,
  events: readonly RelayEvent[],
  onDigit: DigitListener = () => undefined,
): void {
  const byCall = new Map<string, RelayEvent[]>();
  for (const event of events) {
    const others = byCall.get(event.callId);
    if (others === undefined) byCall.set(event.callId, [event]);
    else others.push(event);
  }
  for (const [callId, ofCall] of byCall) {
    const state = table.call(callId);
    if (state !== null) {
      applyToCall(table, log, state, ofCall);
      for (const event of ofCall) if (event.type === 'digit-ended') onDigit(state, event);
    }
    const secured = ofCall.filter(isSecurityEvent);
    if (secured.length > 0) applySecured(table, log, callId, secured);
  }
}

/** Where ICE sends media to, and what DTLS gave: the plan names both, and the store has them. */
function applySecured(
  table: EventTable,
  log: Log,
  callId: string,
  events: readonly SecurityEvent[],
): void {
  const state = table.call(callId);
  const next = state === null ? null : withSecurityEvents(log, state, events, table.tellsOf(state));
  if (next !== null) commitSecured(table, log, next, 'with what ICE or DTLS agreed on');
}

/** @param what it cannot go on with, or without, where the relay refuses. */
function commitSecured(table: EventTable, log: Log, next: CallState, what: string): void {
  try {
    void table.commit(next, { media: 'reserved' });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log.error('core', `Cannot go on ${what}: ${reason}`, next.callId);
  }
}

function applyToCall(
  table: EventTable,
  log: Log,
  state: CallState,
  events: readonly RelayEvent[],
): void {
  const changed = new Map<number, Stream>();
  let learned = false;
  const indexes: SrtpIndexEvent[] = [];
  const plain = new Set<number>();
  const ssrcs: LearnedSsrc[] = [];
  for (const event of events) {
    if (isSecurityEvent(event) || event.type === 'digit-ended') continue;
    if (event.type === 'send-failed') {
      logSendFailed(log, state, event);
      continue;
    }
    if (event.type === 'srtp-index') {
      indexes.push(event);
      continue;
    }
    if (event.type === 'plain-heard') {
      plain.add(event.transportId);
      continue;
    }
    if (event.type === 'ssrc-learned') {
      ssrcs.push(event);
      continue;
    }
    const stream = changed.get(event.transportId) ?? copyFrom(state, event.transportId);
    if (stream === null) continue;
    changed.set(stream.id, stream);
    stream.flags = withFlag(stream.flags, 'received', true);
    if (event.type !== 'endpoint-learned') continue;
    learned = true;
    if (event.generation !== stream.learningGeneration) continue;
    logLearned(log, state, stream, event);
    stream.endpoint = event.endpoint;
    stream.flags = withFlag(stream.flags, 'confirmed', event.confirmed);
  }
  const known = withLearnedSsrcs(state, ssrcs);
  if (changed.size === 0 && indexes.length === 0 && plain.size === 0 && known === state) return;
  const streams = changed.size === 0 ? known : withStreams(known, changed);
  const counted = withSrtpIndexes(withSharedTransports(streams), indexes);
  const next = withoutFormer(counted, indexes, plain);
  const save = learned || indexes.length > 0 || plain.size > 0 || known !== state;
  if (next === counted) {
    // The relay knows all of it already.
    void table.commit(next, { media: 'known', save });
  } else commitSecured(table, log, next, 'without the security of before');
}

/**
 * What comes in the clear is not taken any more once something was authentic, and what does not come in the clear is not
 * looked for once something did: the kernel may have it then.
 */
function withoutFormer(
  state: CallState,
  indexes: readonly SrtpIndexEvent[],
  plain: ReadonlySet<number>,
): CallState {
  const authentic = new Set(
    indexes.flatMap(({ direction, isFormer, transportId }) =>
      direction === 'receive' && !isFormer ? [transportId] : [],
    ),
  );
  let isOther = false;
  const medias = state.medias.map((media) => {
    const { former, streams } = media;
    if (former === null) return media;
    const ended = former.kind === 'plain' ? authentic : plain;
    if (!streams.some((id) => ended.has(id))) return media;
    isOther = true;
    const changed = copyOfMedia(media);
    changed.former = null;
    return changed;
  });
  if (!isOther) return state;
  const next = shallowCopyOf(state);
  next.medias = medias;
  return next;
}

function withProgress(
  list: readonly StoredSrtpIndexes[],
  events: readonly SrtpIndexEvent[],
): readonly StoredSrtpIndexes[] {
  const known = new Map(list.map((each) => [keyOf(each), each]));
  for (const { direction, indexes } of events) {
    const entry: StoredSrtpIndexes = { direction, ...indexes };
    const before = known.get(keyOf(entry));
    // RTP and RTCP on ports of their own have keys of their own, by DTLS.
    known.set(keyOf(entry), {
      ...entry,
      rtp: entry.rtp ?? before?.rtp ?? null,
      rtcp: entry.rtcp ?? before?.rtcp ?? null,
    });
  }
  return [...known.values()];
}

/** How far each source of the medias' SRTP has come, for whoever continues the call. */
function withSrtpIndexes(state: CallState, events: readonly SrtpIndexEvent[]): CallState {
  if (events.length === 0) return state;
  const mediaOf = new Map(state.streams.map(({ id, mediaId }) => [id, mediaId]));
  const medias = state.medias.map((media) => {
    const own = events.filter(({ transportId }) => mediaOf.get(transportId) === media.id);
    if (own.length === 0) return media;
    const changed = copyOfMedia(media);
    const present = own.filter(({ isFormer }) => !isFormer);
    changed.srtpIndexes = withProgress(media.srtpIndexes, present);
    const { former } = media;
    if (former !== null && former.kind !== 'plain') {
      const before = own.filter(({ isFormer }) => isFormer);
      changed.former = { ...former, indexes: withProgress(former.indexes, before) };
    }
    return changed;
  });
  const next = shallowCopyOf(state);
  next.medias = medias;
  return next;
}

const keyOf = ({ direction, ssrc }: StoredSrtpIndexes): string => `${direction}/${ssrc}`;

function copyFrom(state: CallState, streamId: number): Stream | null {
  const stream = state.streams.find(({ id }) => id === streamId);
  return stream === undefined ? null : copyOfStream(stream);
}
