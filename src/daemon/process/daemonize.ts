/**
 * Going to the background without fork(2), which node lacks: the process starts itself once more,
 * detached, and stays until the new one says that it is ready or ends.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

const marker = 'RTPRELAY_BACKGROUND';
const readyMessage = 'ready';

/** How to start this program again. */
export interface ProgramStart {
  readonly executable: string;
  /** Options of node, then the script, then the program's own arguments. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Was this process started by `startInBackground`? */
export function isBackgroundProcess(env: Readonly<Record<string, string | undefined>>): boolean {
  return env[marker] !== undefined;
}

/**
 * Starts the background process; what it prints on stderr until it is ready appears on ours.
 *
 * @returns the exit code for the caller: 0 once the process is ready, its own code if it ended before,
 *   1 if it was killed by a signal.
 * @throws Error when it cannot be started at all.
 */
export function startInBackground(program: ProgramStart): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program.executable, program.args, {
      detached: true,
      env: { ...program.env, [marker]: '1' },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    // Interrupting the waiting program means: do not start.
    const interrupt = (): void => {
      child.kill('SIGTERM');
    };
    process.once('SIGINT', interrupt);
    process.once('SIGTERM', interrupt);
    const finish = (code: number): void => {
      process.off('SIGINT', interrupt);
      process.off('SIGTERM', interrupt);
      resolve(code);
    };
    child.once('error', reject);
    child.on('message', (message) => {
      if (message !== readyMessage) return;
      child.disconnect();
      child.unref();
      finish(0);
    });
    child.once('exit', (code) => {
      finish(code ?? 1);
    });
  });
}

/**
 * To be called by the background process once it serves: lets the starting process go and parts with
 * its terminal. Without effect in a process that was started otherwise.
 *
 * @param keepStderr true when stderr is wanted as the log (`--log-stderr`).
 */
export function reportReady(keepStderr: boolean): void {
  const { send } = process;
  if (send === undefined || !isBackgroundProcess(process.env)) return;
  delete process.env[marker];
  if (!keepStderr) {
    // The lowest free number is reused, so /dev/null takes the place of stderr.
    closeSync(2);
    openSync('/dev/null', 'w');
  }
  send.call(process, readyMessage, () => {
    // A starting process that is gone already needs no answer, hence no error either.
    if (process.connected) process.disconnect();
  });
}
