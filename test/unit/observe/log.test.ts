import { expect } from 'chai';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { logSubsystems } from '../../../src/config/subsystems.js';
import { createJsonSink } from '../../../src/observe/log-json.js';
import { nativeProcess } from '../../../src/native/process.js';
import { descriptorOutlet, type Outlet } from '../../../src/observe/log-output.js';
import { createLog, createWallClockMicros } from '../../../src/observe/log-setup.js';
import {
  DescriptorSink,
  SyslogSink,
  formatTimestamp,
  type Syslog,
} from '../../../src/observe/log-sinks.js';
import { Log, type LogSink } from '../../../src/observe/log.js';
import { UnixDatagrams } from '../../support/unix-datagrams.js';
import { configOf, minimal } from '../../support/unit/config.js';

const to = (descriptor: number): Outlet => descriptorOutlet(descriptor, nativeProcess());

function syslogTo(take: (message: string) => void): Syslog {
  return {
    send: (priority, message) => take(`<${priority}>${message}`),
    empty: true,
    reopen: () => undefined,
    close: () => undefined,
  };
}

const plain = { splitLines: false, maxLength: 0 };

function levels(level: number): Map<(typeof logSubsystems)[number][0], number> {
  return new Map(logSubsystems.map(([name]) => [name, level] as const));
}

/** A log into a list, as syslog would see it. */
function syslogLines(
  format = plain,
  marks: { markPrefix?: string; markSuffix?: string } = {},
): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const sink = new SyslogSink(
    syslogTo((text) => lines.push(text)),
    'daemon',
    format,
  );
  return { log: new Log({ sink, levels: levels(6), ...marks }), lines };
}

describe('log file', () => {
  let directory: string;
  let path: string;
  let descriptor: number;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'rtprelay-log-'));
    path = join(directory, 'log');
    descriptor = openSync(path, 'w');
  });
  afterEach(() => {
    closeSync(descriptor);
    rmSync(directory, { recursive: true });
  });

  function logTo(sink: LogSink): Log {
    return new Log({ sink, levels: levels(6) });
  }

  it("has rtpengine's lines", () => {
    const log = logTo(new DescriptorSink(to(descriptor), () => 1795401470_276222, plain));
    log.info('control', "Received command 'offer' from 127.0.0.1:44293", 'mosx');
    log.notice('core', 'Creating new call', 'mosx');
    log.info('core', 'Startup complete, version 1');
    log.error('core', 'e');
    log.critical('core', 'c');
    log.warning('core', 'w');
    expect(readFileSync(path, 'latin1')).to.equal(
      "[1795401470.276222] INFO: [mosx]: [control] Received command 'offer' from 127.0.0.1:44293\n" +
        '[1795401470.276222] NOTICE: [mosx]: [core] Creating new call\n' +
        '[1795401470.276222] INFO: [core] Startup complete, version 1\n' +
        '[1795401470.276222] ERR: [core] e\n' +
        '[1795401470.276222] CRIT: [core] c\n' +
        '[1795401470.276222] WARNING: [core] w\n',
    );
  });

  it('has no timestamps when they are not wanted', () => {
    logTo(new DescriptorSink(to(descriptor), null, plain)).info('core', 'x');
    expect(readFileSync(path, 'latin1')).to.equal('INFO: [core] x\n');
  });

  it('keeps the bytes of a call-id in any encoding', () => {
    const log = logTo(new DescriptorSink(to(descriptor), null, plain));
    const callId = Buffer.from('Zoë', 'utf8').toString('latin1');
    log.info('core', 'x', callId);
    expect(readFileSync(path, 'utf8')).to.equal('INFO: [Zoë]: [core] x\n');
    log.info('core', 'a → b');
    expect(readFileSync(path, 'utf8')).to.include('a → b');
  });

  it('does not throw when nobody can write', () => {
    const readOnly = openSync(path, 'r');
    const sink = new DescriptorSink(to(readOnly), null, plain);
    logTo(sink).info('core', 'x');
    expect(sink.lost).to.equal(1);
    closeSync(readOnly);
  });

  it('is written by pino when JSON is wanted', async () => {
    const log = logTo(await createJsonSink(to(descriptor), () => 1795401470_276222));
    log.notice('core', 'Creating new "call"', 'mosx');
    log.debug('core', 'unseen');
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    expect(lines.map((line): unknown => JSON.parse(line))).to.deep.equal([
      {
        level: 'NOTICE',
        time: 1795401470.276222,
        subsystem: 'core',
        callId: 'mosx',
        message: 'Creating new "call"',
      },
    ]);
  });
});

describe('syslog', () => {
  it('gets facility and level, and lines without a time', () => {
    const lines: string[] = [];
    const sink = new SyslogSink(
      syslogTo((text) => lines.push(text)),
      'local5',
      plain,
    );
    const log = new Log({ sink, levels: levels(6) });
    log.error('core', 'x');
    log.info('core', 'y', 'c');
    expect(lines).to.deep.equal(['<171>ERR: [core] x', '<174>INFO: [c]: [core] y']);
  });
});

