/** NG over UDP: one datagram per message, answered from the socket that received it (§1.3). */
import { createSocket, type Socket } from 'node:dgram';

/** Where to listen; `address` null: all addresses of both families. */
export interface UdpListenAddress {
  readonly address: string | null;
  readonly port: number;
}

/** Source of a datagram; IPv6 addresses without brackets. */
export interface UdpSource {
  readonly address: string;
  readonly port: number;
}

/** Takes a datagram; `reply` may be called at any later time, any number of times. */
export type UdpReceiver = (
  datagram: Buffer,
  source: UdpSource,
  reply: (bytes: Buffer) => void,
) => void;

/** Parameters of openUdpTransport. */
export interface UdpTransportOptions {
  readonly listen: readonly UdpListenAddress[];
  readonly receive: UdpReceiver;
  /** A socket failed after binding, or a reply could not be sent; the transport goes on. */
  readonly onError: (error: Error, local: string) => void;
  /** Sets the TOS byte (`--control-tos`) on a bound socket's descriptor; node:dgram cannot. */
  readonly setTos?: (fd: number, isIpv6: boolean) => void;
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
    super(`Cannot listen for NG messages on ${listen}: ${code}`, options);
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

/** Addresses are always numeric here: spares each send a trip through the resolver. */
function numericLookup(
  host: string,
  _options: unknown,
  callback: (error: null, address: string, family: number) => void,
): void {
  callback(null, host, isIpv6(host) ? 6 : 4);
}

/** The descriptor under a dgram socket, which Node keeps behind a symbol; null if it moved. */
function descriptorOf(socket: Socket): number | null {
  for (const symbol of Object.getOwnPropertySymbols(socket)) {
    if (symbol.description !== 'state symbol') continue;
    const state: unknown = Reflect.get(socket, symbol);
    if (typeof state !== 'object' || state === null || !('handle' in state)) return null;
    const { handle } = state;
    if (typeof handle !== 'object' || handle === null || !('fd' in handle)) return null;
    return typeof handle.fd === 'number' ? handle.fd : null;
  }
  return null;
}

async function bind(binding: Binding): Promise<Socket | null> {
  const family = isIpv6(binding.address) ? 'udp6' : 'udp4';
  const socket = createSocket({
    type: family,
    ipv6Only: family === 'udp6',
    recvBufferSize: receiveBufferBytes,
    lookup: numericLookup,
  });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ port: binding.port, address: binding.address, exclusive: true }, () => {
        socket.removeListener('error', reject);
        resolve();
      });
    });
    return socket;
  } catch (cause) {
    socket.close();
    const code = codeOf(cause);
    if (binding.optional && (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL')) return null;
    throw new UdpBindError(code, display(binding.address, binding.port), { cause });
  }
}

function attach(socket: Socket, options: UdpTransportOptions): void {
  const { address, port } = socket.address();
  const local = display(address, port);
  socket.on('error', (error) => options.onError(error, local));
  socket.on('message', (datagram, source) => {
    options.receive(datagram, source, (bytes) => {
      try {
        socket.send(bytes, source.port, source.address, (error) => {
          if (error) options.onError(error, local);
        });
      } catch (error) {
        // A reply after close(), or to port 0: the sender repeats or is gone.
        options.onError(error instanceof Error ? error : new Error(String(error)), local);
      }
    });
  });
}

/** Bound NG sockets. Owns them until `close`. */
export class UdpTransport {
  readonly #sockets: readonly Socket[];

  constructor(sockets: readonly Socket[]) {
    this.#sockets = sockets;
  }

  /** The addresses actually bound, in the order asked for. */
  get addresses(): readonly UdpSource[] {
    return this.#sockets.map((socket) => {
      const { address, port } = socket.address();
      return { address, port };
    });
  }

  /** Closes every socket; replies given afterwards go to `onError`. */
  async close(): Promise<void> {
    await Promise.all(
      this.#sockets.map((socket) => new Promise<void>((resolve) => void socket.close(resolve))),
    );
  }
}

/**
 * Binds every address; all or none.
 * @throws UdpBindError naming the address that cannot be had.
 */
export async function openUdpTransport(options: UdpTransportOptions): Promise<UdpTransport> {
  const sockets: Socket[] = [];
  try {
    for (const binding of bindings(options.listen)) {
      const socket = await bind(binding);
      if (socket === null) continue;
      sockets.push(socket);
      if (options.setTos === undefined) continue;
      const fd = descriptorOf(socket);
      if (fd === null) throw new Error('cannot set the TOS of NG sockets with this Node version');
      options.setTos(fd, isIpv6(binding.address));
    }
  } catch (error) {
    for (const socket of sockets) socket.close();
    throw error;
  }
  for (const socket of sockets) attach(socket, options);
  return new UdpTransport(sockets);
}
