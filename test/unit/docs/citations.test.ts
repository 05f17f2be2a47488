/** Each page and section of docs/reference that the code cites exists. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { expect } from 'chai';

const root = new URL('../../../', import.meta.url);
const pageOf = (name: string): URL => new URL(`docs/reference/${name}`, root);

interface Citation {
  readonly file: string;
  readonly page: string;
  readonly section: string;
}

/** Of the form: page, an optional comma, a paragraph sign or the word "section", its number. */
function citations(): readonly Citation[] {
  const files = execFileSync('git', ['ls-files', 'bin', 'src', 'native', 'test'], {
    cwd: root,
    encoding: 'utf8',
  });
  return files
    .split('\n')
    .filter((file) => /\.(ts|cc|h|c)$/.test(file) && existsSync(new URL(file, root)))
    .flatMap((file) => {
      const text = readFileSync(new URL(file, root), 'latin1').replace(/\n\s*(\*|\/\/\/?) ?/g, ' ');
      return [...text.matchAll(/([a-z][a-z0-9-]*\.md),? (?:§|Â§|section )([0-9.]*[0-9])/g)].map(
        ([, page, section]) => ({ file, page: page ?? '', section: section ?? '' }),
      );
    });
}

function hasSection(page: string, section: string): boolean {
  const number = section.replaceAll('.', '\\.');
  return new RegExp(`^#+ ${number}[. ]`, 'm').test(readFileSync(pageOf(page), 'utf8'));
}

describe('citations of the reference pages', () => {
  const found = citations();

  it('are found at all', () => {
    expect(found.length).to.be.greaterThan(40);
  });

  it('name a page and a section of it that exist', () => {
    const wrong = found.filter(
      ({ page, section }) => !existsSync(pageOf(page)) || !hasSection(page, section),
    );
    expect(wrong).to.deep.equal([]);
  });
});
