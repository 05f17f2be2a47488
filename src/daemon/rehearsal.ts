/**
 * Calls that the daemon signals to itself after its start, so that V8 has compiled what commands run before they come:
 * the first ones would take ten times as long. They go through the code of real ones, in parts of their own: nobody
 * sees them, no port is opened, nothing is logged, counted or stored. Only while no commands come, in slices of a
 * millisecond.
 */
import type { Config, LimitConfig } from '../config/config.js';
import type { InterfaceTable } from '../media/interfaces.js';
import { PlanEncoder } from '../media/plan-codec.js';
import { PortPool } from '../media/port-pool.js';
import { emptyPlan, type CallStatistics, type MediaPlan, type MediaRelay } from '../media/relay.js';
import { silentStreams } from '../native/relay.js';
import { NgEndpoint } from '../ng-protocol/endpoint.js';
import { ReplyCache } from '../ng-protocol/reply-cache.js';
import { Counters } from '../observe/counters.js';
import { DescriptorSink } from '../observe/log-sinks.js';
import { Log } from '../observe/log.js';
import { MalformedLog } from '../observe/malformed-log.js';
import { shorterReply } from '../observe/shorter-reply.js';
import { committed, type CallStore } from '../redis-store/store.js';
import { CallService } from './calls/call-service.js';
import { LivedTime, type SteadyClock } from './clocks.js';
import { LoadGuard } from './load-guard.js';
import { handleNg, type NgHandlerParts } from './ng-handler.js';
import { ngObserver } from './ng-observer.js';
import type { HeldAddresses } from './process/held-addresses.js';
import { rehearsedCalls } from './rehearsed-calls.js';

/** Set where a test starts hundreds of daemons. */
const marker = 'RTPRELAY_REHEARSAL';

/** One slice, and the pause after it, ms: what a command waits at most, and how much of a processor is taken. */
const sliceMs = 1;
const pauseMs = 2;
/** After commands have come it goes on when none have for so long. */
const quietMs = 200;
/** After a start with calls: their sources have been heard by then, their kernel flows are back. */
const settledMs = 20_000;
/** Time that it takes at most, ms; on a machine that does nothing else it is a tenth. */
const budgetMs = 3000;

export interface RehearsalParts {
  readonly config: Config;
  readonly limits: LimitConfig;
  readonly interfaces: InterfaceTable;
  readonly clock: SteadyClock;
  readonly held: HeldAddresses;
  readonly softwareId: string;
  /** The daemon's own; they are asked for what does nothing. */
  readonly relay: MediaRelay;
  readonly store: CallStore;
  /** Commands that have come so far. */
  readonly commands: () => number;
  /** Everything was rehearsed: what it took can be given back. */
  readonly ended: () => void;
}

/** Plans are encoded, and nobody gets them. */
class StandInRelay implements MediaRelay {
  readonly #encoder = new PlanEncoder();
  readonly #plans = new Map<string, MediaPlan>();
  readonly #real: MediaRelay;

  constructor(real: MediaRelay) {
    this.#real = real;
  }

  reconcile(plan: MediaPlan): ReturnType<MediaRelay['reconcile']> {
    this.#encoder.encode(plan);
    if (plan.transports.length === 0) this.#plans.delete(plan.callId);
    else this.#plans.set(plan.callId, plan);
    // Of a call that there is not: the way to the real one is compiled with it.
    return this.#real.reconcile(emptyPlan(plan.callId));
  }

  statistics(callId: string): CallStatistics | null {
    const plan = this.#plans.get(callId);
    if (plan === undefined) return this.#real.statistics(callId);
    return silentStreams(plan.transports);
  }

  counters = (callId: string): ReturnType<MediaRelay['counters']> => this.#real.counters(callId);
  glance = (): null => null;
  keepPorts = (): void => undefined;
  requestKeyFrames = (): boolean => false;
  dial = (): boolean => false;
  byAddress = (): readonly never[] => [];
  lastPacketMicros = (): number => 0;
  activeStreams = (): number => 0;
  totals = (): ReturnType<MediaRelay['totals']> => this.#real.totals();
  drops = (): ReturnType<MediaRelay['drops']> => ({});
  traces = (): readonly never[] => [];
  onEvents = (): void => undefined;
  onRtcp = (): void => undefined;
  close = (): void => undefined;
}

