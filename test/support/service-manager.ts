/** A daemon under a small service manager that keeps its sockets (service-manager.py). */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { until } from './wait.js';

const program = fileURLToPath(new URL('service-manager.py', import.meta.url));
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGTERM');
});

export class ServiceManagerProcess {
  readonly #child: ChildProcess;
  #told = '';
  #log = '';

  /** @param pauseSeconds how long it is busy with each notification. */
  constructor(command: readonly string[], pauseSeconds = 0) {
    const { NODE_EXTRA_CA_CERTS: _certificates, ...inherited } = process.env;
    const env = { ...inherited, SERVICE_MANAGER_PAUSE: String(pauseSeconds) };
    this.#child = spawn('python3', [program, ...command], { stdio: 'pipe', env });
    running.add(this.#child);
    this.#child.stdout?.on('data', (text: Buffer) => (this.#told += text.toString('latin1')));
    this.#child.stderr?.on('data', (text: Buffer) => (this.#log += text.toString('latin1')));
  }

  /** What the daemon logged so far, all its lives together. */
  get log(): string {
    return this.#log;
  }

  /** Lines that the service manager told, e.g. `kept udp-30000-127.0.0.1`, `READY=1`. */
  get events(): readonly string[] {
    return this.#told.split('\n').slice(0, -1);
  }

  count(event: string | RegExp): number {
    return this.events.filter((line) =>
      typeof event === 'string' ? line === event : event.test(line),
    ).length;
  }

  /** Waits until the daemon has said for the `times`th time that it is ready. */
  async ready(times = 1): Promise<void> {
    try {
      await until(() => this.count('READY=1') >= times, `READY=1 for the time ${times}`);
    } catch (error) {
      throw new Error(`${String(error)}: ${this.#told}${this.#log}`, { cause: error });
    }
  }

  /** `kill` (-9) or `stop` (TERM): the daemon is started again at once. */
  order(what: 'kill' | 'stop'): void {
    this.#child.stdin?.write(`${what}\n`);
  }

  async end(): Promise<void> {
    if (this.#child.exitCode === null) {
      const ended = once(this.#child, 'exit');
      this.#child.stdin?.write('quit\n');
      await ended;
    }
    running.delete(this.#child);
  }
}
