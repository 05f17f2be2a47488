/** A daemon of some built tree, or rtpengine, on loopback, its NG port, and how much processor signalling has used. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { NgClient } from '../../test/support/ng-client.js';
import { childrenOf } from '../../test/support/child-process.js';
import { freeTcpPort, freeUdpPort, freeUdpRange } from '../../test/support/free-ports.js';
import { pause } from '../../test/support/wait.js';

/** Of 50 ms, until the first answer. */
const startTries = 200;

/** In place of a tree. */
export const rtpengine = 'rtpengine';

/** Processor time of a thread, or of all of a process, ms (`/proc/PID/task/TID/schedstat`). */
export function processorMs(pid: number, thread: number | null = null): number {
  const threads = thread === null ? readdirSync(`/proc/${pid}/task`) : [String(thread)];
  const used = (id: string): number =>
    Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'latin1').split(' ')[0]);
  return threads.reduce((sum, id) => sum + used(id), 0) / 1e6;
}

export class BuiltDaemon {
  private constructor(
    private readonly child: ChildProcess,
    readonly port: number,
    private readonly tree: string,
    private readonly isPair: boolean,
  ) {}

  /** @param tree where `dist/` is, or `rtpengine`. @param ports media ports that it needs. */
  static async start(
    tree: string,
    ports: number,
    more: readonly string[] = [],
  ): Promise<BuiltDaemon> {
    const port = freeUdpPort();
    const range = freeUdpRange(ports);
    const options = ['--config-file=none', '-f', '-E', '--log-level=5', '--interface=127.0.0.1'];
    options.push(`--listen-ng=127.0.0.1:${port}`, '--delete-delay=0', '--num-threads=1');
    options.push(`--port-min=${range.min}`, `--port-max=${range.max}`, ...more);
    const child =
      tree === rtpengine
        ? spawn(rtpengine, ['--table=-1', ...options], { stdio: 'ignore' })
        : spawn(process.execPath, ['dist/bin/rtprelayd.js', ...options], {
            ...{ cwd: tree, stdio: 'ignore' },
            // Earlier versions don't know the option.
            env: { ...process.env, RTPRELAY_PAIR: 'no' },
          });
    const daemon = new BuiltDaemon(child, port, tree, more.includes('--pair=yes'));
    const ng = new NgClient(port);
    try {
      await ng.ask({ command: 'ping' }, { tries: startTries, intervalMs: 50 });
      return daemon;
    } catch (cause) {
      await daemon.stop();
      throw new Error(`the daemon of ${tree} does not answer`, { cause });
    } finally {
      ng.close();
    }
  }

  /** Processor time of the thread that signals, ms; rtpengine has several, of it all count. */
  controlMs(): number {
    const own = this.child.pid ?? 0;
    // Of a pair the active process was started first.
    const pid = this.isPair ? (childrenOf(own)[0] ?? 0) : own;
    return processorMs(pid, this.tree === rtpengine ? null : pid);
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await ended;
  }
}

/** A Redis server of its own without persistence; `ADDRESS:PORT` without the database. */
export async function startRedis(): Promise<{
  readonly server: string;
  readonly pid: number;
  readonly stop: () => Promise<void>;
}> {
  const port = freeTcpPort();
  const words = ['--port', String(port), '--save', '', '--appendonly', 'no', '--bind', '127.0.0.1'];
  const child = spawn('redis-server', words, { stdio: 'ignore' });
  await pause(500);
  return {
    server: `127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    stop: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}
