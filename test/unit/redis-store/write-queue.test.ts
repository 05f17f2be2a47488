import { expect } from 'chai';
import type { CallState } from '../../../src/media/call-state.js';
import { decodeCall } from '../../../src/redis-store/codec.js';
import { committed } from '../../../src/redis-store/store.js';
import { WriteQueue } from '../../../src/redis-store/write-queue.js';
import { sample, settings } from '../../support/unit/redis-store.js';

interface Sent {
  readonly callId: string;
  readonly wanted: CallState | null;
  readonly succeed: () => void;
  readonly fail: () => void;
}

const { state: base } = decodeCall('x', sample('02-relay.json'), settings);
const stateAt = (lastSignalMicros: number): CallState => ({ ...base, lastSignalMicros });
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function makeQueue(commitTimeoutMs = 10_000): {
  queue: WriteQueue;
  sent: Sent[];
  events: string[];
} {
  const sent: Sent[] = [];
  const events: string[] = [];
  const queue: WriteQueue = new WriteQueue({
    send: (callId, wanted) =>
      new Promise((resolve, reject) => {
        sent.push({ callId, wanted, succeed: resolve, fail: () => reject(new Error('no')) });
      }),
    commitTimeoutMs: () => commitTimeoutMs,
    onTimeout: () => {
      events.push('timeout');
      queue.shut();
    },
    onFailure: () => {
      events.push('failure');
      queue.shut();
    },
    onSuccess: () => events.push('success'),
  });
  return { queue, sent, events };
}

describe('the write queue', () => {
  it('says at once what the server has at once, and sends what has changed meanwhile', async () => {
    const { queue, sent, events } = makeQueue();
    const prompt = new WriteQueue({
      send: () => null,
      ...{ commitTimeoutMs: () => 10, onTimeout: () => undefined, onFailure: () => undefined },
      onSuccess: () => events.push('success'),
    });
    prompt.open();
    expect(prompt.put('a', stateAt(1))).to.equal(committed);
    expect(prompt.put('a', null)).to.equal(committed);
    expect(prompt.size).to.equal(0);
    expect(events).to.deep.equal(['success', 'success']);
    prompt.mark('b', stateAt(2));
    await prompt.flush(8);
    expect(prompt.size).to.equal(0);
    queue.open();
    expect(queue.put('a', stateAt(1))).to.not.equal(committed);
    expect(sent).to.have.length(1);
    queue.shut();
  });

  it('has one write of a call in flight and then sends only the newest state', async () => {
    const { queue, sent } = makeQueue();
    queue.open();
    const first = queue.put('a', stateAt(1));
    const second = queue.put('a', stateAt(2));
    const third = queue.put('a', stateAt(3));
    void queue.put('b', stateAt(9));
    expect(sent.map(({ callId }) => callId)).to.deep.equal(['a', 'b']);
    sent[0]?.succeed();
    expect(await first).to.equal('committed');
    expect(sent).to.have.length(3);
    expect(sent[2]?.wanted?.lastSignalMicros).to.equal(3);
    sent[2]?.succeed();
    expect(await second).to.equal('committed');
    expect(await third).to.equal('committed');
    sent[1]?.succeed();
    await settled();
    expect(queue.size).to.equal(0);
  });

  it('lets nobody wait longer than the commit timeout', async () => {
    const { queue, sent, events } = makeQueue(20);
    queue.open();
    expect(await queue.put('a', stateAt(1))).to.equal('degraded');
    expect(events).to.deep.equal(['timeout']);
    expect(await queue.put('b', stateAt(2))).to.equal('degraded');
    expect(sent).to.have.length(1);
    expect(queue.size).to.equal(2);
  });

  it('keeps what could not be written and sends its newest state when flushed', async () => {
    const { queue, sent, events } = makeQueue();
    queue.open();
    const outcome = queue.put('a', stateAt(1));
    sent[0]?.fail();
    expect(await outcome).to.equal('degraded');
    expect(events).to.deep.equal(['failure']);
    void queue.put('a', stateAt(2));
    void queue.put('b', null);
    queue.mark('a', stateAt(0));
    queue.mark('c', stateAt(3));
    const flushed = queue.flush(10);
    await settled();
    expect(sent.slice(1).map(({ wanted }) => wanted?.lastSignalMicros ?? null)).to.deep.equal([
      2,
      null,
      3,
    ]);
    for (const { succeed } of sent.slice(1)) succeed();
    await flushed;
    expect(queue.size).to.equal(0);
  });

  it('flushes a call whose older state is in flight with the newer one after it', async () => {
    const { queue, sent } = makeQueue(20);
    queue.open();
    await queue.put('a', stateAt(1));
    void queue.put('a', stateAt(2));
    const flushed = queue.flush(10);
    await settled();
    expect(sent).to.have.length(1);
    sent[0]?.succeed();
    await settled();
    expect(sent.map(({ wanted }) => wanted?.lastSignalMicros)).to.deep.equal([1, 2]);
    sent[1]?.succeed();
    await flushed;
  });

  it('stops flushing at the first batch that fails', async () => {
    const { queue, sent } = makeQueue();
    for (const callId of ['a', 'b', 'c']) queue.mark(callId, base);
    const flushed = queue.flush(2).then(
      () => 'flushed',
      () => 'failed',
    );
    await settled();
    sent[0]?.succeed();
    sent[1]?.fail();
    expect(await flushed).to.equal('failed');
    expect(sent).to.have.length(2);
    expect(queue.size).to.equal(2);
  });
});
