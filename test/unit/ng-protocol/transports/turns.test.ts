import { expect } from 'chai';
import { Turns } from '../../../../src/ng-protocol/transports/turns.js';

const nextTurn = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('turns', () => {
  it('are one in each turn of the event loop, in order; the first at once', async () => {
    const turns = new Turns();
    const done: number[] = [];
    for (let i = 0; i < 2500; i += 1) turns.run(() => done.push(i));
    expect(done).to.deep.equal([0]);
    await nextTurn();
    await nextTurn();
    expect(done).to.deep.equal([0, 1, 2]);
    while (done.length < 2500) await nextTurn();
    expect(done).to.deep.equal(done.map((_, at) => at));
    await nextTurn();
    turns.run(() => done.push(-1));
    expect(done.at(-1), 'at once again').to.equal(-1);
    await turns.next();
  });
});
