/** An NG client over UDP (ng-protocol.md §1.1), as a SIP proxy would be one. */
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { decodeBencode, encodeBencode, isDictionary } from './bencode.js';
import type { NgDictionary, NgValue } from './bencode.js';

export type NgEncoding = 'bencode' | 'json';

export interface NgClientOptions {
  readonly port: number;
  readonly host?: string;
  /** Time after which a request is sent again with the same cookie. Default 1000. */
  readonly retransmitMs?: number;
  /** How often a request is sent altogether. Default 5. */
  readonly tries?: number;
}

export interface RequestOptions {
  readonly encoding?: NgEncoding;
  readonly cookie?: string;
}

interface Waiting {
  readonly resolve: (body: Buffer) => void;
}

function latin1Json(body: Buffer): NgDictionary {
  const value = JSON.parse(body.toString('utf8')) as NgValue;
  if (!isDictionary(value)) throw new Error(`not a JSON object: ${body.toString('latin1')}`);
  return value;
}

/** Reply body → dictionary, whichever of the two encodings it is in. */
export function decodeReply(body: Buffer): NgDictionary {
  return body[0] === 0x7b ? latin1Json(body) : decodeBencode(body);
}

/** One UDP socket that sends requests and matches replies by their cookie. */
export class NgClient {
  readonly #socket: Socket;
  readonly #waiting = new Map<string, Waiting>();
  readonly #run = randomBytes(4).toString('hex');
  #sequence = 0;

  private constructor(
    socket: Socket,
    private readonly options: NgClientOptions,
  ) {
    this.#socket = socket;
    socket.on('message', (message) => this.#receive(message));
  }

  static async open(options: NgClientOptions): Promise<NgClient> {
    const host = options.host ?? '127.0.0.1';
    const socket = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 1 << 20 });
    socket.bind(0);
    await once(socket, 'listening');
    return new NgClient(socket, { ...options, host });
  }

  /** A cookie this client has not used before. */
  nextCookie(): string {
    this.#sequence += 1;
    return `${this.#run}_${this.#sequence}`;
  }

  /** Sends a command and waits for its reply. Throws when none comes after all tries. */
  async request(dictionary: NgDictionary, options: RequestOptions = {}): Promise<NgDictionary> {
    const encode = options.encoding === 'json' ? encodeJson : encodeBencode;
    return decodeReply(await this.requestRaw(encode(dictionary), options.cookie));
  }

  /** Sends `body` as it is under a cookie and returns the reply without its cookie. */
  async requestRaw(body: Uint8Array, cookie = this.nextCookie()): Promise<Buffer> {
    const message = Buffer.concat([Buffer.from(`${cookie} `, 'latin1'), body]);
    const { retransmitMs = 1000, tries = 5 } = this.options;
    return new Promise((resolve, reject) => {
      let left = tries;
      const send = (): void => {
        if (left === 0) {
          clearInterval(timer);
          this.#waiting.delete(cookie);
          reject(new Error(`no reply from port ${this.options.port} to ${printable(body)}`));
          return;
        }
        left -= 1;
        this.sendDatagram(message);
      };
      const timer = setInterval(send, retransmitMs);
      this.#waiting.set(cookie, {
        resolve: (reply) => {
          clearInterval(timer);
          resolve(reply);
        },
      });
      send();
    });
  }

  /** Sends bytes for which no reply is awaited. */
  sendDatagram(message: Uint8Array): void {
    this.#socket.send(message, this.options.port, this.options.host);
  }

  /** Waits up to `timeoutMs` for any reply to `cookie`; null when none comes. */
  async replyWithin(cookie: string, timeoutMs: number): Promise<Buffer | null> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(cookie);
        resolve(null);
      }, timeoutMs);
      this.#waiting.set(cookie, {
        resolve: (reply) => {
          clearTimeout(timer);
          resolve(reply);
        },
      });
    });
  }

  #receive(message: Buffer): void {
    const space = message.indexOf(0x20);
    const cookie = message.subarray(0, Math.max(space, 0)).toString('latin1');
    const waiting = this.#waiting.get(cookie);
    if (waiting === undefined) return;
    this.#waiting.delete(cookie);
    waiting.resolve(message.subarray(space + 1));
  }

  close(): void {
    this.#socket.close();
  }
}

function encodeJson(dictionary: NgDictionary): Buffer {
  return Buffer.from(JSON.stringify(dictionary), 'utf8');
}

function printable(body: Uint8Array): string {
  return Buffer.from(body).toString('latin1').slice(0, 200);
}
