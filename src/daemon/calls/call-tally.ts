/** What is told of all calls together, counted as they change: thousands of them take a while to be gone through. */
import type { CallState, Stream } from '../../media/call-state.js';
import { changedPositions } from '../../media/state-changes.js';

/** Calls by the address families of their remotes. */
export interface CallFamilies {
  readonly ipv4Only: number;
  readonly ipv6Only: number;
  readonly mixed: number;
}

type Family = keyof CallFamilies;

/** Streams of a call whose remote is known, by its address family. */
interface Remotes {
  readonly ipv4: number;
  readonly ipv6: number;
}

type Streams = CallState['streams'];

/** Calls with more streams are not counted anew with each change: most of them is the same. */
const manyStreams = 64;

function counted(streams: Streams): Remotes {
  let [ipv4, ipv6] = [0, 0];
  for (const { endpoint } of streams) {
    if (endpoint === null) continue;
    if (endpoint.address.includes(':')) ipv6 += 1;
    else ipv4 += 1;
  }
  return { ipv4, ipv6 };
}

/** @param known of `before`. */
function recounted(now: CallState, before: CallState, known: Remotes): Remotes {
  const gone = before.streams.slice(now.streams.length);
  const come: Stream[] = [];
  for (const at of changedPositions(before, now, 'streams')) {
    const [was, is] = [before.streams[at], now.streams[at]];
    if (was !== undefined) gone.push(was);
    if (is !== undefined) come.push(is);
  }
  const [less, more] = [counted(gone), counted(come)];
  return { ipv4: known.ipv4 - less.ipv4 + more.ipv4, ipv6: known.ipv6 - less.ipv6 + more.ipv6 };
}

/** null: no remote of it is known. */
function familyOf({ ipv4, ipv6 }: Remotes): Family | null {
  if (ipv4 > 0 && ipv6 > 0) return 'mixed';
  return ipv6 > 0 ? 'ipv6Only' : ipv4 > 0 ? 'ipv4Only' : null;
}

/** Thread: control. */
export class CallTally {
  readonly #lives: (createdMicros: number, by: 1 | -1) => void;
  readonly #families: Record<Family, number> = { ipv4Only: 0, ipv6Only: 0, mixed: 0 };
  /** Of calls with many streams. */
  readonly #known = new WeakMap<Streams, Remotes>();
  #own = 0;

  /** @param lives a call that began then has come (1) or is gone (-1). */
  constructor(lives: (createdMicros: number, by: 1 | -1) => void) {
    this.#lives = lives;
  }

  /** Calls of this node. */
  get own(): number {
    return this.#own;
  }

  get families(): CallFamilies {
    return { ...this.#families };
  }

  /** What has become of a call. @param before null: it is new. */
  replace(before: CallState | null, now: CallState): void {
    const was = before === null ? null : this.#remotesOf(before);
    if (before !== null && was !== null) this.#count(before, was, -1);
    this.#count(now, this.#remotesOf(now, before, was), 1);
  }

  /** A call that is gone. */
  remove(state: CallState): void {
    this.#count(state, this.#remotesOf(state), -1);
  }

  /** @param before what it was, and what is known of that. */
  #remotesOf(
    state: CallState,
    before: CallState | null = null,
    known: Remotes | null = null,
  ): Remotes {
    const { streams } = state;
    if (streams.length < manyStreams) return counted(streams);
    let remotes = this.#known.get(streams);
    if (remotes === undefined) {
      remotes =
        known === null || before === null ? counted(streams) : recounted(state, before, known);
      this.#known.set(streams, remotes);
    }
    return remotes;
  }

  #count(state: CallState, remotes: Remotes, by: 1 | -1): void {
    this.#lives(state.createdMicros, by);
    if (state.ownership === 'own') this.#own += by;
    const family = familyOf(remotes);
    if (family !== null) this.#families[family] += by;
  }
}
