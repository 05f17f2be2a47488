/** `--help`, `--version`, `--codecs` and docs/config.md, generated from the option table. */
import type { CheckReport } from './config.js';
import type { OptionSpec } from './option-spec.js';
import { optionGroups } from './options.js';

/** What `--help` names as the default; null: none. */
function defaultOf(option: OptionSpec): string | null {
  if (option.defaultText !== null) return option.defaultText;
  if (option.type === 'flag' || option.default === null || option.default === '') return null;
  return String(option.default);
}

/** `-p, --pidfile=FILE`. */
export function optionSyntax(option: OptionSpec): string {
  const short = option.short === null ? '' : `-${option.short}, `;
  const value = option.placeholder === null ? '' : `=${option.placeholder}`;
  return `${short}--${option.name}${value}`;
}

/** `0 to 255`, `from 0`; null for what is no number. */
function rangeOf({ minimum, maximum }: OptionSpec): string | null {
  if (minimum === null) return null;
  return maximum === null ? `from ${minimum}` : `${minimum} to ${maximum}`;
}

/** Range, unit, default in brackets, behind the help text. */
export function optionRemarks(option: OptionSpec): string {
  const fallback = defaultOf(option);
  const range = rangeOf(option);
  const parts = [
    ...(range === null ? [] : [range]),
    ...(option.unit === null ? [] : [option.unit]),
    ...(option.list ? ['may be repeated'] : []),
    ...(fallback === null ? [] : [`default ${fallback}`]),
    ...(option.extension ? ["rtprelay's own"] : []),
  ];
  return parts.length === 0 ? '' : ` (${parts.join('; ')})`;
}

const column = 48;

/** The text of `--help`, for stdout. */
export function helpText(): string {
  const lines = ['Usage:', '  rtprelayd [OPTION…]  - media relay for SIP proxies', ''];
  lines.push(`  ${'-h, --help'.padEnd(column)}Show this text`, '');
  for (const [title, rows] of optionGroups) {
    lines.push(`${title}:`);
    for (const option of rows) {
      const left = `  ${optionSyntax(option).padEnd(column)}`;
      const separator = left.length > column + 2 ? `\n${' '.repeat(column + 2)}` : '';
      lines.push(`${left}${separator}${option.help}${optionRemarks(option)}`);
    }
    lines.push('');
  }
  return lines.join('\n');
}

/** The text of `--version`, for stderr, as rtpengine prints it. */
export function versionText(version: string): string {
  return `Version: ${version}\n`;
}

/** Names of the codecs that 10.5 lists; all are relayed, none is transcoded. */
const codecNames =
  'PCMA PCMU G723 G722 QCELP G729 G729a speex GSM iLBC opus vorbis ac3 eac3 ATRAC3 ATRAC-X EVRC EVRC0 EVRC1 AMR AMR-WB telephone-event CN PCM-S16LE PCM-U8 MP3'.split(
    ' ',
  );

/** The text of `--codecs`, for stdout. */
export function codecsText(): string {
  return codecNames.map((name) => `${name.padStart(20)}: relayed unchanged\n`).join('');
}

/** What `--check` prints, for stdout. */
export function checkText({ file, supported, ignored, wrong }: CheckReport): string {
  const list = (title: string, lines: readonly string[]): string =>
    `${title} (${lines.length}):\n${lines.map((line) => `  ${line}\n`).join('')}`;
  return [
    `Configuration: ${file ?? 'the command line alone'}\n`,
    list('Supported', supported),
    list(
      'Ignored',
      ignored.map(({ name, reason }) => `${name}: ${reason}`),
    ),
    list('Wrong', wrong),
  ].join('');
}

