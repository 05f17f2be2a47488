/**
 * The whole pair as docs/ha.md builds it: on each node a relay, keepalived and Redis, one the replica of
 * the other, and sentinels on both and on a third machine. The node that loses power is the active relay
 * and the Redis master at once.
 */
import { expect } from 'chai';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isInstalled, TemporaryFolder, type TestProcess } from '../support/child-process.js';
import { startKeepalived } from '../support/keepalived.js';
import { untilToldSeconds } from '../support/load.js';
import { namespacesAllowed } from '../support/namespaces.js';
import { describeLoss, hubAddress, Pair, type PairNode } from '../support/pair.js';
import { until } from '../support/wait.js';

const deploy = fileURLToPath(new URL('../../deploy/redis/', import.meta.url));
const address = '10.0.0.101';
const calls = 20;
const ng = 2223;
const cli = 9900;
const sentinelPort = 26_379;

describe('a pair with its Redis on the nodes', function () {
  this.timeout(240_000);
  let pair: Pair;
  let folder: TemporaryFolder;

  before(function () {
    if (!namespacesAllowed() || !isInstalled('keepalived')) this.skip();
  });
  beforeEach(() => {
    folder = new TemporaryFolder('pair');
    pair = new Pair();
  });
  afterEach(async () => {
    await pair.remove();
    folder.remove();
  });

  /** A file of deploy/redis as an operator would place it on a machine. */
  function place(file: string, machine: string, more = ''): string {
    const text = readFileSync(`${deploy}${file}`, 'latin1');
    const at = folder.file(`${machine}-${file}`);
    writeFileSync(at, `${text.replaceAll('/var/lib/redis', folder.path)}${more}`);
    return at;
  }

  async function startRedis(node: PairNode): Promise<void> {
    const more = node.number === 1 ? '' : `replicaof ${pair.one.address} 6379\n`;
    // The nodes of the test share a folder, which the replica's copy passes through.
    const file = `dbfilename dump-${node.number}.rdb\n`;
    const config = place('relay.conf', `node${node.number}`, more + file);
    await node.start('redis-server', 'redis-server', [config]).untilLogged('Ready to accept');
  }

  function ask(host: string, port: number, ...words: readonly string[]): string {
    const command = ['timeout', '2', 'redis-cli', '-h', host, '-p', String(port), ...words];
    // A server that does not answer yet is asked again.
    return pair.hub.run('sh', '-c', '"$@" 2>/dev/null || true', 'sh', ...command);
  }

  async function startSentinels(): Promise<void> {
    for (const node of [pair.one, pair.two]) {
      const config = place('sentinel.conf', `node${node.number}`);
      node.start('sentinel', 'redis-server', [config, '--sentinel']);
    }
    pair.startOnHub('sentinel', 'redis-server', [place('sentinel.conf', 'hub'), '--sentinel']);
    await until(() => {
      const known = ask(hubAddress, sentinelPort, 'sentinel', 'master', 'relay');
      return /num-slaves\n1\n/.test(known) && /num-other-sentinels\n2\n/.test(known);
    }, 'sentinels that know each other and the replica');
  }

  function startRelay(node: PairNode): ReturnType<PairNode['startRelay']> {
    node.namespace.run('sysctl', '-qw', 'net.ipv4.ip_nonlocal_bind=1');
    const sentinels = [pair.one.address, pair.two.address, hubAddress]
      .map((host) => `${host}:${sentinelPort}`)
      .join(',');
    return node.startRelay([
      ...[`--interface=${address}`, `--listen-cli=0.0.0.0:${cli}`],
      ...[`--listen-ng=${address}:${ng}`, `--listen-ng=127.0.0.1:${ng}`],
      ...[`--redis=sentinel://${sentinels}/relay/${node.number}`, '--redis-wait-replicas=1'],
      ...[`--subscribe-keyspace=${3 - node.number}`, '--active-switchover'],
      ...['--port-min=30000', '--port-max=30999'],
    ]);
  }

  it('keeps all calls when the active node, the Redis master, loses power, and sets up new ones', async () => {
    const { one, two } = pair;
    await startRedis(one);
    await startRedis(two);
    await startSentinels();
    await startRelay(one);
    const second = await startRelay(two);
    const options = {
      configuration: 'pair.conf',
      changes: [['192.0.2.10', address]],
    } as const;
    const keepalived: TestProcess = startKeepalived(one, folder, options);
    await keepalived.until(() => one.hasAddress(address), 60_000);
    const standby = startKeepalived(two, folder, options);
    const load = await pair.talk({
      ng: `${address}:${ng}`,
      calls,
      seconds: untilToldSeconds,
      portBase: 10_000,
    });
    const holds = (node: PairNode, own: number, foreign: number): Promise<void> =>
      node.holds(cli, own, foreign);
    await holds(two, 0, calls);

    await one.powerOff();
    await standby.until(() => two.hasAddress(address), 60_000);
    await holds(two, calls, 0);

    // Before the sentinels have chosen: a new call waits for Redis for a moment only, and is relayed.
    const fresh = await pair.talk({
      ng: `${address}:${ng}`,
      calls: 5,
      seconds: 5,
      portBase: 12_000,
    });

    await until(
      () => ask(two.address, 6379, 'role').startsWith('master'),
      'the replica as the master',
      60_000,
    );
    await until(
      () => Number(ask(two.address, 6379, '-n', '2', 'dbsize')) >= calls + 5,
      `all calls in the second node's database\n${second.log()}`,
      60_000,
    );
    const report = await pair.reportSoon(load);
    console.log(describeLoss('power-off of relay and Redis master', report));
    expect(report.lostAtEnd.max).to.equal(0);
    expect(report).to.include({ strange: 0 });
    expect((await pair.reportOf(fresh)).lost).to.equal(0);
    expect(two.sessions(cli)).to.deep.equal({ own: calls + 5, foreign: 0 });

    // The first node comes back with an empty Redis, as a replica, and its relay as the standby.
    await one.powerOn();
    await startRedis(one);
    await until(
      () => ask(one.address, 6379, 'role').startsWith('slave'),
      'the old master as a replica',
      30_000,
    );
    await startRelay(one);
    await holds(one, 0, calls + 5);
  });
});
