/** The commands of README.md, as they stand there, in a network of their own. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { TestProcess } from '../support/child-process.js';
import { Commands } from '../support/document.js';
import { NetworkNamespace, namespacesAllowed } from '../support/namespaces.js';
import { until } from '../support/wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

describe('the commands of README.md', function () {
  this.timeout(120_000);
  const document = new Commands('README.md');
  let namespace: NetworkNamespace;

  before(function () {
    if (!namespacesAllowed()) this.skip();
    namespace = new NetworkNamespace('readme');
  });
  after(() => namespace?.remove());

  const start = (command: string): TestProcess =>
    new TestProcess('shell', 'sh', ['-c', `exec ${document.take(command)}`], {
      ...{ namespace: namespace.name, cwd: root },
    });

  it('show a call', async () => {
    const shell = start('npm start');
    try {
      // Not how many packets are late on a busy machine.
      await shell.ended(60_000);
      expect(shell.log()).to.match(/^offer: .*\n^answer: .*/m);
      expect(shell.log()).to.match(/\d+ packets lost\nrtprelayd ended with 0\n/);
    } finally {
      await shell.stop();
    }
  });

  it('start the daemon, and ask it', async () => {
    const shell = start(
      'npm start -- --interface=127.0.0.1 --listen-ng=127.0.0.1:2223 --listen-cli=127.0.0.1:9900',
    );
    const command = document.take(
      'deploy/bin/rtprelay-probe ping 127.0.0.1 2223 && dist/bin/rtprelayctl.js -ip 127.0.0.1:9900 list numsessions',
    );
    try {
      const words = ['netns', 'exec', namespace.name, 'sh', '-c', command];
      let answer = '';
      await until(() => {
        const { status, stdout } = spawnSync('ip', words, { cwd: root, encoding: 'utf8' });
        answer = stdout;
        return status === 0;
      }, 'an answer');
      expect(answer).to.include('Current sessions own: 0');
    } finally {
      await shell.stop();
    }
  });

  it('are all that it says, besides the tests', () => {
    expect(document.left).to.deep.equal(['npm test']);
  });
});
