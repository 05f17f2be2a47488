/**
 * The man pages, from the tables that the programs themselves read: rtprelayd(8) and rtprelay.conf(5)
 * from the option table, rtprelayctl(1) from its options and the daemon's commands.
 */
import { optionRemarks, optionSyntax } from '../../src/config/help.js';
import type { OptionSpec } from '../../src/config/option-spec.js';
import { optionGroups } from '../../src/config/options.js';
import { commandUsage, controlOptions } from '../../src/daemon/cli/usage.js';
import { entry, example, page, paragraph, roff, section, subsection } from './roff.js';

/** Version and date (of the changes, not of the build) that the pages show. */
export interface Edition {
  readonly version: string;
  readonly date: string;
}

/** Options that only make sense on the command line; the file has no such keys. */
const commandLineOnly = new Set(['version', 'codecs', 'check', 'config-file', 'config-section']);

function effect({ status }: OptionSpec): string {
  if (status === 'honoured') return '';
  return 'noEffect' in status ? ` No effect: ${status.noEffect}.` : ` Refused: ${status.refused}.`;
}

/** Groups in which something is done, then the others. */
const isDone = (rows: readonly OptionSpec[]): boolean =>
  rows.some(({ status }) => status === 'honoured');
const done = optionGroups.filter(([, rows]) => isDone(rows));
const notDone = optionGroups.filter(([, rows]) => !isDone(rows));

function daemonOptions(): readonly string[] {
  return done.flatMap(([title, rows]) => [
    subsection(title),
    ...rows.map((option) =>
      entry(optionSyntax(option), `${option.help}${optionRemarks(option)}.${effect(option)}`),
    ),
  ]);
}

const withoutEffect = (name: (option: OptionSpec) => string): string =>
  notDone
    .map(
      ([title, rows]) => `${title.replace(' (no effect yet)', '')}: ${rows.map(name).join(', ')}`,
    )
    .join('. ');

const files = section(
  'FILES',
  entry('/etc/rtprelay/rtprelay.conf', 'Configuration, see rtprelay.conf(5).'),
  entry('/etc/rtpengine/rtpengine.conf', 'Read where the former does not exist.'),
  entry('/etc/default/rtprelay', 'Further options and passwords for the units.'),
  entry('/usr/share/doc/rtprelay', 'The other documents, and examples for pairs of relays.'),
);

/** rtprelayd(8). */
export function daemonPage({ version, date }: Edition): string {
  return page({ name: 'rtprelayd', section: 8, date }, version, [
    section('NAME', roff('rtprelayd - media relay for SIP proxies')),
    section('SYNOPSIS', '\\fBrtprelayd\\fR [\\fIOPTION\\fR]...'),
    section(
      'DESCRIPTION',
      paragraph(
        'Relays RTP and RTCP for a SIP proxy that sends it the SDP of each call over the NG protocol of RTPEngine, whose options, configuration file and layout in Redis it takes. Calls in progress outlive the process, its upgrade, and with a second node its machine.',
      ),
      paragraph(
        'Options on the command line win over those in the file. Under systemd: rtprelay.service, and rtprelay@NAME.service, which reads /etc/rtprelay/NAME.conf.',
      ),
    ),
    section('OPTIONS', entry('-h, --help', 'Show all options.'), ...daemonOptions()),
    section('ACCEPTED WITHOUT EFFECT', paragraph(`${withoutEffect(({ name }) => `--${name}`)}.`)),
    section(
      'SIGNALS',
      entry('SIGTERM, SIGINT', 'End. Calls stay in Redis, sockets in the service manager.'),
      entry('SIGHUP', 'Read the configuration again.'),
      entry('SIGUSR1', 'Log one level less; with drain-timeout: drain.'),
      entry('SIGUSR2', 'Log one level more.'),
    ),
    section(
      'EXIT STATUS',
      paragraph('0, or 1 after a mistake in the configuration or a failed start.'),
    ),
    files,
    section('SEE ALSO', roff('rtprelay.conf(5), rtprelayctl(1), rtprelay-switch(8)')),
  ]);
}

function configEntry(option: OptionSpec): string {
  const value = option.type === 'flag' ? 'true|false' : (option.placeholder ?? '');
  const reloads = option.reloads ? ' Read again on reload.' : '';
  const text = `${option.help}${optionRemarks(option)}.${reloads}${effect(option)}`;
  return entry(`${option.name} = ${value}`, text);
}

/** rtprelay.conf(5). */
export function configPage({ version, date }: Edition): string {
  const inFile = ({ name }: OptionSpec): boolean => !commandLineOnly.has(name);
  return page({ name: 'rtprelay.conf', section: 5, date }, version, [
    section('NAME', roff('rtprelay.conf - configuration of rtprelayd')),
    section('SYNOPSIS', roff('/etc/rtprelay/rtprelay.conf')),
    section(
      'DESCRIPTION',
      paragraph(
        'Lines `name = value` below `[rtpengine]`, or the section that --config-section names: the format of rtpengine.conf, which is understood as it is. Lines that begin with # are comments. The items of a list are separated by semicolons. Of a repeated key the last one counts. Unknown keys are ignored with a warning.',
      ),
      example('[rtpengine]', 'interface = 192.0.2.10', 'listen-ng = 127.0.0.1:2223'),
      paragraph('rtprelayd --check says what of a file is supported, ignored or wrong.'),
    ),
    section(
      'OPTIONS',
      ...done.flatMap(([title, rows]) => [
        subsection(title),
        ...rows.filter(inFile).map(configEntry),
      ]),
    ),
    section('ACCEPTED WITHOUT EFFECT', paragraph(`${withoutEffect(({ name }) => name)}.`)),
    files,
    section('SEE ALSO', roff('rtprelayd(8), rtprelayctl(1)')),
  ]);
}

/** rtprelayctl(1). */
export function controlPage({ version, date }: Edition): string {
  const commands = commandUsage.map(([command, meaning]) =>
    command === '' ? roff(meaning) : entry(command, meaning),
  );
  return page({ name: 'rtprelayctl', section: 1, date }, version, [
    section('NAME', roff('rtprelayctl - command line of rtprelayd')),
    section('SYNOPSIS', '\\fBrtprelayctl\\fR [\\fIOPTION\\fR]... \\fICOMMAND\\fR'),
    section(
      'DESCRIPTION',
      paragraph(
        "Sends a command to the daemon's listen-cli address and prints the answer. Without -ip and -port the address is that of the configuration file.",
      ),
    ),
    section(
      'OPTIONS',
      ...controlOptions.map(([name, value, meaning]) => entry(`-${name} ${value}`, `${meaning}.`)),
      entry('-help', 'Show options and commands.'),
    ),
    section('COMMANDS', ...commands),
    section(
      'EXIT STATUS',
      paragraph('0, or 1 when the daemon could not be asked or did not do what it was asked.'),
    ),
    section('SEE ALSO', roff('rtprelayd(8), rtprelay.conf(5)')),
  ]);
}

/** A page of a script, whose own usage text says all of it. */
export function usagePage(
  { version, date }: Edition,
  script: { readonly name: string; readonly section: number; readonly what: string },
  text: string,
): string {
  const { name, what } = script;
  return page({ name, section: script.section, date }, version, [
    section('NAME', roff(`${name} - ${what}`)),
    section('DESCRIPTION', example(...text.trim().split('\n'))),
    section('SEE ALSO', roff('rtprelayd(8), rtprelayctl(1)')),
  ]);
}

export { commandLineOnly };
