/** One line of the operator's command line, from whichever listener it came. */
import { inSlices } from '../../media/slices.js';
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

/** A piece of a long text: about half a millisecond of looking through it. */
const pieceLength = 1 << 16;

/** The pieces of a text, each of whole lines. */
function* pieces(text: string): Generator<string> {
  for (let from = 0; from < text.length;) {
    const end = text.indexOf('\n', from + pieceLength);
    const to = end < 0 ? text.length : end + 1;
    yield text.slice(from, to);
    from = to;
  }
}

/** `printableLines`; others are served between slices of it: a list of 20,000 calls has 4 MB. */
async function shown(text: string): Promise<string> {
  const parts: string[] = [];
  await inSlices(pieces(text), (piece) => parts.push(printableLines(piece)));
  return parts.join('');
}

/** Runs a line and returns its text; a defect of ours is reported and answered, never thrown. */
export async function runLine(
  target: CliTarget,
  line: string,
  report: LineReport,
): Promise<string> {
  report.onLine(`Got CLI command: ${line}`);
  try {
    return await shown(await runCommand(target, line));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    report.onError(`CLI command '${line}' failed: ${why}`);
    return `Error: ${why}\n`;
  }
}
