/** Which addresses a machine holds, as the kernel says it: in a namespace with every kind of them. */
import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { namespacesAllowed, NetworkNamespace } from '../support/namespaces.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const program =
  "import { heldAddresses } from './src/native/network.ts';" +
  'console.log(JSON.stringify(heldAddresses(process.argv.slice(1))));';

describe('the addresses that a machine holds', function () {
  this.timeout(30_000);
  let machine: NetworkNamespace;

  before(function () {
    if (!namespacesAllowed()) this.skip();
    machine = new NetworkNamespace('holder');
  });
  after(() => {
    machine?.remove();
  });

  it('are those on its devices, of its local routes, and what is everywhere', () => {
    machine.ip('link', 'add', 'd0', 'type', 'bridge');
    machine.ip('link', 'set', 'd0', 'up');
    machine.addAddress('d0', '192.0.2.1/24');
    machine.ip('address', 'add', '192.0.2.9', 'peer', '192.0.2.10', 'dev', 'd0');
    machine.ip('address', 'add', '2001:db8::1/64', 'dev', 'd0', 'nodad');
    machine.ip('route', 'add', 'local', '198.51.100.0/24', 'dev', 'lo');
    machine.ip('route', 'add', 'local', '2001:db8:1::/64', 'dev', 'lo');
    // A cable without its other end: the check for duplicates never begins, let alone ends.
    machine.ip('link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
    machine.ip('link', 'set', 'v0', 'up');
    machine.addAddress('v0', '2001:db8:2::1/64');
    const expected = {
      ...{ '192.0.2.1': true, '192.0.2.9': true, '192.0.2.10': false, '192.0.2.2': false },
      ...{ '203.0.113.1': false, '198.51.100.7': true, '127.0.0.1': true, '127.8.9.1': true },
      ...{ '0.0.0.0': true, '2001:db8::1': true, '2001:db8::2': false, '2001:db8:1::7': true },
      ...{ '2001:db8:2::1': false, '::1': true, '::': true, '::2': false, nonsense: false },
    };
    const words = [
      '-C',
      root,
      process.execPath,
      '--import=tsx',
      '--input-type=module',
      '-e',
      program,
    ];
    const text = machine.run('env', ...words, ...Object.keys(expected));
    const held = JSON.parse(text) as readonly boolean[];
    const found = Object.fromEntries(Object.keys(expected).map((name, at) => [name, held[at]]));
    expect(found).to.deep.equal(expected);
  });
});
