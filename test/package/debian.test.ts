/**
 * The Debian package in a fresh system with its own systemd: installed by apt, upgraded while calls talk, in
 * rtpengine's place and back in the middle of calls, purged. scripts/package-test prepares what it needs.
 */
import { expect } from 'chai';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TestProcess } from '../support/child-process.js';
import type { LoadReport } from '../support/load.js';
import { NetworkNamespace } from '../support/namespaces.js';
import { IsolatedSystemd, systemdMissing } from '../support/systemd.js';
import { until } from '../support/wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const loadgen = `${root}build/bench/loadgen`;
const suites = (process.env['RTPRELAY_SUITES'] ?? 'bookworm trixie').split(' ');
const address = '192.0.2.20';
/** Everything there is, but for what apt, dpkg and the journal keep of their own. */
const listing =
  `find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /root
  -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/cache/apt -o -path /var/log/apt -o -path /var/log/journal
  -o -path /var/lib/systemd -o -path /var/cache/debconf \\) -prune -o -print | sort`.replaceAll(
    '\n',
    ' ',
  );

function packageOf(suite: string, revision: number): string {
  const tag = suite === 'bookworm' ? 'deb12' : 'deb13';
  const name = readdirSync(`${root}build/packages`).find((each) =>
    each.includes(`-${revision}+${tag}_`),
  );
  if (name === undefined) throw new Error(`no package of ${suite}, revision ${revision}`);
  return `${root}build/packages/${name}`;
}

/** A fresh system in a network of its own, with the packages in /root. */
class Machine {
  private constructor(
    readonly suite: string,
    readonly namespace: NetworkNamespace,
    readonly systemd: IsolatedSystemd,
  ) {}

  static async boot(suite: string): Promise<Machine> {
    const namespace = new NetworkNamespace('package');
    // rtpengine's stock configuration takes any address but the loopback's.
    namespace.ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'cable');
    for (const device of ['eth0', 'cable']) namespace.ip('link', 'set', device, 'up');
    namespace.addAddress('eth0', `${address}/24`);
    const systemd = await IsolatedSystemd.bootDebian(namespace, `${root}build/roots/${suite}`);
    for (const revision of [1, 2]) {
      systemd.writeBytes(
        `/root/rtprelay-${revision}.deb`,
        readFileSync(packageOf(suite, revision)),
      );
    }
    return new Machine(suite, namespace, systemd);
  }

  async stop(): Promise<void> {
    await this.systemd.stop();
    this.namespace.remove();
  }

  /** Runs commands as root; throws when one fails. */
  shell(commands: string): string {
    const words = [
      'env',
      '-i',
      'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
      'DEBIAN_FRONTEND=noninteractive',
      'HOME=/root',
    ];
    const { status, output } = this.systemd.runWithin(300_000, ...words, 'bash', '-ec', commands);
    if (status !== 0) {
      const journal = this.systemd.run('journalctl', '--no-pager', '--lines=60').output;
      throw new Error(`${commands}: ${String(status)}\n${output}\n${journal}`);
    }
    return output;
  }

  /** `apt install`; the machine has no network, so all else must be in apt's cache. Returns what it wrote. */
  apt(...words: readonly string[]): string {
    return this.shell(`apt-get -y -q --no-install-recommends ${words.join(' ')}`);
  }

  active(unit: string): boolean {
    return this.systemd.run('systemctl', 'is-active', unit).output === 'active\n';
  }

  program(unit: string): string {
    return this.shell(`tr '\\0' ' ' </proc/$(systemctl show -P MainPID ${unit})/cmdline`);
  }

  /** `calls` calls that talk for `seconds` while `disturb` does its work; what they lost. */
  async talkDuring(
    seconds: number,
    disturb: (ready: LoadSession) => void | Promise<void>,
  ): Promise<LoadReport> {
    const words = [
      'relay',
      '--ng',
      '127.0.0.1:2223',
      '--calls',
      '20',
      '--seconds',
      String(seconds),
    ];
    const load = new TestProcess('loadgen', loadgen, words, { namespace: this.namespace.name });
    try {
      await load.untilLogged('ready');
      await disturb({ ended: () => load.log().includes('{') });
      expect(await load.ended(120_000), load.log()).to.equal(0);
      return JSON.parse(load.log().slice(load.log().indexOf('{'))) as LoadReport;
    } finally {
      await load.stop('SIGKILL');
    }
  }
}

