/** The ports of a call that was not negotiated here but read from a store. */
import { mediaPlan } from '../media/plan.js';
import type { CallState, LocalSocket } from '../media/call-state.js';
import type { InterfaceTable } from '../media/interfaces.js';
import type { PortPool } from '../media/port-pool.js';
import type { MediaRelay } from '../media/relay.js';

export interface PortOwners {
  readonly pool: PortPool;
  readonly interfaces: InterfaceTable;
  readonly relay: MediaRelay;
}

interface LocalPort {
  readonly address: string;
  readonly port: number;
}

const nameOf = ({ address, port }: LocalPort): string => `${address} ${port}`;

const addressOf = (interfaces: InterfaceTable, socket: LocalSocket): string | undefined =>
  interfaces.addressAt(socket.logicalInterface, socket.family, socket.addressIndex)?.address;

/**
 * Opens what `state` needs beyond `previous`, and closes what it no longer has. Returns why that cannot
 * be, then nothing has changed; or null.
 */
export function placeCall(
  { pool, interfaces, relay }: PortOwners,
  state: CallState,
  previous: CallState | null,
): string | null {
  const before = new Map<string, LocalPort>();
  for (const socket of previous?.sockets ?? []) {
    const entry = { address: addressOf(interfaces, socket) ?? '', port: socket.port };
    if (socket.open) before.set(nameOf(entry), entry);
  }
  const reserved: LocalPort[] = [];
  const undo = (reason: string): string => {
    for (const { address, port } of reserved) pool.release(address, port);
    return reason;
  };
  for (const socket of state.sockets) {
    if (!socket.open) continue;
    const address = addressOf(interfaces, socket);
    if (address === undefined) return undo(`no interface '${socket.logicalInterface}'`);
    const entry = { address, port: socket.port };
    if (before.delete(nameOf(entry))) continue;
    if (!pool.reserve(address, socket.port)) return undo(`port ${socket.port} is taken`);
    reserved.push(entry);
  }
  try {
    const outcome = relay.reconcile(mediaPlan(state, interfaces));
    if (!outcome.ok) {
      const [first] = outcome.failures;
      return undo(`port ${first?.localPort ?? 0} cannot be opened: ${first?.errno ?? ''}`);
    }
  } catch (error) {
    return undo(error instanceof Error ? error.message : String(error));
  }
  for (const { address, port } of before.values()) pool.release(address, port);
  return null;
}

/** Closes the call in the relay and gives all its ports back. */
export function vacateCall({ pool, interfaces, relay }: PortOwners, state: CallState): void {
  relay.reconcile({ callId: state.callId, tos: -1, sockets: [], streams: [] });
  for (const socket of state.sockets) {
    if (socket.open) pool.release(addressOf(interfaces, socket) ?? '', socket.port);
  }
}
