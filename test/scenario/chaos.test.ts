/** Faults at random moments (bench/chaos), the same each time: calls that talk and are re-INVITEd go through them. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { chaos } from '../../bench/chaos/chaos.js';
import { namespacesAllowed } from '../support/namespaces.js';

const build = fileURLToPath(new URL('../../scripts/build-bench', import.meta.url));

describe('chaos', function () {
  this.timeout(180_000);

  it('costs a process pair no call, whatever is killed, frozen or replaced', async function () {
    if (!namespacesAllowed()) this.skip();
    execFileSync(build);
    const happened: string[] = [];
    const report = await chaos({
      ...{ seed: 3, seconds: 8, calls: 10, ptime: 40, rate: 10, nodes: 1, pauseMs: 2500 },
      // For waiting: how long it takes is measured by the bench.
      boundMs: 12_000,
      say: (line) => happened.push(line),
    });
    expect(happened).to.have.length.above(2);
    expect(report.problems, happened.join('\n')).to.deep.equal([]);
  });
});
