/**
 * Commands whose answer is waited for where they are sent. A server that is near answers in less time than it takes to
 * leave the turn of the event loop and to come back to it; as long as nothing else is to be done this costs nobody anything.
 * What is not answered within a moment goes on as any other command of the connection does.
 */
import type { Redis } from 'ioredis';
import { commandOf } from './client.js';
import type { Argument } from './large-command.js';

/** Sends and waits: src/native/exchange.ts. */
export type ExchangeBytes = (
  fd: number,
  request: Buffer,
  length: number,
  answer: Buffer,
  micros: number,
) => number;

/** The command has not been sent. */
export const notAsked: unique symbol = Symbol('not asked');

/** How long an answer is waited for, µs. */
const patienceMicros = 300;
/** After one that was late so many commands are sent without waiting, twice as many each time. */
const leastUnawaited = 32;
const maxUnawaited = 4096;

/** Commands that are longer are not waited for. */
const requestBytes = 64 * 1024;
/** Longer than any number and any word; a longer answer is none of these. */
const answerBytes = 64;

/** What ioredis' connection is made of. */
interface Inside {
  readonly status: string;
  readonly commandQueue?: { readonly length: number };
  readonly stream: {
    readonly writable: boolean;
    readonly writableLength: number;
    readonly encrypted?: boolean;
    readonly _handle?: { readonly fd?: number } | null;
    emit(event: 'data', bytes: Buffer): boolean;
  };
}

/** The socket's descriptor while nothing is on its way in either direction; -1: it cannot be used. */
function descriptorOf({ status, commandQueue, stream }: Inside): number {
  if (status !== 'ready' || commandQueue?.length !== 0) return -1;
  const { writable, writableLength, encrypted, _handle: handle } = stream;
  if (!writable || writableLength !== 0 || encrypted === true) return -1;
  return handle?.fd ?? -1;
}

const plus = 0x2b;
const minus = 0x2d;
const colon = 0x3a;
const dollar = 0x24;
const zero = 0x30;
const carriageReturn = 0x0d;
const lineFeed = 0x0a;

const done = Buffer.from('OK');
const noBytes = Buffer.alloc(0);

/** The answer that is one line and no error: a word (`OK`, whatever it is), a number or nothing; undefined: another. */
function answerIn(bytes: Buffer, length: number): Buffer | number | null | undefined {
  if (length < 4 || bytes.indexOf(lineFeed) !== length - 1 || bytes[length - 2] !== carriageReturn)
    return undefined;
  const [first] = bytes;
  if (first === plus) return done;
  if (first === dollar) return bytes[1] === minus ? null : undefined;
  if (first !== colon) return undefined;
  let number = 0;
  for (let at = 1; at < length - 2; at += 1) number = number * 10 + (bytes[at] ?? 0) - zero;
  return number;
}

/** Thread: control. */
export class PromptAnswers {
  readonly #exchange: ExchangeBytes;
  readonly #request = Buffer.allocUnsafeSlow(requestBytes);
  readonly #answer = Buffer.allocUnsafeSlow(answerBytes);
  #unawaited = 0;
  #nextUnawaited = leastUnawaited;

  constructor(exchange: ExchangeBytes) {
    this.#exchange = exchange;
  }

  /**
   * For commands that are answered by one line: the answer; a promise of it where it has not come yet, or is an error; or `notAsked`.
   * @throws never
   */
  ask(redis: Redis, name: string, args: readonly Argument[]): unknown {
    if (this.#unawaited > 0) {
      this.#unawaited -= 1;
      return notAsked;
    }
    const inside = redis as unknown as Inside;
    const fd = descriptorOf(inside);
    const length = fd < 0 ? 0 : this.#write(name, args);
    if (length === 0) return notAsked;
    const came = this.#exchange(fd, this.#request, length, this.#answer, patienceMicros);
    const answer = came > 0 ? answerIn(this.#answer, came) : undefined;
    if (answer !== undefined) {
      this.#nextUnawaited = Math.max(leastUnawaited, this.#nextUnawaited / 2);
      return answer;
    }
    if (came <= 0) {
      this.#unawaited = this.#nextUnawaited;
      this.#nextUnawaited = Math.min(maxUnawaited, 2 * this.#nextUnawaited);
    }
    const unsent = came < 0 ? Buffer.from(this.#request.subarray(-1 - came, length)) : noBytes;
    const command = commandOf(name, args);
    command.toWritable = (): Buffer => unsent;
    void redis.sendCommand(command);
    if (came > 0) inside.stream.emit('data', Buffer.from(this.#answer.subarray(0, came)));
    return command.promise;
  }

  /** Bytes of the command in `#request` (RESP: an array of bulk strings); 0: it is too long. */
  #write(name: string, args: readonly Argument[]): number {
    let at = this.#text(0, `*${args.length + 1}\r\n$${name.length}\r\n${name}\r\n`);
    for (const argument of args) {
      if (typeof argument === 'object') {
        if (at + argument.length + 16 > requestBytes) return 0;
        at = this.#text(at, `$${argument.length}\r\n`);
        at += argument.copy(this.#request, at);
        at = this.#text(at, '\r\n');
        continue;
      }
      const text = String(argument);
      const bytes = Buffer.byteLength(text);
      if (at + bytes + 16 > requestBytes) return 0;
      at = this.#text(at, `$${bytes}\r\n${text}\r\n`);
    }
    return at;
  }

  #text(at: number, text: string): number {
    return at + this.#request.write(text, at);
  }
}
