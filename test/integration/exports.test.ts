/** Receivers of figures that are away or do not read: they cost a log line, and nothing else anything. */
import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { TopFrame } from '../../src/daemon/cli/top.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort } from '../support/free-ports.js';
import { audioSdp, mediaPort } from '../support/ng-client.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { until } from '../support/wait.js';

const program = fileURLToPath(new URL('../../dist/bin/rtprelayctl.js', import.meta.url));
const run = promisify(execFile);

describe('exports and top of a running daemon', function () {
  this.timeout(30_000);
  let daemon: MediaDaemon;
  let cli: number;
  const deaf = createServer((socket) => socket.pause().on('error', () => undefined));

  before(async () => {
    deaf.listen(0, '127.0.0.1');
    await once(deaf, 'listening');
    const { port } = deaf.address() as AddressInfo;
    cli = freeTcpPort();
    const nobody = freeTcpPort();
    daemon = await MediaDaemon.start('rtprelayd', {
      extra: [
        ...[`--listen-cli=127.0.0.1:${cli}`, `--homer=127.0.0.1:${port}`, '--homer-protocol=tcp'],
        ...['--homer-enable-ng', `--graphite=127.0.0.1:${nobody}`, '--graphite-interval=1'],
      ],
    });
  });
  after(async () => {
    await daemon?.stop();
    deaf.close();
  });

  it('say once that nobody is there, and media flows', async () => {
    const client = daemon.client();
    const [a, b] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
    const ids = { 'call-id': 'away', 'from-tag': 'a' };
    const toB = mediaPort(
      await client.request({ command: 'offer', ...ids, sdp: audioSdp(a.port) }),
    );
    const answer = { command: 'answer', ...ids, 'to-tag': 'b', sdp: audioSdp(b.port) };
    const toA = mediaPort(await client.request(answer));
    const talk = setInterval(() => {
      a.send(toA);
      b.send(toB);
    }, 20);
    try {
      const { stdout } = await run(program, [
        ...['-port', String(cli), 'top', '--json', '--once', '--interval=1'],
      ]);
      const frame = JSON.parse(stdout) as TopFrame;
      expect(frame).to.include({ calls: 1, streams: 2, activeStreams: 2 });
      const [row] = frame.rows;
      expect(row?.packetsPerSecond).to.be.greaterThan(1);
      expect(row?.packetsOutPerSecond).to.be.greaterThan(1);
      // Every request and reply, and more than the receiver's buffers hold, would wait for Homer.
      const big = 'x'.repeat(20_000);
      for (let count = 0; count < 400; count += 1) {
        await client.request({ command: 'query', 'call-id': 'away', metadata: big });
      }
      const before = b.received;
      await until(() => b.received > before + 5, 'media');
      const log = (): string => daemon.process.log();
      await until(
        () => log().includes('Homer at 127.0.0.1') && log().includes('is too slow'),
        'the word about Homer',
      );
      expect(log().match(/is too slow/g)).to.have.length(1);
      expect(log().match(/Graphite at 127\.0\.0\.1:\d+: ECONNREFUSED/g)).to.have.length(1);
    } finally {
      clearInterval(talk);
      client.close();
      a.close();
      b.close();
    }
  });

  it('top says what is wrong', async () => {
    const failed = await run(program, ['-port', String(cli), 'top', '--nonsense']).catch(
      (error: unknown) => String((error as { stderr: string }).stderr),
    );
    expect(failed).to.include("not '--nonsense'");
  });
});
