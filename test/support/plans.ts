/**
 * Plans of calls whose transports carry one stream each, as those of plain calls do: said flat, by what a
 * side is and who hears it.
 */
import { noStats, type Endpoint, type EndpointLearning } from '../../src/media/call-state.js';
import type {
  MediaPlan,
  PayloadRules,
  PortPlan,
  RoutePlan,
  StreamPlan,
  TransportPlan,
} from '../../src/media/relay.js';

/** A transport and its stream, both with the id of the side. */
export interface Side {
  readonly id: number;
  readonly kind: StreamPlan['kind'];
  readonly endpoint: Endpoint | null;
  readonly signalledEndpoint: Endpoint | null;
  readonly confirmed: boolean;
  readonly learning: EndpointLearning;
  readonly generation: number;
  readonly strictSource: boolean;
  readonly mediaHandover: boolean;
  readonly rtcpMux: boolean;
  readonly srtp: TransportPlan['srtp'];
  readonly blocked: boolean;
  readonly payloads: PayloadRules | null;
  readonly pierceNat: boolean;
  readonly natWait: boolean;
  /** Takes part in RTCP feedback. */
  readonly feedback: boolean;
  readonly clockRate: number;
  readonly egressPort: number | null;
  /** Sides that get its RTP, and its RTCP. */
  readonly rtpTo: readonly number[];
  readonly rtcpTo: readonly number[];
  readonly initialStats: StreamPlan['initialStats'];
}

/** One of two sides, 0 and 1, that hear each other. */
export function side(id: number, changes: Partial<Side> = {}): Side {
  return {
    ...{ id, kind: 'rtp', endpoint: null, signalledEndpoint: null, confirmed: false },
    ...{ learning: 'immediate', generation: 1, strictSource: false, mediaHandover: false },
    ...{
      rtcpMux: false,
      srtp: null,
      blocked: false,
      payloads: null,
      pierceNat: false,
      natWait: false,
    },
    ...{ feedback: false, clockRate: 8000, egressPort: id, rtpTo: [1 - id], rtcpTo: [] },
    initialStats: { ...noStats, lastPacketMicros: 0 },
    ...changes,
  };
}

/** A port that packets to a side arrive at. */
export interface FacingPort extends PortPlan {
  readonly side: number;
}

/** `port(id, side, address, port)` */
export const facingPort = (
  id: number,
  facing: number,
  localAddress: string,
  localPort: number,
): FacingPort => ({ id, side: facing, localAddress, localPort, mode: 'bound' });

/** The plan of such a call. */
export function planOfSides(
  sides: readonly Side[],
  ports: readonly FacingPort[],
  { callId = 'call', tos = -1 } = {},
): MediaPlan {
  const routes: RoutePlan[] = [];
  const hasFeedback = (id: number): boolean =>
    sides.some((each) => each.id === id && each.feedback);
  for (const { id, rtpTo, rtcpTo, feedback } of sides) {
    const rest = { fromStream: id, rewrite: null, processor: null };
    for (const toStream of rtpTo) {
      const to = { toStream, kind: 'rtp', withoutFeedback: false } as const;
      routes.push({ ...rest, ...to });
    }
    for (const toStream of rtcpTo) {
      const to = { toStream, kind: 'rtcp', withoutFeedback: feedback && !hasFeedback(toStream) };
      routes.push({ ...rest, ...to } as RoutePlan);
    }
  }
  return {
    ...{ callId, tos, routes },
    ports: ports.map(({ id, localAddress, localPort, mode }) => ({
      ...{ id, localAddress, localPort, mode },
    })),
    transports: sides.map((each) => ({
      ...{ id: each.id, egressPort: each.egressPort, learning: each.learning },
      ports: ports.filter((port) => port.side === each.id).map(({ id }) => id),
      remote: {
        ...{ endpoint: each.endpoint, signalledEndpoint: each.signalledEndpoint },
        ...{ confirmed: each.confirmed, generation: each.generation },
      },
      ...{ strictSource: each.strictSource, mediaHandover: each.mediaHandover },
      ...{ pierceNat: each.pierceNat, natWait: each.natWait },
      demux: each.rtcpMux ? 'rtcp-mux' : 'component',
      ...{ ice: null, dtls: null, srtp: each.srtp },
    })),
    streams: sides.map(({ id, kind, blocked, payloads, clockRate, initialStats }) => ({
      ...{ id, transport: id, kind, blocked, payloads, clockRate, initialStats },
      ...{ loopCheck: false, measured: false, uncounted: false, announced: null, ownRtcp: null },
    })),
  };
}
