/** One command to Redis: `RedisConnection.send`, for whoever needs no more of a connection. */
export type SendCommand = (
  command: string,
  ...args: readonly (string | Buffer | number)[]
) => Promise<unknown>;
