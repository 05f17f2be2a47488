/**
 * A relay whose settled streams the kernel forwards. It wraps the relay in userspace, which keeps all
 * ports: whatever the kernel leaves alone, and everything the moment a flow is taken out, arrives there.
 * Counters of both are added up, so that nobody else knows where a packet went.
 */
import { formatEndpoint, sameEndpoint, type Endpoint } from '../media/call-state.js';
import {
  closesCall,
  type AddressCounters,
  type CallStatistics,
  type DialledDigit,
  type MediaPlan,
  type MediaRelay,
  type ReconcileResult,
  type RelayEvent,
  type RelayTotals,
  type StreamCounters,
  type StreamGlance,
  type StreamStatistics,
} from '../media/relay.js';
import {
  current,
  flowKey,
  flowsOf,
  sameFlow,
  type Flow,
  type Learned,
  type StreamFlow,
} from './flows.js';
import { AddressTotals } from './address-totals.js';
import { inSlices, SlicedWork } from '../media/slices.js';
import { addTo, FlowTotals, type CountedCall, type Totals } from './flow-totals.js';
import { noCounters, type FlowCounters, type KernelForwarder } from './forwarder.js';

export interface KernelRelayOptions {
  readonly inner: MediaRelay;
  readonly forwarder: KernelForwarder;
  /** Wall clock and CLOCK_MONOTONIC, µs. */
  readonly nowMicros: () => number;
  readonly monotonicMicros: () => number;
  readonly warn: (message: string) => void;
  readonly error: (message: string) => void;
  /** What `inheritedFlows` has found. */
  readonly inherited: ReadonlyMap<string, Endpoint>;
}

/** Local ports, by `flowKey`, of flows that an earlier process has left; before anything is set. In slices. */
export async function inheritedFlows(
  forwarder: KernelForwarder,
): Promise<ReadonlyMap<string, Endpoint>> {
  const found = new Map<string, Endpoint>();
  if (forwarder.adopted)
    await inSlices(forwarder.flows(), ({ local }) => found.set(flowKey(local), local));
  return found;
}

/** Flows that the kernel did not take. */
export interface RefusedFlows {
  /** Of calls that are under way; they are tried again. */
  readonly now: number;
  readonly total: number;
}

export interface KernelDescription {
  readonly mode: string;
  readonly devices: readonly string[];
  readonly refused: RefusedFlows;
  /** Packets by what became of them, those of no flow too. */
  readonly totals: Readonly<Record<string, number>>;
  /** `address:port` of the sender, of us, again of us, and of the receiver. */
  readonly flows: readonly (FlowCounters & {
    readonly from: string;
    readonly local: string;
    readonly source: string;
    readonly to: string;
    /** Forwarded only while no daemon reads it. */
    readonly rtcpOnly: boolean;
  })[];
}

type EndpointLearned = Extract<RelayEvent, { readonly type: 'endpoint-learned' }>;

interface KernelCall {
  plan: MediaPlan;
  readonly learned: Map<number, Learned>;
  /** By `flowKey` of the local port. */
  flows: Map<string, StreamFlow>;
  /** Of its streams that the kernel forwards. */
  streamCount: number;
  /** Of flows that were taken out, by stream. */
  readonly past: Map<number, FlowCounters>;
  readonly pastOut: Map<number, FlowCounters>;
  /** Transports that stay in userspace until then (CLOCK_MONOTONIC, µs); see `contestedMicros`. */
  readonly contested: Map<number, number>;
  /** Transports that learn again and keep their flow until then; see `keptMicros`. */
  readonly kept: Map<number, number>;
}

/**
 * A stream with media-handover that another source has taken over stays in userspace for so long, µs. Only
 * there are all packets seen, those of the former source too, which gets the stream back if it still sends.
 */
const contestedMicros = 3e6;

/**
 * A stream whose learning starts again keeps the flow of its known source for so long, µs: that is preferred
 * anyway, and a daemon that is killed meanwhile loses nothing. Another source that sends ends it at once.
 * Afterwards userspace has to hear a packet, to end the learning.
 */
const keptMicros = 3e6;

