/** TC and XDP programs, over the addon `rtprelay-kernel` and libbpf. */
import type { Endpoint } from '../media/call-state.js';
import { loadNative, NativeRelayError } from '../native/addon.js';
import type { KernelMode, VlanDevice } from './devices.js';
import type { Flow } from './flows.js';
import { KernelForwardError, type FlowFigures, type KernelForwarder } from './forwarder.js';

/** Numbers of one flow, as in native/kernel_api/kernel_addon.cc. */
const figuresPerFlow = 8;

interface AddonForwarder {
  open(pinDirectory: string, objectPath: string, mode: string, maxFlows: number): string | null;
  notes(): readonly string[];
  adopted(): boolean;
  replaces(): boolean;
  attach(device: string): string | null;
  detach(device: string): string | null;
  setVlans(vlans: readonly VlanDevice[]): string | null;
  routesChanged(): void;
  devices(): readonly string[];
  setFlows(flows: readonly Flow[]): string | null;
  removeFlows(locals: readonly Endpoint[], figures: Float64Array): string | null;
  read(locals: readonly Endpoint[], figures: Float64Array): void;
  flows(): readonly Flow[];
  totals(): Readonly<Record<string, number>>;
  close(): void;
  remove(): string | null;
}

interface Addon {
  readonly KernelForwarder: new () => AddonForwarder;
}

export type BpfMode = Exclude<KernelMode, 'nft'>;

export interface BpfForwarderOptions {
  /** A directory in a mounted BPF file system; one for each instance on the machine. */
  readonly pinDirectory: string;
  readonly objectPath: string;
  readonly mode: BpfMode;
  readonly maxFlows: number;
}

function figuresAt(numbers: Float64Array, index: number): FlowFigures {
  const at = (position: number): number => numbers[index * figuresPerFlow + position] ?? 0;
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

function loadAddon(): Addon {
  try {
    return loadNative('rtprelay-kernel') as Addon;
  } catch (cause) {
    if (cause instanceof NativeRelayError && cause.code === 'addon-not-built') {
      throw new KernelForwardError('built without libbpf: install libbpf-dev, run npm run build', {
        cause,
      });
    }
    throw new KernelForwardError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

export class BpfForwarder implements KernelForwarder {
  readonly #native: AddonForwarder;
  readonly mode: KernelMode;
  readonly abilities = { payloadTypes: true, rtcp: true };
  readonly adopted: boolean;
  readonly replaces: boolean;
  readonly notes: readonly string[];

  /** @throws KernelForwardError */
  constructor(options: BpfForwarderOptions) {
    const { KernelForwarder: Native } = loadAddon();
    this.#native = new Native();
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

  remove(locals: readonly Endpoint[]): readonly FlowFigures[] {
    if (locals.length === 0) return [];
    const numbers = new Float64Array(locals.length * figuresPerFlow);
    this.#native.removeFlows(locals, numbers);
    return locals.map((_, index) => figuresAt(numbers, index));
  }

  read(locals: readonly Endpoint[]): readonly FlowFigures[] {
    if (locals.length === 0) return [];
    const numbers = new Float64Array(locals.length * figuresPerFlow);
    this.#native.read(locals, numbers);
    return locals.map((_, index) => figuresAt(numbers, index));
  }

  flows(): readonly Flow[] {
    return this.#native.flows();
  }

  totals(): Readonly<Record<string, number>> {
    return this.#native.totals();
  }

  /** What cannot be forwarded goes up to userspace. */
  trouble(): string | null {
    return null;
  }

  close(): void {
    this.#native.close();
  }

  removeAll(): string | null {
    return this.#native.remove();
  }
}
