/** Finds the stored calls of a database, and restores them. Reads only; nothing is changed or removed. */
import { setImmediate as turn } from 'node:timers/promises';
import type { CallState } from '../media/call-state.js';
import { decodeCall, type Owner } from './decode.js';
import { RestoreError } from './errors.js';
import type { StoreLog } from './log.js';
import type { CodecSettings, StoredFormat } from './schema.js';
import type { SendCommand } from './send-command.js';
import type { StoredSocket } from './store.js';
import { storedSockets } from './stored-sockets.js';
import { looksLikeCall, parseStoredValue } from './stored-value.js';

/** Keys that SCAN should look at in one go. */
const scanCount = 1000;
/** Values fetched by one MGET. */
const mgetCount = 32;
/** So many more are on their way meanwhile: on a busy machine Redis may have to wait for its turn. */
const mgetsAhead = 4;
/** Batches whose ports are opened before the first of them is decoded: few at first, then 2,048 calls, about 12 MB. */
const firstPrepared = 1;
const maxPrepared = 64;
const preparedGrowth = 4;
/** Values that the format of a database is looked for in, at a time. */
const formatCount = 4;
/** Keys looked at to find out the format of a database. */
const maxFormatKeys = 20_000;

/** A call without media and signalling for so long, seen from the most recent one, can wait. */
const silentMicros = 60e6;

/** What a few keys of a database hold. */
export interface FoundCalls {
  /** Keys seen, whatever they hold. */
  readonly keys: number;
  /** Keys that hold no call: other types and other programs' strings. */
  readonly foreignKeys: number;
  /** The calls that were in use most recently come first. */
  readonly calls: readonly CallState[];
  /** Calls that were not decoded: `Reading.isKnown`. */
  readonly known: readonly string[];
  readonly failures: readonly { readonly callId: string; readonly reason: string }[];
}

/** As `send`; who has seen enough need not wait for it, and its failure is told to whoever does. */
function ahead<T>(reply: Promise<T>): Promise<T> {
  reply.catch(() => undefined);
  return reply;
}

/** Every key once, in batches; the next one is on its way meanwhile. SCAN may return a key twice. */
async function* scanKeys(send: SendCommand): AsyncGenerator<readonly Buffer[]> {
  const seen = new Set<string>();
  const scan = (cursor: string): Promise<unknown> =>
    ahead(send('SCAN', cursor, 'COUNT', scanCount));
  for (let coming: Promise<unknown> | null = scan('0'); coming !== null;) {
    const reply: unknown = await coming;
    const [next, keys] = Array.isArray(reply) ? reply : [];
    const cursor = String(next ?? '0');
    coming = cursor === '0' ? null : scan(cursor);
    const batch: Buffer[] = [];
    for (const key of Array.isArray(keys) ? keys : []) {
      if (!Buffer.isBuffer(key)) continue;
      const name = key.toString('latin1');
      if (seen.has(name)) continue;
      seen.add(name);
      batch.push(key);
    }
    yield batch;
  }
}

type Values = readonly { readonly key: Buffer; readonly value: Buffer | null }[];

async function valuesOf(send: SendCommand, keys: readonly Buffer[]): Promise<Values> {
  const values = await send('MGET', ...keys);
  return keys.map((key, at) => {
    const value: unknown = Array.isArray(values) ? values[at] : null;
    return { key, value: Buffer.isBuffer(value) ? value : null };
  });
}

/** Values of string keys, `count` at a time; those of other types are null. */
async function* readValues(send: SendCommand, count: number): AsyncGenerator<Values> {
  const coming: Promise<Values>[] = [];
  for await (const keys of scanKeys(send)) {
    for (let start = 0; start < keys.length; start += count) {
      coming.push(ahead(valuesOf(send, keys.slice(start, start + count))));
      const first = coming.length > mgetsAhead ? coming.shift() : undefined;
      if (first !== undefined) yield await first;
    }
  }
  for (const values of coming) yield await values;
}

/** When media or signalling of the call came last, µs. */
function lastUse(state: CallState): number {
  let latest = state.lastSignalMicros;
  for (const stream of state.streams) latest = Math.max(latest, stream.lastPacketMicros);
  return latest;
}

/** As `readValues`; `prepare` is told of the ports of many calls before the first of them comes. */
async function* preparedValues(
  send: SendCommand,
  { indexOfPosition }: CodecSettings,
  prepare: (sockets: readonly StoredSocket[]) => void,
): AsyncGenerator<Values> {
  let waiting: Values[] = [];
  let enough = firstPrepared;
  for await (const values of readValues(send, mgetCount)) {
    prepare(
      values.flatMap(({ value }) => (value === null ? [] : storedSockets(value, indexOfPosition))),
    );
    waiting.push(values);
    if (waiting.length < enough) continue;
    yield* waiting;
    waiting = [];
    enough = Math.min(enough * preparedGrowth, maxPrepared);
  }
  yield* waiting;
}

