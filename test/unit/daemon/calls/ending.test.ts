/** Deleting calls and branches, now and later. */
import { expect } from 'chai';
import type { DeleteRequest } from '../../../../src/media/removal.js';
import { body } from '../../../support/unit/media.js';
import { Node, seconds, storedCall } from '../../../support/unit/calls.js';

const whole: DeleteRequest = { fromTag: null, toTag: null, viaBranch: null };
const of = (fromTag: string, toTag: string | null = null): DeleteRequest => ({
  ...{ fromTag, toTag, viaBranch: null },
});

/** Ann has called bob and carol. */
function forked(): Node {
  const node = new Node();
  for (const [branch, tag, port] of [
    ['b', 'bob', 5000],
    ['c', 'carol', 6000],
  ] as const) {
    node.offer({ viaBranch: branch });
    node.answer({ toTag: tag, viaBranch: branch }, body(port));
  }
  return node;
}

const usedOf = (node: Node): number => node.pool.usage('192.0.2.1').used;

describe('a delete', () => {
  it('ends the call: ports, relay, store, counters', async () => {
    const node = new Node();
    node.talk();
    node.now += seconds(7);
    const deleted = node.calls.ending.delete('call', whole, 0);
    expect(deleted?.state.callId).to.equal('call');
    expect(deleted?.statistics.streams).to.have.length(4);
    expect(await deleted?.saved).to.equal('committed');
    expect(node.ids).to.eql([]);
    expect(usedOf(node)).to.equal(0);
    expect(node.relay.plans.size).to.equal(0);
    expect(node.store.log.at(-1)).to.equal('remove call');
    expect(node.counters.closed.regular).to.equal(1);
    expect(node.counters.managedSessions).to.equal(1);
    expect(node.lines).to.include('call: Deleting entire call');
  });

  it('of what is unknown changes nothing', () => {
    const node = new Node();
    node.talk();
    expect(node.calls.ending.delete('other', whole, 0)).to.equal(null);
    expect(node.calls.ending.delete('call', of('eve'), 0)).to.equal(null);
    expect(node.ids).to.eql(['call']);
    expect(usedOf(node)).to.equal(4);
  });

  it('is done later when a delay says so, unless the call is signalled again', () => {
    const node = new Node();
    node.talk();
    node.calls.ending.delete('call', whole, 5);
    node.pass(4);
    expect(node.ids).to.eql(['call']);
    node.offer({ toTag: 'bob' });
    node.pass(10);
    expect(node.ids).to.eql(['call']);
    node.calls.ending.delete('call', whole, 5);
    node.pass(5);
    expect(node.ids).to.eql([]);
  });

  it('of one branch leaves the others, and gives its ports back', () => {
    const node = forked();
    const used = usedOf(node);
    node.calls.ending.delete('call', of('carol'), 0);
    expect(node.ids).to.eql(['call']);
    expect(usedOf(node)).to.be.below(used);
    expect(node.relay.plans.get('call')?.ports).to.have.length(usedOf(node));
    expect(node.lines.at(-1)).to.equal("call: Deleting call branch 'carol' (via-branch 'c')");
  });

  it('of branches later: each at its time, and the first of them is what the call remembers', () => {
    const node = forked();
    const used = usedOf(node);
    const at = (delay: number): number => node.now + seconds(delay);
    const [late, early] = [at(9), at(4)];
    node.calls.ending.delete('call', of('carol'), 9);
    expect(node.calls.table.call('call')?.participantDeletedMicros).to.equal(late);
    // Somebody who left an early dialogue has no ports; what is to come is found all the same.
    node.calls.ending.delete('call', of('bob'), 4);
    expect(node.calls.table.call('call')?.participantDeletedMicros).to.equal(early);
    node.pass(3);
    expect(usedOf(node)).to.equal(used);
    node.pass(1);
    expect(usedOf(node)).to.be.below(used);
    expect(node.calls.table.call('call')?.participantDeletedMicros).to.equal(late);
    const tags = node.calls.table.call('call')?.participants.map(({ tag }) => tag);
    expect(tags).to.eql(['ann', 'bob', 'carol']);
  });

  it('of a foreign call takes it over first', () => {
    const node = new Node({ options: ['--active-switchover'] });
    node.calls.ownership.follow(storedCall(), 2);
    node.calls.ending.delete('call', whole, 0);
    expect(node.counters.takeovers).to.equal(1);
    expect(node.store.log).to.eql(['save call', 'remove call']);
  });
});

describe('a call that is closed', () => {
  it('says its statistics, and whether media went both ways', () => {
    const node = new Node();
    node.talk();
    node.hear('ann');
    void node.calls.ending.close('call', 'timeout');
    expect(node.counters.oneWayStreams).to.equal(1);
    expect(node.counters.zeroWayStreams).to.equal(1);
    expect(node.lines.some((line) => line.startsWith('call: Final packet stats:'))).to.equal(true);
    void node.calls.ending.close('call', 'timeout');
    expect(node.counters.managedSessions).to.equal(1);
  });
});