describe('log lines', () => {
  it('are broken at the greatest length as rtpengine breaks them', () => {
    const { log, lines } = syslogLines({ splitLines: false, maxLength: 60 });
    log.info(
      'control',
      "Replying to 'offer' from 127.0.0.1:38300 (elapsed time 0.000355 sec)",
      'cid1',
    );
    expect(lines).to.deep.equal([
      "<30>INFO: [cid1]: [control] Replying to 'offer' from 127.0.0.1:38300 (elapsed  ...",
      '<30>INFO: [cid1]: ... time 0.000355 sec)',
    ]);
  });

  it('are split at line ends when that is wanted', () => {
    const { log, lines } = syslogLines({ splitLines: true, maxLength: 0 });
    log.warning('control', 'error [bad\r\nline\nq]\n', 'cid1');
    expect(lines).to.deep.equal([
      '<28>WARNING: [cid1]: [control] error [bad ...',
      '<28>WARNING: [cid1]: ... line ...',
      '<28>WARNING: [cid1]: ... q]',
    ]);
  });

  it('cannot be forged by what comes from the network', () => {
    const { log, lines } = syslogLines();
    log.info('core', 'a\nINFO: forged\r\0\x1b[31m', 'x\ny');
    expect(lines).to.deep.equal(['<30>INFO: [x\\ny]: [core] a\\nINFO: forged\\r\\x00\\x1b[31m']);
  });

  it('have the beginning of a call-id that is too long for one', () => {
    const { lines, log } = syslogLines();
    log.info('control', 'text', 'c'.repeat(20_000));
    expect(lines[0])
      .to.include(`[${'c'.repeat(255)}...]: `)
      .and.to.have.length.below(400);
  });

  it('carry marks round private data', () => {
    const { log, lines } = syslogLines(plain, { markPrefix: '<<', markSuffix: '>>' });
    log.info('core', `Deleting call branch '${log.mark('a')}'`, 'cid1');
    expect(lines).to.deep.equal(["<30>INFO: [<<cid1>>]: [core] Deleting call branch '<<a>>'"]);
  });
});

describe('log levels', () => {
  it('are thresholds for each subsystem', () => {
    const { log, lines } = syslogLines();
    log.setLevel('rtcp', 3);
    log.info('rtcp', 'hidden');
    log.error('rtcp', 'seen');
    log.debug('core', 'hidden');
    log.info('core', 'seen');
    expect(lines).to.have.length(2);
    expect([log.enabled(7, 'core'), log.enabled(6, 'core'), log.enabled(4, 'rtcp')]).to.deep.equal([
      false,
      true,
      false,
    ]);
  });

  it('move together on a signal and stay within the scale', () => {
    const { log } = syslogLines();
    log.setLevel('internals', -1);
    log.shiftAllLevels(+1);
    expect([log.level('core'), log.level('internals')]).to.deep.equal([7, 0]);
    log.shiftAllLevels(+1);
    expect(log.level('core')).to.equal(7);
    log.setLevel('core', -5);
    expect(log.level('core')).to.equal(-1);
    log.critical('core', 'unseen');
  });

  it('do not count for a call that is being debugged', () => {
    const { log, lines } = syslogLines();
    log.setCallDebug('c1', true);
    log.debug('core', 'seen', 'c1');
    log.debug('core', 'hidden', 'c2');
    log.setCallDebug('c1', false);
    log.debug('core', 'hidden', 'c1');
    expect(lines).to.deep.equal(['<31>DEBUG: [c1]: [core] seen']);
  });
});

describe('log of the configuration', () => {
  it('goes to syslog, and to stderr on demand', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'rtprelay-log-'));
    const syslog = await UnixDatagrams.open(join(directory, 'syslog'));
    const environment = {
      nowMicros: () => 0,
      functions: nativeProcess(),
      syslogPath: syslog.path,
    };
    const log = await createLog(configOf([...minimal, '--log-facility=local3']).log, environment);
    try {
      log.info('core', 'x'.repeat(600));
      const [first = '', ...others] = await syslog.received();
      expect(others).to.have.length(1);
      // 19 * 8 + 6, and the time of the machine's zone.
      expect(first).to.match(
        /^<158>[JD][ae][nc] [ 13]1 \d\d:\d\d:00 rtpengine: INFO: \[core\] x+ \.\.\.$/,
      );

      const descriptor = openSync(join(directory, 'log'), 'w');
      const stderr = await createLog(configOf([...minimal, '-E']).log, {
        ...environment,
        descriptor,
      });
      stderr.info('core', 'y'.repeat(600));
      expect(await syslog.received()).to.deep.equal([]);
      expect(readFileSync(join(directory, 'log'), 'latin1')).to.match(
        /^\[0\.000000\] INFO: .*y{600}\n$/,
      );
      closeSync(descriptor);
    } finally {
      syslog.close();
      rmSync(directory, { recursive: true });
    }
  });
});

describe('clock', () => {
  it('formats seconds and microseconds', () => {
    expect(formatTimestamp(1795401470_000042)).to.equal('[1795401470.000042]');
  });

  it('follows the wall clock and never runs backwards by itself', () => {
    let wall = 1_000_000;
    let monotonic = 50;
    const clock = createWallClockMicros(
      () => wall,
      () => monotonic,
    );
    expect(clock()).to.equal(1_000_000_000);
    monotonic += 0.25;
    expect(clock()).to.equal(1_000_000_250);
    wall += 3_600_000;
    expect(clock()).to.equal(4_600_000_000);
    wall -= 1_800_000;
    expect(clock()).to.equal(2_800_000_000);
  });
});
