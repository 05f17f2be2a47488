import { expect } from 'chai';
import { flagMeaning } from '../../../src/ng-protocol/flags.js';
import { parsed } from '../../support/unit/ng-protocol.js';

describe('flag words', () => {
  it('may be written with spaces for hyphens', () => {
    const { flags, unknown } = parsed({
      flags: ['strict source', 'SIP source address', 'sip-source-address', 'no rtcp attribute'],
    });
    expect([...flags]).to.deep.equal(['strict-source', 'sip-source-address', 'no-rtcp-attribute']);
    expect(unknown).to.deep.equal([]);
  });

  it('keep their case, but for those listed with variants', () => {
    expect(flagMeaning('Strict-Source', 'offer')).to.equal(null);
    expect(flagMeaning('No-RTCP-Attribute', 'offer')).to.deep.equal({
      kind: 'model',
      flag: 'no-rtcp-attribute',
    });
    expect(flagMeaning('NAT-wait', 'offer')).to.deep.equal(flagMeaning('nat-wait', 'offer'));
  });

  it('that nobody knows are noted with the text of rtpengine', () => {
    expect(parsed({ flags: ['force', 'symmetric', 'trust-address'] }).unknown).to.deep.equal([
      "Unknown flag encountered: 'force'",
      "Unknown flag encountered: 'symmetric'",
    ]);
  });

  it('with a prefix are the same as a word of the list', () => {
    const request = parsed({
      flags: [
        'replace-origin',
        'replace-session-connection',
        'replace SDP version',
        'rtcp-mux-offer',
        'rtcp-mux-require',
        'endpoint-learning-immediate',
        'record-call',
      ],
    });
    expect([...request.replace]).to.deep.equal(['origin', 'session-connection', 'sdp-version']);
    expect([...request.rtcpMux]).to.deep.equal(['offer', 'require']);
    expect(request.endpointLearning).to.equal('immediate');
    expect(request.recordCall).to.equal('on');
    expect(request.unknown).to.deep.equal([]);
  });

  it('of later tiers are named as unsupported, unless they switch something off', () => {
    const request = parsed({
      flags: ['codec-transcode-PCMU', 'SDES-off', 'SDES-pad', 'T38-decode', 'no-player'],
    });
    expect(request.unsupported).to.deep.equal(['codec-transcode-PCMU', 'T.38=decode']);
    expect(request.unknown).to.deep.equal([]);
  });

  it('for the offer alone are unknown elsewhere', () => {
    const request = parsed({ flags: ['codec-transcode-PCMU', 'codec-accept-PCMU'] }, 'answer');
    expect(request.unknown).to.deep.equal(["Unknown flag encountered: 'codec-transcode-PCMU'"]);
    expect(request.unsupported).to.deep.equal(['codec-accept-PCMU']);
  });

  it('cannot reach into the prototype of a table', () => {
    const request = parsed({
      flags: ['constructor', '__proto__', 'replace-constructor', 'rtcp-mux-toString'],
      ICE: 'hasOwnProperty',
      'transport-protocol': 'constructor',
    });
    expect(request.unknown).to.have.length(6);
    expect(request.replace.size).to.equal(0);
    expect(request.ice.mode).to.equal(null);
  });

  it('fill the log with fifty notes at most', () => {
    const flags = Array.from({ length: 1000 }, (_, i) => `word${i}`);
    expect(parsed({ flags }).unknown).to.have.length(50);
  });
});
