/** A fresh Debian (debootstrap) with its own systemd in a network of its own, for packages; scripts/package-test makes it. */
import { expect } from 'chai';
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TestProcess } from './child-process.js';
import { KamailioCall } from './kamailio-call.js';
import type { LoadReport } from './load.js';
import { NetworkNamespace } from './namespaces.js';
import { IsolatedSystemd } from './systemd.js';
import { until } from './wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
export const loadgen = `${root}build/bench/loadgen`;
/** Of the machine. */
export const machineAddress = '192.0.2.20';
/** A socket holds some eighty packets: at this pace, longer than a restart takes on most busy machines. */
const packetMs = 100;

/** Where scripts/package-test has made a system. */
export const debianRoot = (suite: string): string => `${root}build/roots/${suite}`;

export function packageOf(suite: string, revision: number): string {
  const tag = suite === 'bookworm' ? 'deb12' : 'deb13';
  const name = readdirSync(`${root}build/packages`).find((each) =>
    each.includes(`-${revision}+${tag}_`),
  );
  if (name === undefined) throw new Error(`no package of ${suite}, revision ${revision}`);
  return `${root}build/packages/${name}`;
}

/** A fresh system in a network of its own, with the packages in /root. */
export class DebianMachine {
  private constructor(
    readonly suite: string,
    readonly namespace: NetworkNamespace,
    readonly systemd: IsolatedSystemd,
  ) {}

  /** @param packages deb files, which are /root/rtprelay-1.deb, … there. */
  static async boot(suite: string, packages: readonly string[]): Promise<DebianMachine> {
    const namespace = new NetworkNamespace('package');
    // rtpengine's stock configuration takes any address but the loopback's.
    namespace.ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'cable');
    for (const device of ['eth0', 'cable']) namespace.ip('link', 'set', device, 'up');
    namespace.addAddress('eth0', `${machineAddress}/24`);
    const systemd = await IsolatedSystemd.bootDebian(namespace, debianRoot(suite));
    for (const [at, file] of packages.entries()) {
      systemd.writeBytes(`/root/rtprelay-${at + 1}.deb`, readFileSync(file));
    }
    return new DebianMachine(suite, namespace, systemd);
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

  /** CPU time of all that systemd has started, so far. */
  cpuSeconds(): number {
    const text = this.shell('cat /sys/fs/cgroup/cpu.stat');
    return Number(/^usage_usec (\d+)$/m.exec(text)?.[1]) / 1e6;
  }

  active(unit: string): boolean {
    return this.systemd.run('systemctl', 'is-active', unit).output === 'active\n';
  }

  program(unit: string): string {
    return this.shell(`tr '\\0' ' ' </proc/$(systemctl show -P MainPID ${unit})/cmdline`);
  }

  /** A call by Kamailio that lasts for `seconds`, in the middle of which something happens. */
  async withKamailioCall<Result>(
    seconds: number,
    meanwhile: () => Promise<Result>,
  ): Promise<readonly [Result, Awaited<ReturnType<KamailioCall['ended']>>]> {
    const call = new KamailioCall(this.namespace.name, machineAddress);
    try {
      await call.begin(seconds);
      const result = await meanwhile();
      return [result, await call.ended()];
    } finally {
      await call.stop();
    }
  }

  /** Calls that talk for `seconds` while `disturb` does its work; what they lost. */
  async talkDuring(
    seconds: number,
    disturb: (ready: LoadSession) => void | Promise<void>,
    calls = 20,
  ): Promise<LoadReport> {
    const words = [
      ...['relay', '--ng', '127.0.0.1:2223', '--calls', String(calls)],
      ...['--seconds', String(seconds), '--ptime', String(packetMs)],
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

export interface LoadSession {
  /** The calls have ended: what was to happen within them came too late. */
  readonly ended: () => boolean;
}

/** Seconds from the first command to the first answered ping. */
export async function secondsToServe(
  machine: DebianMachine,
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
