/**
 * NgEndpoint: bytes of a request in, bytes of its reply out. Every transport feeds the same
 * endpoint, so they share one reply cache (ng-protocol.md §1.2).
 */
import { callIdOf, commandOf, parseRequest } from './commands.js';
import type { NgDictionary } from './dictionary.js';
import { noTemplates, type Templates } from './interpret.js';
import { errorReply, isUnmatched, NgError, tooLong } from './errors.js';
import { encodeLongReply, isLongReply } from './long-reply.js';
import { decodeBody, encodeReply, encodingOf, splitMessage, type NgMessage } from './message.js';
import type { ReplyCache } from './reply-cache.js';
import type { NgRequest } from './requests.js';

/** Where a request came from. IPv6 addresses are without brackets. */
export interface NgSource {
  readonly address: string;
  readonly port: number;
  /** Where it came to; without: by a Unix socket. */
  readonly local?: { readonly address: string; readonly port: number } | undefined;
}

/** `ADDR:PORT`, `[ADDR]:PORT` for IPv6, as in rtpengine's log lines. */
export function formatSource(source: NgSource): string {
  return source.address.includes(':')
    ? `[${source.address}]:${source.port}`
    : `${source.address}:${source.port}`;
}

/** Whether a reply is short enough for the way it will take, e.g. for a datagram. */
export type FitsReply = (reply: NgDictionary) => boolean;

/**
 * Runs a command and gives its reply, `result` included. Throws (or rejects with) NgError for
 * `result: error`; anything else thrown is answered `Internal error`. A command whose reply cannot be
 * shortened asks `fits` before it changes anything. `bytes`: of the message, which is kept as long as it waits.
 */
export type NgHandler = (
  request: NgRequest,
  source: NgSource,
  fits: FitsReply,
  bytes: number,
) => NgDictionary | Promise<NgDictionary>;

/** A shorter form of a reply, of which `excess` says how many bytes it has too many; null: there is none. */
export type ShortenReply = (
  reply: NgDictionary,
  excess: (reply: NgDictionary) => number,
) => NgDictionary | null;

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
   * `command` is null when the message had none; `raw` is the body as a byte string, shortened.
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
  duplicate(source: NgSource): void;
  /** Keys, flags and values of the request that are unknown or without effect; only if there are. */
  notes(request: NgRequest, source: NgSource, callId: string | null): void;
  /** A handler threw what is no NgError: a defect of ours. */
  internalError(error: unknown, command: string, source: NgSource, callId: string | null): void;
}

/**
 * What a message turned out to be; transports serve senders of commands first. `refused`: a command that cannot be done;
 * of one that takes time that is not known yet. `neutral`: a repetition, or what anybody may ask who knows of no call.
 */
export type MessageKind = 'command' | 'malformed' | 'refused' | 'neutral';

/** A command, pings aside, and its answer. */
export interface NgCapture {
  /** null: it names none. */
  readonly callId: string | null;
  readonly source: NgSource;
  /** null: it came without one. */
  readonly cookie: string | null;
  /** Both are parts of larger buffers. */
  readonly body: Buffer;
  readonly reply: Buffer;
}

/** The command as it was on the wire, in memory of its own. */
export const queryOf = ({ cookie, body }: NgCapture): Buffer =>
  cookie === null ? Buffer.from(body) : Buffer.concat([Buffer.from(`${cookie} `, 'latin1'), body]);

/** Construction parameters of NgEndpoint. */
export interface NgEndpointOptions {
  readonly handler: NgHandler;
  readonly observer: NgObserver;
  /** Templates of flags as they are now (ng-protocol.md §5.3); without: none. */
  readonly templates?: () => Templates;
  readonly cache: ReplyCache;
  readonly shorten: ShortenReply;
  /** Told of each command once it is answered; must not throw. */
  readonly capture?: ((capture: NgCapture) => void) | undefined;
  /** Whether repetitions are captured, too. */
  readonly capturesRepetitions?: boolean;
  /** Told of each reply that is kept for repetitions of its request; must not throw. */
  readonly onKept?: ((command: string, message: NgMessage, reply: Buffer) => void) | undefined;
  /** Monotonic clock in microseconds, for elapsed times. */
  readonly nowMicros: () => number;
}

/** Of commands that need no call. */
const asking: ReadonlySet<string> = new Set(['ping', 'list', 'statistics']);

function kindOf(command: string | null, answer: NgDictionary | Promise<NgDictionary>): MessageKind {
  if (command !== null && asking.has(command)) return 'neutral';
  return !(answer instanceof Promise) && isUnmatched(answer) ? 'refused' : 'command';
}

