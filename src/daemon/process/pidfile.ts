/** The file that names the running process. */
import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';
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

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return reasons[code] ?? error.message;
}

/**
 * Writes `pid` into the file, over whatever an earlier process left there.
 *
 * @throws ConfigError `Failed to create PID file PATH (…), aborting startup`
 */
export function writePidfile(path: string, pid: number): void {
  try {
    writeFileSync(path, `${pid}\n`);
  } catch (error) {
    throw new ConfigError(
      'bad-value',
      'pidfile',
      `Failed to create PID file ${path} (${reasonOf(error)}), aborting startup`,
      { cause: error },
    );
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
