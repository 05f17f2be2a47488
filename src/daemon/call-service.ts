/**
 * The calls of this node. Whatever changes one (signalling, media, a restore, another node, time): the
 * model gives its new state, the relay is reconciled with it, the store is told.
 */
import type { Config, LimitConfig } from '../config/config.js';
import {
  draftOf,
  sameEndpoint,
  withFlag,
  type CallState,
  type EndpointLearning,
  type LocalSocket,
} from '../media/call-state.js';
import { PortAllocationError, SignallingError } from '../media/errors.js';
import type { InterfaceTable } from '../media/interfaces.js';
import { answer, offer, type SignallingResult } from '../media/offer-answer.js';
import { mediaPlan } from '../media/plan.js';
import { PortReservation, type PortPool } from '../media/port-pool.js';
import type { CallStatistics, MediaRelay, PortFailure, RelayEvent } from '../media/relay.js';
import { deleteTarget, withoutParticipant, type DeleteRequest } from '../media/removal.js';
import { describeRestriction, restricted, type Restriction } from '../media/restriction.js';
import type { SignallingRequest } from '../media/signalling.js';
import type { CloseReason, Counters } from '../observe/counters.js';
import { tooLong } from '../ng-protocol/errors.js';
import { finalStatsLines } from '../observe/final-stats.js';
import type { Log } from '../observe/log.js';
import type { CallStore, Holder, SaveOutcome } from '../redis-store/store.js';
import { countWays } from './call-ending.js';
import { placeCall, vacateCall } from './call-ports.js';
import { CallSweep, stalePacketMicros, type CallTimes } from './call-sweep.js';
import { shiftedState, shiftedStatistics, type Clock, type LivedTime } from './clocks.js';
import type { HeldAddresses } from './process/held-addresses.js';
import { logLearned, logSendFailed } from './media-log.js';

export interface CallServiceOptions {
  readonly relay: MediaRelay;
  readonly store: CallStore;
  readonly pool: PortPool;
  readonly interfaces: InterfaceTable;
  readonly log: Log;
  readonly counters: Counters;
  readonly config: Config;
  /** Changed by the CLI while running. */
  readonly limits: LimitConfig;
  readonly clock: Clock;
  readonly lived: LivedTime;
  readonly held: HeldAddresses;
  /** Value of the loop-protection mark. */
  readonly instanceId: string;
  /**
   * Takes a call of this node's out of the database of its former owner. Resolves to its holder when
   * another node was first; rejects when Redis is away.
   */
  readonly release: (callId: string, database: number, mine: Holder) => Promise<Holder | null>;
  /** Whether the calls of a database are followed. */
  readonly isFollowed: (database: number) => boolean;
}

export interface ControlClient {
  /** `ip:port` and `ip`. */
  readonly client: string;
  readonly address: string;
  /** Whether the reply can carry this body; if not, nothing changes. */
  readonly accepts: (sdp: string) => boolean;
}

const noStatistics: CallStatistics = { streams: [], ssrcs: [] };

/** A port that another program holds is passed over at most this often for one command. */
const maxPortRetries = 16;

export interface DeleteOutcome {
  /** The call as it was; null when nothing matched. */
  readonly state: CallState | null;
  readonly statistics: CallStatistics;
}

export class CallService {
  readonly #calls = new Map<string, CallState>();
  readonly #options: CallServiceOptions;
  readonly #times = new Map<string, CallTimes>();
  readonly #sweep: CallSweep;
  /** What the wall clock was set by, as far as it has been said and stored. */
  #wallOffset = 0;
  /** Calls that were taken over and still have to leave their former owner's database. */
  readonly #owed = new Map<string, { readonly database: number; readonly mine: Holder }>();
  #own = 0;

