/** Documents whose commands are run by tests: none of them is left out. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { Commands, Followed } from '../../support/document.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const scenarios = readdirSync(`${root}test/scenario`)
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => readFileSync(`${root}test/scenario/${name}`, 'utf8'))
  .filter((text) => text.includes('support/document.js'))
  .join('\n');

describe('docs/ha.md', () => {
  const document = new Followed('ha.md');

  it('says of every command and file which machine it is for', () => {
    const text = readFileSync(`${root}docs/ha.md`, 'utf8');
    const fences = text.match(/^```\w*.*$/gm)?.filter((line) => line !== '```') ?? [];
    const found = document.sections.flatMap(({ blocks }) => blocks);
    expect(found).to.have.length(fences.length).and.not.empty;
  });

  for (const { title, blocks } of document.sections) {
    if (!blocks.some(Followed.isFollowable)) continue;
    it(`is followed by a test: ${title}`, () => {
      const beginnings = [...scenarios.matchAll(/\bfollow\(\s*(['"])(.*?)\1/g)].map(
        ([, , name]) => name,
      );
      expect(beginnings.some((name) => name !== undefined && title.startsWith(name))).to.equal(
        true,
      );
    });
  }

  it('names files that exist', () => {
    const text = readFileSync(`${root}docs/ha.md`, 'utf8');
    const paths = [...text.matchAll(/(?<![\w/.])(deploy\/[\w@./-]+\w)/g)].map(
      ([, path = '']) => path,
    );
    expect(paths).not.to.deep.equal([]);
    expect(paths.filter((path) => !existsSync(`${root}${path}`))).to.deep.equal([]);
  });
});

/** Texts of all tests, which take commands from documents word by word. */
const tests = readdirSync(`${root}test`, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => readFileSync(`${root}test/${name}`, 'utf8'))
  .filter((text) => text.includes('support/document.js'))
  .join('\n');

for (const name of ['README.md', 'cli.md', 'logs.md', 'packages.md', 'migration.md']) {
  describe(`the commands of ${name}`, () => {
    const commands = new Commands(name).left;

    it('are there', () => expect(commands).not.to.deep.equal([]));
    for (const command of commands) {
      it(`are run by a test: ${command}`, () => expect(tests.includes(command)).to.equal(true));
    }
  });
}
