/** The relay of a process that stands by: in userspace first, and with the kernel before it when it is active. */
import type {
  CallStatistics,
  MediaPlan,
  MediaRelay,
  ReconcileResult,
  RelayEvent,
  RelayTotals,
} from '../../media/relay.js';

/** Whatever is asked of it, the relay of the moment does. Thread: control. */
export class LateRelay implements MediaRelay {
  #relay: MediaRelay;
  #listener: ((events: readonly RelayEvent[]) => void) | null = null;

  constructor(relay: MediaRelay) {
    this.#relay = relay;
  }

  /** From now on another one, which wraps the one before. */
  replace(relay: MediaRelay): void {
    this.#relay = relay;
    if (this.#listener !== null) relay.onEvents(this.#listener);
  }

  reconcile(plan: MediaPlan): ReconcileResult {
    return this.#relay.reconcile(plan);
  }

  statistics(callId: string): CallStatistics | null {
    return this.#relay.statistics(callId);
  }

  glance(callId: string): ReturnType<MediaRelay['glance']> {
    return this.#relay.glance(callId);
  }

  counters(callId: string): ReturnType<MediaRelay['counters']> {
    return this.#relay.counters(callId);
  }

  keepPorts(callIds: readonly string[]): void {
    this.#relay.keepPorts(callIds);
  }

  requestKeyFrames(callId: string): boolean {
    return this.#relay.requestKeyFrames(callId);
  }

  byAddress(): ReturnType<MediaRelay['byAddress']> {
    return this.#relay.byAddress();
  }

  dial(...digit: Parameters<MediaRelay['dial']>): boolean {
    return this.#relay.dial(...digit);
  }

  lastPacketMicros(callId: string): number {
    return this.#relay.lastPacketMicros(callId);
  }

  activeStreams(): number {
    return this.#relay.activeStreams();
  }

  totals(): RelayTotals {
    return this.#relay.totals();
  }

  drops(): ReturnType<MediaRelay['drops']> {
    return this.#relay.drops();
  }

  traces(callId: string): ReturnType<MediaRelay['traces']> {
    return this.#relay.traces(callId);
  }

  onEvents(listener: (events: readonly RelayEvent[]) => void): void {
    this.#listener = listener;
    this.#relay.onEvents(listener);
  }

  onRtcp(listener: Parameters<MediaRelay['onRtcp']>[0]): void {
    this.#relay.onRtcp(listener);
  }

  close(): void {
    this.#relay.close();
  }
}
