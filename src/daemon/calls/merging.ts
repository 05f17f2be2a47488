/** A call that goes on as part of another one: its sockets are opened anew, as those of a restored call are. */
import {
  copyOfMedia,
  copyOfStream,
  shallowCopyOf,
  type CallState,
} from '../../media/call-state.js';
import { withInterruptedDtls } from '../../media/dtls/interrupted.js';
import { SignallingError } from '../../media/errors.js';
import { merged, tagsCollide } from '../../media/merge.js';
import type { CallStatistics } from '../../media/relay.js';
import { resumeFrom } from '../../media/srtp-resume.js';

/** The call as whoever goes on with it has to know it. */
function resumable(call: CallState, statistics: CallStatistics): CallState {
  const { state } = withInterruptedDtls(call);
  const next = shallowCopyOf(state);
  const heard = new Map(statistics.streams.map((each) => [each.streamId, each]));
  next.streams = state.streams.map((stream) => {
    const counted = heard.get(stream.id);
    if (counted === undefined) return stream;
    const { packets, bytes, errors, lastPacketMicros } = counted;
    const resumed = copyOfStream(stream);
    resumed.stats = { packets, bytes, errors, kernelPackets: 0, kernelBytes: 0 };
    resumed.lastPacketMicros = Math.max(stream.lastPacketMicros, lastPacketMicros);
    return resumed;
  });
  const keyed = new Set(
    state.streams.flatMap(({ mediaId, srtp }) => (srtp === null ? [] : [mediaId])),
  );
  next.medias = state.medias.map((media) => {
    if (media.sdes === null && media.former === null && !keyed.has(media.id)) return media;
    const resumed = copyOfMedia(media);
    resumed.srtpResume = resumeFrom(media.srtpIndexes);
    const { former } = media;
    if (former !== null && former.kind !== 'plain')
      resumed.former = { ...former, resume: resumeFrom(former.indexes) };
    return resumed;
  });
  return next;
}

export interface MergeWords {
  /** What is said of calls that cannot become one, before the reason in brackets. */
  readonly failure: string;
}

/**
 * The first call with all others in it.
 * @throws SignallingError; nothing has changed then.
 */
export function mergedCalls(
  [first, ...others]: readonly [CallState, ...CallState[]],
  statisticsOf: (callId: string) => CallStatistics,
  { failure }: MergeWords,
): CallState {
  let state = first;
  for (const other of others) {
    if (other.ownership !== 'own' || state.ownership !== 'own') {
      const cause = new Error('a call of another node is not merged');
      throw new SignallingError('not-possible', failure, { cause });
    }
    if (tagsCollide(state, other)) {
      throw new SignallingError('not-possible', `${failure} (tag collision)`);
    }
    state = merged(state, resumable(other, statisticsOf(other.callId)));
  }
  return state;
}
