/** What SDP says about media, with packets, a restart and rtpengine beside: families, RTCP, later answers. */
import { expect } from 'chai';
import { MediaDaemon, rtpengineInstalled, type DaemonKind } from '../support/daemons.js';
import { freeUdpRange } from '../support/free-ports.js';
import type { NgClient } from '../support/ng-client.js';
import { RedisProcess } from '../support/redis-server.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { audio, buildSdp, mediaTarget, sdpLines } from '../support/sdp.js';
import { pause, until } from '../support/wait.js';

const interfaces = ['both/127.0.0.1', 'both/::1'];

describe('SIP over one family, media over the other', () => {
  const phones: RtpEndpoint[] = [];
  let daemon: MediaDaemon | undefined;
  let ng: NgClient | undefined;
  before(async () => {
    daemon = await MediaDaemon.start('rtprelayd', { interfaces });
    ng = daemon.client();
  });
  afterEach(() => {
    for (const phone of phones.splice(0)) phone.close();
  });
  after(async () => {
    ng?.close();
    await daemon?.stop();
  });

  async function phoneAt(address: string): Promise<RtpEndpoint> {
    const phone = await RtpEndpoint.open(undefined, address);
    phones.push(phone);
    return phone;
  }

  for (const [media, family, source] of [
    ['127.0.0.1', 'IP6', '2001:db8::7'],
    ['::1', 'IP4', '192.0.2.7'],
  ] as const) {
    it(`is relayed at ${media} though the requests came from ${source}`, async () => {
      if (ng === undefined) throw new Error('not started');
      const [a, x] = [await phoneAt(media), await phoneAt(media)];
      const keys = {
        ...{ 'call-id': media, 'from-tag': 'a', flags: ['SIP-source-address'] },
        'received-from': [family, source],
      };
      const sdpOf = ({ port }: RtpEndpoint): string =>
        buildSdp({ address: media, origin: media, media: [audio(port)] });
      const offered = await ng.ask({ command: 'offer', ...keys, sdp: sdpOf(a) });
      const answered = await ng.ask({ command: 'answer', ...keys, 'to-tag': 'x', sdp: sdpOf(x) });
      const towardsA = mediaTarget(String(answered['sdp']));
      expect(towardsA.address).to.equal(media);
      // Only the callee speaks: the caller gets it at the address that its SDP names.
      for (let sent = 0; sent < 10; sent++) {
        x.sendNext(mediaTarget(String(offered['sdp'])));
        await pause(2);
      }
      await until(() => a.received === 10, 'all packets reach the caller');
    });
  }
});

describe('RTCP that a=rtcp tells nothing usable about', () => {
  let daemon: MediaDaemon | undefined;
  let ng: NgClient | undefined;
  before(async () => {
    daemon = await MediaDaemon.start('rtprelayd', { interfaces });
    ng = daemon.client();
  });
  after(async () => {
    ng?.close();
    await daemon?.stop();
  });

  for (const [value, offset] of [
    ['0', 1],
    ['0 IN IP4 0.0.0.0', 1],
    ['PORT IN IP4 0.0.0.0', 1],
    ['PORT IN IP6 ::', 1],
    ['PORT IN IP4 nowhere.example.com', 1],
  ] as const) {
    it(`a=rtcp:${value} reaches the caller`, async () => {
      if (ng === undefined) throw new Error('not started');
      const [a, x] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
      try {
        const line = `a=rtcp:${value.replace('PORT', String(a.port + offset))}`;
        const at = '127.0.0.1';
        const body = (port: number, ...lines: readonly string[]): string =>
          buildSdp({ address: at, origin: at, media: [audio(port, lines)] });
        const keys = { 'call-id': value, 'from-tag': 'a' };
        const offered = await ng.ask({ command: 'offer', ...keys, sdp: body(a.port, line) });
        await ng.ask({ command: 'answer', ...keys, 'to-tag': 'x', sdp: body(x.port) });
        const target = mediaTarget(String(offered['sdp']));
        x.sendReport({ ...target, port: target.port + 1 });
        await until(() => a.rtcp.length === 1, 'the report reaches the caller');
      } finally {
        for (const phone of [a, x]) phone.close();
      }
    });
  }
});

describe('a 200 OK after the daemon was killed behind the 183', () => {
  const formatsOf = (sdp: unknown): string =>
    sdpLines(String(sdp))
      .find((line) => line.startsWith('m='))
      ?.split(' ')
      .slice(3)
      .join(' ') ?? '';

  async function survives(format: string, reader: DaemonKind): Promise<void> {
    const redis = await RedisProcess.start();
    const options = {
      portRange: freeUdpRange(20),
      extra: [`--redis=127.0.0.1:${redis.port}/4`],
    };
    let daemon = await MediaDaemon.start('rtprelayd', {
      ...options,
      extra: [...options.extra, `--redis-format=${format}`],
    });
    try {
      const keys = { 'call-id': 'later', 'from-tag': 'a' };
      const body = (formats: string): string => buildSdp({ media: [{ ...audio(6000), formats }] });
      let ng = daemon.client();
      await ng.ask({ command: 'offer', ...keys, sdp: body('8 18 101') });
      const early = { command: 'answer', ...keys, 'to-tag': 'x', sdp: body('8 101') };
      expect(formatsOf((await ng.ask(early))['sdp'])).to.equal('8 101');
      ng.close();
      await daemon.stop('SIGKILL');
      daemon = await MediaDaemon.start(reader, options);
      ng = daemon.client();
      const reply = await ng.ask({ ...early, sdp: body('18 101') });
      ng.close();
      expect(reply['result']).to.equal('ok');
      // What 10.5 makes of it is its own affair; that it has the call is ours.
      if (reader === 'rtprelayd') expect(formatsOf(reply['sdp'])).to.equal('18 101');
    } finally {
      await daemon.stop();
      await redis.stop();
    }
  }

  for (const format of ['JSON', 'bencode', 'JSON-10.5']) {
    it(`still knows what was offered (${format})`, () => survives(format, 'rtprelayd'));
  }

  it('finds its call in rtpengine 10.5', async function () {
    if (!rtpengineInstalled) this.skip();
    await survives('JSON-10.5', 'rtpengine');
  });
});
