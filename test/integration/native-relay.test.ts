import { expect } from 'chai';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

import { noStats, type Endpoint } from '../../src/media/call-state.js';
import { NativeRelayError } from '../../src/native/addon.js';
import type { NativeRelay } from '../../src/native/relay.js';
import {
  emptyPlan,
  type MediaPlan,
  type PortPlan,
  type RelayEvent,
  type StreamStatistics,
} from '../../src/media/relay.js';
import { freeUdpPort } from '../support/free-ports.js';
import { facingPort, planOfSides, side, type FacingPort, type Side } from '../support/plans.js';
import { openTestRelay, portModes, steeringMissing, type PortMode } from '../support/port-modes.js';
import { until } from '../support/wait.js';

const loopback4 = '127.0.0.1';
const loopback6 = '::1';
const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
  (list ?? []).some((entry) => entry.address === loopback6),
);

interface Received {
  readonly bytes: Buffer;
  readonly fromPort: number;
}

/** A UDP end point that remembers what it has received. */
class Phone {
  readonly received: Received[] = [];
  private constructor(
    readonly socket: Socket,
    readonly endpoint: Endpoint,
  ) {
    socket.on('message', (bytes, from) => this.received.push({ bytes, fromPort: from.port }));
  }

  static async open(address = loopback4): Promise<Phone> {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.bind(0, address);
    await once(socket, 'listening');
    return new Phone(socket, { address, port: socket.address().port });
  }

  send(bytes: Uint8Array, to: PortPlan): void {
    this.socket.send(bytes, to.localPort, to.localAddress);
  }

  close(): void {
    this.socket.close();
  }
}

function rtp(sequence: number, ssrc = 0x1234): Buffer {
  const packet = Buffer.alloc(172, 0x55);
  packet.writeUInt8(0x80, 0);
  packet.writeUInt8(0, 1);
  packet.writeUInt16BE(sequence & 0xffff, 2);
  packet.writeUInt32BE((sequence * 160) >>> 0, 4);
  packet.writeUInt32BE(ssrc, 8);
  return packet;
}

interface TwoParty {
  readonly plan: MediaPlan;
  readonly sides: readonly Side[];
  /** Local ports facing a (stream 0) and b (stream 1). */
  readonly facing: readonly [FacingPort, FacingPort];
}

function twoParty(
  a: Endpoint,
  b: Endpoint,
  changes: Partial<Side> = {},
  callId = 'call',
): TwoParty {
  const facing: [FacingPort, FacingPort] = [
    facingPort(0, 0, a.address, freeUdpPort()),
    facingPort(1, 1, b.address, freeUdpPort()),
  ];
  const sides = [a, b].map((endpoint, id) =>
    side(id, { endpoint, signalledEndpoint: endpoint, ...changes }),
  );
  return { plan: planOfSides(sides, facing, { callId }), facing, sides };
}

function streamOf(relay: NativeRelay, id: number, callId = 'call'): StreamStatistics {
  const stream = relay.statistics(callId)?.streams.find((entry) => entry.streamId === id);
  if (stream === undefined) throw new Error(`no stream ${id}`);
  return stream;
}

function openSockets(): number {
  let count = 0;
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:')) count++;
    } catch {
      // The descriptor of the listing itself is gone by now.
    }
  }
  return count;
}

function residentKib(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]);
}

