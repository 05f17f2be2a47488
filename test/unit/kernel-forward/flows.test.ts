import { expect } from 'chai';
import { flowsOf, type Learned } from '../../../src/kernel-forward/flows.js';
import type { Endpoint } from '../../../src/media/call-state.js';
import type { MediaPlan, PayloadAction, PayloadRules } from '../../../src/media/relay.js';
import { facingPort, planOfSides, side, type FacingPort, type Side } from '../../support/plans.js';

const at = (address: string, port: number): Endpoint => ({ address, port });
const caller = at('192.0.2.10', 6000);
const callee = at('192.0.2.20', 7000);
const here = '198.51.100.1';

/** One side of a call of two: stream 0 hears the caller, stream 1 the callee. */
export function stream(id: 0 | 1, changes: Partial<Side> = {}): Side {
  return side(id, {
    ...{ endpoint: id === 0 ? caller : callee, confirmed: true, learning: 'heuristic' },
    ...{ generation: 0, ...changes },
  });
}

export const facing = [facingPort(0, 0, here, 30_000), facingPort(1, 1, here, 30_002)];

export const planOf = (
  streams: readonly Side[],
  changes: {
    readonly callId?: string;
    readonly tos?: number;
    readonly ports?: readonly FacingPort[];
  } = {},
): MediaPlan => planOfSides(streams, changes.ports ?? facing, { tos: 184, ...changes });

const every = { payloadTypes: true, rtcp: true };
const learnt = (
  ...entries: readonly (readonly [number, Learned])[]
): ReadonlyMap<number, Learned> => new Map(entries);
const localPorts = (plan: MediaPlan, learned = learnt()): readonly number[] =>
  flowsOf(plan, learned, every).map(({ flow }) => flow.local.port);

