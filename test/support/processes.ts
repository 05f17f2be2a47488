/** Short forms for tests that need one rtprelayd or one Redis server on the loopback. */
import { MediaDaemon } from './daemons.js';
import { freeUdpPort as unusedUdpPort, freeUdpRange } from './free-ports.js';
import { RedisProcess } from './redis-server.js';
import type { TestProcess } from './child-process.js';

export { TestProcess } from './child-process.js';

/** A UDP port that is free now. */
export async function freeUdpPort(): Promise<number> {
  return Promise.resolve(unusedUdpPort());
}

/**
 * Starts rtprelayd with its NG socket on `port` and waits for its pong. Options given in `extra`
 * (`--name=value`) win over the defaults.
 */
export async function startDaemon(
  port: number,
  extra: readonly string[] = [],
): Promise<TestProcess> {
  const given = (name: string): number => {
    const option = extra.find((each) => each.startsWith(`--${name}=`));
    return option === undefined ? Number.NaN : Number(option.split('=')[1]);
  };
  const [min, max] = [given('port-min'), given('port-max')];
  const portRange = Number.isNaN(min) || Number.isNaN(max) ? freeUdpRange(400) : { min, max };
  const others = extra.filter((each) => !/^--port-(min|max)=/.test(each));
  const options = { controlPort: port, portRange, extra: others };
  return (await MediaDaemon.start('rtprelayd', options)).process;
}

/** Starts a Redis server without persistence on a free port. */
export async function startRedis(): Promise<RedisProcess> {
  return RedisProcess.start();
}
