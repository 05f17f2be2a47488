/** What the relay and the machine do per second, for limits, metrics and the operator. */
import { loadavg } from 'node:os';
import type { KernelRelay } from '../kernel-forward/kernel-relay.js';
import type { InterfaceTable } from '../media/interfaces.js';
import type { PortPool } from '../media/port-pool.js';
import type { MediaRelay } from '../media/relay.js';
import type { Counters } from '../observe/counters.js';
import type { Gauges } from '../observe/statistics.js';
import type { CallTable } from './calls/call-table.js';
import type { LoadGuard } from './load-guard.js';
import { cpuTimes } from './machine.js';

export interface RateMeterOptions {
  readonly relay: MediaRelay;
  readonly kernelRelay: KernelRelay | null;
  readonly table: CallTable;
  readonly interfaces: InterfaceTable;
  readonly pool: PortPool;
  readonly load: LoadGuard;
  readonly nowMicros: () => number;
  readonly counters: Counters;
}

/** Thread: control. */
export class RateMeter {
  readonly #options: RateMeterOptions;
  #rates = { packets: 0, bytes: 0, errors: 0 };
  #totals = { packets: 0, bytes: 0, errors: 0 };
  #kernel = { packetRate: 0, byteRate: 0, packets: 0, bytes: 0 };
  #cpu = cpuTimes();

  constructor(options: RateMeterOptions) {
    this.#options = options;
  }

  /** To be called once a second. */
  measure(): void {
    const { relay, load, counters } = this.#options;
    counters.takeAddressCounters(relay.byAddress());
    const { packets, bytes, errors } = relay.totals();
    const before = this.#totals;
    this.#totals = { packets, bytes, errors };
    this.#rates = {
      packets: packets - before.packets,
      bytes: bytes - before.bytes,
      errors: errors - before.errors,
    };
    this.#measureKernel();
    load.measure({
      load: loadavg()[0] ?? 0,
      cpuPercent: this.#cpuPercent(),
      bandwidth: this.#rates.bytes,
    });
  }

  #measureKernel(): void {
    const now = this.#options.kernelRelay?.kernelTotals();
    if (now === undefined) return;
    const { packets, bytes } = this.#kernel;
    this.#kernel = { packetRate: now.packets - packets, byteRate: now.bytes - bytes, ...now };
  }

  #cpuPercent(): number {
    const before = this.#cpu;
    this.#cpu = cpuTimes();
    const elapsed = this.#cpu.total - before.total;
    return elapsed <= 0 ? 0 : (100 * (this.#cpu.busy - before.busy)) / elapsed;
  }

  /** See `ReadGauges`. */
  gauges(): Gauges {
    const { relay, kernelRelay, table, nowMicros, counters } = this.#options;
    counters.takeAddressCounters(relay.byAddress());
    const totals = relay.totals();
    const own = table.ownCount;
    return {
      nowMicros: nowMicros(),
      ownSessions: own,
      foreignSessions: table.calls.size - own,
      userspaceStreams: relay.activeStreams(),
      kernelStreams: kernelRelay?.streamCount() ?? 0,
      packetRate: this.#rates.packets,
      byteRate: this.#rates.bytes,
      errorRate: this.#rates.errors,
      relayedPackets: totals.packets,
      relayedBytes: totals.bytes,
      relayedErrors: totals.errors,
      kernel: { ...this.#kernel, ...kernelRelay?.kernelTotals() },
      interfaces: this.#interfaces(),
    };
  }

  #interfaces(): Gauges['interfaces'] {
    const { interfaces, pool } = this.#options;
    return interfaces.all.flatMap(({ name, addresses }) =>
      addresses.map(({ address }) => {
        const { min: portMin, max: portMax } = pool.rangeOf(address);
        return { ...{ name, address, portMin, portMax }, ...pool.usage(address) };
      }),
    );
  }
}
