/** What `query` says beyond rtpengine 10.5: sources, the kernel's share, what went out, when it was stored. */
import { expect } from 'chai';
import type { CallStatistics, SsrcStatistics, StreamStatistics } from '../../../src/media/relay.js';
import type { NgDictionary, NgValue } from '../../../src/ng-protocol/dictionary.js';
import { callDictionary, type QueryOptions } from '../../../src/observe/query-reply.js';
import { body, ModelCall } from '../../support/unit/media.js';

function answeredCall(): ModelCall {
  const call = new ModelCall();
  call.offer(body(6000).replace('RTP/AVP', 'RTP/AVPF'));
  call.answer(body(7000).replace('RTP/AVP', 'RTP/AVPF'));
  return call;
}

const figures = (streamId: number, more: Partial<StreamStatistics>): StreamStatistics => ({
  ...{ streamId, packets: 0, bytes: 0, errors: 0, kernelPackets: 0, kernelBytes: 0 },
  ...{ packetsOut: 0, bytesOut: 0, lastPacketMicros: 0, ssrc: null, endpoint: null },
  ...{ confirmed: false, received: false, drops: {}, sources: [] },
  ...more,
});

const member = (value: NgValue | undefined, ...path: readonly (string | number)[]): NgValue => {
  let at = value;
  for (const step of path) {
    if (typeof step === 'number') at = (at as readonly NgValue[])[step];
    else at = (at as NgDictionary).get(step);
  }
  if (at === undefined) throw new Error(`no ${path.join('.')}`);
  return at;
};

function query(
  call: ModelCall,
  statistics: CallStatistics,
  options: Partial<QueryOptions> = {},
): NgDictionary {
  if (call.state === null) throw new Error('no call');
  return callDictionary(call.state, statistics, {
    ...{ tag: null, localAddressOf: () => '192.0.2.1', storedMicros: 0, ssrcReporting: 'full' },
    ...options,
  });
}

const mos = {
  mos: 43,
  roundTripMicros: 5,
  roundTripLegMicros: 2,
  jitterMs: 1,
  packetLossPercent: 0,
};
const quality = (ssrc: number, streamId: number): SsrcStatistics => ({
  ...{ ssrc, streamId, cumulativeLoss: 3, average: { ...mos, samples: 2 } },
  ...{ lowest: null, highest: null, progressionIntervalSeconds: 10, progression: [] },
});

/** Ids of the RTP streams of both sides. */
const rtpOf = (call: ModelCall): readonly [a: number, x: number] => [
  call.stream('a').id,
  call.stream('x').id,
];

