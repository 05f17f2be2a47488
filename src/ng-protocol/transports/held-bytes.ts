/**
 * What clients of TCP, HTTP and WebSocket make the daemon hold: messages that they do not finish, replies that they
 * do not read. Each connection has its own bound; many of them together have this one.
 */

/** A connection. */
export interface Holder {
  /** Address of its other end. */
  readonly source: string;
  /** Bytes held for it now. */
  readonly held: () => number;
  /** Disconnects it; `held` is 0 or no longer asked then. */
  readonly drop: (why: string) => void;
}

/** A hundred times what proxies have under way. */
const defaultLimit = 32 * 1024 * 1024;

/** Thread: control. One for all listeners. */
export class HeldBytes {
  readonly #limit: number;
  readonly #holders = new Set<Holder>();
  /** At the last count. */
  #counted = 0;
  /** At most so many more since then. */
  #grown = 0;

  constructor(limit = defaultLimit) {
    this.#limit = limit;
  }

  add(holder: Holder): void {
    this.#holders.add(holder);
  }

  delete(holder: Holder): void {
    this.#holders.delete(holder);
  }

  /**
   * Says that some connection holds `bytes` more. When all hold too much, connections of the source that holds most are
   * dropped, the greatest first, until there is some room again. What a single one holds is bounded elsewhere.
   */
  grew(bytes: number): void {
    this.#grown += bytes;
    if (this.#counted + this.#grown <= this.#limit) return;
    let holding = this.#count();
    if (this.#counted <= this.#limit) return;
    const enough = (this.#limit / 4) * 3;
    while (this.#counted > enough && holding.length > 1) {
      for (const { holder, bytes: freed } of greediest(holding)) {
        if (this.#counted <= enough || this.#holders.size === 1) break;
        this.#holders.delete(holder);
        this.#counted -= freed;
        holder.drop('clients of this address hold too much memory');
      }
      holding = this.#count();
    }
  }

  /** Those that hold something now. */
  #count(): Holding[] {
    const holding = [...this.#holders]
      .map((holder) => ({ holder, bytes: holder.held() }))
      .filter(({ bytes }) => bytes > 0);
    this.#grown = 0;
    this.#counted = holding.reduce((sum, { bytes }) => sum + bytes, 0);
    return holding;
  }
}

interface Holding {
  readonly holder: Holder;
  readonly bytes: number;
}

/** The connections of the source that holds most, the greatest first. */
function greediest(holding: readonly Holding[]): readonly Holding[] {
  const bySource = new Map<string, number>();
  for (const { holder, bytes } of holding)
    bySource.set(holder.source, (bySource.get(holder.source) ?? 0) + bytes);
  const most = Math.max(...bySource.values());
  return holding
    .filter(({ holder }) => bySource.get(holder.source) === most)
    .sort((a, b) => b.bytes - a.bytes);
}
