/** ICE in offers and answers: what each side is told, and what the relay has to do for it. */
import { expect } from 'chai';
import { copyOfStream, type CallState, type Media } from '../../../../src/media/call-state.js';
import { selectRoute } from '../../../../src/media/ice/resume.js';
import { candidateText, offeredIce, readCandidate } from '../../../../src/media/ice/attributes.js';
import {
  foundationOf,
  hostPriority,
  lastResortPriority,
  newCredentials,
} from '../../../../src/media/ice/candidates.js';
import { noIceWords } from '../../../../src/ng-protocol/ice-dtls-words.js';
import { mediaPlan } from '../../../../src/media/plan.js';
import type { IcePlan } from '../../../../src/media/relay.js';
import { InterfaceTable } from '../../../../src/media/interfaces.js';
import { body, ModelCall as AnyCall, type Keys } from '../../../support/unit/media.js';

const interfaces = new InterfaceTable([
  { name: 'pub', addresses: [{ family: 'IP4', address: '127.0.0.1', advertised: '203.0.113.5' }] },
]);

class ModelCall extends AnyCall {
  constructor() {
    super({ interfaces });
  }
}

const mode = (word: NonNullable<typeof noIceWords.mode>): Keys => ({
  ice: { ...noIceWords, mode: word },
});

function iceBody(port: number, ufrag: string, more: readonly string[] = []): string {
  return body(port, [
    `a=ice-ufrag:${ufrag}`,
    `a=ice-pwd:${ufrag}0123456789abcdef012345`,
    `a=candidate:1 1 UDP 2130706431 192.0.2.10 ${port} typ host`,
    `a=candidate:1 2 UDP 2130706430 192.0.2.10 ${port + 1} typ host`,
    ...more,
  ]);
}

const linesOf = (sdp: string, name: string): readonly string[] =>
  sdp.split('\r\n').filter((line) => line.startsWith(`a=${name}`));

const valueOf = (sdp: string, name: string): string =>
  linesOf(sdp, name)[0]?.slice(name.length + 3) ?? '';

function mediasOf(call: ModelCall): readonly [answerer: Media, offerer: Media] {
  const [first, second] = call.state?.medias ?? [];
  if (first === undefined || second === undefined) throw new Error('no medias');
  return [first, second];
}

function icePlans(state: CallState | null): readonly (IcePlan | null)[] {
  if (state === null) throw new Error('no call');
  return mediaPlan(state, interfaces).transports.map(({ ice }) => ice);
}

