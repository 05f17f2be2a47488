/** Plans of large calls, by what changes in them. */
import { expect } from 'chai';
import type { MediaPlan, PortPlan } from '../../../src/media/relay.js';

/** What a plan says, without how it has come about. */
export const plain = ({
  callId,
  tos,
  ports,
  transports,
  streams,
  routes,
}: MediaPlan): MediaPlan => ({
  ...{ callId, tos, ports, transports, streams, routes },
});

/** What the addon makes of a plan and a change of it. */
export function changed(before: MediaPlan, { callId, tos, change }: MediaPlan): MediaPlan {
  if (change === undefined || change === null) return expect.fail('no change');
  const ports = new Map<number, PortPlan>(before.ports.map((port) => [port.id, port]));
  for (const id of change.closed) expect(ports.delete(id)).to.equal(true);
  for (const port of change.ports) {
    expect(ports.has(port.id)).to.equal(false);
    ports.set(port.id, port);
  }
  const [transports, streams] = [before.transports.slice(), before.streams.slice()];
  const routes = new Map(
    streams.map(({ id }) => [id, before.routes.filter(({ fromStream }) => fromStream === id)]),
  );
  for (const { position, part, ports: added, routes: more } of change.parts) {
    expect(position).to.be.at.most(streams.length);
    const kept = transports[position]?.ports.filter((id) => ports.has(id)) ?? [];
    transports[position] = { ...part.transport, ports: [...kept, ...added] };
    streams[position] = part.stream;
    const { id } = part.stream;
    const all = more === null ? part.routes : [...(routes.get(id) ?? []), ...more];
    // Of each kind behind those of that kind.
    routes.set(id, [
      ...all.filter(({ kind }) => kind === 'rtp'),
      ...all.filter(({ kind }) => kind === 'rtcp'),
    ]);
  }
  const all = streams.flatMap(({ id }) => routes.get(id) ?? []);
  const open = [...ports.values()].sort((a, b) => a.id - b.id);
  return { callId, tos, ports: open, transports, streams, routes: all };
}
