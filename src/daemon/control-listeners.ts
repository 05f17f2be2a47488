/** The listeners of NG beside UDP: TCP, Unix sockets, HTTP, HTTPS and WebSocket. */
import { lstatSync, readFileSync, rmSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { ConfigError } from '../config/errors.js';
import type { ControlConfig, ListenAddress } from '../config/config.js';
import type { Endpoint } from '../media/call-state.js';
import { listenTarget, listenTargetAt } from '../native/listener.js';
import type { NgEndpoint } from '../ng-protocol/endpoint.js';
import { HeldBytes } from '../ng-protocol/transports/held-bytes.js';
import type { StreamListenAddress } from '../ng-protocol/transports/stream.js';
import type { HttpServer, HttpTls } from './http/server.js';
import type { HttpService } from './http/service.js';

/** What the listeners need. */
export interface ControlListenerParts {
  readonly control: ControlConfig;
  readonly ng: NgEndpoint;
  readonly resolve: (address: ListenAddress, option: string) => Promise<readonly Endpoint[]>;
  readonly http: Omit<HttpService, 'ng' | 'allowed' | 'onNotice' | 'held'>;
  readonly allowed: (address: string) => boolean;
  readonly onNotice: (message: string) => void;
  /** Told how NG clients of TCP are sent what they have not asked for. */
  readonly onTcp: (tell: (message: Buffer) => void) => void;
}

/** Ends the listeners and their connections. `leaves`: another process goes on with them. */
export type CloseListeners = (leaves: boolean) => Promise<void>;

/**
 * Opens what the configuration asks for. Loads no code for what it does not.
 * @throws StreamBindError, HttpBindError, ConfigError: each names what cannot be had.
 */
export async function openControlListeners(parts: ControlListenerParts): Promise<CloseListeners> {
  const { control } = parts;
  const held = new HeldBytes();
  const closing: CloseListeners[] = [];
  try {
    if (control.listenTcpNg.length + control.listenUnix.length > 0) {
      closing.push(await openStreams(parts, held));
    }
    if (control.listenHttp.length + control.listenHttps.length > 0) {
      closing.push(await openHttp(parts, held));
    }
  } catch (error) {
    for (const close of closing) await close(false);
    throw error;
  }
  return async (leaves) => {
    for (const close of closing) await close(leaves);
  };
}

async function openStreams(parts: ControlListenerParts, held: HeldBytes): Promise<CloseListeners> {
  const { control, ng, resolve, allowed, onNotice } = parts;
  const { openStreamTransport } = await import('../ng-protocol/transports/stream.js');
  const addresses = await Promise.all(
    control.listenTcpNg.map((address) => resolve(address, 'listen-tcp-ng')),
  );
  for (const path of control.listenUnix) await removeStale(path);
  const kept: string[] = [];
  const target = (where: StreamListenAddress): ReturnType<typeof listenTarget> => {
    if (!('path' in where)) return listenTarget(where);
    const found = listenTargetAt(where.path);
    if ('fd' in found) kept.push(where.path);
    return found;
  };
  const transport = await openStreamTransport({
    target,
    listen: [...addresses.flat(), ...control.listenUnix.map((path) => ({ path }))],
    receive: (message, bare, source, reply) => {
      if (bare) ng.handleBody(message, source, reply);
      else ng.handleMessage(message, source, Infinity, reply);
    },
    allowed,
    onNotice,
    held,
  });
  parts.onTcp((message) => transport.tell(message));
  return async (leaves) => {
    await transport.close();
    // A server takes away what it has opened by itself.
    if (!leaves) for (const path of kept) rmSync(path, { force: true });
  };
}

/** A socket that a killed process has left is in the way of the next; a living one's is not touched. */
async function removeStale(path: string): Promise<void> {
  try {
    if (!lstatSync(path).isSocket()) return;
  } catch {
    return;
  }
  const isStale = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve(false);
    });
    // A living one with too many who wait for it refuses in another way.
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
  if (isStale) unlinkSync(path);
}

async function openHttp(parts: ControlListenerParts, held: HeldBytes): Promise<CloseListeners> {
  const { control, ng, resolve, allowed, onNotice, http } = parts;
  const { HttpServer } = await import('./http/server.js');
  const server = new HttpServer({ ...http, ng, allowed, onNotice, held });
  const tls = tlsOf(control);
  const idleMs = control.httpIdleTimeoutSeconds * 1000;
  const open = async (
    addresses: readonly ListenAddress[],
    option: string,
    secure: HttpTls | null,
  ): Promise<void> => {
    for (const address of addresses) {
      for (const endpoint of await resolve(address, option)) {
        await server.listen(endpoint, secure, idleMs);
      }
    }
  };
  return closeOnFailure(server, async () => {
    await open(control.listenHttp, 'listen-http', null);
    await open(control.listenHttps, 'listen-https', tls);
  });
}

async function closeOnFailure(
  server: HttpServer,
  open: () => Promise<void>,
): Promise<CloseListeners> {
  try {
    await open();
  } catch (error) {
    await server.close();
    throw error;
  }
  return () => server.close();
}

/** @throws ConfigError naming the file that cannot be read. */
function tlsOf({ https }: ControlConfig): HttpTls | null {
  if (https === null) return null;
  const read = (option: string, file: string): Buffer => {
    try {
      return readFileSync(file);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new ConfigError('bad-value', option, `Cannot read --${option}: ${why}`, { cause });
    }
  };
  return { cert: read('https-cert', https.cert), key: read('https-key', https.key) };
}
