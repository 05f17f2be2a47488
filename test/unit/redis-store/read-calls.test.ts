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
});
