import { expect } from 'chai';
import { InterfaceTable } from '../../../src/media/interfaces.js';
import type { AddressFamily } from '../../../src/media/call-state.js';

const addressesOf = (text: string): InterfaceTable =>
  new InterfaceTable(
    [
      {
        name: 'pub',
        addresses: text.split(' ').map((address) => ({
          family: address.includes(':') ? ('IP6' as const) : ('IP4' as const),
          address,
          advertised: address,
        })),
      },
    ],
    new Map([['alias', 'pub']]),
  );

const [a, b, c] = ['192.0.2.1', '192.0.2.2', '2001:db8::1'];

describe('the addresses of an interface', () => {
  // As rtpengine 10.5 and 12.5 number the sockets of a call with ICE.
  const orders: readonly (readonly [string, AddressFamily, readonly string[]])[] = [
    [`${a} ${c} ${b}`, 'IP4', [a, b, c]],
    [`${a} ${c} ${b}`, 'IP6', [c, a, b]],
    [`${c} ${b} ${a}`, 'IP4', [b, a, c]],
    [`${c} ${b} ${a}`, 'IP6', [c, b, a]],
    [`${a} ${b} ${c}`, 'IP6', [c, a, b]],
    [`${a} ${b}`, 'IP6', [a, b]],
    [c, 'IP4', [c]],
  ];
  for (const [configured, family, order] of orders) {
    it(`${configured} are numbered ${family} first`, () => {
      const table = addressesOf(configured);
      const at = (index: number): string | null =>
        table.addressAt('pub', family, index)?.address ?? null;
      expect([...order.keys()].map(at)).to.deep.equal(order);
      expect(at(order.length)).to.equal(null);
      expect(table.addressAt('alias', family, 0)?.address).to.equal(order[0]);
      const chosen = table.addressFor('pub', family);
      expect(chosen?.address).to.equal(order[0]);
      // What a socket on it is stored with leads back to it.
      if (chosen === null) throw new Error('none');
      expect(table.addressAt('pub', chosen.family, chosen.index)?.address).to.equal(order[0]);
    });
  }

  it('are found by their former numbers, and by others as they are', () => {
    const table = addressesOf(`${a} ${c} ${b}`);
    expect([0, 1, 2].map((at) => table.indexOfPosition('pub', 'IP4', at))).to.deep.equal([0, 1, 1]);
    expect([0, 1, 2].map((at) => table.indexOfPosition('pub', 'IP6', at))).to.deep.equal([0, 0, 2]);
    expect(table.indexOfPosition('pub', 'IP6', 7)).to.equal(7);
    expect(table.indexOfPosition('none', 'IP6', 1)).to.equal(1);
  });
});
