/** The scenarios of `bench:failover`; bench/README.md describes each. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster, Node, Settings } from './cluster.js';
import { monotonicMicros, until } from './clock.js';
import { costOfNodes, costOfPair } from './cost.js';
import { isPair } from './daemons.js';
import { controlLoad, type ControlReport } from './load.js';
import type { Acts, Phase, Scenario } from './scenario.js';

const second = 1_000_000;
/** Between two moves of one run. */
const restMs = 3000;
/** A spare process gives back what catching up took in that time; then its cost is counted for so long. */
const restingMs = 15_000;
const costMs = 10_000;
/** How long a started daemon waits for its address, and the silence that ends a call there. */
const lateMs = 3000;
const lateTimeoutSeconds = 5;
/** Calls set up and deleted per second while media is measured: far from the limit of both. */
const callRate = 50;

const redisStoreOnly = ({ store }: Settings): string | null =>
  store === 'redis' ? null : 'sockets survive on their own host only; --store=redis';
const noAddressMoves = ({ mover }: Settings): string | null =>
  mover === 'keepalived' ? 'no address moves; --mover=bench' : null;

async function restart(cluster: Cluster, signal: 'SIGKILL' | 'SIGSTOP' | 'upgrade'): Promise<Acts> {
  const { daemon } = cluster.one;
  if (daemon === undefined) throw new Error('no daemon runs');
  const lives = daemon.lives.length;
  const event = signal === 'upgrade' ? daemon.upgrade() : daemon.signal(signal);
  await until(() => daemon.lives.length > lives, 'the new process');
  const acted = daemon.lives[lives]?.startedAt ?? Number.NaN;
  await daemon.ready();
  return { phases: [{ name: 'restart', event, acted, end: event + 4 * second }] };
}

async function rest(cluster: Cluster): Promise<Acts> {
  const { daemon } = cluster.one;
  if (daemon === undefined) throw new Error('no daemon runs');
  await delay(restingMs);
  return { phases: [], figures: await costOfPair(daemon, costMs) };
}

async function restOfTwo({ one, two }: Cluster): Promise<Acts> {
  const daemons = [one, two].flatMap(({ daemon }) => daemon ?? []);
  await delay(restMs);
  return { phases: [], figures: await costOfNodes(daemons, costMs) };
}

/** rtpengine stays as it is. */
async function freeze(cluster: Cluster): Promise<Acts> {
  if (cluster.settings.daemon === 'rtprelayd') return restart(cluster, 'SIGSTOP');
  const event = cluster.one.daemon?.signal('SIGSTOP') ?? Number.NaN;
  await delay(4000);
  cluster.one.daemon?.signal('SIGKILL');
  return { phases: [{ name: 'restart', event, end: event + 4 * second }] };
}

/** Waits until the address and the first packet have come to `to`. */
async function arrival(
  to: Node,
  seen: number,
): Promise<{ readonly acted: number; readonly media: number }> {
  const acted = await to.agent.moment('added', seen);
  const media = await to.agent.moment('media', seen);
  // The kernel's message about the address may be read after the first packet has come.
  return { acted: Math.min(acted, media), media };
}

async function planned(cluster: Cluster, from: Node, to: Node, name: string): Promise<Phase> {
  const seen = to.agent.events.length;
  const event = monotonicMicros();
  cluster.give(from, to);
  const times = await arrival(to, seen);
  cluster.promote(to, from);
  return { name, event, ...times, end: event + (restMs / 1000) * second };
}

/** Calls in the second node's own database a while after its Redis was promoted. */
async function written(cluster: Cluster): Promise<Readonly<Record<string, number>>> {
  const { redis, database } = cluster.two;
  if (redis === undefined) return {};
  await delay(2000);
  const fence = /1/.test(redis.command(database, 'exists', 'rtprelay:fence')) ? 1 : 0;
  return { 'calls in the database of the second node, 2 s later': redis.size(database) - fence };
}

async function move(cluster: Cluster): Promise<Acts> {
  const { one, two } = cluster;
  const seen = two.agent.events.length;
  const event = one.daemon?.killForGood() ?? Number.NaN;
  cluster.give(one, two);
  const times = await arrival(two, seen);
  cluster.promote(two, one);
  return {
    phases: [{ name: 'move', event, ...times, end: event + 4 * second }],
    figures: await written(cluster),
  };
}

async function powerOff(cluster: Cluster): Promise<Acts> {
  const { one, two } = cluster;
  const seen = two.agent.events.length;
  const { at: event, kill } = await cluster.powerOff(one.machine);
  if (cluster.settings.mover === 'bench') cluster.give(null, two);
  kill();
  const times = await arrival(two, seen);
  cluster.promote(two, null);
  return {
    phases: [{ name: 'power-off', event, ...times, end: event + 4 * second }],
    figures: await written(cluster),
  };
}

