/** The one way in which a call changes. */
import { expect } from 'chai';
import { draftOf, type CallState } from '../../../../src/media/call-state.js';
import { CommitError } from '../../../../src/daemon/calls/call-table.js';
import type { PortFailure } from '../../../../src/media/relay.js';
import { FakeRelay, Node, start, storedCall } from '../../../support/unit/calls.js';

const busy: PortFailure = {
  ...{ portId: 1, localAddress: '192.0.2.1', localPort: 30_000 },
  ...{ cause: 'port-busy', errno: 'EADDRINUSE' },
};

const usedOf = (node: Node): number => node.pool.usage('192.0.2.1').used;

/** The call without its last port. */
function withLess(state: CallState): CallState {
  const less = draftOf(state);
  const last = less.sockets.at(-1);
  if (last === undefined) throw new Error('no socket');
  last.open = false;
  for (const stream of less.streams) {
    stream.sockets = stream.sockets.filter((id) => id !== last.id);
    if (stream.selectedSocket === last.id) stream.selectedSocket = null;
  }
  return less;
}

describe('a commit', () => {
  it('brings plan, ports, table and store to the next state', async () => {
    const node = new Node();
    const state = storedCall();
    const saved = node.calls.table.commit(state, { media: 'compared' });
    expect(node.relay.plans.get('call')?.ports).to.have.length(4);
    expect(usedOf(node)).to.equal(4);
    expect(node.calls.table.call('call')).to.equal(state);
    expect(node.calls.table.ownCount).to.equal(1);
    expect(node.counters.maxManagedSessions).to.equal(1);
    expect(await saved).to.equal('committed');
    expect(node.store.log).to.eql(['save call']);
  });

  it('gives back the ports that the next state has no more, and keeps the others', () => {
    const node = new Node();
    const state = storedCall();
    void node.calls.table.commit(state, { media: 'compared' });
    void node.calls.table.commit(withLess(state), { media: 'compared' });
    expect(usedOf(node)).to.equal(3);
    expect(node.relay.plans.get('call')?.ports).to.have.length(3);
    void node.calls.table.commit(state, { media: 'compared' });
    expect(usedOf(node)).to.equal(4);
  });

  for (const [name, refuse] of [
    ['a port cannot be opened', (node: Node) => node.relay.refusals.push([busy])],
    ['a port belongs to another call', (node: Node) => node.pool.reserve('192.0.2.1', portOf(3))],
    ['the relay throws', (node: Node) => (node.relay.reconcile = thrown)],
  ] as const) {
    it(`changes nothing when ${name}`, () => {
      const node = new Node();
      const before = withLess(storedCall());
      void node.calls.table.commit(before, { media: 'compared' });
      refuse(node);
      const used = usedOf(node);
      expect(() => node.calls.table.commit(storedCall(), { media: 'compared' })).to.throw();
      expect(node.calls.table.call('call')).to.equal(before);
      expect(node.store.log).to.eql(['save call']);
      expect(usedOf(node)).to.equal(used);
      expect(node.calls.table.ownCount).to.equal(1);
    });
  }

  const thrown = (): never => {
    throw new Error('closed');
  };
  const portOf = (at: number): number => storedCall().sockets[at]?.port ?? 0;

  it('says which ports the relay could not open', () => {
    const node = new Node();
    node.relay.refusals.push([busy]);
    try {
      void node.calls.table.commit(storedCall(), { media: 'reserved' });
      expect.fail('committed');
    } catch (error) {
      expect(error).to.be.instanceOf(CommitError);
      expect((error as CommitError).failures).to.eql([busy]);
      expect((error as CommitError).message).to.equal('port 30000 cannot be opened: EADDRINUSE');
    }
  });

  it('tells the relay nothing that it knows, and writes no foreign call', async () => {
    const node = new Node();
    void node.calls.table.commit(storedCall(), { media: 'compared', save: false });
    const { reconciled } = node.relay;
    const foreign = draftOf(storedCall());
    foreign.ownership = 'foreign';
    expect(await node.calls.table.commit(foreign, { media: 'known' })).to.equal('committed');
    expect(node.relay.reconciled).to.equal(reconciled);
    expect(node.calls.table.ownCount).to.equal(0);
    expect(node.store.log).to.eql([]);
  });
});

describe('the call table', () => {
  it('lets go of a call: relay, ports, times, and the store when it is an own one', () => {
    const node = new Node();
    void node.calls.table.commit(storedCall(), { media: 'compared' });
    node.calls.table.touch(storedCall());
    node.now += 5e6;
    const state = node.calls.table.call('call');
    if (state === null) throw new Error('no call');
    void node.calls.table.remove(state);
    expect(node.relay.plans.size).to.equal(0);
    expect(usedOf(node)).to.equal(0);
    expect(node.calls.table.ownCount).to.equal(0);
    expect(node.store.log).to.eql(['save call', 'remove call']);
    expect(node.calls.table.timesOf('call').born).to.equal(node.now);
  });

  it('takes no birth in the future from another clock, and no alarm back', () => {
    const node = new Node();
    const state = draftOf(storedCall());
    state.createdMicros = start + 60e6;
    node.calls.table.touch(state, start + 10e6);
    node.now += 1e6;
    node.calls.table.touch(state);
    const expected = { born: start, alive: start + 1e6, mediaFrom: start + 10e6, stored: 0 };
    expect(node.calls.table.timesOf('call')).to.include(expected);
  });

  it('answers questions without a trace', () => {
    const node = new Node();
    expect(node.calls.table.statisticsOf('none')).to.eql({ streams: [], ssrcs: [] });
    expect(node.calls.table.timesOf('none').born).to.equal(node.now);
    expect(node.calls.table.call('none')).to.equal(null);
    expect(node.relay).to.be.instanceOf(FakeRelay);
    expect(node.relay.reconciled).to.equal(0);
    expect([...node.calls.table.calls]).to.eql([]);
  });
});
