/** Where the notice of a timeout goes. */
import { expect } from 'chai';
import { noticesOf } from '../../../../src/daemon/exports/xml-rpc.js';
import { body, ModelCall } from '../../../support/unit/media.js';

const urlOf = (keys: Parameters<ModelCall['offer']>[1]): readonly string[] => {
  const call = new ModelCall({ controlAddress: '192.0.2.1' });
  call.offer(body(6000), keys);
  if (call.state === null) throw new Error('no call');
  return noticesOf(call.state, { url: 'http://%%:8080/RPC', format: 1 }).map(({ url }) => url);
};

describe('the address in the URL of a notice', () => {
  it('is that of the control client', () => {
    expect(urlOf({})).to.deep.equal(['http://192.0.2.1:8080/RPC']);
  });

  it('is that of the offer where it has one', () => {
    expect(urlOf({ noticeAddress: '192.0.2.7' })).to.deep.equal(['http://192.0.2.7:8080/RPC']);
    expect(urlOf({ noticeAddress: '2001:db8::7' })).to.deep.equal([
      'http://[2001:db8::7]:8080/RPC',
    ]);
  });
});