/** So long refused flows are tried again, µs, before others have a turn; the rest a second later. */
const retryMicros = 2000;

/** A transaction of nftables for so many flows costs as much as for one; of BPF it is a tenth of a millisecond. */
const removedAtOnce = 16;

/** A digit begins with the next packet of its sender, lasts whole packets, and its end is repeated. */
const dialledMarginMicros = 500_000;

export class KernelRelay implements MediaRelay {
  readonly #options: KernelRelayOptions;
  /** Calls with contested or kept transports. */
  readonly #watched = new Set<string>();
  readonly #calming: SlicedWork;
  readonly #suspending: SlicedWork;
  readonly #calls = new Map<string, KernelCall>();
  readonly #totals: FlowTotals<Flow>;
  readonly #addresses = new AddressTotals();
  #flowCount = 0;
  #streamCount = 0;
  /** Why everything is left to userspace. */
  #suspended: string | null = null;
  /** Calls and how many flows of theirs are refused; who was tried last is last. */
  readonly #refused = new Map<string, number>();
  #refusedTotal = 0;
  #saidRefused = false;
  #closed = false;
  /** Local ports of flows of an earlier process that no call has claimed yet. */
  readonly #inherited: Map<string, Endpoint>;

  constructor(options: KernelRelayOptions) {
    this.#options = options;
    this.#totals = new FlowTotals(
      (flows) => options.forwarder.read(flows.map(({ local }) => local)),
      (flow, counters) => this.#addresses.count(flow, counters),
      options.monotonicMicros,
      (monotonic) => this.#wall(monotonic),
      (error) => {
        const why = error instanceof Error ? error.message : String(error);
        options.error(`Counters of kernel forwarding cannot be read: ${why}`);
      },
    );
    const failed = (error: unknown): void => {
      options.error(`Kernel forwarding: ${error instanceof Error ? error.message : String(error)}`);
    };
    this.#calming = new SlicedWork(failed);
    this.#suspending = new SlicedWork(failed);
    this.#inherited = new Map(options.inherited);
  }

  /**
   * Streams that the kernel forwards; some have several ports, each with its flow. Not RTCP, which it
   * forwards only when there is nobody to ask.
   */
  streamCount(): number {
    return this.#streamCount;
  }

  /** To be called when the flows of a call have changed. */
  #countStreams(call: KernelCall): void {
    const before = call.streamCount;
    const media = [...call.flows.values()].filter(({ flow }) => !flow.rtcpOnly);
    call.streamCount = new Set(media.map(({ streamId }) => streamId)).size;
    this.#streamCount += call.streamCount - before;
  }

  reconcile(plan: MediaPlan): ReconcileResult {
    const { inner } = this.#options;
    const ending = closesCall(plan);
    // First the kernel: its packets must not go where nobody listens any more.
    if (ending) this.#end(plan.callId);
    const result = inner.reconcile(plan);
    if (ending || !result.ok) return result;
    const call = this.#calls.get(plan.callId);
    if (call === undefined) {
      this.#calls.set(plan.callId, {
        ...{ plan, learned: new Map(), flows: new Map(), streamCount: 0 },
        ...{ past: new Map(), pastOut: new Map() },
        ...{ contested: new Map(), kept: new Map() },
      });
    } else {
      this.#keep(call, plan);
      call.plan = plan;
    }
    this.#apply(plan.callId);
    return result;
  }

  #end(callId: string): void {
    const call = this.#calls.get(callId);
    if (call === undefined) return;
    this.#takeOut(call, [...call.flows.values()]);
    this.#totals.end(callId, call.past.values());
    this.#refused.delete(callId);
    this.#watched.delete(callId);
    this.#calls.delete(callId);
  }

  #takeOut(call: KernelCall, flows: readonly StreamFlow[]): void {
    if (flows.length === 0) return;
    const last = this.#options.forwarder.remove(flows.map(({ flow }) => flow.local));
    flows.forEach(({ streamId, sinkId, flow }, at) => {
      const counters = last[at] ?? noCounters;
      this.#addresses.end(flow, counters);
      addTo(call.past, streamId, counters);
      addTo(call.pastOut, sinkId, counters);
      if (call.flows.delete(flowKey(flow.local))) this.#flowCount -= 1;
    });
    this.#countStreams(call);
  }

  /** Makes the kernel's flows of a call equal to its plan and to what packets have taught. */
  #apply(callId: string): void {
    const call = this.#calls.get(callId);
    if (call === undefined) return;
    const { abilities } = this.#options.forwarder;
    const settled =
      this.#suspended === null ? flowsOf(call.plan, call.learned, abilities, call.kept) : [];
    const quiet = settled.filter(({ transportId }) => !call.contested.has(transportId));
    const wanted = new Map(quiet.map((each) => [flowKey(each.flow.local), each]));
    this.#takeOut(
      call,
      [...call.flows].filter(([key]) => !wanted.has(key)).map(([, flow]) => flow),
    );
    this.#dropInherited(call.plan, wanted);
    const changed = [...wanted].filter(([key, { flow }]) => {
      const known = call.flows.get(key);
      return known === undefined || !sameFlow(known.flow, flow);
    });
    const refusal = this.#options.forwarder.set(changed.map(([, { flow }]) => flow));
    if (refusal !== null) {
      this.#refuse(call, changed, refusal);
      return;
    }
    this.#refused.delete(callId);
    for (const [key, flow] of changed) {
      if (!call.flows.has(key)) this.#flowCount += 1;
      call.flows.set(key, flow);
    }
    if (changed.length > 0) this.#countStreams(call);
    this.#claim(
      call,
      changed.filter(([key]) => this.#inherited.delete(key)).map(([, flow]) => flow),
    );
  }

  /**
   * A port may have a flow of an earlier process that does not fit its call: the state was stored
   * before or after the flow was made, or the call is another one.
   */
  #dropInherited({ ports }: MediaPlan, wanted: ReadonlyMap<string, StreamFlow>): void {
    if (this.#inherited.size === 0) return;
    const stale = ports
      .map(({ localAddress, localPort }) => ({ address: localAddress, port: localPort }))
      .filter((local) => !wanted.has(flowKey(local)) && this.#inherited.delete(flowKey(local)));
    this.#options.forwarder.remove(stale);
  }

  /** Part of what inherited flows have counted is in the stored statistics already. */
  #claim(call: KernelCall, flows: readonly StreamFlow[]): void {
    const counters = this.#options.forwarder.read(flows.map(({ flow }) => flow.local));
    const counted = new Map<number, FlowCounters>();
    flows.forEach(({ streamId }, at) => addTo(counted, streamId, counters[at] ?? noCounters));
    for (const [streamId, { packets, bytes }] of counted) {
      const stored = call.plan.streams.find(({ id }) => id === streamId)?.initialStats;
      // Flows that are younger than what is stored have counted less.
      addTo(call.past, streamId, {
        ...noCounters,
        packets: -Math.min(packets, stored?.kernelPackets ?? 0),
        bytes: -Math.min(bytes, stored?.kernelBytes ?? 0),
      });
    }
  }

  /** They stay in userspace. What was there under the same port, or has been written, must not go on. */
  #refuse(
    call: KernelCall,
    changed: readonly (readonly [string, StreamFlow])[],
    refusal: string,
  ): void {
    this.#takeOut(
      call,
      changed.map(([key, flow]) => call.flows.get(key) ?? flow),
    );
    const { callId } = call.plan;
    this.#refusedTotal += Math.max(0, changed.length - (this.#refused.get(callId) ?? 0));
    this.#refused.delete(callId);
    this.#refused.set(callId, changed.length);
    if (this.#saidRefused) return;
    this.#saidRefused = true;
    this.#options.warn(
      `Kernel forwarding takes no more flows (${refusal}): relaying in user space`,
    );
  }

  /** Some of the refused flows get another chance, until the first that is refused again. */
  #retry(): void {
    const end = this.#options.monotonicMicros() + retryMicros;
    // Who was tried is not among them any more, or the last.
    for (const [callId] of this.#refused) {
      this.#apply(callId);
      if (this.#refused.has(callId) || this.#options.monotonicMicros() >= end) return;
    }
  }

  /** Which flows stay although the plan has their transports learn again. */
  #keep(call: KernelCall, next: MediaPlan): void {
    const forwarded = new Set([...call.flows.values()].map(({ transportId }) => transportId));
    const before = new Map(call.plan.transports.map((transport) => [transport.id, transport]));
    for (const { id, remote } of next.transports) {
      const known = before.get(id);
      if (known === undefined || known.remote.generation === remote.generation) continue;
      const { endpoint } = current(known, call.learned);
      const stays = forwarded.has(id) && sameEndpoint(endpoint, remote.endpoint);
      if (!stays || remote.confirmed) call.kept.delete(id);
      else call.kept.set(id, this.#options.monotonicMicros() + keptMicros);
    }
    if (call.kept.size > 0) this.#watched.add(next.callId);
  }

  /** Notes what packets have taught, and whether that replaces a source that was confirmed. */
  #learn(call: KernelCall, event: EndpointLearned): void {
    const { transportId, generation, endpoint } = event;
    const transport = call.plan.transports.find(({ id }) => id === transportId);
    if (transport?.remote.generation === generation) {
      const before = current(transport, call.learned);
      if (before.confirmed && !sameEndpoint(before.endpoint, endpoint)) {
        call.contested.set(transportId, this.#options.monotonicMicros() + contestedMicros);
        this.#watched.add(call.plan.callId);
      }
      call.kept.delete(transportId);
    }
    call.learned.set(transportId, event);
  }

  /** Ends what was contested or kept for long enough. */
  #calmDown(callId: string): void {
    const now = this.#options.monotonicMicros();
    const call = this.#calls.get(callId);
    const waiting = call === undefined ? [] : [call.contested, call.kept];
    let changed = false;
    for (const transports of waiting) {
      for (const [id, until] of transports)
        if (until <= now) changed = transports.delete(id) || changed;
    }
    if (waiting.every(({ size }) => size === 0)) this.#watched.delete(callId);
    if (changed) this.#apply(callId);
  }

  /** By stream: what its flows have received and sent, ended ones too, and what those that are there have received. */
  #countersOf(call: KernelCall): Record<'received' | 'sent' | 'now', Map<number, FlowCounters>> {
    const flows = [...call.flows.values()];
    const counters = this.#options.forwarder.read(flows.map(({ flow }) => flow.local));
    const received = new Map(call.past);
    const sent = new Map(call.pastOut);
    const now = new Map<number, FlowCounters>();
    flows.forEach(({ streamId, sinkId }, at) => {
      const entry = counters[at] ?? noCounters;
      addTo(now, streamId, entry);
      addTo(received, streamId, entry);
      addTo(sent, sinkId, entry);
    });
    return { received, sent, now };
  }

  statistics(callId: string): CallStatistics | null {
    const statistics = this.#options.inner.statistics(callId);
    const call = this.#calls.get(callId);
    if (statistics === null || call === undefined) return statistics;
    if (call.flows.size === 0 && call.past.size === 0) return statistics;
    const { received, sent, now } = this.#countersOf(call);
    const streams = statistics.streams.map((entry) => {
      const { packets, bytes } = now.get(entry.streamId) ?? noCounters;
      const added = this.#added(entry, received.get(entry.streamId), sent.get(entry.streamId));
      return { ...added, kernelPackets: packets, kernelBytes: bytes };
    });
    return { ...statistics, streams };
  }

  counters(callId: string): ReadonlyMap<number, StreamCounters> {
    const call = this.#calls.get(callId);
    if (call === undefined || (call.flows.size === 0 && call.past.size === 0))
      return this.#options.inner.counters(callId);
    const streams = this.statistics(callId)?.streams ?? [];
    return new Map(streams.map((entry) => [entry.streamId, entry]));
  }

  glance(callId: string): readonly StreamGlance[] | null {
    const streams = this.#options.inner.glance(callId);
    const call = this.#calls.get(callId);
    if (streams === null || call === undefined) return streams;
    if (call.flows.size === 0 && call.past.size === 0) return streams;
    const { received, sent, now } = this.#countersOf(call);
    return streams.map((entry) => {
      const came = received.get(entry.streamId) ?? noCounters;
      return {
        ...entry,
        packets: entry.packets + came.packets,
        bytes: entry.bytes + came.bytes,
        kernelPackets: (now.get(entry.streamId) ?? noCounters).packets,
        packetsOut: entry.packetsOut + (sent.get(entry.streamId) ?? noCounters).packets,
        lastPacketMicros: Math.max(entry.lastPacketMicros, this.#wall(came.lastPacketMicros)),
      };
    });
  }

  #added(
    entry: StreamStatistics,
    received: FlowCounters = noCounters,
    sent: FlowCounters = noCounters,
  ): StreamStatistics {
    const lastKernelPacketMicros = this.#wall(received.lastPacketMicros);
    return {
      ...entry,
      lastUserPacketMicros: entry.lastPacketMicros,
      lastKernelPacketMicros,
      packets: entry.packets + received.packets,
      bytes: entry.bytes + received.bytes,
      packetsOut: entry.packetsOut + sent.packets,
      bytesOut: entry.bytesOut + sent.bytes,
      lastPacketMicros: Math.max(entry.lastPacketMicros, lastKernelPacketMicros),
      ssrc: received.ssrc ?? entry.ssrc,
      received: entry.received || received.packets > 0,
    };
  }

  /** Wall clock of a moment of CLOCK_MONOTONIC; 0 stays 0. */
  #wall(monotonic: number): number {
    const { nowMicros, monotonicMicros } = this.#options;
    return monotonic === 0 ? 0 : Math.round(nowMicros() - (monotonicMicros() - monotonic));
  }

  keepPorts(callIds: readonly string[]): void {
    this.#options.inner.keepPorts(callIds);
  }

  /** Only in userspace digits can be put into a stream: it stays there until they are through. */
  dial(callId: string, streamId: number, digit: DialledDigit): boolean {
    const dialled = this.#options.inner.dial(callId, streamId, digit);
    const call = this.#calls.get(callId);
    const stream = call?.plan.streams.find(({ id }) => id === streamId);
    if (!dialled || call === undefined || stream === undefined) return dialled;
    const now = this.#options.monotonicMicros();
    const begins = Math.max(now, call.contested.get(stream.transport) ?? 0);
    call.contested.set(stream.transport, begins + digit.lastsMs * 1000 + dialledMarginMicros);
    this.#watched.add(callId);
    this.#apply(callId);
    return dialled;
  }

  requestKeyFrames(callId: string): boolean {
    return this.#options.inner.requestKeyFrames(callId);
  }

  /** The kernel's part of it as of the last reading. */
  lastPacketMicros(callId: string): number {
    const micros = this.#options.inner.lastPacketMicros(callId);
    return Math.max(micros, this.#totals.lastPacketMicros(callId));
  }

  activeStreams(): number {
    return this.#options.inner.activeStreams();
  }

  totals(): RelayTotals {
    const { packets, bytes, errors } = this.#options.inner.totals();
    const kernel = this.kernelTotals();
    return { packets: packets + kernel.packets, bytes: bytes + kernel.bytes, errors };
  }

  /** The kernel's part of it as of the last reading. */
  byAddress(): readonly AddressCounters[] {
    this.#readAll();
    return this.#addresses.addedTo(this.#options.inner.byAddress());
  }

  drops(): ReturnType<MediaRelay['drops']> {
    return this.#options.inner.drops();
  }

  traces(callId: string): ReturnType<MediaRelay['traces']> {
    return this.#options.inner.traces(callId);
  }

  /** The kernel's part of `totals`. */
  kernelTotals(): Totals {
    this.#readAll();
    return this.#totals.sum;
  }

  /** To be called every second: what time does to flows. */
  everySecond(): void {
    this.#watch();
    this.#calming.begin(
      () => this.#watched,
      (callId) => this.#calmDown(callId),
    );
    this.#retry();
    this.#readAll();
  }

  /** Where the kernel loses packets, userspace takes over. */
  #watch(): void {
    if (this.#suspended !== null) return;
    this.#suspended = this.#options.forwarder.supervise();
    if (this.#suspended === null) return;
    this.#suspending.begin(
      () => this.#leavingKernel(),
      (step) => step(),
    );
    this.#options.error(
      `Kernel forwarding is suspended, media is relayed in user space: ${this.#suspended}`,
    );
  }

  *#leavingKernel(): Generator<() => void> {
    for (const call of this.#calls.values())
      yield () => this.#takeOut(call, [...call.flows.values()]);
    for (const locals of this.#unclaimed()) yield () => void this.#options.forwarder.remove(locals);
  }

  #readAll(): void {
    this.#totals.refresh(() => this.#counted(), this.#flowCount);
  }

  *#counted(): Generator<CountedCall<Flow>> {
    for (const [callId, { past, flows }] of this.#calls) {
      if (past.size === 0 && flows.size === 0) continue;
      const locals = [...flows.values()].map(({ flow }) => flow);
      yield { callId, past: past.values(), locals };
    }
  }

  onRtcp(listener: Parameters<MediaRelay['onRtcp']>[0]): void {
    this.#options.inner.onRtcp(listener);
  }

  onEvents(listener: (events: readonly RelayEvent[]) => void): void {
    this.#options.inner.onEvents((events) => {
      const changed = new Set<string>();
      for (const event of events) {
        const call = this.#calls.get(event.callId);
        if (event.type !== 'endpoint-learned' || call === undefined) continue;
        this.#learn(call, event);
        changed.add(event.callId);
      }
      listener(events);
      for (const callId of changed) this.#apply(callId);
    });
  }

  /** Packets by what became of them. */
  packetTotals(): Readonly<Record<string, number>> {
    return this.#options.forwarder.totals();
  }

  /** `tc`, or whatever forwards; `suspended` where nothing is forwarded any more. */
  get mode(): string {
    const { mode } = this.#options.forwarder;
    return this.#suspended === null ? mode : `${mode}, suspended`;
  }

  /** For the operator. In slices: 20,000 calls have 80,000 flows, which take half a second and more. */
  async describe(): Promise<KernelDescription> {
    const { forwarder } = this.#options;
    const flows: KernelDescription['flows'][number][] = [];
    await inSlices(forwarder.flows(), (flow) => {
      const [counters = noCounters] = forwarder.read([flow.local]);
      flows.push({
        from: formatEndpoint(flow.expected),
        local: formatEndpoint(flow.local),
        source: formatEndpoint(flow.source),
        to: formatEndpoint(flow.destination),
        rtcpOnly: flow.rtcpOnly,
        ...counters,
      });
    });
    return {
      mode: this.mode,
      devices: forwarder.devices,
      refused: {
        now: [...this.#refused.values()].reduce((a, b) => a + b, 0),
        total: this.#refusedTotal,
      },
      totals: forwarder.totals(),
      flows,
    };
  }

  /** What no call has claimed until its turn comes, which it has once; some at a time. */
  *#unclaimed(): Generator<readonly Endpoint[]> {
    while (this.#inherited.size > 0 && !this.#closed) {
      const some: [string, Endpoint][] = [];
      for (const entry of this.#inherited) if (some.push(entry) === removedAtOnce) break;
      for (const [key] of some) this.#inherited.delete(key);
      yield some.map(([, local]) => local);
    }
  }

  /** Removes flows that an earlier process has left and that belong to no call, in slices; resolves to how many. */
  async releaseUnclaimed(): Promise<number> {
    let removed = 0;
    await inSlices(this.#unclaimed(), (locals) => {
      this.#options.forwarder.remove(locals);
      removed += locals.length;
    });
    return removed;
  }

  /** Another process goes on: everything stays in the kernel. */
  leave(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.forwarder.close();
  }

  /** A clean stop: nothing is left in the kernel. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const refusal = this.#options.forwarder.removeAll();
    if (refusal !== null) this.#options.warn(`Kernel forwarding cannot be removed: ${refusal}`);
    this.#options.inner.close();
  }
}
