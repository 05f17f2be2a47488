/**
 * Two nodes with one virtual address, and a third machine with Redis and the phones: what the second
 * node knows of the first one's calls, and what happens when the first one dies.
 */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { TestProcess } from '../support/child-process.js';
import { connectNamespaces, namespacesAllowed, NetworkNamespace } from '../support/namespaces.js';
import { untilToldSeconds, type LoadReport } from '../support/load.js';
import { until } from '../support/wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const program = `${root}dist/bin/rtprelayd.js`;
const loadgen = `${root}build/bench/loadgen`;
const virtual = '10.9.9.9';
const calls = 20;

interface Node {
  readonly namespace: NetworkNamespace;
  /** Its own address, on the cable to the hub. */
  readonly address: string;
  readonly database: number;
}

describe('a hot standby', function () {
  this.timeout(240_000);
  let hub: NetworkNamespace;
  let one: Node;
  let two: Node;
  let redis: TestProcess;
  const daemons: TestProcess[] = [];

  before(function () {
    if (!namespacesAllowed()) this.skip();
    execFileSync(`${root}scripts/build-bench`);
  });

  beforeEach(async () => {
    hub = new NetworkNamespace('hub');
    hub.addAddress('lo', '10.0.0.1/32');
    one = connect(1, 0);
    two = connect(2, 1);
    one.namespace.addAddress('lo', `${virtual}/32`);
    hub.ip('route', 'replace', `${virtual}/32`, 'via', one.address);
    const words = ['--bind', '10.0.0.1', '--protected-mode', 'no', '--save', ''];
    words.push('--notify-keyspace-events', 'KA', '--dir', '/tmp');
    redis = new TestProcess('redis-server', 'redis-server', words, { namespace: hub.name });
    await redis.untilLogged('Ready to accept connections');
  });
  afterEach(async () => {
    for (const daemon of daemons.splice(0)) await daemon.stop('SIGKILL');
    await redis.stop('SIGKILL');
    for (const namespace of [hub, one.namespace, two.namespace]) namespace.remove();
  });

  function connect(number: number, database: number): Node {
    const namespace = new NetworkNamespace(`node${number}`);
    const address = `10.0.${number}.2`;
    connectNamespaces(
      { namespace: hub, device: `to${number}`, address: `10.0.${number}.1/24` },
      { namespace, device: 'eth0', address: `${address}/24` },
    );
    namespace.ip('route', 'add', 'default', 'via', `10.0.${number}.1`);
    return { namespace, address, database };
  }

  async function start(node: Node, options: readonly string[]): Promise<TestProcess> {
    const words = [
      ...['--config-file=none', '-f', '-E', '--table=-1', `--interface=${virtual}`],
      ...[`--listen-ng=${node.address}:2223`, `--listen-cli=${node.address}:9900`],
      ...[`--redis=10.0.0.1:6379/${node.database}`, '--port-min=30000', '--port-max=30999'],
      ...options,
    ];
    const place = { namespace: node.namespace.name };
    const daemon = new TestProcess('rtprelayd', process.execPath, [program, ...words], place);
    daemons.push(daemon);
    await daemon.untilLogged('Startup complete');
    return daemon;
  }

  /** Phones on the hub, calls by way of the first node. */
  function talk(seconds: number, ...more: readonly string[]): TestProcess {
    const words = ['relay', '--ng', `${one.address}:2223`, '--calls', String(calls)];
    words.push('--seconds', String(seconds), '--bind-a', '10.0.0.1', '--bind-b', '10.0.0.1');
    return new TestProcess('loadgen', loadgen, [...words, ...more], { namespace: hub.name });
  }

  /** The report once the phones have talked for two seconds more, however long they were to. */
  async function reportSoon(load: TestProcess): Promise<LoadReport> {
    load.signal('SIGUSR1');
    return reportOf(load);
  }

  async function reportOf(load: TestProcess): Promise<LoadReport> {
    expect(await load.ended((untilToldSeconds + 60) * 1000), load.log()).to.equal(0);
    return JSON.parse(load.log().slice(load.log().indexOf('{'))) as LoadReport;
  }

  function command(node: Node, text: string): string {
    return hub.run('sh', '-c', `echo ${text} | nc -N ${node.address} 9900`);
  }

  function sessions(node: Node): { readonly own: number; readonly foreign: number } {
    const text = command(node, 'list numsessions');
    const count = (name: string): number =>
      Number(new RegExp(`sessions ${name}:\\s*(\\d+)`).exec(text)?.[1]);
    return { own: count('own'), foreign: count('foreign') };
  }

  const redisCli = (database: number, ...words: readonly string[]): string =>
    hub.run('redis-cli', '-h', '10.0.0.1', '-n', String(database), ...words);

  /** Calls in a database; the fence is no call. */
  const stored = (database: number): number =>
    Number(redisCli(database, 'dbsize')) - Number(redisCli(database, 'exists', 'rtprelay:fence'));

  function moveAddress(from: Node, to: Node): void {
    from.namespace.ip('address', 'del', `${virtual}/32`, 'dev', 'lo');
    to.namespace.addAddress('lo', `${virtual}/32`);
    hub.ip('route', 'replace', `${virtual}/32`, 'via', to.address);
  }

  const standby = ['--subscribe-keyspace=0', '--active-switchover'];

  it('knows every call of the other node, opens its ports, and lets go of what has ended', async () => {
    await start(one, []);
    await start(two, standby);
    const load = talk(untilToldSeconds);
    await load.untilLogged('ready');
    await until(() => sessions(two).foreign === calls, 'all calls on the standby');
    expect(sessions(two)).to.deep.equal({ own: 0, foreign: calls });
    const bound = two.namespace.run('ss', '-Hlun').match(/10\.9\.9\.9:\d+/g) ?? [];
    expect(bound).to.have.lengthOf(calls * 4);
    expect((await reportSoon(load)).lost).to.equal(0);
    await until(() => sessions(two).foreign === 0, 'the end of the calls on the standby');
    expect(two.namespace.run('ss', '-Hlun')).not.to.include(virtual);
  });

  it('started late finds what is there, and follows re-offers', async () => {
    await start(one, []);
    const load = talk(untilToldSeconds);
    await load.untilLogged('ready');
    const late = await start(two, standby);
    await until(() => sessions(two).foreign === calls, 'all calls on the standby');
    expect(late.log()).not.to.match(/ERR/);
    await reportSoon(load);
  });

  it('carries the calls on when the owner dies and the address moves', async () => {
    await start(one, []);
    const second = await start(two, standby);
    const load = talk(untilToldSeconds, '--no-delete');
    await load.untilLogged('ready');
    await until(() => sessions(two).foreign === calls, 'all calls on the standby');
    await daemons[0]?.stop('SIGKILL');
    moveAddress(one, two);
    const report = await reportSoon(load);
    const { lostPerStream, longestPauseMs } = report;
    console.log(
      `      lost per stream: median ${lostPerStream.median}, max ${lostPerStream.max}; ` +
        `longest pause ${longestPauseMs.max} ms, of it the move of the address`,
    );
    // A call that does not come back misses all packets after the move.
    expect(report.lostAtEnd.max).to.equal(0);
    expect(report).to.include({ strange: 0, duplicates: 0 });
    await until(() => sessions(two).own === calls, 'the calls as the own ones of the second node');
    expect(second.log()).to.match(/Taking over call of keyspace 0: by media/);
    await until(() => stored(0) === 0 && stored(1) === calls, 'the calls in the second database');
    // The first node comes back: nothing to restore, and it stands by in its turn.
    await start(one, ['--subscribe-keyspace=1', '--active-switchover']);
    await until(() => sessions(one).foreign === calls, 'all calls on the first node');
    expect(sessions(one).own).to.equal(0);
  });

  it('that was frozen while it lost its calls is refused by Redis, and keeps them warm', async () => {
    // Its own refresh of the stored calls is what it is refused.
    const first = await start(one, ['--redis-expires=4']);
    await start(two, standby);
    const load = talk(untilToldSeconds, '--no-delete');
    await load.untilLogged('ready');
    await until(() => sessions(two).foreign === calls, 'all calls on the standby');
    first.signal('SIGSTOP');
    moveAddress(one, two);
    await until(() => sessions(two).own === calls, 'the calls as the own ones of the second node');
    await until(() => stored(0) === 0 && stored(1) === calls, 'the calls in the second database');
    first.signal('SIGCONT');
    await until(() => sessions(one).foreign === calls, 'a first node that knows');
    await first.untilLogged('Call was taken over by the node of keyspace 1');
    expect([stored(0), stored(1)]).to.deep.equal([0, calls]);
    expect(sessions(two).own).to.equal(calls);
    const report = await reportSoon(load);
    expect(report.lostAtEnd.max).to.equal(0);
  });

  it('lets go of a keyspace by command, and takes everything over by command', async () => {
    await start(one, []);
    const load = talk(0.2, '--no-delete');
    await reportOf(load);
    await start(two, ['--subscribe-keyspace=0']);
    await until(() => sessions(two).foreign === calls, 'all calls on the standby');
    command(two, 'ksrm 0');
    expect(sessions(two)).to.deep.equal({ own: 0, foreign: 0 });
    command(two, 'ksadd 0');
    await until(() => sessions(two).foreign === calls, 'all calls on the standby again');
    expect(command(two, 'active')).to.include("Ok, all calls set to 'owned (active)'");
    expect(sessions(two)).to.deep.equal({ own: calls, foreign: 0 });
  });
});
