/**
 * rtpengine 12.5 of Debian 13 (trixie): the installed one where it is that, else the one in a root that
 * `scripts/trixie-root` made. It shares network namespaces with whoever starts it.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('../../scripts/trixie-root', import.meta.url));

let found: readonly [string, ...string[]] | null | undefined;

/**
 * Program and first arguments; its options follow (no `--pidfile`: the root has folders of its own).
 * null where it cannot be had: tests skip then. `MediaDaemon.start('rtpengine-12.5', …)` uses it.
 */
export function rtpengine125Command(): readonly [string, ...string[]] | null {
  if (found === undefined) found = findCommand();
  return found;
}

/** With its folder: a test may put a wrapper of the same name before it. */
const programOf = (name: string): string =>
  spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim();

function findCommand(): readonly [string, ...string[]] | null {
  const installed = spawnSync('rtpengine', ['--version'], { encoding: 'latin1' });
  if (`${installed.stdout}${installed.stderr}`.includes('Version: 12.5.'))
    return [programOf('rtpengine')];
  const { status, stdout } = spawnSync(script, ['--find'], { encoding: 'utf8' });
  if (status !== 0 || process.getuid?.() !== 0) return null;
  return ['chroot', stdout.trim(), '/usr/bin/rtpengine'];
}
