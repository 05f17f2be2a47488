/** Commands to a browser over its WebSocket: DevTools protocol and WebDriver BiDi have the same frame. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { TestProcess, type TemporaryFolder } from '../child-process.js';

const bridge = fileURLToPath(new URL('./bridge.mjs', import.meta.url));

interface Answer {
  readonly id?: number | null;
  readonly result?: unknown;
  /** An object in the DevTools protocol, a name in BiDi. */
  readonly error?: unknown;
  readonly message?: string;
}

/** A page that hangs is told by this, not by the test's own limit. */
const answerTimeoutMs = 45_000;

export class RemoteControl {
  readonly #socket: WebSocket;
  readonly #bridge: TestProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #next = 1;

  private constructor(socket: WebSocket, through: TestProcess) {
    this.#socket = socket;
    this.#bridge = through;
    socket.on('message', (data: Buffer) => {
      const answer = JSON.parse(data.toString('utf8')) as Answer;
      if (typeof answer.id !== 'number') return;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      for (const done of this.#waiting.values()) done({ error: 'the browser has ended' });
      this.#waiting.clear();
    });
  }

  /** @param namespace the network namespace whose loopback the browser listens on. */
  static async connect(
    url: URL,
    namespace: string,
    folder: TemporaryFolder,
  ): Promise<RemoteControl> {
    const path = folder.file('control');
    const words = [bridge, path, url.port];
    const through = new TestProcess('bridge', process.execPath, words, { namespace });
    await through.untilLogged('ready');
    const headers = { Host: url.host };
    const socket = new WebSocket(`ws+unix://${path}:${url.pathname}`, { headers });
    const control = new RemoteControl(socket, through);
    await once(socket, 'open');
    return control;
  }

  /** @throws Error with what the browser says. */
  async ask(
    method: string,
    parameters: Readonly<Record<string, unknown>>,
    more: Readonly<Record<string, unknown>> = {},
  ): Promise<unknown> {
    const id = this.#next++;
    const answer = await new Promise<Answer>((resolve) => {
      const late = (): void => resolve({ error: `no answer to ${method}` });
      const timer = setTimeout(late, answerTimeoutMs);
      this.#waiting.set(id, (given) => {
        clearTimeout(timer);
        resolve(given);
      });
      this.#socket.send(JSON.stringify({ id, method, params: parameters, ...more }));
    });
    if (answer.error === undefined) return answer.result;
    throw new Error(`${method}: ${JSON.stringify(answer.error)} ${answer.message ?? ''}`);
  }

  async close(): Promise<void> {
    this.#socket.terminate();
    await this.#bridge.stop('SIGKILL');
  }
}
