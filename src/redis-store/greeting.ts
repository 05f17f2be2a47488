/** The first words on a connection: who we are, which database, and what the server is. */
import type { Redis } from 'ioredis';
import { authenticate } from './dial.js';
import { StoreError } from './errors.js';
import type { ClientIdentity } from './predecessors.js';
import { replicationState, type ReplicationState } from './replication-state.js';
import type { RedisServer } from './server-address.js';

/** What the server answered. */
export interface Greeting extends ClientIdentity {
  readonly state: ReplicationState;
}

/**
 * @param master the name of a server that has to be one; null: either will do.
 * @throws StoreError when it has to be a master and is none; what the server refuses with.
 */
export async function greet(
  redis: Redis,
  server: RedisServer,
  master: string | null,
): Promise<Greeting> {
  await authenticate(redis, server.username ?? null, server.password);
  await redis.call('SELECT', server.database);
  await redis.call('PING');
  const facts = String(await redis.call('INFO'));
  const state = replicationState(facts);
  if (master !== null) requireMaster(state, master);
  // Neither every server nor every ACL user may tell.
  const clientId = await redis.call('CLIENT', 'ID').catch(() => null);
  return {
    runId: /^run_id:(\S*)/m.exec(facts)?.[1] ?? '',
    clientId: typeof clientId === 'number' ? clientId : null,
    state,
  };
}

/** @throws StoreError when it is a replica. */
export function requireMaster({ isMaster, role }: ReplicationState, name: string): void {
  if (!isMaster) throw new StoreError('not-master', `Redis ${name} is a ${role}, not a master`);
}
