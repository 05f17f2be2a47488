/** NG over TCP and Unix sockets: messages back to back on a connection (ng-protocol.md §1.3). */
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { NgStreamFramer, StreamFramingError } from '../stream-framing.js';
import type { NgSource } from '../endpoint.js';
import type { HeldBytes } from './held-bytes.js';
import { sourceOf } from './source.js';
import { Turns } from './turns.js';

/** Where to listen: an address, or the path of a Unix socket. */
export type StreamListenAddress =
  { readonly address: string; readonly port: number } | { readonly path: string };

/** Parameters of openStreamTransport. */
export interface StreamTransportOptions {
  readonly listen: readonly StreamListenAddress[];
  /** What a server is told to listen at. */
  readonly target: (where: StreamListenAddress) => { readonly fd: number } | ListenOptions;
  /** `bare`: without a cookie. `reply` may be called at any later time. */
  readonly receive: (
    message: Buffer,
    bare: boolean,
    source: NgSource,
    reply: (bytes: Buffer) => void,
  ) => void;
  /** Whether that address may connect. */
  readonly allowed: (address: string) => boolean;
  /** A connection that was refused or ended by us, a listener that failed. */
  readonly onNotice: (message: string) => void;
  /** What all connections hold together. */
  readonly held: HeldBytes;
}

/** A listening address that cannot be had. `code` is the system's, e.g. `EADDRINUSE`. */
class StreamBindError extends Error {
  override readonly name = 'StreamBindError';
  constructor(
    readonly code: string,
    listen: string,
    options: { cause: unknown },
  ) {
    super(`Failed to open TCP NG control connection port (${listen}): ${code}`, options);
  }
}

/** Longest message; a datagram holds 64 KiB. */
const maxMessageBytes = 1024 * 1024;
/** Replies that wait for a client that does not read; then it is disconnected. */
const maxWaitingBytes = 4 * 1024 * 1024;
/** A message has to be whole so long after its first byte. */
const messageTimeoutMs = 10_000;
/** Probes of idle connections find those whose other end is gone. */
const keepAliveMs = 30_000;
/** Each worker of a proxy has a connection of its own. */
const maxConnectionsPerSource = 512;
const maxConnections = 4096;

/** Whoever comes by a Unix socket. */
const localSource = 'unix';

const nameOf = (listen: StreamListenAddress): string => {
  if ('path' in listen) return `unix:${listen.path}`;
  const { address, port } = listen;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
};

/** Listening NG stream sockets and their connections. Owns them until `close`. */
class StreamTransport {
  readonly #options: StreamTransportOptions;
  readonly #servers: Server[] = [];
  readonly #connections = new Map<Socket, string>();
  readonly #perSource = new Map<string, number>();
  readonly #turns = new Turns();

  constructor(options: StreamTransportOptions) {
    this.#options = options;
  }

