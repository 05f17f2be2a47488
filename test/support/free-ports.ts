/** Ports nobody uses at the moment, below the range from which the kernel hands out its own. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

const lowestPort = 16384;
const highestPort = 32767;
const given = new Set<number>();

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

/** `size` consecutive UDP ports (starting even) that are free now and were not given out before. */
export function freeUdpRange(size: number): PortRange {
  const bound = boundUdpPorts();
  // A long run gives everything out once; what is not bound by then is free again.
  if (given.size > (highestPort - lowestPort) / 2) given.clear();
  for (let attempt = 0; attempt < 1000; attempt += 1) {
    const span = highestPort - lowestPort - size;
    const min = lowestPort + 2 * Math.floor((Math.random() * span) / 2);
    const ports = Array.from({ length: size }, (_, index) => min + index);
    if (ports.some((port) => bound.has(port) || given.has(port))) continue;
    for (const port of ports) given.add(port);
    return { min, max: min + size - 1 };
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
