/** The ports that a call holds in the pool, when it is another call's state that says which. */
import type { CallState, LocalSocket } from '../../media/call-state.js';
import type { InterfaceTable } from '../../media/interfaces.js';
import { noBundle } from '../../media/media-attributes.js';
import type { PortPool } from '../../media/port-pool.js';

interface LocalPort {
  readonly address: string;
  readonly port: number;
}

/** Reserved: what a call has more than before. It is to be finished or undone. */
export interface PortMove {
  /** Gives back what the call has no more. */
  finish(): void;
  /** Gives back what was reserved. */
  undo(): void;
}

const nameOf = ({ address, port }: LocalPort): string => `${address} ${port}`;

const addressOf = (interfaces: InterfaceTable, socket: LocalSocket): string | undefined =>
  interfaces.addressAt(socket.logicalInterface, socket.family, socket.addressIndex)?.address;

/**
 * Reserves what `next` holds beyond `previous`.
 * @throws Error that says why it cannot be; then nothing is reserved.
 */
export function movePorts(
  pool: PortPool,
  interfaces: InterfaceTable,
  previous: CallState | null,
  next: CallState,
): PortMove {
  const before = new Map<string, LocalPort>();
  for (const socket of previous?.sockets ?? []) {
    const entry = { address: addressOf(interfaces, socket) ?? '', port: socket.port };
    if (socket.open) before.set(nameOf(entry), entry);
  }
  const reserved: LocalPort[] = [];
  const release = (ports: Iterable<LocalPort>): void => {
    for (const { address, port } of ports) pool.release(address, port);
  };
  const refuse = (reason: string): never => {
    release(reserved);
    throw new Error(reason);
  };
  for (const socket of next.sockets) {
    if (!socket.open) continue;
    const address = addressOf(interfaces, socket);
    if (address === undefined) return refuse(`no interface '${socket.logicalInterface}'`);
    const entry = { address, port: socket.port };
    if (before.delete(nameOf(entry))) continue;
    if (!pool.reserve(address, socket.port)) return refuse(`port ${socket.port} is taken`);
    reserved.push(entry);
  }
  return { finish: () => release(before.values()), undo: () => release(reserved) };
}

/**
 * Gives back what a call has closed although its new ports were reserved when its state was made: those of
 * sections that use the ports of others from now on.
 */
export function releaseClosed(
  pool: PortPool,
  interfaces: InterfaceTable,
  previous: CallState | null,
  { sockets, medias }: CallState,
): void {
  if (medias.every(({ bundle }) => bundle === noBundle)) return;
  const before = new Map(previous?.sockets.map(({ id, open }) => [id, open]));
  for (const socket of sockets) {
    // Some are opened and closed by the same command.
    if (!socket.open && before.get(socket.id) !== false)
      pool.release(addressOf(interfaces, socket) ?? '', socket.port);
  }
}

/** Gives back all ports of a call. */
export function releasePorts(pool: PortPool, interfaces: InterfaceTable, state: CallState): void {
  for (const socket of state.sockets) {
    if (socket.open) pool.release(addressOf(interfaces, socket) ?? '', socket.port);
  }
}
