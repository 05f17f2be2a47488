/**
 * The Debian package in a fresh system with its own systemd: installed by apt, upgraded while calls talk, in
 * rtpengine's place and back in the middle of calls, purged. scripts/package-test prepares what it needs.
 */
import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { AppArmorProfile, traceUnit, unitDenials } from '../support/apparmor.js';
import {
  DebianMachine,
  debianRoot,
  loadgen,
  machineAddress,
  packageOf,
  secondsToServe,
} from '../support/debian-machine.js';
import { Commands } from '../support/document.js';
import { KamailioCall, kamailioCallMissing, kamailioConfig } from '../support/kamailio-call.js';
import type { LoadReport } from '../support/load.js';
import { systemdMissing } from '../support/systemd.js';
import { until } from '../support/wait.js';

/** Of scripts/package-test; without it, in `npm test`, all of this is skipped: it takes ten minutes. */
const asked = process.env['RTPRELAY_SUITES'];
const suites = (asked ?? 'bookworm trixie').split(' ');
/** Everything there is, but for what apt, dpkg and the journal keep of their own. */
const listing =
  `find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /root
  -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/cache/apt -o -path /var/log/apt -o -path /var/log/journal
  -o -path /var/lib/systemd -o -path /var/cache/debconf \\) -prune -o -print | sort`.replaceAll(
    '\n',
    ' ',
  );

const show = (what: string, { lostPerStream, longestPauseMs }: LoadReport): void =>
  console.log(
    `      ${what}: lost per stream median ${lostPerStream.median}, max ${lostPerStream.max}; longest pause ${longestPauseMs.max} ms`,
  );

/** Skips where it cannot be; boots a machine for the tests of the describe block. */
function useMachine(suite: string): () => DebianMachine {
  let machine: DebianMachine | null = null;
  before(async function () {
    const prepared = asked !== undefined && existsSync(debianRoot(suite)) && existsSync(loadgen);
    const missing =
      systemdMissing() ??
      (prepared ? null : 'scripts/package-test runs it') ??
      kamailioCallMissing();
    if (missing !== null) {
      console.log(`      skipped: ${missing}`);
      this.skip();
    }
    machine = await DebianMachine.boot(
      suite,
      [1, 2].map((revision) => packageOf(suite, revision)),
    );
    machine.shell('systemctl start redis-server');
    // As an operator has it before the relay comes: a proxy that asks for one.
    machine.apt('install', 'kamailio', 'apparmor', 'strace');
    machine.systemd.write('/etc/kamailio/kamailio.cfg', kamailioConfig(machineAddress));
    machine.shell('systemctl restart kamailio');
  });
  after(async () => {
    await machine?.stop();
  });
  return () => {
    if (machine === null) throw new Error('no machine');
    return machine;
  };
}

const seconds: Record<string, number> = {};
const packages = new Commands('packages.md');

/** A machine so busy that a restart takes longer than what a socket can hold gets further tries. */
const busy = 2;
/** What it holds at the 20 ms of the call through Kamailio, ms. */
const heldMs = 1400;

