/** Command line and file together: which value each option has (options.md §1). */
import { addValue, parseCommandLine, type CommandLine, type OptionValues } from './command-line.js';
import { ConfigError } from './errors.js';
import { parseIniFile, splitList, unescapeValue, type IniEntry } from './ini-file.js';
import type { OptionSpec, OptionValue } from './option-spec.js';
import { optionNamed } from './options.js';
import { parseValue } from './values.js';

/** Returns a file's text; throws as `fs.readFileSync` does (an error with `code`). */
export type ReadFile = (path: string) => string;

/** Where the daemon looks when `--config-file` is absent; the first one that exists is read. */
export const defaultConfigFiles: readonly string[] = [
  '/etc/rtprelay/rtprelay.conf',
  '/etc/rtpengine/rtpengine.conf',
];

/** Section of the file unless another one is named. */
export const defaultSection = 'rtpengine';

/** Typed access to the options' values, defaults included. */
export class OptionReader {
  /** Options that were given, in the order of the command line, then of the file. */
  readonly given: ReadonlyMap<string, OptionValue | readonly OptionValue[]>;

  constructor(
    values: OptionValues,
    /** File that was read, null when none was. */
    readonly file: string | null,
    readonly warnings: readonly string[],
  ) {
    this.given = values;
  }

  flag(name: string): boolean {
    return this.#single(name) === true;
  }

  /** The number, `fallback` when it was not given and the table has no default. */
  number(name: string, fallback = 0): number {
    const value = this.#single(name);
    return typeof value === 'number' ? value : fallback;
  }

  text(name: string): string | null {
    const value = this.#single(name);
    return typeof value === 'string' ? value : null;
  }

  texts(name: string): readonly string[] {
    const value = this.given.get(name);
    return Array.isArray(value) ? value.map(String) : [];
  }

  numbers(name: string): readonly number[] {
    const value = this.given.get(name);
    return Array.isArray(value) ? value.map(Number) : [];
  }

  #single(name: string): OptionValue | null {
    const value = this.given.get(name);
    if (typeof value === 'object') return null;
    return value ?? optionNamed(name)?.default ?? null;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function readNamed(path: string, readFile: ReadFile): string {
  try {
    return readFile(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ConfigError('config-file', 'config-file', `Cannot read ${path}: ${why}`, {
      cause: error,
    });
  }
}

/** The file to use; a default file that does not exist is skipped, a named one must exist. */
function findFile(
  named: string | null,
  readFile: ReadFile,
): { readonly path: string; readonly content: string } | null {
  if (named === 'none') return null;
  if (named !== null) return { path: named, content: readNamed(named, readFile) };
  for (const path of defaultConfigFiles) {
    try {
      return { path, content: readFile(path) };
    } catch (error) {
      if (!hasCode(error, 'ENOENT') && !hasCode(error, 'ENOTDIR')) readNamed(path, readFile);
    }
  }
  return null;
}

function storeEntry(values: OptionValues, option: OptionSpec, entry: IniEntry, file: string): void {
  for (const item of option.list ? splitList(entry.value) : [entry.value]) {
    const unescaped = unescapeValue(item);
    const shown = option.secret ? '…' : item;
    const where = `${file}, line ${entry.line}: value '${shown}' of ${option.name}`;
    if (unescaped === null) {
      throw new ConfigError('config-file', option.name, `${where} has a bad escape sequence`);
    }
    const parsed = parseValue(option, unescaped, 'file');
    if (!parsed.ok) throw new ConfigError('config-file', option.name, `${where} ${parsed.reason}`);
    addValue(values, option, parsed.value);
  }
}

/** Options that only make sense on the command line. */
const commandLineOnly = new Set(['version', 'codecs', 'config-file', 'config-section']);

function readSection(
  commandLine: CommandLine,
  readFile: ReadFile,
): { readonly values: OptionValues; readonly file: string | null; readonly warnings: string[] } {
  const values: OptionValues = new Map(commandLine.values);
  const warnings: string[] = [];
  const named = commandLine.values.get('config-file');
  const file = findFile(typeof named === 'string' ? named : null, readFile);
  if (file === null) return { values, file: null, warnings };

  const section = commandLine.values.get('config-section');
  const sectionName = typeof section === 'string' ? section : defaultSection;
  const entries = parseIniFile(file.content, file.path).get(sectionName);
  if (entries === undefined) {
    const message = `${file.path} has no section [${sectionName}]`;
    if (named !== undefined || section !== undefined) {
      throw new ConfigError('config-file', 'config-section', message);
    }
    warnings.push(message);
    return { values, file: file.path, warnings };
  }

  const unknown: string[] = [];
  for (const [key, entry] of entries) {
    const option = optionNamed(key);
    if (option === undefined || commandLineOnly.has(key)) unknown.push(key);
    // Parsed even when the command line has the option: a mistake in the file should show.
    else storeEntry(commandLine.values.has(key) ? new Map() : values, option, entry, file.path);
  }
  if (unknown.length > 0) {
    warnings.push(`Unknown options in ${file.path}, ignored: ${unknown.join(', ')}`);
  }
  return { values, file: file.path, warnings };
}

/** What the command line asks for: printing something, or running with these options. */
export type Request =
  | { readonly kind: 'help' | 'version' | 'codecs' }
  | { readonly kind: 'run'; readonly options: OptionReader };

/**
 * Reads command line and file; the command line wins, for lists as a whole.
 *
 * @throws ConfigError for a bad command line, an unreadable file, a bad line or value.
 */
export function readOptions(argv: readonly string[], readFile: ReadFile): Request {
  const commandLine = parseCommandLine(argv);
  if (commandLine.help) return { kind: 'help' };
  if (commandLine.values.get('version') === true) return { kind: 'version' };
  if (commandLine.values.get('codecs') === true) return { kind: 'codecs' };
  const { values, file, warnings } = readSection(commandLine, readFile);
  if (commandLine.ignoredWords.length > 0) {
    warnings.push(`Ignored words on the command line: ${commandLine.ignoredWords.join(' ')}`);
  }
  return { kind: 'run', options: new OptionReader(values, file, warnings) };
}
