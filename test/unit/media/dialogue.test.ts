/** Who speaks with whom: branches, tags, forking (results as observed with rtpengine 10.5). */
import { expect } from 'chai';
import { body, ModelCall, portOf, type Keys } from '../../support/unit/media.js';

const called = (port: number): string => body(port, [], '192.0.2.77');

describe('the dialogue of an offer', () => {
  it('has an unnamed partner until somebody answers', () => {
    const call = new ModelCall();
    call.offer(body(6000));
    expect(call.state?.participants.map(({ tag }) => tag)).to.deep.equal(['a', null]);
    expect(call.heardBy('a')).to.deep.equal([null]);
    expect(call.participant('a').associated).to.deep.equal([]);
  });

  it('is the same for the same offer again, and the ports too', () => {
    const call = new ModelCall();
    const first = call.offer(body(6000));
    expect(call.offer(body(6000))).to.equal(first);
    expect(call.state?.participants).to.have.lengthOf(2);
  });

  it('is another one for each branch', () => {
    const call = new ModelCall();
    const one = call.offer(body(6000), { viaBranch: 'b1' });
    const two = call.offer(body(6000), { viaBranch: 'b2' });
    expect(portOf(one)).not.to.equal(portOf(two));
    expect(call.offer(body(6000), { viaBranch: 'b1' })).to.equal(one);
    expect(call.state?.participants).to.have.lengthOf(3);
  });

  it('names the partner at once when the offer has a to-tag', () => {
    const call = new ModelCall();
    call.offer(body(6000), { toTag: 'z' });
    expect(call.participant('a').associated).to.deep.equal([call.participant('z').id]);
  });
});

describe('the tag of an offer', () => {
  const keyed = (aliasKey: 'sdp' | 'address', fromTag = 'a'): Keys => ({ aliasKey, fromTag });

  it('is an alias where the body is that of another', () => {
    const call = new ModelCall();
    const offered = call.offer(body(6000), keyed('sdp'));
    expect(call.offer(body(6000), keyed('sdp', 'b'))).to.equal(offered);
    expect(call.participant('a').aliases).to.deep.equal(['b']);
    call.offer(body(6002), keyed('sdp', 'c'));
    expect(call.state?.participants.map(({ tag }) => tag)).to.deep.equal(['a', null, 'c', null]);
  });

  it('is an alias where the first address is that of another', () => {
    const call = new ModelCall();
    call.offer(body(6000), keyed('address'));
    call.offer(body(6000, ['a=x:1']), keyed('address', 'b'));
    expect(call.participant('a').aliases).to.deep.equal(['b']);
  });

  it('is one of its own where not both ask', () => {
    const call = new ModelCall();
    call.offer(body(6000), keyed('sdp'));
    call.offer(body(6000), { fromTag: 'b' });
    call.offer(body(6000), keyed('address', 'c'));
    expect(call.participant('a').aliases).to.deep.equal([]);
    expect(call.participant('c').aliases).to.deep.equal([]);
  });
});

describe('the dialogue of an answer', () => {
  it('names the partner that the offer was made to', () => {
    const call = new ModelCall();
    const offered = call.offer(body(6000));
    call.answer(called(7000));
    expect(call.state?.participants.map(({ tag }) => tag)).to.deep.equal(['a', 'x']);
    expect(call.participant('a').associated).to.deep.equal([1]);
    expect(call.offer(body(6000), { toTag: 'x' })).to.equal(offered);
  });

  it('takes the partner of its own branch', () => {
    const call = new ModelCall();
    call.offer(body(6000), { viaBranch: 'b1' });
    call.offer(body(6000), { viaBranch: 'b2' });
    call.answer(called(7000), { viaBranch: 'b1' });
    expect(call.participant('x').viaBranch).to.equal('b1');
  });

  it('takes the partner of the latest offer when its branch is not known', () => {
    const call = new ModelCall();
    call.offer(body(6000), { viaBranch: 'b1' });
    call.offer(body(6000), { viaBranch: 'b2' });
    call.answer(called(7000), { viaBranch: 'other' });
    expect(call.participant('x').viaBranch).to.equal('b2');
  });

  it('is whoever has not answered yet when the latest partner has', () => {
    const call = new ModelCall();
    call.offer(body(6000), { viaBranch: 'b1' });
    call.offer(body(6000), { viaBranch: 'b2' });
    call.answer(called(7000));
    call.answer(called(7200), { toTag: 'y' });
    expect(call.state?.participants.map(({ tag }) => tag)).to.deep.equal(['a', 'y', 'x']);
  });

  it('is the partner that has answered already, by another tag', () => {
    const call = new ModelCall();
    call.offer(body(6000), { viaBranch: 'b1' });
    call.answer(called(7000), { viaBranch: 'b1' });
    call.answer(called(7200), { toTag: 'y', viaBranch: 'b1' });
    call.answer(called(7400), { toTag: 'z' });
    expect(call.state?.participants.map(({ tag }) => tag)).to.deep.equal(['a', 'x']);
    expect(call.participant('x').aliases).to.deep.equal(['y', 'z']);
    expect(call.stream('x').advertisedEndpoint?.port).to.equal(7400);
    call.offer(called(7400), { fromTag: 'y', toTag: 'a' });
    expect(call.state?.participants).to.have.lengthOf(2);
  });

  const separately: readonly (readonly [string, Keys, Keys])[] = [
    ['it is said to be a new branch', {}, { flags: new Set(['new-branch']) }],
    ['the first one was final', { sipCode: 200 }, {}],
  ];
  for (const [reason, first, second] of separately) {
    it(`is a further one where ${reason}`, () => {
      const call = new ModelCall();
      call.offer(body(6000));
      call.answer(called(7000), first);
      call.answer(called(7200), { toTag: 'y', ...second });
      expect(call.state?.participants.map(({ tag }) => tag)).to.deep.equal(['a', 'x', 'y']);
    });
  }

  const together: readonly (readonly [string, Keys, Keys])[] = [
    ['the first one was provisional by its code', { sipCode: 183 }, {}],
    ['... or by its flag', { sipCode: 200, flags: new Set(['provisional']) }, {}],
    ['the second says so', { sipCode: 200 }, { flags: new Set(['provisional']) }],
    ['the code is that of a request', { sipCode: 200, sipMessageType: 'request' }, {}],
  ];
  for (const [reason, first, second] of together) {
    it(`is the same one where ${reason}`, () => {
      const call = new ModelCall();
      call.offer(body(6000));
      call.answer(called(7000), first);
      call.answer(called(7200), { toTag: 'y', ...second });
      expect(call.participant('x').aliases).to.deep.equal(['y']);
    });
  }

  it('of a second answerer takes the offerer over; the first still reaches it', () => {
    const call = new ModelCall();
    call.offer(body(6000));
    const first = call.answer(called(7000));
    const second = call.answer(called(7300), { toTag: 'y', flags: new Set(['new-branch']) });
    expect(portOf(second)).not.to.equal(portOf(first));
    expect(call.heardBy('a')).to.deep.equal(['y', 'x']);
    expect(call.heardBy('x')).to.deep.equal([]);
    expect(call.heardBy('y')).to.deep.equal(['a']);
    expect(call.answer(called(7000))).to.equal(first);
    expect(call.heardBy('a')).to.deep.equal(['x', 'y']);
  });

  it('needs a call', () => {
    const call = new ModelCall();
    expect(() => call.answer(called(7000))).to.throw('Unknown call-id');
    expect(() => call.answer('garbage')).to.throw('Failed to parse SDP');
  });
});
