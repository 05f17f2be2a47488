/** The last NG messages of calls, for `rtprelayctl capture`. Bounded in number, size and rate. */
import type { Endpoint } from '../media/call-state.js';

export interface NgExchange {
  readonly callId: string;
  /** Wall clock, of the reply. */
  readonly atMicros: number;
  readonly source: Endpoint;
  readonly query: Buffer;
  readonly reply: Buffer;
}

const maxExchanges = 2000;
const maxBytes = 4 * 1024 * 1024;
/** With more of them in a second each would be gone before anybody can ask, and keeping them costs. */
const maxPerSecond = 50;

const sizeOf = ({ query, reply }: NgExchange): number => query.length + reply.length;

export class NgMemory {
  #exchanges: NgExchange[] = [];
  #bytes = 0;
  #second = 0;
  #inSecond = 0;

  /** Whether one of this moment is kept; to be asked once for each. */
  takes(nowMicros: number): boolean {
    const second = Math.floor(nowMicros / 1e6);
    if (second !== this.#second) {
      this.#second = second;
      this.#inSecond = 0;
    }
    this.#inSecond += 1;
    return this.#inSecond <= maxPerSecond;
  }

  /** @param exchange in memory of its own: a part of a receive buffer would keep all of it. */
  add(exchange: NgExchange): void {
    this.#exchanges.push(exchange);
    this.#bytes += sizeOf(exchange);
    while (this.#exchanges.length > maxExchanges || this.#bytes > maxBytes) {
      const oldest = this.#exchanges.shift();
      if (oldest !== undefined) this.#bytes -= sizeOf(oldest);
    }
  }

  /** Those of a call, the oldest first. */
  of(callId: string): readonly NgExchange[] {
    return this.#exchanges.filter((exchange) => exchange.callId === callId);
  }
}
