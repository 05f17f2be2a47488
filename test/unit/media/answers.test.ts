/** What of an answer reaches the offerer (RFC 3264 §6), one answer after the other. */
import { expect } from 'chai';
import type { StoredFormat } from '../../../src/redis-store/schema.js';
import { decodeCall, encodeCall } from '../../../src/redis-store/codec.js';
import { settings } from '../../support/unit/redis-store.js';
import { body, ModelCall, portOf } from '../../support/unit/media.js';

const formatsOf = (sdp: string): readonly string[] =>
  [...sdp.matchAll(/^m=\S+ \d+ \S+ ?(.*)\r$/gm)].map(([, formats = '']) => formats);
const withFormats = (formats: string, address = '192.0.2.77'): string =>
  body(7000, [], address).replace('0 8 101', formats);
const offered = withFormats('8 18 101', '192.0.2.10');

const video = 'm=video 7100 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n';

describe('a later answer', () => {
  it('is compared with what was offered, not with what an earlier answer left of it', () => {
    const call = new ModelCall();
    call.offer(offered);
    for (const formats of ['8 101', '18 101', '8 18 101', '18', '18 101', '101 8']) {
      expect(formatsOf(call.answer(withFormats(formats)))).to.deep.equal([formats]);
    }
    expect(call.answer(withFormats('18 9 101'))).to.include('RTP/AVP 18 101\r\n');
  });

  it('of another to-tag or branch likewise', () => {
    const call = new ModelCall();
    call.offer(offered, { viaBranch: '1' });
    call.offer(withFormats('8 18 9 101', '192.0.2.10'), { viaBranch: '2' });
    const first = call.answer(withFormats('8 101'), { viaBranch: '1' });
    const second = call.answer(withFormats('18 9 101'), { viaBranch: '2', toTag: 'y' });
    const third = call.answer(withFormats('18 101'), { toTag: 'z' });
    expect([first, second, third].flatMap(formatsOf)).to.deep.equal([
      '8 101',
      '18 9 101',
      '18 101',
    ]);
  });

  it('to an UPDATE is compared with the UPDATE', () => {
    const call = new ModelCall();
    call.offer(offered);
    call.answer(withFormats('8 101'));
    call.offer(withFormats('8 18', '192.0.2.10'), { toTag: 'x' });
    expect(formatsOf(call.answer(withFormats('18 101')))).to.deep.equal(['18']);
  });

  for (const format of ['JSON', 'JSON-10.5', 'bencode'] satisfies StoredFormat[]) {
    it(`is compared with what was offered after a restore from ${format}`, () => {
      const call = new ModelCall();
      call.offer(offered + video);
      call.answer(withFormats('8 101') + video);
      if (call.state === null) throw new Error('no call');
      call.state = decodeCall('call', encodeCall(call.state, format, settings), settings).state;
      expect(formatsOf(call.answer(withFormats('18 101')))).to.deep.equal(['18 101', '96']);
    });
  }
});

describe('an answer', () => {
  it('without any offered codec shows the first one offered, with its rtpmap', () => {
    const call = new ModelCall();
    const opus = 'a=rtpmap:96 opus/48000/2';
    call.offer(body(6000, [opus]).replace('0 8 101', '101 96 0'));
    const answered = call.answer(withFormats('18'));
    expect(formatsOf(answered)).to.deep.equal(['96']);
    expect(call.warnings.join()).to.include('none of the offered codecs; opus');
    expect(answered).to.include(`${opus}\r\n`);
    expect(formatsOf(call.answer(withFormats('0 18')))).to.deep.equal(['0']);
    expect(call.warnings).to.deep.equal([]);
  });

  it('that names an offered number without saying what it is gets the rtpmap of the offer', () => {
    const call = new ModelCall();
    call.offer(body(6000, ['a=rtpmap:96 opus/48000/2']).replace('0 8 101', '0 96'));
    expect(call.answer(withFormats('96'))).to.include('a=rtpmap:96 opus/48000/2\r\n');
  });

  it('with fewer sections refuses the others, and a later one takes them up again', () => {
    const call = new ModelCall();
    call.offer(`${body(6000)}${video}a=mid:v\r\nm=image 6200 udptl t38\r\n`);
    const early = call.answer(body(7000, [], '192.0.2.77'));
    expect(early.split(/^(?=m=)/m).slice(2)).to.deep.equal([
      'm=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\n',
      'm=image 0 udptl t38\r\nc=IN IP4 0.0.0.0\r\n',
    ]);
    expect(
      call.state?.streams.filter(({ selectedSocket }) => selectedSocket === null),
    ).to.have.lengthOf(8);
    const whole = call.answer(`${body(7000, [], '192.0.2.77')}${video}m=image 7200 udptl t38\r\n`);
    expect(portOf(whole.slice(whole.indexOf('m=video')))).to.be.greaterThan(0);
    expect(call.state?.streams.every(({ selectedSocket }) => selectedSocket !== null)).to.equal(
      true,
    );
  });

  it('without any section refuses all; an offer without any is none', () => {
    const call = new ModelCall();
    const none = body(7000, [], '192.0.2.77').replace(/m=[^]*/, '');
    expect(() => call.offer(none)).to.throw('Error rewriting SDP');
    call.offer(body(6000) + video);
    expect(call.answer(none).match(/^m=\w+ \d+/gm)).to.deep.equal(['m=audio 0', 'm=video 0']);
  });

  it('has the formats of its own section where that is of another type than the offered one', () => {
    const call = new ModelCall();
    call.offer(withFormats('8 101', '192.0.2.10') + video);
    const head = body(7000, [], '192.0.2.77').replace(/m=[^]*/, '');
    const swapped = `${head}${video}m=audio 7000 RTP/AVP 8\r\n`;
    expect(formatsOf(call.answer(swapped))).to.deep.equal(['96', '8']);
  });

  it('names each format once', () => {
    const call = new ModelCall();
    call.offer(offered);
    expect(formatsOf(call.answer(withFormats('8 18 8 101 18')))).to.deep.equal(['8 18 101']);
  });

  it('to an offer with fewer sections than before has as many as that', () => {
    const call = new ModelCall();
    call.offer(body(6000) + video);
    call.answer(body(7000, [], '192.0.2.77') + video);
    call.offer(body(6000), { toTag: 'x' });
    expect(formatsOf(call.answer(body(7000, [], '192.0.2.77')))).to.have.lengthOf(1);
  });
});

