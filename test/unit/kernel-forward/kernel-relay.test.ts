import { expect } from 'chai';
import { flowKey, type Flow } from '../../../src/kernel-forward/flows.js';
import {
  noCounters,
  type FlowCounters,
  type KernelForwarder,
} from '../../../src/kernel-forward/forwarder.js';
import { inheritedFlows, KernelRelay } from '../../../src/kernel-forward/kernel-relay.js';
import { noStats, type Endpoint } from '../../../src/media/call-state.js';
import {
  emptyPlan,
  type AddressCounters,
  type CallStatistics,
  type MediaPlan,
  type MediaRelay,
  type ReconcileResult,
  type RelayEvent,
  type StreamStatistics,
} from '../../../src/media/relay.js';
import { facingPort, type Side } from '../../support/plans.js';
import { until } from '../../support/wait.js';
import { facing, planOf, stream } from './flows.test.js';

/** What was asked of the relay in userspace and of the kernel, in order. */
const asked: string[] = [];

const figuresOf = (packets: number): FlowCounters => ({
  ...noCounters,
  packets,
  bytes: packets * 172,
  lastPacketMicros: packets === 0 ? 0 : 500,
});

class FakeForwarder {
  readonly abilities = { payloadTypes: true, rtcp: true };
  readonly mode = 'tc';
  readonly notes = [];
  readonly devices = [];
  readonly held = new Map<string, Flow>();
  counted = 0;
  refusal: string | null = null;
  why: string | null = null;
  /** Written before the kernel's error. */
  writesBeforeRefusal = 0;
  constructor(readonly adopted = false) {}

  set(flows: readonly Flow[]): string | null {
    if (flows.length === 0) return null;
    asked.push(`set ${flows.map(({ local }) => local.port).join()}`);
    const written = this.refusal === null ? flows.length : this.writesBeforeRefusal;
    for (const flow of flows.slice(0, written)) this.held.set(flowKey(flow.local), flow);
    return this.refusal;
  }
  remove(locals: readonly Endpoint[]): readonly FlowCounters[] {
    if (locals.length > 0) asked.push(`remove ${locals.map(({ port }) => port).join()}`);
    for (const local of locals) this.held.delete(flowKey(local));
    return locals.map(() => figuresOf(this.counted));
  }
  read(locals: readonly Endpoint[]): readonly FlowCounters[] {
    return locals.map(() => figuresOf(this.counted));
  }
  flows(): readonly Flow[] {
    return [...this.held.values()];
  }
  totals(): Readonly<Record<string, number>> {
    return {};
  }
  supervise(): string | null {
    return this.why;
  }
  removeAll(): string | null {
    asked.push('remove all');
    return null;
  }
}

class FakeRelay implements MediaRelay {
  outcome: ReconcileResult = { ok: true };
  listener: (events: readonly RelayEvent[]) => void = () => undefined;
  reconcile(plan: MediaPlan): ReconcileResult {
    asked.push(plan.streams.length === 0 ? 'relay closes' : 'relay');
    return this.outcome;
  }
  keepPorts(): void {
    asked.push('relay keeps');
  }
  requestKeyFrames(): boolean {
    return true;
  }
  address = '';
  byAddress(): readonly [AddressCounters] {
    const sums = { total: 0, squares: 0 };
    const reports = {
      ...{ reports: 0, jitterMs: sums, roundTripMicros: sums, roundTripLegMicros: sums },
      ...{ lossPercent: sums, rated: 0, mos: sums },
    };
    const packets = { packets: 5, bytes: 50, errors: 1, packetsOut: 6, bytesOut: 60 };
    return [{ address: this.address, ...packets, reports }];
  }
  dial(): boolean {
    asked.push('relay dials');
    return true;
  }
  statistics(): CallStatistics {
    const entry = (streamId: number): StreamStatistics => ({
      ...{ streamId, packets: 100, bytes: 17_200, errors: 0, kernelPackets: 0, kernelBytes: 0 },
      ...{ packetsOut: 100, bytesOut: 17_200, lastPacketMicros: 10, ssrc: 7, endpoint: null },
      ...{ confirmed: true, received: true, drops: {}, sources: [] },
    });
    return { streams: [entry(0), entry(1)], ssrcs: [] };
  }
  counters(): ReturnType<MediaRelay['counters']> {
    return new Map(this.statistics().streams.map((entry) => [entry.streamId, entry]));
  }

