/** What one row of the option table says, and short forms to write the rows with. */

/** `int` takes decimal, 0x and 0 prefixed numbers on the command line, decimal ones in the file. */
export type OptionType = 'flag' | 'int' | 'float' | 'string';

export type OptionValue = boolean | number | string;

/** 1 every deployment, 2 WebRTC and crypto, 3 media, 4 rare. */
export type OptionTier = 1 | 2 | 3 | 4;

/**
 * What this version does with the option: honours it; takes it without effect (a drop-in
 * replacement has to start with existing files); or refuses it, because ignoring it would mislead.
 */
export type OptionStatus =
  'honoured' | { readonly noEffect: string } | { readonly refused: string };

/** One row of the option table. */
export interface OptionSpec {
  /** Long name without dashes; also the key in the file. */
  readonly name: string;
  /** Letter of the short form, or null. */
  readonly short: string | null;
  readonly type: OptionType;
  /** What `--help` shows behind `=`; null for flags. */
  readonly placeholder: string | null;
  /** May be given several times; one line separated by `;` in the file. */
  readonly list: boolean;
  /** Unit of the value, e.g. `s`; null without. */
  readonly unit: string | null;
  /** Value when the option is absent; null: none, or computed (`defaultText` says how). */
  readonly default: OptionValue | null;
  readonly defaultText: string | null;
  /** Accepted words, in any case; null: anything of the type. */
  readonly choices: readonly string[] | null;
  /** Every number has one. */
  readonly minimum: number | null;
  /** null: what an int of C holds, or 64 bits for bytes/s. */
  readonly maximum: number | null;
  /** What rtpengine says of a value out of range; null: nothing. */
  readonly rangeError: string | null;
  readonly tier: OptionTier;
  readonly status: OptionStatus;
  /** A running daemon takes a new value when the configuration is read again (SIGHUP). */
  readonly reloads: boolean;
  /** rtprelay's own option, unknown to rtpengine. */
  readonly extension: boolean;
  /** Printing its value would reveal a secret. */
  readonly secret: boolean;
  readonly help: string;
}

type Overrides = Partial<Omit<OptionSpec, 'name' | 'type' | 'help'>>;

function spec(type: OptionType, name: string, help: string, overrides: Overrides): OptionSpec {
  return {
    name,
    short: null,
    type,
    placeholder: type === 'flag' ? null : type === 'string' ? 'STRING' : type.toUpperCase(),
    list: false,
    unit: null,
    default: type === 'flag' ? false : null,
    defaultText: null,
    choices: null,
    minimum: null,
    maximum: null,
    rangeError: null,
    tier: 1,
    status: 'honoured',
    reloads: false,
    extension: false,
    secret: false,
    help,
    ...overrides,
  };
}

/** A switch; present means true. */
export function flag(name: string, help: string, overrides: Overrides = {}): OptionSpec {
  return spec('flag', name, help, overrides);
}

/** A whole number. */
export function int(
  name: string,
  fallback: number | null,
  help: string,
  overrides: Overrides = {},
): OptionSpec {
  return spec('int', name, help, { default: fallback, ...overrides });
}

/** A number that may have a fraction. */
export function float(
  name: string,
  fallback: number,
  help: string,
  overrides: Overrides = {},
): OptionSpec {
  return spec('float', name, help, { default: fallback, ...overrides });
}

/** A text. */
export function text(
  name: string,
  fallback: string | null,
  help: string,
  overrides: Overrides = {},
): OptionSpec {
  return spec('string', name, help, { default: fallback, ...overrides });
}

/** A text of these words; `placeholder` shows them. */
export function words(
  name: string,
  fallback: string | null,
  help: string,
  choices: readonly string[],
  overrides: Overrides = {},
): OptionSpec {
  return text(name, fallback, help, { placeholder: choices.join('|'), choices, ...overrides });
}

/** The same rows, of which a running daemon takes new values. */
export function reloaded(rows: readonly OptionSpec[]): readonly OptionSpec[] {
  return rows.map((row) => ({ ...row, reloads: true }));
}

/** The same override for a group of rows of which this version has nothing yet. */
export function later(
  tier: OptionTier,
  feature: string,
  rows: readonly OptionSpec[],
): readonly OptionSpec[] {
  const status = { noEffect: `${feature} not available in this version` };
  return rows.map((row) => ({
    ...row,
    tier,
    status: row.status === 'honoured' ? status : row.status,
  }));
}
