/** One command to Redis: `RedisConnection.send`, for whoever needs no more of a connection. */
export type SendCommand = (
  command: string,
  ...args: readonly (string | Buffer | number)[]
) => Promise<unknown>;

/** The same, where a reply that is there at once is returned as it is. */
export type AskCommand = (
  command: string,
  ...args: readonly (string | Buffer | number)[]
) => unknown;
