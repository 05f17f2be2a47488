/**
 * Completion for bash and zsh, from the option table and the daemon's commands: one table of patterns and
 * one way to match words against them, in each shell's own language.
 */
import type { OptionSpec } from '../../src/config/option-spec.js';
import { options } from '../../src/config/options.js';
import { settingNames } from '../../src/daemon/cli/settings.js';
import { commandUsage, controlOptions } from '../../src/daemon/cli/usage.js';

/** A word that can be anything: a call-id, a number. */
const anything = '_';

/** What `list SETTING` stands for. */
const known: Readonly<Record<string, string>> = { SETTING: settingNames.join('|') };

function wordOf(token: string): string {
  const bare = token.replace(/[[\]]/g, '');
  const words = bare.split('|').flatMap((word) => (known[word] ?? word).split('|'));
  const literal = words
    .filter((word) => /^[a-z-]/.test(word))
    .map((word) => word.replace(/=.*/, '='));
  return literal.length === 0 ? anything : literal.join('|');
}

/**
 * The commands as patterns: a line for each, its words separated by spaces, alternatives by `|`, `_` for
 * anything. Words in brackets are options; the pattern goes on behind them.
 */
export function commandPatterns(): readonly string[] {
  const patterns = commandUsage
    .flatMap(([command]) => command.split(' | '))
    .filter((command) => command !== '' && !command.includes('...'))
    .map((command) => command.split(' ').map(wordOf).join(' '));
  // `get` is another word for `list`.
  const gets = patterns
    .filter((pattern) => pattern.startsWith('list '))
    .map((each) => each.replace('list', 'get'));
  return [...new Set([...patterns, ...gets])];
}

/** What can stand behind an option's `=`: words, or the kinds `FILE` and `DIRECTORY`; null: no value. */
function valueOf(option: OptionSpec): string | null {
  if (option.type === 'flag') return null;
  if (option.choices !== null) return option.choices.join(' ');
  return option.placeholder === 'FILE' || option.placeholder === 'DIRECTORY'
    ? option.placeholder
    : '';
}

const valued = options.filter((option) => (valueOf(option) ?? '') !== '');
const optionWords = options.map(({ name, type }) => `--${name}${type === 'flag' ? '' : '='}`);

const header = '# Generated from the tables of the program.\n';

/** Both programs, for /usr/share/bash-completion/completions. */
export function bashCompletion(): string {
  const cases = valued.map((option) => {
    const value = valueOf(option) ?? '';
    const words = value === 'FILE' ? '-f' : value === 'DIRECTORY' ? '-d' : `-W '${value}'`;
    return `    --${option.name}) COMPREPLY=($(compgen ${words} -- "$value")) ;;`;
  });
  return `# shellcheck shell=bash disable=SC2207,SC2309,SC1014
${header}_rtprelayd() {
  local line=\${COMP_LINE:0:COMP_POINT} word name value
  word=\${line##* }
  COMPREPLY=()
  if [[ $word != --*=* ]]; then
    COMPREPLY=($(compgen -W '--help ${optionWords.join(' ')}' -- "$word"))
    [[ \${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null
    return
  fi
  name=\${word%%=*} value=\${word#*=}
  case $name in
${cases.join('\n')}
  esac
}

_rtprelayctl() {
  local word=\${COMP_WORDS[COMP_CWORD]} at=1 line position fits
  local -a words pattern
  COMPREPLY=()
  while [[ \${COMP_WORDS[at]-} == -* && at -lt COMP_CWORD ]]; do at=$((at + 2)); done
  if [[ $word == -* && at -ge COMP_CWORD ]]; then
    COMPREPLY=($(compgen -W '-help ${controlOptions.map(([name]) => `-${name}`).join(' ')}' -- "$word"))
    return
  fi
  if [[ at -gt COMP_CWORD ]]; then
    [[ \${COMP_WORDS[COMP_CWORD - 1]} != *-config-file ]] || COMPREPLY=($(compgen -f -- "$word"))
    return
  fi
  words=("\${COMP_WORDS[@]:at:COMP_CWORD - at}")
  while read -r line; do
    read -r -a pattern <<<"$line"
    fits=yes
    for position in "\${!words[@]}"; do
      [[ \${pattern[position]-} == _ || "|\${pattern[position]-}|" == *"|\${words[position]}|"* ]] || fits=no
    done
    [[ $fits == no || \${pattern[\${#words[@]}]-_} == _ ]] ||
      COMPREPLY+=($(compgen -W "\${pattern[\${#words[@]}]//|/ }" -- "$word"))
  done <<'END'
${commandPatterns().join('\n')}
END
}

complete -F _rtprelayd rtprelayd
complete -F _rtprelayctl rtprelayctl
`;
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
const specText = (text: string): string => text.replace(/[[\]:\\]/g, '\\$&');

function zshOption(option: OptionSpec): string {
  const value = valueOf(option);
  const repeated = option.list ? '*' : '';
  if (value === null) return quoted(`--${option.name}[${specText(option.help)}]`);
  const action =
    value === 'FILE'
      ? '_files'
      : value === 'DIRECTORY'
        ? '_files -/'
        : value === ''
          ? ''
          : `(${value})`;
  return quoted(
    `${repeated}--${option.name}=[${specText(option.help)}]:${specText(option.placeholder ?? 'value')}:${action}`,
  );
}

/** Both programs, for /usr/share/zsh/vendor-completions. */
export function zshCompletion(): string {
  const controls = controlOptions.map(([name, value, meaning]) => {
    const action = name === 'config-file' ? '_files' : '';
    return quoted(`-${name}[${specText(meaning)}]:${specText(value)}:${action}`);
  });
  return `#compdef rtprelayd rtprelayctl
${header}
_rtprelayctl_commands() {
  local line position fits
  local -a pattern given
  # words[1] is the first word of the command.
  given=("\${(@)words[1,CURRENT-1]}")
  while read -r line; do
    pattern=(\${=line})
    fits=yes
    for ((position = 1; position <= \${#given}; position++)); do
      [[ \${pattern[position]-} == _ || "|\${pattern[position]-}|" == *"|\${given[position]}|"* ]] || fits=no
    done
    [[ $fits == no || \${pattern[\${#given} + 1]:-_} == _ ]] || compadd -- \${(s:|:)pattern[\${#given} + 1]}
  done <<'END'
${commandPatterns().join('\n')}
END
}

case $service in
  rtprelayctl)
    _arguments -S -A '-*' '-help[options and commands]' ${controls.join(' ')} '*::command:_rtprelayctl_commands'
    ;;
  *)
    _arguments -S '(-h --help)'{-h,--help}'[all options]' \\
      ${options.map(zshOption).join(' \\\n      ')}
    ;;
esac
`;
}
