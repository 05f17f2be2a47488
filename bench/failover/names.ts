/** Addresses, ports and names of the test network of `bench:failover`. */
export const virtualAddress = '10.9.0.100';
/** Beside it when the network is of both families. */
export const virtualAddress6 = 'fd09::100';
/** Phones, and Redis unless it is redundant. */
export const hubAddress = '10.9.0.1';
export const hubAddress6 = 'fd09::1';
/** Where the daemons look for a redundant Redis server. */
export const redisVirtualAddress = '10.9.0.50';
/** From node to node. */
export const heartDevice = 'heart0';
export const heartAddress = (number: number): string => `172.16.9.${number}`;
export const prefixLength = 24;
export const prefixLength6 = 64;
export const ngPort = 2223;
export const redisPort = 6379;
export const mediaPorts = { min: 20_000, max: 64_999 };
