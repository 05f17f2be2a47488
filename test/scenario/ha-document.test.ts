/**
 * docs/ha.md, followed: its commands, as they stand there, on machines that have what Debian has: two
 * nodes and a proxy, each with a systemd and a root of its own. What they build has to carry calls.
 */
import { expect } from 'chai';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TemporaryFolder, type TestProcess } from '../support/child-process.js';
import { Followed, type Machines } from '../support/document.js';
import { obstacleToFollowing, offerPackages } from '../support/packages.js';
import { hubAddress, Pair, type PairNode } from '../support/pair.js';
import { IsolatedSystemd } from '../support/systemd.js';
import { pause, until } from '../support/wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const document = new Followed('ha.md');
const virtual = '192.0.2.10';
const calls = 5;
const [callerPort, calleePort] = [5080, 5070];

/** Waits; the journal of the machine is in the message when it never comes. */
async function happens(
  machine: IsolatedSystemd,
  what: string,
  condition: () => boolean,
): Promise<void> {
  try {
    await until(condition, what, 40_000);
  } catch (error) {
    const journal = machine.run('journalctl', '--no-pager', '--lines=100').output;
    throw new Error(`${what}\n${journal}`, { cause: error });
  }
}

function skipWhereImpossible(test: Mocha.Context, packages: readonly string[]): void {
  const obstacle = obstacleToFollowing(packages);
  if (obstacle === null) return;
  console.log(`      skipped: ${obstacle}`);
  test.skip();
}

