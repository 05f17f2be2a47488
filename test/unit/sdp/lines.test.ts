/** Reading bodies (sdp-rules.md §11; RFC 8866). */
import { expect } from 'chai';
import fc from 'fast-check';
import { parseSdp } from '../../../src/sdp/lines.js';
import { SdpError } from '../../../src/sdp/types.js';
import { body } from '../../support/unit/media.js';

const good = body(6000);

describe('reading a body', () => {
  it('keeps every line of the session and of its sections', () => {
    const [session] = parseSdp(`${good}b=AS:64\r\na=x-note:keep me\r\na=flag\r\n`).sessions;
    expect(session?.origin).to.deep.equal({
      username: 'ann',
      sessionId: '7001',
      version: '3',
      networkType: 'IN',
      addressType: 'IP4',
      address: '192.0.2.10',
    });
    const [media] = session?.medias ?? [];
    expect(media?.formats).to.deep.equal(['0', '8', '101']);
    expect(media?.lines.map(({ type, value }) => `${type}=${value}`)).to.deep.equal([
      'a=rtpmap:101 telephone-event/8000',
      'a=fmtp:101 0-15',
      'b=AS:64',
      'a=x-note:keep me',
      'a=flag',
    ]);
    expect(media?.attributes.at(-1)).to.deep.equal({ name: 'flag', value: null });
  });

  it('takes LF, a missing last line end, and what follows an empty line away', () => {
    const reference = parseSdp(good);
    expect(parseSdp(good.replaceAll('\r\n', '\n'))).to.deep.equal(reference);
    expect(parseSdp(good.trimEnd())).to.deep.equal(reference);
    expect(parseSdp(`${good}\r\nm=audio x\r\n`)).to.deep.equal(reference);
  });

  it('begins another session with each v=', () => {
    expect(parseSdp(good + good).sessions).to.have.lengthOf(2);
  });

  it('reads the number of ports of a section', () => {
    const [media] = parseSdp(good.replace('6000', '6000/2')).sessions[0]?.medias ?? [];
    expect(media).to.include({ port: 6000, portCount: 2 });
  });

  const bad: readonly (readonly [string, string])[] = [
    ['no v=', good.replace('v=0\r\n', '')],
    ['another version', good.replace('v=0', 'v=1')],
    ['a capital letter', good.replace('v=0', 'V=0')],
    ['a space before it', ` ${good}`],
    ['nothing that looks like SDP', 'hello world'],
    ['an empty text', ''],
    ['a line without =', good.replace('s=call', 'scall')],
    ['an unknown line', good.replace('s=', 'x=1\r\ns=')],
    ['an o= that is too short', good.replace(' IN IP4 192.0.2.10\r\ns', '\r\ns')],
    ['a port in letters', good.replace('6000', 'abc')],
    ['a port that is too big', good.replace('6000', '70000')],
    ['a negative port', good.replace('6000', '-5')],
    ['no protocol', good.replace('6000 RTP/AVP 0 8 101', '6000')],
    ['a name in c=', good.replace('c=IN IP4 192.0.2.10', 'c=IN IP4 example.com')],
    ['a short c=', good.replace('c=IN IP4 192.0.2.10', 'c=IN IP4')],
    ['another network', good.replace('c=IN', 'c=XX')],
    ['the other family', good.replace('c=IN IP4', 'c=IN IP6')],
    ['a TTL', good.replace('c=IN IP4 192.0.2.10', 'c=IN IP4 224.2.1.1/127')],
    ['a TTL of a plain address', good.replace('c=IN IP4 192.0.2.10', 'c=IN IP4 192.0.2.10/127')],
    ['several groups', good.replace('c=IN IP4 192.0.2.10', 'c=IN IP4 224.2.1.1/127/3')],
    ['two c= in a section', `${good}c=IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.2\r\n`],
    ['a bad c= in a section', `${good}c=IN IP4 x\r\n`],
    ['a name of the session in a section', `${good}s=x\r\n`],
    ['two bytes behind the last line', `${good}  `],
    ['257 formats', good.replace('0 8 101', Array(257).fill('0').join(' '))],
    ['801 sections', good + 'm=audio 1 RTP/AVP 0\r\n'.repeat(800)],
    ['a number with a sign', good.replace('6000', '-6000')],
    ['no user name and no place for it', good.replace('o=ann ', 'o=')],
    [
      'brackets around an IPv4 address',
      good.replace('c=IN IP4 192.0.2.10', 'c=IN IP4 [192.0.2.10]'),
    ],
    ['a port of many digits', good.replace('6000', '00000006000000')],
    ['no port count', good.replace('6000', '6000/')],
    ['two c=', good.replace('t=0 0', 'c=IN IP4 192.0.2.44\r\nt=0 0')],
    ['CR alone', good.replaceAll('\r\n', '\r')],
    ['999 ports', good.replace('6000', '6000/999')],
  ];
  for (const [name, text] of bad) {
    it(`refuses ${name}`, () => {
      expect(() => parseSdp(text)).to.throw(SdpError);
    });
  }

  const taken: readonly (readonly [string, string])[] = [
    ['no o=', good.replace(/o=.*\r\n/, '')],
    ['an o= with more words', good.replace(/(o=.*)\r\n/, '$1 and more\r\n')],
    ['no s= and no t=', good.replace(/[st]=.*\r\n/g, '')],
    ['an empty attribute', `${good}a=\r\n`],
    ['an attribute that makes no sense', `${good}a=rtcp:foo\r\na=rtpmap:\r\na=ptime:x\r\n`],
    ['NUL in an attribute', `${good}a=x:\0y\r\n`],
    ['bytes above ASCII', good.replace('call one', 'caf\u00c3\u00a9')],
    ['spaces at the end of m=', good.replace('0 8 101', '0 8 101  ')],
    ['two spaces in m=', good.replace('audio 6000', 'audio  6000')],
    ['empty lines before it', `\r\n\n${good}`],
    ['no format', good.replace(' 0 8 101', '')],
    ['no section', good.replace(/m=[^]*/, '')],
    ['an IPv6 c=', good.replace('c=IN IP4 192.0.2.10', 'c=IN IP6 2001:db8::1')],
  ];
  for (const [name, text] of taken) {
    it(`takes ${name}`, () => {
      expect(parseSdp(text).sessions).to.have.lengthOf(1);
    });
  }

  it('says where the fault is', () => {
    for (const [text, offset] of [
      [good.replace('s=call', 'scall'), good.indexOf('s=call')],
      [good.replace('6000', 'x'), good.indexOf('m=')],
      ['m=audio 1 RTP/AVP 0\r\n', 0],
    ] as const) {
      expect(() => parseSdp(text))
        .to.throw(SdpError)
        .with.include({ code: 'syntax', offset });
    }
  });

  const origins: readonly (readonly [string, string])[] = [
    ['ann 7001 3 IN IP4 192.0.2.10', 'ann'],
    [' 7001 3 IN IP4 192.0.2.10', '-'],
    ['ann bob 7001 3 IN IP4 192.0.2.10', 'ann_bob'],
    ['ann  b\tc 7001 3 in ip4 192.0.2.10 ', 'ann_b_c'],
    ['IN IP4 7001 3 IN IP4 192.0.2.10', 'IN_IP4'],
    ['ann 7001 3 IN IP4 192.0.2.10 and more', 'ann'],
  ];
  for (const [line, username] of origins) {
    it(`reads o=${line} from its end`, () => {
      const [session] = parseSdp(good.replace(/o=.*/, `o=${line}`)).sessions;
      expect(session?.origin).to.deep.equal({
        username,
        ...{ sessionId: '7001', version: '3', networkType: 'IN' },
        ...{ addressType: 'IP4', address: '192.0.2.10' },
      });
    });
  }

  it('takes origins with empty fields', () => {
    for (const [line, expected] of [
      ['ann  3 IN IP4 192.0.2.10', { sessionId: '0', version: '3' }],
      ['ann 7001  IN IP4 192.0.2.10', { sessionId: '7001', version: '0' }],
      ['ann   IN IP4 192.0.2.10', { sessionId: '0', version: '0' }],
      ['ann 7001 3  IP4 192.0.2.10', { networkType: 'IN', addressType: 'IP4' }],
      ['ann 7001 3 IN  2001:db8::5', { networkType: 'IN', addressType: 'IP6' }],
    ] as const) {
      const [session] = parseSdp(good.replace(/o=.*/, `o=${line}`)).sessions;
      expect(session?.origin, line).to.include({ username: 'ann', ...expected });
    }
    for (const line of ['ann 7001 3 IN IP4 ', 'ann 7001 3 IN IP4', 'ann 3 IN IP4 192.0.2.10', ''])
      expect(() => parseSdp(good.replace(/o=.*/, `o=${line}`)), line).to.throw(SdpError);
  });

  it('takes origins in networks of other kinds', () => {
    const [session] = parseSdp(good.replace(/o=.*/, 'o=ann b 7001 3 TN RFC2543 +1')).sessions;
    expect(session?.origin).to.deep.equal({
      ...{ username: 'ann_b', sessionId: '7001', version: '3' },
      ...{ networkType: 'TN', addressType: 'RFC2543', address: '+1' },
    });
  });

  const connections: readonly (readonly [string, string, string])[] = [
    ['IN IP6 [2001:db8::5]', 'IP6', '2001:db8::5'],
    ['IN IP6 2001:DB8:0::0005', 'IP6', '2001:db8::5'],
    ['IN IP6 fe80::1%lo', 'IP6', 'fe80::1'],
    ['IN IP6 ::ffff:192.0.2.10', 'IP4', '192.0.2.10'],
    ['IN IP4 192.000.002.010', 'IP4', '192.0.2.10'],
    ['IN IP4 192.0.2.10 ', 'IP4', '192.0.2.10'],
    ['in IP4 192.0.2.10', 'IP4', '192.0.2.10'],
    ['IN IP4 192.0.2.10\0', 'IP4', '192.0.2.10'],
  ];
  for (const [line, family, address] of connections) {
    it(`reads c=${JSON.stringify(line)}`, () => {
      const [session] = parseSdp(good.replace(/c=.*/, `c=${line}`)).sessions;
      expect(session?.connection).to.deep.equal({ family, address });
    });
  }

  it('reads numbers of m= up to what is none of them, and protocols in any case', () => {
    for (const line of ['+6000 rtp/avp', '6000.5 RTP/avp', '06000/1x Rtp/Avp']) {
      const [media] = parseSdp(good.replace('6000 RTP/AVP', line)).sessions[0]?.medias ?? [];
      expect(media).to.include({ port: 6000, portCount: 1, protocol: 'RTP/AVP' });
    }
  });

  it('reads words of m= that tabs separate', () => {
    for (const blank of ['\t', ' \t', '\t\t']) {
      for (const line of [`audio${blank}6000 RTP/AVP`, `audio 6000${blank}RTP/AVP`]) {
        const body = good.replace('audio 6000 RTP/AVP', line);
        const [media] = parseSdp(body).sessions[0]?.medias ?? [];
        expect(media).to.include({ type: 'audio', port: 6000, protocol: 'RTP/AVP' });
        expect(media?.formats).to.deep.equal(parseSdp(good).sessions[0]?.medias[0]?.formats);
      }
    }
  });

  it('moves lines of the session that stand behind a section', () => {
    const late = ['t=0 0', 'e=a@b', 'p=+1', 'u=http://x', 'r=7d 1h 0', 'z=1 -1h'];
    const [session] = parseSdp(`${good}${late.join('\r\n')}\r\na=sendonly\r\n`).sessions;
    const lines = session?.lines.map(({ type, value }) => `${type}=${value}`) ?? [];
    expect(lines.slice(-6)).to.deep.equal(late);
    expect(lines.filter((line) => line === 't=0 0')).to.have.lengthOf(1);
    expect(session?.medias[0]?.lines.at(-1)).to.deep.equal({ type: 'a', value: 'sendonly' });
  });

  it('does not mind one byte at the very end', () => {
    for (const end of ['\0', '\t', 'a']) {
      expect(parseSdp(good + end)).to.deep.equal(parseSdp(good));
    }
  });

  it('finds again whatever lines it is given', () => {
    const word = fc.stringMatching(/^[\x20-\x7e]{1,30}$/);
    fc.assert(
      fc.property(fc.array(word, { maxLength: 20 }), (values) => {
        const text = good + values.map((value) => `a=${value}\r\n`).join('');
        const [media] = parseSdp(text).sessions[0]?.medias ?? [];
        const found = media?.lines.slice(2).map(({ value }) => value);
        expect(found).to.deep.equal(values);
      }),
    );
  });
});