interface LoadSession {
  /** The calls have ended: what was to happen within them came too late. */
  readonly ended: () => boolean;
}

const show = (what: string, { lostPerStream, longestPauseMs }: LoadReport): void =>
  console.log(
    `      ${what}: lost per stream median ${lostPerStream.median}, max ${lostPerStream.max}; longest pause ${longestPauseMs.max} ms`,
  );

/** Skips where it cannot be; boots a machine for the tests of the describe block. */
function useMachine(suite: string): () => Machine {
  let machine: Machine | null = null;
  before(async function () {
    const prepared = existsSync(`${root}build/roots/${suite}`) && existsSync(loadgen);
    const missing = systemdMissing() ?? (prepared ? null : 'scripts/package-test prepares it');
    if (missing !== null) {
      console.log(`      skipped: ${missing}`);
      this.skip();
    }
    machine = await Machine.boot(suite);
    machine.shell('systemctl start redis-server');
  });
  after(async () => {
    await machine?.stop();
  });
  return () => {
    if (machine === null) throw new Error('no machine');
    return machine;
  };
}

/** Seconds from the first command to the first answered ping. */
async function secondsToServe(
  machine: Machine,
  port: number,
  install: () => void,
): Promise<number> {
  const start = performance.now();
  install();
  await until(
    () => machine.systemd.run('bash', '-c', ping(port)).status === 0,
    'the answer to a ping',
  );
  return (performance.now() - start) / 1000;
}

/** An NG ping by the shell alone: rtprelay-probe may not be there. */
const ping = (port: number): string =>
  `exec 3<>/dev/udp/127.0.0.1/${port}; echo -n 'x d7:command4:pinge' >&3; timeout 0.5 dd bs=4096 count=1 <&3 2>/dev/null | grep -q pong`;

const seconds: Record<string, number> = {};

/** A machine so busy that a restart takes longer than what a socket can hold (some 3 s of a call) gets further tries. */
const busy = 2;

