/** AppArmor's profile gives what units grant and documents tell; what a trace has, is read as it is meant. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { AppArmorProfile, denials } from '../../support/apparmor.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const parser = '/usr/sbin/apparmor_parser';

const same = (path: string): string => path;

describe("AppArmor's profile", () => {
  let profile: AppArmorProfile;
  before(function () {
    if (!existsSync(parser)) this.skip();
    const words = ['--preprocess', `${root}packaging/files/apparmor`];
    const text = execFileSync(parser, words, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    profile = new AppArmorProfile(text);
    expect(profile.size).to.be.greaterThan(50);
  });

  it('has the capabilities that drop-ins of the units grant', () => {
    const folder = `${root}deploy/systemd`;
    const granted = readdirSync(folder).flatMap((name) => [
      ...readFileSync(`${folder}/${name}`, 'utf8').matchAll(/^[^#\n]*\bCAP_(\w+)/gm),
    ]);
    expect(granted).to.not.be.empty;
    for (const [, capability = ''] of granted) {
      expect([...profile.capabilities]).to.include(capability.toLowerCase());
    }
  });

  it("runs the Nodes that packages run, with the files that Debian's has apart", () => {
    for (const node of ['/usr/bin/node', '/usr/lib/rtprelay/bin/node']) {
      expect(profile.allows(node, 'mrix'), node).to.equal(true);
    }
    expect(profile.allows('/usr/share/nodejs/undici/undici-fetch.js', 'r')).to.equal(true);
  });

  it('lets it reach what the documents name: Redis by its socket, files of its own', () => {
    for (const path of ['/run/redis/redis-server.sock', '/run/valkey/valkey-server.sock']) {
      expect(profile.allows(path, 'w'), path).to.equal(true);
    }
    expect(profile.allows('/etc/rtprelay/rtprelay.conf', 'r')).to.equal(true);
    expect(profile.allows('/run/rtprelay/ng.sock', 'w')).to.equal(true);
  });

  it('lets nftables look up names where Debian 12 and 13 have them', () => {
    for (const path of ['/etc/iproute2/group', '/usr/share/iproute2/rt_realms']) {
      expect(profile.allows(path, 'r'), path).to.equal(true);
    }
  });

  it('keeps it from what is none of its business', () => {
    for (const [path, letter] of [
      ['/etc/shadow', 'r'],
      ['/home/somebody/.ssh/id_ed25519', 'r'],
      ['/etc/rtprelay/rtprelay.conf', 'w'],
      ['/usr/lib/rtprelay/dist/bin/rtprelayd.js', 'w'],
      ['/bin/sh', 'x'],
    ] as const) {
      expect(profile.allows(path, letter), path).to.equal(false);
    }
  });
});

describe('a trace held against a profile', () => {
  const profile = new AppArmorProfile(
    [
      '@{PROC}=/proc/',
      '@{pid}={[1-9],[1-9][0-9],[1-9][0-9][0-9]}',
      'profile x /usr/bin/x {',
      '  network inet dgram,',
      '  /usr/bin/x mrix, ',
      '  /usr/bin/other Ux,',
      '  owner /run/x{,-*}/** rw, # its own',
      '  @{PROC}/@{pid}/stat r,',
      '}',
    ].join('\n'),
  );

  it('has what the profile does not give, and nothing else', () => {
    const trace = [
      '7 execve("/usr/bin/x", ["x"], 0x7ff /* 9 vars */) = 0',
      '7 openat(AT_FDCWD</>, "/run/x/a", O_RDWR|O_CREAT, 0600) = 3</run/x/a>',
      '7 openat(AT_FDCWD</>, "/run/x-1/b", O_RDONLY <unfinished ...>',
      '8 openat(AT_FDCWD</>, "/proc/self/stat", O_RDONLY) = 5</proc/17/stat>',
      '7 <... openat resumed>) = 4</run/x-1/b>',
      '7 openat(AT_FDCWD</>, "/nowhere", O_RDONLY) = -1 ENOENT (No such file or directory)',
      '7 openat(AT_FDCWD</>, "link", O_RDONLY) = 4</etc/secret>',
      '7 openat(AT_FDCWD</>, "/proc/self/maps", O_RDONLY) = 4</proc/17/maps>',
      '7 socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 5<socket:[1]>',
      '7 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 6<socket:[2]>',
      '7 connect(6<socket:[3]>, {sa_family=AF_UNIX, sun_path="/run/y"}, 9) = 0',
      '7 mmap(NULL, 4096, PROT_READ|PROT_EXEC, MAP_PRIVATE, 4</run/x/a>, 0) = 0x7f',
      '9 execve("/usr/bin/other", ["other"], 0x7ff) = 0',
      '9 openat(AT_FDCWD</>, "/etc/passwd", O_RDONLY) = 3</etc/passwd>',
      '10 execve("/bin/sh", ["sh"], 0x7ff) = 0',
    ].join('\n');
    expect(denials(profile, trace, same)).to.deep.equal([
      'm /run/x/a',
      'mrix /bin/sh',
      'network inet stream',
      'r /etc/secret',
      'r /proc/17/maps',
      'w /run/y',
    ]);
  });
});
