/** What flows have forwarded, by the local addresses where it came and from where it left. */
import type { AddressCounters } from '../media/relay.js';
import { flowKey, type Flow } from './flows.js';
import { noCounters, type FlowCounters } from './forwarder.js';

interface Both {
  packets: number;
  bytes: number;
  packetsOut: number;
  bytesOut: number;
}

type Counted = Pick<FlowCounters, 'packets' | 'bytes'>;

export class AddressTotals {
  readonly #byAddress = new Map<string, Both>();
  /** What each flow had counted when it was last read, by `flowKey` of its local port. */
  readonly #read = new Map<string, Counted>();

  /** So much has the flow counted by now. */
  count(flow: Flow, { packets, bytes }: FlowCounters): void {
    const key = flowKey(flow.local);
    this.#add(flow, { packets, bytes }, this.#read.get(key) ?? noCounters);
    this.#read.set(key, { packets, bytes });
  }

  /** The flow is gone; `counters`: all that it has counted. */
  end(flow: Flow, counters: FlowCounters): void {
    this.count(flow, counters);
    this.#read.delete(flowKey(flow.local));
  }

  #add({ local, source }: Flow, now: Counted, before: Counted): void {
    const packets = Math.max(0, now.packets - before.packets);
    const bytes = Math.max(0, now.bytes - before.bytes);
    const came = this.#of(local.address);
    came.packets += packets;
    came.bytes += bytes;
    const left = this.#of(source.address);
    left.packetsOut += packets;
    left.bytesOut += bytes;
  }

  #of(address: string): Both {
    let both = this.#byAddress.get(address);
    if (both === undefined) {
      both = { packets: 0, bytes: 0, packetsOut: 0, bytesOut: 0 };
      this.#byAddress.set(address, both);
    }
    return both;
  }

  /** The same counters with these; whoever has a flow has ports, so that his address is among them. */
  addedTo(counted: readonly AddressCounters[]): readonly AddressCounters[] {
    return counted.map((each) => {
      const both = this.#byAddress.get(each.address);
      if (both === undefined) return each;
      return {
        ...each,
        packets: each.packets + both.packets,
        bytes: each.bytes + both.bytes,
        packetsOut: each.packetsOut + both.packetsOut,
        bytesOut: each.bytesOut + both.bytesOut,
      };
    });
  }
}
