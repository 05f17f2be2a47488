/**
 * The calls of this node, and the one way in which they change: `commit`. What changes a call
 * (signalling, media, a restore, another node, time) makes its next state and leaves the rest to it.
 */
import { capturedKeys, type PortKeys } from '../../media/captured-keys.js';
import type { CallState, LocalSocket } from '../../media/call-state.js';
import { withOwnership } from '../../media/call-change.js';
import { diallingOf, type Dial } from '../../media/dial.js';
import { inUse } from '../../media/agreed.js';
import { speaksDtls } from '../../media/dtls/negotiation.js';
import { speaksIce } from '../../media/ice/plan.js';
import type { TellsOf } from '../../media/ice/resume.js';
import type { InterfaceTable } from '../../media/interfaces.js';
import type { PlanSettings } from '../../media/plan.js';
import { PlanMemory } from '../../media/plan-memory.js';
import type { PortPool } from '../../media/port-pool.js';
import {
  emptyPlan,
  type CallStatistics,
  type MediaRelay,
  type PortFailure,
} from '../../media/relay.js';
import type { Counters } from '../../observe/counters.js';
import type { Log } from '../../observe/log.js';
import { committed, type CallStore, type SaveOutcome } from '../../redis-store/store.js';
import type { Clock } from '../clocks.js';
import { logKeys } from './key-log.js';
import { movePorts, releaseClosed, releasePorts, type PortMove } from './call-ports.js';
import { CallTally } from './call-tally.js';

export interface CallTableOptions {
  readonly relay: MediaRelay;
  readonly store: CallStore;
  readonly pool: PortPool;
  readonly interfaces: InterfaceTable;
  readonly log: Log;
  readonly counters: Counters;
  readonly clock: Clock;
  /** Option log-srtp-keys. */
  readonly logSrtpKeys: boolean;
  readonly planSettings: PlanSettings;
  /** The store outlives the process; without: it does not. */
  readonly persistent?: boolean;
  /** Told of every change of what a process that continues this one has to know. */
  readonly mirror?: CallWatcher | undefined;
  /** Another process of this node has the calls; nothing is begun for them here. */
  readonly standsBy?: () => boolean;
}

/** Is told of calls after they have changed; must not throw. */
export interface CallWatcher {
  changed(state: CallState): void;
  /** The store has the change, too, or never gets it. */
  passedOn(): void;
  removed(callId: string): void;
}

/** What is remembered of a call besides its state: moments by the daemon's clock, µs. */
export interface CallTimes {
  /** Of what this process knows of the call: when it began. */
  readonly born: number;
  /** Silence does not begin earlier: the last signalling, the restore, the takeover. */
  alive: number;
  /** Of a foreign call: media that comes later takes it over. */
  mediaFrom: number;
  /** When the store last had it, 0 never. */
  stored: number;
  /** Until then nothing ends or changes by time alone, as far as its state says; 0 unknown. Kept by `CallSweep`. */
  due: number;
}

/**
 * So long after a start, a standstill or a takeover, everything has been read that waited in sockets;
 * and so long both nodes may hear a call that one of them has just taken over.
 */
export const stalePacketMicros = 10e6;

/** How a state is committed. */
export interface CommitOptions {
  /**
   * `reserved`: the relay gets the plan; new ports were reserved when the state was made, and none is
   * given up. `compared`: ports are reserved and given back as the state before differs. `known`: the
   * relay knows already, or it is nothing to it.
   */
  readonly media: 'reserved' | 'compared' | 'known';
  /** Whether an own call is written; default true. */
  readonly save?: boolean;
  /** Calls that are part of this one from now on, their ports included. */
  readonly absorbs?: readonly CallState[];
}

/** The relay cannot be as the next state wants it: ports cannot be opened. Nothing has changed. */
export class CommitError extends Error {
  override readonly name = 'CommitError';
  constructor(readonly failures: readonly PortFailure[]) {
    const [first] = failures;
    super(`port ${first?.localPort ?? 0} cannot be opened: ${first?.errno ?? ''}`);
  }
}

/** Its agents and handshakes, and what opens a NAT, have to know whose it is. */
export const needsOwner = ({ medias, streams }: CallState): boolean =>
  streams.some(({ flags }) => flags.has('pierce-nat')) ||
  medias.some((media) => speaksIce(inUse(media)) || speaksDtls(inUse(media)));

const noStatistics: CallStatistics = { streams: [], ssrcs: [] };
const nothingMoved: PortMove = { finish: () => undefined, undo: () => undefined };

/** Thread: control. */
export class CallTable {
  readonly #options: CallTableOptions;
  readonly #calls = new Map<string, CallState>();
  readonly #times = new Map<string, CallTimes>();
  readonly #plans: PlanMemory;
  /** Of calls that were merged into others: their ids, and those of the calls that go on. */
  readonly #mergedInto = new Map<string, string>();
  readonly #tally: CallTally;

