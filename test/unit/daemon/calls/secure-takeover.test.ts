/** Calls with ICE and DTLS that go on elsewhere. */
import { expect } from 'chai';
import { copyOfMedia, copyOfStream, type CallState } from '../../../../src/media/call-state.js';
import { resumedIce, selectRoute } from '../../../../src/media/ice/resume.js';
import { plainMedia, type MediaSecurity } from '../../../../src/media/media-attributes.js';
import { FakeStore, Node, storedCall } from './support.js';

const peer = { address: '198.51.100.7', port: 6000 };

/** The call as another node, with its own address, has stored it; both sides speak ICE. */
function storedIceCall(from: string): CallState {
  const state = storedCall();
  return {
    ...state,
    medias: state.medias.map((media) => {
      const copy = copyOfMedia(media);
      copy.ice = {
        ...{ ...media.ice, enabled: true, tieBreaker: '5' },
        ...{ local: { ufrag: 'ours', pwd: 'o'.repeat(22) } },
        ...{ remote: { ufrag: 'peer', pwd: 'p'.repeat(22) } },
      };
      return copy;
    }),
    streams: state.streams.map((stream) => {
      const copy = copyOfStream(stream);
      const port = state.sockets.find(({ id }) => id === stream.selectedSocket)?.port ?? 0;
      const portId = stream.selectedSocket ?? -1;
      selectRoute(copy, { portId, endpoint: peer, priority: 7 }, { address: from, port });
      return copy;
    }),
  };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const movesOf = (node: Node): readonly (number | undefined)[] =>
  node.calls.table.call('call')?.streams.map(({ iceRoute }) => iceRoute?.takeovers) ?? [];

describe('a call with ICE', () => {
  it('goes on from the pair that was chosen last', () => {
    const [stream] = storedIceCall('192.0.2.1').streams;
    if (stream === undefined) throw new Error('no stream');
    expect(stream.flags.has('confirmed')).to.equal(true);
    expect(resumedIce(stream)).to.deep.equal({
      resumed: { route: { portId: stream.selectedSocket, endpoint: peer }, priority: 7 },
      takeovers: 0,
    });
  });

  it('has moved once more where the peer knows another address of ours, and is told so once', async () => {
    for (const [from, moves] of [
      ['192.0.2.1', 0],
      ['192.0.2.200', 1],
    ] as const) {
      const node = new Node({ options: ['--active-switchover'] });
      node.calls.ownership.follow(storedIceCall(from), 2);
      node.calls.ownership.follow(storedIceCall(from), 2);
      expect(new Set(movesOf(node)), `from ${from}`).to.deep.equal(new Set([moves]));
      await node.calls.ownership.takeOver('call', 'by command');
      const { store } = node;
      expect(store.values.get('call')?.streams[0]?.iceRoute?.local.address).to.equal('192.0.2.1');
      const again = new Node({ store });
      await store.restore((state) => again.calls.ownership.adopt(state));
      expect(new Set(movesOf(again)), `restored, from ${from}`).to.deep.equal(new Set([moves]));
    }
  });

  it('is given to the relay when it changes hands: its agents begin to ask, or cease to', async () => {
    const node = new Node();
    node.calls.ownership.follow(storedIceCall('192.0.2.1'), 2);
    const before = node.relay.reconciled;
    await node.calls.ownership.takeOver('call', 'by command');
    expect(node.relay.reconciled).to.equal(before + 1);
    node.calls.ownership.giveUpAll();
    expect(node.relay.reconciled).to.equal(before + 2);
  });

  it('is taken over when its address comes: a peer that is not answered sends nothing', async () => {
    for (const [state, ownership] of [
      [storedIceCall('192.0.2.1'), 'own'],
      [storedCall(), 'foreign'],
    ] as const) {
      const node = new Node({ options: ['--active-switchover'], absent: ['192.0.2.1'] });
      node.calls.ownership.follow(state, 2);
      node.absent.clear();
      node.addressesChanged();
      await settled();
      expect(node.ownership()).to.equal(ownership);
    }
  });
});

describe('a DTLS handshake that was under way when its node died', () => {
  const dtls: MediaSecurity = {
    ...plainMedia,
    ...{ mode: 'DTLS', setup: 'passive' },
    fingerprint: { hash: 'sha-256', digest: 'x'.repeat(32) },
    identity: { certificate: 'C', privateKey: 'K' },
  };

  /** @param keyed the handshake of its first media is done. */
  function storedDtlsCall(keyed: boolean): CallState {
    const state = storedCall();
    const [first] = state.medias;
    const suite = 'AES_CM_128_HMAC_SHA1_80';
    const keys = { suite, masterKey: 'k'.repeat(16), masterSalt: 's'.repeat(14), mki: null };
    const plain = { unencryptedRtp: false, unencryptedRtcp: false, unauthenticatedRtp: false };
    return {
      ...state,
      medias: state.medias.map((media) => {
        const copy = copyOfMedia(media);
        if (media === first) copy.security = dtls;
        return copy;
      }),
      streams: state.streams.map((stream) => {
        const copy = copyOfStream(stream);
        if (keyed && stream.mediaId === first?.id) copy.srtp = { ...keys, ...plain };
        return copy;
      }),
    };
  }

  const marks = (node: Node): readonly boolean[] =>
    node.calls.table.call('call')?.medias.map(({ flags }) => flags.has('dtls-interrupted')) ?? [];

  it('is told in the log and marked, at a restart and at a takeover', async () => {
    const restarted = new Node({ store: new FakeStore() });
    expect(restarted.calls.ownership.adopt(storedDtlsCall(false))).to.equal(null);
    const standby = new Node();
    standby.calls.ownership.follow(storedDtlsCall(false), 2);
    expect(standby.lines.join('\n')).not.to.contain('handshake');
    await standby.calls.ownership.takeOver('call', 'by command');
    for (const node of [restarted, standby]) {
      expect(marks(node)).to.deep.equal([true, false]);
      expect(node.lines.join('\n')).to.match(/handshake of media 1 of '.*' *: unless it ends well/);
    }
  });

  it('is none where the keys are there', () => {
    const node = new Node();
    expect(node.calls.ownership.adopt(storedDtlsCall(true))).to.equal(null);
    expect(marks(node)).to.deep.equal([false, false]);
    expect(node.lines.join('\n')).not.to.contain('handshake');
  });
});
