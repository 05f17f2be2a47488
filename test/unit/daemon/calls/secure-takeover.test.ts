/** Calls with ICE and DTLS that go on elsewhere. */
import { expect } from 'chai';
import { copyOfMedia, copyOfStream, type CallState } from '../../../../src/media/call-state.js';
import { resumedIce, selectRoute } from '../../../../src/media/ice/resume.js';
import { plainMedia, type MediaSecurity } from '../../../../src/media/media-attributes.js';
import { securityOf } from '../../../../src/media/sdes/stored.js';
import { encodeCall } from '../../../../src/redis-store/codec.js';
import { decodeCall } from '../../../../src/redis-store/decode.js';
import { settings } from '../../../support/unit/redis-store.js';
import { FakeStore, Node, storedCall } from '../../../support/unit/calls.js';

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

  it('has its senders of video asked for key frames by whoever goes on with it', async () => {
    const stored = storedCall();
    const video = stored.medias.map((media) =>
      Object.assign(copyOfMedia(media), { type: 'video' }),
    );
    const standby = new Node();
    standby.calls.ownership.follow({ ...stored, medias: video }, 2);
    expect(standby.relay.keyFramesAsked).to.deep.equal([]);
    await standby.calls.ownership.takeOver('call', 'by command');
    expect(standby.relay.keyFramesAsked).to.deep.equal(['call']);
    const restarted = new Node();
    restarted.calls.ownership.adopt({ ...stored, medias: video });
    expect(restarted.relay.keyFramesAsked).to.deep.equal(['call']);
  });

  it('is given to the relay when it changes hands: its agents begin to ask, or cease to', async () => {
    const node = new Node();
    node.calls.ownership.follow(storedIceCall('192.0.2.1'), 2);
    const before = node.relay.reconciled;
    await node.calls.ownership.takeOver('call', 'by command');
    expect(node.relay.reconciled).to.equal(before + 1);
    void node.calls.ownership.giveUpAll();
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

describe('the keys of SRTP', () => {
  const sdes = { offered: [], own: [], passthrough: false, required: true };
  const line = { tag: 1, suite: 'AES_CM_128_HMAC_SHA1_80' as const, mki: null };
  const open = { unencryptedSrtp: false, unencryptedSrtcp: false, unauthenticatedSrtp: false };
  const keyed = (state: CallState): CallState => ({
    ...state,
    medias: state.medias.map((media) => {
      const copy = copyOfMedia(media);
      const key = Buffer.alloc(30, 0xab).toString('base64');
      copy.sdes = { ...sdes, receive: null, send: { ...line, ...open, key } };
      return copy;
    }),
  });

  it('are in the log when that is asked for, once for each, and else never', () => {
    for (const options of [[], ['--log-srtp-keys']]) {
      const node = new Node({ options });
      node.calls.ownership.follow(keyed(storedCall()), 2);
      node.calls.ownership.follow(keyed(storedCall()), 2);
      const said = node.lines.filter((text) => text.includes('abababab'));
      expect(said).to.have.length(options.length === 0 ? 0 : 4);
    }
  });

  it('go on from indexes that are stored before the next process can ask: it starts above them', async () => {
    const stored = keyed(storedCall());
    const index = { direction: 'send', ssrc: 5, rtp: 100, rtcp: 40, offset: 0 } as const;
    const told = {
      ...stored,
      medias: stored.medias.map((media) => {
        const copy = copyOfMedia(media);
        copy.security = securityOf(copy.security, copy.sdes);
        copy.srtpIndexes = [index];
        return copy;
      }),
    };
    const bases: number[] = [];
    let value = encodeCall(told, 'JSON', settings);
    // Each process dies before it has told of anything that it sent.
    for (let life = 0; life < 4; life += 1) {
      const { state } = decodeCall('call', value, settings);
      const node = new Node();
      expect(node.calls.ownership.adopt(state)).to.equal(null);
      await settled();
      const saved = node.store.values.get('call');
      if (saved === undefined) throw new Error('nothing is stored');
      const [base] = saved.medias[0]?.srtpResume.send ?? [];
      expect(saved.medias[0]?.srtpIndexes).to.deep.equal([base]);
      bases.push(base?.rtcp ?? 0);
      value = encodeCall(saved, 'JSON', settings);
    }
    for (const [at, base] of bases.entries())
      expect(base - (bases[at - 1] ?? 40)).to.be.above(65_535);
  });

  it('of a call without any are no reason to store it again', async () => {
    const node = new Node();
    expect(node.calls.ownership.adopt(storedCall())).to.equal(null);
    await settled();
    expect(node.store.values.has('call')).to.equal(false);
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

  it('is no more when the keys come after all', () => {
    const node = new Node();
    node.calls.ownership.adopt(storedDtlsCall(false));
    const media = node.calls.table.call('call')?.medias[0];
    const half = { key: Buffer.alloc(16, 1), salt: Buffer.alloc(14, 2) };
    node.relay.raise({
      ...{ type: 'dtls-status', callId: 'call', transportId: media?.streams[0] ?? -1 },
      ...{ generation: media?.security.generation ?? -1, status: 'keyed' },
      keys: { suite: 'AES_CM_128_HMAC_SHA1_80', send: half, receive: half, certificate: Buffer.of(1) },
    });
    expect(marks(node)).to.deep.equal([false, false]);
    expect(node.lines.join('\n')).to.contain('cut off has ended well');
    expect(node.lines.join('\n'), 'no key is logged').not.to.contain('0101');
  });

  it('begins at the standby once that has the call', async () => {
    const node = new Node();
    node.calls.ownership.follow(storedDtlsCall(false), 2);
    const planned = (): readonly boolean[] =>
      (node.relay.plans.get('call')?.transports ?? []).map(({ dtls }) => dtls !== null);
    expect(planned()).not.to.include(true);
    await node.calls.ownership.takeOver('call', 'by command');
    expect(planned()[0]).to.equal(true);
  });

  it('is none where the keys are there', () => {
    const node = new Node();
    expect(node.calls.ownership.adopt(storedDtlsCall(true))).to.equal(null);
    expect(marks(node)).to.deep.equal([false, false]);
    expect(node.lines.join('\n')).not.to.contain('handshake');
  });
});
