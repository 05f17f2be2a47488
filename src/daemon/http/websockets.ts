/** NG and the operator's commands over WebSocket, by rtpengine's sub-protocols (ng-protocol.md §1.4). */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type RawData, type WebSocket } from 'ws';
import type { NgSource } from '../../ng-protocol/endpoint.js';
import { maxMessageBytes, maxWaitingBytes, pingMs } from './limits.js';
import type { LiveProtocol } from '../live/protocol.js';
import { sourceOf } from '../../ng-protocol/transports/source.js';
import type { HttpService } from './service.js';

/** Sub-protocol of the live page. */
const liveProtocol: LiveProtocol = 'live.rtprelay';

type Service = Pick<HttpService, 'ng' | 'cli' | 'live' | 'onNotice' | 'held'>;

type Receive = (message: Buffer, source: NgSource, reply: (bytes: Buffer) => void) => void;

function bytesOf(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}

/** Upgraded connections. They end with `close`, when they go silent, or when they do not read. */
export class WebSockets {
  readonly #service: Service;
  readonly #protocols: ReadonlyMap<string, Receive>;
  readonly #server: WebSocketServer;
  /** Connections that have answered the last ping. */
  readonly #alive = new WeakSet<WebSocket>();
  readonly #timer: NodeJS.Timeout;

  constructor(service: Service) {
    this.#service = service;
    this.#protocols = new Map<string, Receive>([
      ['echo.rtpengine.com', (message, _source, reply) => reply(message)],
      [
        'cli.rtpengine.com',
        (message, _source, reply) =>
          void service.cli(message.toString('latin1').trimEnd()).then(reply),
      ],
      [
        'ng.rtpengine.com',
        // Without a cookie there is no reply; the endpoint says so in the log.
        (message, source, reply) => service.ng.handleMessage(message, source, Infinity, reply),
      ],
      [
        'ng-plain.rtpengine.com',
        (message, source, reply) => service.ng.handleBody(message, source, reply),
      ],
    ]);
    this.#server = new WebSocketServer({
      noServer: true,
      maxPayload: maxMessageBytes,
      perMessageDeflate: false,
      clientTracking: true,
      // Others have their turn between two messages of a client that sends many at once.
      allowSynchronousEvents: false,
      handleProtocols: (offered) => [...offered].find((protocol) => this.#knows(protocol)) ?? false,
    });
    this.#timer = setInterval(() => this.#ping(), pingMs);
    this.#timer.unref();
  }

  #knows(protocol: string): boolean {
    return (
      this.#protocols.has(protocol) || (protocol === liveProtocol && this.#service.live !== null)
    );
  }

  /** Takes a connection over; one that asks for no sub-protocol of ours is refused. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',');
    if (!offered.some((protocol) => this.#knows(protocol.trim()))) {
      const body = `sub-protocols: ${[...this.#protocols.keys()].join(', ')}\n`;
      const head400 = 'HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain';
      socket.end(`${head400}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      return;
    }
    const source = sourceOf(request.socket);
    this.#server.handleUpgrade(request, socket, head, (client) => {
      this.#hold(client, source, socket);
      this.#serve(client, source);
    });
  }

  /** What the library keeps of a message that is not whole is what has come since the last one that was. */
  #hold(client: WebSocket, { address }: NgSource, socket: Duplex): void {
    const { held, onNotice } = this.#service;
    let received = 0;
    const holder = {
      source: address,
      held: (): number => received + client.bufferedAmount,
      drop: (why: string): void => {
        onNotice(`WebSocket of ${address} closed: ${why}`);
        client.terminate();
      },
    };
    held.add(holder);
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
      held.grew(chunk.length);
    });
    client.on('message', () => (received = 0));
    client.on('close', () => held.delete(holder));
  }

  #serve(client: WebSocket, source: NgSource): void {
    this.#alive.add(client);
    client.on('pong', () => this.#alive.add(client));
    // What is no WebSocket, or too long: the library closes the connection.
    client.on('error', (error) => {
      this.#service.onNotice(`WebSocket of ${source.address}: ${error.message}`);
    });
    const { live } = this.#service;
    if (client.protocol === liveProtocol && live !== null) {
      client.on('message', (data) => {
        this.#alive.add(client);
        live.viewers.receive(client, bytesOf(data));
      });
      live.viewers.add(client);
      return;
    }
    const receive = this.#protocols.get(client.protocol);
    if (receive === undefined) {
      client.terminate();
      return;
    }
    client.on('message', (data) => {
      this.#alive.add(client);
      receive(bytesOf(data), source, (bytes) => {
        if (client.readyState !== client.OPEN) return;
        client.send(bytes, { binary: true });
        this.#service.held.grew(bytes.length);
        if (client.bufferedAmount <= maxWaitingBytes) return;
        this.#service.onNotice(`WebSocket of ${source.address}: it does not read its replies`);
        client.terminate();
      });
    });
  }

  #ping(): void {
    for (const client of this.#server.clients) {
      if (!this.#alive.delete(client)) client.terminate();
      else client.ping();
    }
  }

  close(): void {
    clearInterval(this.#timer);
    for (const client of this.#server.clients) client.terminate();
    this.#server.close();
  }
}
