/** DTMF that an offer or answer has blocked (as 12.5 does). */
import { expect } from 'chai';
import { parsed, type Plain } from '../../support/unit/ng-protocol.js';
import { body, ModelCall } from '../../support/unit/media.js';

type Keys = Readonly<Record<string, Plain>>;

const offered = (call: ModelCall, keys: Keys, port = 6000, address = '192.0.2.10'): string => {
  const sdp = body(port, [], address);
  return call.offer(sdp, parsed({ sdp, 'call-id': 'call', 'from-tag': 'a', 'to-tag': 0, ...keys }));
};
const answered = (call: ModelCall, keys: Keys, port = 7000, address = '192.0.2.77'): string => {
  const sdp = body(port, [], address);
  const tags = { 'call-id': 'call', 'from-tag': 'a', 'to-tag': 'x' };
  return call.answer(sdp, parsed({ sdp, ...tags, ...keys }, 'answer'));
};

describe('block-DTMF', () => {
  it('keeps what its sender dials from the other side, until it is unblocked', () => {
    const call = new ModelCall();
    offered(call, { flags: ['block-DTMF'] });
    answered(call, {});
    expect(call.participant('a').blockDtmf).to.equal('drop');
    expect(call.participant('x').blockDtmf).to.equal('off');
    offered(call, { 'to-tag': 'x' });
    expect(call.participant('a').blockDtmf).to.equal('drop');
    offered(call, { 'to-tag': 'x', flags: ['block-DTMF'], 'DTMF-security': 'off' });
    expect(call.participant('a').blockDtmf).to.equal('off');
    answered(call, { flags: ['block DTMF'] });
    expect(call.participant('x').blockDtmf).to.equal('drop');
  });

  it('says that nothing stands in for it', () => {
    const keys = { flags: ['block-DTMF'], 'DTMF-security': 'silence' };
    expect(parsed(keys).unsupported).to.deep.equal(['DTMF-security=silence (DTMF is dropped)']);
  });
});
