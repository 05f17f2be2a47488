/**
 * The shipped configuration of logrotate and of rsyslog with the real programs: while calls come and go the file of the relay's
 * lines is rotated, and each line that the journal has is in one of its parts, once.
 */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isInstalled, TemporaryFolder, TestProcess } from '../support/child-process.js';
import { Commands } from '../support/document.js';
import { freeUdpPort } from '../support/free-ports.js';
import { audioSdp, NgClient } from '../support/ng-client.js';
import { NetworkNamespace } from '../support/namespaces.js';
import { IsolatedSystemd, systemdMissing } from '../support/systemd.js';
import { until } from '../support/wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const loadgen = `${root}build/bench/loadgen`;
const shipped = (name: string): string => readFileSync(`${root}packaging/files/${name}`, 'utf8');
const file = '/var/log/rtprelay/rtprelay.log';

/** What the relay wrote about calls, without moment and place. */
const ofCalls = (text: string): readonly string[] =>
  text.split('\n').flatMap((line) => /[:\]] (\w+: \[rotated-\w+.*)$/.exec(line)?.[1] ?? []);
/** Calls of a load that are being set up at a time. */
const atATime = 4;

function missing(): string | null {
  const programs = ['/usr/sbin/rsyslogd', '/usr/sbin/logrotate'];
  const program = programs.find((each) => !isInstalled(each));
  return program === undefined ? systemdMissing() : `${program} is not installed`;
}

describe('the log in a file', function () {
  this.timeout(120_000);
  const document = new Commands('logs.md');
  let namespace: NetworkNamespace;
  let machine: IsolatedSystemd;

  before(async function () {
    const reason = missing();
    if (reason !== null) {
      console.log(`      skipped: ${reason}`);
      this.skip();
    }
    execFileSync(`${root}scripts/build-bench`);
    namespace = new NetworkNamespace('logrotate');
    // As systemd has it outside of containers: the journal drops what syslog's socket has no room for.
    namespace.run('sysctl', '-q', '-w', 'net.unix.max_dgram_qlen=512');
    machine = await IsolatedSystemd.boot(namespace);
    for (const name of ['rsyslog.conf', 'logrotate.conf']) {
      machine.write(`/etc/${name}`, readFileSync(`/etc/${name}`, 'utf8'));
    }
    machine.write('/usr/share/doc/rtprelay/examples/rsyslog.conf', shipped('rsyslog.conf'));
    machine.write('/etc/logrotate.d/rtprelay', shipped('logrotate'));
    machine.write('/etc/tmpfiles.d/rtprelay.conf', shipped('tmpfiles.conf'));
    machine.succeed('systemd-tmpfiles', '--create', '/etc/tmpfiles.d/rtprelay.conf');
    machine.succeed('mkdir', '-p', '/var/spool/rsyslog', '/var/lib/logrotate', '/etc/rsyslog.d');
    const lines = ['[rtpengine]', 'interface = 127.0.0.1', 'listen-ng = 127.0.0.1:2223'];
    machine.write('/etc/rtprelay/rtprelay.conf', [...lines, 'log-level = 6', ''].join('\n'));
    // As the package of rsyslog has it, for syslog.socket.
    const unit = '/usr/lib/systemd/system/rsyslog.service';
    machine.succeed('ln', '-s', unit, '/etc/systemd/system/syslog.service');
    machine.succeed('systemctl', 'daemon-reload');
    machine.succeed('systemctl', 'start', 'rtprelay');
    machine.shell(
      document.take(
        'cp /usr/share/doc/rtprelay/examples/rsyslog.conf /etc/rsyslog.d/rtprelay.conf',
      ),
    );
    machine.shell(document.take('systemctl restart rsyslog'));
  });
  after(async () => {
    await machine?.stop();
    namespace?.remove();
  });

  /** The parts, the oldest first. */
  const parts = (): readonly string[] =>
    machine.succeed('sh', '-c', `ls -r ${file}*`).trim().split('\n');
  const textOf = (part: string): string =>
    machine.succeed(part.endsWith('.gz') ? 'zcat' : 'cat', part);

  it('is rotated within calls, and no line is lost', async () => {
    const words = ['control', '--ng', '127.0.0.1:2223', '--rate', '40', '--seconds', '8'];
    const load = new TestProcess('loadgen', loadgen, [...words, '--call-prefix', 'rotated'], {
      namespace: namespace.name,
    });
    try {
      for (let rotation = 1; rotation <= 3; rotation += 1) {
        // What is in it now is of the time after the last rotation.
        await until(
          () => ofCalls(machine.run('cat', file).output).length > 20,
          `lines after ${rotation - 1} rotations`,
        );
        expect(machine.succeed('logrotate', '--force', '/etc/logrotate.conf')).to.equal('');
      }
      expect(await load.ended(60_000), load.log()).to.equal(0);
    } finally {
      await load.stop('SIGKILL');
    }
    const journal = (): readonly string[] =>
      ofCalls(machine.succeed('journalctl', '--no-pager', '--quiet', '-u', 'rtprelay'));
    const written = (): readonly string[] => parts().flatMap((part) => ofCalls(textOf(part)));
    await until(() => written().length >= journal().length, 'all lines').catch(() => undefined);
    expect(parts().join(' ')).to.match(/\.log\.3\.gz .*\.log\.2\.gz .*\.log\.1 .*\.log$/);
    expect(written()).to.have.length.greaterThan(200);
    expect([...written()].sort()).to.deep.equal([...journal()].sort());
  });

  it('and the journal are asked as docs/logs.md says', () => {
    const warnings =
      'journalctl -u rtprelay -p warning -o json --output-fields=CALL_ID,TAG,MESSAGE';
    expect(machine.shell(document.take(warnings))).to.not.include('"PRIORITY":"6"');
    const ofOne = document.take('journalctl -u rtprelay CALL_ID=3c26700a@198.51.100.7');
    const known = /\[(rotated-\d+-\d+)\]/.exec(
      ofCalls(machine.succeed('cat', `${file}.1`))[0] ?? '',
    );
    expect(machine.shell(ofOne.replace(/=.*$/, `=${known?.[1] ?? ''}`))).to.include(
      'Creating new call',
    );
    expect(document.left).to.deep.equal([]);
  });
});

