/** What explain makes of drops; the rest is set up for real in test/scenario/explain.test.ts. */
import { expect } from 'chai';
import type {
  DropReason,
  MosEntry,
  SsrcStatistics,
  StreamStatistics,
} from '../../../../src/media/relay.js';
import { explain, type Explanation } from '../../../../src/observe/explain/explain.js';
import { explanationText } from '../../../../src/observe/explain/text.js';
import { body, ModelCall } from '../../../support/unit/media.js';

const nowMicros = 100e6;

const heardBy = (streamId: number, latest: MosEntry): SsrcStatistics => ({
  ...{ ssrc: 1, streamId, cumulativeLoss: 3, average: null, lowest: null, highest: null },
  ...{ progressionIntervalSeconds: 5, progression: [latest], latest },
});

/** @param report what 'x' says of what 'a' sends. */
function explained(
  drops: Partial<Record<DropReason, number>>,
  dtls = false,
  report: MosEntry | null = null,
): Explanation {
  const call = new ModelCall();
  call.offer(body(6000));
  call.answer(body(7000));
  const { state } = call;
  if (state === null) throw new Error('no call');
  const medias = state.medias.map((media) => ({
    ...media,
    security: { ...media.security, ...(dtls ? { mode: 'DTLS' as const } : {}) },
  }));
  const streams = state.streams.map(({ id, endpoint }): StreamStatistics => ({
    ...{ streamId: id, packets: 50, bytes: 8600, errors: 0, kernelPackets: 0, kernelBytes: 0 },
    ...{ packetsOut: 40, bytesOut: 6880, lastPacketMicros: nowMicros, ssrc: 1, sources: [] },
    ...{ endpoint, confirmed: true, received: true, drops: id === 0 ? drops : {} },
  }));
  const ssrcs = report === null ? [] : [heardBy(call.stream('x').id, report)];
  return explain({
    state: { ...state, medias },
    ...{ statistics: { streams, ssrcs }, traces: [], ports: new Map(), nowMicros },
    ...{ timeoutSeconds: 60, ended: null },
  });
}

const findingsOf = ({ directions }: Explanation): readonly string[] =>
  directions.flatMap(({ findings }) => findings.map(({ text }) => text));

describe('an explanation', () => {
  it('is quiet about a call that flows', () => {
    const explanation = explained({});
    expect(explanation.summary).to.equal('Media flows in all directions.');
    expect(findingsOf(explanation)).to.deep.equal([]);
    expect(explanationText(explanation)).to.match(/^Call call: Media flows in all directions\.\n/);
  });

  it('begins with what the one sends who has called', () => {
    const senders = explained({}).directions.map(({ from }) => from.tag);
    expect(senders).to.deep.equal(['a', 'x']);
  });

  it('says how what is sent is heard, as far as that is known', () => {
    expect(explanationText(explained({}))).to.not.include('quality');
    const report = { mos: 32, jitterMs: 7.4, packetLossPercent: 6, reportedAtSeconds: 99 };
    const latest = { ...report, roundTripMicros: 0, roundTripLegMicros: 0 };
    const text = explanationText(explained({}, false, latest));
    const [first, second] = text.split('\n\n').slice(1);
    expect(first).to.include('\n  quality  6.0 % lost, jitter 7 ms, MOS 3.2');
    expect(second).to.not.include('quality');
  });

  it('does not look for what is at another node, whose call is kept ready here', () => {
    const call = new ModelCall();
    call.offer(body(6000));
    call.answer(body(7000));
    const { state } = call;
    if (state === null) throw new Error('no call');
    const away = { address: '192.0.2.1', port: 30_000, family: 'IP4' } as const;
    const port = { endpoint: away, advertised: away.address, isHere: false };
    const told = (ownership: 'own' | 'foreign'): Explanation =>
      explain({
        state: { ...state, ownership, redisHostedDb: 3 },
        ports: new Map(state.sockets.map(({ id }) => [id, port])),
        ...{ statistics: { streams: [], ssrcs: [] }, traces: [], nowMicros },
        ...{ timeoutSeconds: 60, ended: null },
      });
    expect(told('foreign').summary).to.equal(
      "The call is another node's (Redis database 3); here it is kept ready.",
    );
    expect(findingsOf(told('foreign'))).to.deep.equal([]);
    expect(findingsOf(told('own')).join()).to.include('is not on this machine');
  });

  it('says what other drops mean', () => {
    const texts = findingsOf(explained({ loop: 3, repeated: 2, 'unknown-stream': 1 }));
    expect(texts).to.deep.equal([
      "2 packets of 'x' were dropped because their SRTP index was used before (sent twice, or replayed).",
      "3 packets of 'x' were dropped because they had come again and again: they go round in a circle.",
      "1 packets of 'x' were dropped because they belong to no section of its bundle.",
    ]);
  });

  it('tells missing keys of DTLS from those of SDES', () => {
    expect(findingsOf(explained({ 'no-key': 4 }, true))[0]).to.match(
      /the DTLS handshake with 'x' is not complete\.$/,
    );
    expect(findingsOf(explained({ 'no-key': 4 }))[0]).to.match(
      /because keys for 'a' or 'x' are missing\.$/,
    );
  });
});