describe('ICE between two sides that speak it', () => {
  it('ends on both, with credentials and candidates of our own', () => {
    const call = new ModelCall();
    const offered = call.offer(iceBody(6000, 'abcd'));
    expect(valueOf(offered, 'ice-ufrag')).to.match(/^[A-Za-z0-9]{8}$/);
    expect(valueOf(offered, 'ice-pwd')).to.match(/^[A-Za-z0-9]{26}$/);
    const candidates = linesOf(offered, 'candidate');
    expect(candidates).to.have.length(2);
    expect(candidates[0]).to.match(
      /^a=candidate:[A-Za-z0-9]{16} 1 UDP 2130706431 \S+ \d+ typ host$/,
    );
    expect(candidates[1]).to.match(/ 2 UDP 2130706430 /);
    expect(offered).not.to.contain('192.0.2.10 6000');
    // The offerer does not know our credentials yet: nothing can be checked.
    expect(icePlans(call.state).filter((ice) => ice !== null)).to.have.length(2);
    const answered = call.answer(iceBody(7000, 'wxyz'));
    expect(valueOf(answered, 'ice-ufrag')).not.to.equal(valueOf(offered, 'ice-ufrag'));
    const plans = icePlans(call.state);
    expect(plans.every((ice) => ice !== null)).to.equal(true);
    const [answerer, offerer] = mediasOf(call);
    expect([answerer.ice.controlling, offerer.ice.controlling]).to.deep.equal([true, false]);
    expect(plans[0]).to.deep.include({ component: 1, controlling: true, mode: 'full' });
    expect(plans[0]?.remote?.ufrag).to.equal('wxyz');
    expect(plans[0]?.candidates).to.deep.equal([
      { endpoint: { address: '192.0.2.10', port: 7000 }, priority: 2130706431 },
    ]);
    expect(plans[1]).to.deep.include({ component: 2 });
    expect(plans[2]?.remote?.ufrag).to.equal('abcd');
  });

  it('keeps its credentials over re-offers, and gives new ones to a side that restarts', () => {
    const call = new ModelCall();
    const first = [call.offer(iceBody(6000, 'abcd')), call.answer(iceBody(7000, 'wxyz'))];
    const again = [call.offer(iceBody(6000, 'abcd')), call.answer(iceBody(7000, 'wxyz'))];
    const ufrags = (sdps: readonly string[]): readonly string[] =>
      sdps.map((sdp) => valueOf(sdp, 'ice-ufrag'));
    expect(ufrags(again)).to.deep.equal(ufrags(first));
    const restarted = [call.offer(iceBody(6100, 'ABCD')), call.answer(iceBody(7000, 'wxyz'))];
    expect(ufrags(restarted)[0]).to.equal(ufrags(first)[0]);
    expect(ufrags(restarted)[1]).not.to.equal(ufrags(first)[1]);
    const [, offerer] = mediasOf(call);
    expect(offerer.ice.remoteCandidates.map(({ endpoint }) => endpoint.port)).to.deep.equal([
      6100, 6101,
    ]);
  });

  it('does not show RTCP a candidate where it goes with RTP', () => {
    const call = new ModelCall();
    call.offer(iceBody(6000, 'abcd', ['a=rtcp-mux']));
    const answered = call.answer(iceBody(7000, 'wxyz', ['a=rtcp-mux']));
    expect(linesOf(answered, 'candidate')).to.have.length(1);
    const plans = icePlans(call.state);
    expect(plans.map((ice) => ice?.component ?? 0)).to.deep.equal([1, 0, 1, 0]);
  });
});

describe('the candidates of an interface', () => {
  it('are on each of its addresses, the wanted family first', () => {
    const call = new AnyCall();
    const sdp = call.offer(iceBody(6000, 'abcd'), { addressFamily: 'IP6' });
    const shown = linesOf(sdp, 'candidate').map((line) => line.split(' ').slice(1, 5));
    expect(
      shown.map(([component, , priority, address]) => [component, priority, address]),
    ).to.deep.equal([
      ['1', '2130706431', '::1'],
      ['1', '2130706175', '127.0.0.1'],
      ['2', '2130706430', '::1'],
      ['2', '2130706174', '127.0.0.1'],
    ]);
  });
});

