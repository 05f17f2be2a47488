/** When calls end by themselves, and when they must not. */
import { expect } from 'chai';
import { draftOf, type CallState } from '../../../../src/media/call-state.js';
import { body } from '../../../support/unit/media.js';
import { FakeStore, Node, seconds, start, storedCall } from '../../../support/unit/calls.js';

const short = ['--timeout=5', '--silent-timeout=20', '--offer-timeout=40'];

/** Seconds until the call is gone, `limit` at most. */
function lifeOf(node: Node, limit = 120): number {
  for (let second = 1; second <= limit; second += 1) {
    node.pass(1);
    if (node.ids.length === 0) return second;
  }
  return Infinity;
}

describe('a call that is silent', () => {
  it('ends after the timeout, counted from the last packet of either side', () => {
    const node = new Node({ options: short });
    node.talk();
    node.pass(3);
    node.hear('ann');
    expect(lifeOf(node)).to.equal(5);
    expect(node.counters.closed.timeout).to.equal(1);
    expect(node.store.log.at(-1)).to.equal('remove call');
    expect(node.relay.plans.size).to.equal(0);
  });

  it('lives on while one side is heard', () => {
    const node = new Node({ options: short });
    node.talk();
    for (let second = 0; second < 20; second += 1) {
      node.hear('bob');
      node.pass(1);
    }
    expect(node.ids).to.eql(['call']);
  });

  it('counts anew from signalling', () => {
    const node = new Node({ options: short });
    node.talk();
    node.pass(4);
    node.offer({ toTag: 'bob' });
    expect(lifeOf(node)).to.equal(5);
  });

  const closed = body(0).replaceAll(/a=.*\r\n/g, '');
  const video = (port: number): string => `m=video ${port} RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n`;

  for (const [name, offered, answered] of [
    ['is on hold', body(4000, ['a=inactive']), body(5000, ['a=inactive'])],
    ['has its only section closed', closed, closed],
    ['has its only section closed by the answer', body(4000), closed],
    ['has one of two sections closed', closed + video(4100), closed + video(5100)],
    ['has all its sections closed', closed + video(0), closed + video(0)],
  ] as const) {
    it(`may be silent for the silent timeout when it ${name}`, () => {
      const node = new Node({ options: short });
      node.talk();
      node.offer({ toTag: 'bob' }, offered);
      node.answer({}, answered);
      expect(lifeOf(node)).to.equal(20);
      expect(node.lines).to.include('call: Closing call due to timeout');
    });
  }

  it('has its timeout again when it is taken off hold, on its old ports', () => {
    const node = new Node({ options: short });
    const before = [node.offer(), node.answer()];
    node.offer({ toTag: 'bob' }, closed);
    node.answer({}, closed);
    node.pass(10);
    const portOf = (sdp: string): string => /m=audio (\d+)/.exec(sdp)?.[1] ?? '';
    const after = [node.offer({ toTag: 'bob' }), node.answer()];
    expect(after.map(portOf)).to.eql(before.map(portOf));
    expect(lifeOf(node)).to.equal(5);
  });

  it('ends at once when its last section without a socket is not over UDP', () => {
    const node = new Node({ options: short });
    const text = body(4000).replace('m=audio 4000 RTP/AVP 0 8 101', 'm=message 2855 TCP/MSRP *');
    node.offer({}, text);
    node.answer({}, text);
    expect(lifeOf(node)).to.equal(5);
  });

  for (const [name, sdp] of [
    ['one section', body(4000)],
    ['two sections', body(4000) + video(4100)],
  ] as const) {
    it(`may ring for the offer timeout (${name})`, () => {
      const node = new Node({ options: short });
      node.offer({}, sdp);
      expect(lifeOf(node)).to.equal(40);
      expect(node.counters.closed['offer-timeout']).to.equal(1);
    });
  }

  it('waits for the answer of its other branch', () => {
    const node = new Node({ options: short });
    node.offer({ viaBranch: 'b1' });
    node.offer({ viaBranch: 'b2' });
    node.answer({ viaBranch: 'b1' });
    expect(lifeOf(node)).to.equal(40);
  });
});

