/** Text for man(7). */

/** Text as it stands: no requests at the start of a line, no escapes, dashes that can be searched and copied. */
export function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('…', '...')
    .replaceAll('µ', 'u')
    .replace(/`([^`]*)`/g, '\\fB$1\\fR')
    .replace(/^([.'])/gm, '\\&$1');
}

/** A page: its title line and its parts. */
export function page(
  title: { readonly name: string; readonly section: number; readonly date: string },
  version: string,
  parts: readonly string[],
): string {
  const { name, section, date } = title;
  const head = `.TH ${name.toUpperCase()} ${section} "${date}" "rtprelay ${version}" "rtprelay"`;
  return [head, '.nh', '.ad l', ...parts, ''].join('\n');
}

export function section(title: string, ...parts: readonly string[]): string {
  return [`.SH ${title}`, ...parts].join('\n');
}

export function subsection(title: string, ...parts: readonly string[]): string {
  return [`.SS ${roff(title)}`, ...parts].join('\n');
}

/** A term in bold and what it means. */
export function entry(term: string, meaning: string): string {
  return `.TP\n\\fB${roff(term)}\\fR\n${roff(meaning)}`;
}

export function paragraph(text: string): string {
  return `.PP\n${roff(text)}`;
}

/** Lines that stay as they are. */
export function example(...lines: readonly string[]): string {
  return ['.PP', '.RS 4', '.nf', ...lines.map(roff), '.fi', '.RE'].join('\n');
}