/** Bytes that every error reply fits into, cookie aside: a longer cookie is none. */
const roomForReply = 512;

/** Bytes of a malformed message that its log line shows. */
const maxShownBytes = 4096;

function shown(bytes: Buffer): string {
  if (bytes.length <= maxShownBytes) return bytes.toString('latin1');
  return `${bytes.toString('latin1', 0, maxShownBytes)}… (${bytes.length} bytes)`;
}

/** One request on its way through the endpoint. */
interface Exchange {
  /** As the reply cache knows it; null: it has no cookie, and nothing is kept. */
  message: NgMessage | null;
  readonly cookie: string | null;
  readonly maxReplyBytes: number;
  body: Buffer;
  readonly source: NgSource;
  readonly reply: ReplyFunction;
  readonly startedMicros: number;
  command: string | null;
  callId: string | null;
}

/** Of a reply that is not cut, others have their turn while it is encoded. */
const isSliced = ({ maxReplyBytes }: Exchange, reply: NgDictionary): boolean =>
  maxReplyBytes === Infinity && isLongReply(reply);

/** Thread: control. Has no timers and nothing to close. */
export class NgEndpoint {
  readonly #handler: NgHandler;
  readonly #observer: NgObserver;
  readonly #templates: () => Templates;
  readonly #cache: ReplyCache;
  readonly #shorten: ShortenReply;
  readonly #nowMicros: () => number;
  readonly #capture: ((capture: NgCapture) => void) | undefined;
  readonly #capturesRepetitions: boolean;
  readonly #onKept: NgEndpointOptions['onKept'];

  constructor(options: NgEndpointOptions) {
    this.#capture = options.capture;
    this.#capturesRepetitions = options.capturesRepetitions === true;
    this.#onKept = options.onKept;
    this.#handler = options.handler;
    this.#observer = options.observer;
    this.#templates = options.templates ?? (() => noTemplates);
    this.#cache = options.cache;
    this.#shorten = options.shorten;
    this.#nowMicros = options.nowMicros;
  }

