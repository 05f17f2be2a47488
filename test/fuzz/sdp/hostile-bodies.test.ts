/** Bodies from enemies: whatever they say, the model answers with a body or with one of its errors. */
import { expect } from 'chai';
import fc from 'fast-check';
import { SignallingError } from '../../../src/media/errors.js';
import { parseSdp } from '../../../src/sdp/lines.js';
import { SdpError } from '../../../src/sdp/types.js';
import { body, ModelCall } from '../../unit/media/support.js';

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
  const shapes: readonly (readonly [string, string])[] = [
    ['64 KiB of a=', `${good}${'a='.repeat(32_000)}`],
    ['32,000 empty attributes', `${good}${'a=\r\n'.repeat(16_000)}`],
    ['no line end at all', 'v=0'.padEnd(65_536, 'x')],
    ['one long attribute', `${good}a=x:${'y'.repeat(64_000)}\r\n`],
    ['10,000 sections', good + 'm=audio 6000 RTP/AVP 0\r\n'.repeat(10_000)],
    ['10,000 formats', good.replace('0 8 101', '0 '.repeat(10_000))],
    ['10,000 rtpmaps', good + 'a=rtpmap:0 X/1\r\n'.repeat(10_000)],
    ['as many sections as are taken', good + 'm=audio 6000 RTP/AVP 0\r\n'.repeat(127)],
    ['one long format', good.replace('0 8 101', '1'.repeat(60_000))],
    ['one long protocol', good.replace('RTP/AVP', 'RTP/'.repeat(15_000))],
    ['one long number', good.replace('6000', '6'.repeat(60_000))],
    ['10,000 feedback lines', good + 'a=rtcp-fb:0 x\r\n'.repeat(9_000)],
    ['long runs of spaces', `${good}a=rtcp:${' '.repeat(30_000)}1${' '.repeat(30_000)}x\r\n`],
    ['10,000 sessions', 'v=0\r\n'.repeat(10_000)],
    ['NULs', `${good}\0\0\0=\0`],
    ['colons', `${good}c=IN IP6 ${':'.repeat(30_000)}\r\n`],
    ['dots', `${good}c=IN IP4 ${'.'.repeat(30_000)}\r\n`],
    ['spaces', `${good}m=${' '.repeat(60_000)}\r\n`],
  ];
  for (const [name, text] of shapes) {
    it(`${name} are taken or refused in time`, function () {
      // A quadratic reader would need minutes for one of these.
      this.timeout(5_000);
      for (let i = 0; i < 10; i++) outcomeOf(text);
      expect(outcomeOf(text)).to.be.oneOf(['taken', 'refused']);
    });
  }

  it('with all formats that are taken, none of them common, are compared in time', function () {
    this.timeout(5_000);
    const sections = (format: string): string =>
      good.slice(0, good.indexOf('m=')) +
      `m=audio 6000 RTP/AVP${` ${format}`.repeat(256)}\r\n`.repeat(128);
    const call = new ModelCall();
    call.offer(sections('0'));
    expect(call.answer(sections('8'))).to.include('m=audio ');
    expect(outcomeOf(good.replace('0 8 101', '0 '.repeat(257)))).to.equal('refused');
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
