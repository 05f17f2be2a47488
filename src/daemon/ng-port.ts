/** The NG listeners of a daemon: what comes in there is answered, bounded in time, memory and log. */
import type { Endpoint } from '../media/call-state.js';
import { SlicedWork } from '../media/slices.js';
import { NativeDatagramSocket } from '../native/datagram-socket.js';
import { NgEndpoint, type NgEndpointOptions } from '../ng-protocol/endpoint.js';
import type { ReplyCache } from '../ng-protocol/reply-cache.js';
import {
  maxDatagramBytes,
  openUdpTransport,
  type UdpListenAddress,
  type UdpTransport,
} from '../ng-protocol/transports/udp.js';
import { MalformedLog } from '../observe/malformed-log.js';
import { shorterReply } from '../observe/shorter-reply.js';
import { handleNg, type NgHandlerParts } from './ng-handler.js';
import { ngObserver } from './ng-observer.js';

export interface NgPortOptions {
  readonly parts: NgHandlerParts;
  readonly listen: readonly UdpListenAddress[];
  /** Bind addresses that the machine does not have (yet). */
  readonly freeBind: boolean;
  /** Whether messages from an address are read. */
  readonly allowed: (address: string) => boolean;
  readonly onNotAllowed: (address: string) => void;
  readonly capture: NgEndpointOptions['capture'];
  readonly capturesRepetitions: boolean;
  /** Replies to repeated requests. */
  readonly replies: ReplyCache;
  readonly onKept: NgEndpointOptions['onKept'];
}

/** Thread: control. Owns its sockets until `close`. */
export class NgPort {
  #tos: number;
  readonly #parts: NgHandlerParts;
  readonly #replies: ReplyCache;
  readonly #malformed: MalformedLog;
  readonly #transport: UdpTransport;
  /** For the other transports: all share one. */
  readonly endpoint: NgEndpoint;
  readonly #expiry: SlicedWork;
  #messages = 0;

  /** @throws UdpBindError */
  constructor(options: NgPortOptions) {
    const { parts, listen, freeBind, allowed, onNotAllowed, capture, replies, onKept } = options;
    const { capturesRepetitions } = options;
    const { log, config } = parts;
    this.#replies = replies;
    this.#parts = parts;
    const { controlTos, pathMtu } = config.control;
    this.#tos = controlTos;
    this.#malformed = new MalformedLog(log);
    this.#expiry = new SlicedWork((error) => {
      log.error('control', `Timer: ${error instanceof Error ? error.message : String(error)}`);
    });
    this.endpoint = new NgEndpoint({
      handler: (...message) => handleNg(parts, ...message),
      observer: ngObserver(log, parts.counters, this.#malformed, config.media.logSrtpKeys),
      templates: parts.templates,
      cache: this.#replies,
      shorten: shorterReply,
      ...{ capture, capturesRepetitions, onKept },
      nowMicros: () => performance.now() * 1000,
    });
    this.#transport = openUdpTransport({
      listen,
      tos: controlTos,
      openSocket: (options) => new NativeDatagramSocket({ ...options, freeBind, pathMtu }),
      receive: (datagram, source, reply) => {
        if (!allowed(source.address)) {
          onNotAllowed(source.address);
          return 'malformed';
        }
        this.#messages += 1;
        return this.endpoint.handleMessage(datagram, source, maxDatagramBytes, reply);
      },
      onError: (error, local) => log.error('control', `NG socket ${local}: ${error.message}`),
    });
  }

  /** Those bound, in the order asked for. */
  get addresses(): readonly Endpoint[] {
    return this.#transport.addresses;
  }

  /** A message is being worked on, and no other one waits, as far as is known. */
  get servesOne(): boolean {
    return this.#transport.servesOne;
  }

  /** Messages worked on so far. */
  get messages(): number {
    return this.#messages;
  }

  /** TOS byte of replies from now on. */
  get tos(): number {
    return this.#tos;
  }

  set tos(tos: number) {
    this.#tos = tos;
    this.#transport.mark(tos);
  }

  everySecond(): void {
    this.#expiry.begin(
      () => this.#replies.expiring(),
      () => undefined,
    );
    const refused = this.#transport.takeRefused();
    for (const { malformed, overflow } of refused)
      this.#parts.counters.refused(malformed + overflow);
    this.#malformed.everySecond(refused);
  }

  close(): void {
    this.#transport.close();
  }
}
