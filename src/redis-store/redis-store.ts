/**
 * Call state in Redis (design.md §8). A save is acknowledged by the server before its promise resolves,
 * yet never waits longer than the commit timeout: then the store is degraded, saves are only remembered,
 * and when the server answers again everything in memory is written anew.
 *
 * A server that is a replica is read, and written when it has become a master: until then the store is
 * degraded as well. Calls are restored as soon as there is something to read them from.
 */
import type { CallState } from '../media/call-state.js';
import { inSlices } from '../media/slices.js';
import { encodeCall, encodeNext, keyOf } from './codec.js';
import type { RedisConnection } from './connection.js';
import { EncodedCalls } from './encoded-calls.js';
import { StoreError } from './errors.js';
import { Fence } from './fence.js';
import { FormatChoice, formatIn } from './format-choice.js';
import type { RedisStoreOptions, RedisStoreSettings } from './redis-store-options.js';
import { RemovedLately } from './removed-lately.js';
import type { ReplicaWait } from './replica-wait.js';
import { mayHaveChangedUnheard, type ReplicationState } from './replication-state.js';
import { restoreCalls, type Adopt, type Late, type Restored } from './restore.js';
import type { SendCommand } from './send-command.js';
import type { CodecSettings, StoredFormat } from './schema.js';
import { sameDatabase, serverName, type RedisServer } from './server-address.js';
import { connectionTo, formatOfFollowed, replicaWaitOf, sendOver } from './store-connections.js';
import {
  committed,
  type CallStore,
  type Holder,
  type RestoreReport,
  type SaveOutcome,
  type StoredSocket,
} from './store.js';
import type { NextValue, ValueEdit, ValueReceipt } from './value-edit.js';
import { WriteQueue } from './write-queue.js';

/** Calls written at a time when all of them are. */
const batchSize = 32;
const retryMs = 1000;
/** For what is queued when the store is closed. */
const closeTimeoutMs = 2000;
/** Of the value of a large call: room for what commands add before it is written whole again. */
const roomShare = 1 / 4;
/** setInterval's limit. */
const maxTimerMs = 0x7fff_ffff;

export class RedisStore implements CallStore {
  #options: RedisStoreOptions;
  readonly #settings: CodecSettings;
  readonly #separateRead: RedisServer | null;
  readonly #connection: RedisConnection;
  /** Only until calls have been restored from it, and only when the databases differ. */
  #readConnection: RedisConnection | null = null;
  readonly #queue: WriteQueue;
  /**
   * Call-ids whose key this store has written or restored, the only ones it may delete, with the
   * ownership epoch of the value.
   */
  readonly #known = new Map<string, number>();
  readonly #fence: Fence;
  readonly #removed = new RemovedLately();
  readonly #encoded = new EncodedCalls(roomShare);
  /** Of large calls the value that the database is known to have. */
  readonly #stored = new Map<string, ValueReceipt>();
  #replicaWait: ReplicaWait | null;
  readonly #format: FormatChoice;
  #healthy = false;
  /** `start` is over. */
  #started = false;
  /** A process before this one has written the database that is written. */
  #continues = false;
  #recovering: Promise<void> | null = null;
  /** Calls are still to be restored: the server was away, or a replica, which may have been behind. */
  #late: Late | null = null;
  /** Who wants to know how many calls there are to restore, now and later. */
  #expect: (calls: number) => void = () => undefined;
  #restoringLate: Promise<void> | null = null;
  /** What has been said about the present outage: that the server is a replica. */
  #saidReplica = false;
  #retryTimer: NodeJS.Timeout | null = null;
  #refreshTimer: NodeJS.Timeout | null = null;
  /** An operator may want nothing to be written. */
  #switchedOn = true;
  #closed = false;
  /** How long the last save took whose reply was waited for on the spot. */
  #waitedSeconds = 0;

