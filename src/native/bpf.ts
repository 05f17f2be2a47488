/** The addon `rtprelay-kernel`: BPF programs and their maps, over libbpf. */
import type { Endpoint } from '../media/call-state.js';
import { loadNative, NativeRelayError } from './addon.js';

/** native/kernel_api/kernel_addon.cc; `Flow` is what the caller calls a flow. */
export interface NativeBpfForwarder<Flow, Vlan> {
  open(pinDirectory: string, objectPath: string, mode: string, maxFlows: number): string | null;
  notes(): readonly string[];
  adopted(): boolean;
  replaces(): boolean;
  attach(device: string): string | null;
  detach(device: string): string | null;
  setVlans(vlans: readonly Vlan[]): string | null;
  routesChanged(): void;
  devices(): readonly string[];
  setFlows(flows: readonly Flow[]): string | null;
  removeFlows(locals: readonly Endpoint[], counters: Float64Array): string | null;
  read(locals: readonly Endpoint[], counters: Float64Array): void;
  flows(): readonly Flow[];
  totals(): Readonly<Record<string, number>>;
  close(): void;
  remove(): string | null;
}

/** Nothing is open yet. @throws NativeRelayError */
export function newBpfForwarder<Flow, Vlan>(): NativeBpfForwarder<Flow, Vlan> {
  try {
    const { KernelForwarder } = loadNative('rtprelay-kernel') as {
      readonly KernelForwarder: new () => NativeBpfForwarder<Flow, Vlan>;
    };
    return new KernelForwarder();
  } catch (cause) {
    if (!(cause instanceof NativeRelayError) || cause.code !== 'addon-not-built') throw cause;
    const help = 'built without libbpf: install libbpf-dev, run npm run build';
    throw new NativeRelayError('addon-not-built', help, { cause });
  }
}
