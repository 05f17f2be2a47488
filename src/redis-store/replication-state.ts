/** What `INFO replication` says of a server, and whether its contents may have changed unheard. */

export interface ReplicationState {
  /** As the server calls it: `master`, `slave`, or `active-replica` (KeyDB: a master that follows). */
  readonly role: string;
  /** Writes are for it to take. */
  readonly isMaster: boolean;
  /** It takes writes; a replica that was told to (`replica-read-only no`) loses them when it synchronises. */
  readonly acceptsWrites: boolean;
  /** The history of writes that it follows: the same for a master and its replicas. Empty if unknown. */
  readonly replicationId: string;
  /** A replica: its connection to its master is up, and it is not just receiving everything. */
  readonly inSync: boolean;
  /** Bytes of the history; 0 if unknown. */
  readonly offset: number;
  /** The part of the history that the server keeps; null if unknown. */
  readonly backlog: {
    readonly from: number;
    readonly length: number;
    readonly size: number;
  } | null;
}

/** Reads the reply of `INFO` or `INFO replication`. */
export function replicationState(facts: string): ReplicationState {
  const field = (name: string): string =>
    new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(facts)?.[1] ?? '';
  const role = field('role');
  const isMaster = role === 'master' || role === 'active-replica';
  const from = field('repl_backlog_first_byte_offset');
  const inSync = field('master_link_status') === 'up' && field('master_sync_in_progress') !== '1';
  return {
    ...{ role, isMaster, inSync },
    acceptsWrites: isMaster || field('slave_read_only') === '0',
    replicationId: field('master_replid'),
    offset: Number(field('master_repl_offset')),
    backlog:
      from === ''
        ? null
        : {
            from: Number(from),
            length: Number(field('repl_backlog_histlen')),
            size: Number(field('repl_backlog_size')),
          },
  };
}

/**
 * Whether the server may hold something else than its notifications told between two looks at it. A
 * replica that synchronises fully raises none, and when that is over between the looks, only the
 * backlog shows it: it begins anew, while otherwise nothing leaves it before it is full.
 */
export function mayHaveChangedUnheard(before: ReplicationState, now: ReplicationState): boolean {
  const begunAnew =
    before.backlog !== null &&
    now.backlog !== null &&
    now.backlog.from > before.backlog.from &&
    now.backlog.length < now.backlog.size;
  return (
    begunAnew ||
    now.role !== before.role ||
    now.replicationId !== before.replicationId ||
    now.inSync !== before.inSync ||
    now.offset < before.offset
  );
}
