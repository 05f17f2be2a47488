/** The listeners of NG beside UDP: TCP, Unix sockets, HTTP, HTTPS and WebSocket. */
import { lstatSync, readFileSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { ConfigError } from '../config/errors.js';
import type { ControlConfig, ListenAddress } from '../config/config.js';
import type { Endpoint } from '../media/call-state.js';
import type { NgEndpoint } from '../ng-protocol/endpoint.js';
import type { HttpServer, HttpTls } from './http/server.js';
import type { HttpService } from './http/service.js';

/** What the listeners need. */
export interface ControlListenerParts {
  readonly control: ControlConfig;
  readonly ng: NgEndpoint;
  readonly resolve: (address: ListenAddress, option: string) => Promise<readonly Endpoint[]>;
  readonly http: Omit<HttpService, 'ng' | 'allowed' | 'onNotice'>;
  readonly allowed: (address: string) => boolean;
  readonly onNotice: (message: string) => void;
}

/** Ends the listeners and their connections. */
export type CloseListeners = () => Promise<void>;

/**
 * Opens what the configuration asks for. Loads no code for what it does not.
 * @throws StreamBindError, HttpBindError, ConfigError: each names what cannot be had.
 */
export async function openControlListeners(parts: ControlListenerParts): Promise<CloseListeners> {
  const { control } = parts;
  const closing: CloseListeners[] = [];
  try {
    if (control.listenTcpNg.length + control.listenUnix.length > 0) {
      closing.push(await openStreams(parts));
    }
    if (control.listenHttp.length + control.listenHttps.length > 0) {
      closing.push(await openHttp(parts));
    }
  } catch (error) {
    for (const close of closing) await close();
    throw error;
  }
  return async () => {
    for (const close of closing) await close();
  };
}

async function openStreams(parts: ControlListenerParts): Promise<CloseListeners> {
  const { control, ng, resolve, allowed, onNotice } = parts;
  const { openStreamTransport } = await import('../ng-protocol/transports/stream.js');
  const addresses = await Promise.all(
    control.listenTcpNg.map((address) => resolve(address, 'listen-tcp-ng')),
  );
  for (const path of control.listenUnix) await removeStale(path);
  const transport = await openStreamTransport({
    listen: [...addresses.flat(), ...control.listenUnix.map((path) => ({ path }))],
    receive: (message, bare, source, reply) => {
      if (bare) ng.handleBody(message, source, reply);
      else ng.handleMessage(message, source, Infinity, reply);
    },
    allowed,
    onNotice,
  });
  return () => transport.close();
}

/** A socket that a killed process has left is in the way of the next; a living one's is not touched. */
async function removeStale(path: string): Promise<void> {
  try {
    if (!lstatSync(path).isSocket()) return;
  } catch {
    return;
  }
  const answered = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
  if (!answered) unlinkSync(path);
}

async function openHttp(parts: ControlListenerParts): Promise<CloseListeners> {
  const { control, ng, resolve, allowed, onNotice, http } = parts;
  const { HttpServer } = await import('./http/server.js');
  const server = new HttpServer({ ...http, ng, allowed, onNotice });
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
