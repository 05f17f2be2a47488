/** The code that the daemon keeps compiled (scripts/launcher.cjs) is code that its next start takes. */
import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { text } from 'node:stream/consumers';

const script = fileURLToPath(new URL('../../scripts/build-cache.mjs', import.meta.url));

describe('the code cache', function () {
  this.timeout(60_000);

  it('is made, and taken by the next start', async () => {
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'ignore', 'pipe'] });
    expect(await text(child.stderr)).to.equal('');
  });
});
