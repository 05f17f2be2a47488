/**
 * Which media addresses this node holds. Silence is counted only where packets can arrive, and only
 * there is media a reason to take a call over.
 */

export interface HeldAddressesOptions {
  /** All media addresses, as they are now. */
  readonly addresses: () => readonly string[];
  /** For each address whether the machine has it; null: the machine does not say. */
  readonly look: (addresses: readonly string[]) => readonly boolean[] | null;
  /** Calls `onChange` after each change of devices and addresses. @throws when that cannot be had. */
  readonly watch: (onChange: () => void) => { close(): void };
  /** µs. */
  readonly nowMicros: () => number;
  /** An address has come, or has left. Not for those that are here at the start. */
  readonly onMoved: (address: string, held: boolean) => void;
  /** Changes are only seen when somebody looks. */
  readonly onUnwatched: (reason: string) => void;
}

export class HeldAddresses {
  readonly #options: HeldAddressesOptions;
  /** Since when an address is held, 0 from the start; null: it is not. */
  readonly #since = new Map<string, number | null>();
  #watch: { close(): void } | null = null;

  constructor(options: HeldAddressesOptions) {
    this.#options = options;
    try {
      this.#watch = options.watch(() => this.refresh());
    } catch (error) {
      options.onUnwatched(error instanceof Error ? error.message : String(error));
    }
    this.refresh();
  }

  /**
   * Since when the address is held: µs, 0 from the start; null while it is not. An address that is no
   * media address (any more) counts as held.
   */
  since(address: string): number | null {
    const since = this.#since.get(address);
    return since === undefined ? 0 : since;
  }

  /** All media addresses, as far as is known now. */
  all(): readonly { readonly address: string; readonly held: boolean }[] {
    return [...this.#since].map(([address, since]) => ({ address, held: since !== null }));
  }

  /** Asks the machine. News come by themselves, yet a process that was stopped has not read them. */
  refresh(): void {
    const { addresses, look, nowMicros, onMoved } = this.#options;
    const wanted = [...new Set(addresses())];
    const held = look(wanted);
    wanted.forEach((address, at) => {
      const before = this.#since.get(address);
      // Better a call too many than one too few, so what is not known counts as before, or as held.
      const now = held === null ? before !== null : held[at] === true;
      if (before === undefined) {
        this.#since.set(address, now ? 0 : null);
      } else if (now !== (before !== null)) {
        this.#since.set(address, now ? nowMicros() : null);
        onMoved(address, now);
      }
    });
  }

  close(): void {
    this.#watch?.close();
    this.#watch = null;
  }
}
