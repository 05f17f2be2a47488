import { expect } from 'chai';
import type { NgDictionary, NgValue } from '../../../src/ng-protocol/dictionary.js';
import { encodeLongReply, isLongReply } from '../../../src/ng-protocol/long-reply.js';
import { encodeReply } from '../../../src/ng-protocol/message.js';

const ids = (count: number): NgValue[] =>
  Array.from({ length: count }, (_, at) => `call "${at}" \xc3\xbc`);

const replyOf = (calls: readonly NgValue[]): NgDictionary =>
  new Map<string, NgValue>([
    ['calls', calls],
    ['count', 7],
    ['result', 'ok'],
  ]);

describe('a reply with a long list', () => {
  it('is the same as any other', async () => {
    for (const encoding of ['bencode', 'json'] as const)
      for (const cookie of ['k', null])
        for (const count of [0, 1, 512, 1025, 5000]) {
          const reply = replyOf(ids(count));
          const whole = Buffer.from(encodeReply(cookie, reply, encoding));
          expect((await encodeLongReply(cookie, reply, encoding)).equals(whole)).to.equal(true);
        }
  });

  it('is one from some thousand members on', () => {
    expect(isLongReply(replyOf(ids(1024)))).to.equal(false);
    expect(isLongReply(replyOf(ids(1025)))).to.equal(true);
  });

  it('gives others a turn each time that some hundred members are done', async () => {
    let turns = 0;
    let done = false;
    const count = (): void => {
      turns += 1;
      if (!done) setImmediate(count);
    };
    setImmediate(count);
    await encodeLongReply('k', replyOf(ids(10_240)), 'json');
    done = true;
    expect(turns).to.be.at.least(20);
  });
});