  constructor(options: CallServiceOptions) {
    this.#options = options;
    const { limits, log, lived, held } = options;
    const activeSwitchover = this.#activeSwitchover;
    this.#sweep = new CallSweep({ calls: this, limits, activeSwitchover, log, lived, held });
    options.relay.onEvents((events) => this.#relayEvents(events));
  }

  get calls(): ReadonlyMap<string, CallState> {
    return this.#calls;
  }

  get ownCount(): number {
    return this.#own;
  }

  call(callId: string): CallState | null {
    return this.#calls.get(callId) ?? null;
  }

  localAddressOf = (socket: LocalSocket): string =>
    this.#options.interfaces.addressAt(socket.logicalInterface, socket.family, socket.addressIndex)
      ?.address ?? '';

  statisticsOf(callId: string): CallStatistics {
    return this.#options.relay.statistics(callId) ?? noStatistics;
  }

  timesOf(callId: string): CallTimes {
    const now = this.#now();
    return this.#times.get(callId) ?? { born: now, alive: now, mediaFrom: now };
  }

  isWatched(database: number): boolean {
    const { config, isFollowed } = this.#options;
    return database === config.redis?.write.database || isFollowed(database);
  }

  /** A call as others are to see it: its moments are those of the wall clock. */
  inWallTime(
    state: CallState,
    statistics: CallStatistics,
  ): { readonly state: CallState; readonly statistics: CallStatistics } {
    const offset = this.#options.clock.wallOffsetMicros();
    return {
      state: shiftedState(state, offset),
      statistics: shiftedStatistics(statistics, offset),
    };
  }

  /** µs; all moments here are of this clock. */
  #now(): number {
    return this.#options.clock.nowMicros();
  }

  /** A call as it was stored, by the wall clock, in the moments of this process. */
  #fromStore(stored: CallState): CallState {
    return shiftedState(stored, -this.#options.clock.wallOffsetMicros());
  }

