/** The daemon of the demonstration and the NG commands it is given, as a SIP proxy would. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { decodeBencode, encodeBencode } from '../src/ng-protocol/bencode.js';
import { isDictionary, type NgDictionary, type NgValue } from '../src/ng-protocol/dictionary.js';

const program = fileURLToPath(new URL('../dist/bin/rtprelayd.js', import.meta.url));

/** A UDP port that nobody uses now. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

export class DemoDaemon {
  readonly #process: ChildProcess;
  readonly #control: Socket;
  readonly #log: string[] = [];
  #cookie = 0;

  private constructor(
    readonly options: readonly string[],
    readonly ngPort: number,
    control: Socket,
  ) {
    this.#control = control;
    this.#process = spawn(process.execPath, [program, ...options], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#process.stderr?.on('data', (bytes: Buffer) => this.#log.push(bytes.toString('latin1')));
  }

  /** Starts rtprelayd on loopback, without Redis, and waits for its pong. */
  static async start(): Promise<DemoDaemon> {
    const port = await freePort();
    const control = createSocket({ type: 'udp4' });
    const options = [
      '--config-file=none',
      '--interface=127.0.0.1',
      `--listen-ng=127.0.0.1:${port}`,
      '--foreground',
      '--no-pair',
      '--log-stderr',
    ];
    const daemon = new DemoDaemon(options, port, control);
    process.once('exit', () => daemon.#process.kill());
    await daemon.ask({ command: 'ping' });
    return daemon;
  }

  /** Sends a command until it is answered. @throws Error when the daemon ends or refuses. */
  async ask(members: Readonly<Record<string, string | number>>): Promise<NgDictionary> {
    const cookie = `demo_${++this.#cookie}`;
    const message = encodeBencode(new Map<string, NgValue>(Object.entries(members)), `${cookie} `);
    const answered = new Promise<Buffer>((resolve) => {
      const listen = (reply: Buffer): void => {
        if (!reply.subarray(0, cookie.length + 1).equals(Buffer.from(`${cookie} `))) return;
        this.#control.off('message', listen);
        resolve(reply.subarray(cookie.length + 1));
      };
      this.#control.on('message', listen);
    });
    for (let tries = 0; tries < 100; tries++) {
      this.#control.send(message, this.ngPort, '127.0.0.1');
      const body = await Promise.race([answered, delay(50)]);
      if (body !== undefined) return accepted(decodeBencode(body));
      if (!this.#running) break;
    }
    throw new Error(`rtprelayd does not answer:\n${this.log()}`);
  }

  /** What it logged so far. */
  log(): string {
    return this.#log.join('');
  }

  get #running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Ends the daemon; its exit code, null when a signal ended it. */
  async stop(): Promise<number | null> {
    this.#control.close();
    if (this.#running) {
      const exited = once(this.#process, 'exit');
      this.#process.kill('SIGTERM');
      await exited;
    }
    return this.#process.exitCode;
  }
}

function accepted(reply: NgValue): NgDictionary {
  if (!isDictionary(reply)) throw new Error('the reply is no dictionary');
  if (reply.get('result') === 'error') throw new Error(String(reply.get('error-reason')));
  return reply;
}
