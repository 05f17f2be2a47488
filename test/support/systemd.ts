/**
 * systemd as the init of a machine of its own (isolated-systemd.sh), for tests of units. It sees
 * nothing of the machine that the test runs on: read why in the script before changing it.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TemporaryFolder, TestProcess } from './child-process.js';
import { namespacesAllowed, type NetworkNamespace } from './namespaces.js';

const root = realpathSync(fileURLToPath(new URL('../../', import.meta.url)));
const script = `${root}/test/support/isolated-systemd.sh`;
const init = '/lib/systemd/systemd';

/** Why systemd cannot be run here; null when it can. */
export function systemdMissing(): string | null {
  if (!existsSync(init)) return `${init} is not installed`;
  if (!namespacesAllowed()) return 'namespaces may not be created';
  const known = readFileSync('/proc/filesystems', 'latin1');
  for (const kind of ['overlay', 'cgroup2'])
    if (!known.includes(kind)) return `the kernel has no ${kind}`;
  return null;
}

export interface Ran {
  readonly status: number | null;
  readonly output: string;
}

export class IsolatedSystemd {
  private constructor(
    private readonly process: TestProcess,
    private readonly folder: TemporaryFolder,
    private readonly controlGroup: string,
  ) {}

  /** Boots with the units of deploy/systemd in place and none of them started. */
  static async boot(namespace: NetworkNamespace): Promise<IsolatedSystemd> {
    const folder = new TemporaryFolder('systemd');
    const group = `rtprelay-test-${randomBytes(3).toString('hex')}`;
    const words = ['boot', folder.path, group, root, realpathSync(process.execPath)];
    const child = new TestProcess('systemd', script, words, { namespace: namespace.name });
    const machine = new IsolatedSystemd(child, folder, group);
    try {
      await child.until(
        () => machine.run('systemctl', 'is-active', 'ready.target').output === 'active\n',
        20_000,
      );
      machine.succeed('systemd-sysusers');
      return machine;
    } catch (error) {
      await machine.stop();
      throw error;
    }
  }

  /** Runs a program inside, at most 20 s. */
  run(...words: readonly string[]): Ran {
    const { pid } = this.process;
    const children = `/proc/${pid}/task/${pid}/children`;
    const inside = existsSync(children) ? readFileSync(children, 'latin1').trim() : '';
    if (!/^\d+$/.test(inside)) return { status: null, output: 'systemd is not running' };
    const enter = ['-t', inside, '-m', '-u', '-i', '-n', '-p', '-C', ...words];
    const { status, stdout, stderr } = spawnSync('nsenter', enter, {
      encoding: 'latin1',
      timeout: 20_000,
    });
    return { status, output: stdout + stderr };
  }

  /** Runs a program inside and returns what it wrote. Throws when it fails. */
  succeed(...words: readonly string[]): string {
    const { status, output } = this.run(...words);
    if (status !== 0) throw new Error(`${words.join(' ')}: ${String(status)}\n${output}`);
    return output;
  }

  /** Writes a file inside. */
  write(path: string, text: string): void {
    this.succeed('sh', '-c', 'mkdir -p "${1%/*}" && printf %s "$2" >"$1"', 'sh', path, text);
  }

  /** A property of a unit, as `systemctl show` prints it. */
  property(unit: string, name: string): string {
    return this.succeed('systemctl', 'show', '--property', name, '--value', unit).trim();
  }

  journal(unit: string): string {
    return this.run('journalctl', '--no-pager', '--output=cat', '--unit', unit).output;
  }

  /** Ends everything in it and removes its traces. */
  async stop(): Promise<void> {
    await this.process.stop('SIGKILL');
    // The control groups can be removed when the kernel has let go of the last process.
    for (let attempt = 0; attempt < 60; attempt += 1) {
      const words = ['remove', this.folder.path, this.controlGroup];
      if (spawnSync(script, words, { stdio: 'ignore', timeout: 5000 }).status === 0) break;
      execFileSync('sleep', ['0.05']);
    }
    this.folder.remove();
  }
}
