/** Sections that share a transport (RFC 9143), on one side, on the other, on both. */
import { expect } from 'chai';
import { mediaPlan } from '../../../../src/media/plan.js';
import type { DemuxTable } from '../../../../src/media/packet-plan.js';
import type { MediaPlan, RoutePlan, TransportPlan } from '../../../../src/media/relay.js';
import type { CallState } from '../../../../src/media/call-state.js';
import { decodeCall, encodeCall } from '../../../../src/redis-store/codec.js';
import type { BundleWord } from '../../../../src/ng-protocol/requests.js';
import { interfaces, ModelCall, plainRequest, type Keys } from '../../../support/unit/media.js';
import { settings } from '../../../support/unit/redis-store.js';

const bundle = (...words: BundleWord[]): Keys => ({ bundle: new Set(words) });
const fingerprint = `a=fingerprint:sha-256 ${Array.from({ length: 32 }, () => 'AB').join(':')}`;
const midUri = 'urn:ietf:params:rtp-hdrext:sdes:mid';
const wideUri = 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01';

interface Section {
  readonly type?: 'audio' | 'video';
  readonly port: number;
  readonly mid?: string;
  readonly pt?: number;
  readonly lines?: readonly string[];
}

const codecs = { audio: 'opus/48000/2', video: 'VP8/90000' };

/** A plain body. */
function plain(sections: readonly Section[], session: readonly string[] = []): string {
  const lines = ['v=0', 'o=- 1 1 IN IP4 192.0.2.10', 's=-', 't=0 0', ...session];
  for (const { type = 'audio', port, mid, pt, lines: more = [] } of sections) {
    const number = pt ?? (type === 'audio' ? 111 : 96);
    lines.push(`m=${type} ${port} RTP/AVPF ${number}`, 'c=IN IP4 192.0.2.10');
    if (mid !== undefined) lines.push(`a=mid:${mid}`);
    lines.push(`a=rtpmap:${number} ${codecs[type]}`, ...more);
  }
  return `${lines.join('\r\n')}\r\n`;
}

/** One as browsers write them: each section with the same credentials, and a port of its own. */
function browser(
  sections: readonly (Section & { readonly plain?: boolean })[],
  options: { readonly group?: string; readonly setup?: string; readonly ufrag?: string } = {},
): string {
  const { group, setup = 'actpass', ufrag = 'abcd' } = options;
  const secured = (port: number): string[] => [
    `a=ice-ufrag:${ufrag}`,
    'a=ice-pwd:0123456789abcdef012345',
    ...(port === 0 ? [] : [`a=candidate:1 1 UDP 2130706431 192.0.2.10 ${port} typ host`]),
    fingerprint,
    `a=setup:${setup}`,
  ];
  return plain(
    sections.map((section) => ({
      ...section,
      lines: [
        'a=rtcp-mux',
        `a=extmap:4 ${midUri}`,
        `a=extmap:3 ${wideUri}`,
        ...(section.lines ?? []),
        ...(section.plain === true ? [] : secured(section.port)),
      ],
    })),
    group === undefined ? [] : [`a=group:BUNDLE ${group}`],
  ).replaceAll('RTP/AVPF', 'UDP/TLS/RTP/SAVPF');
}

const both: readonly Section[] = [
  { type: 'audio', port: 6000, mid: '0', lines: ['a=ssrc:11 cname:x'] },
  { type: 'video', port: 6002, mid: '1', lines: ['a=ssrc:21 cname:x', 'a=ssrc:22 cname:x'] },
];
const answered = (setup = 'active'): string =>
  browser(
    [
      { type: 'audio', port: 7000, mid: '0' },
      { type: 'video', port: 7000, mid: '1', plain: true },
    ],
    { group: '0 1', setup },
  );

