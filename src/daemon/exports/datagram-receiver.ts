/** Somebody who is sent datagrams, and never answers. */
import { createSocket, type Socket } from 'node:dgram';

/** Datagrams on their way through the resolver and the socket; more are left out. */
const maxUnderWay = 1000;

/** Thread: control. */
export class DatagramReceiver {
  readonly #socket: Socket;
  #underWay = 0;
  #failed = false;

  /** @param name what is sent, for the log; the first failure in a row is told. */
  constructor(
    private readonly to: { readonly host: string; readonly port: number },
    private readonly name: string,
    private readonly onNotice: (message: string) => void,
  ) {
    this.#socket = createSocket(to.host.includes(':') ? 'udp6' : 'udp4');
    this.#socket.unref();
    this.#socket.on('error', (error) => this.#failedBy(error));
  }

  send(bytes: Buffer): void {
    if (this.#underWay >= maxUnderWay) return;
    this.#underWay += 1;
    this.#socket.send(bytes, this.to.port, this.to.host, (error) => {
      this.#underWay -= 1;
      if (error === null) this.#failed = false;
      else this.#failedBy(error);
    });
  }

  #failedBy(error: NodeJS.ErrnoException): void {
    const { host, port } = this.to;
    if (!this.#failed)
      this.onNotice(`${this.name} to ${host}:${port}: ${error.code ?? error.message}`);
    this.#failed = true;
  }

  close(): void {
    this.#socket.close();
  }
}

/** Receivers that calls name whose sockets are open at once. */
const maxReceivers = 256;

/** Those whom single calls name. Thread: control. */
export class NamedReceivers {
  readonly #receivers = new Map<string, DatagramReceiver>();

  constructor(
    private readonly name: string,
    private readonly onNotice: (message: string) => void,
  ) {}

  /** @param to `ip:port`, an IPv6 address in brackets. */
  send(to: string, bytes: Buffer): void {
    let receiver = this.#receivers.get(to);
    if (receiver === undefined) {
      if (this.#receivers.size >= maxReceivers) this.close();
      const at = to.lastIndexOf(':');
      const host = to.slice(0, at).replace(/^\[|\]$/g, '');
      const where = { host, port: Number(to.slice(at + 1)) };
      receiver = new DatagramReceiver(where, this.name, this.onNotice);
      this.#receivers.set(to, receiver);
    }
    receiver.send(bytes);
  }

  close(): void {
    for (const receiver of this.#receivers.values()) receiver.close();
    this.#receivers.clear();
  }
}
