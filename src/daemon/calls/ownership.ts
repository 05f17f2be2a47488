/**
 * Whose a call is. A call is own or another node's: a foreign one is kept warm, its ports are open and
 * its endpoints known, and it is neither written nor deleted here.
 */
import type { Config, LimitConfig } from '../../config/config.js';
import { withOwnership, withStreams } from '../../media/call-change.js';
import { copyOfStream, sameEndpoint, type CallState, type Stream } from '../../media/call-state.js';
import { withInterruptedDtls } from '../../media/dtls/interrupted.js';
import { inUse } from '../../media/agreed.js';
import { speaksIce } from '../../media/ice/plan.js';
import { movedHere } from '../../media/ice/resume.js';
import { inSlices } from '../../media/slices.js';
import type { Counters } from '../../observe/counters.js';
import type { Log } from '../../observe/log.js';
import type { CallStore, Holder } from '../../redis-store/store.js';
import { shiftedState, type Clock, type LivedTime } from '../clocks.js';
import { needsOwner, stalePacketMicros, type CallTable } from './call-table.js';

export interface OwnershipOptions {
  readonly table: CallTable;
  readonly store: CallStore;
  readonly log: Log;
  readonly counters: Counters;
  readonly config: Config;
  /** Changed by the CLI while running. */
  readonly limits: LimitConfig;
  readonly clock: Clock;
  readonly lived: LivedTime;
  /**
   * Takes a call of this node's out of the database of its former owner. Resolves to its holder when
   * another node was first; rejects when Redis is away.
   */
  readonly release: (callId: string, database: number, mine: Holder) => Promise<Holder | null>;
  /** Whether the calls of a database are followed. */
  readonly isFollowed: (database: number) => boolean;
}

/** A call that was taken over and is still in its former owner's database. */
interface Leftover {
  readonly database: number;
  readonly mine: Holder;
}

const holderOf = ({ ownershipEpoch: epoch, redisHostedDb: database }: CallState): Holder => ({
  epoch,
  database,
});

const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** It goes on encrypting with keys that another process has used. */
const resumesSrtp = ({ medias }: CallState): boolean =>
  medias.some(({ srtpResume }) => (srtpResume.send ?? []).length > 0);

/** Thread: control. */
export class CallOwnership {
  readonly #options: OwnershipOptions;
  readonly #leftovers = new Map<string, Leftover>();
  /** Of `takeOverAll` and `giveUpAll`: the last one holds. */
  #wish = 0;

  constructor(options: OwnershipOptions) {
    this.#options = options;
  }

  /** Whether somebody else says when foreign calls of this database end. */
  isWatched(database: number): boolean {
    const { config, isFollowed } = this.#options;
    return database === config.redis?.write.database || isFollowed(database);
  }

  /** Call-ids of the foreign calls of a database. */
  *followed(database: number): Iterable<string> {
    for (const { callId, ownership, redisHostedDb } of this.#options.table.calls.values()) {
      if (ownership === 'foreign' && redisHostedDb === database) yield callId;
    }
  }

  /** Takes a stored call over; returns why it cannot be, or null. */
  adopt(stored: CallState): string | null {
    const { table } = this.#options;
    if (table.call(stored.callId) !== null) return 'the call is already known';
    const state = this.#goOn(this.#fromStore(stored));
    try {
      // It is stored, but for the packet indexes that its SRTP goes on from.
      void table.commitMerged(state, { media: 'compared', save: resumesSrtp(state) });
    } catch (error) {
      return reasonOf(error);
    }
    table.touch(state, table.now());
    table.requestKeyFrames(state);
    return null;
  }

  /**
   * Takes in the newest state of a call of this node's former process, or of the one that is active still.
   * @returns why it cannot be, or null.
   */
  mirror(stored: CallState): string | null {
    const { table } = this.#options;
    const state = this.#fromStore(stored);
    try {
      // Whoever has stored it goes on doing so.
      void table.commitMerged(state, { media: 'compared', save: false });
    } catch (error) {
      return reasonOf(error);
    }
    table.touch(state, table.now());
    return null;
  }

  /** The former process has ended with this call: it is carried on here. */
  goOn(callId: string): void {
    const { table, log } = this.#options;
    const state = table.call(callId);
    if (state === null) return;
    const now = table.now();
    table.touch(state, now);
    if (state.ownership === 'own') table.requestKeyFrames(state);
    const isPlanned = needsOwner(state);
    if (!isPlanned && !resumesSrtp(state)) return;
    try {
      const next = state.ownership === 'own' && isPlanned ? this.#goOn(state) : state;
      void table.commit(next, { media: isPlanned ? 'reserved' : 'known' });
    } catch (error) {
      log.error('core', `Cannot go on with ICE or DTLS: ${reasonOf(error)}`, callId);
    }
  }