function effect(option: OptionSpec): string {
  const { status } = option;
  if (status === 'honoured') return '';
  return 'noEffect' in status
    ? ` **No effect:** ${status.noEffect}.`
    : ` **Refused:** ${status.refused}.`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function tableRow(option: OptionSpec): string {
  const name = option.extension ? `\`${option.name}\` *` : `\`${option.name}\``;
  const placeholder = `\`${cell(option.placeholder ?? '')}\``;
  const range = rangeOf(option);
  const type =
    option.type === 'flag' ? 'flag' : `${placeholder}${range === null ? '' : ` ${range}`}`;
  const fallback = defaultOf(option);
  const more = option.list ? ' May be repeated.' : '';
  const columns = [
    name,
    option.short === null ? '' : `\`-${option.short}\``,
    type,
    option.unit ?? '',
    fallback === null ? '' : cell(fallback),
    option.reloads ? 'yes' : '',
    `${cell(option.help)}.${more}${effect(option)}`,
  ];
  return `| ${columns.join(' | ')} |`;
}

const introduction = `# Configuration

<!-- Generated from src/config/options.ts; UPDATE_DOCS=1 npx mocha test/unit/config/docs.test.ts rewrites it. -->

rtprelayd takes rtpengine's options and its configuration file. Values on the command line win over those
in the file.

- Command line: \`--option=value\`, \`--option value\`, \`-o value\`, \`-ovalue\`; letters of flags may be joined.
  Names may not be shortened. Whole numbers may be written as \`0x10\` there.
- File: \`--config-file=FILE\`, else \`/etc/rtprelay/rtprelay.conf\`, else \`/etc/rtpengine/rtpengine.conf\`;
  \`--config-file=none\` reads none. Section \`[rtpengine]\` unless \`--config-section\` says otherwise. Keys are
  the long names. Lines that start with \`#\` are comments. \`;\` separates the items of a list. Of a repeated
  key the last one counts. Unknown keys are ignored with a warning.
- Redis may be named in several ways: [redis.md](redis.md). Its passwords: in the address, or in the
  environment as \`RTPENGINE_REDIS_AUTH_PW\`, \`RTPENGINE_REDIS_WRITE_AUTH_PW\`,
  \`RTPENGINE_REDIS_SUBSCRIBE_AUTH_PW\` and \`RTPENGINE_REDIS_SENTINEL_AUTH_PW\`.
- Words are taken in any case (\`--redis-format=json\`), numbers within the range that the table gives; anything
  else is refused.
- Options of features that this version lacks are accepted, so that an existing configuration starts. A
  warning line for each such feature names those that were set.
- \`table\` >= 0 is \`kernel-forward=auto\`: no table of a kernel module is opened, the kernel forwards with what it
  has itself ([kernel-forwarding.md](kernel-forwarding.md)). With \`no-fallback\` the daemon refuses to start when
  it cannot.
- The exit code is 1 after any mistake in the configuration, with the reason on stderr.

- \`--check\` reads everything as for a start, prints what is supported, what is ignored (and why) and what is
  wrong, and exits with 1 when anything is. It looks at nothing but the command line and the file.
- \`interfaces-config=PREFIX\`: each section \`[PREFIX-NAME]\` of the file is an interface NAME (or what its key
  \`name\` says), behind those of \`interface\`. Keys: \`address\` (IP address, network interface or \`any\`),
  \`advertised\`, \`port-min\`, \`port-max\`, \`exclude-ports\` (\`5060;5080-5090\`); or \`alias\` alone. An address
  that stands in several sections has the same ports in all of them.
- \`templates=SECTION\`: each entry \`NAME = FLAGS\` of that section is a string of flags as in \`rtpp-flags\`. The
  templates \`default\` and the one named as the command (\`offer\`) count before what a request says itself;
  \`template=NAME\` in a request puts others in their place.

Options marked * are rtprelay's own.

## Reading the configuration again

SIGHUP (\`systemctl reload rtprelay\`, \`rtprelayctl reload\`) reads the file again, under the same command line. No
call notices it.

- What the table marks in the column Reload is taken at once. A log line for each option says so, another one
  for each changed option that needs a restart. The log's descriptor or connection is opened again.
- A file with a mistake changes nothing: the log says what is wrong and all settings stay as they are.
- \`interface\`, \`interfaces-config\`: names and addresses that were added behind those that were there are used for new calls. Taking
  one away, another order, or another default interface needs a restart.
- \`redis\`, \`redis-write\`, \`redis-subscribe\`: a connection stays when its server is still named, else the new one
  is connected to and gets all calls. Another database number, switching TLS on or off, and having Redis or
  not need a restart. Certificates are read for each new connection in any case.
- What was set over the CLI (\`set\`, \`ksadd\`, \`ksrm\`) or by SIGUSR1 and SIGUSR2 stays, unless the option itself
  has changed in the file: then the file wins. \`params revert\` goes back to the configuration as it was last read.
`;

/** The text of docs/config.md. */
export function configMarkdown(): string {
  const parts = [introduction];
  for (const [title, rows] of optionGroups) {
    parts.push(
      `\n## ${title}\n\n| Option | Short | Value | Unit | Default | Reload | Meaning |\n|---|---|---|---|---|---|---|\n`,
      rows.map((row) => `${tableRow(row)}\n`).join(''),
    );
  }
  return parts.join('');
}
