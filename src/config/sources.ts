/** Command line and file together: which value each option has (options.md §1). */
import { addValue, parseCommandLine, type CommandLine, type OptionValues } from './command-line.js';
import { ConfigError } from './errors.js';
import { parseIniFile, splitList, unescapeValue, type IniEntry, type IniFile } from './ini-file.js';
import type { InterfaceSection } from './interfaces.js';
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

/** Templates of flags by name (ng-protocol.md §5.3). */
export type Templates = ReadonlyMap<string, string>;

/** Sections of the file that options name. */
export interface NamedSections {
  /** What `interfaces-config` names, in the order of the file. */
  readonly interfaces: readonly InterfaceSection[];
  /** What `templates` names. */
  readonly templates: Templates;
}

const noSections: NamedSections = { interfaces: [], templates: new Map() };

/** Typed access to the options' values, defaults included. */
export class OptionReader {
  /** Options that were given, in the order of the command line, then of the file. */
  readonly given: ReadonlyMap<string, OptionValue | readonly OptionValue[]>;

  constructor(
    values: OptionValues,
    /** File that was read, null when none was. */
    readonly file: string | null,
    readonly warnings: readonly string[],
    readonly sections: NamedSections = noSections,
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

/** What becomes of a wrong value: thrown, unless all of them are wanted. */
export type OnWrong = (error: ConfigError) => void;

function raise(error: ConfigError): never {
  throw error;
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
const commandLineOnly = new Set(['version', 'codecs', 'check', 'config-file', 'config-section']);

/** `run`, whose ConfigError goes to `onWrong`. */
export function attempt<T>(run: () => T, onWrong: OnWrong): T | null {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    onWrong(error);
    return null;
  }
}

interface Sources {
  readonly values: OptionValues;
  readonly file: string | null;
  readonly warnings: string[];
  /** Keys of the file that are no options. */
  readonly unknown: readonly string[];
  readonly named: NamedSections;
}

/** The sections `[PREFIX-NAME]`. @throws ConfigError when there is none, or for a bad escape. */
function interfaceSectionsOf(
  prefix: string,
  sections: IniFile,
  file: string,
): readonly InterfaceSection[] {
  if (prefix === '') return [];
  const found: InterfaceSection[] = [];
  for (const [title, entries] of sections) {
    if (!title.startsWith(`${prefix}-`)) continue;
    const values: Record<string, string> = {};
    let line = 0;
    for (const [key, entry] of entries) {
      const text = unescapeValue(entry.value);
      const where = `${file}, line ${entry.line}`;
      if (text === null) {
        throw new ConfigError('config-file', key, `${where}: ${key} has a bad escape sequence`);
      }
      if (line === 0) line = entry.line;
      values[key] = text;
    }
    const where = line === 0 ? file : `${file}, line ${line}`;
    found.push({ name: title.slice(prefix.length + 1), where, values });
  }
  if (found.length === 0) {
    const message = `${file} has no section [${prefix}-…] (interfaces-config)`;
    throw new ConfigError('config-file', 'interfaces-config', message);
  }
  return found;
}

/** The entries of the section. @throws ConfigError when there is none, or for a bad escape. */
function templatesOf(name: string, sections: IniFile, file: string): Templates {
  if (name === '') return noSections.templates;
  const entries = sections.get(name);
  if (entries === undefined) {
    const message = `${file} has no section [${name}] (templates)`;
    throw new ConfigError('config-file', 'templates', message);
  }
  const templates = new Map<string, string>();
  for (const [key, entry] of entries) {
    const text = unescapeValue(entry.value);
    if (text === null) {
      const message = `${file}, line ${entry.line}: template ${key} has a bad escape sequence`;
      throw new ConfigError('config-file', 'templates', message);
    }
    templates.set(key, text);
  }
  return templates;
}

function readSection(commandLine: CommandLine, readFile: ReadFile, onWrong: OnWrong): Sources {
  const values: OptionValues = new Map(commandLine.values);
  const warnings: string[] = [];
  const textNow = (option: string): string => {
    const value = values.get(option);
    return typeof value === 'string' ? value : '';
  };
  const named = commandLine.values.get('config-file');
  const file = findFile(typeof named === 'string' ? named : null, readFile);
  if (file === null) {
    for (const option of ['interfaces-config', 'templates']) {
      if (textNow(option) === '') continue;
      const message = `Option --${option} needs a configuration file`;
      throw new ConfigError('config-file', option, message);
    }
    return { values, file: null, warnings, unknown: [], named: noSections };
  }

  const section = commandLine.values.get('config-section');
  const sectionName = typeof section === 'string' ? section : defaultSection;
  const sections = parseIniFile(file.content, file.path);
  const entries = sections.get(sectionName);
  const namedNow = (): NamedSections => ({
    interfaces:
      attempt(
        () => interfaceSectionsOf(textNow('interfaces-config'), sections, file.path),
        onWrong,
      ) ?? [],
    templates:
      attempt(() => templatesOf(textNow('templates'), sections, file.path), onWrong) ??
      noSections.templates,
  });
  if (entries === undefined) {
    const message = `${file.path} has no section [${sectionName}]`;
    if (named !== undefined || section !== undefined) {
      throw new ConfigError('config-file', 'config-section', message);
    }
    warnings.push(message);
    return { values, file: file.path, warnings, unknown: [], named: namedNow() };
  }

  const unknown: string[] = [];
  for (const [key, entry] of entries) {
    const option = optionNamed(key);
    if (option === undefined || commandLineOnly.has(key)) unknown.push(key);
    // Parsed even when the command line has the option: a mistake in the file should show.
    else {
      const into: OptionValues = commandLine.values.has(key) ? new Map() : values;
      attempt(() => storeEntry(into, option, entry, file.path), onWrong);
    }
  }
  if (unknown.length > 0) {
    warnings.push(`Unknown options in ${file.path}, ignored: ${unknown.join(', ')}`);
  }
  return { values, file: file.path, warnings, unknown, named: namedNow() };
}

/** What the command line asks for: printing something, or running with these options. */
export type Request =
  | { readonly kind: 'help' | 'version' | 'codecs' }
  | {
      readonly kind: 'run' | 'check';
      readonly options: OptionReader;
      /** Keys of the file that are no options. */
      readonly unknown: readonly string[];
    };

/**
 * Reads command line and file; the command line wins, for lists as a whole.
 *
 * @throws ConfigError for a bad command line, an unreadable file, a bad line or value.
 */
export function readOptions(
  argv: readonly string[],
  readFile: ReadFile,
  onWrong: OnWrong = raise,
): Request {
  const commandLine = parseCommandLine(argv);
  if (commandLine.help) return { kind: 'help' };
  if (commandLine.values.get('version') === true) return { kind: 'version' };
  if (commandLine.values.get('codecs') === true) return { kind: 'codecs' };
  const sources = readSection(commandLine, readFile, onWrong);
  const { values, file, warnings, unknown, named } = sources;
  if (commandLine.ignoredWords.length > 0) {
    warnings.push(`Ignored words on the command line: ${commandLine.ignoredWords.join(' ')}`);
  }
  const kind = commandLine.values.get('check') === true ? 'check' : 'run';
  return { kind, options: new OptionReader(values, file, warnings, named), unknown };
}
