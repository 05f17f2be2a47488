import { expect } from 'chai';
import {
  mayHaveChangedUnheard,
  replicationState,
} from '../../../src/redis-store/replication-state.js';

/** What a replica of Redis 7.0 says; `changes` replaces single lines. */
function replica(changes: Readonly<Record<string, string>> = {}): string {
  const lines: Record<string, string> = {
    ...{ role: 'slave', master_host: '127.0.0.1', master_port: '17001', master_link_status: 'up' },
    ...{ master_sync_in_progress: '0', slave_repl_offset: '130', slave_read_only: '1' },
    ...{ master_replid: 'f4a3bd11206cbbcaffbf6ad9f0a9551d4e14760f', master_repl_offset: '130' },
    ...{ repl_backlog_active: '1', repl_backlog_size: '1048576' },
    ...{ repl_backlog_first_byte_offset: '1', repl_backlog_histlen: '130' },
    ...changes,
  };
  return [
    '# Replication',
    ...Object.entries(lines).map(([name, value]) => `${name}:${value}`),
  ].join('\r\n');
}
const state = (changes?: Readonly<Record<string, string>>): ReturnType<typeof replicationState> =>
  replicationState(replica(changes));

describe('the state of replication', () => {
  it('is read from INFO', () => {
    expect(state()).to.deep.equal({
      ...{ role: 'slave', isMaster: false, acceptsWrites: false, inSync: true, offset: 130 },
      replicationId: 'f4a3bd11206cbbcaffbf6ad9f0a9551d4e14760f',
      backlog: { from: 1, length: 130, size: 1_048_576 },
    });
    expect(state({ slave_read_only: '0' })).to.include({ isMaster: false, acceptsWrites: true });
    expect(state({ master_link_status: 'down' })).to.include({ inSync: false });
    expect(state({ master_sync_in_progress: '1' })).to.include({ inSync: false });
    const master = replicationState('role:master\r\nmaster_repl_offset:7\r\n');
    expect(master).to.include({ isMaster: true, acceptsWrites: true, offset: 7, backlog: null });
    expect(replicationState('role:active-replica\r\n')).to.include({ isMaster: true });
    expect(replicationState('')).to.include({ isMaster: false, acceptsWrites: false, offset: 0 });
  });

  it('shows when contents may have changed without a notification', () => {
    const later = { master_repl_offset: '500' };
    const unheard = (before: object, now: object): boolean =>
      mayHaveChangedUnheard(state({ ...before }), state({ ...later, ...now }));
    expect(unheard({}, { repl_backlog_histlen: '500' })).to.equal(false);
    // A full backlog moves on with each write.
    const full = { repl_backlog_histlen: '1048576' };
    expect(
      unheard(
        { ...full, repl_backlog_first_byte_offset: '100' },
        { ...full, repl_backlog_first_byte_offset: '470' },
      ),
    ).to.equal(false);
    // A synchronisation that was over between two looks: link, id and offset are as before.
    const anew = { repl_backlog_first_byte_offset: '501', repl_backlog_histlen: '0' };
    expect(unheard({}, anew)).to.equal(true);
    expect(unheard(full, anew)).to.equal(true);
    for (const change of [
      { role: 'master' },
      { master_replid: 'another' },
      { master_link_status: 'down' },
      { master_sync_in_progress: '1' },
      { master_repl_offset: '20' },
    ]) {
      expect(unheard({}, change), JSON.stringify(change)).to.equal(true);
    }
  });
});
