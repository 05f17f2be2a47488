/** GNU style command line, by the option table (options.md §1). */
import { ConfigError } from './errors.js';
import type { OptionSpec, OptionValue } from './option-spec.js';
import { optionNamed, optionWithLetter } from './options.js';
import { parseValue } from './values.js';

/** Values by long option name; lists hold every value, the others the last one given. */
export type OptionValues = Map<string, OptionValue | readonly OptionValue[]>;

/** What stood on the command line. */
export interface CommandLine {
  readonly values: OptionValues;
  readonly help: boolean;
  /** Words that are no options; rtpengine ignores them silently, we name them in a warning. */
  readonly ignoredWords: readonly string[];
}

function fail(option: string | null, message: string): never {
  throw new ConfigError('command-line', option, `Bad command line: ${message}`);
}

/** Adds a value: to the list of a list option, in place of an earlier one otherwise. */
export function addValue(values: OptionValues, option: OptionSpec, value: OptionValue): void {
  if (!option.list) {
    values.set(option.name, value);
    return;
  }
  const earlier = values.get(option.name);
  values.set(option.name, Array.isArray(earlier) ? [...earlier, value] : [value]);
}

class Reader {
  readonly values: OptionValues = new Map();
  readonly words: string[] = [];
  help = false;
  #position = 0;

  constructor(private readonly argv: readonly string[]) {}

  run(): void {
    for (;;) {
      const argument = this.#next();
      if (argument === undefined) return;
      if (argument === '--') {
        this.words.push(...this.argv.slice(this.#position));
        return;
      }
      if (argument.startsWith('--')) this.#long(argument);
      else if (argument.startsWith('-') && argument !== '-') this.#letters(argument);
      else this.words.push(argument);
    }
  }

  #next(): string | undefined {
    return this.argv[this.#position++];
  }

  #long(argument: string): void {
    const equals = argument.indexOf('=');
    const name = equals < 0 ? argument.slice(2) : argument.slice(2, equals);
    const attached = equals < 0 ? undefined : argument.slice(equals + 1);
    if (name === 'help' || name === 'help-all') {
      this.help = true;
      return;
    }
    const option = optionNamed(name);
    if (option === undefined) fail(null, `Unknown option --${name}`);
    if (option.type === 'flag') this.#store(option, `--${name}`, attached ?? 'true');
    else this.#store(option, `--${name}`, attached ?? this.#argumentOf(option, `--${name}`));
  }

  #letters(argument: string): void {
    for (let index = 1; index < argument.length; index++) {
      const letter = argument.charAt(index);
      if (letter === 'h' || letter === '?') {
        this.help = true;
        continue;
      }
      const option = optionWithLetter(letter);
      if (option === undefined) fail(null, `Unknown option -${letter}`);
      if (option.type === 'flag') {
        this.#store(option, `-${letter}`, 'true');
        continue;
      }
      const attached = argument.slice(index + 1).replace(/^=/, '');
      const value = attached === '' ? this.#argumentOf(option, `-${letter}`) : attached;
      this.#store(option, `-${letter}`, value);
      return;
    }
  }

  /** The next word, whatever it starts with: `--table -1`. */
  #argumentOf(option: OptionSpec, shown: string): string {
    const value = this.#next();
    if (value === undefined) fail(option.name, `Missing argument for ${shown}`);
    return value;
  }

  #store(option: OptionSpec, shown: string, text: string): void {
    const parsed = parseValue(option, text, 'command-line');
    if (parsed.ok) addValue(this.values, option, parsed.value);
    else fail(option.name, `Value '${option.secret ? '…' : text}' of ${shown} ${parsed.reason}`);
  }
}

/**
 * Reads the command line (without the program's name).
 *
 * `--opt=value`, `--opt value`, `-o value`, `-ovalue`, letters of flags may be joined (`-fE`), a value
 * may start with `-`; names may not be shortened (as in rtpengine). `--` ends the options.
 *
 * @throws ConfigError `Bad command line: …`
 */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const reader = new Reader(argv);
  reader.run();
  return { values: reader.values, help: reader.help, ignoredWords: reader.words };
}
