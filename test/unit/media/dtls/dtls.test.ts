/** DTLS-SRTP in offers and answers: what each side is told, and what the relay has to do for it. */
import { expect } from 'chai';
import type { CallState, Media } from '../../../../src/media/call-state.js';
import {
  fingerprintText,
  offeredDtls,
  readFingerprint,
} from '../../../../src/media/dtls/attributes.js';
import { fingerprintOf, IdentitySource } from '../../../../src/media/dtls/identity.js';
import { mediaPlan } from '../../../../src/media/plan.js';
import type { TransportPlan } from '../../../../src/media/relay.js';
import { noSdesWords } from '../../../../src/ng-protocol/sdes-words.js';
import { testIdentity } from '../../../support/dtls-identity.js';
import { body, interfaces, ModelCall } from '../../../support/unit/media.js';

const digest = (byte: string): string => Array.from({ length: 32 }, () => byte).join(':');
const crypto = 'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:MDEyMzQ1Njc4OUFCQ0RFRjAxMjM0NTY3ODlBQkNE';
const dtls = 'UDP/TLS/RTP/SAVPF';

function secured(
  port: number,
  setup: string,
  protocol = dtls,
  more: readonly string[] = [],
  byte = 'AB',
): string {
  const lines = [
    ...(setup === '' ? [] : [`a=setup:${setup}`]),
    `a=fingerprint:sha-256 ${digest(byte)}`,
    ...more,
  ];
  return body(port, lines).replace('RTP/AVP', protocol);
}
const plain = (port: number, protocol = 'RTP/AVP', more: readonly string[] = []): string =>
  body(port, more).replace('RTP/AVP', protocol);

const linesOf = (sdp: string, name: string): readonly string[] =>
  sdp.split('\r\n').filter((line) => line.startsWith(`a=${name}:`));
const protocolOf = (sdp: string): string => /m=\S+ \S+ (\S+)/.exec(sdp)?.[1] ?? '';

function mediasOf({ state }: ModelCall): readonly [answerer: Media, offerer: Media] {
  const [first, second] = state?.medias ?? [];
  if (first === undefined || second === undefined) throw new Error('no medias');
  return [first, second];
}

function transportsOf(state: CallState | null): readonly TransportPlan[] {
  if (state === null) throw new Error('no call');
  return mediaPlan(state, interfaces).transports;
}

