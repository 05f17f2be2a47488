/** Our side of ICE: credentials, foundations, priorities. */
import { createHash, randomBytes } from 'node:crypto';
import type { IceCandidate, IceCredentials } from '../media-attributes.js';

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Random letters and digits, each as likely as the others. */
function randomText(length: number): string {
  let text = '';
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      // 248 is the greatest multiple of 62 that a byte reaches.
      if (byte < 248 && text.length < length) text += letters[byte % letters.length] ?? '';
    }
  }
  return text;
}

/** As long as those of rtpengine (sdp-rules.md §7). */
export const newCredentials = (): IceCredentials => ({ ufrag: randomText(8), pwd: randomText(26) });

/** 64 random bits in decimal. */
export const newTieBreaker = (): string => randomBytes(8).readBigUInt64BE().toString();

/** One for each address, the same in all calls and on all nodes that have it. */
export function foundationOf(address: string): string {
  let text = '';
  for (const byte of createHash('sha256').update(`foundation ${address}`).digest()) {
    if (text.length < 16) text += letters[byte % letters.length] ?? '';
  }
  return text;
}

/** RFC 8445 §5.1.2.2. */
const typePreferences = { host: 126, prflx: 110, srflx: 100, relay: 0 } as const;

/**
 * RFC 8445 §5.1.2.1. Host candidates are below what checks claim after a takeover: browsers follow to another
 * address for a higher priority only.
 * @param index position of the address.
 */
export const hostPriority = (index: number, component: number): number =>
  priorityOf(typePreferences.host, 65_535 - index, component);

const relayPriority = (index: number, component: number): number =>
  priorityOf(typePreferences.relay, 65_535 - index, component);

function priorityOf(type: number, preference: number, component: number): number {
  return type * 0x100_0000 + preference * 0x100 + 256 - component;
}

/**
 * Beside candidates of the ends: the next place above the least of their own kind, or the kind below where that
 * has none (10.5 and 12.5 seen). Without any of that kind as if alone.
 * @param addresses how many there are.
 */
export function lastResortPriority(
  others: readonly IceCandidate[],
  type: 'host' | 'relay',
  { index, addresses, component }: { index: number; addresses: number; component: number },
): number {
  const alike = others.filter((each) => each.type === type);
  if (alike.length === 0) return (type === 'host' ? hostPriority : relayPriority)(index, component);
  const least = Math.min(...alike.map(({ priority }) => priority));
  const kind = Math.floor(least / 0x100_0000) & 0xff;
  const next = (Math.floor(least / 0x100) & 0xffff) + 1;
  return next > 65_535
    ? priorityOf(Math.max(0, kind - 1), addresses - 1 - index, component)
    : priorityOf(kind, Math.max(0, next - index), component);
}
