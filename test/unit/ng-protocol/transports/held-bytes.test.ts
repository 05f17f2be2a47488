/** What clients of all listeners make the daemon hold. */
import { expect } from 'chai';
import { HeldBytes, type Holder } from '../../../../src/ng-protocol/transports/held-bytes.js';

class Client implements Holder {
  bytes = 0;
  isGone = false;
  constructor(
    readonly source: string,
    private readonly all: HeldBytes,
  ) {
    all.add(this);
  }
  readonly held = (): number => this.bytes;
  readonly drop = (): void => {
    this.isGone = true;
    this.bytes = 0;
  };
  take(bytes: number): void {
    this.bytes += bytes;
    this.all.grew(bytes);
  }
}

const gone = (clients: readonly Client[]): readonly boolean[] =>
  clients.map(({ isGone }) => isGone);

describe('the bytes that clients make us hold', () => {
  it('are bounded together: the greatest of the greediest source goes', () => {
    const all = new HeldBytes(100);
    const [one, ...many] = ['a', 'b', 'b', 'b'].map((source) => new Client(source, all));
    if (one === undefined) throw new Error('no client');
    one.take(40);
    many.forEach((client, at) => client.take(10 * (at + 1)));
    expect(gone([one, ...many]), 'as much as there may be').to.deep.equal(Array(4).fill(false));
    many[0]?.take(1);
    expect(gone([one, ...many])).to.deep.equal([false, false, false, true]);
    one.take(29);
    expect(gone([one, ...many]), 'there is room again').to.deep.equal([false, false, false, true]);
  });

  it('count no more when they are no longer held', () => {
    const all = new HeldBytes(100);
    const clients = ['a', 'b'].map((source) => new Client(source, all));
    for (let i = 0; i < 50; i += 1) {
      for (const client of clients) {
        client.take(30);
        client.bytes = 0;
      }
    }
    expect(gone(clients)).to.deep.equal([false, false]);
  });

  it('may be many of one client: its own bound is another one', () => {
    const all = new HeldBytes(100);
    const clients = ['a', 'b'].map((source) => new Client(source, all));
    clients[0]?.take(500);
    expect(gone(clients)).to.deep.equal([false, false]);
  });
});
