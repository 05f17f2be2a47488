/** A network namespace with one daemon, its Redis and the load generator, all on its loopback. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { cpuSecondsOf } from '../../test/support/cpu-time.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const loadgen = `${root}build/bench/loadgen`;

export type DaemonName = 'rtprelayd' | 'rtpengine';
/** The same with `--port-mode=steered`, where that makes a difference; `before`: another build, see `compareWith`. */
export type MeasuredName = DaemonName | 'rtprelayd-steered' | 'before';

export const ngPort = 2223;
const redisPort = 6379;

const ours = [process.execPath, `${root}dist/bin/rtprelayd.js`, '--no-pair'];
const daemonWords: Record<MeasuredName, readonly string[]> = {
  rtprelayd: [...ours, '--port-mode=bound'],
  'rtprelayd-steered': [...ours, '--port-mode=steered'],
  before: [],
  rtpengine: ['rtpengine'],
};

/** `before` is the build in this folder. */
export function compareWith(directory: string): void {
  daemonWords.before = [process.execPath, `${directory}/dist/bin/rtprelayd.js`];
}

/** Interfaces of the daemon that face the callers and the called, for more calls than one address has ports for. */
export const twoSides = {
  options: [
    '--interface=a/127.0.0.1',
    '--interface=b/127.0.0.2',
    '--port-min=20000',
    '--port-max=65000',
  ],
  load: ['--through', 'a:b'],
} as const;

const oneSide = ['--interface=127.0.0.1', '--port-min=30000', '--port-max=50000'];

const common = [
  '--config-file=none',
  `--listen-ng=127.0.0.1:${ngPort}`,
  '--table=-1',
  '--foreground',
  '--log-stderr',
  '--log-level=5',
  '--delete-delay=0',
];

/** Everything that runs in one namespace; `close` ends the processes and removes it. */
export class Rig {
  readonly #name: string;
  readonly #children: ChildProcess[] = [];
  #daemon: ChildProcess | null = null;
  #watchesLoop = false;
  #loopRead = 0;

  private constructor(name: string) {
    this.#name = name;
  }

  static #count = 0;

  static create(): Rig {
    const name = `rtprelay-bench-${process.pid}-${Rig.#count++}`;
    execFileSync('ip', ['netns', 'add', name]);
    const rig = new Rig(name);
    execFileSync('ip', ['netns', 'exec', name, 'ip', 'link', 'set', 'lo', 'up']);
    return rig;
  }