/** The lines of each section of a body, without line ends. */
function sectionsOf(sdp: string): readonly (readonly string[])[] {
  const sections: string[][] = [];
  for (const line of sdp.split('\r\n')) {
    if (line.startsWith('m=')) sections.push([]);
    sections.at(-1)?.push(line);
  }
  return sections;
}

const portsOf = (sdp: string): readonly number[] =>
  sectionsOf(sdp).map(([first = '']) => Number(first.split(' ')[1]));
const groupsOf = (sdp: string): readonly string[] =>
  [...sdp.matchAll(/^a=group:BUNDLE (.*)$/gm)].map(([, mids = '']) => mids.trim());
const linesOf = (sdp: string, at: number, pattern: RegExp): readonly string[] =>
  (sectionsOf(sdp)[at] ?? []).filter((line) => pattern.test(line));
/** What a bundle has once. */
const aboutTransport = /^a=(?:candidate|end-of|crypto|rtcp:|remote-candidates)/;
/** What each of its sections has. */
const aboutPeer = /^a=(?:ice-ufrag|ice-pwd|fingerprint|setup|tls-id)/;

const planOf = ({ state }: ModelCall): MediaPlan => {
  if (state === null) throw new Error('no call');
  return mediaPlan(state, interfaces);
};
const rtpOf = (call: ModelCall, tag: string | null, index: number): number =>
  call.media(tag, index).streams[0] ?? -1;

function transportOf(call: ModelCall, tag: string | null, index: number): TransportPlan {
  const plan = planOf(call);
  const stream = plan.streams.find(({ id }) => id === rtpOf(call, tag, index));
  const found = plan.transports.find(({ id }) => id === stream?.transport);
  if (found === undefined) throw new Error(`no transport of ${tag}/${index}`);
  return found;
}

function tableOf(call: ModelCall, tag: string | null, index = 1): DemuxTable {
  const { demux } = transportOf(call, tag, index);
  if (typeof demux === 'string') throw new Error(`${tag}/${index} shares nothing`);
  return demux;
}

const routeOf = (
  call: ModelCall,
  from: readonly [string, number],
  to: readonly [string, number],
): RoutePlan | undefined =>
  planOf(call).routes.find(
    ({ fromStream, toStream, kind }) =>
      kind === 'rtp' && fromStream === rtpOf(call, ...from) && toStream === rtpOf(call, ...to),
  );

/** As the decoder in the relay has it: each port has one transport, each transport the streams of its table. */
function isWhole(call: ModelCall): void {
  const { transports, streams, ports } = planOf(call);
  const owned = transports.flatMap((transport) => transport.ports);
  expect([...owned].sort()).to.deep.equal(ports.map(({ id }) => id).sort());
  for (const { id, demux } of transports) {
    const own = streams.filter(({ transport }) => transport === id).map((stream) => stream.id);
    const named = typeof demux === 'string' ? [own[0]] : demux.streams.map((each) => each.streamId);
    expect([...named].sort()).to.deep.equal([...own].sort());
  }
}

