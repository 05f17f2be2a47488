/** One line of the operator's command line, from whichever listener it came. */
import { printableLines } from '../../observe/printable.js';
import { runCommand } from './commands.js';
import type { CliTarget } from './target.js';

/** What is said about it. */
export interface LineReport {
  /** `Got CLI command: …` (INFO, subsystem control). */
  readonly onLine: (message: string) => void;
  /** A command that failed (ERR, subsystem control). */
  readonly onError: (message: string) => void;
}

/** Runs a line and returns its text; a defect of ours is reported and answered, never thrown. */
export async function runLine(
  target: CliTarget,
  line: string,
  report: LineReport,
): Promise<string> {
  report.onLine(`Got CLI command: ${line}`);
  try {
    return printableLines(await runCommand(target, line));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    report.onError(`CLI command '${line}' failed: ${why}`);
    return `Error: ${why}\n`;
  }
}