describe('DTLS between two sides that speak it', () => {
  it('ends on both, with one fingerprint, which is ours', () => {
    const call = new ModelCall();
    const offered = call.offer(secured(6000, 'actpass'));
    expect(linesOf(offered, 'setup')).to.deep.equal(['a=setup:actpass']);
    const ours = `a=fingerprint:${fingerprintText(fingerprintOf(testIdentity, 'sha-256'))}`;
    expect(linesOf(offered, 'fingerprint')).to.deep.equal([ours]);
    expect(linesOf(offered, 'tls-id')[0]).to.match(/^a=tls-id:[0-9a-f]{32}$/);
    // An early ClientHello is answered; towards the offerer nothing is said yet.
    const [toAnswerer, , toOfferer] = transportsOf(call.state);
    expect(toAnswerer?.dtls).to.deep.include({ role: 'passive', fingerprint: null });
    expect(toOfferer?.dtls).to.equal(null);
    expect(toOfferer?.srtp).to.deep.equal({ receive: null, send: null });
    const answered = call.answer(secured(7000, 'active'));
    expect(linesOf(answered, 'setup')).to.deep.equal(['a=setup:active']);
    expect(linesOf(answered, 'crypto')).to.deep.equal([]);
    const transports = transportsOf(call.state);
    expect(transports.map((each) => each.dtls?.role)).to.deep.equal([
      'passive',
      'passive',
      'active',
      'active',
    ]);
    expect(transports.map((each) => each.srtp)).to.deep.equal(
      Array(4).fill({ receive: null, send: null }),
    );
    expect(transports[0]?.dtls?.generation).to.equal(0);
  });

  it('keeps roles and association over re-offers of either side', () => {
    const call = new ModelCall();
    const first = call.offer(secured(6000, 'actpass'));
    call.answer(secured(7000, 'active'));
    const again = call.offer(secured(6000, 'actpass'));
    expect(linesOf(again, 'tls-id')).to.deep.equal(linesOf(first, 'tls-id'));
    expect(linesOf(call.answer(secured(7000, 'active')), 'setup')).to.deep.equal([
      'a=setup:active',
    ]);
    expect(transportsOf(call.state).map((each) => each.dtls?.generation)).to.deep.equal([
      0, 0, 0, 0,
    ]);
  });

  it('begins anew for another fingerprint, role or tls-id', () => {
    for (const [setup, byte, more] of [
      ['active', 'CD', []],
      ['passive', 'AB', []],
      ['active', 'AB', [`a=tls-id:${'b'.repeat(20)}`]],
    ] as const) {
      const call = new ModelCall();
      call.offer(secured(6000, 'actpass'));
      call.answer(secured(7000, 'active', dtls, [`a=tls-id:${'a'.repeat(20)}`]));
      call.offer(secured(6000, 'actpass'));
      call.answer(secured(7000, setup, dtls, more, byte));
      const generations = transportsOf(call.state).map((each) => each.dtls?.generation);
      expect(generations, `${setup} ${byte}`).to.deep.equal([1, 1, 0, 0]);
    }
  });

  it('has the role that the other side leaves', () => {
    const role = (offer: string, answer: string): readonly (string | undefined)[] => {
      const call = new ModelCall();
      call.offer(secured(6000, offer));
      const answered = call.answer(secured(7000, answer));
      const [toAnswerer, , toOfferer] = transportsOf(call.state);
      expect(answered).to.contain(`a=setup:${toOfferer?.dtls?.role}`);
      return [toAnswerer?.dtls?.role, toOfferer?.dtls?.role];
    };
    expect(role('active', 'passive')).to.deep.equal(['active', 'passive']);
    expect(role('passive', 'active')).to.deep.equal(['passive', 'active']);
    // Nothing is said, or nothing that can be followed: the answerer shows it, the offerer is told ours all the same.
    for (const setup of ['actpass', '', 'holdconn'])
      expect(role(setup, setup), setup).to.deep.equal(['actpass', 'active']);
  });

  it('waits for the offerer when that is asked for', () => {
    for (const [offer, answer, context] of [
      [{ dtlsReverse: 'passive' }, {}, {}],
      [{}, { dtls: 'passive' }, {}],
      [{}, {}, { dtlsPassive: true }],
    ] as const) {
      const call = new ModelCall(context);
      call.offer(secured(6000, 'actpass'), offer);
      expect(call.answer(secured(7000, 'active'), answer)).to.contain('a=setup:passive');
    }
  });

  it('names the hash that the peer uses, or that is asked for', () => {
    const call = new ModelCall();
    const offered = call.offer(
      secured(6000, 'actpass').replace(/sha-256 .*\r/, `SHA-1 ${digest('AB').slice(0, 59)}\r`),
      { dtlsFingerprint: 'sha-512' },
    );
    expect(linesOf(offered, 'fingerprint')[0]).to.match(
      /^a=fingerprint:sha-512 (?:[0-9A-F]{2}:){63}[0-9A-F]{2}$/,
    );
    expect(linesOf(call.answer(secured(7000, 'active')), 'fingerprint')[0]).to.contain('sha-1 ');
  });
});