describe('bundles', () => {
  it('are taken out without a word about them, and sections that depend on them are refused', () => {
    const call = new ModelCall();
    const only = [both[0], { ...both[1], port: 0, lines: ['a=bundle-only'] }] as Section[];
    const offered = call.offer(browser(only, { group: '0 1' }));
    expect(groupsOf(offered)).to.deep.equal([]);
    expect(portsOf(offered)[1]).to.equal(0);
    isWhole(call);
  });

  it('are passed on with sections that have no port but theirs, where all security is the ends’ own', () => {
    const call = new ModelCall();
    const [audio, video] = both;
    if (audio === undefined || video === undefined) throw new Error('no sections');
    const only = { ...video, port: 0, lines: ['a=bundle-only'] };
    const passthrough = { passthrough: true } as Keys;
    const offered = call.offer(browser([audio, only], { group: '0 1' }), passthrough);
    isWhole(call);
    expect(groupsOf(offered)).to.deep.equal(['0 1']);
    expect(portsOf(offered)[0]).to.be.above(0);
    expect(portsOf(offered)[1]).to.equal(0);
    expect(linesOf(offered, 1, /^a=(?:bundle-only|rtcp-mux|fingerprint|ice-ufrag)/)).to.have.length(
      4,
    );
    const answer = call.answer(answered(), passthrough);
    isWhole(call);
    expect(groupsOf(answer)).to.deep.equal(['0 1']);
    for (const port of portsOf(answer)) expect(port).to.be.above(0);
    // Without its group it is refused.
    expect(portsOf(new ModelCall().offer(browser([audio, only]), passthrough))[1]).to.equal(0);
    const alone = new ModelCall().offer(browser([audio, only]), passthrough);
    expect(linesOf(alone, 1, /^a=(?:rtcp-mux|fingerprint)/)).to.have.length(0);
  });

  describe('on both sides', () => {
    const open = (): { call: ModelCall; offered: string; answer: string } => {
      const call = new ModelCall();
      const offered = call.offer(browser(both, { group: '0 1' }), bundle('accept'));
      isWhole(call);
      const answer = call.answer(answered());
      isWhole(call);
      return { call, offered, answer };
    };

    it('are offered with a port for each section', () => {
      const { offered } = open();
      expect(groupsOf(offered)).to.deep.equal(['0 1']);
      const [audio = 0, video = 0] = portsOf(offered);
      expect(audio).to.be.above(0);
      expect(video).to.be.above(0).and.not.equal(audio);
      for (const at of [0, 1]) expect(linesOf(offered, at, /ice-ufrag|setup/)).to.have.length(2);
      for (const at of [0, 1]) expect(linesOf(offered, at, /rtcp-mux/)).to.have.length(1);
    });

    it('are answered with one port, its candidates once, its credentials in each section', () => {
      const { answer } = open();
      expect(groupsOf(answer)).to.deep.equal(['0 1']);
      const [audio = 0, video = 0] = portsOf(answer);
      expect(audio).to.equal(video).and.to.be.above(0);
      // Candidates of both families.
      expect(linesOf(answer, 0, /^a=(?:ice-ufrag|candidate|fingerprint|setup)/)).to.have.length(5);
      expect(linesOf(answer, 1, aboutTransport)).to.deep.equal([]);
      expect(linesOf(answer, 1, aboutPeer)).to.deep.equal(linesOf(answer, 0, aboutPeer));
      expect(linesOf(answer, 1, /^a=(?:mid|rtcp-mux)/)).to.deep.equal(['a=mid:1', 'a=rtcp-mux']);
    });

    it('make one transport of each side, told apart by MID, SSRC and payload type', () => {
      const { call } = open();
      const table = tableOf(call, 'a');
      expect(table).to.deep.equal({
        midExtension: 4,
        streams: [
          { streamId: rtpOf(call, 'a', 1), mid: '0', ssrcs: [11], payloadTypes: [111] },
          { streamId: rtpOf(call, 'a', 2), mid: '1', ssrcs: [21, 22], payloadTypes: [96] },
        ],
      });
      expect(transportOf(call, 'a', 2).id).to.equal(transportOf(call, 'a', 1).id);
      expect(transportOf(call, 'x', 2).id).to.equal(transportOf(call, 'x', 1).id);
      expect(transportOf(call, 'x', 1).remote.signalledEndpoint?.port).to.equal(7000);
      // One of each family, and two where the offer had RTCP apart: those of the second section are given up.
      expect(planOf(call).ports).to.have.length(6);
      expect(routeOf(call, ['a', 2], ['x', 2])?.rewrite).to.equal(null);
      expect(routeOf(call, ['x', 1], ['a', 1])?.rewrite).to.equal(null);
      for (const tag of ['a', 'x'])
        expect(planOf(call).transports.filter(({ ice }) => ice !== null)).to.have.length(2, tag);
    });

    it('stay in a re-offer of either side, which goes to the one port', () => {
      const { call, answer } = open();
      const ports = planOf(call).ports;
      const again = browser(
        [
          { type: 'audio', port: 7000, mid: '0' },
          { type: 'video', port: 7000, mid: '1', plain: true },
        ],
        { group: '0 1' },
      );
      const offered = call.offer(again, { fromTag: 'x', toTag: 'a' });
      isWhole(call);
      expect(portsOf(offered)).to.deep.equal(portsOf(answer));
      expect(groupsOf(offered)).to.deep.equal(['0 1']);
      expect(linesOf(offered, 1, aboutTransport)).to.deep.equal([]);
      call.answer(again.replaceAll('7000', '6000').replace('actpass', 'passive'), {
        ...{ fromTag: 'x', toTag: 'a' },
      });
      isWhole(call);
      expect(planOf(call).ports).to.deep.equal(ports);
    });

    it('take a section that comes later, without a port of its own', () => {
      const { call, answer } = open();
      const three = (port: number, setup: string): string =>
        browser(
          [
            { type: 'audio', port, mid: '0' },
            { type: 'video', port, mid: '1', plain: true },
            { type: 'video', port, mid: '2', pt: 97, plain: true },
          ],
          { group: '0 1 2', setup },
        );
      const offered = call.offer(three(6000, 'actpass'), { toTag: 'x' });
      isWhole(call);
      const [first, ...others] = portsOf(offered);
      expect(others).to.deep.equal([first, first]);
      expect(groupsOf(offered)).to.deep.equal(['0 1 2']);
      const second = call.answer(three(7000, 'active'));
      isWhole(call);
      expect(portsOf(second)).to.deep.equal([...portsOf(answer), portsOf(answer)[0]]);
      expect(tableOf(call, 'a').streams.map(({ mid }) => mid)).to.deep.equal(['0', '1', '2']);
      expect(tableOf(call, 'x', 3).streams).to.have.length(3);
    });

    it('outlive the section that their transport began with', () => {
      const { call, answer } = open();
      const [port = 0] = portsOf(answer);
      const known = transportOf(call, 'a', 2);
      const without = (at: number, setup: string): string =>
        browser(
          [
            { type: 'audio', port: 0, mid: '0', plain: true },
            { type: 'video', port: at, mid: '1' },
          ],
          { group: '1', setup },
        );
      const offered = call.offer(without(6000, 'actpass'), { toTag: 'x' });
      isWhole(call);
      expect(groupsOf(offered)).to.deep.equal(['1']);
      expect(linesOf(offered, 1, /^a=(?:ice-ufrag|fingerprint)/)).to.have.length(2);
      const second = call.answer(without(7000, 'active'));
      isWhole(call);
      expect(groupsOf(second)).to.deep.equal(['1']);
      expect(portsOf(second)).to.deep.equal([0, port]);
      const now = transportOf(call, 'a', 2);
      expect(now.id).to.equal(known.id);
      expect(now.ice?.local).to.deep.equal(known.ice?.local);
      expect(now.dtls?.generation).to.equal(known.dtls?.generation);
      expect(tableOf(call, 'a', 2).streams[0]?.mid).to.equal('1');
    });

    it('restart ICE as one', () => {
      const { call, answer } = open();
      const before = transportOf(call, 'a', 1).ice?.local;
      const again = call.offer(
        browser(
          [
            { type: 'audio', port: 6000, mid: '0' },
            { type: 'video', port: 6000, mid: '1', plain: true },
          ],
          { group: '0 1', ufrag: 'efgh' },
        ),
        { toTag: 'x' },
      );
      expect(portsOf(again)[0]).to.equal(portsOf(again)[1]);
      // It may be refused.
      const unanswered = transportOf(call, 'a', 2).ice;
      expect(unanswered?.remote?.ufrag).to.equal('abcd');
      expect(unanswered?.local).to.deep.equal(before);
      expect(portsOf(call.answer(answered()))).to.deep.equal(portsOf(answer));
      const { ice } = transportOf(call, 'a', 2);
      expect(ice?.remote?.ufrag).to.equal('efgh');
      expect(ice?.local).to.not.deep.equal(before);
    });

    it('take candidates that come later, whichever section they name', () => {
      const { call } = open();
      call.offer(
        'a=ice-ufrag:abcd\r\nm=video 9 RTP/AVP 0\r\na=mid:1\r\na=candidate:2 1 UDP 5 192.0.2.99 7007 typ host\r\n',
        {
          ...{ fromTag: 'x', flags: new Set(['fragment'] as const) },
        },
      );
      expect(call.warnings).to.deep.equal([]);
      const { ice } = transportOf(call, 'x', 1);
      expect(ice?.candidates.map(({ endpoint }) => endpoint.port)).to.include(7007);
    });
  });

  describe('of the offerer alone', () => {
    it('go on to a side that does not take them, over transports of its own', () => {
      const call = new ModelCall();
      const offered = call.offer(browser(both, { group: '0 1' }), bundle('accept'));
      const answer = call.answer(
        browser(
          [
            { type: 'audio', port: 7000, mid: '0' },
            { type: 'video', port: 7002, mid: '1' },
          ],
          { setup: 'active' },
        ),
      );
      isWhole(call);
      expect(groupsOf(answer)).to.deep.equal(['0 1']);
      expect(portsOf(answer)[0]).to.equal(portsOf(answer)[1]);
      expect(tableOf(call, 'a').streams).to.have.length(2);
      const ways = [1, 2].map((index) => transportOf(call, 'x', index));
      expect(ways.map(({ demux }) => typeof demux)).to.deep.equal(['string', 'string']);
      expect(ways.map(({ remote }) => remote.signalledEndpoint?.port)).to.deep.equal([7000, 7002]);
      expect(portsOf(offered)).to.have.length(2);
    });

    it('lose what counts packets of a whole transport', () => {
      const call = new ModelCall();
      const lines = ['a=rtcp-fb:96 transport-cc', 'a=rtcp-fb:96 nack pli'];
      const offered = call.offer(
        plain([
          { port: 6000 },
          { type: 'video', port: 6002, lines: [`a=extmap:3 ${wideUri}`, ...lines] },
        ]),
        bundle('offer'),
      );
      expect(offered).not.to.contain('transport-');
      expect(linesOf(offered, 1, /rtcp-fb/)).to.deep.equal(['a=rtcp-fb:96 nack pli']);
    });

    it('get by without the section that the other side refuses', () => {
      const call = new ModelCall();
      call.offer(browser(both, { group: '0 1' }), bundle('accept'));
      const answer = call.answer(
        browser(
          [
            { type: 'audio', port: 0, mid: '0', plain: true },
            { type: 'video', port: 7002, mid: '1' },
          ],
          { group: '1', setup: 'active' },
        ),
      );
      isWhole(call);
      expect(groupsOf(answer)).to.deep.equal(['1']);
      expect(portsOf(answer)[0]).to.equal(0);
      expect(linesOf(answer, 1, /^a=(?:ice-ufrag|fingerprint)/)).to.have.length(2);
      expect(transportOf(call, 'a', 2).remote.signalledEndpoint?.port).to.equal(6002);
    });

    it('may have a port for one section only', () => {
      const call = new ModelCall();
      const only = [
        { type: 'audio', port: 6000, mid: '0' },
        { type: 'video', port: 0, mid: '1', plain: true, lines: ['a=bundle-only'] },
      ] as const;
      const offered = call.offer(browser(only, { group: '0 1' }), bundle('accept'));
      expect(portsOf(offered).every((port) => port > 0)).to.equal(true);
      expect(offered).not.to.contain('bundle-only');
      const answer = call.answer(answered());
      isWhole(call);
      expect(portsOf(answer)[1]).to.equal(portsOf(answer)[0]);
      expect(transportOf(call, 'a', 2).remote.signalledEndpoint?.port).to.equal(6000);
    });

    it('are refused by a word in the answer', () => {
      const call = new ModelCall();
      call.offer(browser(both, { group: '0 1' }), bundle('accept'));
      const answer = call.answer(answered(), bundle('reject'));
      isWhole(call);
      expect(groupsOf(answer)).to.deep.equal([]);
      expect(new Set(portsOf(answer)).size).to.equal(2);
      expect(typeof transportOf(call, 'a', 1).demux).to.equal('string');
    });
  });

  describe('towards the answerer alone', () => {
    const phone: readonly Section[] = [{ port: 6000 }, { type: 'video', port: 6002 }];

    it('get mids, and packets say them', () => {
      const call = new ModelCall();
      const offered = call.offer(plain(phone), bundle('offer'));
      expect(groupsOf(offered)).to.deep.equal(['0 1']);
      expect(linesOf(offered, 0, /extmap|mid/)).to.deep.equal(['a=mid:0', `a=extmap:1 ${midUri}`]);
      expect(linesOf(offered, 1, /extmap|mid/)).to.deep.equal(['a=mid:1', `a=extmap:1 ${midUri}`]);
      const answer = call.answer(
        plain(
          [
            { port: 7000, mid: '0', lines: ['a=rtcp-mux', `a=extmap:1 ${midUri}`] },
            { type: 'video', port: 7000, mid: '1', lines: ['a=rtcp-mux', `a=extmap:1 ${midUri}`] },
          ],
          ['a=group:BUNDLE 0 1'],
        ),
      );
      isWhole(call);
      expect(answer).not.to.match(/extmap|a=mid|group/);
      const there = routeOf(call, ['a', 2], ['x', 2])?.rewrite?.extensions;
      expect(there?.mid).to.deep.equal({ id: 1, value: '1' });
      const back = routeOf(call, ['x', 2], ['a', 2])?.rewrite?.extensions;
      expect([...(back?.ids ?? [])]).to.deep.equal([[1, null]]);
      expect(tableOf(call, 'x').midExtension).to.equal(1);
      expect(typeof transportOf(call, 'a', 1).demux).to.equal('string');
    });

    it('have one numbering of header extensions, mapped on the way', () => {
      const call = new ModelCall();
      const [one, two] = ['urn:example:one', 'urn:example:two'];
      const offered = call.offer(
        plain([
          { port: 6000, lines: [`a=extmap:1 ${one}`] },
          { type: 'video', port: 6002, lines: [`a=extmap:1 ${two}`, `a=extmap:2/sendonly ${one}`] },
        ]),
        bundle('offer'),
      );
      expect(linesOf(offered, 0, /extmap/)).to.deep.equal([
        `a=extmap:1 ${one}`,
        `a=extmap:2 ${midUri}`,
      ]);
      expect(linesOf(offered, 1, /extmap/)).to.deep.equal([
        ...[`a=extmap:3 ${two}`, `a=extmap:1/sendonly ${one}`, `a=extmap:2 ${midUri}`],
      ]);
      const answer = call.answer(
        plain(
          [
            { port: 7000, mid: '0', lines: ['a=rtcp-mux', `a=extmap:1 ${one}`] },
            { type: 'video', port: 7000, mid: '1', lines: ['a=rtcp-mux', `a=extmap:3 ${two}`] },
          ],
          ['a=group:BUNDLE 0 1'],
        ),
      );
      expect(linesOf(answer, 1, /extmap/)).to.deep.equal([`a=extmap:1 ${two}`]);
      const there = routeOf(call, ['a', 2], ['x', 2])?.rewrite?.extensions;
      expect([...(there?.ids ?? [])]).to.deep.equal([
        [1, 3],
        [2, null],
      ]);
      const back = routeOf(call, ['x', 2], ['a', 2])?.rewrite?.extensions;
      expect([...(back?.ids ?? [])]).to.deep.equal([[3, 1]]);
    });

    it('leave out a section whose payload types mean something else there', () => {
      const call = new ModelCall();
      const offered = call.offer(
        plain([
          { port: 6000, pt: 96 },
          { type: 'video', port: 6002, pt: 96 },
        ]),
        bundle('offer'),
      );
      expect(groupsOf(offered)).to.deep.equal(['0']);
      expect(call.warnings.join()).to.contain('payload types');
    });

    it('are not offered where RTCP is to have ports of its own', () => {
      const call = new ModelCall();
      const offered = call.offer(plain(phone), {
        ...bundle('offer'),
        rtcpMux: new Set(['demux'] as const),
      });
      expect(groupsOf(offered)).to.deep.equal([]);
      expect(call.warnings.join()).to.contain('No bundle is offered');
    });

    for (const word of ['require', 'strict'] as const) {
      it(`have a port for the first section alone (${word})`, () => {
        const call = new ModelCall();
        const offered = call.offer(plain(phone), bundle(word));
        isWhole(call);
        expect(portsOf(offered)[0]).to.be.above(0);
        expect(portsOf(offered)[1]).to.equal(0);
        expect(linesOf(offered, 1, /bundle-only/)).to.have.length(1);
        expect(linesOf(offered, 0, /bundle-only/)).to.have.length(0);
        expect(linesOf(offered, 1, aboutTransport)).to.deep.equal([]);
      });

      it(`are not to be taken apart (${word})`, () => {
        const call = new ModelCall();
        call.offer(plain(phone), bundle(word));
        const answer = call.answer(plain([{ port: 7000 }, { type: 'video', port: 0 }]));
        isWhole(call);
        const [audio = 0, video] = portsOf(answer);
        expect(video).to.equal(0);
        expect(audio > 0).to.equal(word === 'require');
      });
    }

    it('end where somebody else is answered about some of their sections', () => {
      const call = new ModelCall();
      const both = plain([{ port: 6000 }, { type: 'video', port: 6010 }]);
      call.offer(both, { toTag: 'x', ...bundle('require') });
      call.answer(plain([{ port: 7000 }]), { fromTag: 'stranger', toTag: 'x' });
      const { streams, transports, routes } = planOf(call);
      const transportIds = transports.map(({ id }) => id);
      for (const { transport } of streams) expect(transportIds).to.include(transport);
      const tables = transports.filter(({ demux }) => typeof demux !== 'string');
      const shared = streams.filter(({ id, transport }) => id !== transport);
      expect(shared.length === 0).to.equal(tables.length === 0);
      const ids = streams.map(({ id }) => id);
      for (const { fromStream, toStream } of routes)
        expect(ids).to.include.members([fromStream, toStream]);
    });

    it('do without a section that is left out of the bodies', () => {
      const call = new ModelCall();
      const edits = { ...plainRequest.edits, removedMedia: new Set(['video']) };
      const offered = call.offer(browser(both, { group: '0 1' }), {
        ...bundle('accept'),
        edits: edits as NonNullable<Keys['edits']>,
      });
      expect(groupsOf(offered)).to.deep.equal(['0']);
      const answer = call.answer(
        browser([{ type: 'audio', port: 7000, mid: '0' }], { group: '0', setup: 'active' }),
      );
      isWhole(call);
      expect(groupsOf(answer)).to.deep.equal(['0']);
      expect(portsOf(answer)[1]).to.equal(0);
    });
  });

  describe('that an offer would change', () => {
    const wholes = bundle('accept');
    /** Bodies of both sides: what they bundle, and what is told apart by. */
    const shapes: Readonly<Record<string, { offer: string; answer: string; keys: Keys }>> = {
      apart: {
        offer: browser(both),
        answer: browser(
          [
            { type: 'audio', port: 7000, mid: '0' },
            { type: 'video', port: 7002, mid: '1' },
          ],
          { setup: 'active' },
        ),
        keys: {},
      },
      bundled: { offer: browser(both, { group: '0 1' }), answer: answered(), keys: wholes },
      'one of them': {
        offer: browser(both, { group: '0' }),
        answer: browser(
          [
            { type: 'audio', port: 7000, mid: '0' },
            { type: 'video', port: 7002, mid: '1' },
          ],
          { group: '0', setup: 'active' },
        ),
        keys: wholes,
      },
      'to be bundled': {
        offer: browser(both),
        answer: answered(),
        keys: { ...bundle('require'), rtcpMux: new Set(['require']) } as Keys,
      },
    };
    const named = Object.keys(shapes);
    const shape = (name: string): (typeof shapes)[string] => {
      const found = shapes[name];
      if (found === undefined) throw new Error(name);
      return found;
    };
    /** What decides about packets; ports may be there beside those in use. */
    const treated = (call: ModelCall): unknown => {
      const { transports, streams, routes } = planOf(call);
      return {
        streams: streams.map(({ id, transport, kind }) => [id, transport, kind]),
        // Of RTCP on ports of its own there is none.
        transports: transports
          .filter(({ demux }) => demux !== 'component')
          .map(({ id, demux, egressPort, dtls, ice, remote }) => [
            ...[id, demux, egressPort, dtls?.role, dtls?.generation],
            ...[ice?.local, ice?.remote, remote.endpoint],
          ]),
        routes,
      };
    };
    const usedPorts = (call: ModelCall): readonly (number | null)[] =>
      planOf(call).transports.flatMap(({ demux, egressPort }) =>
        demux === 'component' ? [] : egressPort,
      );
    const callOf = ({ offer, answer, keys }: (typeof shapes)[string]): ModelCall => {
      const call = new ModelCall();
      call.offer(offer, keys);
      call.answer(answer);
      return call;
    };
    const restored = ({ state }: ModelCall): CallState => {
      if (state === null) throw new Error('no call');
      return decodeCall('call', encodeCall(state, 'JSON', settings), settings).state;
    };

    for (const was of named)
      for (const is of named.filter((each) => each !== was)) {
        it(`go on until it is answered: ${was}, then ${is}`, () => {
          const call = callOf(shape(was));
          const before = treated(call);
          const ports = usedPorts(call);
          for (let twice = 0; twice < 2; twice += 1) {
            call.offer(shape(is).offer, { ...shape(is).keys, toTag: 'x' });
            isWhole(call);
            expect(treated(call), 'not answered').to.deep.equal(before);
            expect(usedPorts(call)).to.deep.equal(ports);
          }
          const other = callOf(shape(was));
          other.state = restored(call);
          isWhole(other);
          expect(treated(other), 'not answered, restored').to.deep.equal(before);
          call.offer(shape(was).offer, { ...shape(was).keys, toTag: 'x' });
          call.answer(shape(was).answer);
          isWhole(call);
          expect(treated(call), 'as before').to.deep.equal(before);
        });

        it(`are changed by its answer: ${was}, then ${is}`, () => {
          const call = callOf(shape(was));
          call.offer(shape(is).offer, { ...shape(is).keys, toTag: 'x' });
          const other = callOf(shape(was));
          other.state = restored(call);
          const told = [call, other].map((each) => {
            const answer = each.answer(shape(is).answer);
            isWhole(each);
            for (const { bundle: known, agreed } of each.state?.medias ?? []) {
              expect(agreed).to.equal(null);
              expect(known.carrier === null || known.agreed).to.equal(true);
            }
            const groups = groupsOf(answer);
            const shared = new Set(portsOf(answer)).size === 1;
            expect(shared).to.equal(groups.some((group) => group.includes(' ')));
            return [groups, portsOf(answer), usedPorts(each)];
          });
          expect(told[1]).to.deep.equal(told[0]);
        });
      }
  });
});