  /** @throws StreamBindError; what was opened before stays open. */
  async listen(where: StreamListenAddress): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#accept(socket, 'path' in where);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause: NodeJS.ErrnoException) =>
        reject(new StreamBindError(cause.code ?? cause.message, nameOf(where), { cause })),
      );
      server.listen(this.#options.target(where), resolve);
    });
    server.removeAllListeners('error');
    server.on('error', (error) => {
      this.#options.onNotice(`NG listener ${nameOf(where)}: ${error.message}`);
    });
    this.#servers.push(server);
  }

  /** The addresses actually bound, in the order asked for; Unix sockets by their path. */
  get addresses(): readonly StreamListenAddress[] {
    return this.#servers.flatMap((server): readonly StreamListenAddress[] => {
      const bound = server.address();
      if (bound === null) return [];
      return typeof bound === 'string' ? [{ path: bound }] : [bound];
    });
  }

  /** A message that nobody has asked for, to all that are connected by TCP and read what they are sent. */
  tell(message: Buffer): void {
    for (const [socket, address] of this.#connections) {
      if (address !== localSource && socket.writableLength <= maxWaitingBytes)
        socket.write(message);
    }
  }

  #accept(socket: Socket, isLocal: boolean): void {
    socket.on('error', () => socket.destroy());
    const source = isLocal ? { address: localSource, port: 0 } : sourceOf(socket);
    const refusal = this.#refusal(source.address, isLocal);
    if (refusal !== null) {
      this.#options.onNotice(`NG connection from ${source.address} refused: ${refusal}`);
      socket.destroy();
      return;
    }
    this.#count(source.address, 1);
    this.#connections.set(socket, source.address);
    socket.on('close', () => {
      this.#connections.delete(socket);
      this.#count(source.address, -1);
    });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveMs);
    this.#serve(socket, source, isLocal);
  }

  #refusal(address: string, isLocal: boolean): string | null {
    if (!isLocal && !this.#options.allowed(address)) return 'not allowed (--control-allow)';
    if (this.#connections.size >= maxConnections) return 'too many connections';
    const limited = !isLocal && (this.#perSource.get(address) ?? 0) >= maxConnectionsPerSource;
    return limited ? 'too many connections of this address' : null;
  }

  #count(address: string, change: 1 | -1): void {
    const count = (this.#perSource.get(address) ?? 0) + change;
    if (count > 0) this.#perSource.set(address, count);
    else this.#perSource.delete(address);
  }

  #serve(socket: Socket, source: NgSource, bareAllowed: boolean): void {
    const framer = new NgStreamFramer({ maxBytes: maxMessageBytes, bareAllowed });
    const { held } = this.#options;
    const holder = {
      source: source.address,
      held: (): number => framer.pending + socket.writableLength,
      drop: (why: string): void => this.#drop(socket, source, why),
    };
    held.add(holder);
    let owed = 0;
    /** Messages that have not had their turn. */
    let waiting = 0;
    let ended = false;
    const settle = (): void => {
      if (ended && owed === 0) socket.end();
    };
    const reply = (bytes: Buffer): void => {
      owed -= 1;
      if (socket.destroyed) return;
      if (!socket.write(bytes)) held.grew(bytes.length);
      if (socket.writableLength > maxWaitingBytes) {
        this.#drop(socket, source, 'it does not read its replies');
      } else settle();
    };
    let whole: NodeJS.Timeout | null = null;
    socket.on('close', () => {
      held.delete(holder);
      if (whole !== null) clearTimeout(whole);
    });
    socket.on('data', (chunk: Buffer) => {
      let messages;
      try {
        messages = framer.push(chunk);
      } catch (error) {
        if (!(error instanceof StreamFramingError)) throw error;
        this.#drop(socket, source, error.message);
        return;
      }
      if (whole !== null && (messages.length > 0 || framer.pending === 0)) {
        clearTimeout(whole);
        whole = null;
      }
      if (framer.pending > 0) held.grew(Math.min(chunk.length, framer.pending));
      if (socket.destroyed) return;
      if (framer.pending > 0 && whole === null) {
        whole = setTimeout(() => {
          this.#drop(socket, source, 'a message was not finished');
        }, messageTimeoutMs);
      }
      if (messages.length === 0) return;
      owed += messages.length;
      waiting += messages.length;
      // Nothing more is read while some of it waits.
      socket.pause();
      for (const { bytes, bare } of messages) {
        this.#turns.run(() => {
          waiting -= 1;
          if (socket.destroyed) return;
          if (waiting === 0) socket.resume();
          this.#options.receive(bytes, bare, source, reply);
        });
      }
    });
    // The client has said everything; what it has asked is still answered.
    socket.on('end', () => {
      ended = true;
      settle();
    });
  }

  #drop(socket: Socket, { address, port }: NgSource, why: string): void {
    this.#options.onNotice(`NG connection from ${nameOf({ address, port })} closed: ${why}`);
    socket.destroy();
  }

  /** Closes the listeners and the connections, once what was written has gone out. */
  async close(): Promise<void> {
    const closing = this.#servers
      .splice(0)
      .map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    for (const socket of this.#connections.keys()) socket.destroySoon();
    await Promise.all(closing);
  }
}

/**
 * Listens on every address; all or none.
 * @throws StreamBindError naming the address that cannot be had.
 */
export async function openStreamTransport(
  options: StreamTransportOptions,
): Promise<StreamTransport> {
  const transport = new StreamTransport(options);
  try {
    for (const where of options.listen) await transport.listen(where);
  } catch (error) {
    await transport.close();
    throw error;
  }
  return transport;
}
