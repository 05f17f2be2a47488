/** What was written last of the plans with many transports: entries that are the same objects have the same bytes. */
import type { MediaPlan } from './relay.js';

/** Entries of a plan that are kept together as bytes. */
export interface Piece {
  readonly entries: readonly unknown[];
  readonly bytes: Buffer;
}

/** Entries in one piece. */
export const pieceSize = 32;
/** Plans with fewer transports are encoded whole: that is as fast. */
const leastTransports = 32;
/** Calls that are remembered. */
const maxCalls = 16;

/** The pieces of one call, by kind. */
export class CallPieces {
  readonly ports: Piece[] = [];
  readonly transports: Piece[] = [];
  readonly streams: Piece[] = [];
  readonly routes: Piece[] = [];
}

/** Whether `piece` is what `list` has from `start` on. */
export function isPiece({ entries }: Piece, list: readonly unknown[], start: number): boolean {
  if (entries.length !== Math.min(pieceSize, list.length - start)) return false;
  for (let at = 0; at < entries.length; at++) if (entries[at] !== list[start + at]) return false;
  return true;
}

export class PlanPieces {
  /** The call encoded last is the last. */
  readonly #calls = new Map<string, CallPieces>();

  /** null: the plan is a small one. */
  of({ callId, transports }: MediaPlan): CallPieces | null {
    const known = this.#calls.get(callId);
    if (known !== undefined) this.#calls.delete(callId);
    if (transports.length < leastTransports) return null;
    const pieces = known ?? new CallPieces();
    this.#calls.set(callId, pieces);
    for (const oldest of this.#calls.keys()) {
      if (this.#calls.size <= maxCalls) break;
      this.#calls.delete(oldest);
    }
    return pieces;
  }
}
