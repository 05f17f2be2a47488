import type { Socket } from 'node:net';
import type { NgSource } from '../endpoint.js';

/** Who is at the other end of a TCP connection, also one of HTTP; a client that has gone already has no address. */
export function sourceOf(socket: Socket): NgSource {
  return {
    ...{ address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
    local: { address: socket.localAddress ?? '', port: socket.localPort ?? 0 },
  };
}
