/** An NG client over UDP (ng-protocol.md §1.1), as a SIP proxy would be one. */
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { decodeBencode, encodeBencode, isDictionary } from './bencode.js';
import type { NgDictionary, NgValue } from './bencode.js';
import { buildSdp, mediaTarget } from './sdp.js';

export type NgEncoding = 'bencode' | 'json';
export type Reply = Readonly<Record<string, unknown>>;

export interface RequestOptions {
  /** Default bencode. */
  readonly encoding?: NgEncoding;
  /** Default: one not used before. */
  readonly cookie?: string;
  /** How often the request is sent altogether, default 80. */
  readonly tries?: number;
  /** Time after which it is sent again, with the same cookie; default 250. */
  readonly intervalMs?: number;
}

/** Reply body → dictionary, whichever of the two encodings it is in. */
export function decodeReply(body: Buffer): NgDictionary {
  if (body[0] !== 0x7b) return decodeBencode(body);
  const value = JSON.parse(body.toString('utf8')) as NgValue;
  if (!isDictionary(value)) throw new Error(`not a JSON object: ${body.toString('latin1')}`);
  return value;
}

function encodeRequest(dictionary: NgDictionary, encoding: NgEncoding = 'bencode'): Buffer {
  if (encoding === 'bencode') return encodeBencode(dictionary);
  return Buffer.from(JSON.stringify(dictionary), 'utf8');
}

/** One UDP socket that sends requests and matches replies by their cookie. */
export class NgClient {
  readonly #socket: Socket;
  readonly #waiting = new Map<string, (body: Buffer) => void>();
  readonly #run = randomBytes(4).toString('hex');
  #sequence = 0;
  #closed = false;

  constructor(
    readonly port: number,
    readonly host = '127.0.0.1',
  ) {
    const type = host.includes(':') ? 'udp6' : 'udp4';
    this.#socket = createSocket({ type, recvBufferSize: 1 << 20 });
    this.#socket.on('message', (message) => this.#receive(message));
    // A daemon that is being restarted answers with ICMP errors; retransmission copes.
    this.#socket.on('error', () => undefined);
  }

  /** A cookie this client has not used before. */
  nextCookie(): string {
    this.#sequence += 1;
    return `${this.#run}_${this.#sequence}`;
  }

  /** Sends a command and waits for its reply. Throws when none comes after all tries. */
  async ask(dictionary: NgDictionary, options: RequestOptions = {}): Promise<NgDictionary> {
    return decodeReply(await this.raw(encodeRequest(dictionary, options.encoding), options));
  }

  /** As `ask`, for tests that read the reply without its structure. */
  async request(dictionary: NgDictionary, options: RequestOptions = {}): Promise<Reply> {
    return this.ask(dictionary, options);
  }

  /** Sends `body` as it is under a cookie and returns the reply without its cookie. */
  async raw(body: Uint8Array, options: RequestOptions = {}): Promise<Buffer> {
    const { cookie = this.nextCookie(), tries = 80, intervalMs = 250 } = options;
    const message = Buffer.concat([Buffer.from(`${cookie} `, 'latin1'), body]);
    return new Promise((resolve, reject) => {
      let left = tries;
      const send = (): void => {
        if (left > 0 && !this.#closed) {
          left -= 1;
          this.sendDatagram(message);
          return;
        }
        clearInterval(timer);
        this.#waiting.delete(cookie);
        const text = Buffer.from(body).toString('latin1').slice(0, 200);
        reject(new Error(`no reply from port ${this.port} to ${text}`));
      };
      const timer = setInterval(send, intervalMs);
      this.#waiting.set(cookie, (reply) => {
        clearInterval(timer);
        resolve(reply);
      });
      send();
    });
  }

  /** Sends bytes for which no reply is awaited. */
  sendDatagram(message: Uint8Array): void {
    this.#socket.send(message, this.port, this.host);
  }

  /** Waits up to `timeoutMs` for a reply under `cookie`; null when none comes. */
  async replyWithin(cookie: string, timeoutMs: number): Promise<Buffer | null> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(cookie);
        resolve(null);
      }, timeoutMs);
      this.#waiting.set(cookie, (reply) => {
        clearTimeout(timer);
        resolve(reply);
      });
    });
  }

  #receive(message: Buffer): void {
    const space = message.indexOf(0x20);
    const cookie = message.subarray(0, Math.max(space, 0)).toString('latin1');
    const resolve = this.#waiting.get(cookie);
    if (resolve === undefined) return;
    this.#waiting.delete(cookie);
    resolve(message.subarray(space + 1));
  }

  /** Requests under way are given up. */
  close(): void {
    this.#closed = true;
    this.#socket.close();
  }
}

/** Port in the first m= line of a reply's SDP. */
export function mediaPort(reply: Reply): number {
  return mediaTarget(String(reply['sdp'])).port;
}

/** A plain body with one section of PCMA. */
export function audioSdp(
  port: number,
  lines: readonly string[] = [],
  address = '127.0.0.1',
): string {
  return buildSdp({ origin: address, address, media: [{ port, formats: '8', lines }] });
}
