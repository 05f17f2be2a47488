/** Entries of the journal, and the lines that are kept of each call. */
import { expect } from 'chai';
import { closeSync, fstatSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { JournalSink, journalEntry, leadsToJournal } from '../../../src/observe/journal.js';
import type { LogConfig } from '../../../src/config/config.js';
import { createSink } from '../../../src/observe/log-setup.js';
import { Log, logLevel } from '../../../src/observe/log.js';
import { RecentLines } from '../../../src/observe/recent-lines.js';
import { recentLineText } from '../../../src/observe/recent-text.js';
import { TemporaryFolder } from '../../support/child-process.js';
import { until } from '../../support/wait.js';

describe('the journal', () => {
  it('gets values with line ends by their length', () => {
    const entry = journalEntry([
      ['PRIORITY', '6'],
      ['MESSAGE', 'one\ntwo'],
    ]);
    expect(entry.toString('latin1')).to.equal('PRIORITY=6\nMESSAGE\n\x07\0\0\0\0\0\0\0one\ntwo\n');
  });

  it('is known by device and inode of the descriptor', () => {
    const fd = openSync('/dev/null', 'r');
    const { dev, ino } = fstatSync(fd, { bigint: true });
    expect(leadsToJournal(fd, `${dev}:${ino}`)).to.equal(true);
    for (const other of [undefined, '', 'x', `${dev}:${ino + 1n}`, `${dev}`]) {
      expect(leadsToJournal(fd, other), other).to.equal(false);
    }
    closeSync(fd);
    expect(leadsToJournal(fd, `${dev}:${ino}`)).to.equal(false);
  });

  it('is written to where the system log would only pass lines on to it, and nowhere else', async () => {
    const folder = new TemporaryFolder('journal');
    const fd = openSync('/dev/null', 'r');
    const { dev, ino } = fstatSync(fd, { bigint: true });
    for (const name of ['dev-log', 'elsewhere']) writeFileSync(folder.file(name), '');
    mkdirSync(folder.file('other'));
    writeFileSync(folder.file('other/dev-log'), '');
    symlinkSync(folder.file('dev-log'), folder.file('other/log'));
    const kind = async (syslogPath: string, journalStream?: string): Promise<string> => {
      const config: LogConfig = {
        ...{ levels: new Map(), toStderr: false, json: false, facility: 'daemon' },
        ...{ programName: 'relay', markPrefix: '', markSuffix: '', splitLines: false },
        ...{ timestamps: true, maxLineLength: 0 },
      };
      const environment = {
        ...{ nowMicros: () => 0, descriptor: fd, journalPath: folder.file('socket') },
        functions: { openOutput: () => fd, connectOutput: () => 2, writeOutput: () => 0 },
      };
      const sink = await createSink(config, { ...environment, syslogPath, journalStream });
      return sink.constructor.name;
    };
    const stream = `${dev}:${ino}`;
    expect(await kind(folder.file('other/log'), stream)).to.equal('JournalSink');
    expect(await kind(folder.file('other/log'))).to.equal('SyslogSink');
    expect(await kind(folder.file('other/dev-log'), stream)).to.equal('SyslogSink');
    expect(await kind(folder.file('nowhere'), stream)).to.equal('SyslogSink');
    closeSync(fd);
    folder.remove();
  });

  it('gets the text of a line and fields to search by; what it does not take comes later', async () => {
    const sent: string[] = [];
    let takes = false;
    const sink = new JournalSink({
      functions: {
        openOutput: (fd) => fd,
        connectOutput: () => (takes ? [openSync('/dev/null', 'r'), false] : 2),
        writeOutput: (_fd, bytes) => {
          sent.push(bytes.toString('latin1'));
          return bytes.length;
        },
      },
      ...{ programName: 'relay', facility: 3, format: { splitLines: false, maxLength: 0 } },
    });
    const log = new Log({ sink, levels: new Map() });
    log.tagsBy((callId, port) => `${callId}-${port}`);
    log.warning('core', 'first', 'call', 30_000);
    expect(sent).to.deep.equal([]);
    expect(sink.empty).to.equal(false);
    takes = true;
    log.info('core', 'second');
    await until(() => sent.length === 2, 'both lines');
    expect(sent).to.deep.equal([
      'PRIORITY=4\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=relay\nMESSAGE=WARNING: [call port 30000]: [core] first\n' +
        'RTPRELAY_SUBSYSTEM=core\nCALL_ID=call\nMEDIA_PORT=30000\nTAG=call-30000\n',
      'PRIORITY=6\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=relay\nMESSAGE=INFO: [core] second\nRTPRELAY_SUBSYSTEM=core\n',
    ]);
    sink.close();
  });
});

describe('the last lines of each call', () => {
  const line = (number: number, length = 10) => ({
    ...{ atMicros: number * 1e6, level: logLevel.info, subsystem: 'core' as const, port: null },
    ...{ callId: `call-${number % 100}`, message: 'x'.repeat(length) },
  });

  it('are the last ten thousand of all', () => {
    const lines = new RecentLines();
    for (let number = 0; number < 25_000; number += 1) lines.add(line(number));
    const kept = lines.of('call-7');
    expect(kept).to.have.length(100);
    expect(kept[0]?.atMicros).to.equal(15_007e6);
    expect(kept.at(-1)?.atMicros).to.equal(24_907e6);
  });

  it('are fewer when they are long, and long ones are cut', () => {
    const lines = new RecentLines();
    for (let number = 0; number < 3000; number += 1) lines.add(line(number, 10_000));
    const kept = Array.from({ length: 100 }, (_, at) => lines.of(`call-${at}`)).flat();
    expect(kept.length).to.be.within(1000, 1050);
    expect(kept[0]?.message).to.have.length(4004);
    for (let number = 0; number < 10_000; number += 1) lines.add(line(number, 1));
    expect(lines.of('call-3')).to.have.length(100);
  });

  it('are written as on stderr, with the time as people read it', () => {
    const atMicros = Date.UTC(2026, 10, 30, 14, 3, 12) * 1000 + 18_233;
    expect(recentLineText({ ...line(3), atMicros, port: 4000, message: 'a\nb' })).to.equal(
      '2026-11-30T14:03:12.018233Z INFO: [call-3 port 4000]: [core] a\\nb\n',
    );
  });

  it('are kept of what is written alone, and of calls', () => {
    const log = new Log({
      ...{ sink: { write: () => undefined }, levels: new Map([['core', 5]]) },
      nowMicros: () => 1,
    });
    log.info('core', 'not written', 'call');
    log.notice('core', 'written', 'call');
    log.notice('core', 'of none');
    expect(log.recentOf('call').map(({ message }) => message)).to.deep.equal(['written']);
  });
});