describe('ICE towards a side', () => {
  const offered = (sdp: string, keys: Keys): string => new ModelCall().offer(sdp, keys);

  it('is taken out, forced, or left as the sender has it', () => {
    expect(offered(iceBody(6000, 'abcd'), mode('remove'))).not.to.contain('a=ice');
    expect(offered(body(6000), mode('default'))).not.to.contain('a=ice');
    expect(linesOf(offered(body(6000), mode('force')), 'candidate')).to.have.length(2);
    expect(linesOf(offered(body(6000), mode('optional')), 'candidate')).to.have.length(2);
  });

  it('that has answered without it is offered it again only when that is asked for', () => {
    const call = new ModelCall();
    call.offer(iceBody(6000, 'abcd'));
    expect(call.answer(body(7000))).to.contain('a=ice-ufrag:');
    expect(call.offer(iceBody(6000, 'abcd'))).not.to.contain('a=ice-ufrag:');
    call.answer(body(7000));
    expect(call.offer(iceBody(6000, 'abcd'), { flags: new Set(['reset']) })).to.contain(
      'a=ice-ufrag:',
    );
  });

  it('beside the own candidates of the sender ours are a last resort, and STUN is passed on', () => {
    const call = new ModelCall();
    const sdp = call.offer(iceBody(6000, 'abcd'), mode('optional'));
    expect(linesOf(sdp, 'ice-ufrag')).to.deep.equal(['a=ice-ufrag:abcd']);
    const [theirs, , ours] = linesOf(sdp, 'candidate');
    expect(theirs).to.contain('192.0.2.10 6000');
    expect(ours).to.contain(' 1 UDP 2097152255 ');
    call.answer(iceBody(7000, 'wxyz'));
    const plan = call.state === null ? null : mediaPlan(call.state, interfaces);
    expect(plan?.transports.map(({ ice }) => ice)).to.deep.equal([null, null, null, null]);
    expect(new Set(plan?.streams.map(({ kind }) => kind))).to.deep.equal(new Set(['opaque']));
    expect(plan?.routes.map(({ kind }) => kind)).to.deep.equal(['rtp', 'rtp', 'rtp', 'rtp']);
  });

  it('leaves address and port where the relay is to be found by its candidates alone', () => {
    const relayed = 'a=candidate:3 1 UDP 511 192.0.2.200 4444 typ relay raddr 192.0.2.1 rport 5';
    const sdp = offered(iceBody(6000, 'abcd', [relayed]), mode('force-relay'));
    expect(sdp).to.contain('m=audio 6000 ').and.to.contain('c=IN IP4 192.0.2.10');
    expect(sdp).not.to.contain('192.0.2.200');
    expect(linesOf(sdp, 'candidate')[2]).to.match(
      / 1 UDP 767 \S+ \d+ typ relay raddr \S+ rport \d+$/,
    );
  });

  it('is answered without it when the offer is to be refused, and trickles when asked to', () => {
    const call = new ModelCall();
    call.offer(iceBody(6000, 'abcd'), { flags: new Set(['reject-ice', 'trickle-ice']) });
    expect(call.answer(iceBody(7000, 'wxyz'))).not.to.contain('a=ice-ufrag');
    const sdp = offered(iceBody(6000, 'abcd'), { flags: new Set(['trickle-ice']) });
    expect(sdp).to.contain('a=ice-options:trickle').and.to.contain('a=end-of-candidates');
  });

  it('as a lite agent is controlled by it', () => {
    const call = new ModelCall();
    const sdp = call.offer(iceBody(6000, 'abcd'), { iceLite: 'forward' });
    expect(sdp).to.match(/a=ice-lite\r\nm=/);
    expect(call.answer(iceBody(7000, 'wxyz'))).not.to.contain('a=ice-lite');
    expect(icePlans(call.state)[0]).to.deep.include({ mode: 'lite', controlling: false });
  });

  it('checks by us where both are lite agents: nobody else would', () => {
    const call = new ModelCall();
    const lite = (port: number, ufrag: string): string =>
      iceBody(port, ufrag).replace('m=audio', 'a=ice-lite\r\nm=audio');
    expect(call.offer(lite(6000, 'abcd'), { iceLite: 'both' })).to.contain('a=ice-lite');
    expect(call.answer(lite(7000, 'wxyz'), { iceLite: 'both' })).to.contain('a=ice-lite');
    for (const plan of icePlans(call.state))
      expect(plan).to.deep.include({ mode: 'full', controlling: true });
  });

  it('that is a lite agent is controlled by us', () => {
    const call = new ModelCall();
    call.offer(iceBody(6000, 'abcd').replace('m=audio', 'a=ice-lite\r\nm=audio'));
    call.answer(iceBody(7000, 'wxyz'));
    const [, offerer] = mediasOf(call);
    expect(offerer.ice).to.deep.include({ peerIsLite: true, controlling: true });
  });
});

/** The agents have found a way to each side: from which of its sockets, to where. */
function choose(call: ModelCall): void {
  const { state } = call;
  if (state === null) throw new Error('no call');
  const streams = state.streams.map((stream) => {
    const [portId] = stream.sockets;
    if (portId === undefined) return stream;
    const copy = copyOfStream(stream);
    const endpoint = { address: '192.0.2.77', port: 1000 + stream.component };
    selectRoute(copy, { portId, endpoint, priority: 5 }, { address: '203.0.113.5', port: 1 });
    return copy;
  });
  call.state = { ...state, streams };
}

