/** Unit tests stand where what they test stands: a folder of `src` has its tests in the same folder of `test/unit`. */
import { expect } from 'chai';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';

const tests = readdirSync('test/unit', { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
  .map((entry) => join(entry.parentPath, entry.name));

/** Trees beside `src`. */
const others = ['bench', 'docs', 'packaging'];

describe('the tree of unit tests', () => {
  it('is that of src', () => {
    const folders = new Set(tests.map((test) => relative('test/unit', dirname(test))));
    const strange = [...folders].filter(
      (folder) => !others.includes(folder) && !existsSync(join('src', folder)),
    );
    expect(folders.size).to.be.above(15);
    expect(strange).to.deep.equal([]);
  });

  it('has the test of a file in the folder of that file', () => {
    const elsewhere = tests.flatMap((test) => {
      const subject = basename(test, '.test.ts');
      const imported = [...readFileSync(test, 'utf8').matchAll(/'[./]*\/(src\/[^']*)\.js'/g)]
        .map(([, file = '']) => file)
        .filter((file) => basename(file) === subject);
      const here = join('src', relative('test/unit', dirname(test)), subject);
      return imported.length === 0 || imported.includes(here) ? [] : [`${test}: ${imported[0]}`];
    });
    expect(elsewhere).to.deep.equal([]);
  });
});
