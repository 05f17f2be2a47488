/** What of a body a relay must not change, or change only so: holds, secured media, versions, families, ports. */
import { expect } from 'chai';
import { decodeCall, encodeCall } from '../../../src/redis-store/codec.js';
import { settings } from '../../support/unit/redis-store.js';
import { InterfaceTable } from '../../../src/media/interfaces.js';
import { body, linesOf, ModelCall, portOf } from '../../support/unit/media.js';

const sections = (...lines: readonly string[]): string =>
  `${['v=0', 'o=ann 7001 3 IN IP4 192.0.2.10', 's=-', 't=0 0', ...lines].join('\r\n')}\r\n`;

describe('a zero address', () => {
  const zero = ['m=audio 9 RTP/AVP 0', 'c=IN IP4 0.0.0.0'];

  it('holds the call', () => {
    const lines = linesOf(new ModelCall().offer(sections(...zero)));
    expect(lines).to.include('c=IN IP4 0.0.0.0').and.to.include('a=sendonly');
  });

  for (const ice of [
    ['a=ice-ufrag:abcd', 'a=ice-pwd:0123456789abcdef012345', 'a=ice-options:trickle'],
    ['a=ice-ufrag:abcd'],
  ]) {
    it(`of a browser that has not found out yet does not: ${ice.join(' ')}`, () => {
      for (const text of [
        sections(...zero, ...ice),
        sections(...zero).replace('m=', `${ice.join('\r\n')}\r\nm=`),
      ]) {
        const lines = linesOf(new ModelCall().offer(text));
        expect(lines).to.include('c=IN IP4 127.0.0.1').and.to.include('a=sendrecv');
      }
    });
  }
});

describe('what is not RTP', () => {
  it('keeps its setup, fingerprint and tls-id, in the section and in the session', () => {
    const security = ['a=setup:actpass', 'a=fingerprint:sha-256 AA:BB', 'a=tls-id:0123'];
    const channel = 'm=application 6000 UDP/DTLS/SCTP webrtc-datachannel';
    const connection = 'c=IN IP4 192.0.2.10';
    const inSection = sections(channel, connection, ...security, 'a=sctp-port:5000', 'a=mid:0');
    expect(linesOf(new ModelCall().offer(inSection))).to.include.members(security);
    const inSession = sections(...security, channel, connection, 'a=sctp-port:5000');
    expect(linesOf(new ModelCall().offer(inSession))).to.include.members(security);
    const plain = sections(...security, 'm=audio 6000 RTP/AVP 0', connection);
    expect(linesOf(new ModelCall().offer(plain))).not.to.include.members(security);
  });

  it('passes with a type and a protocol that nobody knows', () => {
    const call = new ModelCall();
    const lines = linesOf(
      call.offer(sections('m=foo 6000 RAW/UDP 1 2', 'c=IN IP4 192.0.2.10', 'a=rtpmap:1 x y')),
    );
    expect(lines.slice(4)).to.deep.equal([
      ...['m=foo 40000 RAW/UDP 1 2', 'c=IN IP4 127.0.0.1', 'a=rtpmap:1 x y', 'a=sendrecv'],
    ]);
    const answer = call.answer(sections('m=foo 7000 RAW/UDP 2', 'c=IN IP4 192.0.2.77'));
    expect(linesOf(answer)).to.include('m=foo 40002 RAW/UDP 2');
  });

  it('fmtp keeps its blanks', () => {
    const lines = ['a=rtpmap:96 opus/48000/2', 'a=fmtp:96 useinbandfec=1;  stereo=1; x'];
    const text = body(6000, lines).replace('0 8 101', '0 8 101 96');
    expect(linesOf(new ModelCall().offer(text))).to.include.members(lines);
  });
});

describe('replace origin-full', () => {
  it('counts the version of the line that is kept', () => {
    const call = new ModelCall();
    const keys = { replace: new Set(['origin-full'] as const) };
    const origin = (text: string, more: readonly string[] = []): string => {
      const written = call.offer(body(6000, more).replace('ann 7001 3', text), keys);
      return linesOf(written)[1] ?? '';
    };
    expect(origin('ann 7001 3')).to.equal('o=ann 7001 3 IN IP4 127.0.0.1');
    expect(origin('ann 7001 4')).to.equal('o=ann 7001 3 IN IP4 127.0.0.1');
    expect(origin('zoe 7777 9')).to.equal('o=ann 7001 3 IN IP4 127.0.0.1');
    expect(origin('zoe 7777 9', ['a=x'])).to.equal('o=ann 7001 4 IN IP4 127.0.0.1');
  });
});

