/** media-echo (ng-protocol.md §4.2): a side hears itself, or what comes is discarded; results as seen on 10.5. */
import type { Media } from '../call-state.js';
import { setMediaFlag } from '../media-pair.js';

/** `forward`: the answering side hears itself, `backwards`: the offering one; the other side's media is discarded. */
export type MediaEcho = 'blackhole' | 'forward' | 'backwards' | 'both';

const modes: Readonly<Record<MediaEcho, readonly [offerer: boolean, answerer: boolean]>> = {
  blackhole: [false, false],
  forward: [false, true],
  backwards: [true, false],
  both: [true, true],
};

function set(media: Media, echoes: boolean): void {
  setMediaFlag(media, 'echo', echoes);
  setMediaFlag(media, 'blackhole', !echoes);
}

/** What is not asked for stays as it was. */
export function applyEcho(offerer: Media, answerer: Media, wanted: MediaEcho | null): void {
  if (wanted === null) return;
  const [first, second] = modes[wanted];
  set(offerer, first);
  set(answerer, second);
}
