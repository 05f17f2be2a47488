import { expect } from 'chai';
import { parseInterfaces } from '../../../src/config/interfaces.js';
import {
  resolveInterfaces,
  resolveListener,
  type Machine,
} from '../../../src/daemon/process/local-addresses.js';
import { ConfigError } from '../../../src/config/errors.js';
import { configError } from '../../support/unit/config.js';

const machine: Machine = {
  networkInterfaces: {
    lo: [
      { address: '127.0.0.1', internal: true },
      { address: '::1', internal: true },
    ],
    eth0: [
      { address: '192.0.2.2', internal: false },
      { address: '2001:db8::2', internal: false },
      { address: 'fe80::1', internal: false },
    ],
  },
  lookup: (host) =>
    host === 'media.example'
      ? Promise.resolve('192.0.2.2')
      : Promise.reject(new Error('ENOTFOUND')),
};

async function resolve(...texts: string[]): Promise<unknown> {
  return (await resolveInterfaces(parseInterfaces(texts), machine, 'refuse')).interfaces;
}

async function refusal(promise: Promise<unknown>): Promise<ConfigError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('was not refused');
}

describe('interface texts', () => {
  it('have an optional name and an optional advertised address', () => {
    expect(parseInterfaces(['192.0.2.2']).interfaces).to.deep.equal([
      {
        name: 'default',
        source: { kind: 'address', address: '192.0.2.2' },
        advertised: null,
        text: '192.0.2.2',
        ports: null,
      },
    ]);
    const [spec] = parseInterfaces(['pub/[2001:db8::2]!203.0.113.1']).interfaces;
    expect(spec?.name).to.equal('pub');
    expect(spec?.source).to.deep.equal({ kind: 'address', address: '2001:db8::2' });
    expect(spec?.advertised).to.equal('203.0.113.1');
  });

  it('may name network interfaces, hosts and any', () => {
    const sources = parseInterfaces(['any', 'a/eth0.100', 'b/media.example']).interfaces;
    expect(sources.map(({ source }) => source)).to.deep.equal([
      { kind: 'any' },
      { kind: 'name', name: 'eth0.100' },
      { kind: 'name', name: 'media.example' },
    ]);
  });

  it('may be aliases of interfaces', () => {
    const { interfaces, aliases } = parseInterfaces(['int/192.0.2.2', 'old=int']);
    expect(interfaces).to.have.length(1);
    expect([...aliases]).to.deep.equal([['old', 'int']]);
    expect(configError(() => parseInterfaces(['int/192.0.2.2', 'old=xyz'])).message).to.include(
      "Invalid interface specification: 'old=xyz'",
    );
  });

  it('are refused when they make no sense', () => {
    for (const text of [
      '',
      'a/',
      '/192.0.2.2',
      '1.2.3',
      '192.0.2.2!',
      '192.0.2.2!1.2.3',
      'a/b/c',
      'a b/192.0.2.2',
    ]) {
      expect(configError(() => parseInterfaces([text])).message).to.match(
        /^Invalid interface specification: '/,
      );
    }
  });

  it('must be there', () => {
    expect(configError(() => parseInterfaces([])).message).to.equal(
      'Cannot start without any configured interfaces',
    );
  });
});

describe('resolved interfaces', () => {
  it('hold the addresses of one name together, in their order', async () => {
    expect(
      await resolve('a/192.0.2.2!203.0.113.1', 'b/127.0.0.1', 'a/2001:DB8:0::2'),
    ).to.deep.equal([
      {
        name: 'a',
        addresses: [
          { family: 'IP4', address: '192.0.2.2', advertised: '203.0.113.1' },
          { family: 'IP6', address: '2001:db8::2', advertised: '2001:db8::2' },
        ],
      },
      { name: 'b', addresses: [{ family: 'IP4', address: '127.0.0.1', advertised: '127.0.0.1' }] },
    ]);
  });

  it('take all addresses of a network interface but link-local ones', async () => {
    expect(await resolve('eth0!203.0.113.1')).to.deep.equal([
      {
        name: 'default',
        addresses: [
          { family: 'IP4', address: '192.0.2.2', advertised: '203.0.113.1' },
          { family: 'IP6', address: '2001:db8::2', advertised: '2001:db8::2' },
        ],
      },
    ]);
  });

  it('take no loopback address for any', async () => {
    expect(JSON.stringify(await resolve('any'))).to.not.include('127.0.0.1');
    const bare: Machine = {
      ...machine,
      networkInterfaces: { lo: machine.networkInterfaces['lo'] },
    };
    const error = await refusal(resolveInterfaces(parseInterfaces(['any']), bare, 'warn'));
    expect(error.message).to.include('no usable address');
  });

  it('look up host names', async () => {
    expect(JSON.stringify(await resolve('media.example'))).to.include('192.0.2.2');
    const error = await refusal(resolve('nosuch.example'));
    expect(error.message).to.match(/^Invalid interface specification: 'nosuch.example'/);
  });

  it('refuse an address of another machine, or warn of it', async () => {
    const error = await refusal(resolve('pub/198.51.100.7'));
    expect(error.message).to.equal(
      'Address 198.51.100.7 (--interface=pub/198.51.100.7) is not on this machine',
    );
    const specs = parseInterfaces(['pub/198.51.100.7']);
    const { interfaces, warnings } = await resolveInterfaces(specs, machine, 'warn');
    expect(interfaces).to.have.length(1);
    expect(warnings).to.deep.equal([error.message]);
  });
});

describe('resolved listeners', () => {
  it('are both wildcard addresses when only a port was given', async () => {
    const listener = { host: null, port: 2223 };
    expect(await resolveListener(listener, machine, 'listen-ng')).to.deep.equal([
      { address: '0.0.0.0', port: 2223 },
      { address: '::', port: 2223 },
    ]);
    const ip4Only: Machine = {
      ...machine,
      networkInterfaces: { lo: [{ address: '127.0.0.1', internal: true }] },
    };
    expect(await resolveListener(listener, ip4Only, 'listen-ng')).to.have.length(1);
  });

  it('take localhost for 127.0.0.1 and look up other names', async () => {
    const at = (host: string): Promise<unknown> =>
      resolveListener({ host, port: 1 }, machine, 'listen-cli');
    expect(await at('localhost')).to.deep.equal([{ address: '127.0.0.1', port: 1 }]);
    expect(await at('media.example')).to.deep.equal([{ address: '192.0.2.2', port: 1 }]);
    expect((await refusal(at('nosuch.example'))).option).to.equal('listen-cli');
  });
});
