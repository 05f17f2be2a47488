/**
 * The Debian package (scripts/package-deb): built, looked into, unpacked into a folder, and its daemon run from
 * there. Installed for good, by apt under systemd, it is in test/package.
 */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isInstalled, TemporaryFolder, TestProcess } from '../../support/child-process.js';
import { freeTcpPort, freeUdpPort, freeUdpRange } from '../../support/free-ports.js';
import { audioSdp, mediaPort, NgClient } from '../../support/ng-client.js';
import { RtpEndpoint } from '../../support/rtp-endpoint.js';
import { until } from '../../support/wait.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));

describe('the Debian package', function () {
  this.timeout(180_000);
  const folder = new TemporaryFolder('package');
  let file = '';
  const run = (program: string, ...words: readonly string[]): string =>
    execFileSync(program, words, {
      encoding: 'utf8',
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const inside = (path: string): string => folder.file(`root${path}`);

  before(function () {
    if (!isInstalled('dpkg-shlibdeps')) {
      console.log('      skipped: dpkg-dev is not installed');
      this.skip();
    }
    const words = ['--suite=trixie', '--compress=gzip', `--output=${folder.path}`, '--revision=7'];
    file = run('scripts/package-deb', ...words).trim();
    mkdirSync(inside('/var/lib/dpkg/updates'), { recursive: true });
    mkdirSync(inside('/var/lib/dpkg/info'), { recursive: true });
    writeFileSync(inside('/var/lib/dpkg/status'), '');
    if (process.getuid?.() === 0) {
      const options = [
        `--root=${folder.file('root')}`,
        '--force-depends',
        `--log=${folder.file('log')}`,
      ];
      run('dpkg', ...options, '--unpack', file);
    } else run('dpkg-deb', '--extract', file, folder.file('root'));
  });
  after(() => folder.remove());

  it('says what it is and what it needs', () => {
    const field = (name: string): string => run('dpkg-deb', '--field', file, name).trim();
    expect(file).to.match(/\/rtprelay_[0-9.]+-7\+deb13_amd64\.deb$/);
    expect(field('Architecture')).to.equal('amd64');
    expect(field('Depends')).to.match(/libc6 \(>= [^)]+\).*nodejs \(>= 20\.19\)/);
    expect(Number(field('Installed-Size'))).to.be.lessThan(10_000);
    // Neither a compiler nor npm.
    expect(field('Depends')).to.not.match(/g\+\+|gcc[ ,]|npm|make/);
  });

  it('has all that belongs to it, with the right owners and modes', () => {
    const listed = run('dpkg-deb', '--contents', file)
      .split('\n')
      .map((line) => /^(\S+) (\S+) .* \d\d:\d\d \.(\/\S*)/.exec(line))
      .flatMap((match) => (match === null ? [] : [match.slice(1, 4)]));
    const modes = new Map(listed.map(([mode = '', , path = '']) => [path, mode]));
    for (const [mode, owner, path] of listed) {
      expect(owner, path).to.equal('root/root');
      if (mode?.startsWith('l') !== true) expect(mode, path).to.not.match(/^.....w|^........w/);
    }
    const expected: Readonly<Record<string, string>> = {
      '/usr/bin/rtprelayd': 'lrwxrwxrwx',
      '/usr/bin/rtprelayctl': 'lrwxrwxrwx',
      '/usr/bin/rtprelay-probe': '-rwxr-xr-x',
      '/usr/sbin/rtprelay-switch': '-rwxr-xr-x',
      '/usr/lib/ocf/resource.d/rtprelay/rtprelay': '-rwxr-xr-x',
      '/usr/lib/rtprelay/build/Release/rtprelay.node': '-rw-r--r--',
      '/usr/lib/systemd/system/rtprelay.service': '-rw-r--r--',
      '/usr/lib/systemd/system/rtprelay@.service': '-rw-r--r--',
      '/usr/lib/sysusers.d/rtprelay.conf': '-rw-r--r--',
      '/usr/lib/tmpfiles.d/rtprelay.conf': '-rw-r--r--',
      '/usr/share/man/man8/rtprelayd.8.gz': '-rw-r--r--',
      '/usr/share/man/man8/rtprelay-switch.8.gz': '-rw-r--r--',
      '/usr/share/man/man1/rtprelayctl.1.gz': '-rw-r--r--',
      '/usr/share/man/man5/rtprelay.conf.5.gz': '-rw-r--r--',
      '/usr/share/bash-completion/completions/rtprelayd': '-rw-r--r--',
      '/usr/share/zsh/vendor-completions/_rtprelayd': '-rw-r--r--',
      '/usr/share/rtprelay/systemd/rtpengine-daemon.conf': '-rw-r--r--',
      '/usr/share/doc/rtprelay/copyright': '-rw-r--r--',
      '/usr/share/doc/rtprelay/examples/keepalived/pair.conf': '-rw-r--r--',
      '/usr/share/doc/rtprelay/examples/pacemaker/cib.xml': '-rw-r--r--',
      '/etc/apparmor.d/rtprelayd': '-rw-r--r--',
      '/etc/logrotate.d/rtprelay': '-rw-r--r--',
      '/usr/share/rtprelay/etc/rtprelay/rtprelay.conf': '-rw-r--r--',
      '/usr/share/rtprelay/etc/default/rtprelay': '-rw-r--r--',
    };
    for (const [path, mode] of Object.entries(expected))
      expect(modes.get(path), path).to.equal(mode);
    // Sources, types, tests and tools stay at home.
    expect(
      [...modes.keys()].filter((path) => /\.(ts|map|cc|h)$|\/test\//.test(path)),
    ).to.deep.equal([]);
    const conffiles = execFileSync('dpkg-deb', ['--info', file, 'conffiles'], { encoding: 'utf8' });
    expect(conffiles.trim().split('\n')).to.deep.equal(
      [...modes.keys()].filter((path) => path.startsWith('/etc/') && !path.endsWith('/')).sort(),
    );
  });

  it('names nothing of where it was built', () => {
    const { status, stdout } = spawnSync('grep', ['-rl', '-F', root, folder.file('root/usr')], {
      encoding: 'utf8',
    });
    expect(stdout).to.equal('');
    expect(status).to.equal(1);
  });

  it('has a profile that AppArmor takes', function () {
    const parser = ['apparmor_parser', '/usr/sbin/apparmor_parser', '/sbin/apparmor_parser'].find(
      (each) => isInstalled(each) || existsSync(each),
    );
    if (parser === undefined) {
      console.log('      skipped: no apparmor_parser here; scripts/package-test has one');
      this.skip();
    }
    // Compiled, and given to no kernel.
    const suffix = process.getuid?.() === 0 ? '.dpkg-new' : '';
    run(parser, '-Q', '-K', '-T', inside(`/etc/apparmor.d/rtprelayd${suffix}`));
  });

  it('keeps files of /etc that somebody has changed, asks nothing, and renews the others', () => {
    const [scripts, etc] = [folder.file('settle'), folder.file('settled')];
    run('dpkg-deb', '--control', file, scripts);
    // The functions of postinst alone, with other folders.
    const functions = readFileSync(`${scripts}/postinst`, 'utf8')
      .replace(/^case "\$1" in[^]*/m, '')
      .replaceAll('/usr/share/rtprelay/etc/', `${etc}/shipped/`)
      .replaceAll('/var/lib/rtprelay', `${etc}/state`)
      .replaceAll('here=/etc/', `here=${etc}/etc/`);
    const [shipped, here] = [`${etc}/shipped/rtprelay`, `${etc}/etc/rtprelay/rtprelay.conf`];
    const settle = (text: string, before: string): string => {
      mkdirSync(shipped, { recursive: true });
      writeFileSync(`${shipped}/rtprelay.conf`, text);
      const group = run('id', '-g').trim();
      const call = `${functions}\nsettle 640 ${group} rtprelay/rtprelay.conf '${before}'`;
      run('sh', '-ec', call);
      return existsSync(here) ? readFileSync(here, 'utf8') : '';
    };
    expect(settle('first', '')).to.equal('first');
    expect(statSync(here).mode & 0o777).to.equal(0o640);
    expect(settle('second', '1')).to.equal('second');
    writeFileSync(here, 'of the operator');
    expect(settle('third', '2')).to.equal('of the operator');
    expect(settle('third', '3')).to.equal('of the operator');
    rmSync(here);
    expect(settle('fourth', '3'), 'it has been removed').to.equal('');
    // A file of before the first installation is nobody else's.
    writeFileSync(here, 'by hand');
    rmSync(`${etc}/state`, { recursive: true });
    expect(settle('fifth', '')).to.equal('by hand');
  });

  it('has scripts that a shell can read, and agrees with itself', () => {
    const control = folder.file('control');
    run('dpkg-deb', '--control', file, control);
    for (const name of readdirSync(control).filter((each) => /^(post|pre)/.test(each))) {
      run('sh', '-n', `${control}/${name}`);
    }
    run('sh', '-n', inside('/usr/sbin/rtprelay-switch'));
    execFileSync('md5sum', ['--quiet', '--check', `${control}/md5sums`], {
      cwd: folder.file('root'),
    });
    // Opens the ports of a daemon that was killed, then runs Node.
    const starter = '/usr/lib/rtprelay/build/Release/rtprelay-start';
    expect(statSync(inside(starter)).mode & 0o111).to.equal(0o111);
    for (const [name, start] of [
      ['rtprelayd', `${starter} `],
      ['rtprelayctl', ''],
    ] as const) {
      const [first] = readFileSync(inside(`/usr/lib/rtprelay/dist/bin/${name}.js`), 'utf8').split(
        '\n',
      );
      expect(first).to.equal(`#!${start}/usr/bin/node`);
    }
  });

  it('relays a call, from where it was unpacked', async () => {
    const [port, cli, ports] = [freeUdpPort(), freeTcpPort(), freeUdpRange(40)];
    const configuration = folder.file('rtprelay.conf');
    // The one of the package, with the addresses of the test.
    writeFileSync(
      configuration,
      readFileSync(inside('/usr/share/rtprelay/etc/rtprelay/rtprelay.conf'), 'utf8')
        .replace(/^interface = .*/m, 'interface = 127.0.0.1')
        .replace(/^listen-ng = .*/m, `listen-ng = 127.0.0.1:${port}`)
        .replace(/^listen-cli = .*/m, `listen-cli = 127.0.0.1:${cli}`)
        .replace(/^#port-min = .*/m, `port-min = ${ports.min}`)
        .replace(/^#port-max = .*/m, `port-max = ${ports.max}`)
        .replace(/^#log-format = .*/m, 'log-format = json'),
    );
    const words = [
      inside('/usr/bin/rtprelayd'),
      '--foreground',
      '--log-stderr',
      `--config-file=${configuration}`,
    ];
    const daemon = new TestProcess('packaged rtprelayd', process.execPath, words);
    const client = new NgClient(port);
    const [caller, callee] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
    try {
      await client.ask({ command: 'ping' }, { tries: 150, intervalMs: 100 });
      const call = { 'call-id': 'packaged', 'from-tag': 'a' };
      const offer = await client.ask({ command: 'offer', ...call, sdp: audioSdp(caller.port) });
      const answer = await client.ask({
        command: 'answer',
        ...call,
        'to-tag': 'b',
        sdp: audioSdp(callee.port),
      });
      await until(() => {
        caller.sendNext({ address: '127.0.0.1', port: mediaPort(answer) }, { payloadType: 8 });
        callee.sendNext({ address: '127.0.0.1', port: mediaPort(offer) }, { payloadType: 8 });
        return caller.received > 3 && callee.received > 3;
      }, 'packets on both sides');
      const control = [
        inside('/usr/bin/rtprelayctl'),
        '-ip',
        `127.0.0.1:${cli}`,
        'list',
        'numsessions',
      ];
      expect(run(process.execPath, ...control)).to.include('Current sessions own: 1');
      // JSON lines come by a module that is loaded when it is wanted; MQTT's is another one.
      expect(daemon.log()).to.match(/^\{.*"Startup complete/m);
      const load = `require(${JSON.stringify(inside('/usr/lib/rtprelay/node_modules/mqtt'))}).connect.name`;
      expect(run(process.execPath, '-p', load).trim()).to.match(/^\w+$/);
    } finally {
      client.close();
      for (const end of [caller, callee]) end.close();
      await daemon.stop();
    }
  });
});
