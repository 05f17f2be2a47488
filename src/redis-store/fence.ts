/**
 * Fencing: a node that has lost a call to another one, and does not know it yet, must not write or
 * delete it any more. Each takeover raises the call's ownership epoch; the hash `rtprelay:fence` of the
 * database that the call was taken from remembers `EPOCH DATABASE SECONDS` under its call-id. Every
 * write compares epochs in one atomic step with what it does (a script, run by Redis itself).
 *
 * rtpengine knows nothing of it: where nodes of both kinds share calls, its writes are not fenced.
 */
import { createHash } from 'node:crypto';
import { reasonOf } from './errors.js';
import type { Argument } from './large-command.js';
import type { StoreLog } from './log.js';
import type { AskCommand, SendCommand } from './send-command.js';
import { spoiltByte, type ValueEdit } from './value-edit.js';

/** A hash, so that no reader of rtpengine's keys takes it for a call. */
export const fenceKey = 'rtprelay:fence';

/** Who has the call, according to the fence. */
export interface Holder {
  readonly epoch: number;
  readonly database: number;
}

/** KEYS: call, fence. ARGV: epoch, database, then those of the step. `newer` is the entry that forbids the step. */
const compare = `
local entry = redis.pcall('HGET', KEYS[2], KEYS[1])
if type(entry) ~= 'string' then entry = nil end
local newer = nil
local mine = tonumber(ARGV[1])
if entry then
  local epoch, database = string.match(entry, '^(%d+) (%d+)')
  epoch = tonumber(epoch) or 0
  if epoch > mine or (epoch == mine and database ~= ARGV[2]) then newer = entry end
end
if newer then return newer end
local function mark()
  redis.call('HSET', KEYS[2], KEYS[1], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. redis.call('TIME')[1])
end
`;

const sources = {
  /** Further ARGV: value, life time in seconds. */
  set: `${compare}
if entry then mark() end
redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[4])
return false`,
  /**
   * Further ARGV: length of the value that has to be there, length of its beginning and of what is before the place of
   * the edit, their digest, that place, what comes there, life time in seconds, and the places of bytes that become one
   * that no name begins with. Followers of the database read a call at `set`, and some at nothing else: they are told
   * so, and see it when the script is over.
   */
  extend: `${compare}
local length = tonumber(ARGV[3])
if redis.call('STRLEN', KEYS[1]) ~= length then return 'other' end
local at = tonumber(ARGV[7])
local ends = redis.call('GETRANGE', KEYS[1], 0, ARGV[4] - 1) .. redis.call('GETRANGE', KEYS[1], at - ARGV[5], at - 1)
if redis.sha1hex(ends) ~= ARGV[6] then return 'other' end
redis.call('PUBLISH', '__keyspace@' .. ARGV[2] .. '__:' .. KEYS[1], 'set')
if entry then mark() end
redis.call('SETRANGE', KEYS[1], at, ARGV[8])
for place in string.gmatch(ARGV[10], '%d+') do redis.call('SETRANGE', KEYS[1], place, '${spoiltByte}') end
redis.call('EXPIRE', KEYS[1], ARGV[9])
return false`,
  delete: `${compare}
redis.call('DEL', KEYS[1])
if entry then redis.call('HDEL', KEYS[2], KEYS[1]) end
return false`,
  /** Takes the call out of the database of its former owner. */
  release: `${compare}
mark()
redis.call('DEL', KEYS[1])
return false`,
} as const;

type ScriptName = keyof typeof sources;
const digestOf = (source: string): string => createHash('sha1').update(source).digest('hex');

const digests: Readonly<Record<ScriptName, string>> = {
  set: digestOf(sources.set),
  extend: digestOf(sources.extend),
  delete: digestOf(sources.delete),
  release: digestOf(sources.release),
};

function holderOf(reply: unknown): Holder | null {
  const match = Buffer.isBuffer(reply) ? /^(\d+) (\d+)/.exec(reply.toString('latin1')) : null;
  return match === null ? null : { epoch: Number(match[1]), database: Number(match[2]) };
}

/** The last two: the script may run, but not all that it does (Redis 7, Redis 6). */
const refusal = /^NOPERM|^ERR unknown command|ACL failure in script|can't run this command/;

/** Not allowed to this user, or not known to this server. */
function isRefused(error: unknown): boolean {
  return error instanceof Error && refusal.test(error.message);
}

/** The fenced steps over one connection to `database`. They throw what `send` throws. */
export class Fence {
  readonly #send: SendCommand;
  readonly #ask: AskCommand;
  readonly #log: StoreLog;
  #scripts = true;
  /** Values may be continued, as far as is known. */
  #extends = true;

  /** @param ask the same, where a reply that is there at once is returned as it is. */
  constructor(send: SendCommand, log: StoreLog, ask: AskCommand = send) {
    this.#send = send;
    this.#ask = ask;
    this.#log = log;
  }

  /**
   * Writes a call of `mine`. Resolves to its holder if that is another node now, and nothing was written. null: it is written
   * already.
   *
   * A call that was never taken over needs no script: whoever takes it over removes its key, so that it
   * is enough not to make the key anew (`written`: this node has made it already).
   */
  set(
    key: Buffer,
    value: Buffer,
    expiresSeconds: number,
    mine: Holder,
    written = false,
  ): null | Promise<Holder | null> {
    const fenced = (): Promise<Holder | null> => this.#setFenced(key, value, expiresSeconds, mine);
    if (mine.epoch > 0) return fenced();
    const only = written ? ['XX'] : [];
    const reply = this.#ask('SET', key, value, 'EX', expiresSeconds, ...only);
    // Nothing: taken over, or expired, or the server has lost it.
    if (reply instanceof Promise) return reply.then((late) => (late === null ? fenced() : null));
    return reply === null ? fenced() : null;
  }

