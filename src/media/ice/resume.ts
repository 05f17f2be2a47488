/** What of ICE outlives the process, and how another one goes on from there. Pure. */
import type { CallState, Stream } from '../call-state.js';
import { copyOfStream, sameEndpoint, withFlag } from '../call-state.js';
import type { Endpoint } from '../endpoint.js';
import type { IcePlan, RelayEvent } from '../relay.js';

/** A socket as its peer is told of it: with the address that is advertised; null: it is not of this node. */
export type TellsOf = (socketId: number) => Endpoint | null;

export type IceSelected = Extract<RelayEvent, { readonly type: 'ice-selected' }>;

/**
 * Media goes there from now on.
 * @param stream of a state that is not published yet.
 * @param local the port of the event, as the peer knows it.
 */
export function selectRoute(
  stream: Stream,
  { portId, endpoint, priority }: Pick<IceSelected, 'portId' | 'endpoint' | 'priority'>,
  local: Endpoint,
): void {
  stream.selectedSocket = portId;
  stream.endpoint = endpoint;
  stream.flags = withFlag(stream.flags, 'confirmed', true);
  stream.iceRoute = { local, priority, takeovers: stream.iceRoute?.takeovers ?? 0 };
}

/** What an agent that is new to the relay has to know of the stream's past; `takeovers` counts for all. */
export function resumedIce(stream: Stream): Pick<IcePlan, 'resumed' | 'takeovers'> {
  const { iceRoute, selectedSocket: portId, endpoint } = stream;
  if (iceRoute === null) return { resumed: null, takeovers: 0 };
  const route = portId === null || endpoint === null ? null : { portId, endpoint };
  return {
    resumed: { route, priority: iceRoute.priority },
    takeovers: iceRoute.takeovers,
  };
}

/**
 * A stored call as this node has it: where our side of a route is another address or port now, the call has
 * moved once more.
 */
export function movedHere(stored: CallState, tellsOf: TellsOf): CallState {
  if (!stored.streams.some(({ iceRoute }) => iceRoute !== null)) return stored;
  const streams = stored.streams.map((stream) => {
    const { iceRoute, selectedSocket } = stream;
    if (iceRoute === null || selectedSocket === null) return stream;
    const local = tellsOf(selectedSocket);
    if (local === null || sameEndpoint(local, iceRoute.local)) return stream;
    const moved = copyOfStream(stream);
    moved.iceRoute = { ...iceRoute, local, takeovers: iceRoute.takeovers + 1 };
    return moved;
  });
  return { ...stored, streams };
}
