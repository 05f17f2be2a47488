/** What an SDP does to a call and what the other side is told (sdp-rules.md). */
import { expect } from 'chai';
import { withStreams } from '../../../src/media/call-change.js';
import { copyOfStream, withFlag } from '../../../src/media/call-state.js';
import type { RtcpMuxOption, SignallingRequest } from '../../../src/media/signalling.js';
import { mediaPlan } from '../../../src/media/plan.js';
import {
  body,
  interfaces,
  linesOf,
  ModelCall,
  portOf,
  type Keys,
} from '../../support/unit/media.js';

const called = (port: number, lines: readonly string[] = []): string =>
  body(port, lines, '192.0.2.77');

const flags = (...words: readonly string[]): Keys => ({
  flags: new Set(words) as SignallingRequest['flags'],
});
const mux = (...words: readonly RtcpMuxOption[]): Keys => ({ rtcpMux: new Set(words) });

function muxLines(sdp: string): string {
  const port = portOf(sdp);
  const rtcp = Number(/a=rtcp:(\d+)/.exec(sdp)?.[1]);
  const shared = rtcp === port ? 'same' : rtcp === port + 1 ? '+1' : String(rtcp);
  return `${shared}${sdp.includes('a=rtcp-mux\r\n') ? ' mux' : ''}`;
}

describe('a body for the other side', () => {
  it('has the layout of the current rtpengine', () => {
    const sdp = new ModelCall().offer(body(6000, ['a=ptime:20', 'a=x-note:keep me', 'a=sendrecv']));
    expect(linesOf(sdp)).to.deep.equal([
      'v=0',
      'o=ann 7001 3 IN IP4 192.0.2.10',
      's=call one',
      't=0 0',
      'm=audio 40000 RTP/AVP 0 8 101',
      'c=IN IP4 127.0.0.1',
      'a=rtpmap:0 PCMU/8000',
      'a=rtpmap:8 PCMA/8000',
      'a=rtpmap:101 telephone-event/8000',
      'a=fmtp:101 0-15',
      'a=x-note:keep me',
      'a=sendrecv',
      'a=rtcp:40001',
      'a=ptime:20',
    ]);
  });

  it('of an answer names only what was offered, and the packet time of the offer', () => {
    const call = new ModelCall();
    call.offer(body(6000, ['a=ptime:20']));
    const answered = call.answer(called(7000).replace('0 8 101', '101 0 18'));
    expect(answered).to.include('RTP/AVP 101 0\r\n');
    expect(answered).to.include('a=ptime:20\r\n');
    expect(answered).not.to.include('G729');
  });

  it('advertises the address of the interface asked for', () => {
    const call = new ModelCall();
    const offered = call.offer(body(6000), { fromInterface: 'lo', toInterface: 'ext' });
    expect(offered).to.include('c=IN IP4 203.0.113.5\r\n');
    expect(call.answer(called(7000))).to.include('c=IN IP4 127.0.0.1\r\n');
  });

  it('has the family and the address asked for', () => {
    expect(new ModelCall().offer(body(6000), { addressFamily: 'IP6' })).to.include('c=IN IP6 ::1');
    const forced = new ModelCall().offer(body(6000), { mediaAddress: '198.51.100.7' });
    expect(forced).to.include('c=IN IP4 198.51.100.7\r\n');
  });

  it('passes the direction on, and a hold by zero address as sendonly', () => {
    for (const direction of ['sendrecv', 'sendonly', 'recvonly', 'inactive']) {
      expect(new ModelCall().offer(body(6000, [`a=${direction}`]))).to.include(
        `a=${direction}\r\n`,
      );
    }
    const held = new ModelCall().offer(body(6000, [], '0.0.0.0'));
    expect(held).to.include('c=IN IP4 0.0.0.0\r\n').and.to.include('a=sendonly\r\n');
    const replaced = new ModelCall().offer(body(6000, [], '0.0.0.0'), {
      replace: new Set(['zero-address']),
    });
    expect(replaced).to.include('c=IN IP4 127.0.0.1\r\n').and.to.include('a=sendonly\r\n');
  });

  it('ends a refused section at its number', () => {
    const call = new ModelCall();
    const sdp = call.offer(`${body(6000)}m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n`);
    expect(linesOf(sdp).slice(-2)).to.deep.equal(['m=video 0 RTP/AVP 96', 'c=IN IP4 0.0.0.0']);
  });

  it('leaves media over TCP alone', () => {
    const msrp = 'm=message 2855 TCP/MSRP *\r\na=path:msrp://192.0.2.10:2855/x;tcp\r\n';
    const sdp = new ModelCall().offer(body(6000) + msrp);
    expect(sdp).to.include('m=message 2855 TCP/MSRP *\r\nc=IN IP4 192.0.2.10\r\na=path:msrp:');
  });

  it('is refused, and nothing kept, when it is not understood', () => {
    const call = new ModelCall();
    expect(() => call.offer('v=0\r\no=ann 1 1 IN IP4\r\n')).to.throw('Failed to parse SDP');
    expect(() => call.offer(body(6000).replace(/c=.*\r\n/, ''))).to.throw('Incomplete SDP');
    expect(() => call.offer(body(6000).replace(/m=[^]*/, ''))).to.throw('Error rewriting SDP');
    expect(call.state).to.equal(null);
  });

  it('counts its own version when asked to', () => {
    const call = new ModelCall();
    const keys: Keys = { replace: new Set(['sdp-version', 'origin']) };
    const version = (sdp: string): string => /o=ann 7001 (\d+) /.exec(sdp)?.[1] ?? '';
    expect(version(call.offer(body(6000), keys))).to.equal('3');
    expect(version(call.offer(body(6000), keys))).to.equal('3');
    expect(version(call.offer(body(6000, ['a=x:1']), keys))).to.equal('4');
  });

  it('carries the loop mark, and a marked one comes back as it is', () => {
    const marked = new ModelCall().offer(body(6000), flags('loop-protect'));
    expect(marked).to.include('a=rtpengine:0123456789ab\r\n');
    const again = new ModelCall();
    expect(again.offer(marked, flags('loop-protect'))).to.equal(marked);
    expect(again.state).to.equal(null);
  });
});

