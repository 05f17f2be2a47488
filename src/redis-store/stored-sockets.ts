/**
 * The ports of a stored call, read off its text without decoding the call (redis-layout.md §6.3): that
 * takes a fraction of the time, and a port that is open loses nothing while the rest is read.
 */
import { extraFields, type IndexOfPosition } from './schema.js';
import type { StoredSocket } from './store.js';

/** In the order in which rtpengine and we write the members; a value written otherwise has none. */
const socketObject =
  /"sfd-\d+":\{"pref_family":"(IP[46])","localport":"(\d+)","fd":"(-?\d+)","logical_intf":"([^"%]*)","local_intf_uid":"(\d+)"/g;
/** Sockets come before everything large. */
const maxText = 65_536;

/** As `isFormerOfOurs`, by the text alone. */
function isFormerOfOurs(value: Buffer): boolean {
  return (
    !value.includes(`"${extraFields.uidByFamily}":"1"`) &&
    value.includes(`"${extraFields.lastSdpName}"`)
  );
}

/** Of the JSON forms; other values have none. What is odd is left out: the decoder reports it. */
export function storedSockets(
  value: Buffer,
  indexOfPosition: IndexOfPosition,
): readonly StoredSocket[] {
  if (value[0] !== 0x7b) return [];
  const sockets: StoredSocket[] = [];
  const text = value.toString('latin1', 0, maxText);
  const former = isFormerOfOurs(value);
  for (const [, prefFamily, localPort, fd, logicalInterface = '', uid] of text.matchAll(
    socketObject,
  )) {
    const port = Number(localPort);
    if (fd === '-1' || port < 1 || port > 65_535) continue;
    const family = prefFamily === 'IP6' ? 'IP6' : 'IP4';
    const addressIndex = former
      ? indexOfPosition(logicalInterface, family, Number(uid))
      : Number(uid);
    sockets.push({ logicalInterface, family, addressIndex, port });
  }
  return sockets;
}