  /**
   * Keeps a call of another node warm. Own calls are not touched, unless their ownership epoch is
   * behind. Safe to call again with the same or a newer state.
   */
  follow(value: CallState, database: number): void {
    const { table, log } = this.#options;
    const stored = this.#fromStore(value);
    this.#settle(stored, database);
    const previous = table.call(stored.callId);
    if (previous?.ownership === 'own') return;
    // What a former owner has left behind.
    if (previous !== null && stored.ownershipEpoch < previous.ownershipEpoch) return;
    const state = followedState(stored, database, previous);
    try {
      void table.commitMerged(state, { media: 'compared' });
    } catch (error) {
      log.error('core', `Failed to stand by for the call: ${reasonOf(error)}`, state.callId);
      return;
    }
    table.touch(state, previous === null ? table.now() : 0);
    if (previous !== null) return;
    log.info('core', `Standing by for call of keyspace ${database}`, state.callId);
  }

  /** An own call is stored in another node's database, too: the higher epoch has it. */
  #settle(stored: CallState, database: number): void {
    const { table, store } = this.#options;
    const { callId, ownershipEpoch: epoch } = stored;
    const state = table.call(callId);
    if (state?.ownership !== 'own' || state.redisHostedDb === database) return;
    if (epoch > state.ownershipEpoch) {
      this.lose(callId, { epoch, database });
      void store.remove(callId);
    } else if (
      epoch < state.ownershipEpoch &&
      stored.lastSignalMicros <= state.lastSignalMicros &&
      !this.#leftovers.has(callId)
    ) {
      // Taken over, but whoever did it came no further.
      this.#leftovers.set(callId, { database, mine: holderOf(state) });
    }
  }

  /** A call as it was stored, by the wall clock, in the moments and with the addresses of this process. */
  #fromStore(stored: CallState): CallState {
    const { clock, table } = this.#options;
    const state = shiftedState(stored, -clock.wallOffsetMicros());
    return movedHere(state, table.tellsOf(state));
  }

  /** A call that this process is to carry on. */
  #goOn(stored: CallState): CallState {
    const { state, medias } = withInterruptedDtls(stored);
    for (const { index, participantId } of medias) {
      const tag = state.participants.find(({ id }) => id === participantId)?.tag ?? '';
      const whose = `the DTLS handshake of media ${index} of '${tag}'`;
      const text = `Taken up in the middle of ${whose}: unless it ends well, that needs a new offer`;
      this.#options.log.warning(
        'core',
        `${text} (ICE restart, new DTLS association)`,
        state.callId,
      );
    }
    return state;
  }

  /** Another node has taken the call over. */
  lose(callId: string, { epoch, database }: Holder): void {
    const { table, counters, log } = this.#options;
    const state = table.call(callId);
    if (state?.ownership !== 'own' || epoch < state.ownershipEpoch) return;
    const change = { ownershipEpoch: epoch, redisHostedDb: database };
    const foreign = withOwnership(state, { ownership: 'foreign', ...change });
    void table.commit(foreign, { media: isToldToRelay(foreign) });
    this.#leftovers.delete(callId);
    // Both may hear it for a moment: that does not take it back.
    table.touch(foreign, table.now() + stalePacketMicros);
    counters.takenOver += 1;
    log.notice('core', `Call was taken over by the node of keyspace ${database}`, callId);
  }

  /** Makes a foreign call this node's own. Resolves when the store has it; never rejects. */
  async takeOver(callId: string, cause: string): Promise<void> {
    const { table, config, counters, log } = this.#options;
    const state = table.call(callId);
    if (state?.ownership !== 'foreign') return;
    const database = state.redisHostedDb;
    const own = withOwnership(this.#goOn(state), {
      ownership: 'own',
      ownershipEpoch: state.ownershipEpoch + 1,
      redisHostedDb: config.redis?.write.database ?? 0,
    });
    table.touch(own);
    counters.takeovers += 1;
    log.notice('core', `Taking over call of keyspace ${database}: ${cause}`, callId);
    if (database !== own.redisHostedDb) {
      this.#leftovers.set(callId, { database, mine: holderOf(own) });
    }
    const committed = table.commit(own, { media: isToldToRelay(own) });
    table.requestKeyFrames(own);
    const saved = await committed;
    // Only then: between two databases the call must never be in none.
    if (saved === 'committed') void this.#release(callId);
  }

  /** Takes a call out of the database that it was taken over from. Never rejects. */
  async #release(callId: string): Promise<void> {
    const { release, store, log } = this.#options;
    const leftover = this.#leftovers.get(callId);
    if (leftover === undefined) return;
    this.#leftovers.delete(callId);
    try {
      const holder = await release(callId, leftover.database, leftover.mine);
      if (holder === null) return;
      this.lose(callId, holder);
      void store.remove(callId);
    } catch (error) {
      const where = `keyspace ${leftover.database}`;
      const text = `Taken over, but cannot be taken out of ${where}: ${reasonOf(error)}`;
      log.debug('core', text, callId);
      if (!this.#leftovers.has(callId)) this.#leftovers.set(callId, leftover);
    }
  }

  /** Tries again to take calls out of the databases of their former owners; once a second. */
  releaseLeftovers(): void {
    if (!this.#options.store.healthy) return;
    for (const callId of [...this.#leftovers.keys()]) void this.#release(callId);
  }

  /**
   * An address has come to this machine. Peers with ICE send nothing any more when they have got no answer
   * for a while: their calls cannot wait for media.
   */
  addressCame(address: string): void {
    const { table, config } = this.#options;
    if (config.redis?.activeSwitchover !== true) return;
    void this.#ofEach((state) => {
      if (state.ownership !== 'foreign' || !state.medias.some((media) => speaksIce(inUse(media))))
        return;
      const selected = new Set(state.streams.map(({ selectedSocket }) => selectedSocket));
      const isThere = state.sockets.some(
        (socket) => selected.has(socket.id) && table.localAddressOf(socket) === address,
      );
      if (isThere) void this.takeOver(state.callId, 'its address has come');
    });
  }

  /** CLI `active`: every call is this node's. Resolves when it is so, or `standby` has come after it. */
  takeOverAll(): Promise<void> {
    const wish = (this.#wish += 1);
    return this.#ofEach(({ callId, ownership }) => {
      if (wish === this.#wish && ownership === 'foreign') void this.takeOver(callId, 'by command');
    });
  }

  /** CLI `standby`: every call is another node's. As `takeOverAll`. */
  giveUpAll(): Promise<void> {
    const { table } = this.#options;
    const wish = (this.#wish += 1);
    return this.#ofEach((state) => {
      if (wish !== this.#wish || state.ownership !== 'own') return;
      const foreign = withOwnership(state, { ownership: 'foreign' });
      void table.commit(foreign, { media: isToldToRelay(foreign) });
      table.touch(foreign, table.now());
    });
  }

  /** Of the calls of this moment those that are there still, in slices. Never rejects. */
  async #ofEach(step: (state: CallState) => void): Promise<void> {
    const { table, log } = this.#options;
    await inSlices([...table.calls.keys()], (callId) => {
      const state = table.call(callId);
      if (state === null) return;
      try {
        step(state);
      } catch (error) {
        log.error('core', `It cannot be changed whose the call is: ${reasonOf(error)}`, callId);
      }
    });
  }

  /**
   * The owner's database does not have the call any more. Unless its owner `deleted` it, a call that
   * carries media here is kept: the key of a dead node expires while its calls go on.
   */
  unfollow(callId: string, database: number, deleted: boolean): void {
    const { table, log } = this.#options;
    const state = table.call(callId);
    if (state?.ownership !== 'foreign' || state.redisHostedDb !== database) return;
    if (!deleted && this.#carriesMedia(callId)) return;
    log.info('core', `Call of keyspace ${database} has ended`, callId);
    void table.remove(state);
  }

  /** CLI `ksrm`: a database is followed no longer, and its calls are let go of. As `takeOverAll`. */
  unfollowAll(database: number): Promise<void> {
    const { table, isFollowed } = this.#options;
    return this.#ofEach((state) => {
      const isLeft = state.ownership === 'foreign' && state.redisHostedDb === database;
      // Followed again meanwhile, they stay.
      if (isLeft && !isFollowed(database)) void table.remove(state);
    });
  }

  #carriesMedia(callId: string): boolean {
    const { table, limits, lived } = this.#options;
    const now = table.now();
    return table
      .statisticsOf(callId)
      .streams.some(
        ({ lastPacketMicros }) =>
          lastPacketMicros > 0 &&
          lived.between(lastPacketMicros, now) < limits.timeoutSeconds * 1e6,
      );
  }
}

