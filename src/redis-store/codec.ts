/** Call state <-> stored value, in every format. */
import type { CallState } from '../media/call-state.js';
import { treeOf105 } from './encode-10-5.js';
import { treeOf125 } from './encode-12-5.js';
import { treeOfCurrent } from './encode-current.js';
import type { BencodeValue, CodecSettings, StoredFormat, Tree } from './schema.js';

export { decodeCall, type DecodedCall } from './decode.js';

/** The key of a call: its call-id, byte by byte (spec/redis-layout.md). */
export const keyOf = (callId: string): Buffer => Buffer.from(callId, 'latin1');

/** The value of `state` as it is stored under its call-id. */
export function encodeCall(
  state: CallState,
  format: StoredFormat,
  settings: CodecSettings,
): Buffer {
  if (format === 'JSON-10.5') {
    return Buffer.from(JSON.stringify(treeOf105(state, settings)), 'latin1');
  }
  if (format === 'JSON-12.5') {
    return Buffer.from(JSON.stringify(treeOf125(state, settings)), 'latin1');
  }
  const tree = treeOfCurrent(state, format, settings);
  if (format === 'JSON') return Buffer.from(JSON.stringify(tree), 'latin1');
  return settings.bencode.encode(bencodeOf(tree));
}

function bencodeOf(tree: Tree): BencodeValue {
  const members = new Map<string, BencodeValue>();
  for (const [name, member] of Object.entries(tree)) {
    members.set(
      name,
      Array.isArray(member)
        ? member.map((item) =>
            typeof item === 'string' ? item : new Map<string, string>(Object.entries(item)),
          )
        : new Map<string, string>(Object.entries(member)),
    );
  }
  return members;
}