async function coldStandby(cluster: Cluster): Promise<Acts> {
  const { one, two } = cluster;
  const seen = two.agent.events.length;
  const { at: event, kill } = await cluster.powerOff(one.machine);
  if (cluster.settings.mover === 'bench') cluster.give(null, two);
  else kill();
  await two.agent.moment('added', seen);
  cluster.promote(two, null);
  const daemon = cluster.launchInPlaceOf(one, two);
  kill();
  const times = await arrival(two, seen);
  await daemon.ready();
  return { phases: [{ name: 'cold-standby', event, ...times, end: event + 5 * second }] };
}

/** As a mover that starts the daemon first: what counts is what is there when the address comes. */
async function lateAddress(cluster: Cluster): Promise<Acts> {
  const { one, two } = cluster;
  const { kill } = await cluster.powerOff(one.machine);
  cluster.promote(two, null);
  const daemon = cluster.launchInPlaceOf(one, two, [`--timeout=${lateTimeoutSeconds}`]);
  kill();
  await daemon.ready();
  await delay(lateMs);
  const calls = daemon.sessions();
  const seen = two.agent.events.length;
  const event = monotonicMicros();
  cluster.give(null, two);
  const times = await arrival(two, seen);
  return {
    phases: [{ name: 'late-address', event, ...times, from: event, end: event + 3 * second }],
    figures: { 'calls when the address comes': calls },
  };
}

async function switchback(cluster: Cluster): Promise<Acts> {
  const { one, two } = cluster;
  const phases: Phase[] = [];
  const moves = [
    [one, two, 'there'],
    [two, one, 'back'],
    [one, two, 'there again'],
  ] as const;
  for (const [from, to, name] of moves) {
    phases.push(await planned(cluster, from, to, name));
    await delay(restMs + 200);
  }
  return { phases };
}

async function partition(cluster: Cluster): Promise<Acts> {
  const { one, two } = cluster;
  const toTwo = two.agent.events.length;
  let event = monotonicMicros();
  const byKeepalived = cluster.settings.mover === 'keepalived';
  if (byKeepalived) event = cluster.setPartition(true);
  // Both have the address now; the switch follows who announced it last.
  else two.agent.order('add');
  const times = await arrival(two, toTwo);
  const phases: Phase[] = [{ name: 'parted', event, ...times, end: event + 3 * second }];
  await delay(restMs + 200);
  event = monotonicMicros();
  if (byKeepalived) {
    event = cluster.setPartition(false);
    phases.push({ name: 'healed', event, end: event + 3 * second });
  } else {
    const seen = one.agent.events.length;
    one.agent.order('announce');
    two.agent.order('del');
    const acted = await one.agent.moment('announced', seen);
    const media = await one.agent.moment('media', seen);
    phases.push({ name: 'healed', event, acted, media, end: event + 3 * second });
  }
  await delay(restMs);
  return { phases };
}

const controlFigures = (when: string, report: ControlReport): Readonly<Record<string, number>> => ({
  [`calls set up and deleted per second of ${callRate}, ${when}`]: report.triplesPerSecond,
  [`offer p99, ms, ${when}`]: report.offerMicros.p99 / 1000,
  [`refused or unanswered commands, ${when}`]: report.errors + report.repeats,
});

/** Quiet; calls being written; Redis frozen while calls are being set up; thawed. */
async function redisFrozen(cluster: Cluster): Promise<Acts> {
  const { redis, one, network } = cluster;
  if (redis === null) throw new Error('no single Redis server');
  const load = (seconds: number): Promise<ControlReport> =>
    controlLoad(network.hub, one.address, seconds, callRate);
  const quiet = { from: monotonicMicros() - 2 * second, to: monotonicMicros() };
  const writing = { from: monotonicMicros(), to: monotonicMicros() + 3 * second };
  const written = await load(3);
  await delay(300);
  const event = redis.signal('SIGSTOP');
  const frozenLoad = load(3);
  // Bounded: it is the frozen server that is thawed, whatever the daemon makes of it.
  await delay(3000);
  const thawed = redis.signal('SIGCONT');
  const whileFrozen = await frozenLoad;
  return {
    phases: [{ name: 'redis-frozen', event, end: thawed + second }],
    latency: {
      quiet: quiet,
      'while calls are written': writing,
      'while Redis is frozen': { from: event, to: thawed },
    },
    figures: {
      ...controlFigures('Redis alive', written),
      ...controlFigures('Redis frozen', whileFrozen),
    },
  };
}

