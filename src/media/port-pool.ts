/** Which local ports are taken. Numbers only: sockets are opened by the relay. */
import { PortAllocationError } from './errors.js';
import type { AddressPortLimits } from './interfaces.js';

export interface PortRange {
  readonly min: number;
  readonly max: number;
}

export interface PortUsage {
  readonly used: number;
  readonly free: number;
  readonly total: number;
  /** Port handed out last, 0 before the first. */
  readonly last: number;
}

/** What the offer/answer model needs of the pool. */
export interface PortAllocator {
  /**
   * Reserves consecutive ports on a local address: 1 is any port, an even number begins with an even
   * one: RTP and the RTCP port above it (RFC 3550 §11), several such pairs in a row (RFC 8866 §5.14).
   * @throws PortAllocationError when the range holds none.
   */
  allocate(localAddress: string, count: number): number;
  /** Whether a call has this port. */
  isUsed(localAddress: string, port: number): boolean;
}

interface AddressPorts {
  readonly range: PortRange;
  /** One byte a port: 0 free, 1 used, 2 never handed out. */
  readonly used: Uint8Array;
  /** Number of ports that are never handed out. */
  readonly excluded: number;
  /** Until when a port that another program holds is left alone, ms on the injected clock. */
  readonly busyUntil: Map<number, number>;
  /** Until when a port that a call has had comes after all others, ms on the injected clock. */
  readonly restUntil: Float64Array;
  count: number;
  last: number;
}

/** How long a port that turned out to be in use elsewhere is not tried again. */
const busyRetryMs = 5_000;
/** Packets of the ended call still come, and a process that stands by may not have closed its copy of the socket. */
const restMs = 1_000;

/** Port numbers of every local address, allocated from random places of its range. */
export class PortPool implements PortAllocator {
  readonly #addresses = new Map<string, AddressPorts>();

  /**
   * @param random gives a number in [0, 1).
   * @param nowMs monotonic clock in ms.
   * @param limitsOf what holds for an address alone; asked once, when its first port is wanted.
   */
  constructor(
    private readonly range: PortRange,
    private readonly random: () => number,
    private readonly nowMs: () => number,
    private readonly limitsOf: (localAddress: string) => AddressPortLimits | null = () => null,
  ) {}

  /** The ports that are handed out on an address, those that are excluded among them. */
  rangeOf(localAddress: string): PortRange {
    return this.#addresses.get(localAddress)?.range ?? this.#rangeOf(this.limitsOf(localAddress));
  }

  #rangeOf(limits: AddressPortLimits | null): PortRange {
    return { min: limits?.min ?? this.range.min, max: limits?.max ?? this.range.max };
  }

  #of(localAddress: string): AddressPorts {
    let ports = this.#addresses.get(localAddress);
    if (ports === undefined) {
      const limits = this.limitsOf(localAddress);
      const range = this.#rangeOf(limits);
      const used = new Uint8Array(range.max - range.min + 1);
      for (const port of limits?.excluded ?? []) {
        if (port >= range.min && port <= range.max) used[port - range.min] = 2;
      }
      const excluded = used.reduce((sum, mark) => (mark === 2 ? sum + 1 : sum), 0);
      ports = {
        range,
        used,
        excluded,
        busyUntil: new Map(),
        restUntil: new Float64Array(used.length),
        count: 0,
        last: 0,
      };
      this.#addresses.set(localAddress, ports);
    }
    return ports;
  }

  allocate(localAddress: string, count: number): number {
    const ports = this.#of(localAddress);
    const nowMs = this.nowMs();
    const place = this.random();
    let index = this.#findRun(ports, count, place, nowMs, nowMs);
    // Those that rest as well.
    if (index < 0) index = this.#findRun(ports, count, place, nowMs, Infinity);
    if (index < 0) throw new PortAllocationError('range-exhausted', localAddress, count);
    for (let i = 0; i < count; i++) ports.used[index + i] = 1;
    ports.count += count;
    const { min } = ports.range;
    ports.last = min + index + count - 1;
    return min + index;
  }

  /**
   * Index of so many free ports in a row that rest until `restedMs` at most; -1: there are none.
   * @param place where to begin, of 1.
   */
  #findRun(
    ports: AddressPorts,
    count: number,
    place: number,
    nowMs: number,
    restedMs: number,
  ): number {
    const { used, restUntil, range } = ports;
    const [first, stride] = count === 1 ? [0, 1] : [range.min % 2, 2];
    const slots = Math.floor((used.length - first - count) / stride) + 1;
    const start = Math.floor(place * slots);
    for (let step = 0; step < slots; step++) {
      const index = first + ((start + step) % slots) * stride;
      let i = 0;
      while (
        i < count &&
        used[index + i] === 0 &&
        (restUntil[index + i] ?? 0) <= restedMs &&
        (ports.busyUntil.size === 0 || !this.#isBusy(ports, index + i, nowMs))
      )
        i += 1;
      if (i === count) return index;
    }
    return -1;
  }

  #isBusy({ busyUntil }: AddressPorts, index: number, nowMs: number): boolean {
    const until = busyUntil.get(index);
    if (until === undefined) return false;
    if (until > nowMs) return true;
    busyUntil.delete(index);
    return false;
  }

  /** Marks a given port as used (restore); one outside the range is nobody's and stays so. false: it is taken. */
  reserve(localAddress: string, port: number): boolean {
    const ports = this.#of(localAddress);
    const index = port - ports.range.min;
    if (index < 0 || index >= ports.used.length || ports.used[index] === 2) return true;
    if (ports.used[index] !== 0) return false;
    ports.used[index] = 1;
    ports.count++;
    return true;
  }

  isUsed(localAddress: string, port: number): boolean {
    const ports = this.#addresses.get(localAddress);
    return ports !== undefined && ports.used[port - ports.range.min] === 1;
  }

  /** Of a call that has had it. */
  release(localAddress: string, port: number): void {
    if (!this.giveBack(localAddress, port)) return;
    const { restUntil, range } = this.#of(localAddress);
    restUntil[port - range.min] = this.nowMs() + restMs;
  }

  /** As if nobody had had it. false: nobody has. */
  giveBack(localAddress: string, port: number): boolean {
    const ports = this.#of(localAddress);
    const index = port - ports.range.min;
    if (ports.used[index] !== 1) return false;
    ports.used[index] = 0;
    ports.count--;
    return true;
  }

  /** Another program holds this port: it is not handed out for a while. */
  markBusy(localAddress: string, port: number): void {
    const ports = this.#of(localAddress);
    ports.busyUntil.set(port - ports.range.min, this.nowMs() + busyRetryMs);
  }

  usage(localAddress: string): PortUsage {
    const ports = this.#of(localAddress);
    const total = ports.used.length - ports.excluded;
    return { used: ports.count, free: total - ports.count, total, last: ports.last };
  }
}

/** Notes what one command reserved, so that a failed command gives everything back. */
export class PortReservation implements PortAllocator {
  readonly #taken: { readonly localAddress: string; readonly port: number }[] = [];

  constructor(private readonly pool: PortPool) {}

  allocate(localAddress: string, count: number): number {
    const port = this.pool.allocate(localAddress, count);
    for (let i = 0; i < count; i++) this.#taken.push({ localAddress, port: port + i });
    return port;
  }

  isUsed(localAddress: string, port: number): boolean {
    return this.pool.isUsed(localAddress, port);
  }

  rollback(): void {
    for (const { localAddress, port } of this.#taken) this.pool.giveBack(localAddress, port);
    this.#taken.length = 0;
  }
}
