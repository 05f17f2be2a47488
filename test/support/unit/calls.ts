/** A call service alone: a relay that does nothing, a store that remembers, clocks that stand still. */
import type { LimitConfig } from '../../../src/config/config.js';
import { testIdentity } from '../dtls-identity.js';
import { CallService } from '../../../src/daemon/calls/call-service.js';
import { LivedTime } from '../../../src/daemon/clocks.js';
import { HeldAddresses } from '../../../src/daemon/process/held-addresses.js';
import type { CallState } from '../../../src/media/call-state.js';
import { InterfaceTable } from '../../../src/media/interfaces.js';
import { PortPool } from '../../../src/media/port-pool.js';
import {
  closesCall,
  type AddressCounters,
  type CallStatistics,
  type DialledDigit,
  type MediaPlan,
  type MediaRelay,
  type PortFailure,
  type ReconcileResult,
  type RelayEvent,
  type RelayTotals,
  type StreamStatistics,
  type StreamTrace,
} from '../../../src/media/relay.js';
import { Counters } from '../../../src/observe/counters.js';
import { Log } from '../../../src/observe/log.js';
import { decodeCall, encodeCall } from '../../../src/redis-store/codec.js';
import {
  asItIs,
  type CallMoment,
  type CallStore,
  type Holder,
  type RestoreReport,
  type SaveOutcome,
} from '../../../src/redis-store/store.js';
import { configOf, minimal } from './config.js';
import { settings } from './redis-store.js';
import { body, plainRequest, type Keys } from './media.js';

/** Accepts every plan; packets arrive when a test says so. */
export class FakeRelay implements MediaRelay {
  readonly plans = new Map<string, MediaPlan>();
  /** Failures of the plans to come, one list a plan. */
  readonly refusals: PortFailure[][] = [];
  reconciled = 0;
  readonly #heard = new Map<string, Map<number, number>>();
  #listener: (events: readonly RelayEvent[]) => void = () => undefined;

  reconcile(plan: MediaPlan): ReconcileResult {
    this.reconciled += 1;
    const failures = this.refusals.shift();
    if (failures !== undefined) return { ok: false, failures };
    if (closesCall(plan)) this.plans.delete(plan.callId);
    else this.plans.set(plan.callId, plan);
    return { ok: true };
  }

  /** A packet on one stream of a call. */
  hear(callId: string, streamId: number, micros: number): void {
    const heard = this.#heard.get(callId) ?? new Map<number, number>();
    this.#heard.set(callId, heard.set(streamId, micros));
  }

  raise(...events: readonly RelayEvent[]): void {
    this.#listener(events);
  }

  keepPorts(): void {
    return;
  }

  /** Calls whose senders were asked for key frames. */
  readonly keyFramesAsked: string[] = [];
  requestKeyFrames(callId: string): boolean {
    this.keyFramesAsked.push(callId);
    return this.plans.has(callId);
  }

  /** Digits that were dialled, by call and stream. */
  readonly dialled: (readonly [callId: string, streamId: number, digit: DialledDigit])[] = [];
  dial(...digit: Parameters<MediaRelay['dial']>): boolean {
    this.dialled.push(digit);
    return this.plans.has(digit[0]);
  }

  figures: readonly AddressCounters[] = [];
  byAddress(): readonly AddressCounters[] {
    return this.figures;
  }

  statistics(callId: string): CallStatistics | null {
    const plan = this.plans.get(callId);
    if (plan === undefined) return null;
    const heard = this.#heard.get(callId);
    const streams = plan.transports.map(({ id, remote }): StreamStatistics => {
      const lastPacketMicros = heard?.get(id) ?? 0;
      const packets = lastPacketMicros > 0 ? 1 : 0;
      return {
        streamId: id,
        ...{ packets, bytes: packets * 172, errors: 0, kernelPackets: 0, kernelBytes: 0 },
        ...{ packetsOut: 0, bytesOut: 0, lastPacketMicros, ssrc: null, endpoint: remote.endpoint },
        ...{ confirmed: false, received: packets > 0, drops: {}, sources: [] },
      };
    });
    return { streams, ssrcs: [] };
  }

