/** What nftables make of single packets: phones on two networks, the relay between them. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Flow } from '../../src/kernel-forward/flows.js';
import type { FlowCounters } from '../../src/kernel-forward/forwarder.js';
import type { Endpoint } from '../../src/media/call-state.js';
import { TestProcess } from '../support/child-process.js';
import { obstacleToNft } from '../support/kernel-forwarding.js';
import { connectNamespaces, NetworkNamespace } from '../support/namespaces.js';
import { NftDriver } from '../support/nft-driver-process.js';
import { packetTable } from '../support/packet-table.js';
import { pause, until } from '../support/wait.js';

const probe = fileURLToPath(new URL('../support/udp-probe.py', import.meta.url));

/** One packet that arrived, as udp-probe.py tells it. */
interface Seen {
  readonly from: string;
  readonly to: string;
  readonly tos?: number;
  readonly ttl?: number;
  readonly checksum?: 'good' | 'bad' | 'none';
  readonly payload?: string;
  readonly icmp?: number;
}

const at = (address: string, port: number): Endpoint => ({ address, port });
/** RTP, PCMU. */
const rtp = `8000${'1234'}${'00000001'}${'cafe0001'}${'55'.repeat(160)}`;
const stun = `00010000${'2112a442'}${'00'.repeat(12)}`;
const rtcp = `80c80006${'cafe0001'}${'00'.repeat(20)}`;

const flowBetween = (a: Endpoint, b: Endpoint, local: Endpoint, source: Endpoint): Flow => ({
  ...{ expected: a, local, source, destination: b },
  ...{
    tos: 184,
    opaque: false,
    excludedPayloadTypes: [],
    rtcpOnly: false,
    rtcp: null,
    clockRate: 8000,
  },
});

