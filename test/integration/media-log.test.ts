/** What the log says of a call's media. */
import { expect } from 'chai';
import { MediaDaemon } from '../support/daemons.js';
import type { NgClient } from '../support/ng-client.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { buildSdp, mediaTarget } from '../support/sdp.js';

describe('the log of media', () => {
  let daemon: MediaDaemon;
  let client: NgClient;
  let caller: RtpEndpoint;
  let callee: RtpEndpoint;

  before(async () => {
    daemon = await MediaDaemon.start('rtprelayd');
    client = daemon.client();
  });
  after(async () => {
    client?.close();
    await daemon?.stop();
  });
  beforeEach(async () => {
    caller = await RtpEndpoint.open();
    callee = await RtpEndpoint.open();
  });
  afterEach(() => {
    caller.close();
    callee.close();
  });

  interface Ports {
    readonly caller: number;
    readonly callee: number;
  }

  async function signal(
    callId: string,
    flags: readonly string[],
    address = '127.0.0.1',
  ): Promise<Ports> {
    const say = async (command: string, port: number, host: string): Promise<number> => {
      const tags = { 'from-tag': 'a', ...(command === 'answer' ? { 'to-tag': 'x' } : {}) };
      const sdp = buildSdp({ origin: host, address: host, media: [{ port }] });
      const keys = { command, 'call-id': callId, ...tags, sdp, flags: [...flags] };
      const reply = await client.request(keys);
      expect(reply['result'], JSON.stringify(reply)).to.equal('ok');
      return mediaTarget(String(reply['sdp'])).port;
    };
    const facingCallee = await say('offer', caller.port, address);
    return { caller: await say('answer', callee.port, '127.0.0.1'), callee: facingCallee };
  }

  const linesOf = (callId: string, text: string): readonly string[] =>
    daemon.process
      .log()
      .split('\n')
      .filter((line) => line.includes(callId) && line.includes(text));

  it('names the confirmed address once, in the words of rtpengine, and again after new learning', async () => {
    const flags = ['endpoint-learning-immediate', 'media-handover'];
    const port = (await signal('confirmed', flags)).caller;
    const line = (at: number): string =>
      `INFO: [confirmed port ${port}]: [core] Confirmed peer address as 127.0.0.1:${at}`;
    await caller.sendRtp({ address: '127.0.0.1', port }, 5);
    await daemon.process.untilLogged(line(caller.port));
    await caller.settled();
    expect(linesOf('confirmed', 'Confirmed peer')).to.have.lengthOf(1);
    const moved = await RtpEndpoint.open();
    await moved.sendRtp({ address: '127.0.0.1', port }, 5);
    await daemon.process.untilLogged(line(moved.port));
    expect(
      linesOf('confirmed', `Peer address changed to 127.0.0.1:${moved.port}`),
    ).to.have.lengthOf(1);
    await signal('confirmed', flags);
    await moved.sendRtp({ address: '127.0.0.1', port }, 5);
    await daemon.process.until(() => linesOf('confirmed', line(moved.port)).length === 2);
    moved.close();
  });

  it('does not call an address confirmed that nobody learns', async () => {
    const port = (await signal('fixed', ['asymmetric'])).caller;
    await caller.sendRtp({ address: '127.0.0.1', port }, 3);
    await callee.settled();
    expect(callee.received).to.equal(3);
    expect(linesOf('fixed', 'Confirmed peer')).to.deep.equal([]);
  });

  it('says once for many packets that they cannot be sent, and why', async () => {
    for (const [callId, address, errno] of [
      ['broadcast', '255.255.255.255', 'EACCES'],
      ['other family', '2001:db8::1', 'EAFNOSUPPORT'],
    ] as const) {
      const ports = await signal(callId, [], address);
      const to = address.includes(':') ? `[${address}]` : address;
      const text = `Error when sending media to ${to}:${caller.port}: ${errno}`;
      const line = `WARNING: [${callId} port ${ports.caller}]: [core] ${text}`;
      for (let turn = 0; turn < 2; turn += 1) {
        await callee.sendRtp({ address: '127.0.0.1', port: ports.callee }, 10);
        await daemon.process.untilLogged(line);
      }
      expect(linesOf(callId, 'Error when sending')).to.have.lengthOf(1);
    }
  });
});
