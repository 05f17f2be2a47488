/**
 * One piece of work in each turn of the event loop. A client that asks for many things at once, or many clients that
 * ask for one each, make nobody else wait for more than one of them: what came meanwhile is read in between.
 */
// Thread: control.
export class Turns {
  #waiting: (() => void)[] = [];
  /** Of them: had their turn. */
  #done = 0;
  #taken = false;

  /** Runs `work` at once where nothing was run in this turn, else in one of the next, in order. */
  run(work: () => void): void {
    if (this.#taken) {
      this.#waiting.push(work);
      return;
    }
    this.#take(work);
  }

  /** Resolves when it is the caller's turn. */
  async next(): Promise<void> {
    return new Promise((resolve) => this.run(resolve));
  }

  #take(work: () => void): void {
    this.#taken = true;
    setImmediate(() => this.#pass());
    work();
  }

  #pass(): void {
    this.#taken = false;
    const next = this.#waiting[this.#done];
    if (next === undefined) {
      this.#waiting = [];
      this.#done = 0;
      return;
    }
    this.#done += 1;
    if (this.#done > 1000) {
      this.#waiting = this.#waiting.slice(this.#done);
      this.#done = 0;
    }
    this.#take(next);
  }
}
