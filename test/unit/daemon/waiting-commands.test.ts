import { expect } from 'chai';
import { WaitingCommands } from '../../../src/daemon/waiting-commands.js';

const outcome = (waiting: Promise<void>): Promise<string> =>
  waiting.then(
    () => 'done',
    (error: unknown) => (error as Error).message,
  );
const refused = 'Too many commands wait for calls to be restored';

describe('commands that wait for a restore', () => {
  let said: string[];
  let finish: () => void;
  let restored: Promise<void>;
  beforeEach(() => {
    said = [];
    restored = new Promise((resolve) => (finish = resolve));
  });
  const open = (commands: number, bytes: number): WaitingCommands =>
    new WaitingCommands((text) => said.push(text), { commands, bytes });

  it('are as many as there is room for their bytes, the others are refused and counted', async () => {
    const waiting = open(100, 1000);
    const first = [400, 600].map((bytes) => outcome(waiting.until(restored, bytes)));
    expect(await outcome(waiting.until(restored, 1))).to.equal(refused);
    expect(await outcome(waiting.until(restored, 300))).to.equal(refused);
    expect(said).to.deep.equal([
      '2 commands of 1000 bytes wait for calls to be restored: more are refused',
    ]);
    finish();
    expect(await Promise.all(first)).to.deep.equal(['done', 'done']);
    expect(said.slice(1)).to.deep.equal(['Commands refused while calls were restored: 2']);
    expect(await outcome(waiting.until(restored, 1000))).to.equal('done');
    expect(said).to.have.length(2);
  });

  it('are no more than so many, small ones too', async () => {
    const waiting = open(2, 1000);
    const first = [1, 1].map((bytes) => outcome(waiting.until(restored, bytes)));
    expect(await outcome(waiting.until(restored, 1))).to.equal(refused);
    finish();
    expect(await Promise.all(first)).to.deep.equal(['done', 'done']);
  });

  it('wait a moment only when they tell of the node, and not even that when the restore has ended', async () => {
    const waiting = open(0, 0);
    expect(await outcome(waiting.soon(restored))).to.equal('done');
    const second = outcome(waiting.soon(restored));
    finish();
    expect(await second).to.equal('done');
    expect(said).to.deep.equal([]);
  });

  it('are let go when the restore fails', async () => {
    const waiting = open(2, 10);
    const failed = Promise.reject(new Error('no Redis'));
    expect(await outcome(waiting.until(failed, 10))).to.equal('no Redis');
    finish();
    expect(await outcome(waiting.until(restored, 10))).to.equal('done');
  });
});
