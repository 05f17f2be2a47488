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
  size(): number;
  /** Some of them, from `from` on (0: the first); `next` is 0 after the last ones. */
  flows(from: number): { readonly flows: readonly Flow[]; readonly next: number };
  totals(): Readonly<Record<string, number>>;
  close(): void;
  remove(): string | null;
}

/** native/kernel_api/steering_object.cc */
export interface NativeSteering {
  /**
   * null, or why not. `onlyAdopt`: what is pinned is in use here already (`look`), and left as it is where it cannot
   * be adopted.
   */
  open(
    pinDirectory: string,
    objectPath: string,
    maxPorts: number,
    onlyAdopt: boolean,
  ): string | null;
  /** Opens the maps that another process has pinned, and changes nothing. null, or why not. */
  look(pinDirectory: string): string | null;
  state(): {
    /** Ports of an earlier process were found. */
    readonly adopted: boolean;
    /** Why something was made anew, or empty. */
    readonly note: string;
    /** Descriptors of the maps. */
    readonly ports: number;
    readonly sockets: number;
    readonly blocks: number;
  };
  /** true: the program is where it was. false: it was detached, and is there again. A string: it is not. */
  check(): boolean | string;
  /** The kernel goes on. */
  close(): void;
  /** Nothing is left in the kernel. null, or why that is not so. */
  remove(): string | null;
}

interface KernelAddon {
  readonly KernelForwarder: new () => unknown;
  readonly Steering: new () => NativeSteering;
  readonly removeLeftSteering: (pinDirectory: string) => string | null;
  readonly removeAbandonedSteering: (pinDirectory: string) => boolean;
}

/** @throws NativeRelayError */
function kernelAddon(): KernelAddon {
  try {
    return loadNative('rtprelay-kernel') as KernelAddon;
  } catch (cause) {
    if (!(cause instanceof NativeRelayError) || cause.code !== 'addon-not-built') throw cause;
    const help = 'built without libbpf: install libbpf-dev, run npm run build';
    throw new NativeRelayError('addon-not-built', help, { cause });
  }
}

/** Nothing is open yet. @throws NativeRelayError */
export function newBpfForwarder<Flow, Vlan>(): NativeBpfForwarder<Flow, Vlan> {
  const { KernelForwarder } = kernelAddon();
  return new KernelForwarder() as NativeBpfForwarder<Flow, Vlan>;
}

/** Nothing is open yet. @throws NativeRelayError */
export function newSteering(): NativeSteering {
  const { Steering } = kernelAddon();
  return new Steering();
}

/** What a process with steered ports has left. null, or why it may go on. @throws NativeRelayError */
export const removeLeftSteering = (pinDirectory: string): string | null =>
  kernelAddon().removeLeftSteering(pinDirectory);

/**
 * What another instance has left: nobody locks it, and every socket that it steers to is closed. true: there was something.
 * @throws NativeRelayError
 */
export const removeAbandonedSteering = (pinDirectory: string): boolean =>
  kernelAddon().removeAbandonedSteering(pinDirectory);