describe('the query reply', () => {
  it('has the sources of each media, by what was heard last', () => {
    const call = answeredCall();
    const [a, x] = rtpOf(call);
    const reply = query(call, {
      streams: [
        figures(a, { packets: 10, bytes: 1720, ssrc: 11, packetsOut: 7, bytesOut: 1204 }),
        figures(x, { packets: 7, bytes: 1204, ssrc: 22, packetsOut: 9, bytesOut: 1548 }),
      ],
      ssrcs: [quality(11, a)],
    });
    const ingress = member(reply, 'tags', 'a', 'medias', 0, 'ingress SSRCs', 0) as NgDictionary;
    expect([...ingress.keys()]).to.deep.equal([
      ...['SSRC', 'bytes', 'packets', 'cumulative loss', 'average MOS'],
    ]);
    expect([...ingress.values()].slice(0, 4)).to.deep.equal([11, 1720, 10, 3]);
    const egress = member(reply, 'tags', 'a', 'medias', 0, 'egress SSRCs', 0) as NgDictionary;
    expect([...egress]).to.deep.equal([
      ['SSRC', 22],
      ['bytes', 1204],
      ['packets', 7],
    ]);
    expect(member(reply, 'tags', 'x', 'medias', 0, 'egress SSRCs', 0, 'packets')).to.equal(9);
    const stream = member(reply, 'tags', 'a', 'medias', 0, 'streams', 0) as NgDictionary;
    expect(member(stream, 'stats_out', 'packets')).to.equal(7);
    expect(member(stream, 'SSRC'), 'Kamailio 5.6 reads it').to.equal(11);
  });

  it('has every source that the relay knows', () => {
    const call = answeredCall();
    const [a, x] = rtpOf(call);
    const counts = { packets: 1, bytes: 2, lastTimestamp: 160, lastSequence: 7 };
    const more = { lost: 0, duplicates: 0, reordered: 0, skips: 0, resets: 0, jitter: 0 };
    const reply = query(call, {
      streams: [
        figures(a, {
          ...{ packets: 3, ssrc: 2 },
          sources: [
            { ssrc: 2, payloadType: 0, counts: { ...counts, ...more } },
            { ssrc: 1, payloadType: 8, counts: null },
            { ssrc: 5, payloadType: null, counts: null },
          ],
        }),
        figures(x, { packetsOut: 4 }),
      ],
      ssrcs: [],
    });
    const numbers = (tag: string, direction: string): readonly NgValue[] => {
      const list = member(reply, 'tags', tag, 'medias', 0, `${direction} SSRCs`);
      return (list as readonly NgDictionary[]).map((entry) => member(entry, 'SSRC'));
    };
    expect(numbers('a', 'ingress'), 'the third has sent RTCP alone').to.deep.equal([2, 1]);
    expect(numbers('x', 'egress')).to.deep.equal([2, 1]);
    expect(numbers('a', 'egress'), 'nothing was sent').to.deep.equal([]);
    const first = member(reply, 'tags', 'a', 'medias', 0, 'ingress SSRCs', 0) as NgDictionary;
    expect([...first]).to.deep.equal([
      ['SSRC', 2],
      ['bytes', 2],
      ['packets', 1],
      ['last RTP timestamp', 160],
      ['last RTP seq', 7],
      ...(['lost', 'duplicates', 'reordered', 'jitter'] as const).map((name) => [name, 0]),
    ]);
    const second = member(reply, 'tags', 'a', 'medias', 0, 'ingress SSRCs', 1) as NgDictionary;
    expect([...second], 'not counted of it alone').to.deep.equal([['SSRC', 1]]);
  });

  it('shows figures of sources where it is told to', () => {
    const call = answeredCall();
    const [a] = rtpOf(call);
    const statistics = { streams: [], ssrcs: [quality(11, a)] };
    for (const [ssrcReporting, globally, inline] of [
      ['full', true, true],
      ['inline', false, true],
      ['global', true, false],
      ['none', false, false],
    ] as const) {
      const reply = query(call, statistics, { ssrcReporting });
      const media = member(reply, 'tags', 'a', 'medias', 0) as NgDictionary;
      expect(reply.has('SSRC'), ssrcReporting).to.equal(globally);
      expect(media.has('ingress SSRCs'), ssrcReporting).to.equal(inline);
    }
  });

  it('tells packets of the kernel from those of userspace', () => {
    const call = answeredCall();
    const [a, x] = rtpOf(call);
    const times = (more: Partial<StreamStatistics>, id: number): readonly NgValue[] => {
      const reply = query(call, { streams: [figures(id, more)], ssrcs: [] });
      const stream = member(reply, 'tags', id === a ? 'a' : 'x', 'medias', 0, 'streams', 0);
      return ['last packet', 'last kernel packet', 'last user packet'].map((key) =>
        member(stream, key),
      );
    };
    expect(times({ lastPacketMicros: 9e6 }, a)).to.deep.equal([9, 0, 9]);
    const both = { lastPacketMicros: 9e6, lastKernelPacketMicros: 9e6, lastUserPacketMicros: 4e6 };
    expect(times(both, x)).to.deep.equal([9, 9, 4]);
  });

  it('says when the call was stored, what it is about, its aliases and its flags', () => {
    const call = answeredCall();
    call.offer(`${body(6000)}a=rtcp-fb:* nack\r\n`, { metadata: 'about', toTag: 'x' });
    const reply = query(call, { streams: [], ssrcs: [] }, { storedMicros: 5_500_000 });
    expect([...reply.keys()]).to.deep.equal([
      ...[
        'created',
        'created_us',
        'created_ts',
        'last signal',
        'last redis update',
        'metadata',
        'SSRC',
        'tags',
      ],
      'totals',
    ]);
    expect(reply.get('last redis update')).to.equal(5);
    expect(reply.get('metadata')).to.equal('about');
    const tag = member(reply, 'tags', 'a') as NgDictionary;
    expect([...tag.keys()]).to.deep.equal([
      ...['tag', 'metadata', 'created', 'tag-aliases', 'subscriptions', 'subscribers', 'medias'],
      'VSC',
    ]);
    expect(member(tag, 'tag-aliases')).to.deep.equal([]);
    expect(member(tag, 'medias', 0, 'flags')).to.include('RTCP feedback');
  });
});
