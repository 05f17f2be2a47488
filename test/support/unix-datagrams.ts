/** A Unix datagram socket, which Node has none of: the system log, read when the test wants it. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('unix-datagrams.py', import.meta.url));

export class UnixDatagrams {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  private constructor(readonly path: string) {
    this.#process = spawn('python3', [script, path], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
    process.once('exit', () => this.close());
  }

  /** Binds a socket at `path`. */
  static async open(path: string): Promise<UnixDatagrams> {
    const socket = new UnixDatagrams(path);
    await socket.#line();
    return socket;
  }

  /** The messages that have arrived and were not returned before. */
  async received(): Promise<readonly string[]> {
    this.#process.stdin.write('read\n');
    const parsed: unknown = JSON.parse(await this.#line());
    return Array.isArray(parsed) ? parsed.map(String) : [];
  }

  close(): void {
    this.#process.kill('SIGKILL');
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`${script} ended`);
    return value;
  }
}
