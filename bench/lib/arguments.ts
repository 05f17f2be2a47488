/** `--name=value` arguments of the bench drivers. */

/** The value of each given option; throws on one that is not in `defaults`. */
export function readArguments<T extends Readonly<Record<string, string>>>(
  words: readonly string[],
  defaults: T,
): Readonly<Record<keyof T, string>> {
  const values: Record<string, string> = { ...defaults };
  for (const word of words) {
    const match = /^--([a-z-]+)=(.+)$/.exec(word);
    const [, name = '', value = ''] = match ?? [];
    if (match === null || !(name in defaults)) {
      const known = Object.entries(defaults).map(([key, preset]) => `--${key}=${preset}`);
      throw new Error(`unknown argument '${word}'; known: ${known.join(' ')}`);
    }
    values[name] = value;
  }
  return values as Record<keyof T, string>;
}

/** A positive number, or an error that names the option. */
export function positive(name: string, text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new Error(`--${name}=${text} is not a positive number`);
  return number;
}
