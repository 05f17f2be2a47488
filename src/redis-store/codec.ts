/** Call state <-> stored value, in every format. */
import type { CallState } from '../media/call-state.js';
import { put105 } from './encode-10-5.js';
import { put125 } from './encode-12-5.js';
import { putCurrent } from './encode-current.js';
import type { Encoding } from './encode-members.js';
import { TreeOutput, type Output } from './encode-output.js';
import { RememberingOutput, type EncodedCalls } from './encoded-calls.js';
import { Fields } from './fields.js';
import { JsonOutput } from './json-output.js';
import type { BencodeValue, CodecSettings, StoredFormat, Tree } from './schema.js';
import { SealingOutput } from './sealing.js';
import { asItIs, type CallMoment } from './store.js';
import { StoredIndex } from './subscriptions.js';
import type { NextValue, ValueReceipt } from './value-edit.js';

export { decodeCall, type DecodedCall } from './decode.js';

/** The key of a call: its call-id, byte by byte (spec/redis-layout.md). */
export const keyOf = (callId: string): Buffer => Buffer.from(callId, 'latin1');

/**
 * The value of `state` as it is stored under its call-id.
 * @param moment counters and clock at the time of writing.
 * @param before what was written of large calls; null: everything is made anew.
 */
export function encodeCall(
  state: CallState,
  format: StoredFormat,
  settings: CodecSettings,
  moment: CallMoment = asItIs,
  before: EncodedCalls | null = null,
): Buffer {
  const { value } = encodeNext(state, format, settings, moment, before, null);
  if (!Buffer.isBuffer(value)) throw new TypeError('a value is whole where none is stored');
  return value;
}

/** As `encodeCall`, of a large call only what is to be added to the value that is `stored`. */
export function encodeNext(
  state: CallState,
  format: StoredFormat,
  settings: CodecSettings,
  moment: CallMoment,
  before: EncodedCalls | null,
  stored: ValueReceipt | null,
): NextValue {
  const index = new StoredIndex(state);
  const given = { index, settings, moment };
  const { secrets } = settings;
  const clock = `${moment.offsetMicros} ${secrets?.currentName ?? ''}`;
  const memory = before?.of(index, format, clock, moment.counters) ?? null;
  if (memory !== null) {
    const out = new RememberingOutput(memory, before?.roomShare);
    putCall(out, format, given);
    return out.valueOf(state, stored);
  }
  if (format === 'bencode') {
    const out = new TreeOutput();
    putCall(out, format, given);
    return { value: settings.bencode.encode(bencodeOf(out.tree)), receipt: null };
  }
  const out = new JsonOutput();
  putCall(out, format, given);
  return { value: out.bytes, receipt: null };
}

function putCall(to: Output, format: StoredFormat, given: Omit<Encoding, 'form'>): void {
  const { secrets } = given.settings;
  const out = secrets === null ? to : new SealingOutput(to, secrets, given.index.state.callId);
  if (format === 'JSON-10.5') put105(out, given);
  else if (format === 'JSON-12.5') put125(out, given);
  else putCurrent(out, format, given);
}

function bencodeOf(tree: Tree): BencodeValue {
  const members = new Map<string, BencodeValue>();
  for (const [name, member] of Object.entries(tree)) {
    members.set(
      name,
      member instanceof Fields
        ? new Map(member.entries)
        : member.map((item) => (typeof item === 'string' ? item : new Map(item.entries))),
    );
  }
  return members;
}
