/** Where a Redis database is: types, their names in log lines, and the addresses to connect to. */

/** A TCP address or host name (IPv6 without brackets), or the path of a Unix socket. */
export type ServerLocation =
  { readonly host: string; readonly port: number } | { readonly path: string };

/** PEM files of TLS connections; they are read anew for each connection. null: none. */
export interface TlsFiles {
  /** Certificate authorities that are trusted; null: those that Node brings. */
  readonly ca: string | null;
  /** Certificate and key that the server asks for. */
  readonly cert: string | null;
  readonly key: string | null;
  /** Refuse a server whose certificate cannot be verified. */
  readonly verify: boolean;
}

/** A Redis database. */
export interface RedisServer {
  /** At least one. Of several, the one that is master is used. With `sentinel`: the sentinels. */
  readonly locations: readonly ServerLocation[];
  readonly database: number;
  /** null: the server wants none. */
  readonly password: string | null;
  /** ACL user; the server's default user if absent. */
  readonly username?: string;
  /** Absent: no TLS. */
  readonly tls?: TlsFiles;
  /** The sentinels are asked where the master of that name is. */
  readonly sentinel?: {
    readonly masterName: string;
    readonly username: string | null;
    readonly password: string | null;
  };
}

/** Places to try for a connection, in order. */
export interface Locator {
  /**
   * Each place at most once. @throws Error when there is none to be found out (at the end, after
   * those that were).
   */
  candidates(): AsyncIterable<ServerLocation>;
  /** The place that was yielded last is in use from now on. */
  used(location: ServerLocation): void;
  /** The place in use is not to be tried first again. */
  avoid(): void;
  /** Whether it is known that the master is not at `location` any more. Never rejects. */
  moved(location: ServerLocation): Promise<boolean>;
  close(): void;
}

/** `A:P` as rtpengine's log lines name a server. */
export function locationName(location: ServerLocation): string {
  if ('path' in location) return `unix:${location.path}`;
  const { host, port } = location;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A server in log lines: never with user or password. */
export function serverName(server: RedisServer): string {
  const names = server.locations.map(locationName).join(',');
  return server.sentinel === undefined ? names : `${server.sentinel.masterName} at ${names}`;
}

/** Whether only one server can be meant, whatever its role. */
export function isSingle(server: RedisServer): boolean {
  return server.locations.length === 1 && server.sentinel === undefined;
}

export function sameLocation(a: ServerLocation, b: ServerLocation): boolean {
  return locationName(a) === locationName(b);
}

/** Whether both mean the same database of the same server (or set of servers). */
export function sameDatabase(a: RedisServer, b: RedisServer): boolean {
  const identity = ({ locations, database, sentinel }: RedisServer): string =>
    JSON.stringify([locations.map(locationName).sort(), database, sentinel?.masterName ?? null]);
  return identity(a) === identity(b);
}

/** What one TCP or Unix connection is made to. */
export type DialAddress =
  | { readonly host: string; readonly port: number; readonly serverName: string | null }
  | { readonly path: string };

/** All addresses of a location; a host name is looked up anew. @throws Error of the look-up. */
export async function addressesOf(location: ServerLocation): Promise<readonly DialAddress[]> {
  if ('path' in location) return [location];
  const { host, port } = location;
  // Digits and dots or a colon: no name.
  if (host.includes(':') || /^[0-9.]+$/.test(host)) return [{ host, port, serverName: null }];
  const { lookup } = await import('node:dns/promises');
  const found = await lookup(host, { all: true });
  return found.map(({ address }) => ({ host: address, port, serverName: host }));
}

/** Places that are listed in the configuration. Begins with the one that was used last. */
export class ListedLocations implements Locator {
  readonly #locations: readonly ServerLocation[];
  #first = 0;

  constructor(locations: readonly ServerLocation[]) {
    this.#locations = locations;
  }

  async *candidates(): AsyncGenerator<ServerLocation> {
    const first = this.#first;
    yield* this.#locations.slice(first);
    yield* this.#locations.slice(0, first);
  }

  used(location: ServerLocation): void {
    this.#first = Math.max(0, this.#locations.indexOf(location));
  }

  avoid(): void {
    this.#first = (this.#first + 1) % this.#locations.length;
  }

  moved(): Promise<boolean> {
    return Promise.resolve(false);
  }

  close(): void {
    // Nothing is open.
  }
}