/** Agents have to know whose the call is: they begin to ask, or a handshake, or cease to. */
const isToldToRelay = (state: CallState): 'reserved' | 'known' =>
  needsOwner(state) ? 'reserved' : 'known';

/** A stored call as it is kept warm here; what the relay has learned goes on, unless the owner learns again. */
function followedState(stored: CallState, database: number, previous: CallState | null): CallState {
  const isOurs = stored.ownership === 'foreign' && stored.redisHostedDb === database;
  const state = isOurs
    ? stored
    : withOwnership(stored, { ownership: 'foreign', redisHostedDb: database });
  if (previous === null) return state;
  const before = new Map(previous.streams.map((stream) => [stream.id, stream]));
  const changed = new Map<number, Stream>();
  for (const stream of state.streams) {
    const known = before.get(stream.id);
    if (known === undefined) continue;
    // A changed SDP, or an offer or answer that was as before.
    const again =
      !sameEndpoint(known.advertisedEndpoint, stream.advertisedEndpoint) ||
      (known.flags.has('confirmed') && !stream.flags.has('confirmed'));
    const learningGeneration = known.learningGeneration + (again ? 1 : 0);
    if (learningGeneration === stream.learningGeneration) continue;
    const copy = copyOfStream(stream);
    copy.learningGeneration = learningGeneration;
    changed.set(stream.id, copy);
  }
  return changed.size === 0 ? state : withStreams(state, changed);
}
