/** Who speaks with whom: branches, tags, forking (results as observed with rtpengine 10.5). */
import { expect } from 'chai';
import { body, ModelCall, portOf } from './support.js';

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

  it('is a new one when the latest partner has answered already', () => {
    const call = new ModelCall();
    call.offer(body(6000), { viaBranch: 'b1' });
    call.offer(body(6000), { viaBranch: 'b2' });
    call.answer(called(7000));
    call.answer(called(7200), { toTag: 'y' });
    expect(call.state?.participants.map(({ tag }) => tag)).to.deep.equal(['a', null, 'x', 'y']);
  });

  it('of a second answerer takes the offerer over; the first still reaches it', () => {
    const call = new ModelCall();
    call.offer(body(6000));
    const first = call.answer(called(7000));
    const second = call.answer(called(7300), { toTag: 'y' });
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
