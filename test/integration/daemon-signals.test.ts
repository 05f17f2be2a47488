/** What the daemon does on each signal (options.md §1). */
import { expect } from 'chai';
import { existsSync, readFileSync } from 'node:fs';
import { TemporaryFolder } from '../support/child-process.js';
import { MediaDaemon } from '../support/daemons.js';
import { audioSdp, type NgClient } from '../support/ng-client.js';
import { pause, until } from '../support/wait.js';

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

  it('PIPE changes nothing', async () => {
    daemon.process.signal('SIGPIPE');
    await pause(50);
    expect(await ng.ask({ command: 'ping' })).to.deep.equal({ result: 'pong' });
  });

  it('HUP ends it with 42', async () => {
    daemon.process.signal('SIGHUP');
    expect(await daemon.process.ended(5000)).to.equal(42);
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
      expect(await daemon.process.ended(5000)).to.equal(0);
      expect(daemon.process.log()).to.match(/Version \S+ shutting down/);
      expect(existsSync(folder.file('pid'))).to.equal(false);
    });
  }

  it('a second TERM during the stop does no harm', async () => {
    for (let i = 0; i < 3; i++) daemon.process.signal('SIGTERM');
    expect(await daemon.process.ended(5000)).to.equal(0);
  });
});
