/** Ports nobody uses at the moment, below the range from which the kernel hands out its own. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

const lowestPort = 16384;
const highestPort = 32767;
/** Moves on with each range, so that what was given out last is given out again last. */
let cursor = lowestPort + 2 * Math.floor((Math.random() * (highestPort - lowestPort)) / 2);

function boundUdpPorts(): ReadonlySet<number> {
  const ports = new Set<number>();
  for (const file of ['/proc/net/udp', '/proc/net/udp6']) {
    for (const line of readFileSync(file, 'latin1').split('\n').slice(1)) {
      const local = line.trim().split(/\s+/)[1];
      const port = local?.split(':').at(-1);
      if (port !== undefined) ports.add(Number.parseInt(port, 16));
    }
  }
  return ports;
}

export interface PortRange {
  readonly min: number;
  readonly max: number;
}

/** `size` consecutive UDP ports (starting even) that are free now and were not given out lately. */
export function freeUdpRange(size: number): PortRange {
  const bound = boundUdpPorts();
  for (let tried = 0; tried < highestPort - lowestPort;) {
    if (cursor + size > highestPort) cursor = lowestPort;
    const min = cursor;
    let taken = -1;
    for (let port = min; port < min + size; port++) if (bound.has(port)) taken = port;
    const used = taken < 0 ? size : taken - min + 1;
    cursor = min + used + (used % 2);
    tried += used;
    if (taken < 0) return { min, max: min + size - 1 };
  }
  throw new Error(`no ${size} free consecutive UDP ports`);
}

/** One free UDP port. */
export function freeUdpPort(): number {
  return freeUdpRange(1).min;
}

/** One free TCP port on 127.0.0.1. */
export async function freeTcpPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no TCP port');
  return address.port;
}
