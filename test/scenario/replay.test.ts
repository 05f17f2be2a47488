/**
 * Replay at takeover: two nodes on a bridge that behaves as a hub, so that each hears what the other is sent. The
 * active one loses its power, and the other one sends on what it did not.
 */
import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isInstalled, TemporaryFolder, type TestProcess } from '../support/child-process.js';
import { startKeepalived } from '../support/keepalived.js';
import { untilToldSeconds, type LoadReport } from '../support/load.js';
import { connectNamespaces, namespacesAllowed } from '../support/namespaces.js';
import { describeLoss, hubAddress, Pair, type PairNode } from '../support/pair.js';
import { steeringMissing } from '../support/port-modes.js';
import { activeOf, countIn } from '../support/process-pair.js';
import { until } from '../support/wait.js';

const tool = (name: string): string =>
  fileURLToPath(new URL(`../support/${name}`, import.meta.url));

const calls = 40;
const ng = 2223;
const cli = 9900;
const virtual = '10.0.0.101';
/** keepalived with advertisements every 10 ms notices after so long. */
const detectionMs = 40;
/** So long the cable is out, and both nodes hold the address. */
const aWhileMs = 500;
const sharedKey = randomBytes(32).toString('hex');

describe('replay at takeover', function () {
  this.timeout(300_000);
  let pair: Pair;
  let folder: TemporaryFolder;
  let daemonOfOne: TestProcess;
  let daemonOfTwo: TestProcess;
  let optionsOfTwo: readonly string[];

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
  function replayOptions(node: PairNode, heardOn: string): readonly string[] {
    const file = `${folder.path}/key${node.number}`;
    writeFileSync(file, `k ${sharedKey}\n`);
    chmodSync(file, 0o600);
    const other = 3 - node.number;
    return [
      `--replay-interface=${heardOn}`,
      ...[`--replay-listen=${node.address}:2230`, `--replay-peer=10.0.0.${10 + other}:2230`],
      ...[`--replay-listen=172.16.0.${node.number}:2230`, `--replay-peer=172.16.0.${other}:2230`],
      `--replay-key-file=${file}`,
      // A busy machine takes its time to move an address.
      '--replay-window=2000',
    ];
  }

  /** Where media comes to, where phones are, and how the address of media comes to a node beside the virtual one. */
  interface Network {
    readonly media: string;
    readonly phones: string;
    readonly give: (node: PairNode) => void;
  }
  const plain: Network = { media: virtual, phones: hubAddress, give: () => undefined };

  function startRelay(node: PairNode, more: readonly string[]): ReturnType<PairNode['startRelay']> {
    node.namespace.run('sysctl', '-qw', 'net.ipv4.ip_nonlocal_bind=1');
    return node.startRelay([
      ...[`--listen-ng=${virtual}:${ng}`, `--listen-ng=127.0.0.1:${ng}`],
      ...[`--listen-cli=0.0.0.0:${cli}`, '--listen-http=0.0.0.0:2224'],
      ...[`--redis=${hubAddress}:6379/${node.number}`, `--subscribe-keyspace=${3 - node.number}`],
      ...['--active-switchover', '--port-min=30000', '--port-max=30999', ...more],
    ]);
  }

  const figure = (node: PairNode, name: string): number =>
    Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(node.command(cli, 'replay'))?.[1]);

  function give(node: PairNode, network: Network): void {
    node.addAddress(virtual);
    network.give(node);
  }

  /** The second node hears the first, and its packets, from now on. */
  async function hearing(): Promise<void> {
    const { two } = pair;
    const [heard, heartbeats] = [
      figure(two, 'Packets to the other node, heard'),
      figure(two, 'Heartbeats taken'),
    ];
    await until(
      () =>
        figure(two, 'Packets to the other node, heard') > heard + 20 * calls &&
        figure(two, 'Heartbeats taken') > heartbeats + 20,
      'packets and heartbeats on the second node',
    );
  }

  async function startSecond(): Promise<void> {
    daemonOfTwo = await startRelay(pair.two, optionsOfTwo);
    await pair.two.holds(cli, 0, calls);
  }

  interface Serving {
    readonly replay?: boolean;
    /** Of the load. */
    readonly more?: readonly string[];
    /** Of both relays. */
    readonly options?: readonly string[];
    readonly network?: Network;
    /** The device on which a node hears the other one's packets. */
    readonly heardOn?: (node: PairNode) => string;
    /** The second node is started by the test. */
    readonly alone?: boolean;
    /** Who gives the first node its address. */
    readonly move?: () => Promise<void>;
  }

  /** Calls are up on the first node and known to the second, which hears them if there is replay. */
  async function serving(wanted: Serving = {}): Promise<TestProcess> {
    const { replay = true, more = [], options = [], network = plain, alone = false } = wanted;
    const { heardOn = () => 'eth0' } = wanted;
    const { one, two } = pair;
    const own = [`--interface=${network.media}`, ...options];
    optionsOfTwo = [...own, ...(replay ? replayOptions(two, heardOn(two)) : [])];
    if (wanted.move === undefined) give(one, network);
    daemonOfOne = await startRelay(one, [
      ...own,
      ...(replay ? replayOptions(one, heardOn(one)) : []),
    ]);
    if (!alone) daemonOfTwo = await startRelay(two, optionsOfTwo);
    await wanted.move?.();
    const phones = ['--bind-a', network.phones, '--bind-b', network.phones];
    const load = await pair.talk({
      ...{ ng: `${virtual}:${ng}`, calls, seconds: untilToldSeconds, portBase: 10_000 },
      more: [...phones, ...more],
    });
    if (alone) return load;
    await two.holds(cli, 0, calls);
    if (replay) await hearing();
    return load;
  }

  /** The other way round it would tell by one cable that it has sent what the other one does not carry any more. */
  function cut(): void {
    const { one } = pair;
    one.namespace.ip('link', 'set', 'heart0', 'down');
    one.plug('down');
  }

  /** The cable of the active node is cut, and the other node has its address so long after. */
  async function powerOff(load: TestProcess, afterMs = 0, network = plain): Promise<LoadReport> {
    const { one, two } = pair;
    const heard = (): number => figure(two, 'Packets to the other node, heard');
    cut();
    if (afterMs > 0) {
      await delay(afterMs);
      // Phones that got no processor meanwhile have sent nothing that could be replayed.
      const before = heard();
      if (before > 0) await until(() => heard() > before + calls, 'packets to the dead node');
    }
    give(two, network);
    await two.holds(cli, calls, 0);
    await one.powerOff();
    return pair.reportSoon(load);
  }

  const expectNothingLost = (what: string, report: LoadReport): void => {
    console.log(describeLoss(what, report));
    const { lost, strange, refusedSrtp, duplicates } = report;
    expect({ lost, strange: strange - refusedSrtp }).to.deep.equal({ lost: 0, strange: 0 });
    // One of each stream may have been on its way when the last heartbeat left.
    expect(duplicates + refusedSrtp).to.be.at.most(2 * calls);
  };

  it('loses packets without it', async () => {
    const report = await powerOff(await serving({ replay: false }), detectionMs);
    console.log(describeLoss('without replay', report));
    expect(report.lost).to.be.greaterThan(0);
    expect(report.lostAtEnd.max).to.equal(0);
  });

  it('loses no packet when the address moves at once, whoever sends heartbeats besides', async () => {
    const { hub, two } = pair;
    const load = await serving();
    const strangers = 20;
    for (let i = 0; i < strangers; i++)
      hub.run('bash', '-c', `head -c 100 /dev/urandom >/dev/udp/${two.address}/2230`);
    await until(() => figure(two, 'No heartbeats') === strangers, 'what is no heartbeat');
    expectNothingLost('replay, address moved at once', await powerOff(load));
    const metrics = hub.run('curl', '-s', `http://${two.address}:2224/metrics`);
    expect(metrics).to.include(
      `rtprelay_replay_heartbeats_refused_total{reason="malformed"} ${strangers}`,
    );
    const said = daemonOfTwo.log().match(/heartbeats come that are none/g) ?? [];
    expect(said).to.have.lengthOf(1);
  });

  it('loses no packet when keepalived would have noticed', async () => {
    const report = await powerOff(await serving(), detectionMs);
    expectNothingLost('replay, address moved after 40 ms', report);
    const metrics = pair.hub.run('curl', '-s', `http://${pair.two.address}:2224/metrics`);
    expect(metrics).to.match(/rtprelay_replay_packets_total\{result="replayed"\} [1-9]/);
  });

  it('loses no packet of SRTP that passes through', async () => {
    const suite = 'AES_CM_128_HMAC_SHA1_80';
    const more = ['--srtp-a', suite, '--srtp-b', suite, '--pass-srtp'];
    const report = await powerOff(await serving({ more }), detectionMs);
    expectNothingLost('replay of SRTP passed through', report);
  });

  it('does not make SRTP of a packet a second time: the way out of encryption alone is replayed', async () => {
    const load = await serving({ more: ['--srtp-a', 'AES_CM_128_HMAC_SHA1_80'] });
    const report = await powerOff(load, detectionMs);
    console.log(describeLoss('replay, SRTP on one side', report));
    expect(figure(pair.two, 'Not encrypted again')).to.be.greaterThan(0);
    expect(report.strange - report.refusedSrtp).to.equal(0);
    expect(report.lostAtEnd.max).to.equal(0);
    // One of the two streams of each call is whole.
    expect(report.lost).to.be.within(1, calls * report.lostPerStream.max);
  });

  it('loses no packet when the daemon is frozen and its address is taken from it', async () => {
    const load = await serving();
    const { one, two } = pair;
    daemonOfOne.signal('SIGSTOP');
    one.removeAddress(virtual);
    two.addAddress(virtual);
    await two.holds(cli, calls, 0);
    daemonOfOne.signal('SIGCONT');
    await one.holds(cli, 0, calls);
    expectNothingLost('replay, a frozen daemon', await pair.reportSoon(load));
  });

  it('loses no packet of steered ports', async function () {
    const missing = steeringMissing();
    if (missing !== null) return this.skip();
    const load = await serving({ options: ['--port-mode=steered'] });
    expectNothingLost('replay, steered ports', await powerOff(load, detectionMs));
  });

  it('loses no packet of IPv6', async () => {
    const network: Network = {
      ...{ media: 'fd00::101', phones: 'fd00::1' },
      give: ({ namespace, link }) => {
        namespace.ip('address', 'add', 'fd00::101/128', 'dev', 'eth0', 'nodad');
        const at = ['fd00::101', 'lladdr', link, 'nud', 'stale', 'dev', 'bridge0'];
        pair.hub.ip('-6', 'neighbour', 'replace', ...at);
      },
    };
    pair.hub.ip('address', 'add', 'fd00::1/64', 'dev', 'bridge0', 'nodad');
    for (const { namespace, number } of [pair.one, pair.two])
      namespace.ip('address', 'add', `fd00::1${number}/64`, 'dev', 'eth0', 'nodad');
    const load = await serving({ network });
    expectNothingLost('replay, IPv6', await powerOff(load, detectionMs, network));
  });

  it('loses no packet when a mirrored port tells what the other node is sent, in a VLAN', async () => {
    const { hub, two } = pair;
    // As a switch: each port gets its own frames alone.
    hub.ip('link', 'set', 'bridge0', 'type', 'bridge', 'ageing_time', '30000');
    connectNamespaces(
      { namespace: hub, device: 'mirror0', address: '169.254.1.1/30' },
      { namespace: two.namespace, device: 'mirror0', address: '169.254.1.2/30' },
    );
    const words = [tool('tagged-mirror.py'), 'bridge0', 'mirror0', '7'];
    const mirror = pair.startOnHub('mirror', 'python3', words);
    await mirror.untilLogged('mirrors');
    const load = await serving({ heardOn: (node) => (node === two ? 'mirror0' : 'eth0') });
    expectNothingLost('replay, a mirrored port', await powerOff(load, detectionMs));
  });

  it('loses no packet when the active process of a pair has been killed before', async () => {
    const load = await serving({ options: ['--pair=yes'] });
    const warm = (): number => countIn(daemonOfOne.log(), /Standing by for the active process/g);
    await until(() => warm() > 0, 'a spare process on the first node');
    process.kill(activeOf(daemonOfOne), 'SIGKILL');
    await until(() => warm() > 1, 'the next spare process');
    await hearing();
    expectNothingLost('replay, process pair', await powerOff(load, detectionMs));
  });

  it('loses no packet to a standby that has come late and has been killed since', async () => {
    const load = await serving({ alone: true });
    await startSecond();
    await hearing();
    await daemonOfTwo.stop('SIGKILL');
    await startSecond();
    await hearing();
    expectNothingLost('replay, standby begun anew', await powerOff(load, detectionMs));
  });

  it('loses no packet when the standby has had its cables back', async () => {
    const load = await serving();
    const { two } = pair;
    two.plug('down');
    two.namespace.ip('link', 'set', 'heart0', 'down');
    await until(() => daemonOfTwo.log().includes('the other node is silent'), 'silence');
    two.namespace.ip('link', 'set', 'heart0', 'up');
    await two.powerOn();
    await hearing();
    expectNothingLost('replay, after cables were out', await powerOff(load, detectionMs));
  });

  it('loses no packet when both nodes hold the address for a while', async () => {
    const load = await serving();
    const { one, two } = pair;
    two.addAddress(virtual);
    await delay(aWhileMs);
    one.removeAddress(virtual);
    await two.holds(cli, calls, 0);
    const report = await pair.reportSoon(load);
    console.log(describeLoss('replay, both with the address', report));
    expect(report).to.include({ lost: 0, strange: 0 });
    expect(report.duplicates).to.be.at.most(2 * calls);
  });

  it('loses no packet when keepalived moves the address', async function () {
    if (!isInstalled('keepalived')) return this.skip();
    const { one, two } = pair;
    const start = (node: PairNode): TestProcess =>
      startKeepalived(node, folder, {
        configuration: 'pair.conf',
        changes: [
          ['192.0.2.10', virtual],
          [/advert_int .*$/m, 'advert_int 0.01'],
        ],
      });
    const load = await serving({
      move: async () => {
        const onOne = start(one);
        await onOne.until(() => one.hasAddress(virtual), 60_000);
        start(two);
      },
    });
    cut();
    await two.holds(cli, calls, 0);
    await one.powerOff();
    expectNothingLost('replay, keepalived', await pair.reportSoon(load));
  });
});
