/**
 * What happens to a pair of relays while calls are up. Each scenario brings its relays up, then acts at
 * the event; times are µs of the monotonic clock, which the load generator uses too.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { hubAddress, type Pair, type PairNode } from '../../test/support/pair.js';
import type { DaemonName } from '../lib/rig.js';
import { ngPort, Relay, virtualAddress } from './relays.js';

export interface Stage {
  readonly pair: Pair;
  readonly daemon: DaemonName;
  readonly calls: number;
  readonly store: 'redis' | 'systemd';
  /** Runs the load generator's `control` mode on the hub for so long; replies with its report. */
  readonly control: (seconds: number) => Promise<Readonly<Record<string, unknown>>>;
}

export interface Moments {
  /** The fault, or the beginning of the operator's action. */
  readonly event: bigint;
  /** The address is where it has to be; null: it does not move. */
  readonly moved: bigint | null;
  /** Further figures of the scenario. */
  readonly figures?: Readonly<Record<string, number>>;
}

export interface Running {
  /** Whose NG socket sets the calls up. */
  readonly active: Relay;
  readonly act: () => Promise<Moments>;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Seconds of media after the event. */
  readonly seconds: number;
  /** Why it cannot run; null: it can. */
  readonly obstacle?: (stage: Pick<Stage, 'daemon' | 'store'>) => string | null;
  readonly prepare: (stage: Stage) => Promise<Running>;
}

export const now = (): bigint => process.hrtime.bigint() / 1000n;

const pairPlan = {
  one: { database: 1, follows: 2 },
  two: { database: 2, follows: 1 },
} as const;

function relayOn(stage: Stage, node: PairNode, follows = true): Relay {
  const plan = node.number === 1 ? pairPlan.one : pairPlan.two;
  return new Relay(stage.daemon, stage.pair, node, follows ? plan : { ...plan, follows: null });
}

/** Both nodes run; the first one has the address. */
async function warmPair(stage: Stage): Promise<{ readonly one: Relay; readonly two: Relay }> {
  const { pair } = stage;
  const [one, two] = [relayOn(stage, pair.one), relayOn(stage, pair.two)];
  pair.one.addAddress(virtualAddress);
  await one.start();
  await two.start();
  return { one, two };
}

function move(from: PairNode, to: PairNode): bigint {
  from.removeAddress(virtualAddress);
  to.addAddress(virtualAddress);
  return now();
}

/** One node alone, its sockets kept by a service manager when asked for. */
async function alone(stage: Stage): Promise<Relay> {
  const relay = relayOn(stage, stage.pair.one, false);
  stage.pair.one.addAddress(virtualAddress);
  if (stage.store === 'systemd') relay.launchManaged();
  else relay.launch();
  await relay.answers();
  return relay;
}

const noSocketStore: Scenario['obstacle'] = ({ daemon, store }) =>
  daemon === 'rtpengine' && store === 'systemd'
    ? 'rtpengine cannot leave its sockets to the service manager'
    : null;