describe('ICE that is done', () => {
  const twoAddresses = new InterfaceTable([
    {
      name: 'pub',
      addresses: ['127.0.0.1', '127.0.0.2'].map((address) => ({
        ...{ family: 'IP4' as const, address, advertised: address },
      })),
    },
  ]);
  const settled = (): ModelCall => {
    const call = new AnyCall({ interfaces: twoAddresses });
    expect(linesOf(call.offer(iceBody(6000, 'abcd')), 'candidate')).to.have.length(4);
    call.answer(iceBody(7000, 'wxyz'));
    choose(call);
    return call;
  };

  it('shows in further bodies the address that was chosen, and in the offer of a controlling side the peer', () => {
    const call = settled();
    const again = call.offer(iceBody(6000, 'abcd'), { toTag: 'x' });
    expect(linesOf(again, 'candidate')).to.have.length(2);
    expect(valueOf(again, 'remote-candidates')).to.equal('1 192.0.2.77 1001 2 192.0.2.77 1002');
    const answered = call.answer(iceBody(7000, 'wxyz'));
    expect(linesOf(answered, 'candidate')).to.have.length(2);
    expect(answered).not.to.contain('remote-candidates');
    // There the other side is in control.
    const back = call.offer(iceBody(7000, 'wxyz'), { fromTag: 'x', toTag: 'a' });
    expect(linesOf(back, 'candidate')).to.have.length(2);
    expect(back).not.to.contain('remote-candidates');
  });

  it('begins anew with all of them for a side that restarts', () => {
    const call = settled();
    call.offer(iceBody(6000, 'efgh'), { toTag: 'x' });
    expect(linesOf(call.answer(iceBody(7000, 'wxyz')), 'candidate')).to.have.length(4);
  });
});

describe('candidates that come later', () => {
  const fragment = (ufrag: string): string =>
    [
      `a=ice-ufrag:${ufrag}`,
      `a=ice-pwd:${ufrag}0123456789abcdef012345`,
      'm=audio 9 RTP/AVP 0',
      'a=mid:m0',
      'a=candidate:2 1 UDP 1686052607 192.0.2.99 6000 typ srflx raddr 192.0.2.10 rport 6000',
      'a=end-of-candidates',
      '',
    ].join('\r\n');
  const flags = new Set(['fragment'] as const);

  it('are added, when they belong to the credentials that are in use', () => {
    const call = new ModelCall();
    call.offer(iceBody(6000, 'abcd', ['a=mid:m0', 'a=ice-options:trickle']));
    const offerer = (): Media => mediasOf(call)[1];
    call.offer(fragment('zzzz'), { flags });
    expect(call.warnings.join()).to.contain('other credentials');
    expect(offerer().ice.remoteCandidates).to.have.length(2);
    call.offer(fragment('abcd'), { flags });
    expect(call.warnings).to.deep.equal([]);
    expect(offerer().ice.endOfCandidates).to.equal(true);
    expect(offerer().ice.remoteCandidates[2]?.endpoint.address).to.equal('192.0.2.99');
    const bare = fragment('abcd')
      .replace(/a=ice-.*\r\n/g, '')
      .replace('2.99', '2.98');
    call.offer(bare, { flags });
    expect(offerer().ice.remoteCandidates[3]?.endpoint.address).to.equal('192.0.2.98');
  });

  it('of nobody are no error', () => {
    const call = new ModelCall();
    call.offer(fragment('abcd'), { flags });
    expect(call.state).to.equal(null);
    expect(call.warnings).to.have.length(1);
  });
});

