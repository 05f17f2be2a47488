/** What media taught: the state of a call follows, and the store with it. */
import { withStreams } from '../../media/call-change.js';
import { copyOfStream, withFlag, type CallState, type Stream } from '../../media/call-state.js';
import type { RelayEvent } from '../../media/relay.js';
import type { Log } from '../../observe/log.js';
import type { CallTable } from './call-table.js';
import { logLearned, logSendFailed } from './media-log.js';

/** Takes the relay's events in. Each call that is concerned gets one new state, whatever has happened. */
export function applyRelayEvents(table: CallTable, log: Log, events: readonly RelayEvent[]): void {
  const byCall = new Map<string, RelayEvent[]>();
  for (const event of events) {
    const others = byCall.get(event.callId);
    if (others === undefined) byCall.set(event.callId, [event]);
    else others.push(event);
  }
  for (const [callId, ofCall] of byCall) {
    const state = table.call(callId);
    if (state !== null) applyToCall(table, log, state, ofCall);
  }
}

function applyToCall(
  table: CallTable,
  log: Log,
  state: CallState,
  events: readonly RelayEvent[],
): void {
  const changed = new Map<number, Stream>();
  let learned = false;
  for (const event of events) {
    if (event.type === 'send-failed') {
      logSendFailed(log, state, event);
      continue;
    }
    const stream = changed.get(event.streamId) ?? copyFrom(state, event.streamId);
    if (stream === null) continue;
    changed.set(stream.id, stream);
    stream.flags = withFlag(stream.flags, 'received', true);
    if (event.type !== 'endpoint-learned') continue;
    learned = true;
    if (event.latchEpoch !== stream.latchEpoch) continue;
    logLearned(log, state, stream, event);
    stream.endpoint = event.endpoint;
    stream.flags = withFlag(stream.flags, 'confirmed', event.confirmed);
  }
  if (changed.size === 0) return;
  void table.commit(withStreams(state, changed), { media: 'known', save: learned });
}

function copyFrom(state: CallState, streamId: number): Stream | null {
  const stream = state.streams.find(({ id }) => id === streamId);
  return stream === undefined ? null : copyOfStream(stream);
}
