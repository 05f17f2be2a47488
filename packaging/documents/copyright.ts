/** debian/copyright: ours, and that of the npm packages which are in the bundle, as their own files say. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Locked {
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly version?: string;
  readonly license?: string;
}

function isLock(value: unknown): value is { readonly packages: Readonly<Record<string, Locked>> } {
  return typeof value === 'object' && value !== null && 'packages' in value;
}

/** A text as a field's continuation lines. */
function field(text: string): string {
  return text
    .trim()
    .split('\n')
    .map((line) => (line.trim() === '' ? ' .' : ` ${line.trimEnd()}`))
    .join('\n');
}

function licenceOf(folder: string): string | null {
  if (!existsSync(folder)) return null;
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  return file === undefined ? null : readFileSync(join(folder, file), 'utf8');
}

/** @param root the checkout, whose node_modules has the packages @param hasRuntime a Node of its own is in the package */
export function copyrightFile(root: string, hasRuntime: boolean): string {
  const lock: unknown = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  if (!isLock(lock)) throw new Error('package-lock.json has no packages');
  const parts = [
    'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: rtprelay',
    "Files: *\nCopyright: rtprelay's authors\nLicense: not-free\n All rights reserved; use as agreed with the authors.",
  ];
  /** Short name of each text: most packages have the same one but for its owner. */
  const texts = new Map<string, string>();
  for (const [path, entry] of Object.entries(lock.packages)) {
    const { dev, devOptional, version = '', license = 'unknown' } = entry;
    if (path === '' || dev === true || devOptional === true || path.includes('/@types/')) continue;
    const name = path.replace(/^.*node_modules\//, '');
    const text = licenceOf(join(root, path)) ?? '';
    const owner = /copyright.*$/im.exec(text)?.[0] ?? `the authors of ${name}`;
    const body =
      license === 'Apache-2.0'
        ? 'On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.'
        : text.replace(/^.*copyright (\(c\)|©).*$/gim, '').replace(/\s*\n\s*/g, '\n');
    const known = texts.get(body);
    const short = known ?? `${license}~${name}`;
    texts.set(body, short);
    parts.push(
      `Files: usr/lib/rtprelay/dist/* usr/lib/rtprelay/node_modules/*\nCopyright: ${owner.trim()}\nLicense: ${short}\nComment: npm package ${name} ${version}`,
    );
    if (known === undefined) parts.push(`License: ${short}\n${field(body)}`);
  }
  if (hasRuntime) {
    parts.push(
      'Files: usr/lib/rtprelay/bin/node\nCopyright: Node.js contributors, and those that its licence names\nLicense: Node\n In node-LICENSE.gz beside this file.',
    );
  }
  return `${parts.join('\n\n')}\n`;
}
