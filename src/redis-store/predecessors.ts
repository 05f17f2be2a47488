/**
 * A server that was stopped for a while may still have commands of the connection before in its
 * buffers. They must not be run after newer ones of the present connection.
 */
import type { Redis } from 'ioredis';

/** Runs of one server are told apart by `run_id`, so that a client id is never used on another run. */
export interface ClientIdentity {
  readonly runId: string;
  readonly clientId: number | null;
}

/** Servers whose last connection is remembered. */
const maxRemembered = 16;

export class Predecessors {
  /** Client ids of the last connections, by the run of the server they were made to. */
  readonly #known = new Map<string, number>();

  /** Ends the connection before `redis` to the same run of the server, if that is allowed. */
  async end(redis: Redis, { runId, clientId }: ClientIdentity): Promise<void> {
    const before = this.#known.get(runId);
    if (runId !== '' && before !== undefined && clientId !== null && before !== clientId) {
      await redis.call('CLIENT', 'KILL', 'ID', before).catch(() => null);
    }
    if (runId === '' || clientId === null) return;
    // The newest come last; those of servers that have not been met for long are forgotten.
    this.#known.delete(runId);
    this.#known.set(runId, clientId);
    const [oldest] = this.#known.keys();
    if (this.#known.size > maxRemembered && oldest !== undefined) this.#known.delete(oldest);
  }
}
