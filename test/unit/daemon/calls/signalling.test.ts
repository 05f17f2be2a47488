/** Offers and answers against a relay that refuses, and commands that restrict. */
import { expect } from 'chai';
import type { PortFailure, PortFailureCause } from '../../../../src/media/relay.js';
import type { Restriction } from '../../../../src/media/restriction.js';
import { body, plainRequest } from '../../../support/unit/media.js';
import { Node, storedCall } from '../../../support/unit/calls.js';

const failure = (cause: PortFailureCause, errno: string, localPort: number): PortFailure => ({
  ...{ portId: 1, localAddress: '192.0.2.1', localPort, cause, errno },
});
const busy = (port: number): PortFailure => failure('port-busy', 'EADDRINUSE', port);
const usedOf = (node: Node): number => node.pool.usage('192.0.2.1').used;

describe('an offer', () => {
  it('takes other ports when another program holds its own', () => {
    const node = new Node();
    node.relay.refusals.push([busy(30_000)], [busy(30_002)]);
    node.offer();
    const ports = node.relay.plans.get('call')?.ports.map(({ localPort }) => localPort);
    expect(ports).to.eql([30_004, 30_005, 30_006, 30_007]);
    expect(usedOf(node)).to.equal(4);
    expect(node.store.log).to.eql(['save call']);
  });

  it('finds the free ones where others hold a good part of the range', () => {
    const node = new Node();
    for (let turn = 0; turn < 60; turn++) node.relay.refusals.push([busy(30_000 + 2 * turn)]);
    node.offer();
    expect(node.relay.plans.get('call')?.ports).to.have.length(4);
    expect(usedOf(node)).to.equal(4);
  });

  it('gives up after some turns, and leaves nothing behind', () => {
    const node = new Node();
    for (let turn = 0; turn < 200; turn++) node.relay.refusals.push([busy(30_000 + 2 * turn)]);
    expect(() => node.offer()).to.throw('Ran out of ports');
    expect(node.relay.reconciled).to.equal(129);
    expect(usedOf(node)).to.equal(0);
    expect(node.ids).to.eql([]);
    expect(node.store.log).to.eql([]);
  });

  it('gives up at once where other ports are of no use', () => {
    const node = new Node();
    node.relay.refusals.push([failure('fd-limit', 'EMFILE', 30_000)]);
    expect(() => node.offer()).to.throw('Ran out of ports');
    expect(node.relay.reconciled).to.equal(1);
    expect(usedOf(node)).to.equal(0);
    expect(node.lines).to.include('call: Failed to open 192.0.2.1:30000: EMFILE');
  });

  it('whose reply is too long changes nothing', () => {
    const node = new Node();
    const request = { ...plainRequest, callId: 'call', fromTag: 'ann', sdp: body(4000) };
    const client = { client: '127.0.0.1:5060', address: '127.0.0.1', accepts: () => false };
    expect(() => node.calls.signalling.signal('offer', request, client)).to.throw();
    expect(node.relay.reconciled).to.equal(0);
    expect(usedOf(node)).to.equal(0);
    expect(node.ids).to.eql([]);
  });

  it('is not written when it says so', () => {
    const node = new Node();
    node.offer({ flags: new Set(['no-redis-update']) });
    expect(node.ids).to.eql(['call']);
    expect(node.store.log).to.eql([]);
  });

  it('for a foreign call takes it over, where that is wanted', () => {
    for (const [options, ownership] of [
      [['--active-switchover'], 'own'],
      [[], 'foreign'],
    ] as const) {
      const node = new Node({ options });
      node.calls.ownership.follow(storedCall(), 2);
      node.offer({ toTag: 'bob' });
      expect(node.ownership()).to.equal(ownership);
      expect(node.store.log).to.eql(ownership === 'own' ? ['save call'] : []);
    }
  });
});

describe('a block or silence command', () => {
  const command: Restriction = {
    ...{ command: 'block media', setLabel: null, all: false },
    ...{ fromTag: 'ann', label: null, address: null, toTag: null, toLabel: null, flows: null },
  };

  it('reaches relay, table and store', async () => {
    const node = new Node();
    node.talk();
    const { reconciled } = node.relay;
    await node.calls.signalling.restrict('call', command);
    expect(node.relay.reconciled).to.equal(reconciled + 1);
    const blocked = node.relay.plans
      .get('call')
      ?.streams.filter(({ payloads }) => payloads?.otherwise === 'drop');
    expect(blocked).to.have.length(1);
    expect(node.calls.table.call('call')?.participants[0]?.blockMedia).to.equal(true);
    expect(node.store.log.at(-1)).to.equal('save call');
  });

  it('for an unknown call is refused', () => {
    const node = new Node();
    expect(() => node.calls.signalling.restrict('call', command)).to.throw('Unknown call-ID');
  });
});
