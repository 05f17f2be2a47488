/** A process pair and those who connect to it while one process follows another. */
import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { TemporaryFolder, TestProcess } from '../support/child-process.js';
import { freeTcpPort } from '../support/free-ports.js';
import { audioSdp } from '../support/ng-client.js';
import { limitMs, ProcessPair } from '../support/process-pair.js';
import { pause, until } from '../support/wait.js';

type Outcome = 'answered' | 'ended' | 'refused';

/** What becomes of a connection on which something is asked. */
function ask(where: { port: number } | { path: string }, question: string): Promise<Outcome> {
  return new Promise((resolve) => {
    let isConnected = false;
    const socket = connect({ host: '127.0.0.1', ...where });
    socket.on('connect', () => {
      isConnected = true;
      socket.write(question);
    });
    socket.on('data', () => {
      socket.destroy();
      resolve('answered');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(isConnected ? 'ended' : 'refused'));
  });
}

describe('the process pair and its listeners', function () {
  this.timeout(180_000);
  const folder = new TemporaryFolder('pair-listeners');
  const path = folder.file('ng.sock');
  const [cli, http, tcp] = [freeTcpPort(), freeTcpPort(), freeTcpPort()];
  const questions = {
    cli: [{ port: cli }, 'list numsessions\n'],
    http: [{ port: http }, 'GET /ping HTTP/1.1\r\nhost: localhost\r\n\r\n'],
    tcp: [{ port: tcp }, 'c1 d7:command4:pinge'],
    unix: [{ path }, 'c1 d7:command4:pinge'],
  } as const;
  let pair: ProcessPair;
  beforeEach(async () => {
    pair = new ProcessPair([
      ...[`--listen-cli=127.0.0.1:${cli}`, `--listen-http=127.0.0.1:${http}`],
      ...[`--listen-tcp-ng=127.0.0.1:${tcp}`, `--listen-ng=unix:${path}`],
    ]);
    await pair.warm(1);
    await pair.ng.ask({ command: 'offer', 'call-id': 'one', 'from-tag': 'a', sdp: audioSdp(6000) });
  });
  afterEach(() => pair.stop());
  after(() => folder.remove());

  const outcomes = async (
    kind: keyof typeof questions,
    isOver: () => boolean,
  ): Promise<Outcome[]> => {
    const [where, question] = questions[kind];
    const found: Outcome[] = [];
    while (!isOver()) {
      found.push(await ask(where, question));
      await pause(5);
    }
    return found;
  };
  const isServing = async (): Promise<void> => {
    for (const [where, question] of Object.values(questions))
      await until(async () => (await ask(where, question)) === 'answered', question, limitMs);
    expect((await pair.ng.ask({ command: 'list' }))['calls']).to.deep.equal(['one']);
  };

  it('refuses nobody over TCP or a Unix socket when the active process is killed or an upgrade comes', async () => {
    let isOver = false;
    const all = (['cli', 'http', 'tcp', 'unix'] as const).map((kind) =>
      outcomes(kind, () => isOver),
    );
    for (let kills = 1; kills <= 2; kills++) {
      await pair.warm(kills);
      process.kill(pair.active(), 'SIGKILL');
      await pair.serves(kills + 1);
    }
    await pair.warm(3);
    pair.parent.signal('SIGUSR2');
    await pair.serves(4);
    await isServing();
    isOver = true;
    for (const found of await Promise.all(all)) {
      expect(found).to.include('answered').and.not.include('refused');
    }
    // No process has ended by itself.
    expect(pair.count(/has ended with status/g)).to.equal(0);
    await pair.parent.stop();
    expect(existsSync(path), 'taken away at the end').to.equal(false);
  });

  it('goes on with its calls when a port is not to be had, and opens it later', async () => {
    const squatter = new TestProcess('squatter', 'python3', [
      '-c',
      `import os,socket,time
os.path.exists(${JSON.stringify(path)}) and os.unlink(${JSON.stringify(path)})
s=socket.socket(socket.AF_UNIX); s.bind(${JSON.stringify(path)}); s.listen(8); print('there',flush=True); time.sleep(60)`,
    ]);
    try {
      // The path is another's now.
      await until(() => squatter.log().includes('there'), 'the other program', limitMs);
      process.kill(pair.active(), 'SIGKILL');
      await until(() => pair.log.includes('it is tried again'), 'the complaint', limitMs);
      expect((await pair.ng.ask({ command: 'list' }))['calls']).to.deep.equal(['one']);
      expect(pair.count(/is the active one now/g)).to.equal(1);
    } finally {
      await squatter.stop();
    }
    await until(() => pair.log.includes('Everything is open now'), 'the ports', limitMs);
    await isServing();
  });
});
