/** What media teaches becomes part of the call: once, and with as little as possible copied. */
import { expect } from 'chai';
import type { CallState } from '../../../../src/media/call-state.js';
import type { RelayEvent } from '../../../../src/media/relay.js';
import { Node } from '../../../support/unit/calls.js';

const endpoint = { address: '198.51.100.7', port: 4444 };

function stateOf(node: Node): CallState {
  const state = node.calls.table.call('call');
  if (state === null) throw new Error('no call');
  return state;
}

function learned(state: CallState, at: number, behind = 0): RelayEvent {
  const stream = state.streams[at];
  if (stream === undefined) throw new Error('no stream');
  const generation = stream.learningGeneration - behind;
  const { callId } = state;
  return {
    ...{ type: 'endpoint-learned', callId, transportId: stream.id },
    ...{ generation, endpoint, confirmed: true },
  };
}

const first = (state: CallState, at: number): RelayEvent => ({
  type: 'first-packet',
  callId: state.callId,
  transportId: state.streams[at]?.id ?? -1,
});

describe('a learned endpoint', () => {
  it('changes one stream, and everything else is shared with the state before', () => {
    const node = new Node();
    node.talk();
    const before = stateOf(node);
    node.relay.raise(first(before, 0), learned(before, 0));
    const after = stateOf(node);
    expect(after.streams[0]?.endpoint).to.eql(endpoint);
    expect(after.streams[0]?.flags.has('confirmed')).to.equal(true);
    expect(after.streams[0]?.flags.has('received')).to.equal(true);
    expect(before.streams[0]?.flags.has('received')).to.equal(false);
    const same = after.streams.map((stream, at) => stream === before.streams[at]);
    expect(same).to.eql([false, true, true, true]);
    expect(after.medias).to.equal(before.medias);
    expect(after.participants).to.equal(before.participants);
    expect(after.sockets).to.equal(before.sockets);
  });

  it('is saved once however many streams have learned, and not told to the relay', () => {
    const node = new Node();
    node.talk();
    const before = stateOf(node);
    const { reconciled } = node.relay;
    node.store.log.length = 0;
    node.relay.raise(learned(before, 0), learned(before, 1), learned(before, 2));
    expect(node.store.log).to.eql(['save call']);
    expect(node.relay.reconciled).to.equal(reconciled);
    const confirmed = stateOf(node).streams.map(({ flags }) => flags.has('confirmed'));
    expect(confirmed).to.eql([true, true, true, false]);
  });

  it('of an earlier offer is not taken', () => {
    const node = new Node();
    node.talk();
    const before = stateOf(node);
    node.relay.raise(learned(before, 0, 1));
    expect(stateOf(node).streams[0]?.endpoint).to.eql(before.streams[0]?.endpoint);
    expect(stateOf(node).streams[0]?.flags.has('received')).to.equal(true);
  });
});

describe('an event of media', () => {
  it('that is a first packet alone is not saved', () => {
    const node = new Node();
    node.talk();
    node.store.log.length = 0;
    node.relay.raise(first(stateOf(node), 2));
    expect(stateOf(node).streams[2]?.flags.has('received')).to.equal(true);
    expect(node.store.log).to.eql([]);
  });

  it('of a call or stream that is gone changes nothing', () => {
    const node = new Node();
    node.talk();
    const before = stateOf(node);
    node.relay.raise({ type: 'first-packet', callId: 'gone', transportId: 1 });
    node.relay.raise({ type: 'first-packet', callId: 'call', transportId: 999 });
    expect(stateOf(node)).to.equal(before);
    expect(node.ids).to.eql(['call']);
  });

  it('that packets cannot be sent is told in the log', () => {
    const node = new Node();
    node.talk();
    const before = stateOf(node);
    const transportId = before.streams[0]?.id ?? -1;
    const failure = { endpoint, errno: 'ENETUNREACH', packets: 3 };
    node.relay.raise({ type: 'send-failed', callId: 'call', transportId, ...failure });
    expect(node.lines.at(-1)).to.contain('198.51.100.7:4444: ENETUNREACH, 3 packets');
    expect(stateOf(node)).to.equal(before);
  });
});