  /** Something has happened that a call lives by, media apart. */
  #alive(state: CallState, mediaFrom = 0): void {
    const now = this.#now();
    const known = this.#times.get(state.callId);
    if (known === undefined) {
      // Another node's clock may be ahead.
      const born = Math.min(state.createdMicros, now);
      this.#times.set(state.callId, { born, alive: now, mediaFrom });
      return;
    }
    known.alive = now;
    known.mediaFrom = Math.max(known.mediaFrom, mediaFrom);
  }

  /**
   * Offer or answer. The promise resolves once the store has the call (bounded).
   * @throws SignallingError; nothing has changed then.
   */
  signal(
    kind: 'offer' | 'answer',
    request: SignallingRequest,
    client: ControlClient,
  ): { readonly result: SignallingResult; readonly saved: Promise<unknown> } {
    const previous = this.#calls.get(request.callId) ?? null;
    const now = this.#now();
    if (previous === null && kind === 'offer') {
      this.#options.log.notice('core', 'Creating new call', request.callId);
    }
    const result = this.#negotiate(kind, previous, request, client, now);
    if (result.state === null) return { result, saved: Promise.resolve() };
    this.#calls.set(request.callId, result.state);
    this.#alive(result.state);
    if (previous?.ownership === 'foreign' && this.#activeSwitchover) {
      const saved = this.takeOver(request.callId, `'${kind}'`);
      return { result, saved };
    }
    if (previous === null) {
      this.#own += 1;
      this.#options.counters.sessionsNow(this.#calls.size);
    }
    if (request.flags.has('no-redis-update')) return { result, saved: Promise.resolve() };
    return { result, saved: this.#save(result.state) };
  }

  /** The model, then the relay; a port held by another program costs another turn. */
  #negotiate(
    kind: 'offer' | 'answer',
    previous: CallState | null,
    request: SignallingRequest,
    client: ControlClient,
    nowMicros: number,
  ): SignallingResult {
    const { pool, interfaces, relay, config, instanceId } = this.#options;
    const learning: EndpointLearning = config.media.endpointLearning;
    for (let attempt = 0; ; attempt++) {
      const ports = new PortReservation(pool);
      try {
        const result = (kind === 'offer' ? offer : answer)(previous, request, {
          nowMicros,
          controlClient: client.client,
          controlAddress: client.address,
          interfaces,
          ports,
          instanceId,
          endpointLearning: learning,
          tos: config.media.tos,
          sipSource: config.control.sipSource,
          rejectInvalidSdp: config.control.rejectInvalidSdp,
          redisHostedDb: config.redis?.write.database ?? 0,
        });
        if (result.sdp !== null && !client.accepts(result.sdp)) {
          throw new SignallingError('reply-too-long', tooLong);
        }
        if (result.state === null) return result;
        const outcome = relay.reconcile(mediaPlan(result.state, interfaces));
        if (outcome.ok) return result;
        ports.rollback();
        this.#portsRefused(outcome.failures, attempt, request.callId);
      } catch (error) {
        ports.rollback();
        if (error instanceof SignallingError && error.cause instanceof PortAllocationError) {
          this.#options.log.error('core', error.cause.message, request.callId);
          this.#options.log.error('core', 'Error allocating media ports', request.callId);
          if (previous === null) this.#options.log.error('core', 'Destroying call', request.callId);
        }
        throw error;
      }
    }
  }

  /** @throws SignallingError when trying other ports is of no use. */
  #portsRefused(failures: readonly PortFailure[], attempt: number, callId: string): void {
    const { pool, log } = this.#options;
    let retry = attempt < maxPortRetries;
    for (const failure of failures) {
      if (failure.cause === 'port-busy') {
        pool.markBusy(failure.localAddress, failure.localPort);
        continue;
      }
      retry = false;
      log.error(
        'core',
        `Failed to open ${failure.localAddress}:${failure.localPort}: ${failure.errno}`,
        callId,
      );
    }
    if (retry) return;
    log.error('core', 'Error allocating media ports', callId);
    throw new SignallingError('out-of-ports', 'Ran out of ports');
  }

  /**
   * Block and silence commands. Resolves once the store has the call (bounded).
   * @throws SignallingError; nothing has changed then.
   */
  restrict(callId: string, restriction: Restriction): Promise<unknown> {
    const { relay, interfaces, log } = this.#options;
    const state = this.#calls.get(callId);
    if (state === undefined) throw new SignallingError('unknown-call', 'Unknown call-ID');
    log.info('core', describeRestriction(state, restriction), callId);
    const changed = restricted(state, restriction);
    relay.reconcile(mediaPlan(changed, interfaces));
    this.#calls.set(callId, changed);
    if (changed.ownership === 'foreign' && this.#activeSwitchover) {
      return this.takeOver(callId, `'${restriction.command}'`);
    }
    return this.#save(changed);
  }

  get #activeSwitchover(): boolean {
    return this.#options.config.redis?.activeSwitchover === true;
  }

  /** Takes a stored call over; returns why it cannot be, or null. */
  adopt(stored: CallState): string | null {
    if (this.#calls.has(stored.callId)) return 'the call is already known';
    const state = this.#fromStore(stored);
    const reason = placeCall(this.#options, state, null);
    if (reason !== null) return reason;
    this.#calls.set(state.callId, state);
    this.#alive(state, this.#now());
    if (state.ownership === 'own') this.#own += 1;
    this.#options.counters.sessionsNow(this.#calls.size);
    return null;
  }

  /**
   * Keeps a call of another node warm: its ports are open and its endpoints known. Own calls are not
   * touched, unless their ownership epoch is behind. Safe to call again with the same or a newer state.
   */
  follow(value: CallState, database: number): void {
    const { log, counters } = this.#options;
    const stored = this.#fromStore(value);
    this.#settleOwnership(stored, database);
    const previous = this.#calls.get(stored.callId) ?? null;
    if (previous?.ownership === 'own') return;
    // What a former owner has left behind.
    if (previous !== null && stored.ownershipEpoch < previous.ownershipEpoch) return;
    const state = draftOf(stored);
    state.ownership = 'foreign';
    state.redisHostedDb = database;
    for (const stream of state.streams) {
      const known = previous?.streams.find(({ id }) => id === stream.id);
      if (known === undefined) continue;
      // The owner learns again: a changed SDP, or an offer or answer that was as before.
      const again =
        !sameEndpoint(known.advertisedEndpoint, stream.advertisedEndpoint) ||
        (known.flags.has('confirmed') && !stream.flags.has('confirmed'));
      stream.latchEpoch = known.latchEpoch + (again ? 1 : 0);
    }
    const reason = placeCall(this.#options, state, previous);
    if (reason !== null) {
      log.error('core', `Failed to stand by for the call: ${reason}`, state.callId);
      return;
    }
    this.#calls.set(state.callId, state);
    this.#alive(state, previous === null ? this.#now() : 0);
    if (previous !== null) return;
    counters.sessionsNow(this.#calls.size);
    log.info('core', `Standing by for call of keyspace ${database}`, state.callId);
  }

  /** An own call is stored in another node's database, too: the higher epoch has it. */
  #settleOwnership(stored: CallState, database: number): void {
    const { callId, ownershipEpoch: epoch } = stored;
    const state = this.#calls.get(callId);
    if (state?.ownership !== 'own' || state.redisHostedDb === database) return;
    if (epoch > state.ownershipEpoch) {
      this.loseOwnership(callId, { epoch, database });
      void this.#options.store.remove(callId);
    } else if (
      epoch < state.ownershipEpoch &&
      stored.lastSignalMicros <= state.lastSignalMicros &&
      !this.#owed.has(callId)
    ) {
      // Taken over, but whoever did it came no further.
      this.#owed.set(callId, { database, mine: this.#holding(state) });
    }
  }

  #holding({ ownershipEpoch: epoch, redisHostedDb: database }: CallState): Holder {
    return { epoch, database };
  }

  /** Another node has taken the call over. It stays warm here, and is neither written nor deleted. */
  loseOwnership(callId: string, { epoch, database }: Holder): void {
    const state = this.#calls.get(callId);
    if (state?.ownership !== 'own' || epoch < state.ownershipEpoch) return;
    const { log } = this.#options;
    const draft = draftOf(state);
    draft.ownership = 'foreign';
    draft.redisHostedDb = database;
    draft.ownershipEpoch = epoch;
    this.#calls.set(callId, draft);
    this.#owed.delete(callId);
    // Both may hear it for a moment: that does not take it back.
    this.#alive(draft, this.#now() + stalePacketMicros);
    this.#own -= 1;
    this.#options.counters.takenOver += 1;
    log.notice('core', `Call was taken over by the node of keyspace ${database}`, callId);
  }

  /** Call-ids of the foreign calls of a database. */
  *followed(database: number): Iterable<string> {
    for (const { callId, ownership, redisHostedDb } of this.#calls.values()) {
      if (ownership === 'foreign' && redisHostedDb === database) yield callId;
    }
  }

  /**
   * The owner's database does not have the call any more. Unless its owner `deleted` it, a call that
   * carries media here is kept: the key of a dead node expires while its calls go on.
   */
  unfollow(callId: string, database: number, deleted: boolean): void {
    const state = this.#calls.get(callId);
    if (state?.ownership !== 'foreign' || state.redisHostedDb !== database) return;
    if (!deleted && this.#carriesMedia(callId)) return;
    this.#options.log.info('core', `Call of keyspace ${database} has ended`, callId);
    this.forget(state);
  }

  /** Lets go of a foreign call, which is its owner's to count and to report. */
  forget(state: CallState): void {
    vacateCall(this.#options, state);
    this.#calls.delete(state.callId);
    this.#options.log.setCallDebug(state.callId, false);
    this.#times.delete(state.callId);
  }

  /** CLI `ksrm`: foreign calls of a database that is followed no longer. */
  forgetKeyspace(database: number): void {
    for (const callId of [...this.followed(database)]) {
      const state = this.#calls.get(callId);
      if (state !== undefined) this.forget(state);
    }
  }

  #carriesMedia(callId: string): boolean {
    const { limits, lived } = this.#options;
    const now = this.#now();
    return this.statisticsOf(callId).streams.some(
      ({ lastPacketMicros }) =>
        lastPacketMicros > 0 && lived.between(lastPacketMicros, now) < limits.timeoutSeconds * 1e6,
    );
  }

  /** Makes a foreign call this node's own. Resolves when the store has it; never rejects. */
  async takeOver(callId: string, cause: string): Promise<void> {
    const state = this.#calls.get(callId);
    if (state?.ownership !== 'foreign') return;
    const { config, log } = this.#options;
    const database = state.redisHostedDb;
    const draft = draftOf(state);
    draft.ownership = 'own';
    draft.ownershipEpoch += 1;
    draft.redisHostedDb = config.redis?.write.database ?? 0;
    this.#calls.set(callId, draft);
    this.#alive(draft);
    this.#own += 1;
    this.#options.counters.takeovers += 1;
    log.notice('core', `Taking over call of keyspace ${database}: ${cause}`, callId);
    if (database !== draft.redisHostedDb) {
      this.#owed.set(callId, { database, mine: this.#holding(draft) });
    }
    const saved = await this.#save(draft);
    // Only then: between two databases the call must never be in none.
    if (saved === 'committed') void this.#release(callId);
  }

  /** Takes a call out of the database that it was taken over from. Never rejects. */
  async #release(callId: string): Promise<void> {
    const owed = this.#owed.get(callId);
    if (owed === undefined) return;
    const { release, store, log } = this.#options;
    this.#owed.delete(callId);
    try {
      const holder = await release(callId, owed.database, owed.mine);
      if (holder === null) return;
      this.loseOwnership(callId, holder);
      void store.remove(callId);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const where = `keyspace ${owed.database}`;
      log.debug('core', `Taken over, but cannot be taken out of ${where}: ${reason}`, callId);
      // Tried again by the sweep.
      if (!this.#owed.has(callId)) this.#owed.set(callId, owed);
    }
  }

  /** CLI `active`: every call is this node's. */
  makeAllOwn(): void {
    for (const { callId, ownership } of [...this.#calls.values()]) {
      if (ownership === 'foreign') void this.takeOver(callId, 'by command');
    }
  }

  /** CLI `standby`: every call is another node's. */
  makeAllForeign(): void {
    for (const state of [...this.#calls.values()]) {
      if (state.ownership !== 'own') continue;
      const draft = draftOf(state);
      draft.ownership = 'foreign';
      this.#calls.set(state.callId, draft);
      this.#alive(draft, this.#now());
      this.#own -= 1;
    }
  }

  /** Deletes the call or a branch of it, now or after `delaySeconds`. */
  delete(
    callId: string,
    request: DeleteRequest,
    delaySeconds: number,
  ): { readonly outcome: DeleteOutcome; readonly saved: Promise<unknown> } {
    const state = this.#calls.get(callId);
    const nothing = {
      outcome: { state: null, statistics: noStatistics },
      saved: Promise.resolve(),
    };
    if (state === undefined) return nothing;
    const target = deleteTarget(state, request);
    if (target.kind === 'none') return nothing;
    if (state.ownership === 'foreign' && this.#activeSwitchover) {
      void this.takeOver(callId, "'delete'");
    }
    const statistics = this.statisticsOf(callId);
    const outcome = { state, statistics };
    const { log } = this.#options;
    const at = this.#now() + delaySeconds * 1e6;
    if (target.kind === 'participant') {
      const { tag, viaBranch } = target.participant;
      const branch = `'${tag ?? ''}' (via-branch '${viaBranch ?? ''}')`;
      if (delaySeconds <= 0) {
        log.info('core', `Deleting call branch ${branch}`, callId);
        return {
          outcome,
          saved: this.dropBranch(this.#calls.get(callId) ?? state, target.participant.id),
        };
      }
      log.info(
        'core',
        `Scheduling deletion of call branch ${branch} in ${delaySeconds} seconds`,
        callId,
      );
      const draft = draftOf(this.#calls.get(callId) ?? state);
      for (const participant of draft.participants) {
        if (participant.id === target.participant.id) participant.deletedMicros = at;
      }
      const earliest = draft.participantDeletedMicros;
      if (earliest === 0 || at < earliest) draft.participantDeletedMicros = at;
      this.#calls.set(callId, draft);
      return { outcome, saved: this.#save(draft) };
    }
    if (delaySeconds <= 0) {
      this.#logDeletion(state, request);
      return { outcome, saved: this.close(callId, 'regular', statistics) };
    }
    log.info('core', `Scheduling deletion of entire call in ${delaySeconds} seconds`, callId);
    const draft = draftOf(this.#calls.get(callId) ?? state);
    draft.deletedMicros = at;
    this.#calls.set(callId, draft);
    return { outcome, saved: this.#save(draft) };
  }

  #logDeletion(state: CallState, request: DeleteRequest): void {
    const { log } = this.#options;
    const tag = request.toTag ?? request.fromTag;
    const participant = state.participants.find((entry) => entry.tag === tag);
    if (participant !== undefined) {
      const branch = participant.viaBranch ?? '';
      const label = participant.label === null ? '' : `label '${participant.label}', `;
      log.info(
        'core',
        `Deleting call branch '${participant.tag ?? ''}' (via-branch '${branch}')`,
        state.callId,
      );
      log.info(
        'core',
        `Call branch '${participant.tag ?? ''}' (${label}via-branch '${branch}') deleted, no more branches remaining`,
        state.callId,
      );
    }
    log.info('core', 'Deleting entire call', state.callId);
  }

  /** A participant leaves the call. Resolves when the store has it. */
  dropBranch(state: CallState, participantId: number): Promise<unknown> {
    const { relay, interfaces, pool } = this.#options;
    const changed = withoutParticipant(state, participantId);
    relay.reconcile(mediaPlan(changed, interfaces));
    const stillOpen = new Set(changed.sockets.filter(({ open }) => open).map(({ id }) => id));
    for (const socket of state.sockets) {
      if (socket.open && !stillOpen.has(socket.id)) {
        pool.release(this.localAddressOf(socket), socket.port);
      }
    }
    this.#calls.set(state.callId, changed);
    return this.#save(changed);
  }

  /** Ends a call: final statistics, ports, store. Resolves when the store has let go of it. */
  close(
    callId: string,
    reason: CloseReason,
    statistics = this.statisticsOf(callId),
  ): Promise<unknown> {
    const state = this.#calls.get(callId);
    if (state === undefined) return Promise.resolve();
    const { log, counters, store } = this.#options;
    const now = this.#now();
    if (log.enabled(6, 'core', callId)) {
      for (const line of finalStatsLines(state, statistics, now, this.localAddressOf)) {
        log.info('core', line, callId);
      }
    }
    vacateCall(this.#options, state);
    this.#calls.delete(callId);
    log.setCallDebug(callId, false);
    this.#times.delete(callId);
    counters.managedSessions += 1;
    counters.callClosed(reason, (now - state.createdMicros) / 1e6);
    countWays(counters, state, statistics);
    for (const { progression } of statistics.ssrcs) {
      for (const { mos } of progression) if (mos > 0) counters.mosSample(mos / 10);
    }
    if (state.ownership !== 'own') return Promise.resolve();
    this.#own -= 1;
    return store.remove(callId);
  }

  /** Due deletions and timeouts; called once a second. */
  sweep(): void {
    this.#followWallClock();
    this.#sweep.run(this.#now(), this.#options.relay.lastActivity());
    if (!this.#options.store.healthy) return;
    for (const callId of [...this.#owed.keys()]) void this.#release(callId);
  }

  /** What is stored must be right by the clock that the next process will have. */
  #followWallClock(): void {
    const offset = this.#options.clock.wallOffsetMicros();
    const step = (offset - this.#wallOffset) / 1e6;
    if (step === 0) return;
    this.#wallOffset = offset;
    this.#options.log.notice(
      'core',
      `The clock was set ${step > 0 ? 'forward' : 'back'} by ${Math.abs(step).toFixed(1)} seconds, which no call notices`,
    );
    for (const state of this.#calls.values()) void this.#save(state);
  }

  /** What media taught: the state follows, and the store with it. */
  #relayEvents(events: readonly RelayEvent[]): void {
    for (const event of events) {
      const state = this.#calls.get(event.callId);
      if (state === undefined) continue;
      if (event.type === 'send-failed') {
        logSendFailed(this.#options.log, state, event);
        continue;
      }
      const draft = draftOf(state);
      const stream = draft.streams.find(({ id }) => id === event.streamId);
      if (stream === undefined) continue;
      stream.flags = withFlag(stream.flags, 'received', true);
      if (event.type === 'endpoint-learned' && event.latchEpoch === stream.latchEpoch) {
        logLearned(this.#options.log, draft, stream, event);
        stream.endpoint = event.endpoint;
        stream.flags = withFlag(stream.flags, 'confirmed', event.confirmed);
      }
      this.#calls.set(event.callId, draft);
      if (event.type === 'endpoint-learned') void this.#save(draft);
    }
  }

  #save(state: CallState): Promise<SaveOutcome> {
    if (state.ownership !== 'own') return Promise.resolve('committed');
    return this.#options.store.save(state);
  }

  /** The state with the counters of this moment and by the wall clock, for the stored value. */
  withStatistics(state: CallState): CallState {
    const offset = this.#options.clock.wallOffsetMicros();
    const statistics = this.#options.relay.statistics(state.callId);
    if (statistics === null) return shiftedState(state, offset);
    const draft = draftOf(state);
    const known = new Map(statistics.streams.map((entry) => [entry.streamId, entry]));
    for (const stream of draft.streams) {
      const figures = known.get(stream.id);
      if (figures === undefined) continue;
      const { packets, bytes, errors, kernelPackets, kernelBytes, lastPacketMicros } = figures;
      stream.stats = { packets, bytes, errors, kernelPackets, kernelBytes };
      if (lastPacketMicros > 0) stream.lastPacketMicros = lastPacketMicros;
    }
    return shiftedState(draft, offset);
  }
}