/** How calls are read. */
export interface Reading {
  /** Told of the ports of many calls before the first of them comes. */
  readonly prepare?: ((sockets: readonly StoredSocket[]) => void) | undefined;
  /** Whether this value of the call needs no reading. */
  readonly isKnown?: (callId: string, value: Buffer) => boolean;
  readonly owner?: Owner;
}

/** All calls of the database, as they come. @throws what `send` throws. */
export async function* readCalls(
  send: SendCommand,
  settings: CodecSettings,
  { prepare, isKnown, owner }: Reading = {},
): AsyncGenerator<FoundCalls> {
  const batches =
    prepare === undefined ? readValues(send, mgetCount) : preparedValues(send, settings, prepare);
  for await (const values of batches) {
    let foreignKeys = 0;
    const found: { readonly state: CallState; readonly used: number }[] = [];
    const known: string[] = [];
    const failures: { callId: string; reason: string }[] = [];
    for (const { key, value } of values) {
      if (value === null || !looksLikeCall(value)) {
        foreignKeys += 1;
        continue;
      }
      const callId = key.toString('latin1');
      if (isKnown?.(callId, value) === true) {
        known.push(callId);
        continue;
      }
      try {
        const { state } = decodeCall(callId, value, settings, owner);
        found.push({ state, used: lastUse(state) });
      } catch (error) {
        if (!(error instanceof RestoreError)) throw error;
        failures.push({ callId, reason: error.reason });
      }
    }
    found.sort((a, b) => b.used - a.used);
    const calls = found.map(({ state }) => state);
    yield { keys: values.length, foreignKeys, calls, known, failures };
  }
}

/** Takes a call over; returns why it cannot, or null. */
export type Adopt = (state: CallState) => string | null;

/** Calls that are to be restored after the start. */
export interface Late {
  readonly adopt: Adopt;
  /** A master has to be there first: everything that a replica held is restored already. */
  readonly fromMaster: boolean;
}

/** What `restoreCalls` is told. */
export interface Restoring {
  readonly send: SendCommand;
  readonly settings: CodecSettings;
  readonly log: StoreLog;
  /** Takes a call over; returns why it cannot, or null. Does not throw. */
  readonly adopt: (state: CallState) => string | null;
  /** Calls that are passed over. */
  readonly present: ReadonlySet<string>;
  readonly prepare: ((sockets: readonly StoredSocket[]) => void) | undefined;
  /** How many calls there are to be handed to `adopt`, as far as that is known by now. */
  readonly expect: (calls: number) => void;
}

export interface Restored {
  readonly keys: number;
  readonly foreignKeys: number;
  readonly restored: number;
  readonly failures: readonly { readonly callId: string; readonly reason: string }[];
}

/** Keys of the database; null: it is not told, perhaps for want of permission. */
const keyCount = async (send: SendCommand): Promise<number | null> =>
  send('DBSIZE').then(
    (reply) => (typeof reply === 'number' ? reply : null),
    () => null,
  );

/**
 * Takes over calls as they are read, so that the first ones are relayed while others are still on
 * their way; calls that have been silent for long come last. @throws what `send` throws.
 */
export async function restoreCalls(restoring: Restoring): Promise<Restored> {
  const { send, settings, log, adopt, present, prepare, expect } = restoring;
  const failures: { callId: string; reason: string }[] = [];
  const silent: CallState[] = [];
  const total = { keys: 0, foreignKeys: 0, restored: 0 };
  const fail = (callId: string, reason: string): void => {
    failures.push({ callId, reason });
    log.error(`Failed to restore call ID '${callId}' from Redis: ${reason}`);
  };
  const take = (state: CallState): void => {
    const reason = adopt(state);
    if (reason === null) total.restored += 1;
    else fail(state.callId, reason);
  };
  let newest = 0;
  let passedOver = 0;
  const keys = keyCount(send);
  for await (const batch of readCalls(send, settings, { prepare })) {
    total.keys += batch.keys;
    total.foreignKeys += batch.foreignKeys;
    for (const { callId, reason } of batch.failures) fail(callId, reason);
    for (const state of batch.calls) {
      if (present.has(state.callId)) {
        passedOver += 1;
        continue;
      }
      const used = lastUse(state);
      newest = Math.max(newest, used);
      if (used < newest - silentMicros) silent.push(state);
      else take(state);
    }
    const all = await keys;
    if (all !== null) expect(Math.max(0, all - total.foreignKeys - passedOver - failures.length));
    // Commands about calls that are here are answered meanwhile.
    await turn();
  }
  for (const state of silent) take(state);
  return { ...total, failures };
}

/** Format of the first call that the database holds; null when it holds none. */
export async function findFormat(
  send: SendCommand,
  settings: CodecSettings,
): Promise<StoredFormat | null> {
  let keys = 0;
  for await (const values of readValues(send, formatCount)) {
    keys += values.length;
    if (keys > maxFormatKeys) return null;
    for (const { value } of values) {
      if (value === null || !looksLikeCall(value)) continue;
      try {
        return parseStoredValue(value, settings.bencode).format;
      } catch (error) {
        if (!(error instanceof RestoreError)) throw error;
      }
    }
  }
  return null;
}
