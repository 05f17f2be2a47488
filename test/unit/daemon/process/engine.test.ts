/** The flags of V8 that a daemon sets are flags that this V8 has. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';

/** What a program that has the engine's functions prints; nothing on stderr. */
function run(code: string): string {
  const program = `
    import { optimiseSooner, tuneEngine } from './src/daemon/process/engine.js';
    ${code}`;
  const words = ['--import', 'tsx', '--input-type=module', '--eval', program];
  // The certificates of the machine are of no use to the program and cost a warning line.
  const { NODE_EXTRA_CA_CERTS: _certificates, ...env } = process.env;
  const { stdout, stderr, status } = spawnSync(process.execPath, words, { encoding: 'utf8', env });
  expect([stderr, status]).to.deep.equal(['', 0]);
  return stdout.trim();
}

describe('the engine', () => {
  it('takes what a daemon sets without complaint', () => {
    expect(run('tuneEngine({}); optimiseSooner({});')).to.equal('');
  });
});
