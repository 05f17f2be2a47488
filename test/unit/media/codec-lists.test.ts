/** What goes with a codec stays with it: repetitions (rtx) and redundancy (red). */
import { expect } from 'chai';
import { ModelCall, type Keys } from '../../support/unit/media.js';
import { parsed } from '../../support/unit/ng-protocol.js';

const video = [
  'v=0',
  'o=- 1 1 IN IP4 192.0.2.10',
  's=-',
  'c=IN IP4 192.0.2.10',
  't=0 0',
  'm=video 6000 RTP/AVPF 96 97 98 99 118 119',
  'a=rtpmap:96 VP8/90000',
  'a=rtcp-fb:96 nack pli',
  'a=rtpmap:97 rtx/90000',
  'a=fmtp:97 apt=96',
  'a=rtpmap:98 VP9/90000',
  'a=fmtp:98 profile-id=0',
  'a=rtpmap:99 rtx/90000',
  'a=fmtp:99 apt=98',
  'a=rtpmap:118 red/90000',
  'a=rtpmap:119 rtx/90000',
  'a=fmtp:119 apt=118',
  '',
].join('\r\n');

const strip = (...names: readonly string[]): Keys => ({
  edits: parsed({ codec: { strip: [...names] } }).edits,
});

const typesOf = (sdp: string): string => /m=video \d+ \S+ (.*)\r/.exec(sdp)?.[1] ?? '';

/** Payload types that lines of the body speak of. */
const described = (sdp: string): readonly string[] => [
  ...new Set([...sdp.matchAll(/a=(?:rtpmap|fmtp|rtcp-fb):(\d+)/g)].map(([, type = '']) => type)),
];

describe('codecs that go with others', () => {
  it('leave an offer with them, and no line speaks of them', () => {
    for (const [keys, expected] of [
      [{}, '96 97 98 99 118 119'],
      [strip('VP8'), '98 99 118 119'],
      [strip('VP8', 'red'), '98 99'],
    ] as const) {
      const sdp = new ModelCall().offer(video, keys);
      expect(typesOf(sdp)).to.equal(expected);
      expect(described(sdp)).to.deep.equal(expected.split(' '));
    }
  });

  it('leave an answer with them', () => {
    const call = new ModelCall();
    call.offer(video);
    const sdp = call.answer(video, strip('VP9'));
    expect(typesOf(sdp)).to.equal('96 97 118 119');
    expect(described(sdp)).to.deep.equal(['96', '97', '118', '119']);
  });

  it('stay where what they are about is not said', () => {
    const unsaid = video.replace('a=fmtp:97 apt=96\r\n', '');
    expect(typesOf(new ModelCall().offer(unsaid, strip('VP8')))).to.equal('97 98 99 118 119');
  });
});
