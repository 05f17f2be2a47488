/** Whose a call is: following, taking over, losing, giving back. */
import { expect } from 'chai';
import { draftOf, withFlag, type CallState } from '../../../../src/media/call-state.js';
import type { RemotePlan } from '../../../../src/media/relay.js';
import { FakeStore, Node, seconds, storedCall } from '../../../support/unit/calls.js';

const standby = ['--active-switchover', '--timeout=60'];

/** Lets what the service has begun come to its end. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function standbyNode(absent: readonly string[] = []): Node {
  const node = new Node({ options: standby, absent });
  node.calls.ownership.follow(storedCall(), 2);
  return node;
}

function changed(state: CallState, change: Partial<CallState>): CallState {
  return Object.assign(draftOf(state), change);
}

describe('a followed call', () => {
  it('is open in the relay, written nowhere, and nobody’s to end here', () => {
    const node = standbyNode();
    node.pass(1000);
    expect(node.ownership()).to.equal('foreign');
    expect(node.relay.plans.get('call')?.ports).to.have.length(4);
    expect(node.store.log).to.eql([]);
    expect(node.calls.table.ownCount).to.equal(0);
  });

  it('is not ended here by its final timeout or its scheduled deletion', () => {
    const node = new Node({ options: [...standby, '--final-timeout=10'] });
    node.calls.ownership.follow(changed(storedCall(), { deletedMicros: node.now + seconds(5) }), 2);
    node.pass(20);
    expect(node.ownership()).to.equal('foreign');
    expect(node.counters.managedSessions).to.equal(0);
  });

  it('follows its owner’s changes, and gives up ports that it has no more', () => {
    const node = standbyNode();
    const state = storedCall();
    const used = node.pool.usage('192.0.2.1').used;
    const less = draftOf(state);
    const last = less.sockets.at(-1);
    if (last === undefined) throw new Error('no socket');
    last.open = false;
    for (const stream of less.streams) {
      if (stream.selectedSocket === last.id) stream.selectedSocket = null;
    }
    node.calls.ownership.follow(less, 2);
    expect(node.pool.usage('192.0.2.1').used).to.equal(used - 1);
  });

  it('learns again when its owner does, and keeps what it has learned otherwise', () => {
    const node = standbyNode();
    const streams = (): readonly RemotePlan[] =>
      (node.relay.plans.get('call')?.transports ?? []).map(({ remote }) => remote);
    const followed = (confirmed: boolean): readonly RemotePlan[] => {
      const state = draftOf(storedCall());
      for (const stream of state.streams) {
        stream.flags = withFlag(stream.flags, 'confirmed', confirmed);
      }
      node.calls.ownership.follow(state, 2);
      return streams();
    };
    const epochs = (plans: readonly RemotePlan[]): readonly number[] =>
      plans.map(({ generation }) => generation);
    const confirmed = followed(true);
    expect(confirmed.map((stream) => stream.confirmed)).to.not.include(false);
    expect(epochs(followed(true))).to.deep.equal(epochs(confirmed));
    // An offer or answer that left the SDP as it was.
    const again = followed(false);
    expect(again.map((stream) => stream.confirmed)).to.not.include(true);
    expect(epochs(again)).to.deep.equal(epochs(confirmed).map((epoch) => epoch + 1));
    expect(epochs(followed(false))).to.deep.equal(epochs(again));
    expect(epochs(followed(true))).to.deep.equal(epochs(again));
  });

  it('ends when its owner deletes it, and leaves the store alone', () => {
    const node = standbyNode();
    node.hear('ann');
    node.calls.ownership.unfollow('call', 3, true);
    expect(node.ids).to.eql(['call']);
    node.calls.ownership.unfollow('call', 2, true);
    expect(node.ids).to.eql([]);
    expect(node.pool.usage('192.0.2.1').used).to.equal(0);
    expect(node.store.log).to.eql([]);
  });

  it('is kept when its key is gone while it carries media', () => {
    const node = new Node({ options: ['--timeout=60'] });
    node.calls.ownership.follow(storedCall(), 2);
    node.hear('ann');
    node.standStill(3600);
    node.sweep();
    node.calls.ownership.unfollow('call', 2, false);
    expect(node.ids).to.eql(['call']);
    node.pass(61);
    node.calls.ownership.unfollow('call', 2, false);
    expect(node.ids).to.eql([]);
  });

  it('of a database that nobody follows ends with its silence', () => {
    const node = standbyNode();
    node.followed.clear();
    node.pass(59);
    expect(node.ids).to.eql(['call']);
    node.pass(1);
    expect(node.ids).to.eql([]);
  });

  it('is named when its ports cannot be had, and costs nothing', () => {
    const node = new Node({ options: standby });
    node.relay.refusals.push([
      {
        ...{ portId: 1, localAddress: '192.0.2.1', localPort: 30_000 },
        ...{ cause: 'fd-limit', errno: 'EMFILE' },
      },
    ]);
    node.calls.ownership.follow(storedCall(), 2);
    expect(node.ids).to.eql([]);
    expect(node.lines.join()).to.include('Failed to stand by for the call');
    expect(node.pool.usage('192.0.2.1').used).to.equal(0);
  });
});

describe('a takeover', () => {
  it('by media makes the call own, then stores it, then takes it out of the other database', async () => {
    const node = standbyNode();
    node.pass(5);
    node.hear('ann');
    node.pass(1);
    expect(node.ownership()).to.equal('own');
    expect(node.calls.table.call('call')?.redisHostedDb).to.equal(1);
    expect(node.calls.table.call('call')?.ownershipEpoch).to.equal(1);
    expect(node.store.log).to.eql(['save call']);
    await settled();
    expect(node.released).to.eql(['call 2']);
  });

  it('happens by media only with --active-switchover', () => {
    const node = new Node();
    node.calls.ownership.follow(storedCall(), 2);
    node.pass(1);
    node.hear('ann');
    node.pass(20);
    expect(node.ownership()).to.equal('foreign');
  });

  it('is not begun by packets from before the call was followed', () => {
    const node = standbyNode();
    node.hear('ann');
    node.pass(20);
    expect(node.ownership()).to.equal('foreign');
  });

  it('is not begun by what waited in sockets where the address is not', () => {
    const node = standbyNode(['192.0.2.1']);
    node.pass(1);
    node.hear('ann');
    node.pass(60);
    expect(node.ownership()).to.equal('foreign');
  });

  it('is not begun by what waited while the process stood still and the address left', () => {
    const node = standbyNode();
    node.pass(30);
    node.absent.add('192.0.2.1');
    node.standStill(60);
    node.hear('ann');
    node.sweep();
    node.pass(30);
    expect(node.ownership()).to.equal('foreign');
  });

  it('is begun by media that comes where the address is, at once, also after a standstill', () => {
    const node = standbyNode(['192.0.2.1']);
    node.standStill(60);
    node.sweep();
    node.absent.clear();
    node.hear('ann');
    node.sweep();
    expect(node.ownership()).to.equal('own');
  });

  it('is begun by media that goes on, whatever is known of the address', () => {
    const node = standbyNode(['192.0.2.1']);
    for (let second = 0; second < 12; second += 1) {
      node.hear('ann');
      node.pass(1);
    }
    expect(node.ownership()).to.equal('own');
  });

  it('asks those who send video for key frames; a restored call likewise', async () => {
    const state = storedCall();
    const medias = state.medias.map((media) => ({ ...media, type: 'video' }));
    const node = new Node({ options: standby });
    node.calls.ownership.follow({ ...state, medias }, 2);
    expect(node.relay.keyFramesAsked).to.eql([]);
    await node.calls.ownership.takeOver('call', 'by command');
    expect(node.relay.keyFramesAsked).to.eql(['call']);
    const restarted = new Node();
    expect(restarted.calls.ownership.adopt({ ...state, medias })).to.equal(null);
    expect(restarted.relay.keyFramesAsked).to.eql(['call']);
    const audio = standbyNode();
    void audio.calls.ownership.takeOverAll();
    await settled();
    expect(audio.relay.keyFramesAsked).to.eql([]);
  });

  it('waits for the store before it leaves the other database', async () => {
    const node = standbyNode();
    node.store.healthy = false;
    void node.calls.ownership.takeOverAll();
    await settled();
    node.pass(3);
    expect(node.released).to.eql([]);
    node.store.healthy = true;
    node.pass(1);
    expect(node.released).to.eql(['call 2']);
  });

  it('that comes second is given up, and the call is kept warm', async () => {
    const node = standbyNode();
    node.holder = { epoch: 5, database: 3 };
    void node.calls.ownership.takeOverAll();
    await settled();
    expect(node.ownership()).to.equal('foreign');
    expect(node.calls.table.call('call')?.redisHostedDb).to.equal(3);
    expect(node.store.log).to.eql(['save call', 'remove call']);
    expect(node.relay.plans.has('call')).to.equal(true);
  });
});

describe('a node that lost a call', () => {
  it('does not take it back by the media that both hear for a moment', () => {
    const node = new Node({ options: standby });
    node.talk();
    node.calls.ownership.lose('call', { epoch: 1, database: 2 });
    for (let second = 0; second < 9; second += 1) {
      node.hear('ann');
      node.pass(1);
    }
    expect(node.ownership()).to.equal('foreign');
    expect(node.calls.table.ownCount).to.equal(0);
    node.pass(5);
    node.hear('ann');
    node.pass(1);
    expect(node.ownership()).to.equal('own');
  });

  it('keeps what it has when the claim is older', () => {
    const node = new Node({ options: standby });
    node.talk();
    void node.calls.ownership.giveUpAll();
    void node.calls.ownership.takeOverAll();
    expect(node.calls.table.call('call')?.ownershipEpoch).to.equal(1);
    node.calls.ownership.lose('call', { epoch: 0, database: 2 });
    expect(node.ownership()).to.equal('own');
  });

  it('learns of it from the other database, and takes its own value out', () => {
    const node = new Node({ options: standby });
    node.talk();
    node.calls.ownership.follow(changed(storedCall(), { ownershipEpoch: 3 }), 2);
    expect(node.ownership()).to.equal('foreign');
    expect(node.store.log.at(-1)).to.equal('remove call');
  });
});

describe('signalling', () => {
  it('tries other ports when another program holds those that it chose', () => {
    const node = new Node();
    const busy = {
      portId: 0,
      localAddress: '192.0.2.1',
      cause: 'port-busy',
      errno: 'EADDRINUSE',
    };
    node.relay.refusals.push([{ ...busy, cause: 'port-busy', localPort: 30_000 }]);
    const sdp = node.offer();
    expect(sdp).not.to.include('m=audio 30000 ');
    expect(node.relay.reconciled).to.equal(2);
    expect(node.pool.usage('192.0.2.1').used).to.be.below(6);
  });

  it('leaves nothing behind when no port can be opened', () => {
    const node = new Node();
    const refusal = { portId: 0, localAddress: '192.0.2.1', localPort: 30_000, errno: 'EMFILE' };
    node.relay.refusals.push([{ ...refusal, cause: 'fd-limit' }]);
    expect(() => node.offer()).to.throw('Ran out of ports');
    expect(node.ids).to.eql([]);
    expect(node.pool.usage('192.0.2.1').used).to.equal(0);
    expect(node.store.log).to.eql([]);
  });

  it('gives up after a bounded number of tries', () => {
    const node = new Node();
    for (let turn = 0; turn < 200; turn += 1) {
      node.relay.refusals.push([
        {
          ...{ portId: 0, localAddress: '192.0.2.1', localPort: 30_000 + turn },
          ...{ cause: 'port-busy', errno: 'EADDRINUSE' },
        },
      ]);
    }
    expect(() => node.offer()).to.throw('Ran out of ports');
    expect(node.relay.reconciled).to.be.below(140);
  });

  it('of a foreign call takes it over before its reply', async () => {
    const node = standbyNode();
    node.offer({ toTag: 'bob' });
    expect(node.ownership()).to.equal('own');
    await settled();
    expect(node.released).to.eql(['call 2']);
  });

  it('is stored with what media taught', () => {
    const node = new Node();
    node.talk();
    const stream = node.calls.table.call('call')?.streams[0];
    const endpoint = { address: '198.51.100.7', port: 6000 };
    node.relay.raise({
      ...{ type: 'endpoint-learned', callId: 'call', transportId: stream?.id ?? -1 },
      ...{ generation: stream?.learningGeneration ?? -1, endpoint, confirmed: true },
    });
    expect(node.store.values.get('call')?.streams[0]?.endpoint).to.eql(endpoint);
    node.relay.raise({
      ...{ type: 'endpoint-learned', callId: 'call', transportId: stream?.id ?? -1 },
      ...{ generation: -7, endpoint: { address: '198.51.100.8', port: 1 }, confirmed: true },
    });
    expect(node.calls.table.call('call')?.streams[0]?.endpoint).to.eql(endpoint);
  });
});

describe('a restart', () => {
  it('finds its calls in the store, on their ports', async () => {
    const store = new FakeStore();
    const before = new Node({ store });
    before.talk();
    const used = before.pool.usage('192.0.2.1').used;
    const after = new Node({ store });
    await store.restore((state) => after.calls.ownership.adopt(state));
    expect(after.ownership()).to.equal('own');
    expect(after.pool.usage('192.0.2.1').used).to.equal(used);
    expect(after.calls.ownership.adopt(storedCall())).to.equal('the call is already known');
  });
});

describe('what concerns all calls', () => {
  const count = 600;

  /** A node with so many calls of its own, which are few enough for its ports. */
  function busyNode(): Node {
    const node = new Node({ options: standby });
    for (let call = 0; call < count; call += 1) node.offer({ callId: `call ${call}` });
    return node;
  }

  const own = (node: Node): number => node.calls.table.ownCount;

  it('is done in slices: commands and packets wait for one of them, not for all', async () => {
    const node = busyNode();
    const standsBy = node.calls.ownership.giveUpAll();
    expect(own(node), 'in one go').to.be.above(0);
    await standsBy;
    expect(own(node)).to.equal(0);
    const isActive = node.calls.ownership.takeOverAll();
    expect(own(node), 'in one go').to.be.below(count);
    await isActive;
    expect(own(node)).to.equal(count);
  });

  it('is as the last command wants it', async () => {
    const node = busyNode();
    const first = node.calls.ownership.giveUpAll();
    await node.calls.ownership.takeOverAll();
    await first;
    expect(own(node)).to.equal(count);
  });
});
