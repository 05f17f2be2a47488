/**
 * systemd as the init of a machine of its own (isolated-systemd.sh), for tests of units. It sees
 * nothing of the machine that the test runs on: read why in the script before changing it.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { childrenOf, TemporaryFolder, TestProcess } from './child-process.js';
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

  /** Boots with the units of deploy/systemd in place and none of them started; a bare one without, an empty one without the checkout. */
  static async boot(
    namespace: NetworkNamespace,
    kind: 'prepared' | 'bare' | 'empty' = 'prepared',
  ): Promise<IsolatedSystemd> {
    const machine = await IsolatedSystemd.#boot(namespace, [kind]);
    if (kind === 'prepared') machine.succeed('systemd-sysusers');
    return machine;
  }

  /** Boots the system in `folder` (debootstrap), which itself stays as it is. */
  static async bootDebian(namespace: NetworkNamespace, folder: string): Promise<IsolatedSystemd> {
    return await IsolatedSystemd.#boot(namespace, ['debian', realpathSync(folder)]);
  }

  static async #boot(
    namespace: NetworkNamespace,
    kind: readonly string[],
  ): Promise<IsolatedSystemd> {
    const folder = new TemporaryFolder('systemd');
    const group = `rtprelay-test-${randomBytes(3).toString('hex')}`;
    const words = ['boot', folder.path, group, root, realpathSync(process.execPath), ...kind];
    const child = new TestProcess('systemd', script, words, { namespace: namespace.name });
    const machine = new IsolatedSystemd(child, folder, group);
    try {
      await child.until(
        () => machine.run('systemctl', 'is-active', 'ready.target').output === 'active\n',
        60_000,
      );
      return machine;
    } catch (error) {
      await machine.stop();
      throw error;
    }
  }

  /** Runs a program inside, at most 20 s. */
  run(...words: readonly string[]): Ran {
    return this.#run(words, '', 20_000);
  }

  /** The same with a time limit of its own, in ms. */
  runWithin(limitMs: number, ...words: readonly string[]): Ran {
    return this.#run(words, '', limitMs);
  }

  #run(words: readonly string[], input: string | Buffer, timeout: number): Ran {
    const [inside, ...others] = childrenOf(this.process.pid);
    if (inside === undefined || others.length > 0)
      return { status: null, output: 'systemd is not running' };
    const enter = ['-t', String(inside), '-m', '-u', '-i', '-n', '-p', '-C', ...words];
    // The certificates of the machine outside cannot be seen in there.
    const { NODE_EXTRA_CA_CERTS: _certificates, ...env } = process.env;
    const options = { encoding: 'latin1', timeout, input, env } as const;
    const { status, stdout, stderr } = spawnSync('nsenter', enter, options);
    return { status, output: stdout + stderr };
  }

  /**
   * Runs commands as root would type them in the checkout, at most a minute, and returns what they
   * wrote. Throws when one fails.
   */
  shell(commands: string): string {
    const words = [
      'env',
      '-C',
      '/usr/lib/rtprelay',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin',
    ];
    const { status, output } = this.#run([...words, 'bash', '-e'], commands, 60_000);
    if (status !== 0) {
      const { output: journal } = this.run('journalctl', '--no-pager', '--lines=40');
      throw new Error(`${commands}: ${String(status)}\n${output}\n${journal}`);
    }
    return output;
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

  writeBytes(path: string, bytes: Buffer): void {
    const words = ['sh', '-c', 'mkdir -p "${1%/*}" && cat >"$1"', 'sh', path];
    const { status, output } = this.#run(words, bytes, 20_000);
    if (status !== 0) throw new Error(`${path}: ${output}`);
  }

  readBytes(path: string): Buffer {
    return Buffer.from(this.succeed('cat', path), 'latin1');
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
