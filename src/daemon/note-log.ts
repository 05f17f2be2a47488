/** What a request asked for and does not get is said once for each call, not with each of its messages. */
import { forgetOldest } from '../media/remembered.js';

/** Calls whose notes are remembered, and notes of each; the oldest calls are forgotten. */
const maxCalls = 1000;
const maxNotes = 30;
/** Of a call-id: it comes off the wire. */
const maxKeyLength = 128;

/** Thread: control. */
export class NotesSaid {
  readonly #calls = new Map<string, Set<string>>();

  /** Those of `notes` that have not been said of the call yet; they count as said from now on. */
  unsaid(callId: string, notes: readonly string[]): readonly string[] {
    if (notes.length === 0) return notes;
    const key = callId.slice(0, maxKeyLength);
    let said = this.#calls.get(key);
    if (said === undefined) {
      forgetOldest(this.#calls, maxCalls - 1);
      said = new Set();
      this.#calls.set(key, said);
    }
    const fresh = notes.filter((note) => !said.has(note));
    for (const note of fresh) if (said.size < maxNotes) said.add(note);
    return fresh;
  }
}