  #setFenced(
    key: Buffer,
    value: Buffer,
    expiresSeconds: number,
    mine: Holder,
  ): Promise<Holder | null> {
    return this.#fenced(
      'set',
      key,
      mine,
      ['SET', key, value, 'EX', expiresSeconds],
      [value, expiresSeconds],
    );
  }

  /**
   * Adds to the value of a call of `mine`, as `set` otherwise. 'other': not that value is there, or it may not be
   * continued; nothing was changed. null: it is done already.
   */
  extend(
    key: Buffer,
    { before, at, bytes, spoilt }: ValueEdit,
    expiresSeconds: number,
    mine: Holder,
  ): null | Promise<Holder | null | 'other'> {
    if (!this.#scripts || !this.#extends) return Promise.resolve('other');
    const { length, head, tail, digest } = before;
    const places = spoilt.join(' ');
    const words = [length, head, tail, digest, at, bytes, expiresSeconds, places] as const;
    const given = [2, key, fenceKey, mine.epoch, mine.database, ...words] as const;
    const reply = this.#ask('EVALSHA', digests.extend, ...given);
    return reply === null ? null : this.#extended(reply, given);
  }

  async #extended(answer: unknown, given: readonly Argument[]): Promise<Holder | null | 'other'> {
    try {
      const reply = await this.#orByText('extend', answer, given);
      if (Buffer.isBuffer(reply) && reply.toString('latin1') === 'other') return 'other';
      return holderOf(reply);
    } catch (error) {
      if (!isRefused(error)) throw error;
      this.#extends = false;
      this.#log.info(
        `Redis does not let us continue values (${reasonOf(error)}): those of large calls are written whole`,
      );
      return 'other';
    }
  }

  /** Deletes a call of `mine`; otherwise as `set`. */
  delete(key: Buffer, mine: Holder): null | Promise<Holder | null> {
    if (mine.epoch > 0) return this.#fenced('delete', key, mine, ['DEL', key]);
    // Of a call that has been taken over there is no key any more.
    const reply = this.#ask('DEL', key);
    return reply instanceof Promise ? reply.then(() => null) : null;
  }

  /** Takes a call that is `mine` now out of its former owner's database; otherwise as `set`. */
  async release(key: Buffer, mine: Holder): Promise<Holder | null> {
    return this.#fenced('release', key, mine, ['DEL', key]);
  }

  /** Forgets entries older than `seconds`: their calls have ended long ago. Returns how many. */
  async prune(seconds: number): Promise<number> {
    const time = await this.#send('TIME');
    const oldest = Number(Array.isArray(time) ? String(time[0]) : 0) - seconds;
    const old: Argument[] = [];
    let cursor = '0';
    do {
      const reply = await this.#send('HSCAN', fenceKey, cursor, 'COUNT', 1000);
      const [next, entries] = Array.isArray(reply) ? (reply as readonly unknown[]) : [];
      cursor = String(next ?? '0');
      const list: readonly unknown[] = Array.isArray(entries) ? entries : [];
      for (let at = 0; at + 1 < list.length; at += 2) {
        const [callId, mark] = [list[at], String(list[at + 1])];
        const written = Number(mark.split(' ')[2] ?? 0);
        if (Buffer.isBuffer(callId) && written < oldest) old.push(callId);
      }
    } while (cursor !== '0');
    if (old.length > 0) await this.#send('HDEL', fenceKey, ...old);
    return old.length;
  }

  /** The step by its script, or by `plain` where Redis runs no scripts for us. */
  async #fenced(
    name: ScriptName,
    key: Buffer,
    mine: Holder,
    plain: readonly [string, ...Argument[]],
    more: readonly Argument[] = [],
  ): Promise<Holder | null> {
    const outcome = this.#scripts ? await this.#run(name, key, mine, ...more) : 'refused';
    if (outcome !== 'refused') return outcome;
    await this.#send(...plain);
    return null;
  }

  async #run(
    name: ScriptName,
    key: Buffer,
    mine: Holder,
    ...more: readonly Argument[]
  ): Promise<Holder | null | 'refused'> {
    try {
      return holderOf(await this.#evaluate(name, key, mine, more));
    } catch (error) {
      if (isRefused(error)) return this.#refused(error);
      throw error;
    }
  }

  async #evaluate(
    name: ScriptName,
    key: Buffer,
    mine: Holder,
    more: readonly Argument[],
  ): Promise<unknown> {
    const words = [2, key, fenceKey, mine.epoch, mine.database, ...more] as const;
    return this.#orByText(name, this.#send('EVALSHA', digests[name], ...words), words);
  }

  /** The reply to a script that was named by its digest; where Redis does not know it, to its text. */
  async #orByText(name: ScriptName, reply: unknown, words: readonly Argument[]): Promise<unknown> {
    try {
      return await reply;
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    }
    return await this.#send('EVAL', sources[name], ...words);
  }

  #refused(error: unknown): 'refused' {
    if (this.#scripts) {
      this.#log.warning(
        `Redis runs no scripts for us (${reasonOf(error)}): a node that has lost its calls is not fenced off`,
      );
    }
    this.#scripts = false;
    return 'refused';
  }
}
