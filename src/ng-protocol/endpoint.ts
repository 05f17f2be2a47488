/**
 * NgEndpoint: bytes of a request in, bytes of its reply out. Every transport feeds the same
 * endpoint, so they share one reply cache (ng-protocol.md §1.2).
 */
import { callIdOf, commandOf, parseRequest } from './commands.js';
import type { NgDictionary } from './dictionary.js';
import { errorReply, NgError } from './errors.js';
import { decodeBody, encodeReply, encodingOf, splitMessage } from './message.js';
import type { ReplyCache } from './reply-cache.js';
import type { NgRequest } from './requests.js';

/** Where a request came from. IPv6 addresses are without brackets; a dgram RemoteInfo fits. */
export interface NgSource {
  readonly address: string;
  readonly port: number;
}

/** `ADDR:PORT`, `[ADDR]:PORT` for IPv6, as in rtpengine's log lines. */
export function formatSource(source: NgSource): string {
  return source.address.includes(':')
    ? `[${source.address}]:${source.port}`
    : `${source.address}:${source.port}`;
}

/**
 * Runs a command and gives its reply, `result` included. Throws (or rejects with) NgError for
 * `result: error`; anything else thrown is answered `Internal error`.
 */
export type NgHandler = (
  request: NgRequest,
  source: NgSource,
) => NgDictionary | Promise<NgDictionary>;

/** Takes a reply to where its request came from; reports failures itself and never throws. */
export type ReplyFunction = (reply: Buffer) => void;

/** Told of everything that is worth a log line or a counter; must not throw. */
export interface NgObserver {
  /** `Received command 'X' from ADDR`; also for commands that turn out unknown. */
  received(
    command: string,
    source: NgSource,
    callId: string | null,
    dictionary: NgDictionary,
  ): void;
  /** `Replying to 'X' from ADDR (elapsed time …)`; not called for error replies. */
  replied(
    command: string,
    source: NgSource,
    callId: string | null,
    elapsedMicros: number,
    reply: NgDictionary,
  ): void;
  /**
   * `Protocol error in packet from ADDR: TEXT [raw]`, for every error reply, as 10.5 logs it.
   * `command` is null when the message had none; `raw` is the body as a byte string.
   */
  protocolError(
    error: NgError,
    source: NgSource,
    raw: string,
    command: string | null,
    callId: string | null,
    elapsedMicros: number,
  ): void;
  /** `Received invalid data on NG port (no cookie) from ADDR: raw`; such a message has no reply. */
  noCookie(source: NgSource, raw: string): void;
  /** `Detected command from ADDR as a duplicate`. */
  duplicate(source: NgSource, cookie: string): void;
  /** Keys, flags and values of the request that are unknown or not honoured; only if there are. */
  notes(request: NgRequest, source: NgSource, callId: string | null): void;
  /** A handler threw what is no NgError: a defect of ours. */
  internalError(error: unknown, command: string, source: NgSource, callId: string | null): void;
}

/** Construction parameters of NgEndpoint. */
export interface NgEndpointOptions {
  readonly handler: NgHandler;
  readonly observer: NgObserver;
  readonly cache: ReplyCache;
  /** Monotonic clock in microseconds, for elapsed times. */
  readonly nowMicros: () => number;
}

/** One request on its way through the endpoint. */
interface Exchange {
  readonly cookie: string | null;
  readonly body: Buffer;
  readonly source: NgSource;
  readonly reply: ReplyFunction;
  readonly startedMicros: number;
  command: string | null;
  callId: string | null;
}

/** Thread: control. Has no timers and nothing to close. */
export class NgEndpoint {
  readonly #handler: NgHandler;
  readonly #observer: NgObserver;
  readonly #cache: ReplyCache;
  readonly #nowMicros: () => number;

  constructor(options: NgEndpointOptions) {
    this.#handler = options.handler;
    this.#observer = options.observer;
    this.#cache = options.cache;
    this.#nowMicros = options.nowMicros;
  }

  /** Handles `COOKIE SP DICT`; calls `reply` once, later, or (without a cookie) never. */
  handleMessage(message: Buffer, source: NgSource, reply: ReplyFunction): void {
    const split = splitMessage(message);
    if (split === null) {
      this.#observer.noCookie(source, message.toString('latin1'));
      return;
    }
    const cached = this.#cache.lookup(split.cookie);
    if (cached !== null) {
      this.#observer.duplicate(source, split.cookie);
      reply(cached);
      return;
    }
    if (this.#cache.wait(split.cookie, reply)) {
      this.#observer.duplicate(source, split.cookie);
      return;
    }
    this.#run(split.cookie, split.body, source, reply);
  }

  /** Handles a dictionary without a cookie (`/ng-plain`): nothing is cached. */
  handleBody(body: Buffer, source: NgSource, reply: ReplyFunction): void {
    this.#run(null, body, source, reply);
  }

  #run(cookie: string | null, body: Buffer, source: NgSource, reply: ReplyFunction): void {
    const exchange: Exchange = {
      cookie,
      body,
      source,
      reply,
      startedMicros: this.#nowMicros(),
      command: null,
      callId: null,
    };
    let answer: NgDictionary | Promise<NgDictionary>;
    try {
      answer = this.#handler(this.#parse(exchange), source);
    } catch (error) {
      this.#fail(exchange, error);
      return;
    }
    if (answer instanceof Promise) this.#await(exchange, answer);
    else this.#succeed(exchange, answer);
  }

  #parse(exchange: Exchange): NgRequest {
    const dictionary = decodeBody(exchange.body);
    const command = commandOf(dictionary);
    exchange.command = command;
    exchange.callId = callIdOf(dictionary);
    this.#observer.received(command, exchange.source, exchange.callId, dictionary);
    const request = parseRequest(command, dictionary);
    if (request.unknown.length > 0 || request.unsupported.length > 0) {
      this.#observer.notes(request, exchange.source, exchange.callId);
    }
    return request;
  }

  #await(exchange: Exchange, answer: Promise<NgDictionary>): void {
    if (exchange.cookie !== null) this.#cache.begin(exchange.cookie);
    answer.then(
      (reply) => this.#succeed(exchange, reply),
      (error: unknown) => this.#fail(exchange, error),
    );
  }

  #succeed(exchange: Exchange, reply: NgDictionary): void {
    let bytes: Buffer;
    try {
      bytes = encodeReply(exchange.cookie, reply, encodingOf(exchange.body));
    } catch (error) {
      this.#fail(exchange, error);
      return;
    }
    const elapsed = this.#nowMicros() - exchange.startedMicros;
    const { command, source, callId } = exchange;
    this.#observer.replied(command ?? '', source, callId, elapsed, reply);
    this.#send(exchange, bytes);
  }

  #fail(exchange: Exchange, thrown: unknown): void {
    const { command, source, callId, body } = exchange;
    let error: NgError;
    if (thrown instanceof NgError) {
      error = thrown;
    } else {
      this.#observer.internalError(thrown, command ?? '', source, callId);
      error = new NgError('internal', 'Internal error', { cause: thrown });
    }
    const elapsed = this.#nowMicros() - exchange.startedMicros;
    this.#observer.protocolError(error, source, body.toString('latin1'), command, callId, elapsed);
    const reply = errorReply(error.message);
    this.#send(exchange, encodeReply(exchange.cookie, reply, encodingOf(body)));
  }

  #send(exchange: Exchange, bytes: Buffer): void {
    // Kept before it is sent, so that a failing transport cannot leave duplicates waiting.
    if (exchange.cookie !== null) this.#cache.store(exchange.cookie, bytes);
    exchange.reply(bytes);
  }
}