describe('between DTLS and another way', () => {
  const protocols = ['RTP/AVP', 'RTP/AVPF', 'RTP/SAVP', 'RTP/SAVPF', 'UDP/TLS/RTP/SAVP', dtls];
  const bodyOf = (protocol: string, port: number, setup: string): string => {
    if (protocol.includes('TLS')) return secured(port, setup, protocol);
    return plain(port, protocol, protocol.includes('SAVP') ? [crypto] : []);
  };

  for (const from of protocols) {
    for (const to of protocols) {
      it(`${from} to ${to}: each side gets its own`, () => {
        const call = new ModelCall();
        const offered = call.offer(bodyOf(from, 6000, 'actpass'), { transportProtocol: to });
        expect(protocolOf(offered)).to.equal(to);
        const isSecure = to.includes('SAVP');
        expect(linesOf(offered, 'fingerprint')).to.have.length(isSecure ? 1 : 0);
        expect(linesOf(offered, 'crypto').length > 0).to.equal(isSecure);
        const answer = to.startsWith('RTP/S')
          ? plain(7000, to, [linesOf(offered, 'crypto').at(-1) ?? ''])
          : bodyOf(to, 7000, 'active');
        const answered = call.answer(answer);
        expect(protocolOf(answered)).to.equal(from);
        expect(linesOf(answered, 'setup')).to.have.length(from.includes('TLS') ? 1 : 0);
        expect(linesOf(answered, 'crypto')).to.have.length(from.startsWith('RTP/S') ? 1 : 0);
        const [toAnswerer, , toOfferer] = transportsOf(call.state);
        expect(toAnswerer?.dtls !== null).to.equal(to.includes('TLS'));
        expect(toOfferer?.dtls !== null).to.equal(from.includes('TLS'));
        expect(toAnswerer?.srtp !== null).to.equal(to.includes('SAVP'));
        expect(call.warnings).to.deep.equal([]);
      });
    }
  }

  it('an offerer of both is answered by DTLS, unless keys are preferred', () => {
    const both = secured(6000, 'actpass', 'RTP/SAVP', [crypto]);
    const answered = (asked: object, keys: object): string => {
      const call = new ModelCall();
      call.offer(both, { transportProtocol: 'RTP/AVP', ...asked });
      return call.answer(plain(7000), keys);
    };
    expect(linesOf(answered({}, {}), 'setup')).to.deep.equal(['a=setup:active']);
    const preferred = { sdes: { ...noSdesWords, preferred: true } };
    for (const body of [answered({}, { dtls: 'off' }), answered(preferred, {})]) {
      expect(linesOf(body, 'setup')).to.deep.equal([]);
      expect(linesOf(body, 'crypto')).to.have.length(1);
    }
  });

  it('a key of the offerer is not what we send with when DTLS is spoken with it', () => {
    const call = new ModelCall();
    const offered = call.offer(secured(6000, 'actpass', 'RTP/SAVP', [crypto]));
    expect(offered).not.to.contain('MDEyMzQ1Njc4OUFCQ0RFRjAxMjM0NTY3ODlBQkNE');
  });

  it('who answers an offer of DTLS in the clear gets nothing', () => {
    const call = new ModelCall();
    call.offer(plain(6000), { transportProtocol: dtls, sdes: { ...noSdesWords, off: true } });
    call.answer(plain(7000));
    expect(transportsOf(call.state)[0]?.srtp).to.deep.equal({ receive: null, send: null });
    expect(call.warnings).to.have.length(1);
  });

  it('twins are offered on one port, and what was taken of them is spoken', () => {
    const asked = {
      transportProtocol: 'RTP/SAVP',
      dtls: 'off',
      opportunistic: { offers: false, acceptsTwins: false, offersTwins: true },
    } as const;
    for (const taken of ['RTP/AVP', 'RTP/SAVP']) {
      const call = new ModelCall();
      const offered = call.offer(plain(6000), asked);
      expect(
        [...offered.matchAll(/^m=audio (\d+) (\S+)/gm)].map(([, , name]) => name),
      ).to.deep.equal(['RTP/AVP', 'RTP/SAVP']);
      const [first, second] = ['RTP/AVP', 'RTP/SAVP'].map((protocol) => {
        const port = protocol === taken ? 7000 : 0;
        const keys =
          protocol === 'RTP/SAVP' && port > 0 ? linesOf(offered, 'crypto').slice(-1) : [];
        return plain(port, protocol, keys);
      });
      const answered = call.answer(`${first ?? ''}${(second ?? '').replace(/^[^]*?(?=m=)/, '')}`);
      expect(answered.match(/^m=/gm)).to.have.length(1);
      expect(transportsOf(call.state)[0]?.srtp === null).to.equal(taken === 'RTP/AVP');
      expect(call.warnings).to.deep.equal([]);
    }
  });

  it('DTLS that is switched off is not offered', () => {
    const call = new ModelCall();
    const offered = call.offer(plain(6000), { transportProtocol: 'RTP/SAVP', dtls: 'off' });
    expect(linesOf(offered, 'fingerprint')).to.deep.equal([]);
    expect(linesOf(offered, 'crypto')).not.to.deep.equal([]);
  });
});

