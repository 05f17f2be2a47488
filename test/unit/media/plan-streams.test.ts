/** What the relay itself has to do for the streams of a call. */
import { expect } from 'chai';
import { mediaPlan } from '../../../src/media/plan.js';
import type { MediaPlan, StreamPlan } from '../../../src/media/relay.js';
import { interfaces, ModelCall, type Keys } from '../../support/unit/media.js';

const body = (port: number, media: readonly string[], address = '192.0.2.1'): string =>
  ['v=0', `o=- 1 1 IN IP4 ${address}`, 's=-', `c=IN IP4 ${address}`, 't=0 0', ...media]
    .join('\r\n')
    .replaceAll('PORT', String(port))
    .concat('\r\n');

const audio = ['m=audio PORT RTP/AVP 8'];
const video = [
  'm=video PORT RTP/AVPF 96 97',
  ...['a=rtpmap:96 VP8/90000', 'a=rtpmap:97 rtx/90000', 'a=fmtp:97 apt=96'],
];

/** The plan of a call of two with these sections. */
function planOf(
  media: readonly string[],
  calleePort = 6000,
  keys: Keys = {},
  answerKeys: Keys = {},
): MediaPlan {
  const call = new ModelCall();
  call.offer(body(5000, media), keys);
  const address = calleePort === 6000 ? '192.0.2.1' : '127.0.0.1';
  call.answer(body(calleePort, media, address), answerKeys);
  if (call.state === null) throw new Error('no call');
  return mediaPlan(call.state, interfaces);
}

/** RTP streams, the caller's first. */
const rtp = ({ streams, transports }: MediaPlan): readonly StreamPlan[] => {
  const isCallers = ({ transport }: StreamPlan): boolean =>
    transports.find(({ id }) => id === transport)?.remote.endpoint?.port === 5000;
  const all = streams.filter(({ kind }) => kind === 'rtp');
  return [...all.filter(isCallers), ...all.filter((stream) => !isCallers(stream))];
};

describe('the plan of a stream', () => {
  it('asks those who send video for key frames, by the way of their RTCP', () => {
    const plan = planOf(video);
    const [stream] = rtp(plan);
    const rtcp = plan.streams.find(({ id, kind }) => kind === 'rtcp' && id === stream?.ownRtcp?.by);
    expect(rtcp).to.not.equal(undefined);
    expect(stream?.ownRtcp).to.deep.include({
      reports: null,
      keyFrames: { pli: true, fir: false, payloadTypes: [96] },
    });
    const muxed = rtp(planOf([...video, 'a=rtcp-mux']));
    expect(muxed.map(({ id, ownRtcp }) => ownRtcp?.by === id)).to.deep.equal([true, true]);
  });

  it('asks by FIR those who have announced it and no PLI', () => {
    const asked = (...feedback: string[]): unknown =>
      rtp(planOf([...video, ...feedback.map((kind) => `a=rtcp-fb:96 ${kind}`)])).map(
        ({ ownRtcp }) => [ownRtcp?.keyFrames?.pli, ownRtcp?.keyFrames?.fir],
      )[0];
    expect(asked('ccm fir')).to.deep.equal([false, true]);
    expect(asked('ccm fir', 'nack pli')).to.deep.equal([true, false]);
    expect(asked('nack')).to.deep.equal([true, false]);
  });

  it('has none for audio, nor for a side that takes no part in feedback', () => {
    expect(rtp(planOf(audio)).map(({ ownRtcp }) => ownRtcp)).to.deep.equal([null, null]);
    const plain = video.map((line) => line.replace('AVPF', 'AVP'));
    expect(rtp(planOf(plain)).map(({ ownRtcp }) => ownRtcp)).to.deep.equal([null, null]);
  });

  it('looks for loops where the SDP names a port of this relay', () => {
    // 40000 is the first port that was handed out: what goes there comes back.
    const checked = rtp(planOf(audio, 40_000)).map(({ loopCheck }) => loopCheck);
    expect(checked).to.deep.equal([false, true]);
    expect(rtp(planOf(audio)).some(({ loopCheck }) => loopCheck)).to.equal(false);
    // Nobody has that one.
    expect(rtp(planOf(audio, 49_000)).some(({ loopCheck }) => loopCheck)).to.equal(false);
  });

  it('gets reports of our own in place of the other side’s, both sides of a call', () => {
    const plan = planOf(audio, 6000, { generateRtcp: 'on' });
    const reports = rtp(plan).map(({ ownRtcp }) => ownRtcp?.reports);
    expect(reports.map((each) => each?.intervalMs)).to.deep.equal([5000, 5000]);
    for (const each of reports) expect(each?.cname).to.match(/^[0-9a-f]{12}$/);
    expect(plan.routes.filter(({ kind }) => kind === 'rtcp')).to.deep.equal([]);
    expect(planOf(audio).routes.filter(({ kind }) => kind === 'rtcp')).to.have.length(4);
    const off = planOf(audio, 6000, { generateRtcp: 'on' }, { generateRtcp: 'off' });
    expect(rtp(off).map(({ ownRtcp }) => ownRtcp)).to.deep.equal([null, null]);
  });
});
