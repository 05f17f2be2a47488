/**
 * The units of deploy/systemd under a real systemd: that they start, what the hardening leaves, and
 * that calls go on when the daemon is killed, restarted or frozen.
 *
 * The systemd is the init of namespaces of its own (PID, mount, network, UTS, IPC, control groups), with
 * a root of its own in memory: see test/support/isolated-systemd.sh. It boots in about half a second.
 */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { isInstalled, TestProcess } from '../support/child-process.js';
import { expectWaited, type LoadReport } from '../support/load.js';
import { obstacleToKernelForwarding } from '../support/kernel-forwarding.js';
import { NetworkNamespace } from '../support/namespaces.js';
import { IsolatedSystemd, systemdMissing } from '../support/systemd.js';
import { until } from '../support/wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const loadgen = `${root}build/bench/loadgen`;
const calls = 50;
/** A socket holds some eighty packets: at this pace, longer than a busy machine takes for a restart. */
const packetMs = 100;

describe('the systemd units', function () {
  this.timeout(60_000);
  let namespace: NetworkNamespace;
  let machine: IsolatedSystemd;
  let redis: TestProcess;

  before(async function () {
    const missing = systemdMissing();
    if (missing !== null) {
      console.log(`      skipped: ${missing}`);
      this.skip();
    }
    execFileSync(`${root}scripts/build-bench`);
    namespace = new NetworkNamespace('systemd');
    redis = new TestProcess('redis-server', 'redis-server', ['--save', '', '--dir', '/tmp'], {
      namespace: namespace.name,
    });
    await redis.untilLogged('Ready to accept connections');
    machine = await IsolatedSystemd.boot(namespace);
    for (const [name, port, database] of [
      ['rtprelay', 2223, 0],
      ['a', 3001, 1],
      ['b', 4001, 2],
    ] as const) {
      const lines = ['[rtpengine]', 'interface = 127.0.0.1', `listen-ng = 127.0.0.1:${port}`];
      lines.push(`redis = 127.0.0.1:6379/${database}`, `listen-cli = 127.0.0.1:${port + 1}`);
      lines.push(`port-min = ${port + 27_000}`, `port-max = ${port + 27_900}`, '');
      machine.write(`/etc/rtprelay/${name}.conf`, lines.join('\n'));
    }
    machine.succeed('systemctl', 'daemon-reload');
  });
  after(async () => {
    await machine?.stop();
    await redis?.stop('SIGKILL');
    namespace?.remove();
  });
  afterEach(() => {
    machine.run('systemctl', 'stop', 'rtprelay', 'rtprelay@a', 'rtprelay@b');
  });

  const pings = (port = 2223): boolean =>
    machine.run('rtprelay-probe', 'ping', '127.0.0.1', String(port)).status === 0;
  const mainPid = (unit = 'rtprelay'): string => machine.property(unit, 'MainPID');

  /** The unit notifies: once it counts as started, it answers. */
  function start(unit: string, port: number): void {
    machine.succeed('systemctl', 'start', unit);
    expect(pings(port)).to.equal(true);
  }

  /** Calls that talk while `disturb` does its work; what they lost. */
  async function talkDuring(disturb: () => void | Promise<void>): Promise<LoadReport> {
    const words = [
      ...['relay', '--ng', '127.0.0.1:2223', '--calls', String(calls), '--seconds', '6'],
      ...['--ptime', String(packetMs)],
    ];
    const load = new TestProcess('loadgen', loadgen, words, { namespace: namespace.name });
    try {
      await load.untilLogged('ready');
      await disturb();
      expect(await load.ended(60_000), load.log()).to.equal(0);
      return JSON.parse(load.log().slice(load.log().indexOf('{'))) as LoadReport;
    } finally {
      await load.stop('SIGKILL');
    }
  }

  function show(what: string, report: LoadReport): void {
    const { lostPerStream, longestPauseMs } = report;
    console.log(
      `      ${what}: lost per stream median ${lostPerStream.median}, max ${lostPerStream.max}; ` +
        `longest pause ${longestPauseMs.max} ms`,
    );
  }

  /** systemd kept the sockets, in which packets waited. */
  function expectCarriedOn(report: LoadReport, killed: number): void {
    expectWaited(report, packetMs, killed);
    expect(report.strange).to.equal(0);
    const text = machine.succeed('rtprelay-probe', 'cli', '127.0.0.1', '2224', '2', 'list totals');
    expect(text).to.match(/Total timed-out sessions via TIMEOUT\s*:0\n/);
  }

  it('are without fault as systemd-analyze sees it', () => {
    const words = [
      'systemd-analyze',
      'verify',
      '--man=no',
      'rtprelay.service',
      'rtprelay@a.service',
    ];
    expect(machine.run(...words)).to.deep.equal({ status: 0, output: '' });
  });

  it('leave the keepalived unit without fault with its drop-in', function () {
    if (!isInstalled('keepalived')) this.skip();
    const dropIn = '/etc/systemd/system/keepalived.service.d/rtprelay.conf';
    const from = '/usr/lib/rtprelay/deploy/keepalived/keepalived.service.conf';
    machine.succeed('install', '-D', '-m644', from, dropIn);
    const words = ['systemd-analyze', 'verify', '--man=no', 'keepalived.service'];
    expect(machine.run(...words)).to.deep.equal({ status: 0, output: '' });
  });

  it('start the daemon as a user of its own without any capability', async () => {
    start('rtprelay', 2223);
    const status = machine.succeed('cat', `/proc/${mainPid()}/status`);
    const user = machine.succeed('id', '-u', 'rtprelay').trim();
    expect(status).to.match(new RegExp(`^Uid:\\s+${user}\\s+${user}\\s`, 'm'));
    expect(status).to.match(/^CapEff:\s+0+$/m);
    expect(status).to.match(/^NoNewPrivs:\s+1$/m);
    expect(machine.journal('rtprelay')).to.include('Startup complete');
  });

  it('write to the journal with fields where the log is stderr', async () => {
    const conf = '/etc/rtprelay/a.conf';
    machine.succeed('sh', '-c', `cp ${conf} ${conf}.was && echo log-stderr = true >>${conf}`);
    try {
      start('rtprelay@a', 3001);
      const words = ['relay', '--ng', '127.0.0.1:3001', '--calls', '1', '--seconds', '5'];
      const load = new TestProcess('loadgen', loadgen, words, { namespace: namespace.name });
      expect(await load.ended(30_000), load.log()).to.equal(0);
      const entries = machine
        .succeed('journalctl', '--no-pager', '--output=json', '--unit=rtprelay@a')
        .split('\n')
        .filter((line) => line.includes('Confirmed peer address'))
        .map((line) => JSON.parse(line) as Readonly<Record<string, string>>);
      const [entry] = entries;
      expect(entry).to.include({ PRIORITY: '6', SYSLOG_IDENTIFIER: 'rtpengine' });
      expect(entry?.['_PID']).to.equal(mainPid('rtprelay@a'));
      expect(Number(entry?.['MEDIA_PORT'])).to.be.within(30_001, 31_000);
      expect(entry?.['TAG']).to.match(/./);
      const callId = entry?.['CALL_ID'] ?? '';
      expect(entry?.['MESSAGE']).to.include(`INFO: [${callId} port`);
      const found = machine.succeed('journalctl', '--no-pager', '-o', 'cat', `CALL_ID=${callId}`);
      expect(found).to.include('Confirmed peer address');
      expect(found).not.to.include('Startup complete');
    } finally {
      machine.succeed('mv', `${conf}.was`, conf);
    }
  });

  it('give it what kernel forwarding needs when the drop-in says so', async () => {
    const dropIn = '/etc/systemd/system/rtprelay.service.d/kernel-forward.conf';
    machine.succeed(
      ...['install', '-D', '-m644', '/usr/lib/rtprelay/deploy/systemd/kernel-forward.conf', dropIn],
    );
    try {
      machine.succeed('systemctl', 'daemon-reload');
      const words = ['systemd-analyze', 'verify', '--man=no', 'rtprelay.service'];
      expect(machine.run(...words)).to.deep.equal({ status: 0, output: '' });
      start('rtprelay', 2223);
      const status = machine.succeed('cat', `/proc/${mainPid()}/status`);
      // CAP_NET_ADMIN 12, CAP_PERFMON 38, CAP_BPF 39.
      const granted = (1n << 12n) | (1n << 38n) | (1n << 39n);
      expect(BigInt(`0x${/^CapEff:\s+(\w+)$/m.exec(status)?.[1]}`)).to.equal(granted);
    } finally {
      machine.succeed('rm', dropIn);
      machine.succeed('systemctl', 'daemon-reload');
    }
  });

  it('give it what steered ports need when the drop-in says so', async function () {
    if (obstacleToKernelForwarding() !== null) this.skip();
    const folder = '/etc/systemd/system/rtprelay.service.d';
    const dropIn = '/usr/lib/rtprelay/deploy/systemd/steered-ports.conf';
    // systemd itself does so outside of containers.
    machine.succeed('sh', '-c', 'mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf');
    machine.succeed('install', '-D', '-m644', dropIn, `${folder}/steered-ports.conf`);
    const option = '[Service]\nEnvironment=RTPRELAYD_OPTIONS=--port-mode=steered\n';
    machine.write(`${folder}/option.conf`, option);
    try {
      machine.succeed('systemctl', 'daemon-reload');
      start('rtprelay', 2223);
      expect(machine.journal('rtprelay')).to.include('Media ports: steered (--port-mode=steered)');
    } finally {
      machine.succeed('rm', '-r', folder);
      machine.succeed('systemctl', 'daemon-reload');
    }
  });

  it('start a killed daemon again at once, and its calls go on', async () => {
    start('rtprelay', 2223);
    const first = mainPid();
    const report = await talkDuring(() => {
      machine.succeed('kill', '-KILL', first);
    });
    show('kill -9', report);
    expect(mainPid()).not.to.equal(first);
    expect(Number(machine.property('rtprelay', 'NRestarts'))).to.equal(1);
    expectCarriedOn(report, 1);
  });

  it('restart it, and the calls go on', async () => {
    start('rtprelay', 2223);
    const first = mainPid();
    const report = await talkDuring(() => {
      machine.succeed('systemctl', 'restart', 'rtprelay');
    });
    show('systemctl restart', report);
    expect(mainPid()).not.to.equal(first);
    expectCarriedOn(report, 0);
  });

  it('never give up a daemon that dies again and again', async () => {
    start('rtprelay', 2223);
    for (let time = 1; time <= 8; time += 1) {
      const pid = mainPid();
      machine.succeed('kill', '-KILL', pid);
      await until(() => ![pid, '0'].includes(mainPid()), 'another process');
    }
    await until(() => pings(), 'the answer to a ping');
    expect(Number(machine.property('rtprelay', 'NRestarts'))).to.equal(8);
  });

  it('end a frozen daemon by the watchdog', async () => {
    machine.write(
      '/etc/systemd/system/rtprelay.service.d/quick.conf',
      '[Service]\nWatchdogSec=1s\n',
    );
    machine.succeed('systemctl', 'daemon-reload');
    start('rtprelay', 2223);
    const first = mainPid();
    machine.succeed('kill', '-STOP', first);
    await until(() => ![first, '0'].includes(mainPid()), 'another process');
    await until(() => pings(), 'the answer to a ping');
    expect(machine.journal('rtprelay')).to.include('Watchdog timeout');
    machine.succeed('rm', '/etc/systemd/system/rtprelay.service.d/quick.conf');
    machine.succeed('systemctl', 'daemon-reload');
  });

  it('run two instances side by side, each with its own configuration', async () => {
    start('rtprelay@a', 3001);
    start('rtprelay@b', 4001);
    machine.succeed('systemctl', 'stop', 'rtprelay@a');
    expect(pings(3001)).to.equal(false);
    expect(pings(4001)).to.equal(true);
  });
});