describe('local ports', () => {
  it('stay for a known remote address and are others for a new one', () => {
    const call = new ModelCall();
    const first = portOf(call.offer(body(6000)));
    const second = portOf(call.offer(body(6010)));
    expect(second).not.to.equal(first);
    expect(portOf(call.offer(body(6000)))).to.equal(first);
    expect(portOf(call.offer(body(6000, [], '192.0.2.11')))).not.to.equal(first);
  });

  it('stay whatever the address with port-latching', () => {
    const call = new ModelCall();
    const first = portOf(call.offer(body(6000)));
    expect(portOf(call.offer(body(6010), flags('port-latching')))).to.equal(first);
  });

  it('stay through a hold and through a section that was refused for a while', () => {
    const call = new ModelCall();
    const offered = portOf(call.offer(body(6000)));
    const answered = portOf(call.answer(called(7000)));
    call.offer(body(6000, [], '0.0.0.0'), { toTag: 'x' });
    call.offer(body(0), { toTag: 'x' });
    expect(call.stream('x').selectedSocket).to.equal(null);
    expect(portOf(call.offer(body(6000), { toTag: 'x' }))).to.equal(offered);
    expect(portOf(call.answer(called(7000)))).to.equal(answered);
  });

  it('of several pairs in one section follow each other', () => {
    const call = new ModelCall();
    expect(call.offer(body(6000).replace('6000', '6000/2'))).to.include('m=audio 40000/2 ');
    expect(call.state?.sockets.slice(0, 4).map(({ port }) => port)).to.deep.equal([
      40_000, 40_001, 40_002, 40_003,
    ]);
  });
});

describe('rtcp-mux', () => {
  type Row = readonly [boolean, readonly RtcpMuxOption[], string, string, string];
  const rows: readonly Row[] = [
    // offered, words, to the callee, to the caller: callee without and with mux
    [false, [], '+1', '+1', '+1'],
    [false, ['offer'], '+1 mux', '+1', '+1'],
    [false, ['require'], 'same mux', '+1', '+1'],
    [true, [], '+1 mux', '+1', 'same mux'],
    [true, ['require'], 'same mux', '+1', 'same mux'],
    [true, ['demux'], '+1', 'same mux', 'same mux'],
    [true, ['accept'], '+1 mux', 'same mux', 'same mux'],
    [true, ['reject'], '+1 mux', '+1', '+1'],
  ];
  for (const [offered, words, toCallee, plainAnswer, muxAnswer] of rows) {
    const name = `${offered ? 'offered' : 'not offered'}, option ${words.join(' ') || 'none'}`;
    it(name, () => {
      for (const answered of [false, true]) {
        const call = new ModelCall();
        const offer = call.offer(body(6000, offered ? ['a=rtcp-mux'] : []), mux(...words));
        expect(muxLines(offer)).to.equal(toCallee);
        const answer = call.answer(called(7000, answered ? ['a=rtcp-mux'] : []));
        expect(muxLines(answer)).to.equal(answered ? muxAnswer : plainAnswer);
      }
    });
  }

  it('is kept with a callee that does it, in an offer that leaves it out', () => {
    const call = new ModelCall();
    call.offer(body(6000, ['a=rtcp-mux']));
    call.answer(called(7000, ['a=rtcp-mux']));
    expect(muxLines(call.offer(body(6000), { toTag: 'x' }))).to.equal('same mux');
  });
});

