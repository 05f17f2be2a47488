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

  it('reserves the ports of a restored call once', () => {
    const small = pool(30_000, 30_003);
    expect(small.reserve('127.0.0.1', 30_000)).to.equal(true);
    expect(small.reserve('127.0.0.1', 30_000)).to.equal(false);
    expect(small.allocate('127.0.0.1', 2)).to.equal(30_002);
    small.release('127.0.0.1', 30_000);
    expect(small.reserve('127.0.0.1', 30_000)).to.equal(true);
  });
});
