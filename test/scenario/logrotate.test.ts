/**
 * The shipped configuration of logrotate and of rsyslog with the real programs: while calls come and go the file of the relay's
 * lines is rotated, and each line that the journal has is in one of its parts, once.
 */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isInstalled, TestProcess } from '../support/child-process.js';
import { Commands } from '../support/document.js';
import { NetworkNamespace } from '../support/namespaces.js';
import { IsolatedSystemd, systemdMissing } from '../support/systemd.js';
import { until } from '../support/wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const loadgen = `${root}build/bench/loadgen`;
const shipped = (name: string): string => readFileSync(`${root}packaging/files/${name}`, 'utf8');
const file = '/var/log/rtprelay/rtprelay.log';

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
    const example = '/usr/share/doc/rtprelay/examples/rsyslog.conf';
    machine.shell(document.take(`cp ${example} /etc/rsyslog.d/rtprelay.conf`));
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
  /** What the relay wrote about calls, without moment and place. */
  const ofCalls = (text: string): readonly string[] =>
    text.split('\n').flatMap((line) => /: (\w+: \[rotated-\d+.*)$/.exec(line)?.[1] ?? []);

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
    const call = '3c26700a@198.51.100.7';
    const ofOne = document.take(`journalctl -u rtprelay CALL_ID=${call}`);
    const known = /\[(rotated-\d+-\d+)\]/.exec(
      ofCalls(machine.succeed('cat', `${file}.1`))[0] ?? '',
    );
    expect(machine.shell(ofOne.replace(call, known?.[1] ?? ''))).to.include('Creating new call');
    expect(document.left).to.deep.equal([]);
  });
});
