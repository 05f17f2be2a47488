/** Leaving service without losing a call: CLI, signal, time limit. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort } from '../support/free-ports.js';
import { audioSdp, type NgClient } from '../support/ng-client.js';
import { until } from '../support/wait.js';

const client = fileURLToPath(new URL('../../dist/bin/rtprelayctl.js', import.meta.url));

describe('drain', () => {
  let daemon: MediaDaemon;
  let ng: NgClient;
  let cliPort: number;

  async function start(...extra: readonly string[]): Promise<void> {
    cliPort = freeTcpPort();
    daemon = await MediaDaemon.start('rtprelayd', {
      mediaPorts: 40,
      extra: [`--listen-cli=127.0.0.1:${cliPort}`, '--delete-delay=0', ...extra],
    });
    ng = daemon.client();
  }
  afterEach(async () => {
    ng.close();
    await daemon.stop();
  });

  const rtprelayctl = (...words: readonly string[]): string =>
    execFileSync(process.execPath, [client, '-ip', `127.0.0.1:${cliPort}`, ...words], {
      encoding: 'latin1',
    });
  const offer = (callId: string): ReturnType<NgClient['ask']> =>
    ng.ask({
      ...{ command: 'offer', 'call-id': callId, 'from-tag': 'a', sdp: audioSdp(6000) },
      supports: ['load limit'],
    });

  it('refuses new calls, keeps the others, and ends with 0 after the last one', async () => {
    await start();
    await offer('one');
    expect(rtprelayctl('drain')).to.equal('Draining, 1 calls left.\n');
    expect(await offer('two')).to.include({ result: 'load limit' });
    expect(await offer('one'), 'a re-INVITE').to.include({ result: 'ok' });
    await ng.ask({ command: 'delete', 'call-id': 'one', 'from-tag': 'a' });
    expect(await daemon.process.ended(10_000)).to.equal(0);
    expect(daemon.process.log()).to.include('Drained: no calls are left');
  });

  it('can be taken back', async () => {
    await start();
    await offer('one');
    rtprelayctl('drain', '3600');
    expect(rtprelayctl('drain', 'off')).to.equal('New calls are taken again.\n');
    expect(await offer('two')).to.include({ result: 'ok' });
    expect(rtprelayctl('drain', 'off')).to.equal('Not draining.\n');
  });

  it('ends at its time limit with the calls that are left', async () => {
    await start('--drain-timeout=1');
    await offer('one');
    daemon.process.signal('SIGUSR1');
    expect(await daemon.process.ended(15_000)).to.equal(0);
    expect(daemon.process.log()).to.include('Draining took too long: 1 calls are left');
  });

  it('begins with SIGUSR1 when the configuration has a limit', async () => {
    await start('--drain-timeout=0');
    await offer('one');
    daemon.process.signal('SIGUSR1');
    await until(async () => (await offer(`new ${Math.random()}`))['result'] === 'load limit', 'it');
    expect(daemon.process.log()).not.to.include('log level to');
  });
});
