/**
 * Real keepalived with the configurations of deploy/keepalived, two nodes on a bridge: the power of the
 * active one fails, its daemon freezes, and an address goes home.
 */
import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { isInstalled, TemporaryFolder, type TestProcess } from '../support/child-process.js';
import { startKeepalived, type KeepalivedOptions } from '../support/keepalived.js';
import { untilToldSeconds } from '../support/load.js';
import { namespacesAllowed } from '../support/namespaces.js';
import { describeLoss, hubAddress, Pair, type PairNode } from '../support/pair.js';
import { until } from '../support/wait.js';

const calls = 20;
const ng = 2223;
const cli = 9900;
const addressA = '10.0.0.101';
const addressB = '10.0.0.102';

describe('keepalived and a pair of relays', function () {
  this.timeout(240_000);
  let pair: Pair;
  let folder: TemporaryFolder;

  before(function () {
    if (!namespacesAllowed() || !isInstalled('keepalived')) this.skip();
  });
  beforeEach(async () => {
    folder = new TemporaryFolder('keepalived');
    pair = new Pair();
    await pair.startRedis();
  });
  afterEach(async () => {
    await pair.remove();
    folder.remove();
  });

  function startRelay(node: PairNode): ReturnType<PairNode['startRelay']> {
    // NG sockets are opened on addresses that may come later.
    node.namespace.run('sysctl', '-qw', 'net.ipv4.ip_nonlocal_bind=1');
    const addresses = node.number === 1 ? [addressA, addressB] : [addressB, addressA];
    return node.startRelay([
      ...addresses.map((each) => `--interface=${each === addressA ? 'a' : 'b'}/${each}`),
      // The proxy asks the virtual address, the check of keepalived the loopback one.
      ...['127.0.0.1', ...addresses].map((each) => `--listen-ng=${each}:${ng}`),
      `--listen-cli=0.0.0.0:${cli}`,
      ...[`--redis=${hubAddress}:6379/${node.number}`, `--subscribe-keyspace=${3 - node.number}`],
      ...['--active-switchover', '--port-min=30000', '--port-max=30999'],
    ]);
  }

  const holds = (node: PairNode, own: number, foreign: number): Promise<void> =>
    node.holds(cli, own, foreign);
  /** Waits for an address; what keepalived of that node says is in the message if it never comes. */
  const holdsAddress = (keepalived: TestProcess, node: PairNode, address: string): Promise<void> =>
    keepalived.until(() => node.hasAddress(address), 60_000);

  const single: KeepalivedOptions = {
    configuration: 'pair.conf',
    changes: [['192.0.2.10', addressA]],
  };

  /** Both nodes serve, the first one active, and calls are up on it and known to the second. */
  async function serving(): Promise<Record<'daemon' | 'onOne' | 'onTwo' | 'load', TestProcess>> {
    const { one, two } = pair;
    const daemon = await startRelay(one);
    await startRelay(two);
    const onOne = startKeepalived(one, folder, single);
    await holdsAddress(onOne, one, addressA);
    const onTwo = startKeepalived(two, folder, single);
    const load = await pair.talk({
      ...{ ng: `${addressA}:${ng}`, calls, seconds: untilToldSeconds, portBase: 10_000 },
    });
    await holds(two, 0, calls);
    return { daemon, onOne, onTwo, load };
  }

  it('carries all calls on when the active node loses power, and again when the other one does', async () => {
    const { one, two } = pair;
    const { onTwo, load } = await serving();

    await one.powerOff();
    await holdsAddress(onTwo, two, addressA);
    await holds(two, calls, 0);

    await one.powerOn();
    await startRelay(one);
    await holds(one, 0, calls);
    const again = startKeepalived(one, folder, single);

    await two.powerOff();
    await holdsAddress(again, one, addressA);
    await holds(one, calls, 0);
    expect(load.running, 'the load outlasts the second failover').to.equal(true);
    const report = await pair.reportSoon(load);
    console.log(describeLoss('two power-offs', report));
    // Signalling follows the address as media does.
    const probe = fileURLToPath(new URL('../../deploy/bin/rtprelay-probe', import.meta.url));
    pair.hub.run(probe, 'ping', addressA, String(ng));
    // Every call has come back, both times.
    expect(report.lostAtEnd.max).to.equal(0);
    expect(report).to.include({ strange: 0 });
    expect(one.sessions(cli)).to.deep.equal({ own: calls, foreign: 0 });
  });

  it('leaves a node whose daemon is frozen, which gives its calls up when it is back', async () => {
    const { one, two } = pair;
    const { daemon, onTwo, load } = await serving();
    daemon.signal('SIGSTOP');
    await holdsAddress(onTwo, two, addressA);
    await holds(two, calls, 0);
    expect(one.hasAddress(addressA)).to.equal(false);
    daemon.signal('SIGCONT');
    await holds(one, 0, calls);
    const report = await pair.reportSoon(load);
    console.log(describeLoss('a frozen daemon', report));
    expect(two.sessions(cli)).to.deep.equal({ own: calls, foreign: 0 });
    expect(report).to.include({ strange: 0 });
  });

  it('hands over when it is stopped, with both daemons alive', async () => {
    const { one, two } = pair;
    const { onOne, onTwo, load } = await serving();
    await onOne.stop();
    await holdsAddress(onTwo, two, addressA);
    await holds(two, calls, 0);
    await holds(one, 0, calls);
    const report = await pair.reportSoon(load);
    console.log(describeLoss('keepalived stopped', report));
    expect(report.lostAtEnd.max).to.equal(0);
    expect(two.sessions(cli)).to.deep.equal({ own: calls, foreign: 0 });
  });

  it('brings the address of a crossed pair home when its node is back', async () => {
    const crossed: KeepalivedOptions = {
      configuration: 'crossed-pair.conf',
      changes: [
        ['192.0.2.10', addressA],
        ['192.0.2.11', addressB],
        [/preempt_delay 60/g, 'preempt_delay 3'],
      ],
    };
    const { one, two } = pair;
    await startRelay(one);
    await startRelay(two);
    const onOne = startKeepalived(one, folder, crossed);
    const onTwo = startKeepalived(two, folder, crossed);
    await holdsAddress(onOne, one, addressA);
    await holdsAddress(onTwo, two, addressB);
    await until(() => !two.hasAddress(addressA) && !one.hasAddress(addressB), 'one address each');
    const seconds = untilToldSeconds;
    const talk = (address: string, portBase: number): ReturnType<Pair['talk']> =>
      pair.talk({ ng: `${address}:${ng}`, calls, seconds, portBase });
    const loads = [await talk(addressA, 10_000), await talk(addressB, 12_000)] as const;
    await holds(one, calls, calls);
    await holds(two, calls, calls);

    await one.powerOff();
    await holds(two, 2 * calls, 0);
    await one.powerOn();
    await startRelay(one);
    await holds(one, 0, 2 * calls);
    await holdsAddress(startKeepalived(one, folder, crossed), one, addressA);
    await holds(one, calls, calls);
    await holds(two, calls, calls);
    expect(loads.every((load) => load.running)).to.equal(true);
    const [first, second] = [await pair.reportSoon(loads[0]), await pair.reportSoon(loads[1])];
    console.log(describeLoss('calls of a (power-off, switchback)', first));
    console.log(describeLoss('calls of b', second));
    expect([first.lostAtEnd.max, second.lostAtEnd.max]).to.deep.equal([0, 0]);
    // What happens to one address is not felt at the other.
    expect(second.longestGapPackets.max).to.be.lessThan(first.longestGapPackets.max);
  });
});
