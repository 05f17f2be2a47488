import { expect } from 'chai';
import { parseListenAddress } from '../../../src/config/addresses.js';
import { configError } from '../../support/unit/config.js';

describe('listening address', () => {
  it('is a port, an address with a port, or a host name with a port', () => {
    expect(parseListenAddress('2223', 'listen-ng')).to.deep.equal({ host: null, port: 2223 });
    expect(parseListenAddress('10.0.0.1:22', 'listen-ng')).to.deep.equal({
      host: '10.0.0.1',
      port: 22,
    });
    expect(parseListenAddress('localhost:2223', 'listen-ng').host).to.equal('localhost');
    expect(parseListenAddress('[::1]:2223', 'listen-ng')).to.deep.equal({
      host: '::1',
      port: 2223,
    });
    expect(parseListenAddress('::1:2223', 'listen-ng')).to.deep.equal({ host: '::1', port: 2223 });
    expect(parseListenAddress(':2223', 'listen-ng').host).to.equal(null);
  });

  it('is refused in rtpengine’s words otherwise', () => {
    const bad = ['', 'abc', '0', '70000', ':70000', '10.0.0.1:', '10.0.0.1:x', '1.2.3:22'];
    for (const text of [...bad, '*:22', '[1.2.3.4]:22', '10.0.0.1:-1', 'a b:22', '1.2.3.999:22']) {
      const error = configError(() => parseListenAddress(text, 'listen-cli'));
      expect(error.message).to.equal(`Invalid IP or port '${text}' (--listen-cli)`);
      expect(error.option).to.equal('listen-cli');
    }
  });
});
