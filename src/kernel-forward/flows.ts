/**
 * Which streams of a call the kernel may forward by itself, and how (design.md §6). Pure.
 *
 * Settled is a stream whose source is confirmed, that nothing but forwarding is wanted for, and that
 * has one listener whose address is known. Everything else, and everything in a settled stream that is
 * not plain media of the learned source (STUN, DTLS, other sources), stays in userspace.
 *
 * RTCP does, too, because the daemon reads it. Its flows are for the time when there is no daemon: the
 * kernel forwards RTCP while nobody has its port open.
 */
import type { Endpoint } from '../media/call-state.js';
import type { MediaPlan, SocketPlan, StreamPlan } from '../media/relay.js';

/** What arrives at `local` from `expected` leaves from `source` to `destination`. */
export interface Flow {
  readonly local: Endpoint;
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly expected: Endpoint;
  /** TOS byte; the DSCP of it is set. */
  readonly tos: number;
  /** Not RTP: no byte of the payload is looked at. */
  readonly opaque: boolean;
  /** RTP payload types that are left to userspace, ascending. */
  readonly excludedPayloadTypes: readonly number[];
  /** `local` is a port of RTCP alone: nothing else is forwarded, and RTCP while nobody reads it. */
  readonly rtcpOnly: boolean;
  /** Where RTCP goes that arrives at an RTP port while nobody reads it; null: nowhere. */
  readonly rtcp: { readonly source: Endpoint; readonly destination: Endpoint } | null;
  /** Hz, for jitter. */
  readonly clockRate: number;
}

/** A flow and the streams whose counters it continues. */
export interface StreamFlow {
  readonly streamId: number;
  readonly sinkId: number;
  readonly flow: Flow;
}

/** What packets have taught about a stream since its plan. */
export interface Learned {
  readonly latchEpoch: number;
  readonly endpoint: Endpoint;
  readonly confirmed: boolean;
}

const localOf = (socket: SocketPlan): Endpoint => ({
  address: socket.localAddress,
  port: socket.localPort,
});

/** The stream's endpoint as of now, and whether it is final. */
export function current(
  stream: StreamPlan,
  learned: ReadonlyMap<number, Learned>,
): { readonly endpoint: Endpoint | null; readonly confirmed: boolean } {
  const known = learned.get(stream.id);
  return known !== undefined && known.latchEpoch === stream.latchEpoch ? known : stream;
}

const sameFamily = (...endpoints: readonly Endpoint[]): boolean =>
  new Set(endpoints.map(({ address }) => address.includes(':'))).size === 1;

/** What a back end can do beyond forwarding. */
export interface FlowAbilities {
  /** `excludedPayloadTypes` may be other than empty. */
  readonly payloadTypes: boolean;
  /** It knows whether anybody reads RTCP: flows may be `rtcpOnly` and have `rtcp`. */
  readonly rtcp: boolean;
}

/** The flows of a call's settled streams, and of those in `kept`; none for what the kernel cannot do (IPv4 to IPv6). */
export function flowsOf(
  plan: MediaPlan,
  learned: ReadonlyMap<number, Learned>,
  abilities: FlowAbilities,
  kept: ReadonlyMap<number, unknown> = new Map(),
): readonly StreamFlow[] {
  const flows: StreamFlow[] = [];
  for (const stream of plan.streams) {
    const rtcpOnly = stream.component === 2;
    // Keys are used in userspace.
    if (stream.srtp !== null || stream.blocked || (rtcpOnly && !abilities.rtcp)) continue;
    const from = current(stream, learned);
    const way = rtcpOnly ? rtcpWay(plan, learned, stream) : wayTo(plan, learned, stream.rtpSinks);
    const settled = from.confirmed || kept.has(stream.id);
    if (way === null || !settled || from.endpoint === null) continue;
    const excludedPayloadTypes = excludedOf(stream);
    if (excludedPayloadTypes === null) continue;
    if (excludedPayloadTypes.length > 0 && !abilities.payloadTypes) continue;
    const apart = abilities.rtcp && !rtcpOnly && !stream.transparent;
    const rtcp = apart ? rtcpWay(plan, learned, stream) : null;
    for (const socket of plan.sockets) {
      if (socket.streamId !== stream.id) continue;
      const local = localOf(socket);
      const { sinkId, source, destination } = way;
      if (!sameFamily(local, source, destination, from.endpoint)) continue;
      const flow: Flow = {
        ...{ local, source, destination, expected: from.endpoint },
        tos: Math.max(0, plan.tos),
        opaque: stream.transparent,
        excludedPayloadTypes,
        rtcpOnly,
        rtcp:
          rtcp !== null && sameFamily(local, rtcp.source, rtcp.destination)
            ? { source: rtcp.source, destination: rtcp.destination }
            : null,
        clockRate: stream.clockRate,
      };
      flows.push({ streamId: stream.id, sinkId, flow });
    }
  }
  return flows;
}

