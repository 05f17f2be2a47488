/**
 * The Debian package in short, with dpkg and a systemd of its own over this machine's own /usr: installed, installed anew within
 * calls, purged. In whole systems, with Kamailio and rtpengine: test/package, by scripts/package-test.
 */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { AppArmorProfile, traceUnit, unitDenials } from '../support/apparmor.js';
import { obstacleToKernelForwarding, obstacleToNft } from '../support/kernel-forwarding.js';
import { isInstalled, TemporaryFolder, TestProcess } from '../support/child-process.js';
import { Commands } from '../support/document.js';
import type { LoadReport } from '../support/load.js';
import { connectNamespaces, NetworkNamespace } from '../support/namespaces.js';
import { IsolatedSystemd, systemdMissing } from '../support/systemd.js';
import { until } from '../support/wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const loadgen = `${root}build/bench/loadgen`;
const knownPackages = '/var/lib/dpkg/status';
const address = '192.0.2.21';
const phoneAddress = '192.0.2.22';
const ourFiles =
  'find / -xdev \\( -path /proc -o -path /sys -o -path /root \\) -prune -o -path "*rtprelay*" -print; getent passwd rtprelay || true';

/** Where calls come from: loadgen's namespace and options. */
interface Caller {
  readonly namespace: NetworkNamespace;
  readonly words: readonly string[];
}

/** Why there can be no package; null: nothing is missing. */
function missing(): string | null {
  if (process.arch !== 'x64') return 'packages are made for amd64 only';
  const tool = ['dpkg-deb', 'dpkg-shlibdeps', 'strip'].find((each) => !isInstalled(each));
  if (tool !== undefined) return `${tool} is not installed`;
  return existsSync(knownPackages) ? systemdMissing() : 'this is no Debian';
}

const document = new Commands('packages.md');

/** The file; null: Node's release for it cannot be fetched here, or the machine's own is too old. */
function makePackage(folder: TemporaryFolder): string | null {
  const release = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  const command = document.take(
    release === 'trixie'
      ? 'npm run package:deb -- --suite=trixie'
      : 'npm run package:deb -- --suite=bookworm',
  );
  const line = `${command} --compress=none --output=${folder.path}`;
  const made = spawnSync('sh', ['-c', line], { cwd: root, encoding: 'utf8' });
  // Behind npm's own words.
  if (made.status === 0) return made.stdout.trim().split('\n').at(-1) ?? '';
  if (/npm error|nodejs/.test(made.stderr)) return null;
  throw new Error(made.stderr);
}

