/** The Redis client, loaded only by a daemon that has a database. */
import type { Command, Redis } from 'ioredis';

/** Reads of a property until V8 remembers at the place of the read what it has found: a tenth of that is enough. */
const reads = 10_000;

/**
 * Makes the methods of strings as fast as they were. ioredis has a class that extends `String`. With that V8 takes
 * `String.prototype` for an object that is being set up, keeps it as a hash table, and looks every method of every string
 * up in it: ten times the time for each `charCodeAt` in all of the process. A read of a property of the object itself,
 * repeated until it is remembered, has V8 make it fast again; it stays so. Returns how many reads found it.
 */
function restoreStringMethods(): number {
  let found = 0;
  for (let read = 0; read < reads; read += 1)
    if (typeof String.prototype.charCodeAt === 'function') found += 1;
  return found;
}

let loadedCommand: typeof Command | null = null;

/** A command whose reply comes as bytes. @throws Error before the client is loaded. */
export function commandOf(name: string, args: readonly (string | Buffer | number)[]): Command {
  if (loadedCommand === null) throw new Error('the Redis client is not loaded');
  return new loadedCommand(name, [...args], { replyEncoding: null });
}

/** The class `Redis` of ioredis. */
export async function loadRedisClient(): Promise<typeof Redis> {
  // By the default export: a bundle of the CommonJS package has no other.
  const { default: client } = await import('ioredis');
  restoreStringMethods();
  loadedCommand = client.Command;
  return client.Redis;
}
