/** A call that is encrypted here outlives the process, and no packet index is used twice. */
import { expect } from 'chai';
import { MediaDaemon } from '../support/daemons.js';
import { freeUdpPort, freeUdpRange } from '../support/free-ports.js';
import type { NgClient } from '../support/ng-client.js';
import { RedisProcess } from '../support/redis-server.js';
import { RtpEndpoint, rtpPacket, senderReport } from '../support/rtp-endpoint.js';
import { audio, buildSdp, mediaTarget } from '../support/sdp.js';
import { srtcpIndex, srtpIndex } from '../support/srtp-packet.js';
import { pause, until } from '../support/wait.js';

const failovers = 8;
const packetsEach = 12;
const suite = 'AES_CM_128_HMAC_SHA1_80';
const theirKey = 'MDEyMzQ1Njc4OUFCQ0RFRjAxMjM0NTY3ODlBQkNE';

const bodyOf = (port: number, protocol: string, lines: readonly string[] = []): string =>
  buildSdp({ address: '127.0.0.1', media: [{ ...audio(port), protocol, formats: '0', lines }] });

describe('SRTP over restarts', function () {
  this.timeout(60_000);
  let redis: RedisProcess;
  let daemon: MediaDaemon;
  let ng: NgClient;
  let a: RtpEndpoint;
  let b: RtpEndpoint;
  const ports = freeUdpRange(40);
  const controlPort = freeUdpPort();

  const start = async (): Promise<void> => {
    daemon = await MediaDaemon.start('rtprelayd', {
      portRange: ports,
      controlPort,
      extra: [`--redis=127.0.0.1:${redis.port}/0`],
    });
  };

  beforeEach(async () => {
    redis = await RedisProcess.start();
    await start();
    ng = daemon.client();
    a = await RtpEndpoint.open();
    b = await RtpEndpoint.open();
  });
  afterEach(async () => {
    ng.close();
    a.close();
    b.close();
    await daemon.stop('SIGKILL');
    await redis.stop();
  });

  it('(key, SSRC, index) is never used twice, and the receiver never loses the sender', async () => {
    const call = { 'call-id': 'secret', 'from-tag': 'a' };
    const offered = await ng.ask({
      ...{ command: 'offer', ...call, sdp: bodyOf(a.port, 'RTP/AVP') },
      ...{ 'transport-protocol': 'RTP/SAVP', SDES: [`only-${suite}`] },
    });
    const inline = /inline:(\S+)/.exec(String(offered['sdp']))?.[1] ?? '';
    const key = Buffer.from(inline, 'base64');
    const lines = [`a=crypto:1 ${suite} inline:${theirKey}`];
    const answered = await ng.ask({
      ...{ command: 'answer', ...call, 'to-tag': 'b' },
      sdp: bodyOf(b.port, 'RTP/SAVP', lines),
    });
    const target = mediaTarget(String(answered['sdp']));

    const rtp = new Set<number>();
    const rtcp = new Set<number>();
    // The sequence numbers start anew on the way.
    let sequenceNumber = 0x10000 - (failovers * packetsEach) / 2;
    for (let round = 0; round < failovers; round++) {
      b.clear();
      for (let count = 0; count < packetsEach; count++, sequenceNumber++) {
        const payload = Buffer.alloc(160, sequenceNumber & 0xff);
        const timestamp = sequenceNumber * 160;
        const packet = rtpPacket({ sequenceNumber, timestamp, ssrc: a.ssrc, payload });
        a.rtpSocket.send(packet, target.port, target.address);
        a.rtcpSocket.send(senderReport(a.ssrc, round, count), target.port + 1, target.address);
        await pause(2);
      }
      await until(
        () => b.rtp.length === packetsEach && b.rtcp.length === packetsEach,
        'all packets',
      );
      for (const { bytes } of b.rtp) {
        const index = srtpIndex(key, bytes);
        expect(index, 'an authentic packet').to.be.a('number');
        expect(rtp.has(index ?? -1), `SRTP index ${index} once`).to.equal(false);
        rtp.add(index ?? -1);
      }
      for (const { bytes } of b.rtcp) {
        const index = srtcpIndex(key, bytes);
        expect(index, 'an authentic report').to.be.a('number');
        expect(index, 'it only grows').to.be.above(Math.max(-1, ...rtcp));
        rtcp.add(index ?? -1);
      }
      await daemon.stop('SIGKILL');
      await start();
    }
    expect(Math.max(...rtp)).to.be.above(0xffff);
    expect(rtp.size).to.equal(failovers * packetsEach);
  });
});