describe("a log file behind the daemon's stderr", function () {
  this.timeout(120_000);

  it('is rotated with copytruncate, and goes on whole', async function () {
    if (!isInstalled('/usr/sbin/logrotate')) {
      console.log('      skipped: logrotate is not installed');
      this.skip();
    }
    execFileSync(`${root}scripts/build-bench`);
    const folder = new TemporaryFolder('copytruncate');
    const log = folder.file('relay.log');
    const port = freeUdpPort();
    const words = ['--config-file=none', '--table=-1', '--foreground', '--log-level=6'];
    words.push('--interface=127.0.0.1', `--listen-ng=127.0.0.1:${port}`);
    const shell = `exec ${process.execPath} ${root}dist/bin/rtprelayd.js "$@" --log-stderr 2>>${log}`;
    const daemon = new TestProcess('rtprelayd', 'sh', ['-c', shell, 'sh', ...words]);
    writeFileSync(
      folder.file('logrotate.conf'),
      `${log} {\n\trotate 9\n\tnocompress\n\tcopytruncate\n}\n`,
      { mode: 0o644 },
    );
    const rotate = ['--force', '--state', folder.file('state'), folder.file('logrotate.conf')];
    const ng = new NgClient(port);
    try {
      await ng.ask({ command: 'ping' }, { tries: 300, intervalMs: 100 });
      const load = new TestProcess('loadgen', loadgen, [
        ...['control', '--ng', `127.0.0.1:${port}`, '--rate', '40', '--seconds', '6'],
        ...['--call-prefix', 'rotated', '--concurrency', String(atATime)],
      ]);
      try {
        for (let rotation = 1; rotation <= 3; rotation += 1) {
          await until(
            () => ofCalls(folder.read('relay.log')).length > 20,
            `lines after ${rotation - 1} rotations`,
          );
          execFileSync('/usr/sbin/logrotate', rotate);
        }
        expect(await load.ended(60_000), load.log()).to.equal(0);
      } finally {
        await load.stop('SIGKILL');
      }
      // The last one is there: the file is written on after the last rotation.
      await ng.ask({
        command: 'offer',
        'call-id': 'rotated-end-0',
        'from-tag': 'a',
        sdp: audioSdp(9000),
      });
      await until(() => folder.read('relay.log').includes('rotated-end-0'), 'the last call');
      const parts = ['relay.log.3', 'relay.log.2', 'relay.log.1', 'relay.log'].map((name) =>
        folder.read(name),
      );
      for (const part of parts) {
        expect(part.includes('\0'), 'bytes that nobody wrote').to.equal(false);
        expect(ofCalls(part).length).to.be.greaterThan(0);
      }
      const lines = parts.flatMap(ofCalls);
      const perCall = new Map<string, number>();
      for (const line of lines) {
        const call = /\[([^\]]+)\]/.exec(line)?.[1] ?? '';
        perCall.set(call, (perCall.get(call) ?? 0) + 1);
      }
      perCall.delete('rotated-end-0');
      const whole = Math.max(...perCall.values());
      const torn = [...perCall.values()].filter((count) => count < whole).length;
      // Of those alone that a rotation met.
      expect(perCall.size).to.be.greaterThan(100);
      expect(torn).to.be.at.most(3 * atATime);
    } finally {
      ng.close();
      await daemon.stop();
      folder.remove();
    }
  });
});
