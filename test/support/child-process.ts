/**
 * Programs that a test starts: in folders of their own, stopped by their own process id, and killed
 * with the test run whatever happens to it.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pause } from './wait.js';

const alive = new Set<ChildProcess>();
const folders = new Set<{ readonly remove: () => void }>();

// Nobody listening, a signal would end this process as it is, and those that it has started would go on.
const ended = { SIGTERM: 143, SIGHUP: 129 } as const;
for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(ended[signal]));
}

process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
  for (const folder of [...folders]) folder.remove();
});

/** true when `program` can be started by name. */
export function isInstalled(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status === 0;
}

/** Processes that a process has started, as far as they are there; none of one that is gone. */
export function childrenOf(pid: number): readonly number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
    return text.trim().split(' ').filter(Boolean).map(Number);
  } catch (error) {
    // It ended meanwhile.
    if (['ENOENT', 'ESRCH'].includes(Reflect.get(Object(error), 'code'))) return [];
    throw error;
  }
}

/** A process and all that it has started, as far as they are there. */
export const withDescendants = (pid: number): readonly number[] => [
  pid,
  ...childrenOf(pid).flatMap(withDescendants),
];

/** An empty folder; removed again by `remove`. */
export class TemporaryFolder {
  readonly path: string;

  constructor(prefix: string) {
    this.path = mkdtempSync(join(tmpdir(), `${prefix}-`));
    folders.add(this);
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** Text of a file in the folder; empty while there is none. */
  read(name: string): string {
    return existsSync(this.file(name)) ? readFileSync(this.file(name), 'latin1') : '';
  }

  remove(): void {
    folders.delete(this);
    rmSync(this.path, { recursive: true, force: true });
  }
}

export interface StartOptions {
  readonly cwd?: string;
  /** Environment to add. */
  readonly env?: Readonly<Record<string, string>>;
  /** Network namespace to start in (needs root). */
  readonly namespace?: string;
}

/** A running program with what it wrote to stdout and stderr. */
export class TestProcess {
  readonly #child: ChildProcess;
  readonly #output: string[] = [];

  constructor(
    readonly name: string,
    command: string,
    commandArguments: readonly string[],
    options: StartOptions = {},
  ) {
    // The certificates of the machine are of no use to the program and cost a warning line.
    const { NODE_EXTRA_CA_CERTS: _certificates, ...environment } = process.env;
    const inside = options.namespace;
    const words = inside === undefined ? [command] : ['ip', 'netns', 'exec', inside, command];
    const [program = command, ...before] = words;
    this.#child = spawn(program, [...before, ...commandArguments], {
      cwd: options.cwd,
      // Hundreds of daemons are started, and few of them are asked much.
      env: { RTPRELAY_REHEARSAL: 'no', ...environment, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    alive.add(this.#child);
    this.#child.on('exit', () => alive.delete(this.#child));
    this.#child.on('error', (error) => this.#output.push(`cannot start: ${error.message}\n`));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (bytes: Buffer) => this.#output.push(bytes.toString('latin1')));
    }
  }

  get pid(): number {
    const pid = this.#child.pid;
    if (pid === undefined) throw new Error(`${this.name} did not start: ${this.log()}`);
    return pid;
  }

  get running(): boolean {
    const { pid, exitCode, signalCode } = this.#child;
    return pid !== undefined && exitCode === null && signalCode === null;
  }

  /** Exit status; null while it runs or when a signal ended it. */
  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  /** Everything written so far. */
  log(): string {
    return this.#output.join('');
  }

  /** Everything written so far; the daemons log to stderr only. */
  get stderr(): string {
    return this.log();
  }

  /** Waits until `ready` holds. Throws with the program's output when it ends or takes too long. */
  async until(ready: () => boolean | Promise<boolean>, timeoutMs = 30_000): Promise<void> {
    const end = performance.now() + timeoutMs;
    while (performance.now() < end) {
      if (await ready()) return;
      if (!this.running) throw new Error(`${this.name} ended: ${this.log()}`);
      await pause(20);
    }
    throw new Error(`${this.name} is not ready: ${this.log()}`);
  }

  async untilLogged(text: string | RegExp, timeoutMs?: number): Promise<void> {
    const found =
      typeof text === 'string' ? () => this.log().includes(text) : () => text.test(this.log());
    await this.until(found, timeoutMs);
  }

  /** Waits for the program to end by itself and returns its exit status. */
  async ended(timeoutMs = 60_000): Promise<number | null> {
    const end = performance.now() + timeoutMs;
    while (this.running && performance.now() < end) await pause(20);
    if (this.running) throw new Error(`${this.name} does not end: ${this.log()}`);
    return this.#child.exitCode;
  }

  /** Sends a signal; does not wait. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends the program: SIGTERM, then SIGKILL, for all that it has started, if it does not obey within 5 s. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (!this.running) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill(signal);
    const timer = setTimeout(() => {
      for (const pid of withDescendants(this.pid)) killIfThere(pid);
    }, 5000);
    await exited;
    clearTimeout(timer);
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}
