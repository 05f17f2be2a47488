/** NG over UDP: one datagram per message, answered from the socket that received it (§1.3). */
import type { MessageKind } from '../endpoint.js';

/** Where to listen; `address` null: all addresses of both families. */
export interface UdpListenAddress {
  readonly address: string | null;
  readonly port: number;
}

/** The most that a datagram carries over IPv4, bytes (65,535 less the headers of UDP and IP). */
export const maxDatagramBytes = 65_507;

/** Source of a datagram; IPv6 addresses without brackets. */
export interface UdpSource {
  readonly address: string;
  readonly port: number;
  /** Of the socket that it came to. */
  readonly local?: Pick<UdpSource, 'address' | 'port'>;
}

/**
 * Takes a datagram, whose bytes are valid until it returns; `reply` may be called at any later time, any number of times. Returns what it was:
 * senders of commands are served before others.
 */
export type UdpReceiver = (
  datagram: Buffer,
  source: UdpSource,
  reply: (bytes: Buffer) => void,
) => MessageKind;

/** Messages that a socket did not take since it was asked last, and who sent the last of them. */
export interface RefusedDatagrams {
  /** They did not look like messages, or came from somebody who sends such. */
  readonly malformed: number;
  /** Too many waited already. */
  readonly overflow: number;
  readonly host: string;
  readonly port: number;
}

/** A bound socket that reads and writes in batches. Owned by whoever opened it, until `close`. */
export interface DatagramSocket {
  readonly address: UdpSource;
  /** What `receive` gets is valid until it returns; `onError` the system's code of a reply that failed. */
  start(
    receive: (datagram: Buffer, host: string, port: number) => MessageKind,
    onError: (code: string) => void,
  ): void;
  /** A message is being worked on, and no other one waits, as far as is known. */
  readonly servesOne: boolean;
  /** null: nothing. */
  refused(): RefusedDatagrams | null;
  /** false: the socket is closed, its queue is full, or nothing can be sent to that address. */
  send(bytes: Buffer, host: string, port: number): boolean;
  /** TOS byte (IPv6: traffic class) of what is sent from now on. */
  mark(tos: number): void;
  /** Sends what is queued. */
  close(): void;
}

/** Binds; the error thrown has the system's `code`, e.g. `EADDRINUSE`. */
export type OpenDatagramSocket = (options: {
  /** Numeric. */
  readonly address: string;
  readonly port: number;
  readonly receiveBufferBytes: number;
  /** TOS byte of what is sent (IPv6: traffic class). */
  readonly tos: number;
}) => DatagramSocket;

/** Parameters of openUdpTransport. */
export interface UdpTransportOptions {
  readonly listen: readonly UdpListenAddress[];
  readonly receive: UdpReceiver;
  readonly openSocket: OpenDatagramSocket;
  /** `--control-tos`, default 0. */
  readonly tos?: number;
  /** A reply could not be sent; the transport goes on. */
  readonly onError: (error: Error, local: string) => void;
}

/** A listening address that cannot be had. `code` is the system's, e.g. `EADDRINUSE`. */
export class UdpBindError extends Error {
  override readonly name = 'UdpBindError';
  constructor(
    readonly code: string,
    /** `ADDR:PORT`. */
    readonly listen: string,
    options: { cause: unknown },
  ) {
    super(`Failed to open UDP NG control connection port (${listen}): ${code}`, options);
  }
}

/** Room for bursts: 1 MiB holds some hundred offers. The kernel caps it at net.core.rmem_max. */
const receiveBufferBytes = 1024 * 1024;

interface Binding {
  readonly address: string;
  readonly port: number;
  /** One of the two sockets for "all addresses": a host may lack the family. */
  readonly optional: boolean;
}

function bindings(listen: readonly UdpListenAddress[]): Binding[] {
  return listen.flatMap(({ address, port }): Binding[] =>
    address === null
      ? [
          { address: '0.0.0.0', port, optional: false },
          { address: '::', port, optional: true },
        ]
      : [{ address, port, optional: false }],
  );
}

/** Of an address that is numeric; node:net's test costs the start 6 ms (a regular expression). */
const isIpv6 = (address: string): boolean => address.includes(':');

function display(address: string, port: number): string {
  return isIpv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error
    ? String(error.code)
    : String(error);
}

function bind(binding: Binding, options: UdpTransportOptions): DatagramSocket | null {
  const { address, port } = binding;
  try {
    return options.openSocket({ address, port, receiveBufferBytes, tos: options.tos ?? 0 });
  } catch (cause) {
    const code = codeOf(cause);
    if (binding.optional && (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL')) return null;
    throw new UdpBindError(code, display(address, port), { cause });
  }
}

function attach(socket: DatagramSocket, options: UdpTransportOptions): void {
  const { address, port } = socket.address;
  const name = display(address, port);
  const local = { address, port };
  socket.start(
    (datagram, sourceHost, sourcePort) =>
      options.receive(datagram, { address: sourceHost, port: sourcePort, local }, (bytes) => {
        if (socket.send(bytes, sourceHost, sourcePort)) return;
        // After close(), to port 0, or with a full queue: the sender repeats or is gone.
        const to = display(sourceHost, sourcePort);
        options.onError(new Error(`cannot send a reply to ${to}`), name);
      }),
    (code) => options.onError(new Error(`sending a reply failed: ${code}`), name),
  );
}

/** Bound NG sockets. Owns them until `close`. */
export class UdpTransport {
  readonly #sockets: readonly DatagramSocket[];

  constructor(sockets: readonly DatagramSocket[]) {
    this.#sockets = sockets;
  }

  /** The addresses actually bound, in the order asked for. */
  get addresses(): readonly UdpSource[] {
    return this.#sockets.map((socket) => socket.address);
  }

  /** A message is being worked on, and no other one waits, as far as is known. */
  get servesOne(): boolean {
    return this.#sockets.some((socket) => socket.servesOne);
  }

  /** What the sockets did not take since they were asked last, of those that refused any. */
  takeRefused(): readonly RefusedDatagrams[] {
    return this.#sockets.map((socket) => socket.refused()).filter((entry) => entry !== null);
  }

  /** TOS byte of what is sent from now on. */
  mark(tos: number): void {
    for (const socket of this.#sockets) socket.mark(tos);
  }

  /** Closes every socket; replies given afterwards go to `onError`. */
  close(): void {
    for (const socket of this.#sockets) socket.close();
  }
}

/**
 * Binds every address; all or none.
 * @throws UdpBindError naming the address that cannot be had.
 */
export function openUdpTransport(options: UdpTransportOptions): UdpTransport {
  const sockets: DatagramSocket[] = [];
  try {
    for (const binding of bindings(options.listen)) {
      const socket = bind(binding, options);
      if (socket !== null) sockets.push(socket);
    }
  } catch (error) {
    for (const socket of sockets) socket.close();
    throw error;
  }
  for (const socket of sockets) attach(socket, options);
  return new UdpTransport(sockets);
}