describe('an a=candidate line', () => {
  it('is read and written', () => {
    for (const line of [
      '1 1 UDP 2130706431 192.0.2.10 6000 typ host',
      'a/+b 2 UDP 1 2001:db8::1 9 typ srflx raddr 192.0.2.1 rport 0',
    ]) {
      const candidate = readCandidate(line);
      expect(candidate === null ? '' : candidateText(candidate)).to.equal(line);
    }
  });

  it('is left out when nothing can be sent there', () => {
    for (const line of [
      '1 1 tcp 1518280447 192.0.2.10 9 typ host tcptype active',
      '1 1 udp 2113937151 6f1c2d.local 50000 typ host',
      '1 1 udp 2113937151 192.0.2.10 0 typ host',
      '1 1 udp 4294967296 192.0.2.10 5 typ host',
      '1 0 udp 1 192.0.2.10 5 typ host',
      '1 1 udp 1 192.0.2.10 5 typ elsewhere',
      '1 1 udp 1 192.0.2.10',
      '',
      `${'x'.repeat(2000)} 1 UDP 1 192.0.2.10 6000 typ host`,
    ]) {
      expect(readCandidate(line), line).to.equal(null);
    }
  });

  it('of the session counts for no section, but its credentials do', () => {
    const session = {
      attributes: [
        { name: 'ice-ufrag', value: 'abcd' },
        { name: 'ice-pwd', value: 'p'.repeat(22) },
      ],
    };
    const media = { attributes: [{ name: 'ice-ufrag', value: 'wxyz' }] };
    expect(offeredIce({ attributes: [] }, session)?.credentials).to.deep.equal({
      ufrag: 'abcd',
      pwd: 'p'.repeat(22),
    });
    expect(offeredIce(media, session)?.credentials?.ufrag).to.equal('wxyz');
    expect(
      offeredIce({ attributes: [{ name: 'ice-ufrag', value: 'abc' }] }, { attributes: [] })
        ?.credentials,
    ).to.equal(null);
    expect(offeredIce({ attributes: [] }, { attributes: [] })).to.equal(null);
  });
});

describe('our side of ICE', () => {
  it('has priorities of RFC 8445, below those of a takeover', () => {
    expect([hostPriority(0, 1), hostPriority(0, 2), hostPriority(1, 1)]).to.deep.equal([
      2130706431, 2130706430, 2130706175,
    ]);
    expect(hostPriority(0, 1)).to.be.below(127 * 2 ** 24);
  });

  it('has its place beside the candidates of the ends by the least of their own kind', () => {
    const beside = (type: 'host' | 'relay', lines: readonly string[], index = 0): number =>
      lastResortPriority(
        lines.map((line) => readCandidate(line)).filter((each) => each !== null),
        type,
        { index, addresses: 2, component: 1 },
      );
    const host = (priority: number): string => `1 1 UDP ${priority} 192.0.2.1 5 typ host`;
    const relay = '1 1 UDP 16777215 192.0.2.1 5 typ relay raddr 192.0.2.2 rport 6';
    // 10.5 and 12.5 seen, with one address.
    expect(beside('host', [host(2113937151)])).to.equal(2113937407);
    expect(beside('host', [host(2122260223), host(1686052607)])).to.equal(1686052863);
    expect(beside('host', [host(2113937151), relay])).to.equal(2113937407);
    expect(beside('host', [relay])).to.equal(2130706431);
    expect(beside('relay', [host(2113937151)])).to.equal(16777215);
    expect(beside('relay', [relay], 1)).to.equal(255);
    expect(beside('host', [host(2130706431)], 1)).to.equal(2097152255);
    expect(beside('host', [host(2130706431)])).to.equal(2097152255 + 256);
  });

  it('has foundations by address and random credentials', () => {
    expect(foundationOf('192.0.2.1'))
      .to.match(/^[A-Za-z0-9]{16}$/)
      .and.equal(foundationOf('192.0.2.1'));
    expect(foundationOf('192.0.2.2')).not.to.equal(foundationOf('192.0.2.1'));
    expect(newCredentials()).not.to.deep.equal(newCredentials());
  });
});