describe('a restored call', () => {
  it('has the whole timeout from the restore on, however old it is', () => {
    const node = new Node({ options: short });
    node.pass(3);
    node.calls.ownership.adopt(storedCall(seconds(3600)));
    expect(lifeOf(node)).to.equal(5);
  });

  it('keeps the time of its last packet, for replies and for the store', () => {
    const state = draftOf(storedCall(seconds(30)));
    for (const stream of state.streams) stream.lastPacketMicros = start - seconds(7);
    const node = new Node();
    node.calls.ownership.adopt(state);
    const stored = (): readonly number[] | undefined =>
      node.store.values.get('call')?.streams.map(({ lastPacketMicros }) => lastPacketMicros);
    node.offer({ toTag: 'bob' });
    expect(new Set(stored())).to.eql(new Set([start - seconds(7)]));
    node.pass(2);
    node.hear('ann');
    node.offer({ toTag: 'bob' });
    expect(new Set(stored())).to.eql(new Set([start - seconds(7), start + seconds(2)]));
  });

  it('does not live for ever because its node’s clock was ahead', () => {
    const node = new Node({ options: [...short, '--final-timeout=30'] });
    node.calls.ownership.adopt(storedCall(-seconds(86_400)));
    expect(lifeOf(node)).to.equal(5);
    node.calls.ownership.adopt(storedCall(-seconds(86_400)));
    for (let second = 0; second < 29; second += 1) {
      node.hear('ann');
      node.pass(1);
    }
    expect(node.ids).to.eql(['call']);
    expect(lifeOf(node)).to.equal(1);
    expect(node.counters.closed['final-timeout']).to.equal(1);
  });
});

describe('a call that was taken over', () => {
  for (const [how, take] of [
    ['by command', (node: Node): void => void node.calls.ownership.takeOverAll()],
    ['by signalling', (node: Node): void => void node.offer({ toTag: 'bob' })],
    ['by media', (node: Node): void => node.hear('ann')],
  ] as const) {
    it(`has the whole timeout from then on (${how})`, () => {
      const node = new Node({ options: [...short, '--active-switchover'] });
      node.calls.ownership.follow(storedCall(seconds(600)), 2);
      node.pass(100);
      expect(node.ownership()).to.equal('foreign');
      take(node);
      node.sweep();
      expect(node.ownership()).to.equal('own');
      expect(lifeOf(node)).to.equal(5);
    });
  }
});

describe('many calls', () => {
  it('are asked about when something may be due, not every second', () => {
    const node = new Node({ options: short });
    node.talk();
    for (let second = 0; second < 40; second += 1) {
      if (second % 4 === 0) node.hear('ann');
      node.pass(1);
    }
    expect(node.ids).to.eql(['call']);
    expect(node.relay.askedWhenHeard.length, '5 s after the last packet').to.be.at.most(20);
  });

  it('end by a limit that is lowered while they are there', () => {
    const node = new Node({ options: ['--timeout=3600'] });
    node.talk();
    node.pass(10);
    node.limits.timeoutSeconds = 12;
    expect(lifeOf(node)).to.equal(2);
    node.talk();
    node.pass(1);
    node.limits.finalTimeoutSeconds = 3;
    expect(lifeOf(node)).to.equal(2);
  });

  it('are looked at in slices, and all of them', async () => {
    const node = new Node({ options: short });
    const state = storedCall();
    for (let number = 0; number < 20_000; number += 1) {
      const call: CallState = { ...state, callId: `call ${number}`, ownership: 'own' };
      void node.calls.table.commit(call, { media: 'known', save: false });
      node.calls.table.touch(call);
    }
    const asked = node.relay.askedWhenHeard;
    let [longest, before] = [0, process.cpuUsage()];
    const from = before;
    node.sweep();
    while (asked.length < 20_000) {
      const { user, system } = process.cpuUsage(before);
      longest = Math.max(longest, user + system);
      await new Promise((resolve) => setImmediate(resolve));
      before = process.cpuUsage();
    }
    const { user, system } = process.cpuUsage(from);
    expect(longest / (user + system), 'the longest part').to.be.below(0.5);
    expect(new Set(asked)).to.have.property('size', 20_000);
  });
});

