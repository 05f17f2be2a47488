/**
 * `--listen-http` and `--listen-https`: NG, the operator's commands and counters over HTTP and WebSocket
 * (ng-protocol.md §1.4). Paths, content types and sub-protocols are rtpengine's.
 */
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import { notAllowed } from '../../config/access-list.js';
import { formatEndpoint, type Endpoint } from '../../media/call-state.js';
import { listenTarget } from '../../native/listener.js';
import { splitMessage } from '../../ng-protocol/message.js';
import { Turns } from '../../ng-protocol/transports/turns.js';
import {
  maxConnections,
  maxConnectionsPerSource,
  maxUnanswered,
  maxMessageBytes,
  requestTimeoutMs,
} from './limits.js';
import { HeldByConnection } from './held.js';
import type { HttpService } from './service.js';
import { sourceOf } from '../../ng-protocol/transports/source.js';
import { WebSockets } from './websockets.js';

/** Certificate and key, PEM. */
export interface HttpTls {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** A listening address that cannot be had. */
class HttpBindError extends Error {
  override readonly name = 'HttpBindError';
}

const ngType = 'application/x-rtpengine-ng';
const jsonType = 'application/json';
const metricsType = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * Whether a browser sends this for a page of another site. Such a page may otherwise run commands on
 * a daemon that only its visitor can reach.
 */
function isForeignPage(request: IncomingMessage): boolean {
  const { origin, host } = request.headers;
  return origin !== undefined && !isOf(origin, host);
}

/** Does a URL name this host? */
function isOf(url: string, host: string | undefined): boolean {
  try {
    return new URL(url).host === host;
  } catch {
    return false;
  }
}

/** Commands of the operator that change nothing. */
const reading = /^(list|get|status|explain|log|streams|kernel|kslist|help|usage)\b/;

/**
 * Whether a command is asked for by a browser that does not say for which page: an image in a page of another site is
 * fetched without `Origin`. It may read then, since that page does not get to see it.
 */
function isUnasked({ headers }: IncomingMessage, command: string): boolean {
  const { 'user-agent': agent, 'sec-fetch-site': site, referer, host } = headers;
  if (agent?.startsWith('Mozilla/') !== true || reading.test(command)) return false;
  // Browsers say so to HTTPS and to loopback alone; none: somebody has typed it.
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  return referer === undefined || !isOf(referer, host);
}

/** Does a browser show what it gets? */
const wantsPage = ({ headers }: IncomingMessage): boolean =>
  headers.accept?.includes('text/html') === true;

type Headers = Readonly<Record<string, string>>;

function answer(
  response: ServerResponse,
  status: number,
  body: string | Buffer,
  headers: Headers = {},
): void {
  if (response.headersSent || response.destroyed) return;
  const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body;
  response.writeHead(status, {
    'content-type': 'text/plain',
    'content-length': bytes.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  response.end(bytes);
}

/** Reads a body; null: it is too long, and has been answered. `held` is told of each part. */
async function bodyOf(
  request: IncomingMessage,
  response: ServerResponse,
  held: HeldByConnection,
): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  const tooLong = (): null => {
    answer(response, 413, `more than ${maxMessageBytes} bytes\n`, { connection: 'close' });
    return null;
  };
  // Not waited for: the client may never send it.
  if (Number(request.headers['content-length'] ?? 0) > maxMessageBytes) return tooLong();
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxMessageBytes) return tooLong();
    chunks.push(chunk);
    held.received(request.socket, response, chunk.length);
  }
  return Buffer.concat(chunks, length);
}