describe('internal and external', () => {
  const families = (sdp: string): string => /c=IN (IP.)/.exec(sdp)?.[1] ?? '';

  it('are IPv4 and IPv6 where no interface has that name', () => {
    const call = new ModelCall();
    const keys = { fromInterface: 'internal', toInterface: 'external' };
    expect(families(call.offer(body(6000), keys))).to.equal('IP6');
    expect(call.warnings).to.deep.equal([]);
    const answer = body(7000, [], '::1').replaceAll('IP4', 'IP6');
    expect(families(call.answer(answer, {}))).to.equal('IP4');
    const other = new ModelCall();
    const back = { fromInterface: 'external', toInterface: 'internal' };
    const six = body(6000, [], '2001:db8::1').replaceAll('IP4', 'IP6');
    expect(families(other.offer(six, back))).to.equal('IP4');
  });

  it('are the first interface of that family where the default one has none', () => {
    const call = new ModelCall({
      interfaces: new InterfaceTable([
        {
          name: 'old',
          addresses: [{ family: 'IP4', address: '127.0.0.1', advertised: '192.0.2.9' }],
        },
        { name: 'new', addresses: [{ family: 'IP6', address: '::1', advertised: '2001:db8::9' }] },
      ]),
    });
    const keys = { fromInterface: 'internal', toInterface: 'external' } as const;
    expect(call.offer(body(6000), keys)).to.include('c=IN IP6 2001:db8::9');
    expect(call.answer(body(7000, [], '::1').replaceAll('IP4', 'IP6'))).to.include(
      'c=IN IP4 192.0',
    );
  });

  it('stay below address-family, and other names are still strange', () => {
    const call = new ModelCall();
    const keys = { fromInterface: 'internal', toInterface: 'external' } as const;
    expect(families(call.offer(body(6000), { ...keys, addressFamily: 'IP4' }))).to.equal('IP4');
    call.offer(body(6000), { fromInterface: 'inside' });
    expect(call.warnings).to.deep.equal(["Interface 'inside' not found, using default"]);
  });
});

describe('a label', () => {
  it('is given by label, else by set-label, to whoever sends the body', () => {
    const call = new ModelCall();
    call.offer(body(6000), { label: 'ann' });
    call.answer(body(7000, [], '192.0.2.77'), { label: 'desk', setLabel: 'bea' });
    expect([call.participant('a').label, call.participant('x').label]).to.deep.equal([
      'ann',
      'desk',
    ]);
    call.offer(body(6000), { toTag: 'x' });
    expect(call.participant('a').label).to.equal('ann');
  });
});

describe('ports of a re-INVITE from a new port', () => {
  for (const [direction, kept] of [
    ['sendonly', true],
    ['inactive', true],
    ['recvonly', false],
    ['sendrecv', false],
  ] as const) {
    it(`${kept ? 'stay' : 'change'} while it is ${direction}`, () => {
      const call = new ModelCall();
      const first = portOf(call.offer(body(6000)));
      call.answer(body(7000, [], '192.0.2.77'));
      const again = call.offer(body(6100, [`a=${direction}`]), { toTag: 'x' });
      expect(portOf(again) === first).to.equal(kept);
    });
  }
});

describe('rtcp-mux with branches', () => {
  const mux = body(6000, ['a=rtcp-mux']);
  const demux = { rtcpMux: new Set(['demux'] as const) };
  const answerFrom = (call: ModelCall, branch: string, lines: readonly string[] = []): boolean =>
    call
      .answer(body(7000, lines, '192.0.2.77'), { viaBranch: branch, toTag: `t${branch}` })
      .includes('a=rtcp-mux');

  function twoBranches(): ModelCall {
    const call = new ModelCall();
    call.offer(mux, { viaBranch: '1', ...demux });
    call.offer(mux, { viaBranch: '2' });
    return call;
  }

  it('each is answered as it was offered, in any order', () => {
    const call = twoBranches();
    expect(answerFrom(call, '1')).to.equal(true);
    expect(answerFrom(call, '2')).to.equal(false);
    expect(answerFrom(call, '1')).to.equal(true);
    const other = twoBranches();
    expect(answerFrom(other, '2')).to.equal(false);
    expect(answerFrom(other, '2', ['a=rtcp-mux'])).to.equal(true);
    expect(answerFrom(other, '2')).to.equal(false);
    expect(answerFrom(other, '1')).to.equal(true);
  });

  it('each is answered as it was offered after a restart', () => {
    const call = twoBranches();
    if (call.state === null) throw new Error('no call');
    const text = encodeCall(call.state, 'JSON', settings);
    call.state = decodeCall('call', text, settings).state;
    expect(answerFrom(call, '2')).to.equal(false);
    expect(answerFrom(call, '1')).to.equal(true);
  });
});
