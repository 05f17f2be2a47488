/** What a connection to Redis is told when it is made, and whom it tells. */
import type { StoreLog } from './log.js';
import type { ExchangeBytes } from './prompt-answers.js';
import type { ReplicationState } from './replication-state.js';
import type { RedisServer } from './server-address.js';

/** How a connection behaves. */
export interface ConnectionOptions {
  readonly server: RedisServer;
  /** Until the server has answered the greeting. */
  readonly connectTimeoutMs: number;
  /** A command unanswered for so long breaks the connection; 0: 5 s. */
  readonly commandTimeoutMs: number;
  /** Consecutive errors after which the server is left alone for a while; -1 never. */
  readonly allowedErrors: number;
  readonly disableTimeSeconds: number;
  /** Is given the descriptor of each new connection; without: the server is asked every second all the same. */
  readonly keepAlive?: ((fd: number) => void) | undefined;
  readonly log: StoreLog;
  /** The connection can be used (again). */
  readonly onReady: () => void;
  /** It cannot any more. */
  readonly onLost: () => void;
  /** The server's part in replication is another one than before, or was looked at again. */
  readonly onState?: (now: ReplicationState, before: ReplicationState) => void;
  /** Sends and waits for a moment; without: nothing is waited for on the spot. */
  readonly exchange?: ExchangeBytes | undefined;
  /** Whether this thread has nothing else to do than to wait for a reply. */
  readonly mayWait?: (() => boolean) | undefined;
  /** For a connection that subscribes (`subscribe`) and sends nothing else. */
  readonly onMessage?: (channel: string, message: string) => void;
}

/** What may change while a connection lives. */
export type ConnectionSettings = Pick<
  ConnectionOptions,
  'server' | 'connectTimeoutMs' | 'commandTimeoutMs' | 'allowedErrors' | 'disableTimeSeconds'
>;
