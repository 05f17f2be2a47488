/**
 * Which streams of a call the kernel may forward by itself, and how (design.md §6). Pure.
 *
 * Settled is a stream whose source is confirmed, that nothing but forwarding is wanted for, and that
 * has one listener whose address is known. Everything else, and everything in a settled stream that is
 * not plain media of the learned source (STUN, DTLS, RTCP, other sources), stays in userspace.
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
function current(
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
}

/** The flows of a call's settled streams; none for what the kernel cannot do (IPv4 to IPv6). */
export function flowsOf(
  plan: MediaPlan,
  learned: ReadonlyMap<number, Learned>,
  abilities: FlowAbilities,
): readonly StreamFlow[] {
  const flows: StreamFlow[] = [];
  for (const stream of plan.streams) {
    const sink = onlySink(plan, stream);
    if (sink === null) continue;
    const [from, to] = [current(stream, learned), current(sink, learned)];
    const egress = plan.sockets.find(({ id }) => id === sink.egressSocket);
    if (!from.confirmed || from.endpoint === null || to.endpoint === null || egress === undefined)
      continue;
    // It has not sent yet: where it is may not be where its SDP says.
    if (sink.natWait && !to.confirmed) continue;
    const excludedPayloadTypes = excludedOf(stream);
    if (excludedPayloadTypes === null) continue;
    if (excludedPayloadTypes.length > 0 && !abilities.payloadTypes) continue;
    for (const socket of plan.sockets) {
      if (socket.streamId !== stream.id) continue;
      const flow: Flow = {
        local: localOf(socket),
        source: localOf(egress),
        destination: to.endpoint,
        expected: from.endpoint,
        tos: Math.max(0, plan.tos),
        opaque: stream.transparent,
        excludedPayloadTypes,
        clockRate: stream.clockRate,
      };
      if (sameFamily(flow.local, flow.source, flow.destination, flow.expected))
        flows.push({ streamId: stream.id, sinkId: sink.id, flow });
    }
  }
  return flows;
}

/** The listener of an RTP stream that only has to be forwarded; null: there is more to do. */
function onlySink(plan: MediaPlan, stream: StreamPlan): StreamPlan | null {
  if (stream.component !== 1 || stream.blocked || stream.rtpSinks.length !== 1) return null;
  return plan.streams.find(({ id }) => id === stream.rtpSinks[0]) ?? null;
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
    a.clockRate === b.clockRate
  );
}