  glance(): null {
    return null;
  }

  lastPacketMicros(): number {
    return 10;
  }
  activeStreams(): number {
    return 3;
  }
  totals(): { packets: number; bytes: number; errors: number } {
    return { packets: 200, bytes: 34_400, errors: 3 };
  }
  drops(): Record<string, never> {
    return {};
  }
  traces(): readonly [] {
    return [];
  }
  onRtcp(): void {
    // Nothing comes.
  }
  onEvents(listener: (events: readonly RelayEvent[]) => void): void {
    this.listener = listener;
  }
  close(): void {
    asked.push('relay stops');
  }
}

const nothing = emptyPlan('call');

describe('the relay with the kernel before it', () => {
  let inner: FakeRelay;
  let forwarder: FakeForwarder;
  let relay: KernelRelay;
  let monotonic: number;
  const warnings: string[] = [];

  function begin(adopted = false): void {
    inner = new FakeRelay();
    forwarder = new FakeForwarder(adopted);
    make();
  }
  function make(): void {
    relay = new KernelRelay({
      inner,
      forwarder: forwarder as unknown as KernelForwarder,
      nowMicros: () => 1_000_000 + monotonic,
      monotonicMicros: () => monotonic,
      warn: (text) => warnings.push(text),
      error: (text) => warnings.push(text),
      inherited: new Map(
        forwarder.adopted ? [...forwarder.held].map(([key, { local }]) => [key, local]) : [],
      ),
    });
    asked.length = 0;
  }
  beforeEach(() => {
    monotonic = 1000;
    warnings.length = 0;
    begin();
  });
  const packetsOf = (id: number): number | undefined =>
    relay.statistics('call')?.streams.find(({ streamId }) => streamId === id)?.packets;

  it('opens ports before flows, and takes flows out before ports close', () => {
    relay.reconcile(planOf([stream(0), stream(1)]));
    relay.reconcile(nothing);
    expect(asked).to.deep.equal(['relay', 'set 30000,30002', 'remove 30000,30002', 'relay closes']);
    expect(relay.streamCount()).to.equal(0);
  });

  it('has no flows of a plan that the relay refuses', () => {
    inner.outcome = { ok: false, failures: [] };
    relay.reconcile(planOf([stream(0), stream(1)]));
    expect(forwarder.held.size).to.equal(0);
  });

  it('replaces what has changed and leaves the rest', () => {
    relay.reconcile(planOf([stream(0), stream(1)]));
    asked.length = 0;
    relay.reconcile(planOf([stream(0), stream(1)]));
    expect(asked).to.deep.equal(['relay']);
    relay.reconcile(planOf([stream(0, { rtpTo: [] }), stream(1)]));
    expect(asked.slice(1)).to.deep.equal(['relay', 'remove 30000']);
  });

  it('follows what packets teach, after the call does', () => {
    relay.reconcile(planOf([stream(0, { confirmed: false }), stream(1)]));
    relay.onEvents(() => asked.push('call'));
    asked.length = 0;
    const endpoint = { address: '203.0.113.5', port: 9 };
    inner.listener([
      {
        type: 'endpoint-learned',
        callId: 'call',
        transportId: 0,
        generation: 0,
        endpoint,
        confirmed: true,
      },
    ]);
    expect(asked).to.deep.equal(['call', 'set 30000,30002']);
    expect(forwarder.flows().map(({ destination }) => destination)).to.deep.include(endpoint);
  });

  it('has no flow of a stream that is handed over until that has been quiet for a while', () => {
    const learned = (endpoint: Endpoint): void =>
      inner.listener([
        {
          ...{ type: 'endpoint-learned', callId: 'call', transportId: 0, generation: 0 },
          ...{ endpoint, confirmed: true },
        },
      ]);
    const ports = (): readonly number[] => forwarder.flows().map(({ local }) => local.port);
    relay.reconcile(planOf([stream(0, { mediaHandover: true }), stream(1)]));
    relay.onEvents(() => undefined);
    const [first] = forwarder.flows();
    if (first === undefined) throw new Error('no flow');
    learned(first.expected);
    expect(ports(), 'nobody else').to.deep.equal([30000, 30002]);
    learned({ address: '203.0.113.5', port: 9 });
    // What goes to it is still for the kernel.
    expect(ports()).to.deep.equal([30002]);
    expect(forwarder.flows()[0]?.destination.port).to.equal(9);
    monotonic += 2e6;
    learned(first.expected);
    monotonic += 2e6;
    relay.everySecond();
    expect(ports()).to.deep.equal([30002]);
    monotonic += 1e6;
    relay.everySecond();
    expect(ports()).to.have.members([30000, 30002]);
  });

  it('leaves a stream to userspace while digits are dialled into it', () => {
    const ports = (): readonly number[] => forwarder.flows().map(({ local }) => local.port);
    const digit = { event: 5, volume: 8, payloadType: 101, duration: 2000, pause: 800, frame: 160 };
    relay.reconcile(planOf([stream(0), stream(1)]));
    relay.dial('call', 0, { ...digit, told: true, lastsMs: 350 });
    relay.dial('call', 0, { ...digit, told: true, lastsMs: 350 });
    expect(ports()).to.deep.equal([30002]);
    monotonic += 1.2e6;
    relay.everySecond();
    expect(ports(), 'the second one').to.deep.equal([30002]);
    monotonic += 1.2e6;
    relay.everySecond();
    expect(ports()).to.have.members([30000, 30002]);
  });

  it('adds what flows have forwarded to the figures of their addresses, each once', () => {
    const [local] = planOf([stream(0), stream(1)]).ports;
    const seen = (): unknown => {
      const [{ packets, bytes, packetsOut, bytesOut, errors } = inner.byAddress()[0]] =
        relay.byAddress();
      return { packets, bytes, packetsOut, bytesOut, errors };
    };
    inner.address = local?.localAddress ?? '';
    relay.reconcile(planOf([stream(0), stream(1)]));
    forwarder.counted = 100;
    const all = { packets: 205, bytes: 34_450, packetsOut: 206, bytesOut: 34_460, errors: 1 };
    expect(seen()).to.deep.equal(all);
    relay.reconcile(nothing);
    expect(seen()).to.deep.equal(all);
    monotonic += 60e6;
    expect(seen()).to.deep.equal(all);
  });

  it('keeps the flow of a known source that learns again, until another is heard or time is up', () => {
    const ports = (): readonly number[] => forwarder.flows().map(({ local }) => local.port);
    const learns = (generation: number): Side => stream(0, { confirmed: false, generation });
    relay.reconcile(planOf([stream(0), stream(1)]));
    relay.onEvents(() => undefined);
    relay.reconcile(planOf([learns(1), stream(1)]));
    expect(ports()).to.have.members([30000, 30002]);
    monotonic += 3e6;
    relay.everySecond();
    expect(ports(), 'a packet has to be heard').to.deep.equal([30002]);
    relay.reconcile(planOf([stream(0, { generation: 1 }), stream(1)]));
    relay.reconcile(planOf([learns(2), stream(1)]));
    inner.listener([
      {
        ...{ type: 'endpoint-learned', callId: 'call', transportId: 0, generation: 2 },
        ...{ endpoint: { address: '203.0.113.5', port: 9 }, confirmed: false },
      },
    ]);
    expect(ports(), 'another source').to.deep.equal([30002]);
    relay.reconcile(planOf([stream(0, { generation: 2 }), stream(1)]));
    const elsewhere = { address: '203.0.113.6', port: 9 };
    const moved = stream(0, { confirmed: false, generation: 3, endpoint: elsewhere });
    relay.reconcile(planOf([moved, stream(1)]));
    expect(ports(), 'a changed SDP').to.deep.equal([30002]);
  });

  it('adds the figures of flows, also of those that are gone', () => {
    relay.reconcile(planOf([stream(0), stream(1)]));
    forwarder.counted = 50;
    const [first] = relay.statistics('call')?.streams ?? [];
    expect(first).to.include({ packets: 150, bytes: 25_800, packetsOut: 150, kernelPackets: 50 });
    expect(first?.lastPacketMicros).to.equal(1_000_500);
    relay.everySecond();
    expect(relay.lastPacketMicros('call')).to.equal(1_000_500);
    expect(relay.totals()).to.deep.equal({ packets: 300, bytes: 51_600, errors: 3 });
    relay.reconcile(planOf([stream(0, { rtpTo: [] }), stream(1)]));
    expect(packetsOf(0)).to.equal(150);
    relay.reconcile(nothing);
    monotonic += 60e6;
    expect(relay.totals().packets).to.equal(300);
  });

  it('claims flows of an earlier process without counting twice, and removes the others', async () => {
    const before = forwarder;
    relay.reconcile(planOf([stream(0), stream(1)]));
    forwarder = new FakeForwarder(true);
    for (const [key, flow] of before.held) forwarder.held.set(key, flow);
    const stray = { address: '198.51.100.1', port: 31000 };
    const [known] = before.flows();
    if (known === undefined) throw new Error('no flow');
    forwarder.held.set(flowKey(stray), { ...known, local: stray });
    forwarder.counted = 500;
    make();
    // 400 of the 500 had been counted when the statistics were stored.
    const initialStats = { ...noStats, packets: 480, kernelPackets: 400, lastPacketMicros: 0 };
    relay.reconcile(planOf([stream(0, { initialStats }), stream(1)]));
    expect(packetsOf(0)).to.equal(100 + 500 - 400);
    expect(await relay.releaseUnclaimed()).to.equal(1);
    expect(forwarder.held.size).to.equal(2);
  });

  it('claims the flows of a stream with two ports once, and never counts down', () => {
    const second = facingPort(2, 0, '198.51.100.1', 30_004);
    const initialStats = { ...noStats, packets: 480, kernelPackets: 400, lastPacketMicros: 0 };
    const wide = planOf([stream(0, { initialStats }), stream(1)], { ports: [...facing, second] });
    relay.reconcile(wide);
    const { held } = forwarder;
    forwarder = new FakeForwarder(true);
    for (const [key, flow] of held) forwarder.held.set(key, flow);
    forwarder.counted = 300;
    make();
    relay.reconcile(wide);
    expect(packetsOf(0)).to.equal(100 + 2 * 300 - 400);
    // A flow that is younger than what is stored.
    forwarder.counted = 10;
    make();
    relay.reconcile(wide);
    expect(packetsOf(0)).to.equal(100);
  });

  it('takes an inherited flow out where a call wants its port for something else', async () => {
    relay.reconcile(planOf([stream(0), stream(1)]));
    const { held } = forwarder;
    forwarder = new FakeForwarder(true);
    for (const [key, flow] of held) forwarder.held.set(key, flow);
    make();
    relay.reconcile(planOf([stream(0, { confirmed: false }), stream(1)]));
    expect(asked).to.deep.equal(['relay', 'remove 30000', 'set 30002']);
    expect(await relay.releaseUnclaimed()).to.equal(0);
  });

  it('counts the packets of a call that has ended once', () => {
    relay.reconcile(planOf([stream(0), stream(1)]));
    forwarder.counted = 50;
    expect(relay.totals().packets).to.equal(300);
    forwarder.counted = 60;
    relay.reconcile(nothing);
    expect(relay.totals().packets, 'at once').to.equal(320);
    monotonic += 60e6;
    expect(relay.totals().packets, 'later').to.equal(320);
  });

  it('leaves nothing behind of what the kernel has taken in part', () => {
    forwarder.refusal = 'an error';
    forwarder.writesBeforeRefusal = 1;
    relay.reconcile(planOf([stream(0), stream(1)]));
    expect(forwarder.held.size).to.equal(0);
    expect(relay.streamCount()).to.equal(0);
  });

  it('tries again what the kernel has refused, once a second, and counts it', async () => {
    forwarder.refusal = 'no space';
    for (const callId of ['call', 'another']) {
      relay.reconcile(planOf([stream(0), stream(1)], { callId }));
    }
    expect((await relay.describe()).refused).to.deep.equal({ now: 4, total: 4 });
    asked.length = 0;
    // As long as there is no room one call is enough to see it.
    relay.everySecond();
    expect(asked).to.deep.equal(['set 30000,30002', 'remove 30000,30002']);
    relay.reconcile({ ...nothing, callId: 'another' });
    expect((await relay.describe()).refused).to.deep.equal({ now: 2, total: 4 });
    forwarder.refusal = null;
    relay.everySecond();
    expect((await relay.describe()).refused).to.deep.equal({ now: 0, total: 4 });
    expect(forwarder.held.size).to.equal(2);
    expect(relay.streamCount()).to.equal(2);
  });

  it('relays in userspace what the kernel takes no more, and says so once', () => {
    forwarder.refusal = 'no space';
    relay.reconcile(planOf([stream(0), stream(1)]));
    relay.reconcile(planOf([stream(0), stream(1)]));
    expect(warnings).to.have.lengthOf(1);
    expect(relay.streamCount()).to.equal(0);
    expect(packetsOf(0)).to.equal(100);
  });

  it('relays in userspace from the moment that the kernel loses packets, and says so once', async () => {
    relay.reconcile(planOf([stream(0), stream(1)]));
    relay.everySecond();
    expect(relay.streamCount()).to.equal(2);
    forwarder.counted = 50;
    forwarder.why = 'a firewall';
    relay.everySecond();
    relay.everySecond();
    expect(forwarder.held.size).to.equal(0);
    expect(relay.streamCount()).to.equal(0);
    expect(warnings).to.deep.equal([
      'Kernel forwarding is suspended, media is relayed in user space: a firewall',
    ]);
    expect(packetsOf(0)).to.equal(150);
    relay.reconcile(planOf([stream(0, { rtpTo: [] }), stream(1)]));
    expect(forwarder.held.size).to.equal(0);
    expect((await relay.describe()).mode).to.equal('tc, suspended');
  });

  it('finds, tells of and removes what 20,000 calls have left in slices', async () => {
    relay.reconcile(planOf([stream(0), stream(1)]));
    const [known] = forwarder.flows();
    if (known === undefined) throw new Error('no flow');
    forwarder = new FakeForwarder(true);
    for (let at = 0; at < 80_000; at += 1) {
      const local = { address: `198.51.${at >> 15}.1`, port: 30_000 + (at & 32_767) };
      forwarder.held.set(flowKey(local), { ...known, local });
    }
    /** How often others have had their turn during `work`. */
    const turnsDuring = async (work: Promise<unknown>): Promise<number> => {
      let [turns, goesOn] = [0, true];
      const turn = (): void => {
        turns += 1;
        if (goesOn) setImmediate(turn);
      };
      setImmediate(turn);
      await work;
      goesOn = false;
      return turns;
    };
    expect(
      await turnsDuring(inheritedFlows(forwarder as unknown as KernelForwarder)),
    ).to.be.greaterThan(3);
    make();
    expect(await turnsDuring(relay.describe())).to.be.greaterThan(3);
    expect((await relay.describe()).flows).to.have.lengthOf(80_000);
    expect(await turnsDuring(relay.releaseUnclaimed())).to.be.greaterThan(3);
    expect(forwarder.held.size).to.equal(0);
  });

  it('leaves a flow to the call that claims it while the others are removed', async () => {
    relay.reconcile(planOf([stream(0), stream(1)]));
    const { held } = forwarder;
    forwarder = new FakeForwarder(true);
    const [known] = held.values();
    if (known === undefined) throw new Error('no flow');
    for (let at = 0; at < 40_000; at += 1) {
      const local = { address: `198.51.${at >> 15}.1`, port: 30_000 + (at & 32_767) };
      forwarder.held.set(flowKey(local), { ...known, local });
    }
    for (const [key, flow] of held) forwarder.held.set(key, flow);
    make();
    const released = relay.releaseUnclaimed();
    relay.reconcile(planOf([stream(0), stream(1)]));
    expect(await released).to.equal(40_000);
    expect([...forwarder.held.keys()]).to.have.members([...held.keys()]);
  });

  it('takes the flows of many calls out in slices, so that commands have their turn', async () => {
    for (let at = 0; at < 3000; at += 1) {
      const host = `198.51.${at >> 8}.${at & 255}`;
      const ports = [facingPort(0, 0, host, 30_000), facingPort(1, 1, host, 30_002)];
      relay.reconcile(planOf([stream(0), stream(1)], { callId: `call ${at}`, ports }));
    }
    expect(relay.streamCount()).to.equal(6000);
    forwarder.why = 'a firewall';
    relay.everySecond();
    expect(relay.streamCount()).to.be.above(0);
    await until(() => relay.streamCount() === 0, 'all are in userspace');
    expect(forwarder.held.size).to.equal(0);
  });

  it('leaves nothing in the kernel at a clean stop', () => {
    relay.close();
    expect(asked).to.deep.equal(['remove all', 'relay stops']);
  });
});
