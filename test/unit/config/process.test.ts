import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { removePidfile, writePidfile } from '../../../src/daemon/process/pidfile.js';
import { configError } from '../../support/unit/config.js';

describe('pidfile', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'rtprelay-pid-'));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  it('replaces a stale one and is removed at the end', () => {
    const path = join(directory, 'x.pid');
    writeFileSync(path, '99999 stale');
    writePidfile(path, 4711);
    expect(readFileSync(path, 'utf8')).to.equal('4711\n');
    removePidfile(path, 4711);
    expect(existsSync(path)).to.equal(false);
    removePidfile(path, 4711);
  });

  it('stays when another process has written its own', () => {
    const path = join(directory, 'x.pid');
    writePidfile(path, 4712);
    removePidfile(path, 4711);
    expect(existsSync(path)).to.equal(true);
  });

  it('says why it cannot be written', () => {
    const path = join(directory, 'no', 'x.pid');
    expect(configError(() => writePidfile(path, 1)).message).to.equal(
      `Failed to create PID file ${path} (No such file or directory), aborting startup`,
    );
  });
});

const moduleUrl = new URL('../../../src/daemon/process/daemonize.ts', import.meta.url).href;

/** A program that goes to the background, where it does `work`. */
function program(work: string): string {
  return `
    import { isBackgroundProcess, reportReady, startInBackground } from '${moduleUrl}';
    if (isBackgroundProcess(process.env)) {
      ${work}
    } else {
      process.exit(await startInBackground({
        executable: process.execPath,
        args: [...process.execArgv, ...process.argv.slice(1)],
        env: process.env,
      }));
    }`;
}

describe('background process', function () {
  // Two starts of node with a compiler, which a busy machine takes its time for.
  this.timeout(180_000);
  let directory: string;
  let script: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'rtprelay-bg-'));
    script = join(directory, 'program.mts');
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  function run(work: string): { status: number | null; stderr: string } {
    writeFileSync(script, program(work));
    const cwd = fileURLToPath(new URL('../../..', import.meta.url));
    return spawnSync(process.execPath, ['--import', 'tsx', script], {
      cwd,
      encoding: 'utf8',
      timeout: 150_000,
    });
  }

  it('hands its exit code and its last words to the one that started it', () => {
    const { status, stderr } = run(`process.stderr.write('no such address\\n'); process.exit(3);`);
    expect(status).to.equal(3);
    expect(stderr).to.include('no such address');
  });

  it('is a failure when a signal ended it', () => {
    expect(run(`process.kill(process.pid, 'SIGKILL');`).status).to.equal(1);
  });

  it('outlives the one that started it once it is ready, parted from its stderr', function () {
    const note = join(directory, 'note');
    const { status, stderr } = run(`
      const { writeFileSync, renameSync, readlinkSync } = await import('node:fs');
      reportReady(false);
      setTimeout(() => {
        const seen = { parent: process.ppid, stderr: readlinkSync('/proc/self/fd/2') };
        process.stderr.write('unheard');
        writeFileSync('${note}.tmp', JSON.stringify(seen));
        renameSync('${note}.tmp', '${note}');
      }, 300);`);
    expect(status).to.equal(0);
    expect(stderr).to.not.include('unheard');
    const deadline = Date.now() + 60_000;
    while (!existsSync(note) && Date.now() < deadline) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
    const seen: unknown = JSON.parse(readFileSync(note, 'utf8'));
    expect(seen).to.have.property('stderr', '/dev/null');
  });
});
