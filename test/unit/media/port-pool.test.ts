import { expect } from 'chai';
import { PortAllocationError } from '../../../src/media/errors.js';
import { PortPool, PortReservation } from '../../../src/media/port-pool.js';

describe('the port pool', () => {
  let now = 0;
  const pool = (min: number, max: number, random = (): number => 0): PortPool =>
    new PortPool({ min, max }, random, () => now);

  it('gives pairs that begin with an even port, also in an odd range', () => {
    const odd = pool(30_001, 30_009, () => 0.99);
    for (let i = 0; i < 4; i++) expect(odd.allocate('127.0.0.1', 2) % 2).to.equal(0);
    expect(() => odd.allocate('127.0.0.1', 2)).to.throw(PortAllocationError);
    expect(odd.allocate('127.0.0.1', 1)).to.equal(30_001);
  });

  it('finds a run for several pairs, or says that there is none', () => {
    const small = pool(30_000, 30_005);
    expect(small.allocate('127.0.0.1', 4)).to.equal(30_000);
    expect(() => small.allocate('127.0.0.1', 4)).to.throw(PortAllocationError);
    expect(small.allocate('127.0.0.1', 2)).to.equal(30_004);
  });

  it('counts each address for itself', () => {
    const small = pool(30_000, 30_001);
    expect(small.allocate('127.0.0.1', 2)).to.equal(30_000);
    expect(small.allocate('::1', 2)).to.equal(30_000);
    expect(small.usage('127.0.0.1')).to.deep.equal({ used: 2, free: 0, total: 2, last: 30_001 });
  });

  it('gives back everything that a failed command took', () => {
    const small = pool(30_000, 30_003);
    const reservation = new PortReservation(small);
    reservation.allocate('127.0.0.1', 2);
    reservation.allocate('127.0.0.1', 2);
    expect(() => reservation.allocate('127.0.0.1', 2)).to.throw(PortAllocationError);
    reservation.rollback();
    expect(small.usage('127.0.0.1').used).to.equal(0);
  });

  it('passes over a port that another program holds, for a while', () => {
    const small = pool(30_000, 30_003);
    small.markBusy('127.0.0.1', 30_001);
    expect(small.allocate('127.0.0.1', 2)).to.equal(30_002);
    expect(() => small.allocate('127.0.0.1', 2)).to.throw(PortAllocationError);
    now += 6_000;
    expect(small.allocate('127.0.0.1', 2)).to.equal(30_000);
  });

  it('gives what a call has just had back last', () => {
    const small = pool(30_000, 30_005);
    const [first, second] = [0, 1].map(() => small.allocate('127.0.0.1', 2));
    small.release('127.0.0.1', first ?? 0);
    small.release('127.0.0.1', (first ?? 0) + 1);
    expect([first, second]).to.deep.equal([30_000, 30_002]);
    expect(small.allocate('127.0.0.1', 2)).to.equal(30_004);
    // Rather that than none.
    expect(small.allocate('127.0.0.1', 2)).to.equal(30_000);
    small.release('127.0.0.1', 30_000);
    small.release('127.0.0.1', 30_001);
    small.release('127.0.0.1', 30_004);
    small.release('127.0.0.1', 30_005);
    now += 1_000;
    expect(small.allocate('127.0.0.1', 2)).to.equal(30_000);
  });

  it('reserves the ports of a restored call once', () => {
    const small = pool(30_000, 30_003);
    expect(small.reserve('127.0.0.1', 30_000)).to.equal(true);
    expect(small.reserve('127.0.0.1', 30_000)).to.equal(false);
    expect(small.allocate('127.0.0.1', 2)).to.equal(30_002);
    small.release('127.0.0.1', 30_000);
    expect(small.reserve('127.0.0.1', 30_000)).to.equal(true);
  });

  it('keeps to the range of an address and to what is excluded there', () => {
    const limits = { min: 40_000, max: 40_007, excluded: [40_002, 40_005] };
    const limited = new PortPool(
      { min: 30_000, max: 30_001 },
      () => 0,
      () => now,
      (address) => (address === '192.0.2.1' ? limits : null),
    );
    expect(limited.rangeOf('192.0.2.1')).to.deep.equal({ min: 40_000, max: 40_007 });
    expect(limited.allocate('192.0.2.1', 2)).to.equal(40_000);
    expect(limited.allocate('192.0.2.1', 2)).to.equal(40_006);
    expect(() => limited.allocate('192.0.2.1', 2)).to.throw(PortAllocationError);
    expect(limited.usage('192.0.2.1')).to.include({ used: 4, free: 2, total: 6 });
    // A restored call may hold one: it is used, and afterwards still not handed out.
    expect(limited.reserve('192.0.2.1', 40_002)).to.equal(true);
    limited.release('192.0.2.1', 40_002);
    expect(() => limited.allocate('192.0.2.1', 2)).to.throw(PortAllocationError);
    expect(limited.allocate('192.0.2.2', 2)).to.equal(30_000);
  });
});
