import { expect } from 'chai';
import { accessList } from '../../../src/config/access-list.js';
import { ConfigError } from '../../../src/config/errors.js';

describe('the access list of the control listeners', () => {
  it('lets everybody in when there is none', () => {
    expect(accessList([])('203.0.113.9')).to.equal(true);
    expect(accessList(['', ' , '])('2001:db8::1')).to.equal(true);
  });

  it('lets in those of its networks, in either form', () => {
    const allowed = accessList(['192.0.2.0/24, 198.51.100.7', '2001:db8::/32']);
    for (const address of ['192.0.2.200', '::ffff:192.0.2.1', '198.51.100.7', '2001:db8:1::5%eth0'])
      expect(allowed(address), address).to.equal(true);
    for (const address of ['192.0.3.1', '198.51.100.8', '2001:db9::1', '', 'host', '::1'])
      expect(allowed(address), address).to.equal(false);
    expect(accessList(['0.0.0.0/0'])('8.8.8.8')).to.equal(true);
  });

  it('refuses what is no network', () => {
    for (const text of [
      '192.0.2.0/33',
      '192.0.2',
      'host/8',
      '192.0.2.0/-1',
      '::/129',
      '1.2.3.4/8/8',
    ])
      expect(() => accessList([text]), text).to.throw(ConfigError, `Invalid network '${text}'`);
  });
});
