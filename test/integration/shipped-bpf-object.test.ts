/** A machine without clang takes the BPF object that is shipped, if it is of the sources it comes with. */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TemporaryFolder } from '../support/child-process.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const tools = ['sh', 'cat', 'cut', 'cp', 'dirname', 'find', 'mkdir', 'sha256sum'];

describe('the shipped BPF object', () => {
  let folder: TemporaryFolder;

  beforeEach(() => {
    folder = new TemporaryFolder('shipped');
    mkdirSync(folder.file('bin'));
    for (const tool of tools) {
      const path = execFileSync('sh', ['-c', `command -v ${tool}`], { encoding: 'latin1' }).trim();
      symlinkSync(path, folder.file(`bin/${tool}`));
    }
    cpSync(`${root}native/bpf`, folder.file('native/bpf'), { recursive: true });
    mkdirSync(folder.file('scripts'));
    cpSync(`${root}scripts/build-bpf`, folder.file('scripts/build-bpf'));
  });
  afterEach(() => {
    folder.remove();
  });

  const build = (): { readonly status: number | null; readonly stderr: string } =>
    spawnSync(folder.file('scripts/build-bpf'), [], {
      env: { PATH: folder.file('bin') },
      encoding: 'latin1',
    });
  const built = (): string => folder.file('build/bpf/forward.bpf.o');

  it('is taken where there is no clang', () => {
    expect(build()).to.include({ status: 0, stderr: '' });
    const shipped = readFileSync(folder.file('native/bpf/shipped/forward.bpf.o'));
    expect(readFileSync(built()).equals(shipped)).to.equal(true);
  });

  it('is not taken for other sources', () => {
    appendFileSync(folder.file('native/bpf/flow.h'), '\n');
    const { status, stderr } = build();
    expect(status).to.equal(1);
    expect(stderr).to.match(/no clang, and the shipped object is of other sources/);
    expect(existsSync(built())).to.equal(false);
  });
});
