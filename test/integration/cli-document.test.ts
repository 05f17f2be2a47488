/** The commands of docs/cli.md, as they stand there. Its tables are looked at in test/unit/docs. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TemporaryFolder, TestProcess } from '../support/child-process.js';
import { Commands } from '../support/document.js';
import { NetworkNamespace, namespacesAllowed } from '../support/namespaces.js';
import { until } from '../support/wait.js';

const built = fileURLToPath(new URL('../../dist/bin/', import.meta.url));

describe('the commands of docs/cli.md', function () {
  this.timeout(60_000);
  const document = new Commands('cli.md');
  let namespace: NetworkNamespace;
  let folder: TemporaryFolder;
  const daemons: TestProcess[] = [];

  before(async function () {
    if (!namespacesAllowed()) this.skip();
    namespace = new NetworkNamespace('cli');
    namespace.addAddress('lo', '10.0.0.12/32');
    folder = new TemporaryFolder('cli');
    mkdirSync(folder.file('bin'));
    symlinkSync(`${built}rtprelayctl.js`, folder.file('bin/rtprelayctl'));
    const listen = ['--listen-cli=127.0.0.1:9900', '--listen-cli=10.0.0.12:9900'];
    const words = ['--config-file=none', '--table=-1', '-f', '-E', '--interface=127.0.0.1'];
    const daemon = new TestProcess(
      'rtprelayd',
      process.execPath,
      [`${built}rtprelayd.js`, ...words, '--listen-ng=127.0.0.1:2223', ...listen],
      { namespace: namespace.name },
    );
    daemons.push(daemon);
  });
  after(async () => {
    for (const daemon of daemons) await daemon.stop();
    namespace?.remove();
    folder?.remove();
  });

  /** Where there is no configuration. */
  const bare =
    'for each in /etc/rtpengine /etc/rtprelay; do [ ! -e $each ] || mount -t tmpfs none $each; done; ';
  const within = (command: string): readonly string[] => [
    ...['netns', 'exec', namespace.name, 'unshare', '--mount', 'sh', '-ec', bare + command],
  ];
  const run = (command: string): string =>
    execFileSync('ip', within(document.take(command)), {
      encoding: 'latin1',
      env: { ...process.env, PATH: `${folder.file('bin')}:${process.env['PATH'] ?? ''}` },
    });

  it('are answered', async () => {
    let answer = '';
    await until(() => {
      try {
        answer = run('rtprelayctl list numsessions');
        return true;
      } catch {
        return false;
      }
    }, 'an answer');
    expect(answer).to.include('Current sessions total: 0');
    expect(run('rtprelayctl -ip 10.0.0.12:9900 -timeout 2 list totals')).to.include(
      'Total managed sessions',
    );
    expect(run('rtprelayctl help')).to.include('list');
  });

  it('are all that it says', () => {
    expect(document.left).to.deep.equal([]);
  });
});
