/** The TCP server of `--listen-cli`: a line in, a text out, and the connection ends (options.md §4). */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { formatEndpoint, type Endpoint } from '../../media/call-state.js';
import { runLine, type LineReport } from './run-line.js';
import type { CliTarget } from './target.js';

/** Longest command; what comes behind is cut off, as rtpengine cuts it. */
const maxLineBytes = 1024;
/** A client that has not sent its line by then is disconnected. */
const lineTimeoutMs = 10_000;
/** Clients at a time; more are turned away. */
const maxClients = 64;

/** What the server tells its surroundings. */
export interface CliServerOptions extends LineReport {
  readonly target: CliTarget;
}

/** One or more listening addresses. */
export class CliServer {
  readonly #servers: Server[] = [];
  readonly #clients = new Set<Socket>();

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
        const { address: host, port } = endpoint;
        server.listen({ host, port, ipv6Only: host.includes(':') }, () => {
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
    server.on('error', (error) => {
      this.options.onError(`CLI listener ${formatEndpoint(endpoint)}: ${error.message}`);
    });
    this.#servers.push(server);
    const bound = server.address();
    return { address: endpoint.address, port: portOf(bound) ?? endpoint.port };
  }

  #serve(socket: Socket): void {
    if (this.#clients.size >= maxClients) {
      socket.destroy();
      return;
    }
    this.#clients.add(socket);
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
      const line = (received.split(/\r?\n/, 1)[0] ?? '').slice(0, maxLineBytes);
      socket.end(runLine(this.options.target, line, this.options), 'latin1');
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
    for (const client of this.#clients) client.destroy();
    await Promise.all(closing);
  }
}

function portOf(address: AddressInfo | string | null): number | null {
  return typeof address === 'object' ? (address?.port ?? null) : null;
}
