import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { promisify } from 'node:util';
import { CliServer } from '../../../../src/daemon/cli/server.js';
import { FakeTarget } from '../../../support/unit/cli.js';

const control = '/usr/bin/rtpengine-ctl';

describe('CLI server', () => {
  let target: FakeTarget;
  let server: CliServer;
  let port: number;
  let lines: string[];
  let errors: string[];
  beforeEach(async () => {
    target = new FakeTarget();
    lines = [];
    errors = [];
    server = new CliServer({
      target,
      onLine: (message) => lines.push(message),
      onError: (message) => errors.push(message),
    });
    ({ port } = await server.listen({ address: '127.0.0.1', port: 0 }));
  });
  afterEach(() => server.close());

  function send(text: string, end = false): Promise<string> {
    return new Promise((resolve, reject) => {
      let received = '';
      const socket = connect(port, '127.0.0.1', () => {
        if (end) socket.end(text, 'latin1');
        else socket.write(text, 'latin1');
      });
      socket.setEncoding('latin1');
      socket.on('data', (chunk: string) => (received += chunk));
      socket.on('end', () => {
        resolve(received);
      });
      socket.on('error', reject);
    });
  }

  it('answers a line and closes', async () => {
    expect(await send('list timeout\n')).to.equal('TIMEOUT=60\n');
    expect(await send('list timeout\r\n')).to.equal('TIMEOUT=60\n');
    expect(lines[0]).to.match(/^New cli connection from 127\.0\.0\.1:\d+$/);
    expect(lines[1]).to.equal('Got CLI command: list timeout');
  });

  it('answers the first of two lines, and one without a line end', async () => {
    expect(await send('list timeout\nlist maxsessions\n')).to.equal('TIMEOUT=60\n');
    expect(await send('list timeout', true)).to.equal('TIMEOUT=60\n');
    expect(await send('', true)).to.equal('');
  });

  it('takes no more than 1024 bytes', async () => {
    const text = await send('x'.repeat(5000));
    expect(text).to.equal(`Unknown or incomplete command::${'x'.repeat(1024)}\n`);
  });

  it('keeps the bytes of a call-id', async () => {
    expect(await send('list sessions Zo\xc3\xab\n')).to.equal(
      '\nCall ID not found (Zo\xc3\xab).\n\n',
    );
  });

  it('survives a command that fails', async () => {
    target.statistics = () => {
      throw new Error('broken');
    };
    expect(await send('list totals\n')).to.equal('Error: broken\n');
    expect(errors).to.deep.equal(["CLI command 'list totals' failed: broken"]);
    expect(await send('list timeout\n')).to.equal('TIMEOUT=60\n');
  });

  it('says which address it cannot open', async () => {
    let message = '';
    try {
      await server.listen({ address: '127.0.0.1', port });
    } catch (error) {
      message = error instanceof Error ? error.message : '';
    }
    expect(message).to.match(
      /^Failed to open TCP CLI control connection port \(127\.0\.0\.1:\d+\): .*EADDRINUSE/,
    );
  });

  it('disconnects its clients when it closes', async () => {
    const waiting = send('no line end');
    await new Promise((resolve) => setTimeout(resolve, 50));
    await server.close();
    let outcome = 'closed';
    await waiting.catch((error: unknown) => {
      outcome = error instanceof Error ? error.message : 'failed';
    });
    expect(outcome).to.match(/closed|ECONNRESET/);
  });

  it('serves rtpengine-ctl', async function () {
    if (!existsSync(control)) this.skip();
    const run = promisify(execFile);
    const { stdout } = await run(control, [
      '-ip',
      '127.0.0.1',
      '-port',
      String(port),
      'list',
      'numsessions',
    ]);
    expect(stdout).to.match(/^Current sessions own: 0\n/);
    const set = await run(control, ['-ip', `127.0.0.1:${port}`, 'set', 'timeout', '70']);
    expect(set.stdout).to.equal('Success setting timeout to 70\n');
    expect(target.settings.timeout).to.equal(70);
  });
});