describe('DTLS that is left to the ends', () => {
  it('passes through with its fingerprints, keys and all', () => {
    const call = new ModelCall();
    const offered = call.offer(secured(6000, 'actpass'), { passthrough: true });
    expect(linesOf(offered, 'fingerprint')).to.deep.equal([
      `a=fingerprint:sha-256 ${digest('AB')}`,
    ]);
    expect(linesOf(offered, 'setup')).to.deep.equal(['a=setup:actpass']);
    const answered = call.answer(secured(7000, 'active', dtls, [], 'CD'));
    expect(linesOf(answered, 'fingerprint')).to.deep.equal([
      `a=fingerprint:sha-256 ${digest('CD')}`,
    ]);
    expect(transportsOf(call.state).map(({ dtls: plan, srtp }) => plan ?? srtp)).to.deep.equal([
      null,
      null,
      null,
      null,
    ]);
    expect(mediasOf(call).map(({ security }) => security.mode)).to.deep.equal(['plain', 'plain']);
  });
});

describe('what a section says of DTLS', () => {
  const attributes = (
    ...lines: readonly string[]
  ): { attributes: { name: string; value: string }[] } => ({
    attributes: lines.map((line) => {
      const [name = '', ...rest] = line.split(':');
      return { name, value: rest.join(':') };
    }),
  });
  const nothing = attributes();

  it('is read by hash, case and level', () => {
    const lower = readFingerprint(`SHA-256 ${digest('ab')}`);
    expect(lower).to.deep.equal({ hash: 'sha-256', digest: '\xab'.repeat(32) });
    expect(lower === null ? '' : fingerprintText(lower)).to.equal(`sha-256 ${digest('AB')}`);
    for (const bad of [
      '',
      'sha-256',
      'sha-256 AB',
      `md5 ${digest('AB').slice(0, 47)}`,
      `sha-1 ${digest('AB')}`,
      `sha-256 ${digest('GG')}`,
    ]) {
      expect(readFingerprint(bad), bad).to.equal(null);
    }
    const session = attributes(`fingerprint:sha-256 ${digest('AB')}`, 'setup:passive');
    expect(offeredDtls(nothing, session)).to.deep.include({ setup: 'passive', tlsId: null });
    expect(offeredDtls(attributes('setup:active'), session)?.setup).to.equal('active');
    expect(offeredDtls(nothing, nothing)).to.equal(null);
  });

  it('of several fingerprints the strongest counts, of equal ones the last', () => {
    const section = attributes(
      `fingerprint:sha-256 ${digest('01')}`,
      `fingerprint:sha-256 ${digest('02')}`,
      `fingerprint:sha-1 ${digest('03').slice(0, 59)}`,
    );
    expect(offeredDtls(section, nothing)?.fingerprint).to.deep.equal({
      hash: 'sha-256',
      digest: '\x02'.repeat(32),
    });
  });
});

describe('our certificate', () => {
  it('is made when it is needed, kept, and renewed', () => {
    let made = 0;
    let now = 0;
    const source = new IdentitySource(
      () => ({ ...testIdentity, privateKey: String(++made) }),
      () => now,
    );
    expect(made).to.equal(0);
    const first = source.current();
    now += 5 * 24 * 3600 * 1000;
    expect(source.current()).to.equal(first);
    now += 6 * 24 * 3600 * 1000;
    expect(source.current()).not.to.equal(first);
    expect(made).to.equal(2);
  });
});
