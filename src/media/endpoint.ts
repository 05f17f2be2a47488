/** Transport addresses. */
export type AddressFamily = 'IP4' | 'IP6';

/**
 * A transport address. IPv6 addresses are written without brackets, every address in its one spelling
 * (`canonicalAddress`), whether it was signalled, learned or stored: so they compare as strings.
 */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export function familyOf(address: string): AddressFamily {
  return address.includes(':') ? 'IP6' : 'IP4';
}

export function sameEndpoint(a: Endpoint | null, b: Endpoint | null): boolean {
  return a === b || (a !== null && b !== null && a.address === b.address && a.port === b.port);
}

/** `ip:port`, `[v6]:port`. */
export function formatEndpoint(endpoint: Endpoint): string {
  return endpoint.address.includes(':')
    ? `[${endpoint.address}]:${endpoint.port}`
    : `${endpoint.address}:${endpoint.port}`;
}