const typeOf = (request: IncomingMessage): string =>
  (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';

/** The command of `/cli/WORD+WORD`; null: it cannot be decoded. */
function commandOf(path: string): string | null {
  try {
    return decodeURIComponent(path.slice('/cli/'.length).replaceAll('+', ' '));
  } catch {
    return null;
  }
}

/** HTTP and HTTPS listeners with their WebSockets. Owns them until `close`. */
export class HttpServer {
  readonly #service: HttpService;
  readonly #servers: Server[] = [];
  readonly #sockets: WebSockets;
  readonly #perSource = new Map<string, number>();
  readonly #turns = new Turns();
  readonly #held: HeldByConnection;
  /** Requests by connection. */
  readonly #unanswered = new WeakMap<Socket, number>();
  #connections = 0;

  constructor(service: HttpService) {
    this.#service = service;
    this.#held = new HeldByConnection(service.held, service.onNotice);
    this.#sockets = new WebSockets(service);
  }

  /**
   * Starts to listen; with `tls` for HTTPS. `idleTimeoutMs` 0: Node's own.
   * @returns the address with the port that was opened (for port 0).
   * @throws HttpBindError naming the address.
   */
  async listen(endpoint: Endpoint, tls: HttpTls | null, idleTimeoutMs = 0): Promise<Endpoint> {
    const limits = {
      requestTimeout: requestTimeoutMs,
      headersTimeout: requestTimeoutMs,
      connectionsCheckingInterval: requestTimeoutMs / 2,
      ...(idleTimeoutMs > 0 ? { keepAliveTimeout: idleTimeoutMs } : {}),
    };
    const serve = (request: IncomingMessage, response: ServerResponse): void => {
      if (!this.#begin(request.socket, response)) return;
      this.#serve(request, response).catch((error: unknown) => {
        this.#service.onNotice(`HTTP request ${request.url ?? ''} failed: ${String(error)}`);
        answer(response, 500, 'internal error\n');
      });
    };
    const server: Server =
      tls === null
        ? createHttpServer(limits, serve)
        : createHttpsServer({ ...limits, ...tls }, serve);
    await this.#bind(server, endpoint, tls === null ? 'HTTP' : 'HTTPS');
    server.on('connection', (socket: Socket) => this.#admit(socket));
    server.on('upgrade', (request, socket, head) => {
      // The upgraded connection has no other listener: an error would end the process.
      socket.on('error', () => socket.destroy());
      if (isForeignPage(request)) {
        socket.end('HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
      } else this.#sockets.upgrade(request, socket, head);
    });
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
      else socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    });
    this.#servers.push(server);
    const bound = server.address();
    return {
      address: endpoint.address,
      port: typeof bound === 'object' && bound !== null ? bound.port : endpoint.port,
    };
  }

  async #bind(server: Server, { address, port }: Endpoint, kind: string): Promise<void> {
    const where = formatEndpoint({ address, port });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause: NodeJS.ErrnoException) => {
        const message = `Failed to open ${kind} port (${where}): ${cause.code ?? cause.message}`;
        reject(new HttpBindError(message, { cause }));
      });
      server.listen(listenTarget({ address, port }), resolve);
    });
    server.removeAllListeners('error');
    server.on('error', (error) => {
      this.#service.onNotice(`${kind} listener ${where}: ${error.message}`);
    });
  }

  /** Counts a connection, or ends it: not allowed, or too many. */
  #admit(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const count = this.#perSource.get(address) ?? 0;
    const isAllowed = this.#service.allowed(address);
    if (!isAllowed || this.#connections >= maxConnections || count >= maxConnectionsPerSource) {
      const why = isAllowed ? 'too many connections' : notAllowed;
      this.#service.onNotice(`HTTP connection from ${address} refused: ${why}`);
      socket.destroy();
      return;
    }
    this.#connections += 1;
    this.#perSource.set(address, count + 1);
    socket.once('close', () => {
      this.#connections -= 1;
      const left = (this.#perSource.get(address) ?? 1) - 1;
      if (left > 0) this.#perSource.set(address, left);
      else this.#perSource.delete(address);
    });
  }

  /** Counts a request of a connection; false: it has sent too many without waiting, and is gone. */
  #begin(socket: Socket, response: ServerResponse): boolean {
    const begun = (this.#unanswered.get(socket) ?? 0) + 1;
    this.#unanswered.set(socket, begun);
    if (begun > maxUnanswered) {
      if (begun === maxUnanswered + 1) {
        const why = `more than ${maxUnanswered} requests at a time`;
        this.#service.onNotice(`HTTP connection from ${socket.remoteAddress ?? ''} closed: ${why}`);
      }
      socket.destroy();
      return false;
    }
    this.#held.begun(socket, response);
    response.once('close', () => {
      this.#unanswered.set(socket, (this.#unanswered.get(socket) ?? 1) - 1);
    });
    return true;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => response.destroy());
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    if (isForeignPage(request)) {
      answer(response, 403, 'requests of other sites are refused\n');
    } else if (request.method === 'GET' || request.method === 'HEAD') {
      await this.#get(path, request, response);
    } else if (request.method === 'POST') {
      await this.#post(path, request, response);
    } else {
      answer(response, 405, 'method not allowed\n', { allow: 'GET, HEAD, POST' });
    }
    this.#held.answered(response);
  }

  async #get(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { live } = this.#service;
    await this.#turns.next();
    if (response.destroyed) return;
    if (path === '/ping') {
      answer(response, 200, 'pong\n');
    } else if (path === '/metrics') {
      const text = await this.#service.metrics();
      answer(response, 200, Buffer.from(text), { 'content-type': metricsType });
    } else if (path === '/live') {
      // A probe gets what it always got; who asks for a page gets the page.
      if (live !== null && wantsPage(request)) {
        answer(response, 307, 'the page is at /live/\n', { location: '/live/', vary: 'accept' });
      } else answer(response, 200, 'live\n', live === null ? {} : { vary: 'accept' });
    } else if (path.startsWith('/live/')) {
      const asset = live?.assets.get(path);
      if (asset !== undefined) answer(response, 200, asset.body, asset.headers);
      else if (live !== null) answer(response, 404, 'not found\n');
      else answer(response, 404, 'the live page is off: --live-page\n');
    } else if (path === '/ready') {
      const reason = this.#service.notReady();
      answer(response, reason === null ? 200 : 503, `${reason ?? 'ready'}\n`);
    } else if (path.startsWith('/cli/')) {
      const line = commandOf(path);
      if (line === null) answer(response, 400, 'bad escape in the path\n');
      else if (isUnasked(request, line)) {
        answer(response, 403, 'browsers may ask for what changes something by POST only\n');
      } else answer(response, 200, await this.#service.cli(line));
    } else {
      answer(response, 404, 'not found\n');
    }
  }

  async #post(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const type = typeOf(request);
    const wanted = { '/cli': ['text/plain'], '/ng': [ngType], '/ng-plain': [ngType, jsonType] }[
      path
    ];
    if (wanted === undefined) {
      answer(response, 404, 'not found\n');
      return;
    }
    if (!wanted.includes(type)) {
      answer(response, 415, `content-type must be ${wanted.join(' or ')}\n`);
      return;
    }
    const body = await bodyOf(request, response, this.#held);
    if (body === null) return;
    await this.#turns.next();
    if (response.destroyed) return;
    const source = sourceOf(request.socket);
    if (path === '/cli') {
      answer(response, 200, await this.#service.cli(body.toString('latin1').trimEnd()));
      return;
    }
    const reply = (bytes: Buffer): void => {
      answer(response, 200, bytes, { 'content-type': path === '/ng' ? ngType : type });
      this.#held.answered(response);
    };
    if (path === '/ng-plain') this.#service.ng.handleBody(body, source, reply);
    else if (splitMessage(body) === null) answer(response, 400, 'no cookie\n');
    else this.#service.ng.handleMessage(body, source, Infinity, reply);
  }

  /** Closes the listeners and ends every connection. */
  async close(): Promise<void> {
    this.#sockets.close();
    this.#service.live?.viewers.close();
    const closing = this.#servers.splice(0).map(
      (server) =>
        new Promise<void>((resolve) => {
          server.close(() => resolve());
          server.closeAllConnections();
        }),
    );
    await Promise.all(closing);
  }
}