for (const suite of suites) {
  describe(`the package in a fresh ${suite}`, function () {
    this.timeout(600_000);
    this.bail(true);
    const the = useMachine(suite);
    let before: ReadonlySet<string>;
    const files = (): ReadonlySet<string> => new Set(the().shell(listing).trim().split('\n'));

    it('is installed by apt, serves, and relays calls', async () => {
      const machine = the();
      // Where the document has it; nobody is there to say yes.
      const release = suite === 'bookworm' ? 'deb12' : 'deb13';
      machine.shell(
        `mkdir -p /root/build/packages; cp /root/rtprelay-1.deb /root/build/packages/rtprelay_1+${release}_amd64.deb;
        echo 'APT::Get::Assume-Yes "true"; APT::Install-Recommends "false";' >/etc/apt/apt.conf.d/90test`,
      );
      before = files();
      const install = packages.take(
        suite === 'bookworm'
          ? 'apt install ./build/packages/rtprelay_*+deb12_amd64.deb'
          : 'apt install ./build/packages/rtprelay_*+deb13_amd64.deb',
      );
      seconds[suite] = await secondsToServe(machine, 2223, () =>
        machine.shell(`cd /root; ${install}`),
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
      // docs/logs.md, with the unit as it is installed.
      expect(
        machine.shell('journalctl --no-pager -q -u rtprelay CALL_ID=load-1 -o cat'),
      ).to.include("Received command 'offer'");
      // Neither the network nor a compiler, and the code is compiled already.
      expect(machine.shell('ls /usr/lib/rtprelay/dist/bin/cache/')).to.match(/^v\d+/);
      const size = machine.shell("dpkg-query -Wf '${Installed-Size}' rtprelay").trim();
      console.log(`      installed size ${(Number(size) / 1024).toFixed(1)} MiB`);
      expect(Number(size) * 1024).to.be.at.most(90e6);
    });

    it('has a profile that AppArmor takes, and does not enforce unasked', () => {
      const machine = the();
      // Compiled, and given to no kernel.
      const said = machine.shell('apparmor_parser -Q -K -T /etc/apparmor.d/rtprelayd 2>&1');
      expect(said).to.include('force-complain, forcing complain mode');
      const name = machine.shell('apparmor_parser -N /etc/apparmor.d/rtprelayd 2>/dev/null');
      expect(name.trim()).to.equal('rtprelayd');
      machine.shell('test -L /etc/apparmor.d/force-complain/rtprelayd');
    });

    it('does nothing that its profile would deny, by calls of Kamailio', async () => {
      const machine = the();
      const profile = machine.shell('apparmor_parser -p /etc/apparmor.d/rtprelayd 2>/dev/null');
      traceUnit(machine.systemd);
      // Kamailio, too: while it was without a relay, it has given the address up for a while.
      machine.shell('systemctl restart rtprelay; systemctl restart kamailio');
      await machine.withKamailioCall(5, async () => {
        await machine.talkDuring(8, () => {
          machine.shell('systemctl reload rtprelay; rtprelayctl list sessions all');
        });
      });
      machine.shell('systemctl stop rtprelay');
      expect(unitDenials(machine.systemd, new AppArmorProfile(profile))).to.deep.equal([]);
      machine.shell(
        'rm -r /etc/systemd/system/rtprelay.service.d; systemctl daemon-reload; systemctl start rtprelay',
      );
    });

    it('is upgraded while calls talk: no packet is lost, the configuration is kept', async function () {
      this.retries(busy);
      const machine = the();
      const [configuration, pid] = [
        machine.shell('cat /etc/rtprelay/rtprelay.conf'),
        machine.shell('systemctl show -P MainPID rtprelay'),
      ];
      const [report, streams] = await machine.withKamailioCall(28, () =>
        machine.talkDuring(25, ({ ended }) => {
          const said = machine.apt('install', '--reinstall', '/root/rtprelay-2.deb');
          expect(said).to.match(/rtprelay\.service runs this version now: [1-9]\d* calls/);
          expect(ended(), 'the upgrade took longer than the calls').to.equal(false);
        }),
      );
      show('upgrade', report);
      expect(report.received).to.be.greaterThan(0);
      expect(report.lost).to.equal(0);
      // Through Kamailio, to the relay and from it, both ways.
      console.log(`      the call through Kamailio: ${JSON.stringify(streams)}`);
      expect(streams).to.have.length(4);
      if (report.longestPauseMs.max < heldMs) {
        expect(streams.map(({ lost }) => lost)).to.deep.equal([0, 0, 0, 0]);
      }
      for (const { packets } of streams) expect(packets).to.be.greaterThan(25 * 40);
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

    it('is removed and comes back with its configuration', async () => {
      const machine = the();
      machine.apt('remove', 'rtprelay');
      expect(machine.shell("grep -ls '[r]tprelayd' /proc/[0-9]*/cmdline || true")).to.equal('');
      machine.shell('grep -q "^redis = " /etc/rtprelay/rtprelay.conf');
      machine.apt('install', '/root/rtprelay-2.deb');
      expect(machine.active('rtprelay')).to.equal(true);
      // A call that Kamailio has ended is deleted half a minute later (delete-delay), also after a restart.
      await until(
        () => machine.shell('rtprelayctl list numsessions').includes('Current sessions total: 0'),
        'the end of all calls',
        40_000,
      );
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
      // Redis writes its snapshot when the tests have taken long enough.
      const others = /ld\.so|\/var\/log\/|\/__pycache__|^\/var\/lib\/redis\//;
      expect(strange.filter((path) => !others.test(path))).to.deep.equal([]);
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

  describe(`the package beside rtpengine in a fresh ${suite}, by the words of docs/migration.md`, function () {
    this.timeout(600_000);
    this.bail(true);
    const the = useMachine(suite);
    const document = new Commands('migration.md');
    const follow = (command: string): string =>
      the().shell(`cd /root/packages; ${document.take(command)} 2>&1`);

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
      // Nobody is asked, and recommended packages are not in apt's cache.
      const settings = 'APT::Get::Assume-Yes "true"; APT::Install-Recommends "false";';
      machine.systemd.write('/etc/apt/apt.conf.d/test', settings);
      machine.shell('mkdir /root/packages; ln /root/rtprelay-1.deb /root/packages/rtprelay_1.deb');
      const said = follow('apt install ./rtprelay_*.deb');
      expect(said).to.include('rtprelay-switch rtprelay');
      follow('rtprelayd --check --config-file=/etc/rtpengine/rtpengine.conf');
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
      // One call through all of it, whose BYE both daemons have to know.
      const call = new KamailioCall(machine.namespace.name, machineAddress);
      await call.begin(70);
      const there = await machine.talkDuring(15, () => {
        expect(follow('rtprelay-switch rtprelay')).to.include("rtprelayd in rtpengine's place");
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
        expect(follow('rtprelay-switch rtpengine')).to.equal(
          'rtpengine (rtpengine-daemon.service)\n',
        );
        expect(machine.program('rtpengine-daemon')).to.include('/usr/bin/rtpengine ');
      });
      show('back to rtpengine', back);
      expect(back.received).to.be.greaterThan(back.sent / 2);
      expect(call.talking, 'the call of Kamailio was too short').to.equal(true);
      const streams = await call.ended();
      console.log(`      the call through Kamailio: ${JSON.stringify(streams)}`);
      expect(streams).to.have.length(4);
      await call.stop();
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
      follow('rtprelay-switch import');
      machine.shell('cmp /etc/rtpengine/rtpengine.conf /etc/rtprelay/rtprelay.conf');
      const report = await machine.talkDuring(15, () => {
        follow('systemctl disable --now rtpengine-daemon');
        follow('systemctl enable --now rtprelay');
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

    it('has followed the document to its end', () => {
      expect(document.left).to.deep.equal([]);
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