describe('a refused section', () => {
  for (const formats of ['255', '*', 'foo', '0 foo 8', '']) {
    it(`with the formats '${formats}' is passed on; an answer shows those that were offered`, () => {
      const line = `m=video 0 RTP/AVP ${formats}`.trim();
      const call = new ModelCall();
      expect(call.offer(`${body(6000)}${line}\r\n`)).to.include(`\r\n${line}\r\n`);
      expect(call.answer(`${body(7000)}${line}\r\n`)).to.include(`\r\n${line}\r\n`);
      const other = new ModelCall();
      other.offer(body(6000) + video);
      const refused = '\r\nm=video 0 RTP/AVP 96\r\n';
      expect(other.answer(`${body(7000)}${line}\r\n`)).to.include(refused);
      expect(other.answer(body(7000) + video)).to.match(/m=video [1-9]\d* RTP\/AVP 96\r\n/);
    });
  }

  it('without any c= can be stored and restored', () => {
    const call = new ModelCall();
    call.offer('v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n');
    if (call.state === null) throw new Error('no call');
    const { state: restored } = decodeCall(
      'call',
      encodeCall(call.state, 'JSON', settings),
      settings,
    );
    expect(restored.medias).to.have.lengthOf(2);
  });
});

describe('ports at the end of their range', () => {
  it('leave RTCP and later pairs without a place to send to', () => {
    for (const [ports, places] of [
      ['65535', [65_535, 0]],
      ['65534', [65_534, 65_535]],
      ['65534/2', [65_534, 65_535, 0, 0]],
      ['65532/3', [65_532, 65_533, 65_534, 65_535, 0, 0]],
    ] as const) {
      const call = new ModelCall();
      call.offer(body(6000).replace('6000', ports));
      const of = call.media('a').id;
      const streams = call.state?.streams.filter(({ mediaId }) => mediaId === of) ?? [];
      expect(streams.map(({ advertisedEndpoint }) => advertisedEndpoint?.port)).to.deep.equal(
        places,
      );
    }
  });
});

describe('a=rtcp', () => {
  const placeOf = (value: string): string => {
    const call = new ModelCall();
    call.offer(body(6000, [`a=rtcp:${value}`]));
    const { address = '', port = 0 } = call.stream('a', 2).advertisedEndpoint ?? {};
    return `${address} ${port}`;
  };
  for (const [value, place] of [
    ['6055', '192.0.2.10 6055'],
    ['6055 IN IP4 192.0.2.11', '192.0.2.11 6055'],
    ['6055 IN IP4 0.0.0.0', '192.0.2.10 6055'],
    ['6055 IN IP6 ::', '192.0.2.10 6055'],
    ['6055 IN IP6 2001:db8::9', '192.0.2.10 6055'],
    ['0', '192.0.2.10 6001'],
    ['0 IN IP4 192.0.2.11', '192.0.2.10 6001'],
    ['6055 IN IP4 foo', '192.0.2.10 6001'],
    ['70000', '192.0.2.10 6001'],
  ]) {
    it(`${value ?? ''} means ${place ?? ''}`, () => {
      expect(placeOf(value ?? '')).to.equal(place);
    });
  }
});

describe('the origin that is replaced', () => {
  const hiddenBy = (sdp: string): string => {
    const replace = new Set(['origin'] as const);
    return /^o=.*/m.exec(new ModelCall().offer(sdp, { replace }))?.[0] ?? '';
  };
  const shown = 'o=ann 7001 3 IN IP4 127.0.0.1';
  it('hides the address of a section that is held, refused or not relayed', () => {
    expect(hiddenBy(body(6000))).to.equal(shown);
    expect(hiddenBy(body(6000).replace('c=IN IP4 192.0.2.10', 'c=IN IP4 0.0.0.0'))).to.equal(shown);
    expect(hiddenBy(body(0))).to.equal(shown);
    expect(hiddenBy(body(0) + video)).to.equal(shown);
    expect(hiddenBy(body(6000).replace('RTP/AVP 0 8 101', 'TCP/MSRP *'))).to.equal(shown);
  });
});
