/** What can happen to a cluster at any moment. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster, Node } from '../failover/cluster.js';
import { until } from '../failover/clock.js';
import type { Daemon } from '../failover/daemons.js';
import { redisPort } from '../failover/names.js';
import type { Random } from './random.js';

/** The cluster, and who has the virtual address. */
export interface Scene {
  readonly cluster: Cluster;
  readonly random: Random;
  readonly calls: number;
  owner: Node;
  /** The proxy asks there from now on. */
  readonly ask: (node: Node) => void;
}

export interface Fault {
  readonly name: string;
  readonly weight: number;
  /** Needs the second node. */
  readonly needsTwo?: true;
  readonly needsRedis?: true;
  /** Needs libfaketime. */
  readonly needsClock?: true;
  /** Resolves to what is wrong about it, or null. */
  readonly act: (scene: Scene) => Promise<string | null>;
}

const limitMs = 60_000;
const mostStepSeconds = 7200;

const daemonOf = ({ owner }: Scene): Daemon => {
  if (owner.daemon === undefined) throw new Error('no daemon runs');
  return owner.daemon;
};

const other = ({ cluster, owner }: Scene): Node =>
  owner === cluster.one ? cluster.two : cluster.one;

/** Who stands by has all calls. */
async function isReady(scene: Scene, node: Node): Promise<boolean> {
  const { daemon } = node;
  if (daemon === undefined) return false;
  try {
    await until(() => daemon.sessions() >= scene.calls, 'the standby', limitMs);
    return true;
  } catch {
    return false;
  }
}

async function move(scene: Scene): Promise<string | null> {
  const to = other(scene);
  if (!(await isReady(scene, to))) return `${to.machine.role} does not have all calls`;
  const seen = to.agent.events.length;
  scene.cluster.give(scene.owner, to);
  await to.agent.moment('added', seen);
  scene.owner = to;
  scene.ask(to);
  return null;
}

async function partition(scene: Scene): Promise<string | null> {
  const to = other(scene);
  if (!(await isReady(scene, to))) return `${to.machine.role} does not have all calls`;
  const [came, left] = [to.agent.events.length, scene.owner.agent.events.length];
  // Both have the address; the switch follows who announced it last.
  to.agent.order('add');
  await to.agent.moment('added', came);
  await delay(scene.random.between(500, 2500));
  scene.owner.agent.order('announce');
  to.agent.order('del');
  await scene.owner.agent.moment('announced', left);
  return null;
}

async function freezeRedis({ cluster, random }: Scene): Promise<null> {
  cluster.redis?.signal('SIGSTOP');
  // Bounded: it is the frozen server that is thawed, whatever the daemons make of it.
  await delay(random.between(200, 3000));
  cluster.redis?.signal('SIGCONT');
  return null;
}

/** Another server without a single call. */
async function loseRedis({ cluster, random }: Scene): Promise<null> {
  cluster.redis?.signal('SIGKILL');
  await delay(random.between(0, 2000));
  await cluster.startRedis();
  return null;
}

/** Packets between the node with the address and Redis are lost, both ways. */
async function cutOffRedis({ owner, random }: Scene): Promise<null> {
  const { namespace } = owner.machine;
  const ruleset = [
    'table ip redis_cut {',
    `chain out { type filter hook output priority 0; tcp dport ${redisPort} drop; }`,
    `chain in { type filter hook input priority 0; tcp sport ${redisPort} drop; }`,
    '}',
  ];
  namespace.run('nft', ruleset.join('\n'));
  try {
    await delay(random.between(200, 6000));
  } finally {
    namespace.run('nft', 'delete', 'table', 'ip', 'redis_cut');
  }
  return null;
}

/** The wall clock of the node with the address is set, as by an operator or by NTP. */
function stepClock({ owner, random }: Scene): Promise<null> {
  owner.clock?.set(Math.round(random.between(-mostStepSeconds, mostStepSeconds)));
  return Promise.resolve(null);
}

const killing = (name: string, weight: number, who: 'active' | 'spare' | 'both'): Fault => ({
  ...{ name, weight },
  act: (scene) => {
    const [active, spare] = daemonOf(scene).members();
    for (const pid of [who === 'spare' ? undefined : active, who === 'active' ? undefined : spare])
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
    return Promise.resolve(null);
  },
});

const signalling = (name: string, weight: number, signal: NodeJS.Signals): Fault => ({
  ...{ name, weight },
  act: (scene) => {
    const [active] = daemonOf(scene).members();
    if (active !== undefined) process.kill(active, signal);
    return Promise.resolve(null);
  },
});

export const faults: readonly Fault[] = [
  killing('kill the active process', 6, 'active'),
  killing('kill the spare process', 2, 'spare'),
  killing('kill both processes', 2, 'both'),
  signalling('freeze the active process', 3, 'SIGSTOP'),
  signalling('reload', 1, 'SIGHUP'),
  {
    name: 'upgrade',
    weight: 2,
    act: (scene) => {
      daemonOf(scene).upgrade();
      return Promise.resolve(null);
    },
  },
  { name: 'move the address', weight: 4, needsTwo: true, act: move },
  { name: 'both have the address', weight: 2, needsTwo: true, act: partition },
  { name: 'step the clock', weight: 2, needsClock: true, act: stepClock },
  { name: 'freeze Redis', weight: 2, needsRedis: true, act: freezeRedis },
  { name: 'cut off from Redis', weight: 2, needsRedis: true, act: cutOffRedis },
  { name: 'lose Redis', weight: 2, needsRedis: true, act: loseRedis },
];
