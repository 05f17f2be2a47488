/** What differs between two readings of the configuration. */
import type { Config } from './config.js';
import type { InterfaceSection } from './interfaces.js';
import type { OptionSpec, OptionValue } from './option-spec.js';
import { options } from './options.js';

type Given = OptionValue | readonly OptionValue[];

/** An option with another value than before. */
export interface OptionChange {
  readonly option: OptionSpec;
  /** For log lines: secrets hidden, '' for none. */
  readonly before: string;
  readonly after: string;
}

function shown(option: OptionSpec, value: Given | null): string {
  if (value === null) return '';
  if (option.secret) return '(hidden)';
  return typeof value === 'object' ? value.join(';') : String(value);
}

/** Without the line numbers, which move with whatever else is in the file. */
function sectionText({ name, values }: InterfaceSection): string {
  const entries = Object.entries(values).map(([key, value]) => `${key}=${value}`);
  return `[${name}] ${entries.join(' ')}`;
}

/** The options whose value differs, in the order of the table. */
export function changedOptions(before: Config, after: Config): readonly OptionChange[] {
  return options.flatMap((option): readonly OptionChange[] => {
    const valueIn = (config: Config): Given | null => {
      const given = config.given.get(option.name) ?? option.default;
      if (given === null) return given;
      if (option.name === 'templates') {
        const { templates } = config.control;
        return [String(given), ...[...templates].map(([name, flags]) => `${name}=${flags}`)];
      }
      if (option.name !== 'interfaces-config') return given;
      return [String(given), ...config.interfaceSections.map(sectionText)];
    };
    const [old, now] = [valueIn(before), valueIn(after)];
    if (JSON.stringify(old) === JSON.stringify(now)) return [];
    return [{ option, before: shown(option, old), after: shown(option, now) }];
  });
}
