/** TCP keepalives of the connections to Redis. */
import type { RedisConfig } from '../config/config.js';
import { nativeProcess } from '../native/process.js';

/** undefined: there are to be none. */
export function keepAliveOf({
  keepAlive,
}: Pick<RedisConfig, 'keepAlive'>): ((fd: number) => void) | undefined {
  if (keepAlive === null) return undefined;
  const { idleSeconds, intervalSeconds, probes } = keepAlive;
  // A Unix socket has none.
  return (fd) => void nativeProcess().keepAlive(fd, idleSeconds, intervalSeconds, probes);
}
