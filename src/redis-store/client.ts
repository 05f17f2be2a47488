/** The Redis client, loaded only by a daemon that has a database. */
import type { Redis } from 'ioredis';

/** The class `Redis` of ioredis. */
export async function loadRedisClient(): Promise<typeof Redis> {
  // By the default export: a bundle of the CommonJS package has no other.
  const { default: client } = await import('ioredis');
  return client.Redis;
}