describe('remote endpoints', () => {
  it('are those of the SDP, a=rtcp included', () => {
    const call = new ModelCall();
    call.offer(body(6000, ['a=rtcp:6055 IN IP4 192.0.2.11']));
    expect(call.stream('a', 1).endpoint).to.deep.equal({ address: '192.0.2.10', port: 6000 });
    expect(call.stream('a', 2).endpoint).to.deep.equal({ address: '192.0.2.11', port: 6055 });
  });

  it('are at the source of the SIP message when asked to, also in a hold', () => {
    const call = new ModelCall();
    const keys = { ...flags('sip-source-address'), receivedFrom: '192.0.2.55' };
    const sdp = call.offer(body(6000, ['a=rtcp:6055 IN IP4 192.0.2.11'], '0.0.0.0'), keys);
    expect(call.stream('a', 1).endpoint).to.deep.equal({ address: '192.0.2.55', port: 6000 });
    expect(call.stream('a', 2).endpoint).to.deep.equal({ address: '192.0.2.55', port: 6055 });
    expect(sdp).to.include('c=IN IP4 127.0.0.1\r\n').and.to.include('a=sendrecv\r\n');
    const nowhere = new ModelCall();
    expect(() => nowhere.offer(body(6000), flags('sip-source-address'))).to.throw('Incomplete SDP');
  });
});