describe('the Debian package', function () {
  this.timeout(180_000);
  this.bail(true);
  const folder = new TemporaryFolder('package');
  let namespace: NetworkNamespace;
  let phones: NetworkNamespace;
  let machine: IsolatedSystemd;
  let redis: TestProcess;

  before(async function () {
    const reason = missing();
    const file = reason === null ? makePackage(folder) : null;
    if (file === null) {
      console.log(`      skipped: ${reason ?? "Node's release cannot be had"}`);
      this.skip();
    }
    execFileSync(`${root}scripts/build-bench`);
    namespace = new NetworkNamespace('package');
    phones = new NetworkNamespace('phones');
    const cable = { namespace: phones, device: 'eth0', address: `${phoneAddress}/24` };
    connectNamespaces({ namespace, device: 'eth0', address: `${address}/24` }, cable);
    namespace.run('sysctl', '-q', '-w', 'net.ipv4.ip_forward=1');
    const words = ['--save', '', '--dir', folder.path];
    redis = new TestProcess('redis-server', 'redis-server', words, { namespace: namespace.name });
    await redis.untilLogged('Ready to accept connections');
    machine = await IsolatedSystemd.boot(namespace, 'empty');
    machine.succeed('mkdir', '-p', '/var/lib/dpkg/info', '/var/lib/dpkg/updates');
    machine.writeBytes(knownPackages, readFileSync(knownPackages));
    machine.writeBytes('/root/rtprelay.deb', readFileSync(file));
    // A container's image may have it that nothing is started.
    machine.succeed('rm', '-f', '/usr/sbin/policy-rc.d');
  });
  after(async () => {
    await machine?.stop();
    await redis?.stop('SIGKILL');
    namespace?.remove();
    phones?.remove();
    folder.remove();
  });

  function dpkg(...words: readonly string[]): string {
    const plain = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root'];
    const { status, output } = machine.runWithin(
      120_000,
      ...[...plain, 'dpkg', '--force-unsafe-io', ...words],
    );
    if (status !== 0) throw new Error(`dpkg ${words.join(' ')}: ${output}`);
    return output;
  }

  /** Calls at a pace at which a socket holds eight seconds, so that a busy machine may take that long. */
  async function talkDuring(
    seconds: number,
    disturb: () => void | Promise<void>,
    from: Caller = { namespace, words: ['--ng', '127.0.0.1:2223'] },
  ): Promise<LoadReport> {
    const words = ['relay', ...from.words, '--calls', '20', '--ptime', '100'];
    const load = new TestProcess('loadgen', loadgen, [...words, '--seconds', String(seconds)], {
      namespace: from.namespace.name,
    });
    try {
      await load.untilLogged('ready');
      await disturb();
      expect(load.log(), 'it took longer than the calls').to.not.include('{');
      expect(await load.ended(120_000), load.log()).to.equal(0);
      return JSON.parse(load.log().slice(load.log().indexOf('{'))) as LoadReport;
    } finally {
      await load.stop('SIGKILL');
    }
  }

  it('is installed, and serves by its unit', async () => {
    const said = dpkg('-i', '/root/rtprelay.deb');
    await until(
      () => machine.run('rtprelay-probe', 'ping', '127.0.0.1', '2223').status === 0,
      'the answer to a ping',
    ).catch((error: unknown) => {
      const status = machine.run('systemctl', '--no-pager', 'status', 'rtprelay').output;
      throw new Error(`${String(error)}\n${said}\n${status}\n${machine.journal('rtprelay')}`);
    });
    expect(machine.property('rtprelay', 'ActiveState')).to.equal('active');
    expect(machine.succeed('rtprelayctl', 'list', 'numsessions')).to.include(
      'Current sessions total: 0',
    );
    machine.succeed('sh', '-c', 'ls /usr/lib/rtprelay/dist/bin/cache/v*');
  });

  it('is installed over itself within calls, and no packet is lost', async () => {
    const redisLine = 's/^#redis = .*/redis = 127.0.0.1:6379\\/1/';
    machine.succeed('sed', '-i', redisLine, '/etc/rtprelay/rtprelay.conf');
    machine.succeed('systemctl', 'restart', 'rtprelay');
    const before = machine.property('rtprelay', 'MainPID');
    const report = await talkDuring(15, () => {
      const said = dpkg('-i', '/root/rtprelay.deb');
      expect(said).to.match(/rtprelay\.service runs this version now: [1-9]\d* calls/);
    });
    expect(machine.property('rtprelay', 'MainPID')).to.not.equal(before);
    expect(report.received).to.be.greaterThan(0);
    expect(report.lost).to.equal(0);
  });

  let profile: AppArmorProfile | undefined;
  const traced = '/etc/systemd/system/rtprelay.service.d';
  const inTurn = ['list sessions all', 'explain load-1', 'status', 'list interfaces', 'kernel'];

  /** What the profile would have denied the daemon with these options, within calls. */
  async function deniedDuring(
    options: string,
    dropIn: string | null,
    talk: () => Promise<void>,
  ): Promise<readonly string[]> {
    traceUnit(machine, options);
    if (dropIn !== null) {
      machine.write(`${traced}/mode.conf`, readFileSync(`${root}deploy/systemd/${dropIn}`, 'utf8'));
      machine.succeed('systemctl', 'daemon-reload');
    }
    machine.shell('systemctl restart rtprelay');
    await talk();
    machine.succeed('systemctl', 'stop', 'rtprelay');
    // By a profile without rules, all of it.
    expect(unitDenials(machine, new AppArmorProfile('')).length).to.be.greaterThan(30);
    const denied = unitDenials(machine, profile ?? new AppArmorProfile(''));
    machine.succeed('rm', '-r', traced);
    machine.succeed('systemctl', 'daemon-reload');
    return denied;
  }

  it('does nothing that its AppArmor profile would deny', async function () {
    if (!isInstalled('strace') || !isInstalled('/usr/sbin/apparmor_parser')) this.skip();
    const words = ['--preprocess', `${root}packaging/files/apparmor`];
    const text = execFileSync('/usr/sbin/apparmor_parser', words, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    profile = new AppArmorProfile(text);
    const options =
      '--listen-http=127.0.0.1:8080 --live-page --listen-ng=127.0.0.1:2223 --listen-ng=unix:/run/rtprelay/ng';
    const denied = await deniedDuring(options, null, async () => {
      const report = await talkDuring(15, () => {
        machine.succeed('systemctl', 'reload', 'rtprelay');
        for (const command of inTurn) machine.run('rtprelayctl', ...command.split(' '));
      });
      expect(report.received).to.be.greaterThan(0);
    });
    expect(denied).to.deep.equal([]);
  });

  async function killOneOfThePair(): Promise<void> {
    const standsBy = (): number =>
      machine.journal('rtprelay').match(/Standing by for the active process/g)?.length ?? 0;
    const before = standsBy();
    const parent = machine.property('rtprelay', 'MainPID');
    const children = machine.succeed('cat', `/proc/${parent}/task/${parent}/children`);
    machine.succeed('kill', '-KILL', children.trim().split(' ')[0] ?? '');
    await until(() => standsBy() > before, 'the next one that stands by');
  }

  async function forwards(mode: RegExp): Promise<void> {
    await until(() => {
      const { output } = machine.run('rtprelayctl', 'kernel');
      return mode.test(output) && /^Flows: [1-9]/m.test(output);
    }, 'flows');
  }

  async function isSteered(): Promise<void> {
    await until(
      () => machine.journal('rtprelay').includes('Media ports: steered'),
      'steered ports',
    );
  }

  interface Mode {
    readonly what: string;
    readonly options: string;
    /** Of the units. */
    readonly dropIn: string | null;
    /** Why it cannot be had here. */
    readonly obstacle: () => string | null;
    /** That it is at work, within calls. */
    readonly works: () => Promise<void>;
  }

  const modes: readonly Mode[] = [
    {
      ...{ what: 'a pair, one of which is killed', options: '--socket-store=no --pair=yes' },
      ...{ dropIn: null, obstacle: () => null, works: killOneOfThePair },
    },
    {
      ...{ what: 'steered ports', options: '--port-mode=steered' },
      ...{ dropIn: 'steered-ports.conf', obstacle: obstacleToKernelForwarding, works: isSteered },
    },
    {
      ...{ what: 'kernel forwarding by TC', options: '--kernel-forward=tc' },
      ...{
        dropIn: 'kernel-forward.conf',
        obstacle: obstacleToKernelForwarding,
        works: async () => forwards(/^Mode: tc$/m),
      },
    },
    {
      ...{ what: 'kernel forwarding by nftables', options: '--kernel-forward=nft' },
      ...{
        dropIn: 'kernel-forward-nft.conf',
        obstacle: obstacleToNft,
        works: async () => forwards(/^Mode: nft$/m),
      },
    },
  ];
  for (const { what, options, dropIn, obstacle, works } of modes) {
    it(`nor with ${what}`, async function () {
      if (profile === undefined || obstacle() !== null) this.skip();
      // systemd itself does so outside of containers.
      machine.run('sh', '-c', 'mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf');
      const listens = `--listen-ng=${address}:2223 --listen-cli=127.0.0.1:9900`;
      const from = ['--ng', `${address}:2223`, '--bind-a', phoneAddress, '--bind-b', phoneAddress];
      const denied = await deniedDuring(`${options} ${listens}`, dropIn, async () => {
        const disturb = async (): Promise<void> => {
          await works();
          for (const command of inTurn) machine.run('rtprelayctl', ...command.split(' '));
        };
        const report = await talkDuring(10, disturb, { namespace: phones, words: from });
        expect(report.received).to.be.greaterThan(0);
      });
      expect(denied).to.deep.equal([]);
    });
  }

  it('leaves nothing behind when it is purged', () => {
    dpkg('--purge', 'rtprelay');
    expect(machine.succeed('sh', '-c', ourFiles)).to.equal('');
  });
});
