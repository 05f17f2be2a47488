import { expect } from 'chai';
import { ensureForwarding, isForwarding } from '../../../src/kernel-forward/ip-forwarding.js';

class Files {
  refusal: string | null = null;
  constructor(readonly files: Record<string, string>) {}
  readonly read = (path: string): string | null => this.files[path] ?? null;
  readonly write = (path: string, text: string): string | null => {
    if (this.refusal === null) this.files[path] = text;
    return this.refusal;
  };
}

const device4 = '/proc/sys/net/ipv4/conf/eth0.7/forwarding';
const all6 = '/proc/sys/net/ipv6/conf/all/forwarding';
/** The default route, as /proc/net/ipv6_route has it; flags from linux/ipv6_route.h. */
const route = (flags: string): string =>
  `${'0'.repeat(32)} 00 ${'0'.repeat(32)} 00 fe80${'0'.repeat(27)}1 00000400 00000001 00000000 ${flags} eth0\n`;

describe('IP forwarding', () => {
  it('is a setting of the device for IPv4, of the machine for IPv6', () => {
    const files = new Files({ [device4]: '1\n', [all6]: '0\n' });
    expect(isForwarding(files, 'eth0.7', 'ipv4')).to.equal(true);
    expect(isForwarding(files, 'eth1', 'ipv4')).to.equal(false);
    expect(isForwarding(files, 'eth0.7', 'ipv6')).to.equal(false);
  });

  it('is not switched on without being asked for; the reason says how', () => {
    const files = new Files({ [device4]: '0\n' });
    expect(ensureForwarding(files, 'eth0.7', 'ipv4', false)).to.equal(
      'IP forwarding is off (net.ipv4.conf.eth0/7.forwarding); ' +
        '--kernel-forward-set-forwarding switches it on',
    );
    expect(files.files[device4]).to.equal('0\n');
    expect(ensureForwarding(files, 'eth0.7', 'ipv4', true)).to.equal(null);
    expect(files.files[device4]).to.equal('1\n');
  });

  it('says why it cannot be switched on', () => {
    const files = new Files({ [device4]: '0\n' });
    files.refusal = 'EROFS: read-only file system';
    expect(ensureForwarding(files, 'eth0.7', 'ipv4', true)).to.match(
      /cannot be switched on: EROFS/,
    );
  });

  it('stays off where IPv6 routes come from advertisements', () => {
    const files = new Files({ [all6]: '0\n', '/proc/net/ipv6_route': route('00450003') });
    expect(ensureForwarding(files, 'eth0', 'ipv6', true)).to.match(/router advertisements/);
    files.files['/proc/net/ipv6_route'] = route('00000003');
    expect(ensureForwarding(files, 'eth0', 'ipv6', true)).to.equal(null);
    expect(files.files[all6]).to.equal('1\n');
  });
});
