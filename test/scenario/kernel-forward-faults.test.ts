/**
 * The network under the kernel's flows changes: devices, addresses, routes, neighbours. Userspace takes
 * what the kernel cannot send, and the streams return to the kernel.
 */
import { expect } from 'chai';
import { KernelRig, RigCall, type RigMode } from '../support/kernel-rig.js';
import { connectNamespaces } from '../support/namespaces.js';
import { hubAddress } from '../support/pair.js';
import type { Marks } from '../support/phones.js';
import { obstacleToKernelForwarding } from '../support/kernel-forwarding.js';
import { pause, until } from '../support/wait.js';

for (const mode of ['tc', 'xdp-generic'] as const satisfies readonly RigMode[]) {
  describe(`faults of the network, kernel forwarding ${mode}`, function () {
    this.timeout(60_000);
    let rig: KernelRig;
    let next = 0;

    before(async function () {
      if (obstacleToKernelForwarding() !== null) this.skip();
      rig = new KernelRig();
      await rig.start();
      // Two of its devices are on one segment: each answers for its own addresses only.
      inNode('sysctl', '-q', 'net.ipv4.conf.all.arp_ignore=1');
      await rig.startRelay({ mode });
    });
    after(async () => {
      await rig?.remove();
    });

    const ofNode = (...words: readonly string[]): void => rig.pair.one.namespace.ip(...words);
    const ofHub = (...words: readonly string[]): void => rig.pair.hub.ip(...words);
    const inNode = (program: string, ...words: readonly string[]): string =>
      rig.pair.one.namespace.run(program, ...words);
    const macOf = (device: string): string =>
      inNode('cat', `/sys/class/net/${device}/address`).trim();
    /** As a gratuitous ARP does. */
    const announce = (device: string): void =>
      ofHub(
        ...['neighbour', 'replace', rig.pair.one.address, 'lladdr', macOf(device)],
        ...['nud', 'stale', 'dev', 'bridge0'],
      );

    /** How many packets each stream had sent before the fault. */
    let begun: Marks = {};

    async function begin(addresses?: readonly [string, string]): Promise<RigCall> {
      const id = `fault${mode}${(next += 1)}.`;
      const call = await new RigCall(rig, id, addresses === undefined ? {} : { addresses }).begin();
      await call.inKernel();
      await rig.phones.some(5);
      begun = await rig.phones.marks();
      return call;
    }

    /** How many packets each flow of the call has forwarded. */
    const forwarded = async (call: RigCall): Promise<readonly number[]> =>
      (await call.flows()).map(({ packets }) => packets);

    /** All streams are heard again, and by way of the kernel. */
    async function recovered(call: RigCall, inKernel = true): Promise<void> {
      const heard = async (): Promise<readonly number[]> => {
        const { forth, back } = call.reportIn(await rig.phones.report());
        return [forth, back].map(({ places }) =>
          Math.max(0, ...Object.values(places).map(({ count }) => count)),
        );
      };
      const before = await heard();
      await until(
        async () => (await heard()).every((count, at) => count > (before[at] ?? 0) + 5),
        'media goes on',
      );
      if (!inKernel) return;
      const flows = await forwarded(call);
      await until(
        async () =>
          flows.length === 2 &&
          (await forwarded(call)).every((count, at) => count > (flows[at] ?? 0) + 2),
        'the kernel forwards again',
      );
    }

    /** From now on. Returns the longest gap of either stream until now, as a part of what it sent since `begin`. */
    async function nothingMoreIsLost(call: RigCall): Promise<number> {
      const marks = await rig.phones.marks();
      await rig.phones.some(15);
      const report = await call.hush();
      let longest = 0;
      let part = 0;
      for (const [label, { lost, duplicates }] of [
        [call.forth, report.forth],
        [call.back, report.back],
      ] as const) {
        expect(lost.filter((number) => number > (marks[label] ?? 0))).to.deep.equal([]);
        expect(duplicates).to.equal(0);
        let run = 0;
        lost.forEach((number, at) => {
          run = lost[at - 1] === number - 1 ? run + 1 : 1;
          longest = Math.max(longest, run);
          part = Math.max(part, run / ((marks[label] ?? 0) - (begun[label] ?? 0)));
        });
      }
      await call.ask('delete');
      console.log(`      longest gap: ${longest} packets`);
      return part;
    }

    it('the neighbours are forgotten', async () => {
      const call = await begin();
      for (let time = 0; time < 3; time++) {
        ofNode('neighbour', 'flush', 'dev', 'eth0');
        await recovered(call);
      }
      expect(await nothingMoreIsLost(call)).to.be.lessThan(0.5);
    });

    it('the cable is out for a moment', async () => {
      const call = await begin();
      rig.pair.one.plug('down');
      await pause(300);
      rig.pair.one.plug('up');
      await recovered(call);
      await nothingMoreIsLost(call);
    });

    it('the device is down for a moment', async () => {
      const call = await begin();
      ofNode('link', 'set', 'eth0', 'down');
      await pause(300);
      ofNode('link', 'set', 'eth0', 'up');
      await recovered(call);
      await nothingMoreIsLost(call);
    });

    it('the route to a phone changes', async () => {
      ofHub('address', 'add', '10.0.9.1/32', 'dev', 'bridge0');
      ofNode('route', 'add', '10.0.9.0/24', 'via', hubAddress);
      const call = await begin(['10.0.0.1', '10.0.9.1']);
      const sentOn = (device: string): number =>
        Number(inNode('cat', `/sys/class/net/${device}/statistics/tx_packets`));
      ofNode('route', 'replace', '10.0.9.0/24', 'via', '10.0.1.1');
      await rig.phones.some();
      const before = sentOn('eth1');
      await rig.phones.some(15);
      expect(sentOn('eth1') - before, 'packets by the new route').to.be.greaterThan(5);
      // XDP is attached to the devices of the media addresses and sends on no other.
      await recovered(call, mode === 'tc');
      expect(await nothingMoreIsLost(call)).to.be.lessThan(0.5);
      ofNode('route', 'del', '10.0.9.0/24');
    });

    it('the device is deleted and made again', async () => {
      const call = await begin();
      ofNode('link', 'del', 'eth0');
      await pause(200);
      connectNamespaces(
        { namespace: rig.pair.hub, device: 'to1', address: '169.254.0.1/32' },
        {
          namespace: rig.pair.one.namespace,
          device: 'eth0',
          address: `${rig.pair.one.address}/24`,
        },
      );
      ofHub('address', 'flush', 'dev', 'to1');
      ofHub('link', 'set', 'to1', 'master', 'bridge0');
      announce('eth0');
      await recovered(call);
      await nothingMoreIsLost(call);
    });

    it('the address moves to another device', async () => {
      connectNamespaces(
        { namespace: rig.pair.hub, device: 'third', address: '169.254.0.3/32' },
        { namespace: rig.pair.one.namespace, device: 'eth2', address: '169.254.0.4/32' },
      );
      ofHub('address', 'flush', 'dev', 'third');
      ofHub('link', 'set', 'third', 'master', 'bridge0');
      const call = await begin();
      ofNode('address', 'del', `${rig.pair.one.address}/24`, 'dev', 'eth0');
      ofNode('address', 'add', `${rig.pair.one.address}/24`, 'dev', 'eth2');
      announce('eth2');
      await recovered(call);
      await nothingMoreIsLost(call);
    });

    it('the device gets another MAC address', async () => {
      const call = await begin();
      ofNode('link', 'set', 'eth2', 'address', '02:00:00:00:47:11');
      announce('eth2');
      await recovered(call);
      await nothingMoreIsLost(call);
    });

    if (mode === 'tc') {
      it('somebody takes the filter away: userspace has it all, and soon the kernel again', async () => {
        const call = await begin();
        for (const device of ['eth0', 'eth2']) {
          inNode('sh', '-c', `tc qdisc del dev ${device} clsact 2>/dev/null || true`);
        }
        await recovered(call);
        expect(await nothingMoreIsLost(call)).to.be.lessThan(0.5);
      });
    }
  });
}
