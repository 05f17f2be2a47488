/**
 * Replay at takeover: two nodes on a bridge that behaves as a hub, so that each hears what the other is sent. The
 * active one loses its power, and the other one sends on what it did not.
 */
import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { TemporaryFolder, type TestProcess } from '../support/child-process.js';
import { untilToldSeconds, type LoadReport } from '../support/load.js';
import { connectNamespaces, namespacesAllowed } from '../support/namespaces.js';
import { describeLoss, hubAddress, Pair, type PairNode } from '../support/pair.js';
import { until } from '../support/wait.js';

const calls = 40;
const ng = 2223;
const cli = 9900;
const virtual = '10.0.0.101';
/** keepalived with advertisements every 10 ms notices after so long. */
const detectionMs = 40;
const sharedKey = randomBytes(32).toString('hex');

describe('replay at takeover', function () {
  this.timeout(300_000);
  let pair: Pair;
  let folder: TemporaryFolder;
  let daemonOfOne: TestProcess;
  let logOfTwo: () => string;

  before(function () {
    if (!namespacesAllowed()) this.skip();
  });
  beforeEach(async () => {
    folder = new TemporaryFolder('replay');
    pair = new Pair();
    // It learns no addresses, so every frame goes to every port.
    pair.hub.ip('link', 'set', 'bridge0', 'type', 'bridge', 'ageing_time', '0');
    connectNamespaces(
      { namespace: pair.one.namespace, device: 'heart0', address: '172.16.0.1/24' },
      { namespace: pair.two.namespace, device: 'heart0', address: '172.16.0.2/24' },
    );
    await pair.startRedis();
  });
  afterEach(async () => {
    await pair.remove();
    folder.remove();
  });

  /** The options of replay, and what the file of keys says. */
  function replayOptions(node: PairNode, key = sharedKey): readonly string[] {
    const file = `${folder.path}/key${node.number}`;
    writeFileSync(file, `k ${key}\n`);
    chmodSync(file, 0o600);
    const other = 3 - node.number;
    return [
      '--replay-interface=eth0',
      ...[`--replay-listen=${node.address}:2230`, `--replay-peer=10.0.0.${10 + other}:2230`],
      ...[`--replay-listen=172.16.0.${node.number}:2230`, `--replay-peer=172.16.0.${other}:2230`],
      `--replay-key-file=${file}`,
      // A busy machine takes its time to move an address.
      '--replay-window=2000',
    ];
  }

  function startRelay(node: PairNode, more: readonly string[]): ReturnType<PairNode['startRelay']> {
    node.namespace.run('sysctl', '-qw', 'net.ipv4.ip_nonlocal_bind=1');
    return node.startRelay([
      `--interface=${virtual}`,
      ...[`--listen-ng=${virtual}:${ng}`, `--listen-ng=127.0.0.1:${ng}`],
      ...[`--listen-cli=0.0.0.0:${cli}`, '--listen-http=0.0.0.0:2224'],
      ...[`--redis=${hubAddress}:6379/${node.number}`, `--subscribe-keyspace=${3 - node.number}`],
      ...['--active-switchover', '--port-min=30000', '--port-max=30999', ...more],
    ]);
  }

  const figure = (node: PairNode, name: string): number =>
    Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(node.command(cli, 'replay'))?.[1]);

  /** Calls are up on the first node and known to the second, which hears them if there is replay. */
  async function serving(replay: boolean, more: readonly string[] = []): Promise<TestProcess> {
    const { one, two } = pair;
    one.addAddress(virtual);
    daemonOfOne = await startRelay(one, replay ? replayOptions(one) : []);
    const daemonOfTwo = await startRelay(two, replay ? replayOptions(two) : []);
    logOfTwo = () => daemonOfTwo.log();
    const load = await pair.talk({
      ...{ ng: `${virtual}:${ng}`, calls, seconds: untilToldSeconds, portBase: 10_000, more },
    });
    await two.holds(cli, 0, calls);
    if (!replay) return load;
    const heard = figure(two, 'Packets to the other node, heard');
    await until(
      () =>
        figure(two, 'Packets to the other node, heard') > heard + 20 * calls &&
        figure(two, 'Heartbeats taken') > 0,
      'packets and heartbeats on the second node',
    );
    return load;
  }

  /** The cable of the active node is cut, and the other node has its address so long after. */
  async function powerOff(load: TestProcess, afterMs: number): Promise<LoadReport> {
    const { one, two } = pair;
    one.plug('down');
    one.namespace.ip('link', 'set', 'heart0', 'down');
    if (afterMs > 0) await new Promise((resolve) => setTimeout(resolve, afterMs));
    two.addAddress(virtual);
    await two.holds(cli, calls, 0);
    await one.powerOff();
    return pair.reportSoon(load);
  }

  const expectNothingLost = (what: string, report: LoadReport): void => {
    console.log(describeLoss(what, report));
    expect(report).to.include({ lost: 0, strange: 0 });
    // One of each stream may have been on its way when the last heartbeat left.
    expect(report.duplicates).to.be.at.most(2 * calls);
    expect(figure(pair.two, 'Packets replayed')).to.be.greaterThan(0);
  };

  it('loses packets without it', async () => {
    const report = await powerOff(await serving(false), detectionMs);
    console.log(describeLoss('without replay', report));
    expect(report.lost).to.be.greaterThan(0);
    expect(report.lostAtEnd.max).to.equal(0);
  });

  it('loses no packet when the address moves at once, whoever sends heartbeats besides', async () => {
    const { hub, two } = pair;
    const load = await serving(true);
    const strangers = 20;
    for (let i = 0; i < strangers; i++)
      hub.run('bash', '-c', `head -c 100 /dev/urandom >/dev/udp/${two.address}/2230`);
    await until(() => figure(two, 'No heartbeats') === strangers, 'what is no heartbeat');
    expectNothingLost('replay, address moved at once', await powerOff(load, 0));
    const metrics = hub.run('curl', '-s', `http://${two.address}:2224/metrics`);
    expect(metrics).to.include(
      `rtprelay_replay_heartbeats_refused_total{reason="malformed"} ${strangers}`,
    );
    expect(metrics).to.match(/rtprelay_replay_packets_total\{result="replayed"\} [1-9]/);
    const said = logOfTwo().match(/heartbeats come that are none/g) ?? [];
    expect(said).to.have.lengthOf(1);
  });

  it('loses no packet when keepalived would have noticed', async () => {
    const report = await powerOff(await serving(true), detectionMs);
    expectNothingLost('replay, address moved after 40 ms', report);
  });

  it('loses no packet of SRTP that passes through', async () => {
    const suite = 'AES_CM_128_HMAC_SHA1_80';
    const more = ['--srtp-a', suite, '--srtp-b', suite, '--pass-srtp'];
    const report = await powerOff(await serving(true, more), detectionMs);
    expectNothingLost('replay of SRTP passed through', report);
  });

  it('does not make SRTP of a packet a second time: the way out of encryption alone is replayed', async () => {
    const load = await serving(true, ['--srtp-a', 'AES_CM_128_HMAC_SHA1_80']);
    const report = await powerOff(load, detectionMs);
    console.log(describeLoss('replay, SRTP on one side', report));
    expect(figure(pair.two, 'Not encrypted again')).to.be.greaterThan(0);
    expect(report).to.include({ strange: 0 });
    expect(report.lostAtEnd.max).to.equal(0);
    // One of the two streams of each call is whole.
    expect(report.lost).to.be.within(1, calls * report.lostPerStream.max);
  });

  it('loses no packet when the daemon is frozen and its address is taken from it', async () => {
    const load = await serving(true);
    const { one, two } = pair;
    daemonOfOne.signal('SIGSTOP');
    one.removeAddress(virtual);
    two.addAddress(virtual);
    await two.holds(cli, calls, 0);
    daemonOfOne.signal('SIGCONT');
    await one.holds(cli, 0, calls);
    expectNothingLost('replay, a frozen daemon', await pair.reportSoon(load));
  });
});