describe('docs/ha.md, followed for a pair with keepalived, Sentinel and Kamailio', function () {
  this.timeout(240_000);
  let pair: Pair;
  let folder: TemporaryFolder;
  let booted: readonly [one: IsolatedSystemd, two: IsolatedSystemd, proxy: IsolatedSystemd];

  before(async function () {
    skipWhereImpossible(this, [...document.packages(), 'sip-tester']);
    folder = new TemporaryFolder('ha-document');
    pair = new Pair();
    pair.hub.ip('route', 'add', '192.0.2.0/24', 'dev', 'bridge0');
    booted = [
      await pair.one.boot('bare'),
      await pair.two.boot('bare'),
      await IsolatedSystemd.boot(pair.hub, 'bare'),
    ];
    for (const machine of booted) offerPackages(machine, document.packages());
  });
  after(async () => {
    await booted?.[2].stop();
    await pair?.remove();
    folder?.remove();
  });

  const machineOf = (node: PairNode): IsolatedSystemd => booted[node.number === 1 ? 0 : 1];
  const active = (): PairNode => (pair.one.hasAddress(virtual) ? pair.one : pair.two);
  /** The machines that the document speaks of; `node` is the one that something happens to. */
  function machines(node: PairNode = pair.one): Machines {
    const [one, two, proxy] = booted;
    const singled = ['active node', 'former active node', 'node to be upgraded', 'single node'];
    return {
      'both nodes': [one, two],
      'node one': [one],
      'node two': [two],
      proxy: [proxy],
      ...Object.fromEntries(singled.map((name) => [name, [machineOf(node)]])),
    };
  }

  const numbers = (text: string): readonly (readonly [own: number, foreign: number])[] =>
    [...text.matchAll(/sessions own:\s*(\d+)[^]*?sessions foreign:\s*(\d+)/g)].map(
      ([, own, foreign]) => [Number(own), Number(foreign)],
    );
  const sessions = (node: PairNode): readonly number[] =>
    numbers(machineOf(node).succeed('rtprelayctl', 'list', 'numsessions'))[0] ?? [];
  const dialogs = (node: PairNode): number =>
    Number(/ongoing: (\d+)/.exec(machineOf(node).succeed('kamcmd', 'dlg.stats_active'))?.[1] ?? -1);
  it('1: both machines', () => {
    document.follow('1. Both machines', machines());
    expect(machineOf(pair.two).succeed('rtprelayd', '--version')).to.match(/\d/);
  });

  it('2: Redis with Sentinel', async () => {
    const question = document.section('2. Redis').blocks.at(-1);
    document.follow('2. Redis', machines(), (block) => block !== question);
    await happens(booted[0], 'a replica and two other sentinels', () => {
      const answer = document.follow('2. Redis', machines(), (block) => block === question);
      return /num-slaves\n1\n/.test(answer) && /num-other-sentinels\n2\n/.test(answer);
    });
  });

  it('3: the relays', async () => {
    document.follow('3. The relays', machines());
    for (const machine of booted.slice(0, 2))
      await happens(machine, 'the status line', () =>
        machine
          .run('systemctl', 'status', 'rtprelay')
          .output.includes('"0 calls, 0 foreign calls"'),
      );
  });

  it('4: keepalived', async () => {
    document.follow('4. The address: keepalived', machines());
    await happens(booted[0], 'the address', () => active().hasAddress(virtual));
  });

  it('4b: a pair of Kamailios', () => {
    const text = document.follow('4b. The proxies', machines());
    expect(text.match(/ongoing: 0/g)).to.have.length(2);
  });

  function sipp(name: string, ...words: readonly string[]): TestProcess {
    const all = [...words, '-i', hubAddress, '-mi', hubAddress, '-nostdin'];
    all.push('-timeout', '90s', '-timeout_error');
    return pair.startOnHub(name, 'sipp', all, { cwd: folder.path });
  }

  async function startCalls(): Promise<{ caller: TestProcess; callee: TestProcess }> {
    writeFileSync(folder.file('speech.ulaw'), Buffer.alloc(16_000, 'rtprelay'));
    const scenario = (name: string): string => `${root}test/scenario/kamailio/${name}.xml`;
    const register = sipp(
      'register',
      ...[`${virtual}:5060`, '-sf', scenario('register'), '-m', '1', '-p', String(callerPort)],
      ...['-key', 'contact_port', String(calleePort)],
    );
    expect(await register.ended(), register.log()).to.equal(0);
    const callee = sipp(
      'callee',
      ...['-sf', `${root}test/interop/kamailio/callee-reinvite.xml`, '-p', String(calleePort)],
      ...['-m', String(calls), '-rtp_echo', '-mp', '6000', '-key', 'rtp_port', '6000'],
    );
    await pause(500);
    const caller = sipp(
      'caller',
      ...[
        `${virtual}:5060`,
        '-sf',
        scenario('caller-reinvite-streaming'),
        '-p',
        String(callerPort),
      ],
      ...['-m', String(calls), '-l', String(calls), '-r', String(calls), '-mp', '6020'],
      ...['-d', '15000'],
    );
    return { caller, callee };
  }

  /** Packets received on the ports of each call. */
  const packets = (node: PairNode): readonly number[] => {
    const text = machineOf(node).succeed('rtprelayctl', 'list', 'sessions', 'own');
    const ids = [...text.matchAll(/^callid: +(\S+)/gm)].map(([, id = '']) => id);
    return ids.map((id) => {
      const call = machineOf(node).succeed('rtprelayctl', 'list', 'sessions', id);
      return [...call.matchAll(/(\d+) p, /g)].reduce((sum, [, count]) => sum + Number(count), 0);
    });
  };

  it('5: calls go on when the cable of the active node is cut: media, dialogs, re-INVITE, BYE', async () => {
    const first = active();
    const second = first === pair.one ? pair.two : pair.one;
    const machine = machineOf(second);
    // An ended call is gone at once, not after half a minute.
    for (const node of [first, second])
      machineOf(node).succeed('rtprelayctl', 'set', 'deletedelay', '0');
    const { caller, callee } = await startCalls();
    await happens(machine, 'all calls known to both', () => sessions(second)[1] === calls);
    await happens(machine, 'all dialogs known to both', () => dialogs(second) === calls);
    const tryIt = (where: string): string =>
      document.follow('5. Try it', machines(first), (block) => block.where === where);
    const counted = numbers(tryIt('both nodes'));
    expect(counted.map(([own, foreign]) => own + foreign)).to.deep.equal([calls, calls]);

    tryIt('active node');
    await happens(machine, 'the address on the other node', () => second.hasAddress(virtual));
    await happens(machine, 'the takeover of all calls', () => sessions(second)[0] === calls);
    const before = packets(second);
    expect(before).to.have.length(calls);
    await happens(machine, 'packets of every call', () =>
      packets(second).every((count, call) => count >= (before[call] ?? Infinity) + 50),
    );
    expect(dialogs(second)).to.equal(calls);
    expect(await caller.ended(), caller.log()).to.equal(0);
    expect(await callee.ended(), callee.log()).to.equal(0);
    await happens(machine, 'the end of all dialogs', () => dialogs(second) === 0);
    await happens(machine, 'the end of all calls', () => sessions(second).join() === '0,0');

    tryIt('former active node');
    await happens(machineOf(first), 'no call of its own', () => sessions(first)[0] === 0);
  });

  it('upgrade, and take a node out', async () => {
    const node = active();
    document.follow('Upgrade', machines(node));
    await happens(machineOf(node), 'the address elsewhere', () => active() !== node);

    // A node without a call ends as soon as it is drained.
    const load = await pair.talk({ ng: `${virtual}:2223`, calls: 1, seconds: 5, portBase: 10_000 });
    const text = document.follow('Taking a node out', machines(active()));
    expect(text).to.equal('Draining, 1 calls left.\nNew calls are taken again.\n');
    await pair.reportOf(load);
  });
});

