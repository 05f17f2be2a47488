/** What Node lacks of the process itself: signals, limits, output that never waits. */
import { loadRelayAddon } from './addon.js';

/** What the log asks the system for; `errno` numbers are negative. */
export interface OutputFunctions {
  /** A descriptor of the same file for `writeOutput`; may be `fd` itself. */
  openOutput(fd: number): number;
  /** A Unix socket: its descriptor and whether it is a stream; a number: errno. */
  connectOutput(path: string): readonly [fd: number, stream: boolean] | number;
  /** Never waits: bytes taken, 0 when it would have to wait, -errno. */
  writeOutput(fd: number, bytes: Buffer): number;
}

/** What Node lacks of the process itself; native/api/process.cc. */
export interface AddonProcess extends OutputFunctions {
  /** Signals that mean nothing to the daemon no longer end or stop it. */
  ignoreSignals(): void;
  /** Limits of open files; Infinity: none. */
  openFiles(): readonly [soft: number, hard: number];
  /** Sets both; 0, or errno. */
  setOpenFiles(count: number): number;
  /** TCP keepalives after so many seconds of silence and then at this interval; 0, or errno. */
  keepAlive(fd: number, idleSeconds: number, intervalSeconds: number, probes: number): number;
  /** Pages of the C library's heap that nothing lies on go back to the system. */
  releaseMemory(): void;
  /** From now on less that is free stays in the C library's heap. */
  boundFreeMemory(): void;
  /** V8 begins to collect its whole heap, in steps, with a pause of some milliseconds in the end; false: it cannot. */
  beginCollection(): boolean;
  /**
   * Pages of Node's file and of its libraries' that the process has looked at are no longer counted as its own; each comes back from the
   * kernel's cache when it is next used. Bytes of addresses; 0: that is not permitted.
   */
  releaseProgram(): number;
}

/** What Node lacks of the process itself. */
export function nativeProcess(): AddonProcess {
  return (loadRelayAddon() as { readonly process: AddonProcess }).process;
}
