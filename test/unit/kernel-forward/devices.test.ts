import { expect } from 'chai';
import { devicesFor, planDevices } from '../../../src/kernel-forward/devices.js';
import type { NetworkDevice } from '../../../src/native/network.js';

const device = (
  index: number,
  name: string,
  addresses: readonly string[],
  more: Partial<NetworkDevice> = {},
): NetworkDevice => ({
  ...{ index, name, addresses, kind: '', parent: 0, vlanId: -1, loopback: false },
  mac: '02:00:00:00:00:01',
  ...more,
});

const vlan = (
  index: number,
  name: string,
  parent: number,
  vlanId: number,
  address: string,
): NetworkDevice => device(index, name, [address], { kind: 'vlan', parent, vlanId });

const machine: readonly NetworkDevice[] = [
  device(1, 'lo', ['127.0.0.1', '203.0.113.9'], { loopback: true, mac: '' }),
  device(2, 'eth0', ['192.0.2.1', '2001:db8::1']),
  device(3, 'eth1', ['198.51.100.1']),
  device(4, 'eth2', []),
  device(5, 'dummy0', ['203.0.113.10'], { kind: 'dummy' }),
];

const namesFor = (...addresses: readonly string[]): readonly string[] =>
  devicesFor(addresses, machine).map(({ name }) => name);

describe('the devices of kernel forwarding', () => {
  it('are those that hold the addresses', () => {
    expect(namesFor('198.51.100.1')).to.deep.equal(['eth1']);
    expect(namesFor('2001:db8::1', '198.51.100.1')).to.deep.equal(['eth0', 'eth1']);
  });
  it('are all with addresses for one that may arrive anywhere', () => {
    expect(namesFor('203.0.113.9'), 'on lo').to.deep.equal(['eth0', 'eth1']);
    expect(namesFor('203.0.113.10'), 'on a dummy').to.deep.equal(['eth0', 'eth1']);
    expect(namesFor('203.0.113.77'), 'not here').to.deep.equal(['eth0', 'eth1']);
  });
  it('are none for loopback addresses', () => {
    expect(namesFor('127.0.0.1', '::1')).to.deep.equal([]);
  });

  describe('with VLANs', () => {
    const tagged = vlan(6, 'eth0.5', 2, 5, '192.0.2.65');
    const other = vlan(7, 'eth0.7', 2, 7, '192.0.2.129');
    const elsewhere = vlan(8, 'eth1.5', 3, 5, '192.0.2.193');
    const all = [...machine, tagged, other, elsewhere];
    const [, eth0] = machine;

    it('are the VLAN devices themselves for TC', () => {
      const plan = planDevices('tc', [tagged, eth0 as NetworkDevice], all);
      expect(plan.attach).to.deep.equal(['eth0', 'eth0.5']);
      expect(plan.vlans).to.deep.equal([]);
    });
    it('are their parents for XDP in the driver, which is told all tags there', () => {
      const plan = planDevices('xdp', [tagged], all);
      expect(plan.attach).to.deep.equal(['eth0']);
      expect(plan.vlans).to.deep.equal([
        { name: 'eth0.5', parent: 'eth0', id: 5 },
        { name: 'eth0.7', parent: 'eth0', id: 7 },
      ]);
    });
    it('are not their parents for generic XDP, which sees no tags', () => {
      const plan = planDevices('xdp-generic', [tagged, eth0 as NetworkDevice], all);
      expect(plan.attach).to.deep.equal(['eth0.5']);
      expect([...plan.left.keys()]).to.deep.equal(['eth0']);
      expect(planDevices('xdp-generic', [eth0 as NetworkDevice], all).attach).to.deep.equal([
        'eth0',
      ]);
    });
  });
});
