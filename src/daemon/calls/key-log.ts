/** `--log-srtp-keys`: the keys of SRTP in the log, for whoever has to read a capture. Without it they never are. */
import { storedKeys } from '../../media/sdes/stored.js';
import type { CallState, Stream } from '../../media/call-state.js';
import type { SrtpKeys } from '../../media/media-attributes.js';
import type { Log } from '../../observe/log.js';

const hex = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('hex');

const textOf = (keys: SrtpKeys | null): string =>
  keys === null
    ? 'none'
    : `${keys.suite} key ${hex(keys.masterKey)} salt ${hex(keys.masterSalt)}` +
      (keys.mki === null ? '' : ` MKI ${hex(keys.mki)}`);

/** Of what arrives and of what is sent; null: it has no keys. */
function keysText(state: CallState, stream: Stream): string | null {
  const sdes = state.medias.find(({ id }) => id === stream.mediaId)?.sdes;
  const socket = state.sockets.find(({ id, srtp }) => srtp !== null && stream.sockets.includes(id));
  const receive = socket?.srtp ?? storedKeys(sdes?.receive);
  const send = stream.srtp ?? storedKeys(sdes?.send);
  if (receive === null && send === null) return null;
  return `receiving: ${textOf(receive)}; sending: ${textOf(send)}`;
}

/** Those of each stream that are others than before. */
export function logKeys(log: Log, before: CallState | null, next: CallState): void {
  const known = new Map(before?.streams.map((stream) => [stream.id, stream]));
  for (const stream of next.streams) {
    const text = keysText(next, stream);
    const former = known.get(stream.id);
    if (text === null) continue;
    if (before !== null && former !== undefined && keysText(before, former) === text) continue;
    const port = next.sockets.find(({ id }) => id === stream.selectedSocket)?.port ?? 0;
    log.error('crypto', `SRTP keys of port ${port}, ${text}`, next.callId);
  }
}
