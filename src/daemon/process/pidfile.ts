/** The file that names the running process. */
import { readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { ConfigError } from '../../config/errors.js';

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'No such file or directory',
  EACCES: 'Permission denied',
  EPERM: 'Operation not permitted',
  EROFS: 'Read-only file system',
  EISDIR: 'Is a directory',
  ENOTDIR: 'Not a directory',
  ENOSPC: 'No space left on device',
};

/** The machine's trouble of the moment, no mistake of the configuration: no reason not to serve. */
const passing: ReadonlySet<string> = new Set([
  'ENOSPC',
  'EDQUOT',
  'EFBIG',
  'EIO',
  'EMFILE',
  'ENFILE',
  'ENOMEM',
]);

function codeOf(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return reasons[codeOf(error)] ?? message;
}

/**
 * Writes `pid` into the file, over whatever an earlier process left there.
 *
 * @returns null, or a warning when the disk has no room for it: then there is no file.
 * @throws ConfigError `Failed to create PID file PATH (…), aborting startup`
 */
export function writePidfile(path: string, pid: number): string | null {
  try {
    writeFileSync(path, `${pid}\n`);
    return null;
  } catch (error) {
    const what = `Failed to create PID file ${path} (${reasonOf(error)})`;
    if (!passing.has(codeOf(error))) {
      const message = `${what}, aborting startup`;
      throw new ConfigError('bad-value', 'pidfile', message, { cause: error });
    }
    removeEmpty(path);
    return `${what}, going on without it`;
  }
}

/** A file without a number would say that a process 0 or none runs. */
function removeEmpty(path: string): void {
  try {
    if (statSync(path).isFile()) unlinkSync(path);
  } catch {
    // There is none.
  }
}

/** Removes the file if it is still this process' own. Never throws: it runs when stopping. */
export function removePidfile(path: string, pid: number): void {
  try {
    if (readFileSync(path, 'latin1').trim() === String(pid)) unlinkSync(path);
  } catch {
    // Gone already, or the directory is closed to us now: nothing depends on the file any more.
  }
}
