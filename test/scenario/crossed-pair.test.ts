/**
 * The crossed pair: two nodes and two virtual addresses, each node active for one of them and the standby
 * of the other. Once with one daemon on each node that serves both addresses, once with two daemons on
 * each node, one for each address (what the template unit rtprelay@.service is for).
 */
import { expect } from 'chai';
import { untilToldSeconds } from '../support/load.js';
import { namespacesAllowed } from '../support/namespaces.js';
import { describeLoss, hubAddress, Pair, type PairNode } from '../support/pair.js';
import { until } from '../support/wait.js';

const calls = 20;
const ports = ['--port-min=30000', '--port-max=30999'];

/** One of the two halves: an address, and the calls that go by way of it. */
interface Half {
  readonly name: 'a' | 'b';
  readonly address: string;
}
const a: Half = { name: 'a', address: '10.0.0.101' };
const b: Half = { name: 'b', address: '10.0.0.102' };

interface Layout {
  readonly title: string;
  readonly start: (node: PairNode) => Promise<void>;
  readonly ngPort: (half: Half) => number;
  /** Ports of the command lines of a node's daemons. */
  readonly cliPorts: readonly number[];
}

function options(
  node: PairNode,
  ngPort: number,
  own: number,
  followed: number,
  interfaces: readonly string[],
): readonly string[] {
  return [
    ...interfaces.map((each) => `--interface=${each}`),
    ...[`--listen-ng=${node.address}:${ngPort}`, `--listen-cli=${node.address}:${ngPort + 1}`],
    ...[`--redis=${hubAddress}:6379/${own}`, `--subscribe-keyspace=${followed}`],
    ...['--active-switchover', ...ports],
  ];
}

const layouts: readonly Layout[] = [
  {
    title: 'of one daemon per node',
    start: async (node) => {
      const [own, other] = node.number === 1 ? [a, b] : [b, a];
      // The first interface is the one that new calls get.
      const interfaces = [own, other].map((half) => `${half.name}/${half.address}`);
      await node.startRelay(options(node, 2223, node.number, 3 - node.number, interfaces));
    },
    ngPort: () => 2223,
    cliPorts: [2224],
  },
  {
    title: 'of two daemons per node',
    start: async (node) => {
      const own = node.number;
      await node.startRelay(options(node, 2223, own, 3 - own, [a.address]));
      await node.startRelay(options(node, 3223, own + 2, 5 - own, [b.address]));
    },
    ngPort: (half) => (half === a ? 2223 : 3223),
    cliPorts: [2224, 3224],
  },
];

describe('a crossed pair', function () {
  this.timeout(240_000);
  let pair: Pair;

  before(function () {
    if (!namespacesAllowed()) this.skip();
  });
  beforeEach(async () => {
    pair = new Pair();
    await pair.startRedis();
  });
  afterEach(async () => {
    await pair.remove();
  });

  for (const layout of layouts) {
    it(`${layout.title} keeps all calls when either node dies, and after the switchback`, async () => {
      const { one, two } = pair;
      const sum = (node: PairNode, kind: 'own' | 'foreign'): number =>
        layout.cliPorts.reduce((count, port) => count + node.sessions(port)[kind], 0);
      const holds = async (node: PairNode, own: number, foreign: number): Promise<void> => {
        const what = `${own} own and ${foreign} foreign calls on node ${node.number}`;
        await until(() => sum(node, 'own') === own && sum(node, 'foreign') === foreign, what);
      };

      one.addAddress(a.address);
      two.addAddress(b.address);
      await layout.start(one);
      await layout.start(two);
      const seconds = untilToldSeconds;
      const talk = (node: PairNode, half: Half, portBase: number): ReturnType<Pair['talk']> =>
        pair.talk({ ng: `${node.address}:${layout.ngPort(half)}`, calls, seconds, portBase });
      const [first, second] = [await talk(one, a, 10_000), await talk(two, b, 12_000)];
      await holds(one, calls, calls);
      await holds(two, calls, calls);

      // Node one dies, node two carries both addresses.
      await one.powerOff();
      two.addAddress(a.address);
      await holds(two, 2 * calls, 0);

      // Node one comes back as the standby of everything: it has nothing of its own to restore.
      await one.powerOn();
      await layout.start(one);
      await holds(one, 0, 2 * calls);

      // Switchback: the first address goes home, and its calls with it, while all run on. Node two learns
      // by the fence in Redis that it has lost them.
      two.removeAddress(a.address);
      one.addAddress(a.address);
      await holds(one, calls, calls);
      await holds(two, calls, calls);

      // This time node two dies.
      await two.powerOff();
      one.addAddress(b.address);
      await holds(one, 2 * calls, 0);
      const running = [first, second].filter((load) => load.running).length;
      expect(running, 'both loads outlast the last failover').to.equal(2);

      for (const [load, what] of [
        [first, 'calls of a (power-off, switchback)'],
        [second, 'calls of b (power-off)'],
      ] as const) {
        const report = await pair.reportSoon(load);
        console.log(describeLoss(what, report));
        // A stream that does not come back misses all packets after the failover.
        expect(report.lostAtEnd.max).to.equal(0);
        expect(report).to.include({ strange: 0, duplicates: 0 });
      }
      expect(sum(one, 'own')).to.equal(2 * calls);
    });
  }
});
