import { expect } from 'chai';
import { changedOptions } from '../../../src/config/changes.js';
import { resolveInterfaces } from '../../../src/daemon/process/local-addresses.js';
import { configError, configOf } from '../../support/unit/config.js';

const file = '/etc/rtprelay/rtprelay.conf';

function withSections(sections: string, options = ''): Record<string, string> {
  return {
    [file]: `[rtpengine]\nlisten-ng = 127.0.0.1:2223\ninterfaces-config = if\n${options}\n${sections}`,
  };
}

const refused: readonly (readonly [sections: string, why: string])[] = [
  ['[if-a]\nadvertised = 192.0.2.1', "section 'a' (FILE, line 6): neither address nor alias"],
  ['[if-a]\naddress = 127.0.0.1\nport-mn = 5', "section 'a' (FILE, line 6): unknown key 'port-mn'"],
  ['[if-a]\naddress = 127.0.0.1\nport-min = 70000', "port-min has no port '70000'"],
  ['[if-a]\naddress = 127.0.0.1\nexclude-ports = 9-5', "exclude-ports has an empty range '9-5'"],
  ['[if-a]\naddress = 127.0.0.1\nadvertised = a b', "bad advertised address 'a b'"],
  ['[if-a]\naddress = 127.0.0.1\nport-min = 39999', "range of interface 'a': 39999 to 39999"],
  ['[if-a]\naddress = 127.0.0.1\n[if-b]\nalias = c', "no interface is called 'c'"],
  ['[if-b]\nalias = a\naddress = 127.0.0.1', 'an alias has nothing but a name'],
  ['[other-a]\naddress = 127.0.0.1', 'FILE has no section [if-…] (interfaces-config)'],
];

describe('interface sections of the file', () => {
  it('follow the interface lines, in the order of the file', () => {
    const { interfaces, aliases } = configOf(
      [],
      withSections(
        '[if-priv]\naddress = ::1\n[if-pub]\naddress = 192.0.2.7\nadvertised = 198.51.100.7\nport-min = 40000\n' +
          'port-max = 40009\nexclude-ports = 40002; 40004-40006\n[if-pub6]\nname = pub\naddress = eth0\n' +
          '[if-out]\nalias = pub\n',
        'interface = first/127.0.0.1',
      ),
    ).media.interfaces;
    expect(interfaces.map(({ name, source, ports }) => ({ name, source, ports }))).to.deep.equal([
      { name: 'first', source: { kind: 'address', address: '127.0.0.1' }, ports: null },
      { name: 'priv', source: { kind: 'address', address: '::1' }, ports: null },
      {
        name: 'pub',
        source: { kind: 'address', address: '192.0.2.7' },
        ports: { min: 40_000, max: 40_009, excluded: [40_002, 40_004, 40_005, 40_006] },
      },
      { name: 'pub', source: { kind: 'name', name: 'eth0' }, ports: null },
    ]);
    expect(interfaces[2]?.advertised).to.equal('198.51.100.7');
    expect([...aliases]).to.deep.equal([['out', 'pub']]);
  });

  for (const [sections, why] of refused) {
    it(`refuses ${JSON.stringify(sections)}`, () => {
      const { message } = configError(() => configOf([], withSections(sections)));
      expect(message.replaceAll(file, 'FILE')).to.include(why);
    });
  }

  it('need a file', () => {
    const argv = ['--config-file=none', '--listen-ng=127.0.0.1:2223', '--interfaces-config=if'];
    expect(configError(() => configOf(argv)).message).to.equal(
      'Option --interfaces-config needs a configuration file',
    );
  });

  it('that have changed are a changed option; moved ones are not', () => {
    const read = (sections: string, options = ''): ReturnType<typeof configOf> =>
      configOf([], withSections(sections, options));
    const before = read('[if-a]\naddress = 127.0.0.1');
    const moved = read('[if-a]\naddress = 127.0.0.1', '# a comment more\n');
    expect(changedOptions(before, moved)).to.deep.equal([]);
    const other = read('[if-a]\naddress = 127.0.0.1\nport-min = 31000');
    expect(changedOptions(before, other).map(({ option }) => option.name)).to.deep.equal([
      'interfaces-config',
    ]);
  });

  it('refuse one address with two ranges of ports', async () => {
    const { interfaces } = configOf(
      [],
      withSections('[if-a]\naddress = 127.0.0.1\nport-min = 31000\n[if-b]\naddress = 127.0.0.1'),
    ).media;
    const machine = { networkInterfaces: {}, lookup: () => Promise.resolve('') };
    const failure = await resolveInterfaces(interfaces, machine, 'warn').catch(String);
    expect(failure).to.include('127.0.0.1 stands in several interfaces with different ports');
  });
});
