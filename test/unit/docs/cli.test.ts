/** docs/cli.md has the commands of the command line, all of them and no others. */
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { answerTo, FakeTarget, observedCall } from '../../support/unit/cli.js';

const text = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8');
/** The first columns of the tables; words in capitals are what the operator fills in. */
const documented = [...text.matchAll(/^\|([^|\n]*`[^|\n]*)\|/gm)].flatMap(([, cell = '']) =>
  [...cell.matchAll(/`([^`]+)`/g)].map(([, command = '']) => command),
);
const filledIn: Readonly<Record<string, string>> = { CALLID: 'mosx', TAG: 'a' };
const answer = (line: string): Promise<string> => {
  const target = new FakeTarget();
  target.calls = [observedCall];
  return answerTo(target, line);
};

describe('docs/cli.md', () => {
  for (const command of documented) {
    it(`names a command: ${command}`, async () => {
      const line = command.replace(/\b[A-Z]+\b/g, (word) => filledIn[word] ?? '1');
      expect(await answer(line)).not.to.match(/Unknown|More parameters|ot found|No such/);
    });
  }

  it('leaves out none', async () => {
    const names = (await answer('help')).split('\n\t').slice(1);
    const known = new Set(documented.map((command) => command.split(' ')[0]));
    const helping = ['get', 'help', 'usage'];
    const wanted = names.map((each) => each.trim()).filter((each) => !helping.includes(each));
    expect(wanted.length).to.be.above(10);
    expect(wanted.filter((name) => !known.has(name))).to.deep.equal([]);
  });

  it('leaves out no setting', () => {
    const known = documented.map((command) => command.split(' ').slice(0, 2).join(' '));
    for (const setting of Object.keys(new FakeTarget().settings))
      expect(known, setting).to.include.members([`list ${setting}`, `set ${setting}`]);
  });
});
