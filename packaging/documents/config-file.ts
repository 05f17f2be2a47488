/** /etc/rtprelay/rtprelay.conf as it is installed: what every start needs, and all that is done, commented. */
import { optionRemarks } from '../../src/config/help.js';
import type { OptionSpec } from '../../src/config/option-spec.js';
import { optionGroups } from '../../src/config/options.js';
import { commandLineOnly } from './man-pages.js';

/** Set from the first start on; the unit says the others. */
const set: Readonly<Record<string, string>> = {
  interface: 'any',
  'listen-ng': '127.0.0.1:2223',
  'listen-cli': '127.0.0.1:9900',
};

/** The unit's own: it runs the daemon in the foreground and keeps its sockets. */
const ofTheUnit = new Set(['foreground', 'pidfile', 'socket-store']);

const head = `# rtprelayd's configuration. rtprelay.conf(5) says what the options mean; \`rtprelayd --check\` looks this file
# over. It is rtpengine's format and names: an existing rtpengine.conf may take its place
# (rtprelay-switch import). A line that begins with # has the default, or an example in <>.
#
# Take care: media addresses have to be reachable for phones. A machine with several addresses says
# which of them to use; one behind NAT names its outer address, too: interface = 10.0.0.5!192.0.2.5

[rtpengine]
`;

/** \`text\` in lines of comment. */
function comment(text: string): string {
  const lines: string[] = [];
  let line = '#';
  for (const word of text.split(' ')) {
    if (line.length + word.length > 100) {
      lines.push(line);
      line = '#';
    }
    line += ` ${word}`;
  }
  return [...lines, line].join('\n');
}

function row(option: OptionSpec): string {
  const text = comment(`${option.help}${optionRemarks(option)}`);
  const value = set[option.name];
  if (value !== undefined) return `${text}\n${option.name} = ${value}\n`;
  const fallback = option.type === 'flag' ? 'false' : option.default;
  const shown = fallback === null || fallback === '' ? `<${option.placeholder ?? ''}>` : fallback;
  return `${text}\n#${option.name} = ${String(shown)}\n`;
}

export function configFile(): string {
  const parts = [head];
  for (const [title, rows] of optionGroups) {
    const shown = rows.filter(
      ({ name, status }) =>
        status === 'honoured' && !commandLineOnly.has(name) && !ofTheUnit.has(name),
    );
    if (shown.length === 0) continue;
    parts.push(`\n# ---- ${title} ----\n`, ...shown.map((option) => `\n${row(option)}`));
  }
  return parts.join('');
}
