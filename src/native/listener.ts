/** Where servers of the daemon listen. */
import type { ListenOptions } from 'node:net';
import type { Endpoint } from '../media/call-state.js';
import { nativeServiceManager } from './service-manager.js';

/**
 * What `Server.listen` is to be given for a numeric address. In a pair it is a socket of which the parent has a copy:
 * whoever connects while one process follows another waits in it.
 */
export function listenTarget({ address, port }: Endpoint): { readonly fd: number } | ListenOptions {
  const fd = nativeServiceManager().listen(address, port);
  // Where it cannot be opened the server meets the error itself, and says so.
  return fd >= 0 ? { fd } : { host: address, port, ipv6Only: address.includes(':') };
}

/** The same for a Unix socket. Outside of a pair the server opens it, and takes it away at its end. */
export function listenTargetAt(path: string): { readonly fd: number } | { readonly path: string } {
  const fd = nativeServiceManager().listenUnix(path);
  return fd > 0 ? { fd } : { path };
}
