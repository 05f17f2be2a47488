/** What ends calls by itself, and what happens when something runs out. */
import { expect } from 'chai';
import { readdirSync } from 'node:fs';
import type { TestProcess } from '../support/child-process.js';
import { freeUdpPort, freeUdpRange } from '../support/free-ports.js';
import { audioSdp, mediaPort, NgClient, type Reply } from '../support/ng-client.js';
import { startDaemon } from '../support/processes.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { pause, until } from '../support/wait.js';

interface Setup {
  readonly daemon: TestProcess;
  readonly ng: NgClient;
}

async function withDaemon(
  options: readonly string[],
  work: (setup: Setup) => Promise<void>,
): Promise<void> {
  const port = freeUdpPort();
  const { min, max } = freeUdpRange(40);
  const ports = [`--port-min=${min}`, `--port-max=${max}`];
  const daemon = await startDaemon(port, [...options, ...ports]);
  const ng = new NgClient(port);
  try {
    await work({ daemon, ng });
  } finally {
    ng.close();
    await daemon.stop();
  }
}

const offer = (ng: NgClient, callId: string, sdp = audioSdp(6000)): Promise<Reply> =>
  ng.ask({ command: 'offer', 'call-id': callId, 'from-tag': 'a', sdp });

const answer = (ng: NgClient, callId: string, sdp = audioSdp(7000)): Promise<Reply> =>
  ng.ask({ command: 'answer', 'call-id': callId, 'from-tag': 'a', 'to-tag': 'b', sdp });

const listed = async (ng: NgClient): Promise<unknown> =>
  (await ng.ask({ command: 'list' }))['calls'];

describe('timeouts', function () {
  this.timeout(30_000);

  it('end a call without media after --timeout, and not one that talks', async () => {
    await withDaemon(['--timeout=2', '--offer-timeout=60'], async ({ daemon, ng }) => {
      const [a, b] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
      await offer(ng, 'quiet');
      await answer(ng, 'quiet');
      await offer(ng, 'talking', audioSdp(a.port));
      const towardsB = mediaPort(await answer(ng, 'talking', audioSdp(b.port)));
      const talk = setInterval(() => a.send(towardsB), 20);
      try {
        await until(
          async () => String(await listed(ng)) === 'talking',
          'the end of the quiet call',
        );
        await pause(1500);
        expect(await listed(ng)).to.deep.equal(['talking']);
        expect(daemon.log()).to.match(/\[quiet\].*Closing call due to timeout/);
      } finally {
        clearInterval(talk);
        a.close();
        b.close();
      }
    });
  });

  it('give a held call --silent-timeout instead', async () => {
    await withDaemon(['--timeout=1', '--silent-timeout=4'], async ({ ng }) => {
      const held = audioSdp(6000, ['a=inactive']);
      for (const callId of ['plain', 'held'])
        await offer(ng, callId, callId === 'held' ? held : undefined);
      await answer(ng, 'plain');
      await answer(ng, 'held', audioSdp(7000, ['a=inactive']));
      await until(async () => String(await listed(ng)) === 'held', 'the end of the plain call');
      await until(async () => String(await listed(ng)) === '', 'the end of the held call');
    });
  });

  it('end every call after --final-timeout', async () => {
    await withDaemon(['--final-timeout=2'], async ({ daemon, ng }) => {
      await offer(ng, 'long');
      await answer(ng, 'long');
      await until(async () => String(await listed(ng)) === '', 'the end of the call');
      expect(daemon.log()).to.match(/\[long\].*final timeout/i);
    });
  });

  // As rtpengine: the offerer's stream has --timeout, so the longer of the two counts.
  it('end an offer that nobody answers after --offer-timeout', async () => {
    await withDaemon(['--timeout=1', '--offer-timeout=4'], async ({ ng }) => {
      await offer(ng, 'answered');
      await answer(ng, 'answered');
      await offer(ng, 'ringing');
      await until(async () => String(await listed(ng)) === 'ringing', 'the end of the silent call');
      await until(async () => String(await listed(ng)) === '', 'the end of the offer');
    });
  });

  it('delete after the delay asked for, unless an offer comes before', async () => {
    await withDaemon([], async ({ ng }) => {
      for (const callId of ['gone', 'revived']) {
        await offer(ng, callId);
        await answer(ng, callId);
        await ng.ask({ command: 'delete', 'call-id': callId, 'from-tag': 'a', 'delete-delay': 1 });
      }
      expect(await listed(ng)).to.have.members(['gone', 'revived']);
      await offer(ng, 'revived');
      await until(async () => String(await listed(ng)) === 'revived', 'the deletion');
      await pause(1500);
      expect(await listed(ng)).to.deep.equal(['revived']);
    });
  });
});

describe('ports that run out', () => {
  it('cost the offer that needs them, nothing else, and come back', async () => {
    const { min } = freeUdpRange(12);
    const options = [`--port-min=${min}`, `--port-max=${min + 11}`];
    await withDaemon(options, async ({ daemon, ng }) => {
      const descriptors = (): number => readdirSync(`/proc/${daemon.pid}/fd`).length;
      for (const callId of ['one', 'two', 'three']) {
        expect(await offer(ng, callId)).to.include({ result: 'ok' });
      }
      const open = descriptors();
      const refused = { result: 'error', 'error-reason': 'Ran out of ports' };
      for (let i = 0; i < 20; i++) expect(await offer(ng, `more-${i}`)).to.deep.equal(refused);
      expect(await listed(ng)).to.have.members(['one', 'two', 'three']);
      expect(descriptors()).to.equal(open);
      // Half a call does not fit either: what it took first is free again.
      await ng.ask({ command: 'delete', 'call-id': 'one', 'delete-delay': 0 });
      const two = audioSdp(6000).replace(/m=.*\r\n/, (line) => line + line);
      expect(await offer(ng, 'large', two)).to.deep.equal(refused);
      expect(await offer(ng, 'four')).to.include({ result: 'ok' });
      await until(() => descriptors() === open, 'the same descriptors');
    });
  });

  it('takes no more calls than there are ports, though some need none', async () => {
    const { min } = freeUdpRange(20);
    const options = [`--port-min=${min}`, `--port-max=${min + 9}`];
    await withDaemon(options, async ({ ng }) => {
      for (let i = 0; i < 10; i++)
        expect(await offer(ng, `idle-${i}`, '')).to.include({ result: 'ok' });
      expect(await offer(ng, 'one more', '')).to.deep.equal({
        ...{ result: 'error', 'error-reason': 'Parallel session limit reached' },
      });
      await ng.ask({ command: 'delete', 'call-id': 'idle-3', 'delete-delay': 0 });
      expect(await offer(ng, 'one more')).to.include({ result: 'ok' });
    });
  });
});
