/** What the daemon does on each signal (options.md §1). */
import { expect } from 'chai';
import { existsSync, readFileSync } from 'node:fs';
import { TemporaryFolder } from '../support/child-process.js';
import { MediaDaemon, rtpengineInstalled } from '../support/daemons.js';
import { audioSdp, type NgClient } from '../support/ng-client.js';
import { pause, until } from '../support/wait.js';

/** What rtpengine 10.5 lives on after (all but INT, QUIT, ABRT, SEGV, TERM), by number. */
const survived: readonly (readonly [string, number])[] = [
  ['HUP', 1],
  ['ILL', 4],
  ['TRAP', 5],
  ['BUS', 7],
  ['FPE', 8],
  ['PIPE', 13],
  ['ALRM', 14],
  ['STKFLT', 16],
  ['CHLD', 17],
  ['CONT', 18],
  ['TSTP', 20],
  ['TTIN', 21],
  ['TTOU', 22],
  ['URG', 23],
  ['XCPU', 24],
  ['XFSZ', 25],
  ['VTALRM', 26],
  ['PROF', 27],
  ['WINCH', 28],
  ['IO', 29],
  ['PWR', 30],
  ['SYS', 31],
  ['RTMIN', 34],
  ['RTMIN+1', 35],
  ['RTMAX', 64],
];

describe('signals that rtpengine lives on after', () => {
  for (const kind of ['rtprelayd', 'rtpengine'] as const) {
    it(`${kind} does too: every one of them`, async function () {
      if (kind === 'rtpengine' && !rtpengineInstalled) this.skip();
      const daemon = await MediaDaemon.start(kind, { mediaPorts: 20 });
      const ng = daemon.client();
      try {
        for (const [name, number] of survived) {
          // Node knows no names of real-time signals.
          process.kill(daemon.process.pid, number);
          await pause(10);
          const reply = await ng.ask({ command: 'ping' }, { tries: 4 }).catch(() => name);
          expect(reply).to.deep.equal({ result: 'pong' });
        }
      } finally {
        ng.close();
        await daemon.stop();
      }
    });
  }
});

describe('signals', () => {
  let folder: TemporaryFolder;
  let daemon: MediaDaemon;
  let ng: NgClient;

  beforeEach(async () => {
    folder = new TemporaryFolder('signals');
    const extra = [`--pidfile=${folder.file('pid')}`];
    daemon = await MediaDaemon.start('rtprelayd', { extra, mediaPorts: 20 });
    ng = daemon.client();
  });
  afterEach(async () => {
    ng.close();
    await daemon.stop();
    folder.remove();
  });

  const logged = (): number => daemon.process.log().match(/Received command 'list'/g)?.length ?? 0;

  /** true when a command was logged that is sent now. */
  async function logsCommands(): Promise<boolean> {
    const before = logged();
    await ng.ask({ command: 'list' });
    await pause(20);
    return logged() > before;
  }

  it('USR1 makes the log quieter by a level and USR2 louder', async () => {
    expect(await logsCommands()).to.equal(true);
    daemon.process.signal('SIGUSR1');
    await until(async () => !(await logsCommands()), 'a log without commands');
    expect(daemon.process.log()).to.include("Decreased 'core' log level to 5");
    daemon.process.signal('SIGUSR2');
    await until(logsCommands, 'commands in the log');
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`${signal.slice(3)} closes calls and sockets and ends with 0`, async () => {
      const keys = { 'call-id': 'open', 'from-tag': 'a' };
      expect(await ng.ask({ command: 'offer', ...keys, sdp: audioSdp(6000) })).to.include({
        result: 'ok',
      });
      expect(readFileSync(folder.file('pid'), 'latin1').trim()).to.equal(
        String(daemon.process.pid),
      );
      daemon.process.signal(signal);
      expect(await daemon.process.ended()).to.equal(0);
      expect(daemon.process.log()).to.match(/Version \S+ shutting down/);
      expect(existsSync(folder.file('pid'))).to.equal(false);
    });
  }

  it('a second TERM during the stop does no harm', async () => {
    for (let i = 0; i < 3; i++) daemon.process.signal('SIGTERM');
    expect(await daemon.process.ended()).to.equal(0);
  });
});
