/** The rtpengine that is installed on this machine: whoever goes back to it wants calls that it reads. */
import { spawn } from 'node:child_process';
import type { FormatReason } from '../redis-store/format-choice.js';
import type { StoredFormat } from '../redis-store/schema.js';

/** Asking it for its version takes some 10 ms; the start does not wait longer for it. */
const timeoutMs = 1000;
const maxOutput = 4096;

/**
 * The layout that releases read. Measured: 10.5, 12.5 and 26.0; between them the older one is taken.
 * A program of this name with a lower version is this one.
 */
const layouts: readonly (readonly [fromMajor: number, format: StoredFormat])[] = [
  [26, 'JSON'],
  [12, 'JSON-12.5'],
  [9, 'JSON-10.5'],
];

/** The format that a release of rtpengine reads, by the text that `--version` prints; null for others. */
export function formatOfRelease(text: string): FormatReason | null {
  const [, version, major] = /^Version: ((\d{1,4})\.\d[\d.]*)/m.exec(text) ?? [];
  const found = layouts.find(([fromMajor]) => Number(major) >= fromMajor);
  if (version === undefined || found === undefined) return null;
  return { format: found[1], because: `the one that rtpengine ${version}, installed here, reads` };
}

/** Never rejects; null where no rtpengine is on the PATH, or it does not answer in time. */
export async function formatOfInstalled(program = 'rtpengine'): Promise<FormatReason | null> {
  return new Promise((resolve) => {
    const child = spawn(program, ['--version'], { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    const finish = (): void => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      // Whatever it has started may keep them open.
      child.stdout.destroy();
      child.stderr.destroy();
      resolve(formatOfRelease(text));
    };
    const timer = setTimeout(finish, timeoutMs);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (bytes: Buffer) => {
        if (text.length < maxOutput) text += bytes.toString('latin1');
      });
    }
    child.on('error', finish);
    child.on('close', finish);
  });
}
