/** A TCP connection to a receiver of statistics that may be away or slow: bounded, and said once. */
import { connect, type Socket } from 'node:net';
import type { Receiver } from '../../config/telemetry.js';

export interface TcpLineOptions {
  readonly to: Receiver;
  /** Of the receiver, for the log: `Graphite`. */
  readonly name: string;
  /** Longest silence of an unfinished connection or send, ms. */
  readonly timeoutMs: number;
  /** What may wait for the receiver, bytes; what is more is dropped. */
  readonly maxWaiting: number;
  readonly onNotice: (message: string) => void;
}

/** Between two attempts to connect, ms. */
const retryMs = 1000;

/** Thread: control. */
export class TcpLine {
  readonly #options: TcpLineOptions;
  #socket: Socket | null = null;
  #isUp = false;
  #isDown = false;
  #isFull = false;
  #triedAt = -Infinity;

  constructor(options: TcpLineOptions) {
    this.#options = options;
  }

  /** Sends, or drops what there is no room for. Never waits. */
  send(bytes: Buffer | string): void {
    const { maxWaiting, name, onNotice } = this.#options;
    const socket = this.#socket ?? this.#connect();
    if (socket === null) return;
    if (socket.writableLength + bytes.length > maxWaiting) {
      if (!this.#isFull) onNotice(`${name} at ${this.#peer} is too slow: reports are dropped`);
      this.#isFull = true;
      return;
    }
    // A small one may still find room now and then: that is no recovery.
    if (socket.writableLength < maxWaiting / 2) this.#isFull = false;
    socket.write(bytes);
  }

  get #peer(): string {
    const { host, port } = this.#options.to;
    return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  }

  #connect(): Socket | null {
    const now = performance.now();
    if (now - this.#triedAt < retryMs) return null;
    this.#triedAt = now;
    const { to, name, timeoutMs, onNotice } = this.#options;
    const socket = connect({ host: to.host, port: to.port });
    socket.unref();
    this.#socket = socket;
    socket.setTimeout(timeoutMs, () => {
      // Once it stands, only what waits to be taken counts as silence.
      if (!this.#isUp || socket.writableLength > 0) socket.destroy(new Error('timed out'));
    });
    socket.on('connect', () => {
      this.#isUp = true;
      if (this.#isDown) onNotice(`${name} at ${this.#peer} is back`);
      this.#isDown = false;
    });
    // What it says is of no interest, but has to be read for its end to be seen.
    socket.resume();
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (!this.#isDown) onNotice(`${name} at ${this.#peer}: ${error.code ?? error.message}`);
      this.#isDown = true;
    });
    socket.on('close', () => {
      if (this.#socket === socket) this.#socket = null;
      this.#isUp = false;
    });
    return socket;
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = null;
  }
}
