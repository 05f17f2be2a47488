/** The flags of V8 that a daemon sets are flags that this V8 has. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';

describe('the engine', () => {
  it('takes what a daemon sets without complaint', () => {
    const program = `
      import { tuneEngine } from './src/daemon/process/engine.js';
      tuneEngine({});`;
    const words = ['--import', 'tsx', '--input-type=module', '--eval', program];
    // The certificates of the machine are of no use to the program and cost a warning line.
    const { NODE_EXTRA_CA_CERTS: _certificates, ...env } = process.env;
    const { stderr, status } = spawnSync(process.execPath, words, { encoding: 'utf8', env });
    expect([stderr, status]).to.deep.equal(['', 0]);
  });
});
