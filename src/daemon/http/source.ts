import type { IncomingMessage } from 'node:http';
import type { NgSource } from '../../ng-protocol/endpoint.js';

/** The source of a request; a client that has gone already has none. */
export function sourceOf({ socket }: IncomingMessage): NgSource {
  return {
    ...{ address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
    local: { address: socket.localAddress ?? '', port: socket.localPort ?? 0 },
  };
}
