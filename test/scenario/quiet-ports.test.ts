/** deploy/nftables/quiet-ports.nft: which closed ports a peer hears of. */
import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { namespacesAllowed, NetworkNamespace } from '../support/namespaces.js';

const rules = fileURLToPath(new URL('../../deploy/nftables/quiet-ports.nft', import.meta.url));

/**
 * Prints which of the ports given as arguments are refused: with each a packet to a port outside the range, whose
 * refusal says that all before it had come.
 */
const asking = `
import socket, sys
family, address, *ports = sys.argv[1:]
def send(port):
    each = socket.socket(socket.AF_INET6 if family == '6' else socket.AF_INET, socket.SOCK_DGRAM)
    each.settimeout(20)
    each.connect((address, port))
    each.send(bytes(172))
    return each
def refused(each):
    try:
        each.recv(1)
    except ConnectionRefusedError:
        return True
asked = {port: send(int(port)) for port in ports}
assert refused(send(20000))
for each in asked.values():
    each.settimeout(0)
for port, each in asked.items():
    try:
        if refused(each): print(port)
    except BlockingIOError:
        pass
`;

describe('media ports that are closed, with the rules of deploy/nftables', () => {
  let namespace: NetworkNamespace | undefined;
  before(function () {
    if (!namespacesAllowed()) this.skip();
    namespace = new NetworkNamespace('quiet');
  });
  after(() => {
    namespace?.remove();
  });

  const ports = ['29999', '30000', '35001', '40000', '40001'];
  const refused = (family: '4' | '6', address: string): readonly string[] | undefined =>
    namespace
      ?.run('python3', '-c', asking, family, address, ...ports)
      .split('\n')
      .filter(Boolean);

  it('are refused without them, and silent with them; all others are refused as ever', () => {
    for (const heard of [ports, ['29999', '40001']]) {
      expect(refused('4', '127.0.0.1')).to.deep.equal(heard);
      expect(refused('6', '::1')).to.deep.equal(heard);
      namespace?.run('nft', '-f', rules);
    }
  });
});
