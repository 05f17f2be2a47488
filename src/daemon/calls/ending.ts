/** How calls and their branches end: by command, now or later, and what is said and counted then. */
import type { Config } from '../../config/config.js';
import { withDeletion, withParticipantDeletion } from '../../media/call-change.js';
import type { CallState, Participant } from '../../media/call-state.js';
import type { CallStatistics, MediaRelay } from '../../media/relay.js';
import { deleteTarget, withoutParticipant, type DeleteRequest } from '../../media/removal.js';
import type { CloseReason, Counters } from '../../observe/counters.js';
import { finalStatsLines } from '../../observe/final-stats.js';
import type { Log } from '../../observe/log.js';
import type { CallTable } from './call-table.js';
import { EndedCalls } from './ended-calls.js';
import { countWays } from './silence.js';

export interface EndingOptions {
  readonly table: CallTable;
  readonly relay: Pick<MediaRelay, 'traces'>;
  readonly log: Log;
  readonly counters: Counters;
  readonly config: Config;
  /** A call of this node has ended: after its final statistics, when it is gone. */
  readonly onEnded?: (state: CallState, statistics: CallStatistics, reason: CloseReason) => void;
  /** Makes a foreign call this node's own. */
  readonly takeOver: (callId: string, cause: string) => Promise<void>;
}

/** What a delete was about. */
export interface Deleted {
  /** The call as it was. */
  readonly state: CallState;
  readonly statistics: CallStatistics;
  /** Resolves once the store knows (bounded). */
  readonly saved: Promise<unknown>;
}

const nameOf = ({ tag, viaBranch }: Participant): string =>
  `'${tag ?? ''}' (via-branch '${viaBranch ?? ''}')`;

/** Thread: control. */
export class CallEnding {
  /** Those that have ended lately. */
  readonly ended = new EndedCalls();
  readonly #options: EndingOptions;

  constructor(options: EndingOptions) {
    this.#options = options;
  }

  /** Deletes the call or a branch of it, now or after `delaySeconds`; null: nothing matched. */
  delete(callId: string, request: DeleteRequest, delaySeconds: number): Deleted | null {
    const { table, config, takeOver } = this.#options;
    const state = table.call(callId);
    if (state === null) return null;
    const target = deleteTarget(state, request);
    if (target.kind === 'none') return null;
    if (state.ownership === 'foreign' && config.redis?.activeSwitchover === true) {
      void takeOver(callId, "'delete'");
    }
    const statistics = table.statisticsOf(callId);
    const branch = target.kind === 'participant' ? target.participant : null;
    const saved =
      delaySeconds > 0
        ? this.#schedule(callId, branch, delaySeconds)
        : branch !== null
          ? this.dropBranch(callId, branch)
          : this.#deleteNow(state, request, statistics);
    return { state, statistics, saved };
  }

  #schedule(callId: string, branch: Participant | null, delaySeconds: number): Promise<unknown> {
    const { table, log } = this.#options;
    const what = branch === null ? 'entire call' : `call branch ${nameOf(branch)}`;
    log.info('core', `Scheduling deletion of ${what} in ${delaySeconds} seconds`, callId);
    const state = table.call(callId);
    if (state === null) return Promise.resolve();
    const at = table.now() + delaySeconds * 1e6;
    const next =
      branch === null ? withDeletion(state, at) : withParticipantDeletion(state, branch.id, at);
    return table.commit(next, { media: 'known' });
  }

  #deleteNow(
    state: CallState,
    request: DeleteRequest,
    statistics: CallStatistics,
  ): Promise<unknown> {
    const { log } = this.#options;
    const { callId } = state;
    const tag = request.toTag ?? request.fromTag;
    const participant = state.participants.find((entry) => entry.tag === tag);
    if (participant !== undefined) {
      const { viaBranch, label } = participant;
      const labelled = label === null ? '' : `label '${label}', `;
      const deleted = `'${participant.tag ?? ''}' (${labelled}via-branch '${viaBranch ?? ''}') deleted`;
      log.info('core', `Deleting call branch ${nameOf(participant)}`, callId);
      log.info('core', `Call branch ${deleted}, no more branches remaining`, callId);
    }
    log.info('core', 'Deleting entire call', callId);
    return this.close(callId, 'regular', statistics);
  }

  /** A participant leaves the call. Resolves when the store has it. */
  dropBranch(callId: string, branch: Participant): Promise<unknown> {
    const { table, log } = this.#options;
    const state = table.call(callId);
    if (state === null) return Promise.resolve();
    log.info('core', `Deleting call branch ${nameOf(branch)}`, callId);
    return table.commit(withoutParticipant(state, branch.id), { media: 'compared' });
  }

  /** What the relay has counted of its sources, where anything was. */
  #countPackets(state: CallState, { streams }: CallStatistics): void {
    const { table, counters } = this.#options;
    for (const stream of streams) {
      if (stream.sources.every(({ counts }) => counts === null)) continue;
      const [id] = state.streams.find((each) => each.id === stream.streamId)?.sockets ?? [];
      const socket = state.sockets.find((each) => each.id === id);
      counters.countStream(state, stream, socket === undefined ? '' : table.localAddressOf(socket));
    }
  }

  /** Ends a call: final statistics, ports, store. Resolves when the store has let go of it. */
  close(
    named: string,
    reason: CloseReason,
    statistics = this.#options.table.statisticsOf(named),
  ): Promise<unknown> {
    const { table, relay, log, counters } = this.#options;
    const state = table.call(named);
    if (state === null) return Promise.resolve();
    const { callId } = state;
    const now = table.now();
    if (this.ended.wants(reason, now)) {
      this.ended.add({ reason, atMicros: now, state, statistics, traces: relay.traces(callId) });
    }
    if (log.enabled(6, 'core', callId)) {
      for (const line of finalStatsLines(state, statistics, now, table.localAddressOf)) {
        log.info('core', line, callId);
      }
    }
    counters.managedSessions += 1;
    counters.callClosed(reason, (now - state.createdMicros) / 1e6, now);
    countWays(counters, state, statistics);
    this.#countPackets(state, statistics);
    const removed = table.remove(state);
    counters.sessionsNow(table.calls.size);
    this.#options.onEnded?.(state, statistics, reason);
    return removed;
  }
}