/** The master is lost, its replica takes over its address, calls come and go, the daemon is killed. */
async function redisMasterLost(cluster: Cluster): Promise<Acts> {
  const pair = cluster.redisPair;
  if (pair === null) throw new Error('no pair of Redis servers');
  const { replica } = pair;
  const { at: event, kill } = await cluster.powerOff(pair.master.server.machine);
  kill();
  await delay(500);
  replica.server.command(0, 'replicaof', 'no', 'one');
  replica.agent.order('add');
  await delay(2000);
  const report = await controlLoad(cluster.network.hub, cluster.one.address, 1, callRate);
  const stored = replica.server.size(0);
  await delay(300);
  const lost: Phase = { name: 'master lost', event, end: monotonicMicros() };
  const killed = await restart(cluster, 'SIGKILL');
  return {
    phases: [lost, ...killed.phases.map((phase) => ({ ...phase, name: 'then killed' }))],
    figures: {
      ...controlFigures('Redis replica', report),
      'keys on the replica': stored,
    },
  };
}

export const scenarios: readonly Scenario[] = [
  {
    name: 'kill-restart',
    title: 'kill -9, started again at once on the same node',
    ...{ standby: 'none', seconds: 4, endsOn: 0 },
    unsupported: noAddressMoves,
    act: (cluster) => restart(cluster, 'SIGKILL'),
  },
  {
    name: 'move',
    title: 'kill -9, address moved to the standby at once, no detection',
    ...{ standby: 'hot', seconds: 4, endsOn: 1 },
    unsupported: redisStoreOnly,
    act: move,
  },
  {
    name: 'power-off',
    title: 'link cut, then everything on the node killed; the standby gets the address',
    ...{ standby: 'hot', seconds: 4, endsOn: 1 },
    unsupported: redisStoreOnly,
    act: powerOff,
  },
  {
    name: 'upgrade',
    title: 'SIGTERM, then the new process on the same node; of a pair: SIGUSR2 to the parent',
    ...{ standby: 'none', seconds: 5, endsOn: 0 },
    unsupported: noAddressMoves,
    act: (cluster) => restart(cluster, 'upgrade'),
  },
  {
    name: 'freeze',
    title: 'SIGSTOP of the daemon',
    ...{ standby: 'none', seconds: 5, endsOn: 0 },
    unsupported: (settings) =>
      noAddressMoves(settings) ??
      (isPair(settings.store) ? null : 'nothing notices it; --store=pair'),
    act: freeze,
  },
  {
    name: 'pair-cost',
    title: 'nothing happens but media; what a pair costs beyond one process',
    ...{ standby: 'none', seconds: (restingMs + costMs) / 1000 + 1, endsOn: 0 },
    unsupported: ({ daemon, store }) =>
      daemon === 'rtprelayd' && isPair(store) ? null : 'there is no pair; --store=pair',
    act: rest,
  },
  {
    name: 'standby-cost',
    title: 'nothing happens but media; processor time of both nodes',
    ...{ standby: 'hot', seconds: (restMs + costMs) / 1000 + 1, endsOn: 0 },
    unsupported: redisStoreOnly,
    act: restOfTwo,
  },
  {
    name: 'switchover',
    title: 'planned: the address moves between two living nodes',
    ...{ standby: 'hot', seconds: 4, endsOn: 1 },
    unsupported: redisStoreOnly,
    act: async (cluster) => ({
      phases: [await planned(cluster, cluster.one, cluster.two, 'switchover')],
    }),
  },
  {
    name: 'switchback',
    title: 'planned: there, back, and there again, every 3 s',
    ...{ standby: 'hot', seconds: 12, endsOn: 1 },
    unsupported: redisStoreOnly,
    act: switchback,
  },
  {
    name: 'redis-frozen',
    sharedRedis: true,
    title: 'Redis stopped for 3 s while calls are being set up',
    ...{ standby: 'none', seconds: 11, endsOn: 0 },
    unsupported: noAddressMoves,
    act: redisFrozen,
  },
  {
    name: 'redis-master-lost',
    sharedRedis: true,
    title: 'Redis master powered off, replica takes over its address; then the daemon is killed',
    ...{ standby: 'none', redundantRedis: true, seconds: 12, endsOn: 0 },
    unsupported: noAddressMoves,
    act: redisMasterLost,
  },
  {
    name: 'partition',
    // Of two masters one side's writes are lost: that is no matter of the relays.
    sharedRedis: true,
    title: 'both nodes have the address for 3 s, then the first one alone again',
    ...{ standby: 'hot', seconds: 8, endsOn: 0 },
    unsupported: redisStoreOnly,
    act: partition,
  },
  {
    name: 'cold-standby',
    title: 'power-off; the second daemon is started when the address arrives',
    ...{ standby: 'cold', seconds: 6, endsOn: 1 },
    unsupported: redisStoreOnly,
    act: coldStandby,
  },
  {
    name: 'late-address',
    title: `power-off; the second daemon is started at once, the address comes ${lateMs / 1000} s later`,
    ...{ standby: 'cold', seconds: 10, endsOn: 1 },
    unsupported: (settings) =>
      redisStoreOnly(settings) ??
      (settings.mover === 'keepalived' ? 'the bench moves the address; --mover=bench' : null),
    act: lateAddress,
  },
];
