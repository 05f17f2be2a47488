/** media-echo (ng-protocol.md §4.2): a side hears itself, or what comes is discarded; results as seen on 10.5 and 12.5. */
import type { Media } from '../call-state.js';
import { setMediaFlag } from '../media-pair.js';

/** `forward`: who gets the body hears himself, `backwards`: who sent it; what the other side sends is discarded. */
export type MediaEcho = 'blackhole' | 'forward' | 'backwards' | 'both';

const modes: Readonly<Record<MediaEcho, readonly [sender: boolean, receiver: boolean]>> = {
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
export function applyEcho(sender: Media, receiver: Media, wanted: MediaEcho | null): void {
  if (wanted === null) return;
  const [first, second] = modes[wanted];
  set(sender, first);
  set(receiver, second);
}