const behaviour = (mode: PortMode): void => {
  let relay: NativeRelay;
  let close: () => void;
  let detach: () => void;
  let phones: Phone[];

  async function phone(address = loopback4): Promise<Phone> {
    const opened = await Phone.open(address);
    phones.push(opened);
    return opened;
  }

  before(function () {
    if (mode === 'steered' && steeringMissing() !== null) this.skip();
  });

  beforeEach(() => {
    ({ relay, close, detach } = openTestRelay(mode, { workers: 2 }));
    phones = [];
  });

  afterEach(() => {
    close();
    for (const opened of phones) opened.close();
  });

  async function relaysBothWays(addressA: string, addressB: string): Promise<void> {
    const [a, b] = [await phone(addressA), await phone(addressB)];
    const { plan, facing } = twoParty(a.endpoint, b.endpoint);
    expect(relay.reconcile(plan)).to.deep.equal({ ok: true });
    const count = 20;
    for (let sequence = 0; sequence < count; sequence++) {
      a.send(rtp(sequence, 0xaaaa), facing[0]);
      b.send(rtp(sequence, 0xbbbb), facing[1]);
      await sleep(1);
    }
    await until(
      () => [a, b].every((end) => end.received.length === count),
      'both heard everything',
    );
    expect(b.received.map(({ bytes }) => bytes.readUInt16BE(2))).to.deep.equal([
      ...Array(count).keys(),
    ]);
    expect(new Set(a.received.map(({ fromPort }) => fromPort))).to.deep.equal(
      new Set([facing[0].localPort]),
    );
    const stream = streamOf(relay, 0);
    expect(stream).to.include({ packets: count, bytes: count * 172, errors: 0, ssrc: 0xaaaa });
    expect(stream).to.include({ packetsOut: count, bytesOut: count * 172, confirmed: true });
    expect(stream.endpoint).to.deep.equal(a.endpoint);
    expect(stream.drops).to.deep.equal({});
    expect(relay.totals()).to.deep.equal({ packets: 2 * count, bytes: 2 * count * 172, errors: 0 });
  }

  it('relays both ways from the port that faces each side', () =>
    relaysBothWays(loopback4, loopback4));

  it('relays between IPv4 and IPv6', async function () {
    if (!hasIpv6) this.skip();
    await relaysBothWays(loopback4, loopback6);
  });

  it('reports first packets and learned endpoints, and follows the learned source', async () => {
    const events: RelayEvent[] = [];
    relay.onEvents((batch) => events.push(...batch));
    const [a, b, natted] = [await phone(), await phone(), await phone()];
    const { plan, facing } = twoParty(a.endpoint, b.endpoint);
    relay.reconcile(plan);
    natted.send(rtp(1), facing[0]);
    await until(() => events.length >= 2, 'an event arrived');
    expect(events).to.deep.equal([
      { type: 'first-packet', callId: 'call', transportId: 0 },
      {
        type: 'endpoint-learned',
        callId: 'call',
        transportId: 0,
        generation: 1,
        endpoint: natted.endpoint,
        confirmed: true,
      },
    ]);
    b.send(rtp(1), facing[1]);
    await until(() => natted.received.length === 1, 'the learned source hears');
    expect(a.received).to.have.length(0);
  });

  it('keeps the learned endpoint while the generation stays and forgets it with a new one', async () => {
    const [a, b, natted] = [await phone(), await phone(), await phone()];
    const { plan, facing } = twoParty(a.endpoint, b.endpoint);
    relay.reconcile(plan);
    natted.send(rtp(1), facing[0]);
    await until(() => streamOf(relay, 0).confirmed, 'learned');
    relay.reconcile({ ...plan, tos: 184 });
    b.send(rtp(1), facing[1]);
    await until(() => natted.received.length === 1, 'the learned source hears');
    expect(streamOf(relay, 0).packets).to.equal(1);
    relay.reconcile({
      ...plan,
      transports: plan.transports.map((each) => ({
        ...each,
        remote: { ...each.remote, generation: 2 },
      })),
    });
    b.send(rtp(2), facing[1]);
    await until(() => a.received.length === 1, 'the signalled endpoint hears');
    expect(natted.received).to.have.length(1);
  });

  it('drops other sources than the learned one with strict source', async () => {
    const [a, b, other] = [await phone(), await phone(), await phone()];
    const { plan, facing } = twoParty(a.endpoint, b.endpoint, { strictSource: true });
    relay.reconcile(plan);
    a.send(rtp(1), facing[0]);
    await until(() => b.received.length === 1, 'learned');
    other.send(rtp(2), facing[0]);
    await until(() => streamOf(relay, 0).errors === 1, 'dropped');
    expect(streamOf(relay, 0)).to.deep.include({ packets: 1, drops: { 'strict-source': 1 } });
    expect(b.received).to.have.length(1);
  });

  it('counts but does not relay what a blocked stream receives', async () => {
    const [a, b] = [await phone(), await phone()];
    const { plan, facing } = twoParty(a.endpoint, b.endpoint, { blocked: true });
    relay.reconcile(plan);
    a.send(rtp(1), facing[0]);
    await until(() => streamOf(relay, 0).packets === 1, 'counted');
    expect(streamOf(relay, 0)).to.deep.include({ errors: 0, drops: { blocked: 1 } });
    expect([...relay.counters('call').keys()]).to.deep.equal([0]);
    expect(relay.counters('another').size).to.equal(0);
    expect(b.received).to.have.length(0);
  });

  it('sends pierce-NAT packets until a packet arrives', async () => {
    const [a, b] = [await phone(), await phone()];
    const { plan } = twoParty(a.endpoint, b.endpoint, { pierceNat: true });
    relay.reconcile(plan);
    await until(() => a.received.length > 0 && b.received.length > 0, 'both were pierced');
    expect(a.received[0]?.bytes.toString('hex')).to.equal('807fffff0000000000000000');
  });

  it('sends nothing to an endpoint that has to speak first', async () => {
    const [a, b] = [await phone(), await phone()];
    const { plan, facing } = twoParty(a.endpoint, b.endpoint, { natWait: true });
    relay.reconcile(plan);
    a.send(rtp(1), facing[0]);
    await until(() => streamOf(relay, 0).packets === 1, 'counted');
    expect(streamOf(relay, 0).drops).to.deep.equal({ 'nat-wait': 1 });
    b.send(rtp(1), facing[1]);
    await until(() => a.received.length === 1, 'a hears');
    a.send(rtp(2), facing[0]);
    await until(() => b.received.length === 1, 'b hears');
  });

  it('goes on from restored counters and endpoints', async () => {
    const [a, b] = [await phone(), await phone()];
    const { plan, facing } = twoParty(a.endpoint, b.endpoint, {
      confirmed: true,
      initialStats: { ...noStats, packets: 10, bytes: 1000, errors: 2, lastPacketMicros: 77 },
    });
    relay.reconcile(plan);
    expect(streamOf(relay, 1)).to.include({ packets: 10, lastPacketMicros: 77, confirmed: true });
    expect(relay.lastPacketMicros('call')).to.equal(77);
    expect(relay.lastPacketMicros('another')).to.equal(0);
    a.send(rtp(1), facing[0]);
    await until(() => streamOf(relay, 0).packets === 11, 'counted');
    expect(streamOf(relay, 0)).to.include({ bytes: 1172, errors: 2 });
    const { lastPacketMicros } = streamOf(relay, 0);
    const inKernel = { kernelPackets: 0, kernelBytes: 0 };
    expect([...relay.counters('call')]).to.deep.equal([
      [0, { packets: 11, bytes: 1172, errors: 2, lastPacketMicros, ...inKernel }],
      [1, { packets: 10, bytes: 1000, errors: 2, lastPacketMicros: 77, ...inKernel }],
    ]);
    expect(relay.totals().packets).to.equal(1);
  });

  it('counts the media streams that were heard within the last second', async () => {
    const [a, b] = [await phone(), await phone()];
    const { plan, facing } = twoParty(a.endpoint, b.endpoint, {
      initialStats: { ...noStats, packets: 1, lastPacketMicros: 77 },
    });
    relay.reconcile(plan);
    expect(relay.activeStreams(), 'what was heard before the start').to.equal(0);
    const active = async (senders: readonly (readonly [Phone, PortPlan])[]): Promise<void> => {
      await until(() => {
        for (const [sender, to] of senders) sender.send(rtp(1), to);
        return relay.activeStreams() === senders.length;
      }, `${senders.length} active`);
    };
    await active([[a, facing[0]]]);
    await active([
      [a, facing[0]],
      [b, facing[1]],
    ]);
    await active([[b, facing[1]]]);
    relay.reconcile({ ...plan, ports: [], transports: [], streams: [], routes: [] });
    await until(() => relay.activeStreams() === 0, 'none of a call that is gone');
  });

  it('opens nothing when one port is busy, and leaves the call as it was', async () => {
    const [a, b] = [await phone(), await phone()];
    const { plan, facing, sides } = twoParty(a.endpoint, b.endpoint);
    relay.reconcile(plan);
    const before = openSockets();
    const busy = { ...facing[1], id: 3, localPort: b.endpoint.port };
    const spare = { ...facing[1], id: 2, localPort: freeUdpPort() };
    const result = relay.reconcile(planOfSides(sides, [...facing, spare, busy]));
    expect(result).to.deep.equal({
      ok: false,
      failures: [
        {
          portId: 3,
          localAddress: loopback4,
          localPort: b.endpoint.port,
          cause: 'port-busy',
          errno: 'EADDRINUSE',
        },
      ],
    });
    expect(openSockets()).to.equal(before);
    a.send(rtp(1), facing[0]);
    await until(() => b.received.length === 1, 'still relayed');
  });

  it('goes on with sockets when ports can be steered no longer', async () => {
    const [a, b] = [await phone(), await phone()];
    const { plan, facing } = twoParty(a.endpoint, b.endpoint);
    expect(relay.reconcile(plan)).to.deep.equal({ ok: true });
    a.send(rtp(1), facing[0]);
    await until(() => b.received.length === 1, 'relayed');
    relay.bindPorts();
    detach();
    // Both what is there and what is new.
    const [c, d] = [await phone(), await phone()];
    const later = twoParty(c.endpoint, d.endpoint);
    expect(relay.reconcile({ ...later.plan, callId: 'later' })).to.deep.equal({ ok: true });
    for (const [from, to, port] of [
      [a, b, facing[0]],
      [b, a, facing[1]],
      [c, d, later.facing[0]],
    ] as const) {
      const before = to.received.length;
      for (let sequence = 2; to.received.length === before; sequence++) {
        expect(sequence).to.be.lessThan(200);
        from.send(rtp(sequence), port);
        await sleep(10);
      }
    }
  });

  it('names an address that is not local', () => {
    const port = facingPort(1, 0, '192.0.2.1', 40_000);
    const plan = planOfSides([side(0, { egressPort: 1, rtpTo: [] })], [port], { callId: 'x' });
    expect(relay.reconcile(plan)).to.deep.include({ ok: false });
    const elsewhere = openTestRelay(mode, { workers: 1, freeBind: true });
    try {
      expect(elsewhere.relay.reconcile(plan)).to.deep.equal({ ok: true });
    } finally {
      elsewhere.close();
    }
  });

  it('refuses a plan whose ids refer to nothing', () => {
    const plan = planOfSides([side(0)], [], { callId: 'x' });
    expect(() => relay.reconcile(plan)).to.throw(NativeRelayError, 'refers to nothing');
    expect(() => relay.reconcile({ ...plan, tos: 300 })).to.throw(NativeRelayError, 'range');
    expect(relay.statistics('x')).to.equal(null);
  });

  it('leaks neither descriptors nor memory in 500 calls that reuse one port pair', async () => {
    const [a, b] = [await phone(), await phone()];
    const { plan } = twoParty(a.endpoint, b.endpoint);
    const cycle = (count: number): void => {
      for (let index = 0; index < count; index++) {
        expect(relay.reconcile(plan)).to.deep.equal({ ok: true });
        expect(relay.reconcile(emptyPlan('call'))).to.deep.equal({ ok: true });
      }
    };
    const before = openSockets();
    cycle(100);
    const memory = residentKib();
    cycle(500);
    await until(() => openSockets() === before, 'every socket is closed');
    expect(residentKib() - memory).to.be.lessThan(16 * 1024);
    expect(relay.statistics('call')).to.equal(null);
  });

  it('keeps counting ended calls in the totals', async () => {
    const [a, b] = [await phone(), await phone()];
    const { plan, facing } = twoParty(a.endpoint, b.endpoint);
    relay.reconcile(plan);
    a.send(rtp(1), facing[0]);
    await until(() => b.received.length === 1, 'relayed');
    relay.reconcile(emptyPlan('call'));
    expect(relay.totals()).to.deep.equal({ packets: 1, bytes: 172, errors: 0 });
    await sleep(20);
    expect(relay.totals()).to.deep.equal({ packets: 1, bytes: 172, errors: 0 });
  });

  it('refuses to work after close', () => {
    relay.close();
    expect(() => relay.totals()).to.throw(NativeRelayError, 'closed');
  });
};

for (const mode of portModes) describe(`native relay, ports ${mode}`, () => behaviour(mode));
