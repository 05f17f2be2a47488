/**
 * Which routes of a call the kernel may take by itself, and how (design.md §6). Pure.
 *
 * Settled is a stream whose source is confirmed and that has one route, to a remote whose address is known,
 * where nothing but forwarding is wanted: nothing is rewritten or processed, and neither transport has keys
 * or checks. Everything else, and everything in a settled stream that is not plain media of the learned
 * source (STUN, DTLS, other sources), stays in userspace.
 *
 * RTCP does, too, because the daemon reads it. Its flows are for the time when there is no daemon: the
 * kernel forwards RTCP while nobody has its port open.
 */
import type { Endpoint } from '../media/call-state.js';
import type { MediaPlan, PortPlan, RoutePlan, StreamPlan, TransportPlan } from '../media/relay.js';

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
  readonly transportId: number;
  readonly sinkId: number;
  readonly flow: Flow;
}

/** What packets have taught about a transport since its plan. */
export interface Learned {
  readonly generation: number;
  readonly endpoint: Endpoint;
  readonly confirmed: boolean;
}

const localOf = (port: PortPlan): Endpoint => ({
  address: port.localAddress,
  port: port.localPort,
});

/** The transport's remote as of now, and whether it is final. */
export function current(
  { id, remote }: TransportPlan,
  learned: ReadonlyMap<number, Learned>,
): { readonly endpoint: Endpoint | null; readonly confirmed: boolean } {
  const known = learned.get(id);
  return known !== undefined && known.generation === remote.generation ? known : remote;
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

/** What `flowsOf` looks up in a plan, and what packets have taught since. */
class Surroundings {
  readonly transports: ReadonlyMap<number, TransportPlan>;
  readonly #streams: ReadonlyMap<number, StreamPlan>;
  readonly #ports: ReadonlyMap<number, PortPlan>;
  readonly #routes = new Map<number, RoutePlan[]>();

  constructor(
    plan: MediaPlan,
    readonly learned: ReadonlyMap<number, Learned>,
  ) {
    this.transports = new Map(plan.transports.map((transport) => [transport.id, transport]));
    this.#streams = new Map(plan.streams.map((stream) => [stream.id, stream]));
    this.#ports = new Map(plan.ports.map((port) => [port.id, port]));
    for (const route of plan.routes) {
      const list = this.#routes.get(route.fromStream);
      if (list === undefined) this.#routes.set(route.fromStream, [route]);
      else list.push(route);
    }
  }

  port(id: number | null): PortPlan | undefined {
    return id === null ? undefined : this.#ports.get(id);
  }

  /** By the only route of that kind; null: there are several, or where it leads is unknown. */
  way(streamId: number, kind: RoutePlan['kind']): Way | null {
    const routes = this.#routes.get(streamId)?.filter((route) => route.kind === kind) ?? [];
    const [route] = routes;
    if (route === undefined || routes.length > 1 || !isPlainRoute(route)) return null;
    const recipient = this.#streams.get(route.toStream);
    if (recipient === undefined || !isPlainStream(recipient)) return null;
    const to = this.transports.get(recipient.transport);
    if (to === undefined || !isPlainTransport(to)) return null;
    const { endpoint, confirmed } = current(to, this.learned);
    const egress = this.port(to.egressPort);
    if (endpoint === null || egress === undefined) return null;
    // It has not sent yet: where it is may not be where its SDP says.
    if (to.natWait && !confirmed) return null;
    return { sinkId: route.toStream, source: localOf(egress), destination: endpoint };
  }
}

/** Typed as null as long as nothing else can be asked for; what comes is not the kernel's. */
const isNull = (...rooms: readonly unknown[]): boolean => rooms.every((room) => room === null);

const isPlainTransport = ({ ice, dtls, srtp, demux }: TransportPlan): boolean =>
  isNull(ice, dtls, srtp) && typeof demux === 'string';

/** What is looked at or counted packet by packet is not for the kernel. */
const isPlainStream = ({ loopCheck, measured, ownRtcp }: StreamPlan): boolean =>
  !loopCheck && !measured && (ownRtcp === null || ownRtcp.reports === null);

/** What changes packets is not for the kernel, nor is a recipient that must not get all of the RTCP. */
const isPlainRoute = ({ rewrite, processor, withoutFeedback }: RoutePlan): boolean =>
  isNull(rewrite, processor) && !withoutFeedback;

/** The flows of a call's settled streams, and of those in `kept`; none for what the kernel cannot do (IPv4 to IPv6). */
export function flowsOf(
  plan: MediaPlan,
  learned: ReadonlyMap<number, Learned>,
  abilities: FlowAbilities,
  kept: ReadonlyMap<number, unknown> = new Map(),
): readonly StreamFlow[] {
  const around = new Surroundings(plan, learned);
  return plan.streams.flatMap((stream) => streamFlows(plan, stream, around, abilities, kept));
}

function streamFlows(
  plan: MediaPlan,
  stream: StreamPlan,
  around: Surroundings,
  abilities: FlowAbilities,
  kept: ReadonlyMap<number, unknown>,
): readonly StreamFlow[] {
  const rtcpOnly = stream.kind === 'rtcp';
  const transport = around.transports.get(stream.transport);
  if (transport === undefined || !isPlainTransport(transport)) return [];
  if (stream.blocked || !isPlainStream(stream) || (rtcpOnly && !abilities.rtcp)) return [];
  const from = current(transport, around.learned);
  const way = around.way(stream.id, rtcpOnly ? 'rtcp' : 'rtp');
  const settled = from.confirmed || kept.has(transport.id);
  if (way === null || !settled || from.endpoint === null) return [];
  const excludedPayloadTypes = excludedOf(stream);
  if (excludedPayloadTypes === null) return [];
  if (excludedPayloadTypes.length > 0 && !abilities.payloadTypes) return [];
  const rtcp = abilities.rtcp && stream.kind === 'rtp' ? around.way(stream.id, 'rtcp') : null;
  const { sinkId, source, destination } = way;
  const flows: StreamFlow[] = [];
  for (const id of transport.ports) {
    const port = around.port(id);
    if (port === undefined) continue;
    const local = localOf(port);
    if (!sameFamily(local, source, destination, from.endpoint)) continue;
    const flow: Flow = {
      ...{ local, source, destination, expected: from.endpoint },
      tos: Math.max(0, plan.tos),
      opaque: stream.kind === 'opaque',
      excludedPayloadTypes,
      rtcpOnly,
      rtcp:
        rtcp !== null && sameFamily(local, rtcp.source, rtcp.destination)
          ? { source: rtcp.source, destination: rtcp.destination }
          : null,
      clockRate: stream.clockRate,
    };
    flows.push({ streamId: stream.id, transportId: transport.id, sinkId, flow });
  }
  return flows;
}

interface Way {
  /** The stream that packets are sent to. */
  readonly sinkId: number;
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

/**
 * Payload types that userspace has to deal with (DTMF that is blocked); null: it has to see all packets,
 * because most of them are not to be forwarded or not as they are.
 */
function excludedOf({ payloads, kind }: StreamPlan): readonly number[] | null {
  if (payloads === null) return [];
  if (payloads.otherwise !== 'forward' || kind === 'opaque') return null;
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
