import { expect } from 'chai';
import { parseRtppFlags } from '../../../src/ng-protocol/rtpp-flags.js';
import { parsed } from '../../support/unit/ng-protocol.js';

describe('rtpp-flags', () => {
  it('is words separated by blanks, some with a value', () => {
    expect(parseRtppFlags('  trust-address ICE=remove\tx=  =y ')).to.deep.equal([
      { name: 'trust-address', value: null },
      { name: 'ICE', value: 'remove' },
      { name: 'x', value: '' },
      { name: '=y', value: null },
    ]);
  });

  it('has lists and dictionaries in brackets, nested', () => {
    expect(parseRtppFlags('a=[b c] d=[e=f g=[h i]] j')).to.deep.equal([
      { name: 'a', value: ['b', 'c'] },
      {
        name: 'd',
        value: new Map<string, unknown>([
          ['e', 'f'],
          ['g', ['h', 'i']],
        ]),
      },
      { name: 'j', value: null },
    ]);
  });

  it('survives brackets that do not match', () => {
    expect(parseRtppFlags('a=[b')).to.deep.equal([{ name: 'a', value: ['b'] }]);
    expect(parseRtppFlags('] a ]b')).to.deep.equal([
      { name: ']', value: null },
      { name: 'a', value: null },
      { name: ']b', value: null },
    ]);
    expect(() => parseRtppFlags('a=['.repeat(20_000))).not.to.throw();
  });

  it('sets flags, keys and lists', () => {
    const request = parsed({
      'rtpp-flags':
        'replace-origin trust-address ICE=remove received-from=10.0.0.9 label=L TOS=184 ' +
        'rtcp-mux=[offer require] direction=a direction=b media-address=192.0.2.7 delete-delay=7',
    });
    expect(request.unknown).to.deep.equal([]);
    expect([...request.replace]).to.deep.equal(['origin']);
    expect([...request.flags]).to.deep.equal(['trust-address']);
    expect(request.ice.mode).to.equal('remove');
    expect(request).to.include({
      receivedFrom: '10.0.0.9',
      label: 'L',
      tos: 184,
      fromInterface: 'a',
      toInterface: 'b',
      mediaAddress: '192.0.2.7',
      deleteDelaySeconds: 7,
    });
    expect([...request.rtcpMux]).to.deep.equal(['offer', 'require']);
  });

  it('takes internal and external as directions and warns of a third', () => {
    const request = parsed({ 'rtpp-flags': 'internal external direction=x' });
    expect(request).to.include({ fromInterface: 'internal', toInterface: 'external' });
    expect(request.unknown).to.deep.equal(["Too many 'direction=...' flags encountered"]);
  });

  it('makes a tag count that is given by hand', () => {
    const request = parsed({ 'rtpp-flags': 'from-tag=F to-tag=T' });
    expect(request).to.include({ fromTag: 'F', toTag: 'T' });
    expect([...request.flags]).to.deep.equal(['directional', 'to-tag']);
    const bare = parsed({ 'rtpp-flags': 'to-tag' });
    expect(bare.toTag).to.equal('t');
    expect([...bare.flags]).to.deep.equal(['to-tag']);
  });

  for (const [words, protocol] of [
    ['RTP AVP', 'RTP/AVP'],
    ['SRTP AVP', 'RTP/SAVP'],
    ['RTP AVPF', 'RTP/AVPF'],
    ['SRTP AVPF', 'RTP/SAVPF'],
    ['DTLS', 'UDP/TLS/RTP/SAVP'],
    ['DTLS AVPF', 'UDP/TLS/RTP/SAVPF'],
    ['SRTP DTLS', null],
    ['RTP/SAVPF', 'RTP/SAVPF'],
    ['AVP transport-protocol=udptl', 'RTP/AVP'],
    ['trust-address', null],
  ] as const) {
    it(`makes ${protocol ?? 'no protocol'} of "${words}"`, () => {
      expect(parsed({ 'rtpp-flags': words }).transportProtocol).to.equal(protocol);
    });
  }

  it('gives codec words to the codec lists', () => {
    const request = parsed({ 'rtpp-flags': 'codec-strip=PCMU transcode=opus codec-mask-G722' });
    expect(request.edits?.codecs).to.deep.include({
      strip: ['PCMU'],
      transcode: ['opus'],
      mask: ['G722'],
    });
    expect(request.unsupported).to.deep.equal(['codec-transcode-opus']);
    expect(request.unknown).to.deep.equal([]);
  });
});
