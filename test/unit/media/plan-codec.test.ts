/** The bytes of a plan, against the file that the reader in C++ is held to as well. */
import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { noStats } from '../../../src/media/call-state.js';
import { PlanCodecError, PlanEncoder } from '../../../src/media/plan-codec.js';
import { emptyPlan, type MediaPlan, type TransportPlan } from '../../../src/media/relay.js';

const plain: TransportPlan = {
  ...{ id: 5, ports: [9], egressPort: 9, learning: 'immediate', demux: 'component' },
  remote: { endpoint: null, signalledEndpoint: null, confirmed: false, generation: 0 },
  ...{ strictSource: false, mediaHandover: false, pierceNat: false, natWait: false },
  ...{ ice: null, dtls: null, srtp: null },
};
const rest = { rewrite: null, processor: null } as const;
const plainStream = {
  ...{ loopCheck: false, measured: false, uncounted: false, announced: null, ownRtcp: null },
} as const;

/** Two streams on one transport, RTCP of ours, and a route that changes whatever it can. */
const bundle: Pick<MediaPlan, 'transports' | 'streams' | 'routes'> = {
  transports: [
    {
      ...plain,
      ...{ id: 10, ports: [], egressPort: null },
      demux: {
        midExtension: 4,
        streams: [
          { streamId: 10, mid: 'a', ssrcs: [0x01020304], payloadTypes: [0, 111] },
          { streamId: 11, mid: null, ssrcs: [], payloadTypes: [] },
        ],
      },
    },
  ],
  streams: [
    {
      ...{ id: 10, transport: 10, kind: 'rtp', blocked: false, clockRate: 0, payloads: null },
      initialStats: { ...noStats, lastPacketMicros: 0 },
      ...{ loopCheck: true, measured: true, uncounted: false, announced: null },
      ownRtcp: {
        by: 11,
        reports: { intervalMs: 5000, cname: 'us' },
        keyFrames: { pli: true, fir: true, payloadTypes: [96] },
      },
    },
    {
      ...{ id: 11, transport: 10, kind: 'rtp', blocked: false, clockRate: 0, payloads: null },
      initialStats: { ...noStats, lastPacketMicros: 0 },
      ...plainStream,
    },
  ],
  routes: [
    {
      ...{ fromStream: 10, toStream: 5, kind: 'rtcp', withoutFeedback: false },
      processor: null,
      rewrite: {
        payloadTypes: new Map([[96, 97]]),
        ssrcs: new Map([[1, 2]]),
        ...{ sequenceOffset: 0xfffe, timestampOffset: 0xfffffffd },
        extensions: {
          ids: new Map([
            [1, 2],
            [3, null],
          ]),
          others: 'keep',
          mid: { id: 4, value: 'v' },
        },
        about: { ssrcs: new Map([[3, 4]]), sequenceOffset: 5 },
      },
    },
  ],
};

