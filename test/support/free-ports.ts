/**
 * Ports nobody uses at the moment, below the range from which the kernel hands out its own (of which a port that was free a
 * moment ago may be somebody's connection by now). Test runs that go on side by side do not share them: each has
 * leased a part of the range.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';

const lowestPort = 10_240;
const highestPort = 32_767;
/** Enough for the largest range that a test asks for. */
const partSize = 2048;
const leases = `${tmpdir()}/rtprelay-test-ports`;

export interface PortRange {
  readonly min: number;
  readonly max: number;
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** Who has a lease; this process where that is not to be read just now. */
function holderOf(file: string): number {
  try {
    return Number(readFileSync(file, 'latin1')) || process.pid;
  } catch {
    return process.pid;
  }
}

/** Makes the file of a lease; false: another process that lives has it. */
function tryLease(file: string): boolean {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' });
      process.once('exit', () => {
        rmSync(file, { force: true });
      });
      return true;
    } catch {
      if (isAlive(holderOf(file))) return false;
      rmSync(file, { force: true });
    }
  }
  return false;
}

/** A part that nobody else has; all of the range where there is none. */
function leasedPart(): PortRange {
  mkdirSync(leases, { recursive: true });
  const parts = Math.floor((highestPort + 1 - lowestPort) / partSize);
  const first = Math.floor(Math.random() * parts);
  for (let tried = 0; tried < parts; tried += 1) {
    const part = (first + tried) % parts;
    const min = lowestPort + part * partSize;
    if (tryLease(`${leases}/${min}`)) return { min, max: min + partSize - 1 };
  }
  return { min: lowestPort, max: highestPort };
}

/** Gives out the ports of a part one after the other, so that what was given out last is given out again last. */
class Ports {
  #cursor: number;

  constructor(
    readonly part: PortRange,
    readonly protocol: 'udp' | 'tcp',
  ) {
    this.#cursor = part.min + 2 * Math.floor((Math.random() * (part.max - part.min)) / 2);
  }

  /** `size` consecutive ports, starting even; null: there are none. */
  take(size: number): PortRange | null {
    const { min: first, max: last } = this.part;
    const bound = boundPorts(this.protocol);
    for (let tried = 0; tried < 2 * (last - first);) {
      if (this.#cursor + size - 1 > last) {
        tried += Math.max(1, last - this.#cursor);
        this.#cursor = first;
      }
      const min = this.#cursor;
      let taken = -1;
      for (let port = min; port < min + size; port++) if (bound.has(port)) taken = port;
      const used = taken < 0 ? size : taken - min + 1;
      this.#cursor = min + used + (used % 2);
      tried += used;
      if (taken < 0 && min + size - 1 <= last) return { min, max: min + size - 1 };
    }
    return null;
  }
}

/** TCP's leave many behind that are busy for a minute (TIME_WAIT), which are no matter to UDP. */
function boundPorts(protocol: 'udp' | 'tcp'): ReadonlySet<number> {
  const ports = new Set<number>();
  for (const file of [protocol, `${protocol}6`]) {
    for (const line of readFileSync(`/proc/net/${file}`, 'latin1').split('\n').slice(1)) {
      const local = line.trim().split(/\s+/)[1];
      const port = local?.split(':').at(-1);
      if (port !== undefined) ports.add(Number.parseInt(port, 16));
    }
  }
  return ports;
}

let part: PortRange | null = null;
const leased = new Map<'udp' | 'tcp', Ports>();

function portsOf(protocol: 'udp' | 'tcp'): Ports {
  part ??= leasedPart();
  const ports = leased.get(protocol) ?? new Ports(part, protocol);
  leased.set(protocol, ports);
  return ports;
}

/** `size` consecutive UDP ports (starting even) that are free now and were not given out lately. */
export function freeUdpRange(size: number): PortRange {
  const range =
    portsOf('udp').take(size) ?? new Ports({ min: lowestPort, max: highestPort }, 'udp').take(size);
  if (range === null) throw new Error(`no ${size} free consecutive UDP ports`);
  return range;
}

/** One free UDP port. */
export function freeUdpPort(): number {
  return freeUdpRange(1).min;
}

/** One free TCP port. */
export function freeTcpPort(): number {
  const range = portsOf('tcp').take(1);
  if (range === null) throw new Error('no free TCP port');
  return range.min;
}
