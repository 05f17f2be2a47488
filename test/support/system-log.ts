/** A system log of the test's for daemons that are started under it: a private /dev with a socket of its own (needs root). */
import { spawnSync } from 'node:child_process';
import { TemporaryFolder } from './child-process.js';
import { rtpengine125Command } from './trixie.js';
import { UnixDatagrams } from './unix-datagrams.js';

/** `$0` the folder, `$1` another root that gets the same devices; the rest runs. */
const privateDevices =
  'mkdir "$0/dev" && mount -t tmpfs none "$0/dev" && for each in null zero full random urandom tty; do ' +
  'touch "$0/dev/$each" && mount --bind "/dev/$each" "$0/dev/$each"; done && ' +
  'touch "$0/dev/log" && mount --bind "$0/socket" "$0/dev/log" && ' +
  '{ [ -z "$1" ] || mount --rbind "$0/dev" "$1/dev"; } && ' +
  'mount --rbind "$0/dev" /dev && shift && exec "$@"';

export const mayMountDevices = (): boolean =>
  spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

export class SystemLog {
  #text: string[] = [];

  private constructor(
    private readonly folder: TemporaryFolder,
    private readonly socket: UnixDatagrams,
  ) {}

  static async open(): Promise<SystemLog> {
    const folder = new TemporaryFolder('syslog');
    return new SystemLog(folder, await UnixDatagrams.open(folder.file('socket')));
  }

  /** Words before the command of a daemon. */
  get under(): readonly string[] {
    const command = rtpengine125Command();
    const root = command?.[0] === 'chroot' ? (command[1] ?? '') : '';
    return ['unshare', '-m', 'sh', '-c', privateDevices, this.folder.path, root];
  }

  /** All messages so far, with `<priority>`, moment and name before them. */
  async messages(): Promise<readonly string[]> {
    this.#text.push(...(await this.socket.received()));
    return this.#text;
  }

  close(): void {
    this.socket.close();
    this.folder.remove();
  }
}
