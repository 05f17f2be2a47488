/** Why no place of a server could be connected to. */
import { isNotReady, reasonOf, StoreError } from './errors.js';
import { isSingle, type RedisServer } from './server-address.js';

/** A place that was tried in vain; the name is empty when it was the sentinels that failed. */
export interface ConnectionFailure {
  readonly name: string;
  readonly error: unknown;
}

/**
 * The only failure, or an error that names all. `not-ready`: a server is there and does not serve yet,
 * or the sentinels named one that is not there: another one may be on its way.
 */
export function connectionError(
  failures: readonly ConnectionFailure[],
  server: RedisServer,
): unknown {
  const single = isSingle(server);
  const [first] = failures;
  const notReady = failures.some(({ error }) => isNotReady(error));
  if (first !== undefined && failures.length === 1 && single && !notReady) return first.error;
  const reasons = failures.map(({ name, error }) =>
    name === '' || single || error instanceof StoreError
      ? reasonOf(error)
      : `${name}: ${reasonOf(error)}`,
  );
  const reason = [...new Set(reasons)].join('; ');
  const named = server.sentinel !== undefined && failures.some(({ name }) => name !== '');
  return notReady || named ? new StoreError('not-ready', reason) : new Error(reason);
}
