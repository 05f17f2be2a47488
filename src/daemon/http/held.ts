/** What HTTP connections hold: bodies that are not whole, or wait for their turn, and answers that are not taken. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { HeldBytes } from '../../ng-protocol/transports/held-bytes.js';

/** Bytes of bodies by request, until it is answered. */
type Requests = Map<ServerResponse, number>;

/** Thread: control. */
export class HeldByConnection {
  readonly #held: HeldBytes;
  readonly #onNotice: (message: string) => void;
  readonly #connections = new WeakMap<Socket, Requests>();

  constructor(held: HeldBytes, onNotice: (message: string) => void) {
    this.#held = held;
    this.#onNotice = onNotice;
  }

  /** A request of a connection begins; it ends with its answer. */
  begun(socket: Socket, response: ServerResponse): void {
    const requests = this.#connections.get(socket) ?? this.#add(socket);
    requests.set(response, 0);
    response.once('close', () => requests.delete(response));
  }

  #add(socket: Socket): Requests {
    const requests: Requests = new Map();
    const source = socket.remoteAddress ?? '';
    const holder = {
      source,
      held: (): number => {
        let bytes = 0;
        for (const [response, body] of requests) bytes += body + response.writableLength;
        return bytes;
      },
      drop: (why: string): void => {
        this.#onNotice(`HTTP connection from ${source} closed: ${why}`);
        socket.destroy();
      },
    };
    this.#connections.set(socket, requests);
    this.#held.add(holder);
    socket.once('close', () => this.#held.delete(holder));
    return requests;
  }

  /** A part of the request's body has come. */
  received(socket: Socket, response: ServerResponse, bytes: number): void {
    const requests = this.#connections.get(socket);
    const before = requests?.get(response);
    if (before === undefined) return;
    requests?.set(response, before + bytes);
    this.#held.grew(bytes);
  }

  /** Its answer has been written. */
  answered(response: ServerResponse): void {
    this.#held.grew(response.writableLength);
  }
}