describe('a node without the media address', () => {
  const options = short;

  it('does not count silence until it gets the address, then from there', () => {
    const node = new Node({ options, absent: ['192.0.2.1'] });
    node.calls.ownership.adopt(storedCall());
    node.pass(100);
    expect(node.ids).to.eql(['call']);
    node.absent.clear();
    expect(lifeOf(node)).to.equal(6); // The sweep that sees it come is the first of the silence.
  });

  it('stops counting when the address leaves, and begins anew when it is back', () => {
    const node = new Node({ options });
    node.talk();
    node.pass(4);
    node.absent.add('192.0.2.1');
    node.pass(100);
    node.absent.clear();
    expect(lifeOf(node)).to.equal(6);
  });

  it('counts nothing while one of a call’s addresses is missing', () => {
    const addresses = ['192.0.2.1', '192.0.2.2'];
    const node = new Node({ options, addresses, absent: ['192.0.2.2'] });
    node.offer({ callId: 'both', fromInterface: 'pub', toInterface: 'pub1' });
    node.answer({ callId: 'both' });
    node.talk('one');
    node.pass(10);
    expect(node.ids).to.eql(['both']);
  });
});

describe('a process that stood still', () => {
  it('ends no call at the wake-up: the pause is not silence', () => {
    const node = new Node({ options: [...short, '--final-timeout=60'] });
    node.talk();
    node.pass(4);
    node.standStill(3600);
    node.sweep();
    expect(node.ids).to.eql(['call']);
    expect(lifeOf(node)).to.equal(1);
    expect(node.counters.closed.timeout).to.equal(1);
  });

  it('counts each of many pauses', () => {
    const node = new Node({ options: short });
    node.talk();
    for (let pause = 0; pause < 100; pause += 1) {
      node.hear('ann');
      node.standStill(50);
      node.sweep();
    }
    expect(node.ids).to.eql(['call']);
  });
});

describe('a clock that is set', () => {
  const jump = seconds(86_400);
  const long = [...short, '--final-timeout=60'];

  for (const step of [jump, -jump]) {
    it(`ends nothing and prolongs nothing (${step > 0 ? 'forward' : 'back'})`, () => {
      const node = new Node({ options: long });
      node.talk();
      node.talk('deleted');
      node.calls.ending.delete('deleted', { fromTag: null, toTag: null, viaBranch: null }, 4);
      node.offer({ callId: 'ringing' });
      node.wallOffset = step;
      node.pass(3);
      expect(node.ids).to.have.members(['call', 'deleted', 'ringing']);
      node.pass(1);
      expect(node.ids).to.have.members(['call', 'ringing']);
      node.pass(1);
      expect(node.ids).to.eql(['ringing']);
      expect(lifeOf(node)).to.equal(35);
    });

    it(`is stored anew, so that the next process counts right (${step > 0 ? 'forward' : 'back'})`, () => {
      const store = new FakeStore();
      const node = new Node({ options: long, store });
      node.talk();
      for (let second = 0; second < 20; second += 1) {
        node.hear('ann');
        node.pass(1);
      }
      node.wallOffset = step;
      node.pass(1);
      expect(store.log.filter((line) => line === 'save call')).to.have.length(3);
      const value = store.values.get('call');
      expect(value?.createdMicros).to.equal(start + step);
      expect(value?.lastSignalMicros).to.equal(start + step);

      const next = new Node({ options: long, now: node.now + step });
      if (value !== undefined) next.calls.ownership.adopt(value);
      for (let second = 0; second < 38; second += 1) {
        next.hear('ann');
        next.pass(1);
      }
      expect(next.ids).to.eql(['call']);
      expect(lifeOf(next)).to.equal(1);
    });
  }

  it('shows in what operators and proxies read', () => {
    const node = new Node();
    node.talk();
    node.hear('ann');
    node.wallOffset = jump;
    const state = node.calls.table.call('call');
    if (state === null) throw new Error('no call');
    const shown = node.calls.inWallTime(state, node.calls.table.statisticsOf('call'));
    expect(shown.state.createdMicros).to.equal(start + jump);
    expect(shown.state.deletedMicros).to.equal(0);
    expect(shown.statistics.streams.map(({ lastPacketMicros }) => lastPacketMicros)).to.include(
      start + jump,
    );
  });
});
