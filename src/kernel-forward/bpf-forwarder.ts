/** TC and XDP programs, over libbpf. */
import type { Endpoint } from '../media/call-state.js';
import { newBpfForwarder, type NativeBpfForwarder } from '../native/bpf.js';
import type { KernelMode, VlanDevice } from './devices.js';
import type { Flow } from './flows.js';
import { KernelForwardError, type FlowCounters, type KernelForwarder } from './forwarder.js';

/** Numbers of one flow, as in native/kernel_api/kernel_addon.cc. */
const countersPerFlow = 8;

export type BpfMode = Exclude<KernelMode, 'nft'>;

export interface BpfForwarderOptions {
  /** A directory in a mounted BPF file system; one for each instance on the machine. */
  readonly pinDirectory: string;
  readonly objectPath: string;
  readonly mode: BpfMode;
  readonly maxFlows: number;
}

function countersAt(numbers: Float64Array, index: number): FlowCounters {
  const at = (position: number): number => numbers[index * countersPerFlow + position] ?? 0;
  return {
    packets: at(0),
    bytes: at(1),
    lastPacketMicros: at(2),
    ssrc: at(3) < 0 ? null : at(3),
    dropped: at(4),
    passedUp: at(5),
    lost: at(6),
    jitter: at(7),
  };
}

export class BpfForwarder implements KernelForwarder {
  readonly #native: NativeBpfForwarder<Flow, VlanDevice>;
  readonly mode: KernelMode;
  readonly abilities = { payloadTypes: true, rtcp: true };
  readonly adopted: boolean;
  readonly replaces: boolean;
  readonly notes: readonly string[];

  /** @throws KernelForwardError, NativeRelayError */
  constructor(options: BpfForwarderOptions) {
    this.#native = newBpfForwarder();
    const { pinDirectory, objectPath, mode, maxFlows } = options;
    const reason = this.#native.open(pinDirectory, objectPath, mode, maxFlows);
    if (reason !== null) throw new KernelForwardError(reason);
    this.mode = mode;
    this.adopted = this.#native.adopted();
    this.replaces = this.#native.replaces();
    this.notes = this.#native.notes();
  }

  get devices(): readonly string[] {
    return this.#native.devices();
  }

  attach(device: string): string | null {
    return this.#native.attach(device);
  }

  detach(device: string): string | null {
    return this.#native.detach(device);
  }

  setVlans(vlans: readonly VlanDevice[]): string | null {
    return this.#native.setVlans(vlans);
  }

  routesChanged(): void {
    this.#native.routesChanged();
  }

  set(flows: readonly Flow[]): string | null {
    return flows.length === 0 ? null : this.#native.setFlows(flows);
  }

  remove(locals: readonly Endpoint[]): readonly FlowCounters[] {
    if (locals.length === 0) return [];
    const numbers = new Float64Array(locals.length * countersPerFlow);
    this.#native.removeFlows(locals, numbers);
    return locals.map((_, index) => countersAt(numbers, index));
  }

  read(locals: readonly Endpoint[]): readonly FlowCounters[] {
    if (locals.length === 0) return [];
    const numbers = new Float64Array(locals.length * countersPerFlow);
    this.#native.read(locals, numbers);
    return locals.map((_, index) => countersAt(numbers, index));
  }

  get size(): number {
    return this.#native.size();
  }

  *flows(): Generator<Flow> {
    let from = 0;
    do {
      const { flows, next } = this.#native.flows(from);
      yield* flows;
      from = next;
    } while (from > 0);
  }

  totals(): Readonly<Record<string, number>> {
    return this.#native.totals();
  }

  /** What cannot be forwarded goes up to userspace. */
  supervise(): string | null {
    return null;
  }

  close(): void {
    this.#native.close();
  }

  removeAll(): string | null {
    return this.#native.remove();
  }
}
