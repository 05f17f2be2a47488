/** A log that nobody reads costs lines; the control plane does not notice. */
import { expect } from 'chai';
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
} from 'node:fs';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { TemporaryFolder } from '../support/child-process.js';
import { freeUdpPort } from '../support/free-ports.js';
import { audioSdp, NgClient } from '../support/ng-client.js';
import { UnixDatagrams } from '../support/unix-datagrams.js';
import { until } from '../support/wait.js';

const program = fileURLToPath(new URL('../../dist/bin/rtprelayd.js', import.meta.url));
/** More than the pipe, the socket and what the daemon itself keeps can hold. */
const commands = 300;
const gap = /(\d+) log lines were lost here: nobody took them/;

/** A private /dev with a log socket of the test's (needs root); then `$@` runs. */
const privateDevices =
  'mount -t tmpfs none "$0/dev" && for each in null zero full random urandom tty; do ' +
  'touch "$0/dev/$each" && mount --bind "/dev/$each" "$0/dev/$each"; done && ' +
  'touch "$0/dev/log" && mount --bind "$0/socket" "$0/dev/log" && ' +
  'mount --rbind "$0/dev" /dev && exec "$@"';

/** A private file system of 128 KiB for the log; then `$@` runs. */
const smallDisk =
  'mount -t tmpfs -o size=128k none "$0/disk" && head -c 60000 /dev/zero > "$0/disk/other" && ' +
  'exec "$@" 2> "$0/disk/log"';

const mayMount = (): boolean =>
  spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