  #start(
    words: readonly string[],
    stdio: 'ignore' | 'pipe',
    more: Readonly<Record<string, string>> = {},
  ): ChildProcess {
    const { NODE_EXTRA_CA_CERTS: _unused, ...own } = process.env;
    // Earlier builds don't know the option.
    const env = { ...own, RTPRELAY_PAIR: 'no', ...more };
    const child = spawn('ip', ['netns', 'exec', this.#name, ...words], {
      stdio: ['pipe', stdio, stdio],
      env,
    });
    this.#children.push(child);
    return child;
  }

  /** A Redis server without persistence on 127.0.0.1:6379 of the namespace. */
  async startRedis(): Promise<string> {
    const words = ['redis-server', '--port', String(redisPort), '--save', '', '--appendonly', 'no'];
    const child = this.#start(words, 'pipe');
    await printed(child, /Ready to accept connections/);
    return `127.0.0.1:${redisPort}/0`;
  }

  /** @param sides where its media ports are. */
  async startDaemon(
    name: MeasuredName,
    extra: readonly string[] = [],
    sides: readonly string[] = oneSide,
  ): Promise<void> {
    const options = [...common, ...sides, `--pidfile=/tmp/${this.#name}.pid`, ...extra];
    const watch = this.#watchesLoop
      ? { NODE_OPTIONS: `--import=${root}bench/lib/loop-watch.mjs`, LOOP_WATCH: this.#loopFile }
      : {};
    this.#daemon = this.#start([...daemonWords[name], ...options], 'ignore', watch);
    for (let tries = 0; tries < 100; tries++) {
      if (this.#daemon.exitCode !== null) break;
      await delay(50);
      const bound = execFileSync('ip', ['netns', 'exec', this.#name, 'ss', '-Hlun'], {
        encoding: 'utf8',
      });
      if (bound.includes(`:${ngPort} `)) return;
    }
    throw new Error(`${name} did not start`);
  }

  /** `ip netns exec` replaces itself, so this is the daemon's own process. */
  get #pid(): number {
    const pid = this.#daemon?.pid;
    if (pid === undefined) throw new Error('no daemon runs');
    return pid;
  }

  /** The event loops of daemons (ours) that are started from now on are watched, which costs them some CPU. */
  watchLoop(): void {
    this.#watchesLoop = true;
  }

  get #loopFile(): string {
    return `/tmp/${this.#name}.loop`;
  }

  /**
   * How long the event loop was held up at the longest in each second since the last call, ms; and how much CPU
   * time the process took between two turns of it, ms, which does not depend on what else the machine does.
   */
  holdUps(): { readonly ms: readonly number[]; readonly cpuMs: readonly number[] } {
    const lines = existsSync(this.#loopFile)
      ? readFileSync(this.#loopFile, 'latin1').trim().split('\n').slice(this.#loopRead)
      : [];
    this.#loopRead += lines.length;
    const column = (at: number): readonly number[] =>
      lines.map((line) => Number(line.split(' ')[at] ?? Number.NaN));
    return { ms: column(0), cpuMs: column(1) };
  }

  /** User and system time of the daemon so far, seconds. */
  cpuSeconds(): number {
    return cpuSecondsOf(this.#pid);
  }

  /** Datagrams and segments over the namespace's loopback so far: of each relayed packet two, as it comes and as it goes. */
  loopbackPackets(): number {
    const devices = readFileSync(`/proc/${this.#pid}/net/dev`, 'latin1');
    return Number(/^\s*lo:\s*\d+\s+(\d+)/m.exec(devices)?.[1] ?? Number.NaN);
  }

  /** Resident memory of the daemon, KiB. */
  residentKib(): number {
    const status = readFileSync(`/proc/${this.#pid}/status`, 'latin1');
    return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? Number.NaN);
  }

  descriptors(): number {
    return readdirSync(`/proc/${this.#pid}/fd`).length;
  }

  /** Runs the load generator to its end; its JSON. `during` is called once the calls stand. */
  async load(
    words: readonly string[],
    during?: () => Promise<void>,
  ): Promise<Readonly<Record<string, unknown>>> {
    const child = this.#start([loadgen, ...words, '--ng', `127.0.0.1:${ngPort}`], 'pipe');
    const output: Buffer[] = [];
    const errors: Buffer[] = [];
    child.stdout?.on('data', (bytes: Buffer) => output.push(bytes));
    child.stderr?.on('data', (bytes: Buffer) => errors.push(bytes));
    const exited = once(child, 'close');
    if (during !== undefined) {
      await printed(child, /ready/);
      await during();
      child.stdin?.end();
    }
    await exited;
    const text = Buffer.concat(output).toString('latin1');
    if (child.exitCode !== 0) {
      throw new Error(`the load generator failed: ${Buffer.concat(errors).toString('latin1')}`);
    }
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  }

  /** Runs a short command in the namespace; milliseconds that it took. */
  async time(words: readonly string[]): Promise<number> {
    const from = performance.now();
    const child = this.#start(words, 'ignore');
    await once(child, 'exit');
    if (child.exitCode !== 0) throw new Error(`${words.join(' ')}: status ${child.exitCode}`);
    return performance.now() - from;
  }

  async close(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 3000);
      await exited;
      clearTimeout(timer);
    }
    rmSync(this.#loopFile, { force: true });
    execFileSync('ip', ['netns', 'del', this.#name]);
  }
}

async function printed(child: ChildProcess, pattern: RegExp): Promise<void> {
  let text = '';
  await new Promise<void>((resolve, reject) => {
    const look = (bytes: Buffer): void => {
      text += bytes.toString('latin1');
      if (pattern.test(text)) resolve();
    };
    child.stdout?.on('data', look);
    child.stderr?.on('data', look);
    child.once('exit', () => reject(new Error(`it ended: ${text}`)));
  });
}

/** Runs `work` in a new rig and takes the rig away whatever happens. */
export async function inRig<T>(work: (rig: Rig) => Promise<T>): Promise<T> {
  const rig = Rig.create();
  try {
    return await work(rig);
  } finally {
    await rig.close();
  }
}

/** Builds what is missing and says what cannot be measured here. */
export function prepare(wanted: string): readonly DaemonName[] {
  execFileSync(`${root}scripts/bootstrap`, ['test'], { stdio: 'inherit' });
  execFileSync(`${root}scripts/build-bench`, { stdio: 'inherit' });
  if (process.getuid?.() !== 0) throw new Error('network namespaces need root');
  if (!existsSync(loadgen)) throw new Error('the load generator was not built');
  const names: readonly DaemonName[] = ['rtprelayd', 'rtpengine'];
  const chosen = names.filter((name) => wanted === 'both' || wanted === name);
  if (chosen.length === 0) throw new Error(`--daemon=${wanted}: both, rtprelayd or rtpengine`);
  return chosen;
}

/** With both port modes. */
export const withPortModes = (daemons: readonly DaemonName[]): readonly MeasuredName[] =>
  daemons.flatMap((name): readonly MeasuredName[] =>
    name === 'rtprelayd' ? [name, 'rtprelayd-steered'] : [name],
  );

/** One line on what all of this ran on. */
export function machine(): string {
  const model = /^model name\s*:\s*(.+)$/m.exec(readFileSync('/proc/cpuinfo', 'latin1'))?.[1];
  const kernel = readFileSync('/proc/sys/kernel/osrelease', 'latin1').trim();
  const cpus = availableParallelism();
  return `${cpus} CPUs (${model ?? 'unknown'}), Linux ${kernel}, Node ${process.version}`;
}
