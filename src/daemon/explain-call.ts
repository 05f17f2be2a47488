/** Puts together what is known of a call for `explain`. */
import type { CallState, LocalSocket } from '../media/call-state.js';
import type { InterfaceTable } from '../media/interfaces.js';
import type { CallStatistics, MediaRelay, StreamTrace } from '../media/relay.js';
import type { CallEvidence, LocalPort } from '../observe/explain/evidence.js';
import { explain, type Explanation } from '../observe/explain/explain.js';
import type { CallService } from './calls/call-service.js';
import type { HeldAddresses } from './process/held-addresses.js';

export interface ExplainerParts {
  readonly calls: CallService;
  readonly relay: MediaRelay;
  readonly interfaces: InterfaceTable;
  readonly held: HeldAddresses;
  readonly timeoutSeconds: () => number;
}

/** Thread: control. */
export class Explainer {
  readonly #parts: ExplainerParts;

  constructor(parts: ExplainerParts) {
    this.#parts = parts;
  }

  /** null: this process has not seen such a call, or it ended too long ago. */
  explain(callId: string): Explanation | null {
    const { calls, relay, held } = this.#parts;
    held.refresh();
    const state = calls.table.call(callId);
    if (state !== null) {
      const statistics = calls.table.statisticsOf(callId);
      return explain(this.#evidence(state, statistics, relay.traces(callId), null));
    }
    const ended = calls.ending.ended.find(callId);
    if (ended === null) return null;
    const { reason, atMicros, statistics, traces } = ended;
    return explain(this.#evidence(ended.state, statistics, traces, { reason, atMicros }));
  }

  #evidence(
    state: CallState,
    statistics: CallStatistics,
    traces: readonly StreamTrace[],
    ended: CallEvidence['ended'],
  ): CallEvidence {
    const { calls, timeoutSeconds } = this.#parts;
    const ports = new Map<number, LocalPort>();
    for (const socket of state.sockets) {
      const port = socket.open ? this.#localPort(socket) : null;
      if (port !== null) ports.set(socket.id, port);
    }
    const nowMicros = calls.table.now();
    const common = { state, statistics, traces, ports, ended, nowMicros };
    return { ...common, timeoutSeconds: timeoutSeconds() };
  }

  #localPort(socket: LocalSocket): LocalPort | null {
    const { interfaces, held } = this.#parts;
    const { logicalInterface, family, addressIndex, port } = socket;
    const address = interfaces.addressAt(logicalInterface, family, addressIndex);
    if (address === null) return null;
    return {
      endpoint: { address: address.address, port },
      advertised: address.advertised,
      isHere: held.since(address.address) !== null,
    };
  }
}