const golden: MediaPlan = {
  ...{ callId: 'golden', tos: 184 },
  ports: [
    { id: 7, localAddress: '192.0.2.1', localPort: 30_000, mode: 'bound' },
    { id: 8, localAddress: '192.0.2.1', localPort: 30_001, mode: 'bound' },
    { id: 9, localAddress: '2001:db8::1', localPort: 30_002, mode: 'bound' },
  ],
  transports: [
    {
      ...plain,
      ...{ id: 4, ports: [7, 8], egressPort: 7, learning: 'heuristic', demux: 'rtcp-mux' },
      remote: {
        endpoint: { address: '198.51.100.7', port: 4000 },
        signalledEndpoint: { address: '198.51.100.8', port: 4002 },
        ...{ confirmed: true, generation: 0x010203 },
      },
      ...{ mediaHandover: true, natWait: true },
    },
    {
      ...plain,
      ice: {
        ...{ mode: 'lite', controlling: true, component: 2, tieBreaker: '18446744073709551614' },
        local: { ufrag: 'ours', pwd: 'ours-secret' },
        remote: { ufrag: 'peer', pwd: 'peer-secret' },
        candidates: [{ endpoint: { address: '192.0.2.9', port: 9000 }, priority: 2_130_706_431 }],
        ...{ takeovers: 3, standby: true },
        resumed: {
          route: { portId: 9, endpoint: { address: '2001:db8::9', port: 9002 } },
          priority: 1_853_824_767,
        },
      },
      dtls: {
        ...{ role: 'active', generation: 5, established: true },
        identity: { certificate: 'CERTIFICATE', privateKey: 'KEY' },
        fingerprint: { hash: 'SHA-1', digest: '0123456789abcdefghij' },
      },
    },
    {
      ...plain,
      ice: {
        ...{ mode: 'full', controlling: false, component: 1, tieBreaker: '1' },
        ...{ local: { ufrag: 'ours', pwd: 'ours-secret' }, remote: null },
        ...{ candidates: [], takeovers: 0, standby: false, resumed: null },
      },
      dtls: {
        ...{ role: 'actpass', generation: 0, established: false, fingerprint: null },
        identity: { certificate: 'CERTIFICATE', privateKey: 'KEY' },
      },
      id: 6,
      ports: [],
      egressPort: null,
      learning: 'off',
      strictSource: true,
      pierceNat: true,
    },
    ...bundle.transports,
  ],
  streams: [
    {
      ...plainStream,
      ...{ id: 5, transport: 4, kind: 'rtp', blocked: false, clockRate: 8000 },
      payloads: {
        otherwise: 'forward',
        types: new Map([
          [0, 'silence-pcmu'],
          [8, 'silence-pcma'],
          [9, 'silence-g722'],
          [101, 'drop'],
        ]),
      },
      announced: [0x80000301, 0, 0, 0x80000020],
      initialStats: {
        ...{ packets: 1000, bytes: 172_000, errors: 3, kernelPackets: 0, kernelBytes: 0 },
        lastPacketMicros: 1_795_000_000_000_000,
      },
    },
    {
      ...plainStream,
      ...{ id: 6, transport: 5, kind: 'opaque', blocked: true, clockRate: 0, payloads: null },
      initialStats: { ...noStats, lastPacketMicros: 0 },
    },
    {
      ...plainStream,
      ...{ id: 7, transport: 6, kind: 'rtcp', blocked: false, clockRate: 0, payloads: null },
      initialStats: { ...noStats, lastPacketMicros: 0 },
    },
    ...bundle.streams,
  ],
  routes: [
    { fromStream: 5, toStream: 6, kind: 'rtp', withoutFeedback: false, ...rest },
    { fromStream: 5, toStream: 7, kind: 'rtcp', withoutFeedback: true, ...rest },
    ...bundle.routes,
  ],
};

function encoded(plan: MediaPlan): string {
  const { buffer, length } = new PlanEncoder().encode(plan);
  return buffer.subarray(0, length).toString('hex');
}

describe('the encoded plan', () => {
  it('is the one of the golden file, byte for byte', () => {
    const file = readFileSync(new URL('../../golden/media-plan.txt', import.meta.url), 'latin1');
    const bytes = file.split('\n').map((line) => line.replace(/#.*/, '').replaceAll(/\s/g, ''));
    expect(encoded(golden)).to.equal(bytes.join(''));
  });

  it('of a closed call has nothing in it', () => {
    expect(encoded(emptyPlan('x'))).to.equal('52504c33010078ffff000000000000000000000000');
  });

  it('fits whatever its size', () => {
    const many = Array.from({ length: 500 }, () => golden.ports).flat();
    const routes = Array.from({ length: 3000 }, () => golden.routes).flat();
    const each = 22 + 10 + 1 + 3 + 0x2a;
    const size = (plan: MediaPlan): number => encoded(plan).length / 2;
    const one = size(golden);
    expect(size({ ...golden, ports: many, routes })).to.equal(one + 499 * 53 + 2999 * each);
  });

  it('is refused where a number does not fit', () => {
    const route = { ...golden.routes[0], toStream: -1 } as MediaPlan['routes'][number];
    expect(() => encoded({ ...golden, routes: [route] })).to.throw(PlanCodecError, 'golden');
    expect(() => encoded({ ...golden, tos: 70_000 })).to.throw(PlanCodecError);
  });
});
