/** Faults at random moments, the same for the same seed, while calls talk and are re-INVITEd; and what was wrong. */
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { TemporaryFolder } from '../../test/support/child-process.js';
import { clockCanBeStepped } from '../../test/support/stepped-clock.js';
import { speech } from '../failover/audio.js';
import { Cluster, type Node } from '../failover/cluster.js';
import { monotonicMicros } from '../failover/clock.js';
import { MediaLoad } from '../failover/load.js';
import { hubAddress } from '../failover/names.js';
import { faults, type Fault, type Scene } from './faults.js';
import { heard } from './heard.js';
import { Random } from './random.js';
import { Signaller } from './signaller.js';
import { Yardstick } from './yardstick.js';

export interface ChaosOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly calls: number;
  readonly ptime: number;
  /** Re-INVITEs per second. */
  readonly rate: number;
  /** A single node without Redis, or two with a Redis server on a third machine. */
  readonly nodes: 1 | 2;
  /** Between two faults, ms, at most; the least is a quarter of it. */
  readonly pauseMs: number;
  /** A stream is heard again within that time, ms; where the processors are busy, so much later as they are slower. */
  readonly boundMs: number;
  readonly say: (line: string) => void;
}

export interface ChaosReport {
  readonly faults: number;
  readonly problems: readonly string[];
  readonly sent: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly longestGapMs: number;
  /** How many times longer than on an idle processor work took at worst. */
  readonly slowness: number;
  /** Resident memory of the largest process, MB: in the first third of the run, and in the last. */
  readonly memoryMb: readonly [number, number];
}

/** Media flows for so long before the first fault, and after the last. */
const settleMs = 3000;
const firstPort = 10_000;
/** For what faults wait for. */
const waitingSeconds = 20;
/** A process that has been started anew is of another size. */
const growthMb = 40;
const growthShare = 1.3;

/** Of the largest process of the nodes. */
function residentMb(nodes: readonly Node[]): number {
  let most = 0;
  for (const { daemon } of nodes) {
    try {
      for (const pid of daemon?.family() ?? []) {
        const status = readFileSync(`/proc/${pid}/status`, 'latin1');
        most = Math.max(most, Number(/^VmRSS:\s*(\d+)/m.exec(status)?.[1] ?? 0));
      }
    } catch {
      // It has just ended.
    }
  }
  return most / 1024;
}

