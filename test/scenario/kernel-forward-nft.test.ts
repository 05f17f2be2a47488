/**
 * nftables forward settled streams: a relay node with a cable to the machine of the phones. No BPF.
 */
import { expect } from 'chai';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TemporaryFolder, type TestProcess } from '../support/child-process.js';
import {
  BpfFileSystem,
  obstacleToKernelForwarding,
  obstacleToNft,
} from '../support/kernel-forwarding.js';
import { untilToldSeconds } from '../support/load.js';
import { Pair } from '../support/pair.js';
import { pause, until } from '../support/wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const cli = 9900;
const calls = 105;
const streams = calls * 2;
const table = 'rtprelay_10_0_0_11_2223';

/** As Docker and others set it. */
const wall = 'table ip wall { chain f { type filter hook forward priority 0; policy drop; }; }';

describe('kernel forwarding by nftables', function () {
  this.timeout(240_000);
  let pair: Pair;

  before(function () {
    if (obstacleToNft() !== null) this.skip();
  });
  beforeEach(async () => {
    pair = new Pair();
    await pair.startRedis();
  });
  afterEach(async () => {
    await pair.remove();
  });

  const words = (...options: readonly string[]): readonly string[] => [
    ...[`--interface=${pair.one.address}`, `--listen-ng=${pair.one.address}:2223`],
    ...[`--listen-cli=${pair.one.address}:${cli}`, `--redis=10.0.0.1:6379/1`],
    ...['--port-min=30000', '--port-max=32767', '--no-fallback', ...options],
  ];
  const setForwarding = (value: 0 | 1): string =>
    pair.one.namespace.run('sysctl', '-w', `net.ipv4.conf.eth0.forwarding=${value}`);
  const start = (...options: readonly string[]): Promise<TestProcess> => {
    setForwarding(1);
    return pair.one.startRelay(words('--kernel-forward=nft', ...options));
  };
  const talk = (): Promise<TestProcess> =>
    pair.talk({
      ...{ ng: `${pair.one.address}:2223`, calls, seconds: untilToldSeconds, portBase: 10_000 },
    });
  const kernel = (): string => pair.one.command(cli, 'kernel');
  const flows = (): number => Number(/^Flows: (\d+)$/m.exec(kernel())?.[1] ?? Number.NaN);
  const forwarded = (): number => Number(/forwarded: (\d+)/.exec(kernel())?.[1] ?? 0);
  /** All flows are there, and the trial with the first of them is over. */
  async function settled(): Promise<void> {
    await until(() => flows() === streams, `${streams} flows`);
    await until(() => forwarded() > 1000, 'packets of all flows');
  }
  const tables = (): string => pair.one.namespace.run('nft', 'list', 'tables');

  /** The daemon with some capabilities only. */
  const startWith = (capabilities: string, ...options: readonly string[]): TestProcess =>
    pair.one.start('rtprelayd', 'setpriv', [
      ...[`--bounding-set=-all${capabilities}`, '--inh-caps=-all', process.execPath],
      ...[`${root}dist/bin/rtprelayd.js`, '--config-file=none', '-f', '-E', ...words(...options)],
    ]);

  it('needs no more rights than the unit gives it, which make auto choose it', async () => {
    setForwarding(1);
    const unit = readFileSync(`${root}deploy/systemd/kernel-forward-nft.conf`, 'latin1');
    const granted = /^CapabilityBoundingSet=CAP_(\S+)$/m.exec(unit)?.[1]?.toLowerCase() ?? '';
    const daemon = startWith(`,+${granted}`, '--kernel-forward=auto');
    await daemon.untilLogged('Startup complete');
    expect(daemon.log())
      .to.match(new RegExp(`Kernel forwarding: nft \\(not tc: .+\\); in table inet ${table}`))
      .and.match(/Kernel forwarding on eth0/);
  });

  it('is not chosen by auto where IP forwarding is off', async () => {
    setForwarding(0);
    const daemon = startWith(',+net_admin', '--kernel-forward=auto');
    await daemon.ended();
    expect(daemon.log()).to.match(
      /disallowed \(--no-fallback\): .+; nft would need IP forwarding, which is off/,
    );
    expect(tables()).to.equal('');
  });

  it('ends what a killed process forwarded by other means', async function () {
    if (obstacleToKernelForwarding() !== null) this.skip();
    const bpf = new BpfFileSystem();
    setForwarding(1);
    const by = (mode: string): Promise<TestProcess> =>
      pair.one.startRelay(
        words(`--kernel-forward=${mode}`, `--kernel-forward-pins=${bpf.file('relay')}`),
      );
    const first = await by('tc');
    await first.stop('SIGKILL');
    expect(existsSync(bpf.file('relay'))).to.equal(true);
    const second = await by('nft');
    expect(existsSync(bpf.file('relay'))).to.equal(false);
    await second.stop('SIGKILL');
    expect(tables()).to.match(/^table inet rtprelay_/);
    const third = await by('tc');
    expect(tables()).to.equal('');
    await third.stop();
    await (await by('nft')).stop('SIGKILL');
    expect(tables()).to.match(/^table inet rtprelay_/);
    const fourth = await by('none');
    await until(() => tables() === '', 'no table');
    await fourth.stop();
    bpf.remove();
  });

  it('says which right is missing', async () => {
    const daemon = startWith('', '--kernel-forward=nft');
    await daemon.ended();
    expect(daemon.log()).to.match(/--no-fallback\): nftables: Operation not permitted/);
  });

  it('says that libnftables were not there when it was built', async () => {
    const folder = new TemporaryFolder('build');
    copyFileSync(`${root}build/Release/rtprelay.node`, folder.file('rtprelay.node'));
    const hide = `mount --bind ${folder.path} ${root}build/Release`;
    const daemon = pair.one.start('rtprelayd', 'unshare', [
      ...['--mount', 'sh', '-c', `${hide} && exec "$@"`, 'sh', process.execPath],
      ...[`${root}dist/bin/rtprelayd.js`, '--config-file=none', '-f', '-E'],
      ...words('--kernel-forward=nft'),
    ]);
    await daemon.ended();
    expect(daemon.log()).to.match(/built without libnftables \(install libnftables-dev/);
    folder.remove();
  });

  it('leaves everything to the daemon where a firewall drops what is forwarded', async () => {
    const daemon = await start();
    const load = await talk();
    await settled();
    pair.one.namespace.run('nft', wall);
    await daemon.untilLogged('Kernel forwarding is suspended');
    expect(daemon.log()).to.match(/a firewall/);
    // They leave in slices, so that no reply waits for all of them.
    await until(() => flows() === 0, 'no flow in the kernel');
    const report = await pair.reportSoon(load);
    expect(report).to.include({ duplicates: 0, strange: 0 });
    expect(report.lostAtEnd.max).to.equal(0);
    expect(kernel()).to.match(/^Mode: nft, suspended/);
  });

  it('tries with one stream whether there is a firewall', async () => {
    const daemon = await start();
    pair.one.namespace.run('nft', wall);
    const load = await talk();
    await daemon.untilLogged('Kernel forwarding is suspended');
    const report = await pair.reportSoon(load);
    expect(report).to.include({ duplicates: 0, strange: 0 });
    expect(report.lost).to.be.at.least(1);
    expect(report.lostPerStream.p95, 'of the other streams').to.equal(0);
    expect(report.lostAtEnd.max).to.equal(0);
  });

  it('comes back when somebody flushes the rule set, and loses nothing', async () => {
    const daemon = await start();
    const load = await talk();
    await settled();
    pair.one.namespace.run('nft', 'flush', 'ruleset');
    await daemon.untilLogged('somebody had removed the table');
    expect(tables()).to.contain(table);
    const report = await pair.reportSoon(load);
    expect(report).to.include({ lost: 0, duplicates: 0, strange: 0 });
    expect(kernel()).to.match(/forwarded: [1-9]/);
  });

  it('says that IP forwarding is off, and relays in userspace until it is on', async () => {
    setForwarding(0);
    const fallback = words('--kernel-forward=nft').filter((word) => word !== '--no-fallback');
    const daemon = await pair.one.startRelay(fallback);
    expect(daemon.log()).to.contain(
      'No kernel forwarding on eth0: IP forwarding is off (net.ipv4.conf.eth0.forwarding); ' +
        '--kernel-forward-set-forwarding switches it on',
    );
    const load = await talk();
    await until(() => flows() === streams, `${streams} flows`);
    await pause(500);
    expect(kernel()).to.match(/^Devices: none$/m);
    setForwarding(1);
    await daemon.untilLogged('Kernel forwarding on eth0');
    await until(() => forwarded() > 5000, 'forwarding');
    setForwarding(0);
    const report = await pair.reportSoon(load);
    // What is on its way when forwarding ends is lost, and no more.
    expect(report).to.include({ duplicates: 0, strange: 0 });
    expect(report.lostAtEnd.max).to.equal(0);
  });

  it('switches IP forwarding on when asked', async () => {
    setForwarding(0);
    const daemon = await pair.one.startRelay(
      words('--kernel-forward=nft', '--kernel-forward-set-forwarding'),
    );
    expect(daemon.log()).to.match(/Kernel forwarding on eth0/);
    expect(pair.one.namespace.run('sysctl', '-n', 'net.ipv4.conf.eth0.forwarding')).to.equal('1\n');
  });
});
