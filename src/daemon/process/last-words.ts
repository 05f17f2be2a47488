/** What the process says of its own end, without waiting for a reader that is gone. */
import { nativeProcess } from '../../native/process.js';
import type { Log } from '../../observe/log.js';

const lookMs = 10;

/** Writes to stderr before there is a log. */
export function complain(text: string): void {
  try {
    const functions = nativeProcess();
    functions.writeOutput(functions.openOutput(2), Buffer.from(text, 'utf8'));
  } catch {
    // Without the addon there is only Node's way.
    process.stderr.write(text);
  }
}

/** Gives a slow reader of the log some time, `patienceMs` at most. */
export async function settle(log: Log, patienceMs: number): Promise<void> {
  for (const end = performance.now() + patienceMs; performance.now() < end && !log.empty;) {
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}

/**
 * What Node would print on stderr, and wait for its reader, goes to the log: its own warnings, and an
 * error that nobody caught, which ends the process.
 */
export function logNodeMessages(log: Log): void {
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) => log.warning('core', `${name}: ${message}`));
  process.on('uncaughtException', (error: unknown) => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    for (const line of `Fatal error: ${text}`.split('\n')) log.critical('core', line);
    process.exit(1);
  });
}