/** Looked at every second from the first calls on. */
class Memory {
  readonly #samples: number[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(nodes: readonly Node[]) {
    this.#timer = setInterval(() => this.#samples.push(residentMb(nodes)), 1000);
  }

  /** The most of the first third and of the last one. */
  stop(): readonly [number, number] {
    clearInterval(this.#timer);
    const third = Math.ceil(this.#samples.length / 3);
    return [Math.max(...this.#samples.slice(0, third)), Math.max(...this.#samples.slice(-third))];
  }
}

async function play(scene: Scene, options: ChaosOptions, started: number): Promise<string[]> {
  const { seconds, nodes, pauseMs, say } = options;
  const possible = faults.filter(
    ({ needsTwo, needsRedis, needsClock }) =>
      (nodes === 2 || (needsTwo === undefined && needsRedis === undefined)) &&
      (clockCanBeStepped || needsClock === undefined),
  );
  const problems: string[] = [];
  const now = (): number => (monotonicMicros() - started) / 1e6;
  let count = 0;
  const run = async (fault: Fault): Promise<void> => {
    say(`${now().toFixed(2)} s: ${fault.name} on ${scene.owner.machine.role}`);
    count += 1;
    const wrong = await fault.act(scene);
    if (wrong !== null) problems.push(`${now().toFixed(2)} s: ${fault.name}: ${wrong}`);
  };
  while (now() < seconds) {
    await run(scene.random.pick(possible));
    await delay(scene.random.between(pauseMs / 4, pauseMs));
  }
  say(`${count} faults`);
  return problems;
}

/** Each call is on the node with the address once, and belongs to one node. */
async function count(scene: Scene, proxy: Signaller, calls: number): Promise<string[]> {
  const expected = Array.from({ length: calls }, (_, number) => `load-${number}`);
  const found = await proxy.list(scene.owner.address);
  const lost = expected.filter((callId) => !found.includes(callId));
  const strange = found.filter(
    (callId, at) => !expected.includes(callId) || found.indexOf(callId) !== at,
  );
  const problems = [
    ...lost.map((callId) => `${callId} is lost`),
    ...strange.map((callId) => `${callId} is there and should not be`),
  ];
  return problems;
}

async function inCluster(cluster: Cluster, options: ChaosOptions): Promise<ChaosReport> {
  const { seed, seconds, calls, ptime, rate, nodes, boundMs } = options;
  const { folder } = cluster.settings;
  await cluster.create(false);
  await cluster.launch(cluster.one, nodes === 2).ready(60_000);
  if (nodes === 2) await cluster.launch(cluster.two, true).ready(60_000);
  writeFileSync(`${folder}/audio`, speech(4));
  const total =
    seconds + (2 * settleMs) / 1000 + (nodes === 2 ? waitingSeconds : waitingSeconds / 4);
  const load = new MediaLoad(
    cluster.network.hub,
    {
      ...{
        calls,
        ptime,
        seconds: total,
        dualStack: false,
        audio: `${folder}/audio`,
        keepCalls: true,
      },
      ...{ before: cluster.one.address, after: cluster.one.address },
    },
    folder,
  );
  await load.ready();
  const started = monotonicMicros();
  const words = [seed, calls, rate, hubAddress, firstPort, 2223];
  const proxy = new Signaller(cluster.network.hub, words);
  const ask = ({ address }: Node): void => proxy.ask(address);
  const scene: Scene = { cluster, random: new Random(seed), calls, owner: cluster.one, ask };
  ask(scene.owner);
  const memory = new Memory(cluster.nodes);
  const yardstick = new Yardstick();
  try {
    await delay(settleMs);
    const problems = await play(scene, options, started);
    await proxy.end();
    const used = memory.stop();
    problems.push(...proxy.problems, ...(await count(scene, proxy, calls)));
    if (used[1] > used[0] * growthShare + growthMb)
      problems.push(
        `memory of a process went from ${used[0].toFixed(0)} to ${used[1].toFixed(0)} MB`,
      );
    const media = await load.result();
    const { sent, received, duplicates, strange } = media.report;
    const start = media.report.startedMonotonicMicros;
    const slowness = (from: number, to: number): number =>
      yardstick.slowness(start + from, start + to);
    const end = total * 1e6;
    const [longestGapMs, silent] = heard(media.streams, boundMs, end, slowness);
    problems.push(...silent);
    if (strange > 0) problems.push(`${strange} packets came to a wrong party`);
    return {
      ...{ faults: faults.length, problems, sent, lost: sent - received, duplicates },
      ...{ longestGapMs, memoryMb: used, slowness: slowness(0, end) },
    };
  } finally {
    memory.stop();
    yardstick.stop();
    if (process.env['CHAOS_LOG'] !== undefined)
      writeFileSync(
        process.env['CHAOS_LOG'],
        cluster.nodes.map(({ daemon }) => daemon?.log ?? '').join('\n---- second node ----\n'),
      );
    proxy.stop();
  }
}

/** In namespaces that are deleted again whatever happens. */
export async function chaos(options: ChaosOptions): Promise<ChaosReport> {
  const folder = new TemporaryFolder('rtprelay-chaos');
  const cluster = new Cluster({
    ...{ daemon: 'rtprelayd', store: 'pair', mover: 'bench', advertMs: 10, stack: 'ipv4' },
    ...{ replay: false, portMode: 'bound' },
    redis: options.nodes === 2 ? 'shared' : 'none',
    ownClocks: clockCanBeStepped,
    ...{ calls: options.calls, ptime: options.ptime, folder: folder.path },
  });
  try {
    return await inCluster(cluster, options);
  } finally {
    cluster.remove();
    folder.remove();
  }
}
