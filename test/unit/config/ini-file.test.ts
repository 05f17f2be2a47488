import { expect } from 'chai';
import fc from 'fast-check';
import { parseIniFile, splitList, unescapeValue } from '../../../src/config/ini-file.js';
import { configError } from '../../support/unit/config.js';

function read(text: string, key: string, section = 'rtpengine'): string | undefined {
  return parseIniFile(text, 'test.conf').get(section)?.get(key)?.value;
}

function message(text: string): string {
  return configError(() => parseIniFile(text, 'test.conf')).message;
}

describe('configuration file', () => {
  it('keeps ; and # inside a value and trims the white space around it', () => {
    const text = '[rtpengine]\n  interface =  a/1.2.3.4;b/5.6.7.8 \nb2b-url = http://x/#y\r\n';
    expect(read(text, 'interface')).to.equal('a/1.2.3.4;b/5.6.7.8');
    expect(read(text, 'b2b-url')).to.equal('http://x/#y');
  });

  it('takes # at the start of a line as a comment, ; not', () => {
    expect(read('# a = 1\n[rtpengine]\n  # b = 1\nc = 2', 'b')).to.equal(undefined);
    expect(message('[rtpengine]\n; comment')).to.include('test.conf, line 2');
  });

  it('keeps the last of repeated keys, also when the section is repeated', () => {
    const text = '[rtpengine]\na=1\na=2\n[other]\na=9\n[rtpengine]\na=3\n';
    expect(read(text, 'a')).to.equal('3');
    expect(read(text, 'a', 'other')).to.equal('9');
  });

  it('keeps = in a value and allows an empty one', () => {
    expect(read('[rtpengine]\nq = a=b\nempty =\n', 'q')).to.equal('a=b');
    expect(read('[rtpengine]\nq = a=b\nempty =\n', 'empty')).to.equal('');
  });

  it('names file and line of a mistake', () => {
    expect(message('garbage\n')).to.equal(
      "test.conf, line 1: 'garbage' is neither a section nor key = value",
    );
    expect(message('a = 1\n')).to.equal("test.conf, line 1: 'a' stands before the first [section]");
    expect(message('[rtpengine\n')).to.equal("test.conf, line 1: bad section header '[rtpengine'");
    expect(message('[a]\n= 1\n')).to.equal("test.conf, line 2: no key in front of '='");
    expect(message('[]\n')).to.include('bad section name');
  });

  it('either reads a text or throws a ConfigError', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('[', ']', '=', '#', ';', '\n', 'a', ' ', '\\') }),
        (text) => {
          try {
            parseIniFile(text, 'f');
          } catch (error) {
            expect(error).to.have.property('name', 'ConfigError');
          }
        },
      ),
    );
  });
});

describe('list in the configuration file', () => {
  it('is separated by ; with one at the end allowed', () => {
    expect(splitList('a;b; c ')).to.deep.equal(['a', 'b', 'c']);
    expect(splitList('a;b;')).to.deep.equal(['a', 'b']);
    expect(splitList('')).to.deep.equal(['']);
    expect(splitList('a\\;b;c')).to.deep.equal(['a;b', 'c']);
  });

  it('splits into as many items as were joined', () => {
    const item = fc.string({ unit: fc.constantFrom('a', '/', '.', '!', ':'), minLength: 1 });
    fc.assert(
      fc.property(fc.array(item, { minLength: 1 }), (items) => {
        expect(splitList(items.join(';'))).to.deep.equal(items);
      }),
    );
  });
});

describe('escape sequences', () => {
  it('are those of GKeyFile', () => {
    expect(unescapeValue('\\sa\\tb\\\\')).to.equal(' a\tb\\');
    expect(unescapeValue('\\x')).to.equal(null);
    expect(unescapeValue('a\\')).to.equal(null);
  });
});
