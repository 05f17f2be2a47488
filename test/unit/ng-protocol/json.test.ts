import { expect } from 'chai';
import fc from 'fast-check';
import type { NgDictionary, NgValue } from '../../../src/ng-protocol/dictionary.js';
import { NgError } from '../../../src/ng-protocol/errors.js';
import { decodeJson, encodeJson } from '../../../src/ng-protocol/json.js';

const decode = (text: string): NgDictionary => decodeJson(Buffer.from(text, 'utf8'));
const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

describe('JSON messages', () => {
  it('read strings as the bytes of their UTF-8, escaped or not', () => {
    const dictionary = decode(
      '{"a":"ü€","b":"\\u00fc\\u20ac","c":"\\ud83d\\ude00","d":"\\\\u00fc\\n"}',
    );
    expect(dictionary.get('a')).to.equal(utf8('ü€'));
    expect(dictionary.get('b')).to.equal(utf8('ü€'));
    expect(dictionary.get('c')).to.equal(utf8('😀'));
    expect(dictionary.get('d')).to.equal('\\u00fc\n');
  });

  it('keep bytes that are not UTF-8, next to an escape too', () => {
    const text = Buffer.concat([
      Buffer.from('{"a":"\\u00fc'),
      Buffer.from([0xff]),
      Buffer.from('"}'),
    ]);
    expect(decodeJson(text).get('a')).to.equal('\xc3\xbc\xff');
  });

  it('read booleans as 0 and 1, cut fractions off and leave null out', () => {
    const dictionary = decode('{"t":true,"f":false,"n":null,"l":[null,1],"x":1.9,"d":{"k":"v"}}');
    expect([...dictionary]).to.deep.equal([
      ['t', 1],
      ['f', 0],
      ['l', [1]],
      ['x', 1],
      ['d', new Map([['k', 'v']])],
    ]);
  });

  it('let the last of several equal keys count', () => {
    expect(decode('{"a":"x","a":"y"}').get('a')).to.equal('y');
  });

  it('treat __proto__ as an ordinary key', () => {
    expect(decode('{"__proto__":"x"}').get('__proto__')).to.equal('x');
  });

  it('fail with the texts of rtpengine', () => {
    expect(() => decode('{"a":')).to.throw(NgError, 'Failed to parse JSON document');
    expect(() => decode('{"a":1}x')).to.throw(NgError, 'Failed to parse JSON document');
    expect(() => decode('[]')).to.throw(NgError, 'Could not decode JSON dictionary');
  });

  it('have a bounded depth', () => {
    const nested = `{"a":${'['.repeat(500)}${']'.repeat(500)}}`;
    expect(() => decode(nested)).to.throw(NgError, 'Failed to parse JSON document');
  });

  it('are written in order, without blanks', () => {
    const reply: NgValue = new Map<string, NgValue>([
      ['z', ['x', 1, new Map()]],
      ['2', utf8('ü"')],
      ['1', 'a\r\n'],
    ]);
    expect(encodeJson(reply, 'k ').toString('utf8')).to.equal(
      'k {"z":["x",1,{}],"2":"ü\\"","1":"a\\r\\n"}',
    );
  });

  it('stay readable when a string is not UTF-8', () => {
    const text = encodeJson(new Map([['a', 'x\xffy']])).toString('utf8');
    expect(JSON.parse(text)).to.deep.equal({ a: 'x\ufffdy' });
  });

  it('give back every text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const read = decode(JSON.stringify({ a: text }));
        expect(JSON.parse(encodeJson(read).toString('utf8'))).to.deep.equal({ a: text });
      }),
      { seed: 3 },
    );
  });
});
