import { expect } from 'chai';
import { recordKind, type JournalRecord } from '../../../../src/daemon/pair/member.js';
import { StandBy } from '../../../../src/daemon/pair/stand-by.js';
import type { CallState } from '../../../../src/media/call-state.js';
import { ReplyCache } from '../../../../src/ng-protocol/reply-cache.js';
import { encodeCall } from '../../../../src/redis-store/codec.js';
import { body, ModelCall } from '../../../support/unit/media.js';
import { settings } from '../../../support/unit/redis-store.js';

const { call: changed, removed } = recordKind;

function stored(): Buffer {
  const call = new ModelCall();
  call.offer(body(6000), {});
  if (call.state === null) throw new Error('no call');
  return Buffer.concat([Buffer.from('f'), encodeCall(call.state, 'JSON', settings)]);
}

/** What is done for the calls of a journal, in order; a call that ends takes its ports along. */
function follow(journal: readonly [kind: number, callId: string][]): readonly string[] {
  const value = stored();
  const records: JournalRecord[] = journal.map(([kind, key]) => ({
    ...{ kind, key, moment: 0 },
    value: kind === changed ? value : Buffer.alloc(0),
  }));
  const done: string[] = [];
  const standBy = new StandBy({
    member: {
      read: () => records.shift() ?? null,
      activated: Promise.resolve(),
      isSynced: true,
      onSockets: () => undefined,
      onRemoved: () => undefined,
    },
    ...{ settings, epochMicros: 0, replies: new ReplyCache({ nowMs: () => 0 }) },
    take: ({ callId }: CallState) => {
      done.push(`take ${callId}`);
      return null;
    },
    drop: (callId) => done.push(`drop ${callId}`),
    error: (message) => done.push(message),
  });
  standBy.catchUp();
  return done;
}

describe('standing by', () => {
  it('does not close what a call has again that had ended in between', () => {
    const history = [changed, removed, changed, removed, changed];
    expect(follow(history.map((kind) => [kind, 'a']))).to.deep.equal(['take a']);
  });

  it('takes only what holds in the end, after what has ended', () => {
    const journal: [number, string][] = [
      [changed, 'a'],
      [changed, 'b'],
      [changed, 'a'],
      [removed, 'b'],
    ];
    expect(follow(journal)).to.deep.equal(['drop b', 'take a']);
  });
});
