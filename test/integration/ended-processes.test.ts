/** What a test ends is gone with all that it has started, also where it does not end by itself. */
import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { childrenOf, TestProcess } from '../support/child-process.js';
import { until } from '../support/wait.js';

describe('a program of a test', () => {
  it('that does not obey is ended with what it has started', async () => {
    const deaf = 'trap "" TERM; sleep 300 & echo started; wait; wait';
    const program = new TestProcess('deaf', 'sh', ['-c', deaf]);
    await program.untilLogged('started');
    const started = childrenOf(program.pid);
    expect(started).to.have.length(1);
    await program.stop();
    const gone = (): boolean => started.every((pid) => !existsSync(`/proc/${pid}`));
    await until(gone, 'the end of what it has started', 10_000);
  });
});