export const scenarios: readonly Scenario[] = [
  {
    name: 'move',
    title: 'the address moves to a running standby, nobody dies',
    seconds: 4,
    prepare: async (stage) => {
      const { one, two } = await warmPair(stage);
      return {
        active: one,
        act: () => {
          const event = now();
          return Promise.resolve({ event, moved: move(one.node, two.node) });
        },
      };
    },
  },
  {
    name: 'power-off',
    title: 'the active node loses its cable and its power; the address moves at once',
    seconds: 4,
    prepare: async (stage) => {
      const { one, two } = await warmPair(stage);
      return {
        active: one,
        act: async () => {
          const event = now();
          const off = one.node.powerOff();
          two.node.addAddress(virtualAddress);
          const moved = now();
          await off;
          return { event, moved };
        },
      };
    },
  },
  {
    name: 'cold-standby',
    title: 'power-off; the second daemon is started only then, and restores the calls',
    seconds: 6,
    prepare: async (stage) => {
      const one = relayOn(stage, stage.pair.one, false);
      const two = new Relay(stage.daemon, stage.pair, stage.pair.two, {
        database: pairPlan.one.database,
        follows: null,
      });
      stage.pair.one.addAddress(virtualAddress);
      await one.start();
      return {
        active: one,
        act: async () => {
          const event = now();
          const off = one.node.powerOff();
          two.node.addAddress(virtualAddress);
          const moved = now();
          two.launch();
          await off;
          return { event, moved };
        },
      };
    },
  },
  {
    name: 'kill-restart',
    title: 'kill -9 of the daemon, and the next one at once on the same node',
    seconds: 6,
    obstacle: noSocketStore,
    prepare: async (stage) => {
      const relay = await alone(stage);
      return {
        active: relay,
        act: async () => {
          const event = now();
          if (stage.store === 'systemd') relay.signal('SIGUSR1');
          else {
            await relay.kill();
            relay.launch();
          }
          return { event, moved: null };
        },
      };
    },
  },
  {
    name: 'upgrade',
    title: 'an orderly stop, and the next process at once',
    seconds: 6,
    obstacle: noSocketStore,
    prepare: async (stage) => {
      const relay = await alone(stage);
      return {
        active: relay,
        act: async () => {
          const event = now();
          if (stage.store === 'systemd') relay.signal('SIGUSR2');
          else {
            await relay.stop();
            relay.launch();
          }
          return { event, moved: null };
        },
      };
    },
  },
  {
    name: 'switchover',
    title: 'planned: the address moves and the second node is told to be active',
    seconds: 4,
    prepare: async (stage) => {
      const { one, two } = await warmPair(stage);
      return {
        active: one,
        act: () => {
          const event = now();
          const moved = move(one.node, two.node);
          two.cli('active');
          one.cli('standby');
          return Promise.resolve({ event, moved });
        },
      };
    },
  },
  {
    name: 'switchback',
    title: 'there, back, and there again, 2.5 s each',
    seconds: 9,
    prepare: async (stage) => {
      const { one, two } = await warmPair(stage);
      return {
        active: one,
        act: async () => {
          const event = now();
          move(one.node, two.node);
          await delay(2500);
          move(two.node, one.node);
          await delay(2500);
          return { event, moved: move(one.node, two.node) };
        },
      };
    },
  },
  {
    name: 'redis-writes',
    title: 'calls come and go, and are written to Redis, while others talk',
    seconds: 4,
    prepare: async (stage) => {
      const relay = await alone({ ...stage, store: 'redis' });
      return {
        active: relay,
        act: async () => {
          const event = now();
          const report = await stage.control(3);
          return { event, moved: null, figures: figuresOf(report) };
        },
      };
    },
  },
  {
    name: 'redis-frozen',
    title: 'Redis hangs for 3 s while calls come and go',
    seconds: 7,
    prepare: async (stage) => {
      const relay = await alone({ ...stage, store: 'redis' });
      return {
        active: relay,
        act: async () => {
          const event = now();
          const redis = redisPid(stage.pair);
          process.kill(redis, 'SIGSTOP');
          const report = stage.control(3);
          await delay(3000);
          process.kill(redis, 'SIGCONT');
          return { event, moved: null, figures: figuresOf(await report) };
        },
      };
    },
  },
  {
    name: 'redis-lost',
    title: 'Redis is killed and comes back empty; then the daemon is killed and restarted',
    seconds: 9,
    prepare: async (stage) => {
      const relay = await alone({ ...stage, store: 'redis' });
      return {
        active: relay,
        act: async () => {
          const event = now();
          process.kill(redisPid(stage.pair), 'SIGKILL');
          await delay(500);
          await stage.pair.startRedis();
          await delay(2500);
          await relay.kill();
          relay.launch();
          return { event, moved: null };
        },
      };
    },
  },
  {
    name: 'partition',
    title:
      'the active node is cut off for 2 s, lives on, and comes back with the address still on it',
    seconds: 8,
    prepare: async (stage) => {
      const { one, two } = await warmPair(stage);
      return {
        active: one,
        act: async () => {
          const event = now();
          one.node.plug('down');
          two.node.addAddress(virtualAddress);
          const moved = now();
          await delay(2000);
          one.node.plug('up');
          // Both have it now. The one that came back finds that out and gives it up.
          await delay(1000);
          one.node.removeAddress(virtualAddress);
          two.node.announce(virtualAddress);
          return { event, moved };
        },
      };
    },
  },
];

function redisPid(pair: Pair): number {
  const text = pair.hub.run('sh', '-c', `redis-cli -h ${hubAddress} info server`);
  return Number(/process_id:(\d+)/.exec(text)?.[1]);
}

/** Of the control load: what a SIP proxy sees of the daemon meanwhile. */
function figuresOf(report: Readonly<Record<string, unknown>>): Readonly<Record<string, number>> {
  const figures: Record<string, number> = {};
  for (const [name, value] of Object.entries(report)) {
    if (typeof value === 'number') figures[`control ${name}`] = value;
  }
  return figures;
}

export const controlAddress = (node: PairNode): string => `${node.address}:${ngPort}`;