for (const suite of suites) {
  describe(`the package in a fresh ${suite}`, function () {
    this.timeout(600_000);
    this.bail(true);
    const the = useMachine(suite);
    let before: ReadonlySet<string>;
    const files = (): ReadonlySet<string> => new Set(the().shell(listing).trim().split('\n'));

    it('is installed by apt, serves, and relays calls', async () => {
      const machine = the();
      before = files();
      seconds[suite] = await secondsToServe(machine, 2223, () =>
        machine.apt('install', '/root/rtprelay-1.deb'),
      );
      expect(machine.active('rtprelay')).to.equal(true);
      machine.shell(
        'systemctl is-enabled rtprelay; systemctl reload rtprelay; systemd-analyze verify --man=no rtprelay.service rtprelay@a.service',
      );
      machine.shell(
        "sed -i 's/^#redis = .*/redis = 127.0.0.1:6379\\/1/' /etc/rtprelay/rtprelay.conf; systemctl restart rtprelay",
      );
      expect(machine.shell('rtprelayctl list numsessions')).to.include('Current sessions total: 0');
      const report = await machine.talkDuring(3, () => undefined);
      expect(report.received).to.be.greaterThan(0);
      expect(report.lost).to.equal(0);
      // Neither the network nor a compiler, and the code is compiled already.
      expect(machine.shell('ls /usr/lib/rtprelay/dist/bin/cache/')).to.match(/^v\d+/);
      const size = machine.shell("dpkg-query -Wf '${Installed-Size}' rtprelay").trim();
      console.log(`      installed size ${(Number(size) / 1024).toFixed(1)} MiB`);
      expect(Number(size)).to.be.at.most(90 * 1024);
    });

    it('is upgraded while calls talk: no packet is lost, the configuration is kept', async function () {
      this.retries(busy);
      const machine = the();
      const [configuration, pid] = [
        machine.shell('cat /etc/rtprelay/rtprelay.conf'),
        machine.shell('systemctl show -P MainPID rtprelay'),
      ];
      const report = await machine.talkDuring(25, ({ ended }) => {
        machine.apt('install', '--reinstall', '/root/rtprelay-2.deb');
        expect(ended(), 'the upgrade took longer than the calls').to.equal(false);
      });
      show('upgrade', report);
      expect(report.received).to.be.greaterThan(0);
      expect(report.lost).to.equal(0);
      expect(machine.shell('systemctl show -P MainPID rtprelay')).to.not.equal(pid);
      expect(machine.shell("dpkg-query -Wf '${Version}' rtprelay")).to.include('-2+');
      expect(machine.shell('cat /etc/rtprelay/rtprelay.conf')).to.equal(configuration);
      expect(machine.shell('stat -c %U:%G:%a /etc/rtprelay/rtprelay.conf').trim()).to.equal(
        'root:rtprelay:640',
      );
    });

    it('goes back to the former version in the same way', async function () {
      this.retries(busy);
      const machine = the();
      const report = await machine.talkDuring(25, ({ ended }) => {
        machine.apt('install', '--reinstall', '--allow-downgrades', '/root/rtprelay-1.deb');
        expect(ended(), 'it took longer than the calls').to.equal(false);
      });
      show('downgrade', report);
      expect(report.lost).to.equal(0);
    });

    it('leaves a stopped daemon stopped, and an instance running', () => {
      const machine = the();
      machine.shell(
        `systemctl stop rtprelay; printf '[rtpengine]\\ninterface = any\\nlisten-ng = 127.0.0.1:3001\\n' >/etc/rtprelay/a.conf
        systemctl start rtprelay@a`,
      );
      const pid = machine.shell('systemctl show -P MainPID rtprelay@a');
      machine.apt('install', '/root/rtprelay-2.deb');
      expect(machine.active('rtprelay')).to.equal(false);
      expect(machine.active('rtprelay@a')).to.equal(true);
      expect(machine.shell('systemctl show -P MainPID rtprelay@a')).to.not.equal(pid);
    });

    it('is removed and comes back with its configuration', () => {
      const machine = the();
      machine.apt('remove', 'rtprelay');
      expect(machine.shell("grep -ls '[r]tprelayd' /proc/[0-9]*/cmdline || true")).to.equal('');
      machine.shell('grep -q "^redis = " /etc/rtprelay/rtprelay.conf');
      machine.apt('install', '/root/rtprelay-2.deb');
      expect(machine.active('rtprelay')).to.equal(true);
      expect(machine.shell('rtprelayctl list numsessions')).to.include('Current sessions total: 0');
    });

    it('leaves nothing behind when it is purged', () => {
      const machine = the();
      machine.shell('rm /etc/rtprelay/a.conf');
      machine.apt('purge', 'rtprelay');
      const left = [...files()].filter((path) => !before.has(path));
      expect(left.filter((path) => path.includes('rtprelay'))).to.deep.equal([]);
      // What is new belongs to packages that came along, or is an alternative of theirs.
      const strange = left.filter(
        (path) =>
          machine.systemd.run('dpkg', '-S', path).status !== 0 &&
          !machine.systemd.run('readlink', path).output.startsWith('/etc/alternatives/') &&
          !path.startsWith('/etc/alternatives/'),
      );
      expect(
        strange.filter((path) => !/ld\.so|\/var\/log\/|\/__pycache__/.test(path)),
      ).to.deep.equal([]);
      expect(
        machine.shell(
          '{ getent passwd rtprelay; getent group rtprelay; ls /run | grep rtprelay; } || true',
        ),
      ).to.equal('');
      expect(
        machine.shell('systemctl list-units --all --plain --no-legend "rtprelay*"; true'),
      ).to.equal('');
    });
  });

  describe(`the package beside rtpengine in a fresh ${suite}`, function () {
    this.timeout(600_000);
    this.bail(true);
    const the = useMachine(suite);

    it('tells of rtpengine and leaves its ports alone', async () => {
      const machine = the();
      const took = await secondsToServe(machine, 2223, () =>
        machine.apt('install', 'rtpengine-daemon'),
      );
      console.log(
        `      from apt to the first answer: rtprelay ${seconds[suite]?.toFixed(1)} s, rtpengine ${took.toFixed(1)} s`,
      );
      const redis = 's/^\\[rtpengine\\]/&\\nredis = 127.0.0.1:6379\\/1/';
      machine.shell(
        `sed -i '${redis}' /etc/rtpengine/rtpengine.conf; systemctl restart rtpengine-daemon`,
      );
      const pid = machine.shell('systemctl show -P MainPID rtpengine-daemon');
      const said = machine.apt('install', '/root/rtprelay-1.deb');
      expect(said).to.include('rtprelay-switch rtprelay');
      expect(machine.shell('systemctl show -P MainPID rtpengine-daemon')).to.equal(pid);
      expect(machine.active('rtprelay')).to.equal(false);
      expect(machine.systemd.run('systemctl', 'is-enabled', 'rtprelay').output).to.equal(
        'disabled\n',
      );
      expect(machine.shell('rtprelay-switch status')).to.equal(
        'rtpengine (rtpengine-daemon.service)\n',
      );
    });

    it('says whose the control port is when it is started all the same', () => {
      const machine = the();
      machine.systemd.run('systemctl', 'start', 'rtprelay');
      machine.systemd.run('systemctl', 'stop', 'rtprelay');
      const journal = machine.systemd.journal('rtprelay');
      expect(journal).to.match(/2223.*another program has the port/);
      expect(journal).to.include('rtprelay-switch');
    });

    it("takes rtpengine's place in the middle of calls, is upgraded there, and gives it back", async function () {
      this.retries(busy);
      const machine = the();
      const there = await machine.talkDuring(15, () => {
        expect(machine.shell('rtprelay-switch rtprelay')).to.include(
          "rtprelayd in rtpengine's place",
        );
        expect(machine.program('rtpengine-daemon')).to.include('/usr/bin/rtprelayd ');
      });
      show('to rtprelayd', there);
      // A call that had ended would have lost nearly all.
      expect(there.received).to.be.greaterThan(there.sent / 2);
      const upgraded = await machine.talkDuring(25, () => {
        machine.apt('install', '--reinstall', '/root/rtprelay-2.deb');
      });
      show('upgrade in its place', upgraded);
      expect(upgraded.lost).to.equal(0);
      const back = await machine.talkDuring(15, () => {
        expect(machine.shell('rtprelay-switch rtpengine')).to.equal(
          'rtpengine (rtpengine-daemon.service)\n',
        );
        expect(machine.program('rtpengine-daemon')).to.include('/usr/bin/rtpengine ');
      });
      show('back to rtpengine', back);
      expect(back.received).to.be.greaterThan(back.sent / 2);
    });

    it('refuses a switch that would end calls', () => {
      const machine = the();
      machine.shell("sed -i.saved '/^redis/d' /etc/rtpengine/rtpengine.conf");
      const { status, output } = machine.systemd.run('rtprelay-switch', 'rtprelay');
      expect(status).to.equal(1);
      expect(output).to.include('names no Redis');
      expect(machine.program('rtpengine-daemon')).to.include('/usr/bin/rtpengine ');
      machine.shell('mv /etc/rtpengine/rtpengine.conf.saved /etc/rtpengine/rtpengine.conf');
    });

    it("serves by its own unit with rtpengine's configuration, and goes back by one command", async () => {
      const machine = the();
      machine.shell(
        'rtprelay-switch import; cmp /etc/rtpengine/rtpengine.conf /etc/rtprelay/rtprelay.conf',
      );
      const report = await machine.talkDuring(15, () => {
        machine.shell('systemctl disable --now rtpengine-daemon; systemctl enable --now rtprelay');
        expect(machine.shell('rtprelay-switch status')).to.equal('rtprelayd (rtprelay.service)\n');
      });
      expect(report.received).to.be.greaterThan(report.sent / 2);
      const back = await machine.talkDuring(15, () => {
        expect(machine.shell('rtprelay-switch rtpengine')).to.equal(
          'rtpengine (rtpengine-daemon.service)\n',
        );
      });
      expect(back.received).to.be.greaterThan(back.sent / 2);
      expect(machine.systemd.run('systemctl', 'is-enabled', 'rtprelay').output).to.equal(
        'disabled\n',
      );
    });

    it('gives rtpengine its unit back when it is purged, calls included', async () => {
      const machine = the();
      machine.shell('rtprelay-switch rtprelay');
      const report = await machine.talkDuring(20, () => {
        machine.apt('purge', 'rtprelay');
        expect(machine.program('rtpengine-daemon')).to.include('/usr/bin/rtpengine ');
      });
      show('purged', report);
      expect(report.received).to.be.greaterThan(report.sent / 2);
      expect(
        machine.shell('find /etc /usr /var/log /var/cache -xdev -path "*rtprelay*" | head'),
      ).to.equal('');
    });
  });
}
