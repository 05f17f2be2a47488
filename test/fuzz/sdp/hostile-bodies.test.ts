/** Bodies from enemies: whatever they say, the model answers with a body or with one of its errors. */
import { expect } from 'chai';
import fc from 'fast-check';
import { SignallingError } from '../../../src/media/errors.js';
import { maxMedias, parseSdp } from '../../../src/sdp/lines.js';
import { SdpError } from '../../../src/sdp/types.js';
import { costRatio } from '../../support/cost.js';
import { body, ModelCall } from '../../support/unit/media.js';

/** Of the reader alone, and of the model with the writer. */
function outcomeOf(text: string): 'taken' | 'refused' {
  try {
    parseSdp(text);
    new ModelCall().offer(text);
    return 'taken';
  } catch (error) {
    if (error instanceof SdpError || error instanceof SignallingError) return 'refused';
    throw error;
  }
}

describe('hostile bodies', () => {
  const good = body(6000);
  /** Bodies of about `size` bytes that have too much of something. */
  const shapes: readonly (readonly [name: string, (size: number) => string])[] = [
    ['a=', (size) => `${good}${'a='.repeat(size / 2)}`],
    ['empty attributes', (size) => good + 'a=\r\n'.repeat(size / 4)],
    ['text without a line end', (size) => 'v=0'.padEnd(size, 'x')],
    ['one attribute', (size) => `${good}a=x:${'y'.repeat(size)}\r\n`],
    ['sections', (size) => good + 'm=audio 6000 RTP/AVP 0\r\n'.repeat(size / 24)],
    // 10.5 does not survive a few thousand formats, so these stay below.
    ['formats', (size) => good.replace('0 8 101', '0 '.repeat(size / 32))],
    ['rtpmaps', (size) => good + 'a=rtpmap:0 X/1\r\n'.repeat(size / 16)],
    ['one format', (size) => good.replace('0 8 101', '1'.repeat(size))],
    ['one protocol', (size) => good.replace('RTP/AVP', 'RTP/'.repeat(size / 4))],
    ['one number', (size) => good.replace('6000', '6'.repeat(size))],
    ['feedback lines', (size) => good + 'a=rtcp-fb:0 x\r\n'.repeat(size / 15)],
    ['spaces in a=rtcp', (size) => `${good}a=rtcp:${' '.repeat(size)}1${' '.repeat(size)}x\r\n`],
    ['sessions', (size) => 'v=0\r\n'.repeat(size / 5)],
    ['NULs', (size) => `${good}${'\0'.repeat(size)}=\0`],
    [
      'distinct late lines',
      (size) => good + Array.from({ length: size / 8 }, (_, at) => `t=${at}\r\n`).join(''),
    ],
    ['colons', (size) => `${good}c=IN IP6 ${':'.repeat(size)}\r\n`],
    ['dots', (size) => `${good}c=IN IP4 ${'.'.repeat(size)}\r\n`],
    ['spaces', (size) => `${good}m=${' '.repeat(size)}\r\n`],
  ];
  const [small, large] = [6400, 64_000];
  for (const [name, text] of shapes) {
    it(`64,000 bytes of ${name} are taken or refused for no more work per byte than 6,400`, function () {
      this.timeout(60_000);
      const work = (size: number): (() => void) => {
        const made = text(size);
        return () => void outcomeOf(made);
      };
      // Ten is linear, a hundred quadratic.
      expect(costRatio(work(small), work(large))).to.be.lessThan(40);
    });
  }

  it('with as many sections and formats as are taken are taken, and with one more refused', () => {
    const more = (count: number): string => good + 'm=audio 6000 RTP/AVP 0\r\n'.repeat(count);
    expect(outcomeOf(more(maxMedias - 1))).to.equal('taken');
    expect(outcomeOf(more(maxMedias))).to.equal('refused');
    expect(outcomeOf(good.replace('0 8 101', '0 '.repeat(256)))).to.equal('taken');
    expect(outcomeOf(good.replace('0 8 101', '0 '.repeat(257)))).to.equal('refused');
  });

  it('of many formats, none of them common, are compared for no more work per format', function () {
    this.timeout(60_000);
    const session = good.slice(0, good.indexOf('m='));
    const section = (format: string, count: number): string =>
      `${session}m=audio 6000 RTP/AVP${` ${format}`.repeat(count)}\r\n`;
    const compare = (count: number) => (): void => {
      const call = new ModelCall();
      call.offer(section('0', count));
      expect(call.answer(section('8', count))).to.include('m=audio ');
    };
    // Eight is linear, 64 quadratic.
    expect(costRatio(compare(32), compare(256))).to.be.lessThan(32);
  });

  it('mutated at any place are taken or refused; what is written for the other side is a body', () => {
    const full = body(6000, [
      'a=rtcp:6055 IN IP4 192.0.2.11',
      'a=rtcp-mux',
      'a=ptime:20',
      'a=sendonly',
      'b=AS:64',
      'm=video 6100 RTP/AVPF 96',
      'a=rtpmap:96 H264/90000',
      'a=rtcp-fb:96 nack',
      'a=mid:1',
    ]);
    const change = fc.record({
      at: fc.nat(full.length),
      cut: fc.nat(20),
      text: fc.oneof(
        fc.string({ maxLength: 8 }),
        fc.constantFrom('\r\n', '=', '/', ':', ' ', '-1', '99999999999', 'm=', 'v=0\r\n', '\0'),
      ),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        let text = full;
        for (const { at, cut, text: added } of changes) {
          text = text.slice(0, at) + added + text.slice(at + cut);
        }
        const call = new ModelCall();
        let written: string;
        try {
          written = call.offer(text);
        } catch (error) {
          if (!(error instanceof SignallingError)) throw error;
          expect(call.state).to.equal(null);
          return;
        }
        if (text === '') return;
        const sectionsOf = (sdp: string): readonly string[] =>
          parseSdp(sdp).sessions.flatMap(({ medias }) => medias.map(({ type }) => type));
        expect(sectionsOf(written)).to.deep.equal(sectionsOf(text));
      }),
      { numRuns: 3000 },
    );
  });
});
