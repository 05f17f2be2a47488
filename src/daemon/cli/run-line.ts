/** One line of the operator's command line, from whichever listener it came. */
import { inSlices, joinInSlices } from '../../media/slices.js';
import { printableLines } from '../../observe/printable.js';
import { runCommand, type CliText } from './commands.js';
import type { CliTarget } from './target.js';

/** What is said about it. */
export interface LineReport {
  /** `Got CLI command: …` (INFO, subsystem control). */
  readonly onLine: (message: string) => void;
  /** A command that failed (ERR, subsystem control). */
  readonly onError: (message: string) => void;
}

/** A piece of a long text: about a tenth of a millisecond of looking through it. */
const pieceLength = 1 << 14;

/** The pieces of a text, each of whole lines. */
function* piecesOf(text: string): Generator<string> {
  for (let from = 0; from < text.length;) {
    const end = text.indexOf('\n', from + pieceLength);
    const to = end < 0 ? text.length : end + 1;
    yield text.slice(from, to);
    from = to;
  }
}

/** Short parts of a text together, each piece of whole parts. */
function* gathered(parts: readonly string[]): Generator<string> {
  let from = 0;
  let length = 0;
  for (const [at, part] of parts.entries()) {
    length += part.length;
    if (length < pieceLength && at < parts.length - 1) continue;
    yield parts.slice(from, at + 1).join('');
    [from, length] = [at + 1, 0];
  }
}

/** Bytes of `printableLines`; others are served between slices of it: a list of 20,000 calls has 4 MB. */
async function shown(text: CliText): Promise<Buffer> {
  const parts: Buffer[] = [];
  await inSlices(typeof text === 'string' ? piecesOf(text) : gathered(text), (piece) =>
    parts.push(Buffer.from(printableLines(piece), 'latin1')),
  );
  return joinInSlices(parts);
}

/** Runs a line and returns its text, a byte for each character; a defect of ours is reported and answered, never thrown. */
export async function runLine(
  target: CliTarget,
  line: string,
  report: LineReport,
): Promise<Buffer> {
  report.onLine(`Got CLI command: ${line}`);
  try {
    return await shown(await runCommand(target, line));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    report.onError(`CLI command '${line}' failed: ${why}`);
    return Buffer.from(`Error: ${why}\n`, 'latin1');
  }
}
