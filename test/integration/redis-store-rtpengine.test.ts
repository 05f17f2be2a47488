/** Values crossing between this store and rtpengine 10.5; skipped where that is not installed. */
import { expect } from 'chai';
import type { CallState, SdpMemory } from '../../src/media/call-state.js';
import type { NgValue } from '../../src/ng-protocol/dictionary.js';
import { rtpengineInstalled } from '../support/daemons.js';
import { makeStore, startRedis, TestRtpengine, type TestRedis } from './redis-store-support.js';
import { freeUdpRange } from '../support/free-ports.js';
import { until } from '../support/wait.js';

const sdp = (address: string, port: number, video = false): string =>
  [
    'v=0',
    `o=- 1 1 IN IP4 ${address}`,
    's=-',
    `c=IN IP4 ${address}`,
    't=0 0',
    `m=audio ${port} RTP/AVP 8 101`,
    'a=rtpmap:8 PCMA/8000',
    'a=rtpmap:101 telephone-event/8000',
    'a=fmtp:101 0-15',
    ...(video ? [`m=video ${port + 2} RTP/AVP 96`, 'a=rtpmap:96 H264/90000'] : []),
    '',
  ].join('\r\n');

function member(value: NgValue | undefined, key: string): NgValue | undefined {
  return value instanceof Map ? value.get(key) : undefined;
}

/** Ports and flags of a query reply by tag, without what changes by itself. */
function portsOf(reply: ReadonlyMap<string, NgValue>): Record<string, NgValue[]> {
  const ports: Record<string, NgValue[]> = {};
  const tags = reply.get('tags');
  if (!(tags instanceof Map)) return ports;
  for (const [tag, facts] of tags) {
    const medias = member(facts, 'medias');
    ports[tag] = (Array.isArray(medias) ? medias : []).flatMap((media: NgValue) => {
      const streams = member(media, 'streams');
      return (Array.isArray(streams) ? streams : []).map((stream: NgValue) =>
        JSON.stringify([
          member(stream, 'local port') ?? '',
          member(member(stream, 'endpoint'), 'address') ?? '',
          member(member(stream, 'endpoint'), 'port') ?? '',
          member(stream, 'flags') ?? '',
        ]),
      );
    });
  }
  return ports;
}

const memory: SdpMemory = {
  username: '-',
  sessionId: '1',
  version: '1',
  networkType: 'IN',
  addressType: 'IP4',
  address: '192.0.2.1',
  sessionName: '-',
  timing: '0 0',
  bodyDigest: 'abc',
};

/** With everything that we add to the layout of 10.5. */
function withAdditions(state: CallState): CallState {
  return {
    ...state,
    tos: -1,
    dropTraffic: false,
    participants: state.participants.map((entry) => ({
      ...entry,
      desiredFamily: 'IP4',
      aliases: ['other tag'],
      sdpReceived: memory,
      sdpSent: memory,
    })),
    medias: state.medias.map((media) => ({
      ...media,
      endpointLearning: 'immediate',
      maxPtimeMs: 40,
      bandwidth: { as: 64, rr: -1, rs: -1 },
    })),
    streams: state.streams.map((stream) => ({ ...stream, learningGeneration: 2 })),
  };
}

describe('a call between rtpengine 10.5 and this store', () => {
  let redis: TestRedis;
  before(async function () {
    if (!rtpengineInstalled) this.skip();
    redis = await startRedis();
  });
  after(async () => {
    await redis?.end();
  });

  it('is read from rtpengine, written again and restored by rtpengine on the same ports', async () => {
    const callId = 'crossing "1" %';
    const { min } = freeUdpRange(402);
    const first = await TestRtpengine.start(redis, 1, min);
    let before: ReadonlyMap<string, NgValue>;
    try {
      const request = { 'call-id': callId, 'from-tag': 'f%t', direction: ['lo', 'ext'] };
      await first.request({ command: 'offer', ...request, sdp: sdp('198.51.100.1', 2000, true) });
      await first.request({
        command: 'answer',
        ...request,
        'to-tag': 'tt',
        sdp: sdp('198.51.100.2', 3000, true),
      });
      before = await first.request({ command: 'query', 'call-id': callId });
    } finally {
      await first.end();
    }

    const { store } = makeStore(redis.server(1));
    await store.start();
    const restored: CallState[] = [];
    const report = await store.restore((state) => {
      restored.push(state);
      return null;
    });
    expect(report.failures).to.deep.equal([]);
    const state = restored[0];
    if (state === undefined) throw new Error('nothing restored');
    expect(state.callId).to.equal(callId);
    expect(state.participants.map(({ tag }) => tag)).to.deep.equal(['f%t', 'tt']);
    expect(store.format).to.equal('JSON-10.5');
    expect(await store.save(withAdditions(state))).to.equal('committed');
    await store.close();

    const second = await TestRtpengine.start(redis, 1, min);
    try {
      await until(() => second.output.text.includes('Redis restore time'), 'restored');
      expect(second.output.text).to.not.include('Failed to restore');
      const after = await second.request({ command: 'query', 'call-id': callId });
      expect(after.get('result')).to.equal('ok');
      expect(Object.keys(portsOf(before)).sort()).to.deep.equal(['f%t', 'tt']);
      expect(portsOf(after)).to.deep.equal(portsOf(before));
    } finally {
      await second.end();
    }
  });
});