  constructor(options: CallTableOptions) {
    this.#options = options;
    this.#tally = new CallTally((createdMicros, by) =>
      options.counters.interval.callLives(createdMicros, by),
    );
    this.#plans = new PlanMemory(options.interfaces, options.planSettings);
  }

  get calls(): ReadonlyMap<string, CallState> {
    return this.#calls;
  }

  get ownCount(): number {
    return this.#tally.own;
  }

  /** Counts of all calls; it changes with them. */
  get tally(): Pick<CallTally, 'families'> {
    return this.#tally;
  }

  call(callId: string): CallState | null {
    return this.#calls.get(this.nameOf(callId)) ?? null;
  }

  /** The id under which a call is kept, whichever of its ids is given. */
  nameOf(callId: string): string {
    if (this.#mergedInto.size === 0 || this.#calls.has(callId)) return callId;
    return this.#mergedInto.get(callId) ?? callId;
  }

  statisticsOf(callId: string): CallStatistics {
    return this.#options.relay.statistics(this.nameOf(callId)) ?? noStatistics;
  }

  /** Whoever sends video is asked for a key frame: packets were lost, and its picture with them. */
  requestKeyFrames({ callId, medias }: CallState): void {
    if (medias.some(({ type }) => type === 'video')) this.#options.relay.requestKeyFrames(callId);
  }

  /** Dials a digit in a participant's place. Nothing of it is stored. @throws SignallingError */
  dial(state: CallState, dial: Dial): void {
    const { callId } = state;
    const heard = new Set(
      this.statisticsOf(callId)
        .streams.filter(({ ssrc }) => ssrc !== null)
        .map(({ streamId }) => streamId),
    );
    for (const { streamId, digit } of diallingOf(state, dial, ({ id }) => heard.has(id)))
      this.#options.relay.dial(callId, streamId, digit);
  }

  timesOf(callId: string): CallTimes {
    const known = this.#times.get(this.nameOf(callId));
    if (known !== undefined) return known;
    const now = this.now();
    return { born: now, alive: now, mediaFrom: now, stored: 0, due: 0 };
  }

  localAddressOf = (socket: LocalSocket): string =>
    this.#options.interfaces.addressAt(socket.logicalInterface, socket.family, socket.addressIndex)
      ?.address ?? '';

  /** Whose a local media port of a call is; null: nobody's. */
  tagOf(callId: string, port: number): string | null {
    const state = this.#calls.get(callId);
    const socket = state?.sockets.find((each) => each.port === port);
    const stream = state?.streams.find(({ sockets }) => sockets.includes(socket?.id ?? -1));
    const media = state?.medias.find(({ id }) => id === stream?.mediaId);
    return state?.participants.find(({ id }) => id === media?.participantId)?.tag ?? null;
  }

  /** The keys of its SRTP as they are now; null: there is no such call. */
  capturedKeys(callId: string): readonly PortKeys[] | null {
    const state = this.#calls.get(callId);
    return state === undefined ? null : capturedKeys(state, this.#options.interfaces);
  }

  /** How peers know the sockets of a call. */
  tellsOf({ sockets }: CallState): TellsOf {
    return (socketId) => {
      const socket = sockets.find(({ id }) => id === socketId);
      if (socket === undefined) return null;
      const { logicalInterface, family, addressIndex, port } = socket;
      const local = this.#options.interfaces.addressAt(logicalInterface, family, addressIndex);
      return local === null ? null : { address: local.advertised, port };
    };
  }

  /** µs; all moments here are of this clock. */
  now(): number {
    return this.#options.clock.nowMicros();
  }

  /**
   * Makes `next` the state of its call: plan, relay, ports, table, store, in this order. The promise
   * resolves once the store has an own call (bounded), and never rejects.
   * @throws CommitError, or Error when a port belongs to somebody else; nothing has changed then.
   */
  commit(next: CallState, { media, save = true, absorbs }: CommitOptions): Promise<SaveOutcome> {
    const { callId } = next;
    const previous = this.#calls.get(callId) ?? null;
    if (absorbs !== undefined && absorbs.length > 0) this.#absorb(next, absorbs);
    else if (media === 'reserved') {
      const { pool, interfaces } = this.#options;
      this.#reconcile(next, nothingMoved);
      releaseClosed(pool, interfaces, previous, next);
    }
    if (media === 'compared') {
      const { pool, interfaces } = this.#options;
      this.#reconcile(next, movePorts(pool, interfaces, previous, next));
    }
    this.#calls.set(callId, next);
    if (next.otherIds.length > 0) for (const id of next.otherIds) this.#mergedInto.set(id, callId);
    if (this.#options.logSrtpKeys) logKeys(this.#options.log, previous, next);
    const times = this.#times.get(callId);
    if (times !== undefined) times.due = 0;
    this.#tally.replace(previous, next);
    if (previous === null) this.#options.counters.sessionsNow(this.#calls.size);
    if (save || previous === null) this.#options.mirror?.changed(next);
    const saved = save ? this.save(next) : committed;
    this.#options.mirror?.passedOn();
    // Only then: the calls must never be in no value at all.
    for (const { callId: gone } of absorbs ?? []) {
      void saved.then(() => this.#options.store.remove(gone));
    }
    return saved;
  }

  /** The sockets of the calls become those of `next`. */
  #absorb(next: CallState, absorbed: readonly CallState[]): void {
    const { relay, log } = this.#options;
    relay.keepPorts(absorbed.map(({ callId }) => callId));
    try {
      for (const { callId } of absorbed) relay.reconcile(emptyPlan(callId));
      this.#reconcile(next, nothingMoved);
    } catch (error) {
      for (const state of absorbed) relay.reconcile(this.#plans.plan(state));
      throw error;
    } finally {
      relay.keepPorts([]);
    }
    for (const state of absorbed) {
      const { callId } = state;
      this.#calls.delete(callId);
      this.#times.delete(callId);
      this.#plans.forget(callId);
      this.#options.mirror?.removed(callId);
      log.setCallDebug(callId, false);
      this.#tally.remove(state);
    }
  }

  /** As `commit`, of a call that others are part of, as its stored value says: what is here of them ends. */
  commitMerged(next: CallState, options: CommitOptions): Promise<SaveOutcome> {
    const { relay } = this.#options;
    if (!next.otherIds.some((id) => this.#calls.has(id))) return this.commit(next, options);
    relay.keepPorts(next.otherIds);
    try {
      this.#forgetMerged(next);
      return this.commit(next, options);
    } finally {
      relay.keepPorts([]);
    }
  }

  #forgetMerged({ callId, otherIds }: CallState): void {
    const { relay, pool, interfaces } = this.#options;
    for (const id of otherIds) {
      const state = this.#calls.get(id);
      if (state === undefined || id === callId) continue;
      relay.reconcile(emptyPlan(id));
      releasePorts(pool, interfaces, state);
      this.#calls.delete(id);
      this.#times.delete(id);
      this.#plans.forget(id);
      this.#options.mirror?.removed(id);
      this.#tally.remove(state);
    }
  }

  /** While another process has the call nothing is begun here, as for one of another node. */
  #asPlanned(state: CallState): CallState {
    const isQuiet =
      this.#options.standsBy?.() === true && state.ownership === 'own' && needsOwner(state);
    return isQuiet ? withOwnership(state, { ownership: 'foreign' }) : state;
  }

  #reconcile(next: CallState, ports: PortMove): void {
    try {
      const outcome = this.#options.relay.reconcile(this.#plans.plan(this.#asPlanned(next)));
      if (!outcome.ok) throw new CommitError(outcome.failures);
    } catch (error) {
      ports.undo();
      throw error;
    }
    ports.finish();
  }

  /** Tells the relay of a call again, e.g. when the kernel has come before it. @throws what `commit` throws */
  plan(state: CallState): void {
    this.#reconcile(state, nothingMoved);
  }

  /** Writes a call again, if it is this node's. */
  save(state: CallState): Promise<SaveOutcome> {
    if (state.ownership !== 'own') return committed;
    const saved = this.#options.store.save(state);
    if (this.#options.persistent !== true) return saved;
    const stored = (): void => {
      const times = this.#times.get(state.callId);
      if (times !== undefined) times.stored = this.now();
    };
    // Of a new call nothing is known yet.
    if (saved === committed && this.#times.has(state.callId)) stored();
    else void saved.then((outcome) => outcome === 'committed' && stored());
    return saved;
  }

  /** How long the store has waited on the spot for what was just committed. */
  takeWaitedSeconds(): number {
    return this.#options.store.takeWaitedSeconds?.() ?? 0;
  }

  /** Something has happened that a call lives by, media apart. */
  touch(state: CallState, mediaFrom = 0): void {
    const now = this.now();
    const known = this.#times.get(state.callId);
    if (known === undefined) {
      // Another node's clock may be ahead.
      const born = Math.min(state.createdMicros, now);
      this.#times.set(state.callId, { born, alive: now, mediaFrom, stored: 0, due: 0 });
      return;
    }
    known.alive = now;
    known.mediaFrom = Math.max(known.mediaFrom, mediaFrom);
  }

  /** Lets go of a call: relay, ports, table; an own one leaves the store, too. */
  remove(state: CallState): Promise<SaveOutcome> {
    const { relay, pool, interfaces, log, store } = this.#options;
    const { callId } = state;
    relay.reconcile(emptyPlan(callId));
    releasePorts(pool, interfaces, state);
    const known = this.#calls.get(callId);
    if (known !== undefined) this.#tally.remove(known);
    this.#calls.delete(callId);
    this.#times.delete(callId);
    this.#plans.forget(callId);
    for (const id of state.otherIds) this.#mergedInto.delete(id);
    log.setCallDebug(callId, false);
    this.#options.mirror?.removed(callId);
    return state.ownership === 'own' ? store.remove(callId) : committed;
  }
}
