import { expect } from 'chai';
import { Log } from '../../../src/observe/log.js';
import { MalformedLog } from '../../../src/observe/malformed-log.js';

describe('the log of malformed messages', () => {
  let lines: string[];
  let malformed: MalformedLog;
  beforeEach(() => {
    lines = [];
    const sink = {
      write: (_l: number, _s: string, _c: string | null, text: string) => lines.push(text),
    };
    malformed = new MalformedLog(new Log({ sink, levels: new Map([['control', 6]]) }));
  });

  it('has the first ten of a second, and the number of the others', () => {
    for (let i = 0; i < 25; i++) malformed.warn(`line ${i}`, `192.0.2.1:${i}`, null);
    expect(lines).to.have.length(10);
    expect(malformed.writes).to.equal(false);
    malformed.everySecond([]);
    expect(lines.slice(10)).to.deep.equal([
      'Refused 15 malformed messages on NG port, last one from 192.0.2.1:24',
    ]);
    expect(malformed.writes).to.equal(true);
    malformed.everySecond([]);
    expect(lines).to.have.length(11);
  });

  it('adds what was refused unread', () => {
    const from = { host: '2001:db8::1', port: 7 };
    malformed.everySecond([{ malformed: 4000, overflow: 0, ...from }]);
    malformed.everySecond([{ malformed: 0, overflow: 30, ...from }]);
    expect(lines).to.deep.equal([
      'Refused 4000 malformed messages on NG port, last one from [2001:db8::1]:7',
      'Dropped 30 messages, more than can be answered, on NG port, last one from [2001:db8::1]:7',
    ]);
  });

  it('has the first hundred refused commands of a second, and the number of the others', () => {
    const refuse = (host: string, i: number): void =>
      malformed.refused(`refused ${i}`, host, `${host}:${i}`, 'call');
    for (let i = 0; i < 100; i++) refuse('192.0.2.1', i);
    expect(lines).to.have.length(100);
    expect(malformed.isFlooding('192.0.2.1')).to.equal(false);
    for (let i = 100; i < 140; i++) refuse('192.0.2.1', i);
    expect(lines).to.have.length(100);
    expect(malformed.isFlooding('192.0.2.1')).to.equal(true);
    expect(malformed.isFlooding('192.0.2.2')).to.equal(false);
    malformed.everySecond([]);
    expect(lines.slice(100)).to.deep.equal([
      'Refused 40 commands more than are written one by one on NG port, last one from 192.0.2.1:139',
    ]);
    expect(malformed.isFlooding('192.0.2.1')).to.equal(false);
    refuse('192.0.2.1', 1);
    malformed.everySecond([]);
    expect(lines).to.have.length(102);
  });

  it('counts deletes of what is not there among them', () => {
    for (let i = 0; i < 130; i++)
      malformed.unmatched(`none ${i}`, '192.0.2.1', '192.0.2.1:9', null);
    expect(lines).to.have.length(100);
    expect(malformed.isFlooding('192.0.2.1')).to.equal(true);
    malformed.everySecond([]);
    expect(lines.at(-1)).to.match(/^Refused 30 commands/);
  });

  it('keeps lines short', () => {
    malformed.warn('x'.repeat(60_000), 'y', null);
    expect(lines[0]).to.have.length(4096);
  });
});