describe('the flows of a call', () => {
  it('are none where SRTP ends here; what passes through is forwarded', () => {
    const srtp = { receive: null, send: null };
    // Neither what comes encrypted nor what has to go encrypted.
    expect(localPorts(planOf([stream(0), stream(1, { srtp })]))).to.deep.equal([]);
    const rtcp = { kind: 'rtcp', rtpTo: [] } as const;
    const reports = planOf([
      stream(0, { ...rtcp, rtcpTo: [1] }),
      stream(1, { ...rtcp, rtcpTo: [0], srtp }),
    ]);
    expect(localPorts(reports)).to.deep.equal([]);
    const passing = [stream(0, { kind: 'opaque' }), stream(1, { kind: 'opaque' })];
    expect(localPorts(planOf(passing))).to.deep.equal([30000, 30002]);
  });

  it('are none where packets are changed, told apart or counted one by one', () => {
    const plain = planOf([stream(0), stream(1)]);
    expect(localPorts(plain)).to.deep.equal([30000, 30002]);
    const rewrite = {
      ...{ payloadTypes: new Map(), ssrcs: new Map(), sequenceOffset: 0, timestampOffset: 0 },
      ...{ extensions: null, about: null },
    };
    const routes = plain.routes.map((each) => (each.toStream === 1 ? { ...each, rewrite } : each));
    expect(localPorts({ ...plain, routes })).to.deep.equal([30002]);
    const demux = { midExtension: null, streams: [] };
    const transports = plain.transports.map((each) => (each.id === 1 ? { ...each, demux } : each));
    expect(localPorts({ ...plain, transports })).to.deep.equal([]);
    const reports = { intervalMs: 5000, cname: 'x' };
    const ownRtcp = { by: 0, reports, keyFrames: null };
    for (const change of [{ loopCheck: true }, { measured: true }, { ownRtcp }]) {
      const streams = plain.streams.map((each) => (each.id === 0 ? { ...each, ...change } : each));
      expect(localPorts({ ...plain, streams })).to.deep.equal([]);
    }
  });

  it('join the two sides of a settled one', () => {
    const flows = flowsOf(planOf([stream(0), stream(1)]), learnt(), every);
    expect(flows).to.deep.equal([
      {
        streamId: 0,
        transportId: 0,
        sinkId: 1,
        flow: {
          ...{ local: at(here, 30000), source: at(here, 30002) },
          ...{ destination: callee, expected: caller },
          ...{
            tos: 184,
            opaque: false,
            excludedPayloadTypes: [],
            rtcpOnly: false,
            rtcp: null,
            clockRate: 8000,
          },
        },
      },
      {
        streamId: 1,
        transportId: 1,
        sinkId: 0,
        flow: {
          ...{ local: at(here, 30002), source: at(here, 30000) },
          ...{ destination: caller, expected: callee },
          ...{
            tos: 184,
            opaque: false,
            excludedPayloadTypes: [],
            rtcpOnly: false,
            rtcp: null,
            clockRate: 8000,
          },
        },
      },
    ]);
  });

  it('leave the default TOS alone and forward what is not RTP unseen', () => {
    const plan = planOf([stream(0, { kind: 'opaque' }), stream(1)], { tos: -1 });
    const [first] = flowsOf(plan, learnt(), every);
    expect(first?.flow).to.include({ tos: 0, opaque: true });
  });

  it('begin when the source is confirmed, with what was learned', () => {
    const plan = planOf([stream(0, { confirmed: false }), stream(1)]);
    expect(localPorts(plan)).to.deep.equal([30002]);
    const moved = at('203.0.113.5', 9);
    const learned = learnt([0, { generation: 0, endpoint: moved, confirmed: true }]);
    const flows = flowsOf(plan, learned, every);
    expect(flows.map(({ flow }) => flow.expected)).to.deep.equal([moved, callee]);
    expect(flows.map(({ flow }) => flow.destination)).to.deep.equal([callee, moved]);
  });

  it('forget what was learned before learning began anew', () => {
    const plan = planOf([stream(0, { confirmed: false, generation: 1 }), stream(1)]);
    const learned = learnt([0, { generation: 0, endpoint: caller, confirmed: true }]);
    expect(localPorts(plan, learned)).to.deep.equal([30002]);
  });

  const elsewhere = at('2001:db8::1', 7000);
  describe('of RTCP, which the daemon reads while it lives,', () => {
    const [one, two] = [at('192.0.2.10', 6001), at('192.0.2.20', 7001)];
    const rtcp = (id: 2 | 3, changes: Partial<Side> = {}): Side => ({
      ...stream(0, { kind: 'rtcp', endpoint: id === 2 ? one : two, rtpTo: [] }),
      ...{ id, egressPort: id, rtcpTo: [5 - id], clockRate: 0 },
      ...changes,
    });
    const plan = (streams: readonly Side[]): MediaPlan =>
      planOf([stream(0, { blocked: true }), stream(1, { blocked: true }), ...streams], {
        ports: [...facing, facingPort(2, 2, here, 30_001), facingPort(3, 3, here, 30_003)],
      });

    it('join the ports that it has for itself', () => {
      const flows = flowsOf(plan([rtcp(2), rtcp(3)]), learnt(), every);
      expect(
        flows.map(({ streamId, sinkId, flow }) => ({ streamId, sinkId, ...flow })),
      ).to.deep.equal([
        {
          ...{ streamId: 2, sinkId: 3, local: at(here, 30001), source: at(here, 30003) },
          ...{ destination: two, expected: one, tos: 184, opaque: false, clockRate: 0 },
          ...{ excludedPayloadTypes: [], rtcpOnly: true, rtcp: null },
        },
        {
          ...{ streamId: 3, sinkId: 2, local: at(here, 30003), source: at(here, 30001) },
          ...{ destination: one, expected: two, tos: 184, opaque: false, clockRate: 0 },
          ...{ excludedPayloadTypes: [], rtcpOnly: true, rtcp: null },
        },
      ]);
      expect(flowsOf(plan([rtcp(2), rtcp(3)]), learnt(), { ...every, rtcp: false })).to.deep.equal(
        [],
      );
      const unsettled = plan([rtcp(2, { confirmed: false }), rtcp(3)]);
      expect(localPorts(unsettled)).to.deep.equal([30003]);
    });

    const muxed = (changes: Partial<Side> = {}): readonly Side[] => [
      stream(0, { rtcpMux: true, rtcpTo: [3], ...changes }),
      stream(1, { rtcpMux: false, rtcpTo: [0] }),
      rtcp(3),
    ];
    const rtcpOf = (streams: readonly Side[], abilities = every): unknown => {
      const ports = [...facing, facingPort(2, 2, here, 30_001), facingPort(3, 3, here, 30_003)];
      const all = planOf([...streams, rtcp(2)], { ports });
      return flowsOf(all, learnt(), abilities).find(({ streamId }) => streamId === 0)?.flow.rtcp;
    };

    it('are none where feedback has to be taken out of it', () => {
      const sender = { feedback: true };
      expect(localPorts(plan([rtcp(2, sender), rtcp(3)]))).to.deep.equal([30003]);
      expect(localPorts(plan([rtcp(2, sender), rtcp(3, sender)]))).to.deep.equal([30001, 30003]);
      expect(rtcpOf(muxed(sender))).to.equal(null);
    });

    it('have their own way out from the port of RTP without rtcp-mux, too', () => {
      const way = { source: at(here, 30003), destination: two };
      expect(rtcpOf(muxed({ rtcpMux: false }))).to.deep.equal(way);
    });

    it('share the port of RTP with their own way out', () => {
      expect(rtcpOf(muxed())).to.deep.equal({ source: at(here, 30003), destination: two });
      expect(rtcpOf(muxed(), { ...every, rtcp: false })).to.equal(null);
      expect(rtcpOf(muxed({ kind: 'opaque' }))).to.equal(null);
      expect(rtcpOf(muxed({ rtcpTo: [] }))).to.equal(null);
      const [first, second] = muxed();
      const six = rtcp(3, { endpoint: at('2001:db8::1', 7001) });
      if (first === undefined || second === undefined) throw new Error('none');
      expect(rtcpOf([first, second, six])).to.equal(null);
    });
  });

  const userspace: (readonly [string, readonly Side[]])[] = [
    ['with a blocked source', [stream(0, { blocked: true }), stream(1)]],
    ['without listener', [stream(0, { rtpTo: [] }), stream(1)]],
    ['with several listeners', [stream(0, { rtpTo: [1, 1] }), stream(1)]],
    ['whose listener is nowhere', [stream(0), stream(1, { endpoint: null, confirmed: false })]],
    ['whose listener has no port here', [stream(0), stream(1, { egressPort: null })]],
    ['to the other IP family', [stream(0), stream(1, { endpoint: elsewhere, confirmed: false })]],
    ['whose listener waits for NAT', [stream(0), stream(1, { natWait: true, confirmed: false })]],
  ];
  const rules = (
    otherwise: PayloadRules['otherwise'],
    ...types: readonly (readonly [number, PayloadAction])[]
  ): PayloadRules => ({ otherwise, types: new Map(types) });
  const noDtmf = rules('forward', [101, 'drop'], [96, 'drop']);

  it('leave blocked payload types to userspace, or the stream where the back end reads none', () => {
    const plan = planOf([stream(0, { payloads: noDtmf }), stream(1)]);
    const excluded = flowsOf(plan, learnt(), every).map(({ flow }) => flow.excludedPayloadTypes);
    expect(excluded).to.deep.equal([[96, 101], []]);
    const flows = flowsOf(plan, learnt(), { payloadTypes: false, rtcp: false });
    expect(flows.map(({ flow }) => flow.local.port)).to.deep.equal([30002]);
  });

  userspace.push(
    [
      'that is blocked but for DTMF',
      [stream(0, { payloads: rules('drop', [101, 'forward']) }), stream(1)],
    ],
    [
      'that is silenced',
      [stream(0, { payloads: rules('forward', [8, 'silence-pcma']) }), stream(1)],
    ],
    ['of SRTP without its DTMF', [stream(0, { payloads: noDtmf, kind: 'opaque' }), stream(1)]],
  );
  const rooms: (readonly [string, (plan: MediaPlan) => MediaPlan])[] = [
    ...(['ice', 'dtls', 'srtp'] as const).flatMap((room) =>
      [0, 1].map((at): (typeof rooms)[number] => [
        `${room} of the ${at === 0 ? 'sender' : 'recipient'}`,
        (plan) => ({
          ...plan,
          transports: plan.transports.map((each) =>
            each.id === at ? Object.assign({ ...each }, { [room]: {} }) : each,
          ),
        }),
      ]),
    ),
    ...(['rewrite', 'processor'] as const).map((room): (typeof rooms)[number] => [
      room,
      (plan) => ({
        ...plan,
        routes: plan.routes.map((each) => Object.assign({ ...each }, { [room]: {} })),
      }),
    ]),
  ];
  for (const [what, changed] of rooms) {
    it(`leave what has ${what} to userspace`, () => {
      expect(localPorts(planOf([stream(0), stream(1)]))).to.include(30000);
      expect(localPorts(changed(planOf([stream(0), stream(1)])))).not.to.include(30000);
    });
  }

  for (const [what, streams] of userspace) {
    it(`leave a stream ${what} to userspace`, () => {
      expect(localPorts(planOf(streams))).not.to.include(30000);
    });
  }
});
