/** Notifications of the service manager, and sockets that it keeps. */
import { loadRelayAddon } from './addon.js';

/** `native/api/service_manager.h` */
export interface NativeServiceManager {
  /** Takes over `count` descriptors from `first`; returns how many are bound UDP sockets. */
  inherit(first: number, count: number): number;
  /** The same of sockets that nobody has a copy of yet; returns how many of them are. */
  inheritEarly(first: number, count: number): number;
  /** Notes the ports that are open from now on in this file; false: it cannot be. */
  recordPorts(path: string): boolean;
  /** false: the socket cannot be used. */
  open(path: string, keepNew: boolean): boolean;
  /** false: the service manager is busy; try again. */
  notify(text: string): boolean;
  /** Opens sockets that will be wanted soon. */
  openEarly(hosts: readonly string[], ports: readonly number[], freeBind: boolean): void;
  /**
   * A TCP socket that listens at a numeric address: of an earlier process of a pair, or a new one. Its descriptor,
   * the caller's to close; a negative errno.
   */
  listen(host: string, port: number): number;
  /** The same at a path; 0 outside of a pair: nothing is kept there. */
  listenUnix(path: string): number;
  /** Closes inherited and early sockets that nobody asked for; returns how many. */
  releaseRest(): number;
}

/** The process' side of the service manager; one for the whole process. */
export function nativeServiceManager(): NativeServiceManager {
  return (loadRelayAddon() as { readonly serviceManager: NativeServiceManager }).serviceManager;
}
