import { expect } from 'chai';
import { OutgoingLimit } from '../../../../src/daemon/exports/outgoing-limit.js';

describe('what a peer has not taken yet', () => {
  let said: string[];
  beforeEach(() => (said = []));
  const open = (messages: number, bytes: number): OutgoingLimit =>
    new OutgoingLimit('peer', { messages, bytes }, (text) => said.push(text));

  it('has a bound in bytes, and what is dropped is counted', () => {
    const limit = open(1000, 100);
    const taken = [limit.take(60), limit.take(40)];
    expect(taken).not.to.include(null);
    expect([limit.take(1), limit.take(50)]).to.deep.equal([null, null]);
    expect(said).to.deep.equal(['peer is too slow: messages are dropped']);
    taken[0]?.();
    expect(limit.take(50)).not.to.equal(null);
    expect(said.slice(1)).to.deep.equal(['peer takes messages again, 2 were dropped']);
  });

  it('has a bound in messages', () => {
    const limit = open(2, 100);
    expect([limit.take(0), limit.take(0)]).not.to.include(null);
    expect(limit.take(0)).to.equal(null);
  });

  it('lets what is longer than all room through alone', () => {
    const limit = open(2, 100);
    const taken = limit.take(1000);
    expect(taken).not.to.equal(null);
    expect(limit.take(1)).to.equal(null);
    taken?.();
    expect(limit.take(1)).not.to.equal(null);
  });
});