  /**
   * Handles `COOKIE SP DICT`; calls `reply` once, later, or (without a cookie) never. `maxReplyBytes`:
   * the longest reply that the transport can carry. The message may change once this has returned.
   */
  handleMessage(
    message: Buffer,
    source: NgSource,
    maxReplyBytes: number,
    reply: ReplyFunction,
  ): MessageKind {
    const split = splitMessage(message);
    if (split === null || split.cookie.length + roomForReply > maxReplyBytes) {
      this.#observer.noCookie(source, shown(message));
      return 'malformed';
    }
    const cached = this.#cache.lookup(split);
    if (cached !== null) {
      this.#observer.duplicate(source);
      reply(cached);
      if (this.#capturesRepetitions) this.#captureRepetition(split, source, cached);
      return 'neutral';
    }
    if (this.#cache.wait(split, reply)) {
      this.#observer.duplicate(source);
      return 'neutral';
    }
    return this.#run({
      message: split,
      cookie: split.cookie,
      maxReplyBytes,
      body: split.body,
      source,
      reply,
      startedMicros: this.#nowMicros(),
      command: null,
      callId: null,
    });
  }

  /** Handles a dictionary without a cookie (`/ng-plain`): nothing is cached. */
  handleBody(body: Buffer, source: NgSource, reply: ReplyFunction): void {
    this.#run({
      message: null,
      cookie: null,
      maxReplyBytes: Infinity,
      body,
      source,
      reply,
      startedMicros: this.#nowMicros(),
      command: null,
      callId: null,
    });
  }

  #run(exchange: Exchange): MessageKind {
    let request: NgRequest;
    try {
      request = this.#parse(exchange);
    } catch (error) {
      // The same bytes fail again: nothing to keep.
      this.#fail(exchange, error, null);
      return error instanceof NgError && error.isMalformed ? 'malformed' : 'refused';
    }
    const { source, message, cookie, body, maxReplyBytes } = exchange;
    const encoding = encodingOf(body);
    let answer: NgDictionary | Promise<NgDictionary>;
    try {
      answer = this.#handler(
        request,
        source,
        (reply) =>
          maxReplyBytes === Infinity ||
          encodeReply(cookie, reply, encoding).length <= maxReplyBytes,
        body.length,
      );
    } catch (error) {
      this.#fail(exchange, error, message);
      return 'refused';
    }
    if (answer instanceof Promise) this.#await(exchange, answer);
    else if (isSliced(exchange, answer)) this.#await(exchange, Promise.resolve(answer));
    else this.#succeed(exchange, answer);
    return kindOf(exchange.command, answer);
  }

  #parse(exchange: Exchange): NgRequest {
    const dictionary = decodeBody(exchange.body);
    const command = commandOf(dictionary);
    exchange.command = command;
    exchange.callId = callIdOf(dictionary);
    this.#observer.received(command, exchange.source, exchange.callId, dictionary);
    const request = parseRequest(command, dictionary, this.#templates());
    if (request.unknown.length > 0 || request.unsupported.length > 0 || request.idle.length > 0) {
      this.#observer.notes(request, exchange.source, exchange.callId);
    }
    return request;
  }

  #await(exchange: Exchange, answer: Promise<NgDictionary>): void {
    // Until now nobody has kept it.
    const body = Buffer.from(exchange.body);
    const { cookie } = exchange;
    const message = exchange.message === null || cookie === null ? null : { cookie, body };
    exchange.body = body;
    exchange.message = message;
    if (message !== null) this.#cache.begin(message);
    answer.then(
      (reply) => this.#succeed(exchange, reply),
      (error: unknown) => this.#fail(exchange, error, message),
    );
  }

  #succeed(exchange: Exchange, reply: NgDictionary): void {
    const { cookie, body, message } = exchange;
    if (isSliced(exchange, reply)) {
      encodeLongReply(cookie, reply, encodingOf(body)).then(
        (bytes) => this.#finish(exchange, reply, bytes),
        (error: unknown) => this.#fail(exchange, error, message),
      );
      return;
    }
    let bytes: Buffer;
    try {
      bytes = this.#encode(exchange, reply);
    } catch (error) {
      this.#fail(exchange, error, message);
      return;
    }
    this.#finish(exchange, reply, bytes);
  }

  #finish(exchange: Exchange, reply: NgDictionary, bytes: Buffer): void {
    const { command, source, callId, message } = exchange;
    const elapsed = this.#nowMicros() - exchange.startedMicros;
    this.#observer.replied(command ?? '', source, callId, elapsed, reply);
    this.#send(exchange, bytes, message);
  }

  /** The reply, or what of it the transport can carry. */
  #encode({ cookie, body, maxReplyBytes }: Exchange, reply: NgDictionary): Buffer {
    const encoding = encodingOf(body);
    const bytes = encodeReply(cookie, reply, encoding);
    if (bytes.length <= maxReplyBytes) return bytes;
    const shorter = this.#shorten(
      reply,
      (candidate) => encodeReply(cookie, candidate, encoding).length - maxReplyBytes,
    );
    if (shorter === null) throw new NgError('too-long', tooLong);
    return encodeReply(cookie, shorter, encoding);
  }

  /** `kept`: the request as the cache is to know it; null: the reply is not kept. */
  #fail(exchange: Exchange, thrown: unknown, kept: NgMessage | null): void {
    const { command, source, callId, body } = exchange;
    let error: NgError;
    if (thrown instanceof NgError) {
      error = thrown;
    } else {
      this.#observer.internalError(thrown, command ?? '', source, callId);
      error = new NgError('internal', 'Internal error', { cause: thrown });
    }
    const elapsed = this.#nowMicros() - exchange.startedMicros;
    this.#observer.protocolError(error, source, shown(body), command, callId, elapsed);
    const reply = errorReply(error.message);
    this.#send(exchange, encodeReply(exchange.cookie, reply, encodingOf(body)), kept);
  }

  #send(exchange: Exchange, bytes: Buffer, kept: NgMessage | null): void {
    // Kept before it is sent, so that a failing transport cannot leave duplicates waiting.
    const reply = kept === null ? Buffer.from(bytes) : this.#cache.store(kept, bytes);
    if (kept !== null) this.#onKept?.(exchange.command ?? '', kept, reply);
    exchange.reply(reply);
    const { command, callId, cookie, body, source } = exchange;
    if (command === null || command === 'ping') return;
    this.#capture?.({ callId, source, cookie, body, reply });
  }

  /** What has a reply that is kept could be read. */
  #captureRepetition({ cookie, body }: NgMessage, source: NgSource, reply: Buffer): void {
    const dictionary = decodeBody(body);
    if (commandOf(dictionary) === 'ping') return;
    this.#capture?.({ callId: callIdOf(dictionary), source, cookie, body, reply });
  }
}
