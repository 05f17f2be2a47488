/** The TCP server of `--listen-cli`: a line in, a text out, and the connection ends (options.md §4). */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { formatEndpoint, type Endpoint } from '../../media/call-state.js';
import { listenTarget } from '../../native/listener.js';
import { runLine, type LineReport } from './run-line.js';
import type { CliTarget } from './target.js';

/** Longest command; what comes behind is cut off, as rtpengine cuts it. */
const maxLineBytes = 1024;
/** A client that has not sent its line by then is disconnected. */
const lineTimeoutMs = 10_000;
/** Clients at a time. One more takes the place of the one that has been idle for longest. */
const maxClients = 64;
/** Between two log lines about connections that could not be taken. */
const complaintMs = 1000;

/** What the server tells its surroundings. */
export interface CliServerOptions extends LineReport {
  readonly target: CliTarget;
}

/** One or more listening addresses. */
export class CliServer {
  readonly #servers: Server[] = [];
  /** Whether each has asked something, the oldest first. */
  readonly #clients = new Map<Socket, boolean>();
  #complainedAt = -Infinity;

  constructor(private readonly options: CliServerOptions) {}

  /**
   * Starts to listen on an address.
   *
   * @returns the address with the port that was opened (for port 0).
   * @throws Error `Failed to open TCP CLI control connection port (…): …`
   */
  async listen(endpoint: Endpoint): Promise<Endpoint> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#serve(socket);
    });
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(listenTarget(endpoint), () => {
          server.off('error', reject);
          resolve();
        });
      });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const where = formatEndpoint(endpoint);
      throw new Error(`Failed to open TCP CLI control connection port (${where}): ${why}`, {
        cause: error,
      });
    }
    server.on('error', (error) => this.#refused(endpoint, error));
    this.#servers.push(server);
    const bound = server.address();
    return { address: endpoint.address, port: portOf(bound) ?? endpoint.port };
  }

  /** A connection could not be taken, e.g. for want of a descriptor: the next one finds one. */
  #refused(endpoint: Endpoint, error: Error): void {
    this.#makeRoom();
    const now = performance.now();
    if (now - this.#complainedAt < complaintMs) return;
    this.#complainedAt = now;
    this.options.onError(`CLI listener ${formatEndpoint(endpoint)}: ${error.message}`);
  }

  /** Disconnects the oldest client, those first that have not asked anything. */
  #makeRoom(): void {
    const [oldest] = this.#clients.keys();
    const idle = [...this.#clients].find(([, asked]) => !asked)?.[0];
    (idle ?? oldest)?.destroy();
  }

  #serve(socket: Socket): void {
    if (this.#clients.size >= maxClients) this.#makeRoom();
    this.#clients.set(socket, false);
    socket.on('close', () => this.#clients.delete(socket));
    // The client went away while it was being answered: nothing is left to be done for it.
    socket.on('error', () => socket.destroy());
    socket.setTimeout(lineTimeoutMs, () => socket.destroy());
    const from = { address: socket.remoteAddress ?? '?', port: socket.remotePort ?? 0 };
    this.options.onLine(`New cli connection from ${formatEndpoint(from)}`);

    let received = '';
    let answered = false;
    const answer = (): void => {
      if (answered) return;
      answered = true;
      this.#clients.set(socket, true);
      const line = (received.split(/\r?\n/, 1)[0] ?? '').slice(0, maxLineBytes);
      void runLine(this.options.target, line, this.options).then((text) => {
        socket.end(text);
      });
    };
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      if (answered) return;
      received += chunk;
      if (received.includes('\n') || received.length >= maxLineBytes) answer();
    });
    socket.on('end', () => {
      // A last line without a line end counts as well: `printf 'list totals' | nc`.
      if (received === '') socket.end();
      else answer();
    });
  }

  /** Closes the listeners and disconnects the clients. */
  async close(): Promise<void> {
    const closing = this.#servers.splice(0).map(
      (server) =>
        new Promise<void>((resolve) => {
          server.close(() => {
            resolve();
          });
        }),
    );
    for (const client of this.#clients.keys()) client.destroy();
    await Promise.all(closing);
  }
}

function portOf(address: AddressInfo | string | null): number | null {
  return typeof address === 'object' ? (address?.port ?? null) : null;
}