describe('docs/ha.md, followed for a pair with Pacemaker', function () {
  this.timeout(300_000);
  const packages = document.packages((block) => block.text.includes('pacemaker'));
  let pair: Pair;
  let booted: readonly [one: IsolatedSystemd, two: IsolatedSystemd];

  before(async function () {
    skipWhereImpossible(this, packages);
    pair = new Pair();
    booted = [await pair.one.boot('bare'), await pair.two.boot('bare')];
    for (const [index, machine] of booted.entries()) {
      offerPackages(machine, packages);
      machine.succeed('hostname', `node${index + 1}`);
      // Of Debian's package login; the agent of Redis becomes its user by su.
      const rules = ['auth sufficient pam_rootok.so', 'account required pam_permit.so'];
      machine.write('/etc/pam.d/su', [...rules, 'session required pam_permit.so', ''].join('\n'));
    }
  });
  after(async () => {
    await pair?.remove();
  });

  it('1, 3, 4a: the relays, Redis and the addresses are where they belong', async () => {
    const [one, two] = booted;
    const machines: Machines = { 'both nodes': booted, 'node one': [one], 'node two': [two] };
    document.follow('1. Both machines', machines);
    document.follow('3. The relays', machines, ({ path }) => path !== null);
    for (const [index, machine] of booted.entries()) {
      const [own, other] =
        index === 0 ? ['a/192.0.2.10', 'b/192.0.2.11'] : ['b/192.0.2.11', 'a/192.0.2.10'];
      machine.shell(
        `sed -i -e 's#^interface = .*#interface = ${own};${other}#' \
          -e 's#^listen-ng = .*#listen-ng = 192.0.2.10:2223;192.0.2.11:2223;127.0.0.1:2223#' \
          -e 's#^redis = .*#redis = 10.0.0.20:6379/${index + 1}#' -e '/^redis-wait/d' /etc/rtprelay/rtprelay.conf`,
      );
    }
    document.follow('3. The relays', machines, ({ text }) => text.includes('sysctl'));

    const isLoading = (text: string): boolean => text.includes('cibadmin');
    document.follow('4a. Instead of keepalived', machines, ({ text }) => text.includes('apt-get'));
    document.follow('4a. Instead of keepalived', machines, ({ text }) => text.includes('keygen'));
    two.writeBytes('/etc/corosync/authkey', one.readBytes('/etc/corosync/authkey'));
    document.follow('4a. Instead of keepalived', machines, ({ text }) =>
      text.startsWith('systemctl enable'),
    );
    await happens(one, 'both nodes online', () =>
      one.run('crm_mon', '-1').output.includes('Online: [ node1 node2 ]'),
    );
    document.follow('4a. Instead of keepalived', machines, ({ text }) => isLoading(text));
    await happens(
      one,
      'each address at home',
      () => pair.one.hasAddress('192.0.2.10') && pair.two.hasAddress('192.0.2.11'),
    );
    await happens(one, 'the address of Redis', () =>
      [pair.one, pair.two].some((node) => node.hasAddress('10.0.0.20')),
    );
    for (const machine of booted)
      await happens(machine, 'a relay that has found Redis', () =>
        machine
          .run('systemctl', 'status', 'rtprelay')
          .output.includes('"0 calls, 0 foreign calls"'),
      );
  });
});
