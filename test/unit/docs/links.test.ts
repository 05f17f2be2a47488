/** Links between the documents lead somewhere: to files that are there, and to headings in them. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { expect } from 'chai';

const root = new URL('../../../', import.meta.url);
const pages = execFileSync('git', ['ls-files', '*.md'], { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter((page) => page !== '' && existsSync(new URL(page, root)));

/** Without code, in which brackets are something else. */
const proseOf = (page: URL): string =>
  readFileSync(page, 'utf8')
    .replace(/^```[\s\S]*?^```/gm, '')
    .replace(/`[^`\n]*`/g, '');

const linksOf = (page: string): readonly string[] =>
  [...proseOf(new URL(page, root)).matchAll(/\]\(([^)\s]+)\)|<img src="([^"]+)"/g)]
    .map(([, link, image]) => link ?? image ?? '')
    .filter((link) => !/^[a-z]+:/.test(link));

/** As GitHub names the headings of a page. */
const anchorsOf = (page: URL): readonly string[] =>
  [...readFileSync(page, 'utf8').matchAll(/^#+ +(.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  );

describe('the links of the documents', () => {
  it('are found at all', () => {
    expect(pages).to.include('README.md');
    expect(linksOf('README.md')).to.include('docs/packages.md');
    expect(linksOf('docs/packages.md')).to.include('ha.md#the-process-pair');
  });

  it('lead to files, and to headings of theirs', () => {
    const dead = pages.flatMap((page) =>
      linksOf(page)
        .filter((link) => {
          const target = new URL(link, new URL(page, root));
          const anchor = decodeURIComponent(target.hash.slice(1));
          target.hash = '';
          if (!existsSync(target)) return true;
          return anchor !== '' && !anchorsOf(target).includes(anchor);
        })
        .map((link) => `${page}: ${link}`),
    );
    expect(dead).to.deep.equal([]);
  });
});