  counters(callId: string): ReturnType<MediaRelay['counters']> {
    const streams = this.statistics(callId)?.streams ?? [];
    return new Map(streams.map((entry) => [entry.streamId, entry]));
  }

  glance(): null {
    return null;
  }

  /** Calls that were asked about. */
  readonly askedWhenHeard: string[] = [];
  lastPacketMicros(callId: string): number {
    this.askedWhenHeard.push(callId);
    return Math.max(0, ...(this.#heard.get(callId)?.values() ?? []));
  }

  activeStreams(): number {
    return 0;
  }

  totals(): RelayTotals {
    return { packets: 0, bytes: 0, errors: 0 };
  }

  drops(): Record<string, never> {
    return {};
  }

  traces(): readonly StreamTrace[] {
    return [];
  }

  onRtcp(): void {
    // Nothing comes.
  }

  onEvents(listener: (events: readonly RelayEvent[]) => void): void {
    this.#listener = listener;
  }

  close(): void {
    this.plans.clear();
  }
}

/** What was asked of it, in order: `save ID` and `remove ID`. */
export class FakeStore implements CallStore {
  healthy = true;
  readonly log: string[] = [];
  readonly values = new Map<string, CallState>();
  moment: (callId: string) => CallMoment = () => asItIs;

  restore(adopt: (state: CallState) => string | null): Promise<RestoreReport> {
    for (const state of this.values.values()) adopt(state);
    return Promise.resolve({ found: 0, restored: 0, failures: [], elapsedMs: 0 });
  }

  save(state: CallState): Promise<SaveOutcome> {
    this.log.push(`save ${state.callId}`);
    const value = encodeCall(state, 'JSON', settings, this.moment(state.callId));
    this.values.set(state.callId, decodeCall(state.callId, value, settings).state);
    return Promise.resolve(this.healthy ? 'committed' : 'degraded');
  }

  remove(callId: string): Promise<SaveOutcome> {
    this.log.push(`remove ${callId}`);
    this.values.delete(callId);
    return Promise.resolve(this.healthy ? 'committed' : 'degraded');
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export const seconds = (count: number): number => count * 1e6;

/** µs since the epoch at which tests begin. */
export const start = 1_795_000_000e6;

export interface NodeOptions {
  /** Command line options besides the defaults `--timeout=60 --silent-timeout=3600`. */
  readonly options?: readonly string[];
  readonly store?: FakeStore;
  /** Addresses that are not on the machine (yet); the default interface is 192.0.2.1. */
  readonly absent?: readonly string[];
  readonly addresses?: readonly string[];
  /** µs since the epoch; default `start`. */
  readonly now?: number;
}

const client = { client: '127.0.0.1:5060', address: '127.0.0.1', accepts: () => true };

/** One node of a pair, as far as its calls go. */
export class Node {
  readonly relay = new FakeRelay();
  readonly store: FakeStore;
  readonly counters = new Counters(start);
  readonly lines: string[] = [];
  readonly calls: CallService;
  readonly lived: LivedTime;
  readonly pool = new PortPool(
    { min: 30_000, max: 34_999 },
    () => 0,
    () => this.now / 1000,
  );
  /** Of calls that were taken over: `ID DATABASE`; and what `release` answers. */
  readonly released: string[] = [];
  holder: Holder | null = null;
  readonly followed = new Set<number>([2]);
  readonly absent: Set<string>;
  /** As the CLI changes them. */
  readonly limits: { -readonly [Name in keyof LimitConfig]: LimitConfig[Name] };
  now: number;
  wallOffset = 0;
  #held: HeldAddresses;

  constructor({
    options = [],
    store,
    absent = [],
    addresses = ['192.0.2.1'],
    now = start,
  }: NodeOptions = {}) {
    this.now = now;
    const config = configOf([...minimal, '--redis=127.0.0.1:6379/1', ...options]);
    this.limits = { ...config.limits };
    this.store = store ?? new FakeStore();
    this.absent = new Set(absent);
    this.lived = new LivedTime(this.now);
    this.#held = new HeldAddresses({
      addresses: () => addresses,
      look: (wanted) => wanted.map((address) => !this.absent.has(address)),
      watch: () => ({ close: () => undefined }),
      nowMicros: () => this.now,
      onMoved: (address, held) => {
        if (held) this.calls.ownership.addressCame(address);
      },
      onUnwatched: () => undefined,
    });
    const sink = {
      write: (_level: number, _subsystem: string, callId: string | null, message: string): void => {
        this.lines.push(callId === null ? message : `${callId}: ${message}`);
      },
    };
    this.calls = new CallService({
      ...{ relay: this.relay, store: this.store, pool: this.pool },
      dtlsIdentity: () => testIdentity,
      interfaces: new InterfaceTable(
        addresses.map((address, at) => ({
          name: at === 0 ? 'pub' : `pub${at}`,
          addresses: [{ family: 'IP4', address, advertised: address }],
        })),
      ),
      log: new Log({ sink, levels: new Map() }),
      ...{ counters: this.counters, config, limits: this.limits },
      clock: { nowMicros: () => this.now, wallOffsetMicros: () => this.wallOffset },
      ...{
        lived: this.lived,
        held: this.#held,
        instanceId: '0123456789ab',
        softwareId: 'rtprelayd',
      },
      release: (callId, database) => {
        this.released.push(`${callId} ${database}`);
        return Promise.resolve(this.holder);
      },
      isFollowed: (database) => this.followed.has(database),
    });
    this.store.moment = (callId) => this.calls.storedMoment(callId);
  }

  /** The machine says that addresses have come or left. */
  addressesChanged(): void {
    this.#held.refresh();
  }

  /** Time goes on, with a sweep every second. */
  pass(count: number): void {
    for (let second = 0; second < count; second += 1) {
      this.now += 1e6;
      this.sweep();
    }
  }

  /** The process stands still: time goes on, and nothing is done. */
  standStill(count: number): void {
    this.now += count * 1e6;
  }

  sweep(): void {
    this.lived.tick(this.now);
    this.calls.sweep();
  }

  offer(keys: Keys = {}, sdp = body(4000)): string {
    return this.#signal('offer', keys, sdp);
  }

  answer(keys: Keys = {}, sdp = body(5000)): string {
    return this.#signal('answer', { toTag: 'bob', ...keys }, sdp);
  }

  #signal(kind: 'offer' | 'answer', keys: Keys, sdp: string): string {
    const request = { ...plainRequest, callId: 'call', fromTag: 'ann', sdp, ...keys };
    return this.calls.signalling.signal(kind, request, client).result.sdp ?? '';
  }

  /** A call between ann and bob. */
  talk(callId = 'call'): void {
    this.offer({ callId });
    this.answer({ callId });
  }

  /** A packet of one of the parties, RTP. */
  hear(tag: string, callId = 'call'): void {
    const state = this.calls.table.call(callId);
    const participant = state?.participants.find((each) => each.tag === tag);
    const media = state?.medias.find(({ participantId }) => participantId === participant?.id);
    this.relay.hear(callId, media?.streams[0] ?? -1, this.now);
  }

  get ids(): readonly string[] {
    return [...this.calls.table.calls.keys()];
  }

  /** `own` or `foreign`. */
  ownership(callId = 'call'): string {
    return this.calls.table.call(callId)?.ownership ?? 'gone';
  }
}

/** What another node has stored of a call between ann and bob. */
export function storedCall(age = 0, database = 2): CallState {
  const options = [`--redis=127.0.0.1:6379/${database}`];
  const other = new Node({ options, now: start - age });
  other.talk();
  const state = other.store.values.get('call');
  if (state === undefined) throw new Error('the call was not stored');
  return state;
}
