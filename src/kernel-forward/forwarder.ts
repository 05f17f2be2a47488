/** The kernel's side: flows in, figures out. Over the addon `rtprelay-kernel` and libbpf. */
import type { Endpoint } from '../media/call-state.js';
import { loadNative } from '../media/native-relay.js';
import type { Flow } from './flows.js';

export type KernelMode = 'tc' | 'xdp' | 'xdp-generic';

/** What a flow has forwarded since it was made, by whichever process. */
export interface FlowFigures {
  readonly packets: number;
  /** UDP payload. */
  readonly bytes: number;
  /** CLOCK_MONOTONIC, µs; 0 none. */
  readonly lastPacketMicros: number;
  readonly ssrc: number | null;
  readonly dropped: number;
  /** Left to userspace. */
  readonly passedUp: number;
  /** RFC 3550 §A.3 and §A.8 (RTP time units). */
  readonly lost: number;
  readonly jitter: number;
}

export const noFigures: FlowFigures = {
  packets: 0,
  bytes: 0,
  lastPacketMicros: 0,
  ssrc: null,
  dropped: 0,
  passedUp: 0,
  lost: 0,
  jitter: 0,
};

/** Numbers of one flow, as in native/kernel_api/kernel_addon.cc. */
const figuresPerFlow = 8;

interface AddonForwarder {
  open(pinDirectory: string, objectPath: string, mode: string, maxFlows: number): string | null;
  notes(): readonly string[];
  adopted(): boolean;
  attach(device: string): string | null;
  detach(device: string): string | null;
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

export interface ForwarderOptions {
  /** A directory in a mounted BPF file system; one for each instance on the machine. */
  readonly pinDirectory: string;
  readonly objectPath: string;
  readonly mode: KernelMode;
  readonly maxFlows: number;
}

/** Kernel forwarding is not to be had; the message says why. */
export class KernelForwardError extends Error {
  override readonly name = 'KernelForwardError';
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

export class KernelForwarder {
  readonly #native: AddonForwarder;
  readonly mode: KernelMode;
  /** Flows of an earlier process are still there. */
  readonly adopted: boolean;
  /** For the log. */
  readonly notes: readonly string[];

  /** @throws KernelForwardError */
  constructor(options: ForwarderOptions) {
    let addon: Addon;
    try {
      addon = loadNative('rtprelay-kernel') as Addon;
    } catch (error) {
      throw new KernelForwardError(error instanceof Error ? error.message : String(error), {
        cause: error,
      });
    }
    this.#native = new addon.KernelForwarder();
    const { pinDirectory, objectPath, mode, maxFlows } = options;
    const reason = this.#native.open(pinDirectory, objectPath, mode, maxFlows);
    if (reason !== null) throw new KernelForwardError(reason);
    this.mode = mode;
    this.adopted = this.#native.adopted();
    this.notes = this.#native.notes();
  }

  get devices(): readonly string[] {
    return this.#native.devices();
  }

  /** Why not, or null. */
  attach(device: string): string | null {
    return this.#native.attach(device);
  }

  detach(device: string): string | null {
    return this.#native.detach(device);
  }

  /** Adds and replaces; a replaced flow keeps its figures. Why not all of them are there, or null. */
  set(flows: readonly Flow[]): string | null {
    return flows.length === 0 ? null : this.#native.setFlows(flows);
  }

  /** Removes flows; their last figures, in the same order. */
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

  /** Packets by what became of them, those of no flow too. */
  totals(): Readonly<Record<string, number>> {
    return this.#native.totals();
  }

  /** Leaves everything in the kernel going. */
  close(): void {
    this.#native.close();
  }

  /** Nothing is left in the kernel. Why not, or null. */
  removeAll(): string | null {
    return this.#native.remove();
  }
}