describe('the plan for the relay', () => {
  function sinks(call: ModelCall, from: string, component: 1 | 2 = 1): readonly number[] {
    if (call.state === null) throw new Error('no call');
    const plan = mediaPlan(call.state, interfaces);
    const { id } = call.stream(from, component);
    const kind = component === 1 ? 'rtp' : 'rtcp';
    const routes = plan.routes.filter((route) => route.fromStream === id && route.kind === kind);
    return routes.map(({ toStream }) => toStream);
  }

  it('sends RTP to RTP and RTCP to RTCP', () => {
    const call = new ModelCall();
    call.offer(body(6000));
    call.answer(called(7000));
    expect(sinks(call, 'a')).to.deep.equal([call.stream('x').id]);
    expect(sinks(call, 'x', 2)).to.deep.equal([call.stream('a', 2).id]);
  });

  it('sends RTCP to the RTP port of a side that multiplexes', () => {
    const call = new ModelCall();
    call.offer(body(6000), mux('offer'));
    call.answer(called(7000, ['a=rtcp-mux']));
    expect(sinks(call, 'a', 2)).to.deep.equal([call.stream('x', 1).id]);
  });

  it('sends nothing to a side that is held by a zero address', () => {
    const call = new ModelCall();
    call.offer(body(6000));
    call.answer(called(7000));
    call.offer(body(6000, [], '0.0.0.0'), { toTag: 'x' });
    expect(sinks(call, 'x'), 'it may be refused').to.deep.equal([call.stream('a').id]);
    call.answer(called(7000));
    expect(sinks(call, 'x')).to.deep.equal([]);
    expect(sinks(call, 'a')).to.deep.equal([call.stream('x').id]);
    call.offer(body(6000), { toTag: 'x' });
    expect(sinks(call, 'x')).to.deep.equal([call.stream('a').id]);
  });

  it('starts learning again with each offer and answer, on both sides', () => {
    const call = new ModelCall();
    call.offer(body(6000));
    call.answer(called(7000));
    const epochs = (): readonly number[] =>
      (['a', 'x'] as const).flatMap((tag) =>
        ([1, 2] as const).map((component) => call.stream(tag, component).learningGeneration),
      );
    const learned = { address: '192.0.2.99', port: 9000 };
    for (const again of [
      () => call.offer(body(6000), { toTag: 'x' }),
      () => call.answer(called(7000)),
      () => call.answer(called(7000)),
      () => call.offer(called(7000), { fromTag: 'x', toTag: 'a' }),
      () => call.answer(body(6000), { fromTag: 'x', toTag: 'a' }),
    ]) {
      const before = epochs();
      const stream = copyOfStream(call.stream('a'));
      stream.endpoint = learned;
      stream.flags = withFlag(stream.flags, 'confirmed', true);
      call.state = call.state && withStreams(call.state, new Map([[stream.id, stream]]));
      again();
      expect(epochs().every((epoch, at) => epoch > (before[at] ?? 0))).to.equal(true);
      expect(call.stream('a').flags.has('confirmed')).to.equal(false);
      expect(call.stream('a').endpoint, 'it stays in use').to.deep.equal(learned);
    }
    call.offer(body(6010), { toTag: 'x' });
    expect(call.stream('a').endpoint?.port).to.equal(6010);
  });

  it('learns nothing with strict-source before somebody has answered', () => {
    const call = new ModelCall();
    const learningOf = (tag: string): string | undefined => {
      const { state } = call;
      if (state === null) return undefined;
      const { id } = call.stream(tag);
      return mediaPlan(state, interfaces).transports.find((each) => each.id === id)?.learning;
    };
    call.offer(body(6000), { flags: new Set(['strict-source']) });
    expect(learningOf('a')).to.equal('off');
    call.answer(called(7000));
    expect(learningOf('a')).to.equal('heuristic');
    const lenient = new ModelCall();
    lenient.offer(body(6000));
    const state = lenient.state;
    const transports = state === null ? [] : mediaPlan(state, interfaces).transports;
    expect(transports.map(({ learning }) => learning)).not.to.include('off');
  });

  it('answers by the profile that is asked for, unless it is secured otherwise', () => {
    const key =
      'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:MDEyMzQ1Njc4OUFCQ0RFRjAxMjM0NTY3ODlBQkNE';
    const answered = (offered: string, asked: string): string | undefined => {
      const call = new ModelCall();
      const lines = offered.includes('SAVP') ? [key] : [];
      call.offer(body(6000, lines).replace('RTP/AVP', offered), { transportProtocol: 'RTP/AVP' });
      const sdp = call.answer(called(7000), { transportProtocol: asked });
      return /m=audio \d+ (\S+)/.exec(sdp)?.[1];
    };
    expect(answered('RTP/AVPF', 'RTP/AVP')).to.equal('RTP/AVP');
    expect(answered('RTP/AVP', 'RTP/AVPF')).to.equal('RTP/AVPF');
    expect(answered('RTP/SAVP', 'RTP/SAVPF')).to.equal('RTP/SAVPF');
    expect(answered('RTP/SAVP', 'RTP/AVP')).to.equal('RTP/SAVP');
    expect(answered('RTP/AVP', 'RTP/SAVP')).to.equal('RTP/AVP');
    expect(answered('RTP/SAVP', 'UDP/TLS/RTP/SAVP')).to.equal('RTP/SAVP');
  });

  it('takes feedback out for a side that takes no part in it, where it can be read', () => {
    const strippedOf = (
      caller: string,
      callee: string,
      passthrough: true | null = null,
    ): readonly (readonly [number, boolean])[] => {
      const call = new ModelCall();
      const keys = { transportProtocol: callee, passthrough };
      call.offer(body(6000).replace('RTP/AVP', caller), keys);
      const { state } = call;
      if (state === null) throw new Error('no call');
      call.answer(called(7000).replace('RTP/AVP', callee));
      const { routes } = mediaPlan(call.state ?? state, interfaces);
      return routes
        .filter(({ kind }) => kind === 'rtcp')
        .map(({ fromStream, withoutFeedback }) => [fromStream, withoutFeedback] as const);
    };
    const none = strippedOf('RTP/AVP', 'RTP/AVP').map(([id]) => [id, false]);
    expect(none).to.have.length(4);
    expect(strippedOf('RTP/AVP', 'RTP/AVP')).to.deep.equal(none);
    expect(strippedOf('RTP/AVPF', 'RTP/AVPF')).to.deep.equal(none);
    const mixed = strippedOf('RTP/AVPF', 'RTP/AVP').filter(([, without]) => without);
    expect(mixed).to.have.length(2);
    expect(strippedOf('UDP/TLS/RTP/SAVPF', 'UDP/TLS/RTP/SAVP', true)).to.deep.equal([]);
  });
});
