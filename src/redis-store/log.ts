/** Where the store reports; the lines are those of redis-layout.md §5 where rtpengine has one. */
export interface StoreLog {
  critical(message: string): void;
  error(message: string): void;
  warning(message: string): void;
  notice(message: string): void;
  info(message: string): void;
  debug?(message: string): void;
}

/** For connections about which somebody else says what is wrong. */
export const silentLog: StoreLog = {
  critical: () => undefined,
  error: () => undefined,
  warning: () => undefined,
  notice: () => undefined,
  info: () => undefined,
};
