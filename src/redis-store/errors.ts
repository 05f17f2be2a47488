/** Errors of the store. */

/** Why a stored value is no call; the texts are rtpengine's (redis-layout.md §3). */
export type RestoreReason =
  | 'could not retrieve JSON data from redis'
  | 'could not parse JSON data'
  | 'Unrecognised serial format'
  | "'call' data incomplete"
  | "missing 'last signal' timestamp"
  | `'${EntityKind}' incomplete`
  | `failed to create ${EntityKind}`
  | `failed to link ${EntityKind}`
  // Of ours, see sealing.ts.
  | 'its keys are encrypted by a key that is not in --redis-encrypt-keys'
  | 'its encrypted keys were changed, or belong to another call';

/** What a stored call is made of, in rtpengine's words. */
export type EntityKind = 'tags' | 'sfds' | 'streams' | 'medias' | 'maps';

/** A stored value that cannot be read. `message` is the reason alone, `detail` says where. */
export class RestoreError extends Error {
  override readonly name = 'RestoreError';
  constructor(
    readonly reason: RestoreReason,
    /** The member or the circumstance, for whoever looks at the value. May be empty. */
    readonly detail: string,
    options?: { cause?: unknown },
  ) {
    super(reason, options);
  }
}

/** Why a connection or a command failed, in the words of rtpengine's log lines. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('code' in error && error.code === 'ECONNREFUSED') return 'Connection refused';
  return error.message;
}

/** A server that answers, and refuses to serve for now: it loads its data, or has no link to its master. */
export function isNotReady(error: unknown): boolean {
  return error instanceof Error && /^(LOADING|MASTERDOWN|BUSY) /.test(error.message);
}

/** Writing was refused because the server is a replica (the second form: by a script of Redis 6). */
export function isReadOnly(error: unknown): boolean {
  return error instanceof Error && /^READONLY |-READONLY /.test(error.message);
}

/**
 * unreachable: no connection. not-ready: a server that is there does not serve yet. not-master: a
 * replica takes no writes. closed: the store was closed.
 */
export type StoreErrorCode = 'unreachable' | 'not-ready' | 'not-master' | 'closed';

/** The store cannot start. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  constructor(
    readonly code: StoreErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}