interface Way {
  readonly sinkId: number;
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

/** As `wayTo`, for RTCP; null also when a listener must not get all of it. */
function rtcpWay(
  plan: MediaPlan,
  learned: ReadonlyMap<number, Learned>,
  stream: StreamPlan,
): Way | null {
  const [sinkId] = stream.rtcpSinks;
  const sink = plan.streams.find(({ id }) => id === sinkId);
  if (stream.feedback && sink?.feedback === false) return null;
  return wayTo(plan, learned, stream.rtcpSinks);
}

/** To the only listener; null: there are several, or where it is is unknown. */
function wayTo(
  plan: MediaPlan,
  learned: ReadonlyMap<number, Learned>,
  sinks: readonly number[],
): Way | null {
  const sink = sinks.length === 1 ? plan.streams.find(({ id }) => id === sinks[0]) : undefined;
  // What has to go encrypted must not leave as it came.
  if (sink === undefined || sink.srtp !== null) return null;
  const { endpoint, confirmed } = current(sink, learned);
  const egress = plan.sockets.find(({ id }) => id === sink.egressSocket);
  if (endpoint === null || egress === undefined) return null;
  // It has not sent yet: where it is may not be where its SDP says.
  if (sink.natWait && !confirmed) return null;
  return { sinkId: sink.id, source: localOf(egress), destination: endpoint };
}

/**
 * Payload types that userspace has to deal with (DTMF that is blocked); null: it has to see all packets,
 * because most of them are not to be forwarded or not as they are.
 */
function excludedOf({ payloads, transparent }: StreamPlan): readonly number[] | null {
  if (payloads === null) return [];
  if (payloads.otherwise !== 'forward' || transparent) return null;
  const special = [...payloads.types].filter(([, action]) => action !== 'forward');
  if (special.some(([, action]) => action !== 'drop')) return null;
  return special.map(([type]) => type).sort((a, b) => a - b);
}

/** Identifies a flow: no two have the same local port. */
export const flowKey = ({ address, port }: Endpoint): string => `${address} ${port}`;

const same = (a: Endpoint, b: Endpoint): boolean => a.port === b.port && a.address === b.address;

/** Whether a flow needs no change to become the other one. */
export function sameFlow(a: Flow, b: Flow): boolean {
  return (
    same(a.local, b.local) &&
    same(a.source, b.source) &&
    same(a.destination, b.destination) &&
    same(a.expected, b.expected) &&
    a.tos === b.tos &&
    a.opaque === b.opaque &&
    a.excludedPayloadTypes.join() === b.excludedPayloadTypes.join() &&
    a.rtcpOnly === b.rtcpOnly &&
    (a.rtcp === null || b.rtcp === null
      ? a.rtcp === b.rtcp
      : same(a.rtcp.source, b.rtcp.source) && same(a.rtcp.destination, b.rtcp.destination)) &&
    a.clockRate === b.clockRate
  );
}
