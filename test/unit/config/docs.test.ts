import { expect } from 'chai';
import { readFileSync, writeFileSync } from 'node:fs';
import { codecsText, configMarkdown, helpText, versionText } from '../../../src/config/help.js';
import { options } from '../../../src/config/options.js';

const path = new URL('../../../docs/config.md', import.meta.url);

describe('docs/config.md', () => {
  it('is what the option table says (UPDATE_DOCS=1 rewrites it)', () => {
    if (process.env['UPDATE_DOCS'] !== undefined) writeFileSync(path, configMarkdown());
    expect(readFileSync(path, 'utf8')).to.equal(configMarkdown());
  });
});

describe('--help', () => {
  it('lists every option once, with letter and default', () => {
    const text = helpText();
    for (const { name } of options) {
      const pattern = new RegExp(`^  (-., )?--${name}(=|\\s)`, 'gm');
      expect(text.match(pattern), name).to.have.length(1);
    }
    expect(text).to.match(/-t, --table=INT +Kernel table.*default -1/);
    expect(text).to.match(/--redis-commit-timeout=INT.*\n?.*rtprelay's own/);
  });
});

describe('--version and --codecs', () => {
  it("have rtpengine's form", () => {
    expect(versionText('1.2.3')).to.equal('Version: 1.2.3\n');
    expect(codecsText()).to.match(/^ {16}PCMA: /);
  });
});
