/** Reading the calls of a database: what is known already is not decoded, and whose they are is told by the reader. */
import { expect } from 'chai';
import { readCalls, type Reading } from '../../../src/redis-store/restore.js';
import type { SendCommand } from '../../../src/redis-store/send-command.js';
import { SeenValues } from '../../../src/redis-store/seen-values.js';
import { sample, settings } from '../../support/unit/redis-store.js';

/** A database that holds these values. */
const databaseOf =
  (values: ReadonlyMap<string, Buffer>): SendCommand =>
  (command, ...keys) =>
    Promise.resolve(
      command === 'SCAN'
        ? ['0', [...values.keys()].map((key) => Buffer.from(key))]
        : keys.map((key) => values.get(String(key)) ?? null),
    );

async function read(
  values: ReadonlyMap<string, Buffer>,
  reading: Reading,
): Promise<{ calls: string[]; known: string[]; owners: string[] }> {
  const found = { calls: [] as string[], known: [] as string[], owners: [] as string[] };
  for await (const batch of readCalls(databaseOf(values), settings, reading)) {
    found.known.push(...batch.known);
    for (const { callId, ownership, redisHostedDb } of batch.calls) {
      found.calls.push(callId);
      found.owners.push(`${ownership} ${redisHostedDb}`);
    }
  }
  return found;
}

describe('the calls of a database', () => {
  it('are read again only where their value has changed', async () => {
    const seen = new SeenValues();
    const reading: Reading = { isKnown: (callId, value) => seen.isSame(callId, value) };
    const values = new Map([
      ['a', sample('02-relay.json')],
      ['b', sample('05-audio-video.json')],
    ]);
    expect(await read(values, reading)).to.deep.include({ calls: ['a', 'b'], known: [] });
    expect(await read(values, reading)).to.deep.include({ calls: [], known: ['a', 'b'] });
    values.set('b', sample('02-relay.json'));
    expect(await read(values, reading)).to.deep.include({ calls: ['b'], known: ['a'] });
    seen.keep(new Set(['b']));
    seen.forget('b');
    expect(await read(values, reading)).to.deep.include({ calls: ['a', 'b'], known: [] });
  });

  it('belong to whom the reader says', async () => {
    const values = new Map([['a', sample('02-relay.json')]]);
    const followed: Reading = { owner: { ownership: 'foreign', database: 7 } };
    expect((await read(values, followed)).owners).to.deep.equal(['foreign 7']);
    expect((await read(values, {})).owners[0]).to.match(/^own /);
  });

  /** A database of so many calls. */
  const many = (count: number): ReadonlyMap<string, Buffer> => {
    const value = sample('02-relay.json');
    return new Map(Array.from({ length: count }, (_, at) => [`call-${at}`, value]));
  };

  it('come as soon as the ports of a few are open', async () => {
    let prepared = 0;
    const reading: Reading = { prepare: () => (prepared += 1) };
    const seen: number[] = [];
    for await (const batch of readCalls(databaseOf(many(1000)), settings, reading)) {
      expect(batch.calls).to.have.length.of.at.most(32);
      seen.push(prepared);
    }
    expect(seen[0], 'batches whose ports are open when the first call comes').to.equal(1);
    // Then more and more of them: ports first, where there are many calls.
    expect(seen.slice(1, 6)).to.deep.equal([5, 5, 5, 5, 21]);
    expect(seen).to.have.lengthOf(prepared);
  });

  it('end with the failure of what was on its way while others were looked at', async () => {
    const database = databaseOf(many(200));
    let asked = 0;
    const failing: SendCommand = (command, ...keys) => {
      if (command === 'MGET') asked += 1;
      return asked > 1
        ? Promise.reject(new Error('the connection is lost'))
        : database(command, ...keys);
    };
    let calls = 0;
    let reason = '';
    let ends = 0;
    const end = (): void => void (ends += 1);
    process.on('unhandledRejection', end);
    try {
      for await (const batch of readCalls(failing, settings, {})) {
        calls += batch.calls.length;
        // Long enough for Node to end the process for a failure that nobody has waited for.
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    } catch (error) {
      reason = String(error);
    } finally {
      process.off('unhandledRejection', end);
    }
    expect(reason).to.include('the connection is lost');
    expect(calls).to.equal(32);
    expect(ends, 'ends of a daemon').to.equal(0);
  });
});