  constructor(options: RedisStoreOptions) {
    this.#options = options;
    const { bencode, endpointLearning, indexOfPosition, secrets } = options;
    this.#settings = { bencode, endpointLearning, indexOfPosition, secrets };
    this.#format = new FormatChoice(options.format, options.log);
    const { read, write } = options;
    this.#separateRead = read !== null && !sameDatabase(read, write) ? read : null;
    this.#connection = connectionTo(write, this.#options, {
      exchange: options.exchange,
      mayWait: options.mayWait,
      onReady: () => this.#connected(),
      onLost: () => this.#degrade('lost the connection'),
      onState: (now, before) => this.#observe(now, before),
    });
    this.#fence = new Fence(this.#send, options.log, (...command) =>
      this.#connection.ask(...command),
    );
    this.#replicaWait = replicaWaitOf(options, this.#send);
    this.#queue = new WriteQueue({
      send: (callId, wanted) => this.#write(callId, wanted),
      commitTimeoutMs: () => this.#options.commitTimeoutMs,
      onTimeout: () => this.#degrade(`no answer within ${this.#options.commitTimeoutMs} ms`),
      onFailure: (error) => this.#degrade(error instanceof Error ? error.message : String(error)),
      // While degraded, any answer is a sign of life.
      onSuccess: () => this.#recoverSoon(0),
    });
  }

  get healthy(): boolean {
    return this.#healthy;
  }

  /** The format that calls are written in; null until an `auto` one is known. */
  get format(): StoredFormat | null {
    return this.#format.format;
  }

  /**
   * Connects. @throws StoreError when that fails and the server is required; otherwise the store
   * starts degraded and writes what is in memory when the server appears.
   */
  async start(required = this.#options.required): Promise<void> {
    const { log } = this.#options;
    try {
      await this.#openReader();
      await this.#connection.open(this.#attempts);
      await this.#findFormat();
      if (this.#continues) {
        // What the process before had still to write nobody knows: all is written.
        this.#started = true;
        this.#recoverSoon(0);
      } else if (this.#connection.writable) {
        this.#healthy = true;
        this.#queue.open();
        this.#prune();
      } else this.#sayReplica();
    } catch (error) {
      if (required) {
        this.#closed = true;
        this.#readConnection?.close();
        this.#connection.close();
        if (error instanceof StoreError) throw error;
        throw new StoreError('unreachable', 'Redis went away at start', { cause: error });
      }
      const { read, write } = this.#options;
      const restored = read === null || this.#readConnection?.ready === true;
      log.warning(
        `Starting without Redis ${serverName(write)}: ` +
          `${restored ? '' : 'no call is restored, '}calls are written when it is there`,
      );
      if (!this.#connection.ready) this.#connection.keepTrying();
    }
    this.#started = true;
    this.#recoverSoon(retryMs);
    this.#refreshRegularly();
  }

  /**
   * Before `start`: these calls are in the database already, as far as the process before came, and the others
   * were to be deleted. Memory is written over what is there. In slices. @param calls own and foreign ones.
   */
  async continueFrom(calls: Iterable<CallState>, removed: Iterable<string>): Promise<void> {
    this.#continues = true;
    await inSlices(calls, ({ callId, ownership, ownershipEpoch }) => {
      if (ownership === 'own') this.#known.set(callId, ownershipEpoch);
    });
    for (const callId of removed) {
      if (this.#known.has(callId)) continue;
      this.#known.set(callId, 0);
      this.#queue.markRemoved(callId);
    }
  }

  /** Everything that is to be restored has been. */
  get isRestored(): boolean {
    return this.#late === null;
  }

  #refreshRegularly(): void {
    if (this.#refreshTimer !== null) clearInterval(this.#refreshTimer);
    const halfLifeMs = Math.max(1, this.#options.expiresSeconds * 500);
    this.#refreshTimer = setInterval(() => this.#refresh(), Math.min(maxTimerMs, halfLifeMs));
    this.#refreshTimer.unref();
  }

  /** Where Redis is not required, nobody waits for it at the start. */
  get #attempts(): number | undefined {
    return this.#options.required ? undefined : 1;
  }

  /** Connects to where calls are restored from, if that is another database. @throws when it is required. */
  async #openReader(): Promise<void> {
    if (this.#separateRead === null) return;
    const reader = connectionTo(this.#separateRead, this.#options, {
      onReady: () => this.#restoreLateSoon(),
      onLost: () => undefined,
    });
    this.#readConnection = reader;
    try {
      await reader.open(this.#attempts);
    } catch (error) {
      if (this.#options.required) throw error;
      this.#options.log.warning(
        `Starting without Redis ${serverName(this.#separateRead)}: calls are restored when it is there`,
      );
      reader.keepTrying();
    }
  }

  /** Its failure makes the store degraded by whatever fails next. */
  #prune(): void {
    this.#fence.prune(2 * this.#options.expiresSeconds).catch(() => undefined);
  }

  async restore(
    adopt: Adopt,
    prepare?: (sockets: readonly StoredSocket[]) => void,
    expect?: (calls: number) => void,
  ): Promise<RestoreReport> {
    if (expect !== undefined) this.#expect = expect;
    const { read, log, required } = this.#options;
    const startedAt = performance.now();
    const elapsedMs = (): number => Math.round(performance.now() - startedAt);
    const nothing = (): RestoreReport => ({
      ...{ found: 0, restored: 0, failures: [], elapsedMs: elapsedMs() },
    });
    if (read === null) return nothing();
    const connection = this.#readConnection ?? this.#connection;
    if (!connection.ready) {
      this.#late = { adopt, fromMaster: false };
      return nothing();
    }
    try {
      const found = await this.#restoreFrom(connection, adopt, new Set(), prepare);
      if (found.foreignKeys > 0) {
        log.debug?.(`Redis ${serverName(read)} holds ${found.foreignKeys} keys that are no calls`);
      }
      const { keys, restored, failures } = found;
      if (keys === 0 && (await this.#waitsForMaster(connection))) {
        log.warning(
          `Redis ${connection.where} is a replica that holds nothing yet: calls are restored when it does`,
        );
        this.#late = { adopt, fromMaster: false };
        this.#restoreLateAfter(retryMs);
        return nothing();
      }
      this.#restored(connection, adopt);
      return { found: keys, restored, failures, elapsedMs: elapsedMs() };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.error(`Failed to restore calls from Redis ${serverName(read)}: ${reason}`);
      if (required) throw new StoreError('unreachable', reason, { cause: error });
      // What is missing is restored when the server is back.
      this.#late = { adopt, fromMaster: false };
      this.#restoreLateSoon();
      return nothing();
    }
  }

  /** A replica that has not received its master's contents; empty, it says nothing about what there is. */
  async #waitsForMaster(connection: RedisConnection): Promise<boolean> {
    if (connection.state?.isMaster !== false) return false;
    await connection.refresh();
    return connection.state.role === 'slave' && !connection.state.inSync;
  }

  /** A replica may lack what its master got last, so the database that is written is read again. */
  #restored(connection: RedisConnection, adopt: Adopt): void {
    this.#readConnection?.close();
    this.#readConnection = null;
    const behind = connection === this.#connection && !connection.writable;
    this.#late = behind ? { adopt, fromMaster: true } : null;
  }

  #restoreFrom(
    connection: RedisConnection,
    adopt: Adopt,
    present: ReadonlySet<string>,
    prepare?: (sockets: readonly StoredSocket[]) => void,
  ): Promise<Restored> {
    return restoreCalls({
      ...{ settings: this.#settings, log: this.#options.log, present, prepare },
      expect: (calls) => this.#expect(calls),
      send: (...words) => connection.send(...words),
      adopt: (state) => this.#adopt(state, adopt),
    });
  }

  /** Takes over one stored call. It costs no other call, whatever happens. */
  #adopt(state: CallState, adopt: (state: CallState) => string | null): string | null {
    let reason: string | null;
    try {
      reason = adopt(state);
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
    if (reason !== null) return reason;
    if (this.#separateRead === null) this.#known.set(state.callId, state.ownershipEpoch);
    // The database that is written does not have it yet.
    else void this.#queue.put(state.callId, state);
    return null;
  }

  save(state: CallState): Promise<SaveOutcome> {
    if (this.#closed) return Promise.resolve('degraded');
    this.#connection.sayDisabled();
    return this.#timed(() => this.#queue.put(state.callId, state));
  }

  rehearse(state: CallState): void {
    const moment = this.#options.moment(state.callId);
    encodeCall(state, this.format ?? 'JSON', this.#settings, moment, this.#encoded);
    this.#encoded.forget(state.callId);
  }

  remove(callId: string): Promise<SaveOutcome> {
    if (this.#closed) return Promise.resolve('degraded');
    if (!this.#known.has(callId)) {
      // Nothing was sent: there is nothing to delete, and what is there is not ours.
      this.#queue.drop(callId);
      return Promise.resolve(this.#healthy ? 'committed' : 'degraded');
    }
    return this.#timed(() => this.#queue.put(callId, null));
  }

  /**
   * Goes on with other settings. A server that was not named before gets all calls, as one that was
   * away does.
   */
  reconfigure(change: Partial<RedisStoreSettings>): void {
    if (this.#closed) return;
    this.#options = { ...this.#options, ...change };
    const { write, connectTimeoutMs, commandTimeoutMs, allowedErrors, disableTimeSeconds } =
      this.#options;
    this.#replicaWait?.close();
    this.#replicaWait = replicaWaitOf(this.#options, this.#send);
    if (this.#started) this.#refreshRegularly();
    this.#connection.reconfigure({
      ...{ connectTimeoutMs, commandTimeoutMs, allowedErrors, disableTimeSeconds },
      server: write,
    });
  }

  /**
   * Nothing is written any more, or again: then all calls are, as to a server that was away.
   * @returns false: it was so already.
   */
  switch(on: boolean): boolean {
    if (this.#closed || this.#switchedOn === on) return false;
    this.#switchedOn = on;
    if (on) this.#connection.switchOn();
    else this.#connection.switchOff();
    return true;
  }

  /** Another process goes on with the database: nothing is written any more. */
  abandon(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopTimers();
    this.#queue.shut();
    this.#readConnection?.close();
    this.#connection.close();
  }

  #stopTimers(): void {
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    if (this.#refreshTimer !== null) clearInterval(this.#refreshTimer);
    this.#replicaWait?.close();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopTimers();
    if (this.#connection.writable && this.format !== null) {
      let timer: NodeJS.Timeout | undefined;
      const limit = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, closeTimeoutMs);
      });
      await Promise.race([this.#queue.flush(batchSize).catch(() => undefined), limit]);
      clearTimeout(timer);
    }
    this.#queue.shut();
    this.#readConnection?.close();
    this.#connection.close();
  }

  readonly #send: SendCommand = (...command) => this.#connection.send(...command);

  /** As `takeWaitedSeconds` has it. */
  #timed(put: () => Promise<SaveOutcome>): Promise<SaveOutcome> {
    const began = performance.now();
    const saved = put();
    if (saved === committed) this.#waitedSeconds = (performance.now() - began) / 1000;
    return saved;
  }

  takeWaitedSeconds(): number {
    const seconds = this.#waitedSeconds;
    this.#waitedSeconds = 0;
    return seconds;
  }

  /** null: the server has it already. */
  #write(callId: string, wanted: CallState | null): Promise<void> | null {
    const { write } = this.#options;
    const { database } = write;
    const stored = this.#stored.get(callId) ?? null;
    // Until it is acknowledged nobody knows what is there.
    this.#stored.delete(callId);
    if (wanted === null) {
      const epoch = this.#known.get(callId) ?? 0;
      // A call that has another owner by now is gone from here, and that is what was wanted.
      const deleted = this.#fence.delete(keyOf(callId), { epoch, database });
      if (deleted !== null) return deleted.then(() => this.#deleted(callId));
      this.#deleted(callId);
      return null;
    }
    const here =
      wanted.redisHostedDb === write.database
        ? wanted
        : { ...wanted, redisHostedDb: write.database };
    const next = this.#encode(here, stored);
    if (next === null) return null;
    // From here on the key may exist, acknowledged or not.
    const epoch = wanted.ownershipEpoch;
    const written = this.#known.has(callId);
    this.#known.set(callId, epoch);
    this.#removed.delete(callId);
    const mine = { epoch, database };
    const holder = this.#put(here, next, mine, written);
    if (holder !== null) return holder.then((other) => this.#wrote(callId, other));
    return this.#replicaWait?.reached() ?? null;
  }

  #deleted(callId: string): void {
    this.#known.delete(callId);
    this.#encoded.forget(callId);
    this.#removed.add(callId);
  }

  async #wrote(callId: string, holder: Holder | null): Promise<void> {
    if (holder === null) {
      await this.#replicaWait?.reached();
      return;
    }
    this.#known.delete(callId);
    this.#stored.delete(callId);
    this.#encoded.forget(callId);
    this.#options.onLost?.(callId, holder);
  }

  /**
   * Adds to the value that is there, or writes a whole one. Resolves to another node that has the call now, or null. null: it is
   * written already.
   */
  #put(
    state: CallState,
    { value, receipt }: NextValue,
    mine: Holder,
    written: boolean,
  ): Promise<Holder | null> | null {
    const { callId } = state;
    const { expiresSeconds } = this.#options;
    const key = keyOf(callId);
    if (!Buffer.isBuffer(value)) return this.#extend(state, value, receipt, mine, written);
    const keep = (): void => {
      if (receipt !== null) this.#stored.set(callId, receipt);
    };
    const holder = this.#fence.set(key, value, expiresSeconds, mine, written);
    if (holder === null) {
      keep();
      return null;
    }
    return holder.then((other) => {
      keep();
      return other;
    });
  }

  #extend(
    state: CallState,
    edit: ValueEdit,
    receipt: ValueReceipt | null,
    mine: Holder,
    written: boolean,
  ): Promise<Holder | null> | null {
    const { callId } = state;
    const { expiresSeconds } = this.#options;
    const keep = (): void => {
      if (receipt !== null) this.#stored.set(callId, receipt);
    };
    const holder = this.#fence.extend(keyOf(callId), edit, expiresSeconds, mine);
    if (holder === null) {
      keep();
      return null;
    }
    return holder.then((outcome) => {
      if (outcome === 'other') return this.#putWhole(state, mine, written);
      keep();
      return outcome;
    });
  }

  #putWhole(state: CallState, mine: Holder, written: boolean): Promise<Holder | null> | null {
    const whole = this.#encode(state, null);
    return whole === null ? null : this.#put(state, whole, mine, written);
  }

  /**
   * One state that cannot be encoded must not keep all others from being written.
   * @param stored the value that the database is known to have.
   */
  #encode(state: CallState, stored: ValueReceipt | null): NextValue | null {
    const format = this.format ?? 'JSON';
    const made =
      this.#settings.secrets === null && !EncodedCalls.remembers(state)
        ? this.#options.latest?.of(state, format)
        : null;
    if (made !== null && made !== undefined) return { value: made, receipt: null };
    try {
      const moment = this.#options.moment(state.callId);
      return encodeNext(state, format, this.#settings, moment, this.#encoded, stored);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.log.error(`Call ID '${state.callId}' cannot be stored: ${reason}`);
      return null;
    }
  }

  async #findFormat(): Promise<void> {
    const { write, followed = [], installedFormat } = this.#options;
    const [reader, separate] = [this.#readConnection, this.#separateRead];
    const sources = [async () => formatIn(write, this.#send, this.#settings)];
    if (reader?.ready === true && separate !== null)
      sources.push(async () => formatIn(separate, sendOver(reader), this.#settings));
    for (const server of followed)
      sources.push(async () => formatOfFollowed(server, this.#options, this.#settings));
    await this.#format.find(
      installedFormat === undefined ? sources : [...sources, installedFormat],
    );
  }

  /** There is a connection (again), to a master or a replica. */
  #connected(): void {
    if (!this.#started || this.#closed) return;
    this.#restoreLateSoon();
    if (this.#connection.writable) this.#recoverSoon(0);
    else this.#sayReplica();
  }

  /** The server has been promoted or demoted, or it lost what was written to it. */
  #observe(now: ReplicationState, before: ReplicationState): void {
    if (!now.acceptsWrites) {
      if (this.#healthy) this.#degrade('a replica');
      else if (before.acceptsWrites) this.#sayReplica();
    } else if (!this.#healthy) this.#recoverSoon(0);
    // A replica that takes writes forgets them when it synchronises with its master.
    else if (!now.isMaster && mayHaveChangedUnheard(before, now))
      this.#degrade('its contents were replaced');
  }

  #sayReplica(): void {
    if (this.#saidReplica) return;
    this.#saidReplica = true;
    this.#options.log.warning(
      `Redis ${this.#connection.where} is a replica: calls are read from it, and written when it is a master`,
    );
  }

  #degrade(reason: string): void {
    if (this.#closed) return;
    const healthy = this.#healthy;
    this.#healthy = false;
    if (healthy && this.#connection.ready && !this.#connection.writable) this.#sayReplica();
    else if (healthy) {
      this.#options.log.warning(
        `Redis ${serverName(this.#options.write)} does not keep up (${reason}): calls go on, replies no longer wait for it`,
      );
    }
    this.#queue.shut();
    this.#recoverSoon(retryMs);
  }

  /** Starts writing memory anew unless that is under way or not needed. */
  #recoverSoon(delayMs: number): void {
    if (this.#closed || this.#healthy || !this.#started || this.#recovering !== null) return;
    if (this.#retryTimer !== null) {
      if (delayMs > 0) return;
      clearTimeout(this.#retryTimer);
      this.#retryTimer = null;
    }
    if (delayMs > 0) {
      this.#retryTimer = setTimeout(() => {
        this.#retryTimer = null;
        this.#recoverSoon(0);
      }, delayMs);
      this.#retryTimer.unref();
      return;
    }
    // Without a connection, or while it is one to a replica, its events will call again.
    if (!this.#connection.writable) return;
    this.#recovering = this.#recover().finally(() => {
      this.#recovering = null;
      if (!this.#healthy) this.#recoverSoon(retryMs);
    });
  }

  /** Writes everything in memory, then trusts the server again. Never rejects. */
  async #recover(): Promise<void> {
    try {
      await this.#send('PING');
      await this.#findFormat();
      // Before memory is written to the database that they are read from.
      if (this.#separateRead === null) await this.#restoreLate();
      // A master that took over may not have heard of the last removals.
      for (const callId of this.#removed.callIds()) this.#queue.markRemoved(callId);
      await this.#markAll();
      const calls = this.#queue.size;
      await this.#queue.flush(batchSize);
      if (this.#closed || !this.#connection.writable) return;
      this.#healthy = true;
      this.#saidReplica = false;
      this.#queue.open();
      this.#prune();
      this.#options.log.notice(
        `Redis ${serverName(this.#options.write)} is in use again, memory was written (${calls} calls)`,
      );
    } catch {
      // Said already when the store became degraded; tried again later.
    }
  }

  /** Restores what could not be restored at the start, now or later; never rejects. */
  #restoreLateSoon(): void {
    if (this.#closed || !this.#started || this.#late === null) return;
    const connection = this.#readConnection ?? this.#connection;
    if (!connection.ready || this.#late.fromMaster) return;
    // The server was lost again, or does not serve: `onReady` may not call again.
    this.#restoreLate().catch(() => {
      this.#restoreLateAfter(retryMs);
    });
  }

  #restoreLateAfter(delayMs: number): void {
    setTimeout(() => this.#restoreLateSoon(), delayMs).unref();
  }

  /** @throws when the server cannot be read. */
  #restoreLate(): Promise<void> {
    this.#restoringLate ??= this.#restoreMissing().finally(() => {
      this.#restoringLate = null;
    });
    return this.#restoringLate;
  }

  /** Calls of the process before this one. What is in memory or has ended meanwhile is newer. */
  async #restoreMissing(): Promise<void> {
    const late = this.#late;
    if (late === null) return;
    const connection = this.#readConnection ?? this.#connection;
    const present = new Set([...this.#options.snapshot()].map(({ callId }) => callId));
    for (const callId of this.#queue.removals()) present.add(callId);
    for (const callId of this.#removed.callIds()) present.add(callId);
    const { keys, restored } = await this.#restoreFrom(connection, late.adopt, present);
    if (keys === 0 && (await this.#waitsForMaster(connection)))
      throw new StoreError('not-ready', `Redis ${connection.where} waits for its master`);
    this.#restored(connection, late.adopt);
    if (late.fromMaster && restored === 0) return;
    this.#options.log.notice(
      late.fromMaster
        ? `Redis ${connection.where} is a master now: ${restored} more calls restored`
        : `Redis, away at the start, is here now: ${restored} calls restored`,
    );
  }

  /** Queues all calls of this node, in slices; what changes meanwhile is queued anyway. */
  #markAll(): Promise<void> {
    return inSlices(this.#options.snapshot(), (state) => {
      if (state.ownership === 'own') this.#queue.mark(state.callId, state);
    });
  }

  /** A call may last longer than its stored value. */
  #refresh(): void {
    if (!this.#healthy) return;
    // A failure makes the store degraded.
    this.#markAll()
      .then(() => this.#queue.flush(batchSize))
      .catch(() => undefined);
  }
}