/** Calls are encoded as for Redis, and written nowhere. */
const standInStore = (store: CallStore): CallStore => ({
  healthy: true,
  save: (state) => {
    store.rehearse?.(state);
    return committed;
  },
  remove: () => committed,
  restore: () => Promise.resolve({ found: 0, restored: 0, failures: [], elapsedMs: 0 }),
  close: () => Promise.resolve(),
});

const discarded = { put: (bytes: Buffer): number => bytes.length, close: (): void => undefined };

/** Thread: control. */
export class Rehearsal {
  readonly #commands: () => number;
  readonly #ended: () => void;
  /** Several: V8 compiles code that knows the parts, if there have never been others. */
  readonly #endpoints: readonly NgEndpoint[];
  #next = 0;
  readonly #calls: Iterator<readonly Buffer[]>;
  #timer: NodeJS.Timeout | null = null;
  #seen = 0;
  #spentMs = 0;

  constructor(parts: RehearsalParts) {
    this.#commands = parts.commands;
    this.#ended = parts.ended;
    this.#calls = rehearsedCalls()[Symbol.iterator]();
    this.#endpoints = [endpointOf(parts), endpointOf(parts), endpointOf(parts)];
  }

  /**
   * Begins, unless the environment forbids it. @param hasCalls of a process before: whatever comes for them goes first,
   * so it begins once they have settled.
   */
  start(env: Readonly<Record<string, string | undefined>>, hasCalls: boolean): void {
    if (env[marker] === 'no') return;
    this.#seen = this.#commands();
    this.#later(hasCalls ? settledMs : pauseMs);
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #later(ms: number): void {
    this.#timer = setTimeout(() => this.#slice(), ms).unref();
  }

  #slice(): void {
    const commands = this.#commands();
    if (commands !== this.#seen) {
      this.#seen = commands;
      this.#later(quietMs);
      return;
    }
    const began = performance.now();
    let now = began;
    while (now - began < sliceMs) {
      const { value: call, done } = this.#calls.next();
      if (done === true) {
        this.#ended();
        return;
      }
      const endpoint = this.#endpoints[this.#next++ % this.#endpoints.length];
      for (const message of call)
        endpoint?.handleMessage(message, { address: '192.0.2.9', port: 1 }, 65_507, ignored);
      now = performance.now();
    }
    this.#spentMs += now - began;
    if (this.#spentMs < budgetMs) this.#later(pauseMs);
    else this.#ended();
  }
}

const ignored = (): void => undefined;

function endpointOf(parts: RehearsalParts): NgEndpoint {
  const { config, limits, interfaces, clock, held, softwareId } = parts;
  const { levels, timestamps, splitLines, maxLineLength: maxLength } = config.log;
  const nowMicros = timestamps ? () => clock.nowMicros() : null;
  const sink = new DescriptorSink(discarded, nowMicros, { splitLines, maxLength });
  const log = new Log({ sink, levels });
  const start = clock.nowMicros();
  const counters = new Counters(start);
  const relay = new StandInRelay(parts.relay);
  const { portMin: min, portMax: max } = config.media;
  const pool = new PortPool(
    { min, max },
    Math.random,
    () => performance.now(),
    (address) => interfaces.portLimitsOf(address),
  );
  const calls = new CallService({
    ...{ relay, pool, interfaces, log, config, limits, clock, held, counters, softwareId },
    ...{ store: standInStore(parts.store), lived: new LivedTime(start), instanceId: 'rehearsal' },
    dtlsIdentity: () => {
      throw new Error('no certificate is made for a rehearsal');
    },
    release: () => Promise.resolve(null),
    isFollowed: () => false,
  });
  const handlerParts: NgHandlerParts = {
    ...{ calls, counters, log, config, limits, load: new LoadGuard(limits) },
    gauges: () => {
      throw new Error('nothing is measured in a rehearsal');
    },
    cli: () => Promise.resolve(''),
    draining: () => false,
    templates: () => config.control.templates,
    maxCalls: () => Infinity,
  };
  return new NgEndpoint({
    handler: (...message) => handleNg(handlerParts, ...message),
    observer: ngObserver(log, counters, new MalformedLog(log), config.media.logSrtpKeys),
    templates: handlerParts.templates,
    cache: new ReplyCache({ nowMs: () => performance.now() }),
    shorten: shorterReply,
    nowMicros: () => performance.now() * 1000,
  });
}