describe('a log that nobody reads', () => {
  let folder: TemporaryFolder;
  let child: ChildProcess | undefined;
  let ng: NgClient;
  let port: number;

  beforeEach(() => {
    folder = new TemporaryFolder('log');
    port = freeUdpPort();
    ng = new NgClient(port);
  });
  afterEach(async () => {
    ng.close();
    if (child !== undefined && child.exitCode === null) {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
    folder.remove();
  });

  const words = (...extra: readonly string[]): readonly string[] => [
    ...[program, '--config-file=none', '-f', '--table=-1', '--interface=127.0.0.1'],
    ...[`--listen-ng=127.0.0.1:${port}`, '--log-level=7', ...extra],
  ];

  /** Much to log, nothing of it read; every command is answered. */
  async function talk(): Promise<void> {
    const sdp = audioSdp(6000, Array(100).fill('a=remark:0123456789012345678901234567890'));
    await ng.ask({ command: 'ping' }, { tries: 150, intervalMs: 100 });
    for (let i = 0; i < commands; i += 1) {
      await ng.ask({ command: 'offer', 'call-id': 'one', 'from-tag': 'a', sdp });
    }
    expect(await ng.ask({ command: 'ping' })).to.deep.equal({ result: 'pong' });
  }

  /** It ends on TERM although its last lines are not read either. */
  async function ends(): Promise<void> {
    child?.kill('SIGTERM');
    if (child?.exitCode === null) await once(child, 'exit');
    expect(child?.exitCode).to.equal(0);
  }

  for (const format of ['default', 'json']) {
    it(`does not stop commands: a pipe, ${format} lines`, async () => {
      const path = folder.file('pipe');
      execFileSync('mkfifo', [path]);
      const reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
      const writing = openSync(path, 'w');
      const extra = ['-E', `--log-format=${format}`];
      child = spawn(process.execPath, words(...extra), { stdio: ['ignore', 'ignore', writing] });
      closeSync(writing);
      await talk();
      await ends();
      closeSync(reading);
    });
  }

  it('is told how much is missing when it is read again', async () => {
    const path = folder.file('pipe');
    execFileSync('mkfifo', [path]);
    const reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const writing = openSync(path, 'w');
    child = spawn(process.execPath, words('-E'), { stdio: ['ignore', 'ignore', writing] });
    closeSync(writing);
    await talk();
    let text = '';
    const buffer = Buffer.alloc(1 << 16);
    const readAll = (): boolean => {
      try {
        for (let count = 1; count > 0;) {
          count = readSync(reading, buffer);
          text += buffer.toString('latin1', 0, count);
        }
      } catch {
        // Nothing more for the moment.
      }
      return gap.test(text);
    };
    await until(readAll, 'a line about the gap');
    // Not a line is torn or missing in silence.
    const lines = text.trimEnd().split('\n');
    expect(lines.filter((line) => !/^\[\d+\.\d+\] [A-Z]+: /.test(line))).to.deep.equal([]);
    expect(Number(gap.exec(text)?.[1])).to.be.greaterThan(0);
    await ng.ask({ command: 'list' });
    await until(() => readAll() && text.includes("Received command 'list'"), 'new lines');
    closeSync(reading);
  });

  it('does not stop commands: a socket, as that of the journal', async () => {
    child = spawn(process.execPath, words('-E'), { stdio: ['ignore', 'ignore', 'pipe'] });
    await talk();
    await ends();
  });

  it('does not stop commands: the system log', async function () {
    if (!mayMount()) this.skip();
    const syslog = await UnixDatagrams.open(folder.file('socket'));
    execFileSync('mkdir', [folder.file('dev')]);
    const inside = ['-m', 'sh', '-c', privateDevices, folder.path, process.execPath];
    child = spawn('unshare', [...inside, ...words()], { stdio: 'inherit' });
    try {
      await talk();
      const received: string[] = [];
      await until(async () => {
        received.push(...(await syslog.received()));
        return received.some((line) => gap.test(line));
      }, 'a line about the gap');
      expect(received[0]).to.match(/^<30>\w{3} [ \d]\d \d\d:\d\d:\d\d rtpengine: INFO: /);
      await ends();
    } finally {
      syslog.close();
    }
  });

  it('does not stop commands: a full disk', async function () {
    if (!mayMount()) this.skip();
    execFileSync('mkdir', [folder.file('disk')]);
    const pidfile = `--pidfile=${folder.file('disk/pid')}`;
    const inside = ['-m', 'sh', '-c', smallDisk, folder.path, process.execPath];
    child = spawn('unshare', [...inside, ...words('-E', pidfile)], { stdio: 'inherit' });
    await talk();
    const disk = `/proc/${child.pid}/root${folder.file('disk')}`;
    expect(gap.test(readFileSync(`${disk}/log`, 'latin1'))).to.equal(false);
    rmSync(`${disk}/other`);
    await ng.ask({ command: 'list' });
    const text = readFileSync(`${disk}/log`, 'latin1');
    expect(Number(gap.exec(text)?.[1])).to.be.greaterThan(0);
    const after = text.slice(text.search(gap)).split('\n')[1];
    expect(after).to.match(/^\[\d+\.\d+\] /);
    await ends();
  });

  it('and a full disk has no room for a pidfile: a warning, no failed start', async function () {
    if (!mayMount()) this.skip();
    execFileSync('mkdir', [folder.file('disk')]);
    const fill = smallDisk.replace('exec "$@"', '{ cat /dev/zero > "$0/disk/more"; exec "$@"; }');
    const shown = fill.replace(' 2> "$0/disk/log"', '').replaceAll('cat', 'cat 2> /dev/null');
    const pidfile = `--pidfile=${folder.file('disk/pid')}`;
    const inside = ['-m', 'sh', '-c', shown, folder.path, process.execPath];
    child = spawn('unshare', [...inside, ...words('-E', pidfile)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let text = '';
    child.stderr?.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
    expect(await ng.ask({ command: 'ping' }, { tries: 100 })).to.deep.equal({ result: 'pong' });
    await until(() => text.includes('Startup complete'), 'a start');
    expect(text).to.match(/WARNING: .*Failed to create PID file .*\(No space left on device\)/);
    expect(existsSync(`/proc/${child.pid}/root${folder.file('disk/pid')}`)).to.equal(false);
  });
});
