/**
 * Real Corosync and Pacemaker with the configuration of deploy/pacemaker, on two nodes that each have a
 * systemd, a root and namespaces of their own (test/support/isolated-systemd.sh), and Debian's units:
 * the node that holds an address and the Redis master loses power.
 */
import { expect } from 'chai';
import { untilToldSeconds } from '../support/load.js';
import { clusterSecret, clusterSoftwareInstalled, clusterStatus } from '../support/pacemaker.js';
import { loadResources, startClusterNode } from '../support/pacemaker.js';
import { describeLoss, Pair, type PairNode } from '../support/pair.js';
import { systemdMissing, type IsolatedSystemd } from '../support/systemd.js';
import { until } from '../support/wait.js';

const addressA = '10.0.0.101';
const addressB = '10.0.0.102';
const calls = 20;

describe('Pacemaker and a pair of relays', function () {
  this.timeout(300_000);
  let pair: Pair;

  before(function () {
    const missing = clusterSoftwareInstalled()
      ? systemdMissing()
      : 'corosync, pacemaker or pacemaker-cli-utils is not installed';
    if (missing === null) return;
    console.log(`      skipped: ${missing}`);
    this.skip();
  });
  beforeEach(() => {
    pair = new Pair();
  });
  afterEach(async () => {
    await pair.remove();
  });

  function relayConfiguration(node: PairNode): string {
    const [own, other] =
      node.number === 1 ? [`a/${addressA}`, `b/${addressB}`] : [`b/${addressB}`, `a/${addressA}`];
    return [
      '[rtpengine]',
      `interface = ${own};${other}`,
      `listen-ng = 127.0.0.1:2223;${addressA}:2223;${addressB}:2223`,
      'listen-cli = 0.0.0.0:9900',
      `redis = 10.0.0.20:6379/${node.number}`,
      `subscribe-keyspace = ${3 - node.number}`,
      'active-switchover = true',
      'no-redis-required = true',
      'port-min = 30000',
      'port-max = 30999',
      '',
    ].join('\n');
  }

  /** Waits; the cluster's own account is in the message when it never comes. */
  async function clusterUntil(
    machine: IsolatedSystemd,
    condition: () => boolean,
    what: string,
  ): Promise<void> {
    try {
      await until(condition, what, 40_000);
    } catch (error) {
      const journal = machine.run('journalctl', '--no-pager', '-o', 'cat', '-n', '150').output;
      throw new Error(`${what}\n${clusterStatus(machine)}\n${journal}`, { cause: error });
    }
  }

  it('carries all calls on when a node with an address and the Redis master loses power', async () => {
    const { one, two } = pair;
    for (const node of [one, two])
      node.namespace.run('sysctl', '-qw', 'net.ipv4.ip_nonlocal_bind=1');
    const secret = clusterSecret();
    const first = await startClusterNode(one, secret, relayConfiguration(one));
    const second = await startClusterNode(two, secret, relayConfiguration(two));
    await clusterUntil(
      second,
      () => clusterStatus(second).includes('Online: [ node1 node2 ]'),
      'both nodes online',
    );
    loadResources(first, [
      ['192.0.2.10', addressA],
      ['192.0.2.11', addressB],
    ]);
    await clusterUntil(
      first,
      () => one.hasAddress(addressA) && two.hasAddress(addressB),
      'each address at home',
    );
    const master = (): PairNode | null =>
      [one, two].find((node) => node.hasAddress('10.0.0.20')) ?? null;
    await clusterUntil(first, () => master() !== null, 'the address of Redis');
    const at = (load: 'a' | 'b'): ReturnType<Pair['talk']> =>
      pair.talk({
        ng: `${load === 'a' ? addressA : addressB}:2223`,
        calls,
        seconds: untilToldSeconds,
        portBase: load === 'a' ? 10_000 : 12_000,
      });
    const holds = (
      node: PairNode,
      machine: IsolatedSystemd,
      own: number,
      foreign: number,
    ): Promise<void> =>
      clusterUntil(
        machine,
        () => {
          const now = node.sessions(9900);
          return now.own === own && now.foreign === foreign;
        },
        `${own} own and ${foreign} foreign calls on node ${node.number}`,
      );
    // The relays have found Redis when they follow each other.
    const loads = [await at('a'), await at('b')] as const;
    await holds(one, first, calls, calls);
    await holds(two, second, calls, calls);

    const [dead, left, machine] = master() === one ? [one, two, second] : [two, one, first];
    await dead.powerOff();
    await clusterUntil(
      machine,
      () => left.hasAddress(addressA) && left.hasAddress(addressB),
      'both addresses on the node that is left',
    );
    await holds(left, machine, 2 * calls, 0);
    const reports = [await pair.reportSoon(loads[0]), await pair.reportSoon(loads[1])] as const;
    const [moved, stayed] = dead === one ? reports : [reports[1], reports[0]];
    console.log(describeLoss('power-off of node and Redis master, its calls', moved));
    console.log(describeLoss('the calls of the other node', stayed));
    expect([moved.lostAtEnd.max, stayed.lostAtEnd.max]).to.deep.equal([0, 0]);
    // What happens to one node is hardly felt at the other.
    expect(stayed.longestGapPackets.max).to.be.lessThan(moved.longestGapPackets.max);
    expect(moved).to.include({ strange: 0 });
    await clusterUntil(machine, () => left.hasAddress('10.0.0.20'), 'the address of Redis');
  });
});