describe('packets through nftables', function () {
  this.timeout(40_000);
  let [left, relay, right]: NetworkNamespace[] = [];
  let drivers: NftDriver[] = [];
  let watchers: TestProcess[] = [];

  before(function () {
    if (obstacleToNft() !== null) this.skip();
  });

  /** Phones at 10.1.0.2 and fd01::2, 10.2.0.2 and fd02::2; the relay is .1 and ::1. */
  function build(): { left: NetworkNamespace; relay: NetworkNamespace; right: NetworkNamespace } {
    const made = {
      left: new NetworkNamespace('left'),
      relay: new NetworkNamespace('relay'),
      right: new NetworkNamespace('right'),
    };
    // Link-local addresses at once: redirects come from them.
    for (const namespace of Object.values(made))
      namespace.run('sysctl', '-w', 'net.ipv6.conf.default.accept_dad=0');
    for (const [side, number] of [
      ['left', 1],
      ['right', 2],
    ] as const) {
      connectNamespaces(
        { namespace: made[side], device: 'eth0', address: `10.${number}.0.2/24` },
        { namespace: made.relay, device: side, address: `10.${number}.0.1/24` },
      );
      made[side].ip('address', 'add', `fd0${number}::2/64`, 'dev', 'eth0', 'nodad');
      made.relay.ip('address', 'add', `fd0${number}::1/64`, 'dev', side, 'nodad');
      // Whole checksums, as a cable demands.
      made[side].run('ethtool', '-K', 'eth0', 'tx', 'off');
      made.relay.run('ethtool', '-K', side, 'tx', 'off');
    }
    return made;
  }

  beforeEach(() => {
    ({ left, relay, right } = build());
    [drivers, watchers] = [[], []];
  });
  afterEach(async () => {
    for (const driver of drivers) await driver.kill();
    for (const watcher of watchers) await watcher.stop('SIGKILL');
    for (const namespace of [left, relay, right]) namespace?.remove();
  });

  const place = (namespace: NetworkNamespace | undefined): NetworkNamespace => {
    if (namespace === undefined) throw new Error('not built');
    return namespace;
  };
  async function start(...words: readonly string[]): Promise<NftDriver> {
    const driver = await NftDriver.start(place(relay), ...words);
    drivers.push(driver);
    return driver;
  }
  /** With both devices. */
  async function startAttached(name = 'test'): Promise<NftDriver> {
    const driver = await start(name, '100', 'set-forwarding');
    for (const device of ['left', 'right'])
      expect(await driver.call({ attach: device })).to.equal(null);
    return driver;
  }
  async function watch(
    namespace: NetworkNamespace | undefined,
    device: string,
  ): Promise<TestProcess> {
    const watcher = new TestProcess('watch', 'python3', [probe, 'watch', device], {
      namespace: place(namespace).name,
    });
    watchers.push(watcher);
    await watcher.untilLogged('ready');
    return watcher;
  }
  const seenBy = (watcher: TestProcess): readonly Seen[] =>
    watcher
      .log()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Seen)
      // Neighbour discovery and the like.
      .filter(({ icmp }) => icmp === undefined || icmp === 5 || icmp === 137);
  const send = (
    from: Endpoint,
    to: Endpoint,
    payload: string,
    ...settings: readonly string[]
  ): void => {
    const side = /^(10\.1|fd01)/.test(from.address) ? left : right;
    const words = ['python3', probe, 'send', from.address, String(from.port), to.address];
    place(side).run(...(words as [string]), String(to.port), payload, ...settings);
  };
  const arrived = async (watcher: TestProcess, count: number): Promise<readonly Seen[]> => {
    await until(() => seenBy(watcher).length >= count, `${count} packets: ${watcher.log()}`);
    return seenBy(watcher);
  };

  const families = {
    IPv4: { a: at('10.1.0.2', 4000), b: at('10.2.0.2', 5000), la: '10.1.0.1', lb: '10.2.0.1' },
    IPv6: { a: at('fd01::2', 4000), b: at('fd02::2', 5000), la: 'fd01::1', lb: 'fd02::1' },
  };
  for (const [family, { a, b, la, lb }] of Object.entries(families)) {
    it(`rewrites ${family} whole and right, and counts what it has sent`, async () => {
      const driver = await startAttached();
      const local = at(la, 30_000);
      expect(await driver.call({ set: [flowBetween(a, b, local, at(lb, 30_002))] })).to.equal(null);
      const watcher = await watch(right, 'eth0');
      send(a, local, rtp, 'tos=3');
      const [packet] = await arrived(watcher, 1);
      expect(packet).to.deep.equal({
        ...{ from: `${lb} 30002`, to: `${b.address} 5000`, payload: rtp },
        // Expedited forwarding; congestion bits as they came (RFC 3168 §5).
        ...{ tos: 184 + 3, ttl: 63, checksum: 'good' },
      });
      send(a, local, `${rtp}aa`);
      await arrived(watcher, 2);
      const [figures] = await driver.read(local);
      expect(figures).to.include({ packets: 2, bytes: rtp.length + 1 });
      expect(await driver.call({ ask: 'totals' })).to.include({ forwarded: 2 });
      expect(await driver.call({ ask: 'supervise' })).to.equal(null);
    });

    it(`leaves to the daemon what is not ${family} media of the learned source`, async () => {
      const driver = await startAttached();
      const local = at(la, 30_000);
      await driver.call({ set: [flowBetween(a, b, local, at(lb, 30_002))] });
      const watcher = await watch(right, 'eth0');
      send(a, local, stun);
      send(a, local, rtcp);
      send(a, local, rtp.slice(0, 20));
      send(a, local, rtp, 'ttl=1');
      send(at(a.address, 4001), local, rtp);
      send(a, at(la, 30_001), rtp);
      if (family === 'IPv4') send(a, local, rtp, 'options');
      send(a, local, rtp, 'bytes=3000');
      // The last one is forwarded.
      send(a, local, rtp);
      expect(await arrived(watcher, 1)).to.have.lengthOf(1);
      expect((await driver.read(local))[0]).to.include({ packets: 1 });
    });
  }

  it('goes by the table of packets', async () => {
    const driver = await startAttached();
    const { a, b, la, lb } = families.IPv4;
    const local = at(la, 30_000);
    await driver.call({ set: [flowBetween(a, b, local, at(lb, 30_002))] });
    const watcher = await watch(right, 'eth0');
    const rows = packetTable();
    expect(rows.length).to.be.greaterThan(30);
    send(a, local, rows.map(({ hex }) => hex).join(','));
    const wanted = rows.filter(({ kernel }) => kernel === 'forward').map(({ hex }) => hex);
    const seen = await arrived(watcher, wanted.length);
    expect(seen.map(({ payload }) => payload)).to.deep.equal(wanted);
    expect((await driver.read(local))[0]).to.include({ packets: wanted.length });
  });

  it('leaves a checksum of zero what it is', async () => {
    const driver = await startAttached();
    const local = at('10.1.0.1', 30_000);
    const flow = flowBetween(families.IPv4.a, families.IPv4.b, local, at('10.2.0.1', 30_002));
    await driver.call({ set: [flow] });
    const watcher = await watch(right, 'eth0');
    send(families.IPv4.a, local, rtp, 'nochecksum');
    const [packet] = await arrived(watcher, 1);
    expect(packet).to.include({ checksum: 'none', payload: rtp });
  });

  it('forwards anything of T.38 and looks at no byte of it', async () => {
    const driver = await startAttached();
    const local = at('10.1.0.1', 30_000);
    const { a, b } = families.IPv4;
    const flow = { ...flowBetween(a, b, local, at('10.2.0.1', 30_002)), opaque: true, tos: 0 };
    await driver.call({ set: [flow] });
    const watcher = await watch(right, 'eth0');
    for (const payload of ['00', stun, rtcp, rtp]) send(a, local, payload, 'tos=64');
    const packets = await arrived(watcher, 4);
    expect(packets.map(({ payload }) => payload)).to.deep.equal(['00', stun, rtcp, rtp]);
    expect(packets.map(({ tos }) => tos)).to.deep.equal([0, 0, 0, 0]);
  });

  for (const [family, side] of [
    ['IPv4', ['10.1.0.2', '10.1.0.1', 5]],
    ['IPv6', ['fd01::2', 'fd01::1', 137]],
  ] as const) {
    it(`sends phones on one device no ${family} redirect`, async () => {
      const driver = await startAttached();
      const [phone, own, redirect] = side;
      const local = at(own, 30_000);
      const set = [flowBetween(at(phone, 4000), at(phone, 4002), local, at(own, 30_002))];
      await driver.call({ set });
      const watcher = await watch(left, 'eth0');
      send(at(phone, 4000), local, rtp);
      const [packet] = await arrived(watcher, 1);
      expect(packet).to.include({ from: `${own} 30002`, to: `${phone} 4002`, checksum: 'good' });
      await pause(200);
      expect(seenBy(watcher)).to.have.lengthOf(1);
      // The proof that there would be one.
      place(relay).run('nft', 'flush', 'chain', 'inet', 'rtprelay_test', 'redirects');
      send(at(phone, 4000), local, rtp);
      await until(() => seenBy(watcher).some(({ icmp }) => icmp === redirect), 'a redirect');
    });
  }

  it('delivers to a destination on this machine', async () => {
    const driver = await startAttached();
    const local = at('10.1.0.1', 30_000);
    const set = [
      flowBetween(at('10.1.0.2', 4000), at('10.2.0.1', 6000), local, at('10.1.0.1', 30_002)),
    ];
    await driver.call({ set });
    const words = ['-c', receiver, '10.2.0.1', '6000'];
    const socket = new TestProcess('receiver', 'python3', words, { namespace: place(relay).name });
    watchers.push(socket);
    await socket.untilLogged('ready');
    send(at('10.1.0.2', 4000), local, rtp);
    await socket.untilLogged(`10.1.0.1 30002 ${rtp}`);
    expect((await driver.read(local))[0]).to.include({ packets: 1 });
  });

  it('replaces a flow in one step, which keeps its figures, whatever changes', async () => {
    const driver = await startAttached();
    const { a, b } = families.IPv4;
    const local = at('10.1.0.1', 30_000);
    const flow = flowBetween(a, b, local, at('10.2.0.1', 30_002));
    await driver.call({ set: [flow] });
    const watcher = await watch(right, 'eth0');
    send(a, local, rtp);
    await arrived(watcher, 1);
    const others: readonly Flow[] = [
      { ...flow, destination: at('10.2.0.2', 5002) },
      { ...flow, expected: at('10.1.0.2', 4002) },
      { ...flow, source: at('10.2.0.1', 30_004), tos: 0 },
      { ...flow, opaque: true, clockRate: 90_000 },
    ];
    for (const [index, other] of others.entries()) {
      expect(await driver.call({ set: [other] })).to.equal(null);
      send(other.expected, local, rtp);
      const packet = (await arrived(watcher, index + 2))[index + 1];
      expect(packet).to.include({
        from: `${other.source.address} ${other.source.port}`,
        to: `${other.destination.address} ${other.destination.port}`,
        tos: other.tos,
      });
    }
    expect((await driver.read(local))[0]).to.include({ packets: 5 });
    expect(await driver.flows()).to.deep.equal(others.slice(-1));
    const last = (await driver.call({ remove: [local] })) as readonly { packets: number }[];
    expect(last.map(({ packets }) => packets)).to.deep.equal([5]);
    expect(await driver.flows()).to.deep.equal([]);
  });

  it('is adopted with all flows and figures', async () => {
    const first = await startAttached();
    const { a, b } = families.IPv4;
    const flows = [
      flowBetween(a, b, at('10.1.0.1', 30_000), at('10.2.0.1', 30_002)),
      {
        ...flowBetween(b, a, at('10.2.0.1', 30_002), at('10.1.0.1', 30_000)),
        tos: 0,
        opaque: true,
      },
      flowBetween(families.IPv6.a, families.IPv6.b, at('fd01::1', 30_000), at('fd02::1', 30_002)),
    ];
    await first.call({ set: flows });
    const gone = flowBetween(b, a, at('10.2.0.1', 30_004), at('10.1.0.1', 30_000));
    await first.call({ set: [gone] });
    await first.call({ remove: [gone.local] });
    const watcher = await watch(right, 'eth0');
    send(a, at('10.1.0.1', 30_000), rtp);
    await arrived(watcher, 1);
    await first.kill();
    const second = await start('test', '100');
    expect(await second.call({ ask: 'adopted' })).to.equal(true);
    expect(await second.flows()).to.have.deep.members(flows);
    expect((await second.read(at('10.1.0.1', 30_000)))[0]).to.include({ packets: 1 });
    expect(await second.call({ set: [...flows, gone] })).to.equal(null);
    send(a, at('10.1.0.1', 30_000), rtp);
    await arrived(watcher, 2);
    expect(await second.call({ ask: 'removeAll' })).to.equal(null);
    expect(place(relay).run('nft', 'list', 'ruleset')).to.equal('');
  });

  it('is adopted in another size, and made anew after somebody has removed it', async () => {
    const first = await startAttached();
    const { a, b } = families.IPv4;
    const flow = flowBetween(a, b, at('10.1.0.1', 30_000), at('10.2.0.1', 30_002));
    await first.call({ set: [flow] });
    const watcher = await watch(right, 'eth0');
    send(a, flow.local, rtp);
    await arrived(watcher, 1);
    await first.kill();
    const second = await start('test', '3');
    expect(await second.call({ ask: 'adopted' })).to.equal(true);
    send(a, flow.local, rtp);
    await arrived(watcher, 2);
    expect((await second.read(flow.local))[0]).to.include({ packets: 2, bytes: rtp.length });
    for (const [index, remedy] of ['supervise', 'set'].entries()) {
      place(relay).run('nft', 'flush', 'ruleset');
      if (remedy === 'supervise') await second.call({ ask: 'supervise' });
      else expect(await second.call({ set: [{ ...flow, tos: 0 }] })).to.equal(null);
      send(a, flow.local, rtp);
      await arrived(watcher, 3 + index);
      // What nobody has read when the table is removed is lost.
      expect((await second.read(flow.local))[0]).to.include({ packets: 3 + index });
    }
    const last = (await second.call({ remove: [flow.local] })) as readonly FlowCounters[];
    expect(last[0]).to.include({ packets: 4, bytes: 2 * rtp.length });
  });

  it('makes a table of another layout anew', async () => {
    place(relay).run('nft', 'add', 'table', 'inet', 'rtprelay_test');
    const driver = await start('test', '100');
    expect(await driver.call({ ask: 'adopted' })).to.equal(false);
    expect(await driver.call({ ask: 'notes' })).to.match(/another layout/);
  });

  it('refuses flows that its table has no room for', async () => {
    const driver = await start('test', '3');
    const flow = (port: number): Flow =>
      flowBetween(families.IPv4.a, families.IPv4.b, at('10.1.0.1', port), at('10.2.0.1', 30_002));
    expect(await driver.call({ set: [flow(1), flow(2), flow(3)] })).to.equal(null);
    expect(await driver.call({ set: [flow(4)] })).to.equal('its table holds 3 flows');
    const again = [1, 2, 3].map((port) => ({ ...flow(port), expected: at('10.1.0.9', port) }));
    expect(await driver.call({ set: again })).to.equal(null);
    await driver.call({ remove: [at('10.1.0.1', 1)] });
    expect(await driver.call({ set: [flow(4)] })).to.equal(null);
  });

  it('takes ten thousand flows at once, gives their figures, and lets go of all of them', async () => {
    const driver = await start('test', '10000');
    const { a, b } = families.IPv4;
    const flows = Array.from({ length: 10_000 }, (_, index) =>
      flowBetween(a, b, at('10.1.0.1', 20_000 + index), at('10.2.0.1', 30_002)),
    );
    const locals = flows.map(({ local }) => local);
    expect(await driver.call({ set: flows })).to.equal(null);
    expect(await driver.read(...locals)).to.have.length(10_000);
    expect(
      await driver.call({ set: [flowBetween(a, b, at('10.1.0.1', 1), at('10.2.0.1', 2))] }),
    ).to.equal('its table holds 10000 flows');
    expect(
      await driver.call({ set: flows.slice(0, 1).map((flow) => ({ ...flow, tos: 0 })) }),
    ).to.equal(null);
    await driver.call({ remove: locals });
    expect(await driver.call({ set: flows })).to.equal(null);
  });

  it('shares the machine: other instances, other tables, other marks', async () => {
    const driver = await startAttached('one');
    const other = await startAttached('two');
    let refusal = '';
    await start('one').catch((error: unknown) => (refusal = String(error)));
    expect(refusal).to.match(/rtprelay_one: another process has it/);
    const { a, b } = families.IPv4;
    const one = flowBetween(a, b, at('10.1.0.1', 30_000), at('10.2.0.1', 30_002));
    const two = flowBetween(a, b, at('10.1.0.1', 40_000), at('10.2.0.1', 40_002));
    await driver.call({ set: [one] });
    await other.call({ set: [two] });
    const count =
      '{ type filter hook postrouting priority 400; meta mark 0 counter; meta mark != 0 counter drop; }';
    place(relay).run('nft', `table ip mine { chain c ${count}; }`);
    const watcher = await watch(right, 'eth0');
    send(a, one.local, rtp);
    send(a, two.local, rtp);
    const packets = await arrived(watcher, 2);
    expect(packets.map(({ from }) => from)).to.deep.equal(['10.2.0.1 30002', '10.2.0.1 40002']);
    expect((await driver.read(one.local))[0]).to.include({ packets: 1 });
    expect((await other.read(two.local))[0]).to.include({ packets: 1 });
    await driver.call({ ask: 'removeAll' });
    const rules = place(relay).run('nft', 'list', 'ruleset');
    expect(rules)
      .to.match(/rtprelay_two/)
      .and.match(/counter packets 2 bytes/)
      .and.not.match(/_one/);
  });

  it('forwards what arrives on a bridge or VLAN that holds the address', async () => {
    const driver = await start('test', '100', 'set-forwarding');
    const kind = spawnSync('ip', [
      '-n',
      place(relay).name,
      'link',
      'add',
      'v',
      'link',
      'left',
      'type',
      'vlan',
      'id',
      '5',
    ]);
    const vlan = kind.status === 0;
    if (vlan) {
      place(left).ip('link', 'add', 'v', 'link', 'eth0', 'type', 'vlan', 'id', '5');
      place(left).ip('address', 'flush', 'dev', 'eth0');
      place(left).addAddress('v', '10.1.0.2/24');
      place(left).ip('link', 'set', 'v', 'up');
    } else {
      place(relay).ip('link', 'add', 'v', 'type', 'bridge');
      place(relay).ip('link', 'set', 'left', 'master', 'v');
    }
    place(relay).ip('address', 'flush', 'dev', 'left');
    place(relay).addAddress('v', '10.1.0.1/24');
    place(relay).ip('link', 'set', 'v', 'up');
    expect(await driver.call({ attach: 'v' })).to.equal(null);
    const { a, b } = families.IPv4;
    const local = at('10.1.0.1', 30_000);
    await driver.call({ set: [flowBetween(a, b, local, at('10.2.0.1', 30_002))] });
    const watcher = await watch(right, 'eth0');
    send(a, local, rtp);
    expect((await arrived(watcher, 1))[0]).to.include({ checksum: 'good' });
  });
});

/** A socket that prints what it receives. */
const receiver = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
data, (host, port) = s.recvfrom(2000)
print(host, port, data.hex(), flush=True)
`;
