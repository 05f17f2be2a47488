/**
 * Two nodes, each with a Redis of its own: the standby's is a replica, which is promoted after the address
 * has moved. The active node loses power, relay and Redis master at once; later it comes back, stands by
 * in its turn, and takes the calls over again when the other one loses power.
 */
import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { TemporaryFolder } from '../support/child-process.js';
import { untilToldSeconds } from '../support/load.js';
import { namespacesAllowed } from '../support/namespaces.js';
import { describeLoss, Pair, type PairNode } from '../support/pair.js';
import { until } from '../support/wait.js';

const address = '10.0.0.101';
const calls = 40;
const fresh = 5;
const ng = 2223;
const cli = 9900;
const redisPort = 6379;

describe('a pair with a Redis on each node', function () {
  this.timeout(240_000);
  let pair: Pair;
  let folder: TemporaryFolder;

  before(function () {
    if (!namespacesAllowed()) this.skip();
  });
  beforeEach(() => {
    folder = new TemporaryFolder('pair');
    pair = new Pair();
  });
  afterEach(async () => {
    await pair.remove();
    folder.remove();
  });

  function redis(node: PairNode, ...words: readonly string[]): string {
    const command = ['timeout', '2', 'redis-cli', '-h', node.address, ...words];
    // A server that does not answer yet is asked again.
    return pair.hub.run('sh', '-c', '"$@" 2>/dev/null || true', 'sh', ...command);
  }

  /** Calls in a database; the fence is no call. */
  function stored(node: PairNode, database: number): number {
    const count = (...words: readonly string[]): number =>
      Number(redis(node, '-n', String(database), ...words));
    return count('dbsize') - count('exists', 'rtprelay:fence');
  }

  /** @param master the node whose Redis it replicates; null: it is a master. */
  async function startRedis(node: PairNode, master: PairNode | null): Promise<void> {
    const words = ['--port', String(redisPort), '--protected-mode', 'no', '--save', ''];
    words.push('--notify-keyspace-events', 'KA', '--repl-diskless-sync-delay', '0');
    // A replica keeps there what its master sent.
    words.push(
      '--dir',
      folder.path,
      '--dbfilename',
      `node${node.number}-${randomBytes(3).toString('hex')}.rdb`,
    );
    if (master !== null) words.push('--replicaof', `${master.address} ${redisPort}`);
    await node.start('redis-server', 'redis-server', words).untilLogged('Ready to accept');
    if (master === null) return;
    const isUp = (): boolean => redis(node, 'info', 'replication').includes('link_status:up');
    await until(isUp, 'the replica');
  }

  function startRelay(node: PairNode): ReturnType<PairNode['startRelay']> {
    const own = `127.0.0.1:${redisPort}/${node.number}`;
    return node.startRelay([
      ...[`--interface=${address}`, `--listen-cli=0.0.0.0:${cli}`],
      ...[`--listen-ng=${node.address}:${ng}`, `--redis=${own}`, `--redis-write=${own}`],
      ...[`--subscribe-keyspace=${3 - node.number}`, '--active-switchover'],
      ...['--port-min=30000', '--port-max=30999'],
    ]);
  }

  const talk = (node: PairNode, count: number, seconds: number, portBase: number) =>
    pair.talk({ ng: `${node.address}:${ng}`, calls: count, seconds, portBase });

  /** `own` calls are in the database of `node` and in no other one. */
  async function isWritten(node: PairNode, own: number): Promise<void> {
    await until(
      () => stored(node, node.number) === own && stored(node, 3 - node.number) === 0,
      `${own} calls in the database of node ${node.number}`,
    );
  }

  it('goes on with media, calls and control; its Redis is promoted, and all is written', async () => {
    const { one, two } = pair;
    await startRedis(one, null);
    await startRedis(two, one);
    await startRelay(one);
    const second = await startRelay(two);
    one.addAddress(address);
    const load = await talk(one, calls, untilToldSeconds, 10_000);
    await two.holds(cli, 0, calls);
    expect(second.log()).to.include('is a replica: calls are read from it');

    await one.powerOff();
    two.addAddress(address);
    await two.holds(cli, calls, 0);
    // Still a replica: new calls are set up and talk all the same.
    const during = await talk(two, fresh, 3, 12_000);
    expect((await pair.reportOf(during)).lost).to.equal(0);
    expect(stored(two, 2)).to.equal(0);
    redis(two, 'replicaof', 'no', 'one');
    await isWritten(two, calls + fresh);

    // The first node comes back with an empty Redis, as a replica, and its relay as the standby.
    await one.powerOn();
    await startRedis(one, two);
    const first = await startRelay(one);
    await one.holds(cli, 0, calls + fresh);
    await two.powerOff();
    one.addAddress(address);
    redis(one, 'replicaof', 'no', 'one');
    // Calls without media are taken over by signalling.
    await one.holds(cli, calls, fresh);
    await until(() => stored(one, 1) === calls && stored(one, 2) === fresh, 'what was taken over');
    const report = await pair.reportSoon(load);
    console.log(describeLoss('two power-offs', report));
    expect(report).to.include({ strange: 0, duplicates: 0 });
    expect(report.lostAtEnd.max).to.equal(0);
    expect(one.command(cli, 'active')).to.include('owned (active)');
    await isWritten(one, calls + fresh);
    expect(first.log()).not.to.match(/ERR.*(Failed|cannot)/);
  });

  it('hands its calls over alive: its Redis becomes the replica, and it stands by', async () => {
    const { one, two } = pair;
    await startRedis(one, null);
    await startRedis(two, one);
    const first = await startRelay(one);
    await startRelay(two);
    one.addAddress(address);
    const load = await talk(one, calls, untilToldSeconds, 10_000);
    await two.holds(cli, 0, calls);
    one.removeAddress(address);
    two.addAddress(address);
    await two.holds(cli, calls, 0);
    redis(two, 'replicaof', 'no', 'one');
    // Until now both are masters; what the first one has written is thrown away.
    redis(one, 'replicaof', two.address, String(redisPort));
    await isWritten(two, calls);
    await one.holds(cli, 0, calls);
    const report = await pair.reportSoon(load);
    console.log(describeLoss('a planned move', report));
    expect(report).to.include({ strange: 0, duplicates: 0 });
    expect(report.lostAtEnd.max).to.equal(0);
    await first.untilLogged('Call was taken over by the node of keyspace 2');
    // A new call is in the replica as well, and known to the node that stands by.
    await talk(two, fresh, 0.2, 12_000);
    await one.holds(cli, 0, calls + fresh);
  });
});
