/**
 * Calls that are encrypted here outlive the process, and no packet index is used twice, with keys of SDES and of DTLS.
 * `FAILOVERS=100` has them outlive so many.
 */
import { expect } from 'chai';
import { CertificateAuthority } from '../support/certificates.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeUdpPort, freeUdpRange } from '../support/free-ports.js';
import type { NgClient } from '../support/ng-client.js';
import { RedisProcess } from '../support/redis-server.js';
import { RtpEndpoint, rtpPacket, senderReport, type Destination } from '../support/rtp-endpoint.js';
import { audio, buildSdp, mediaTarget } from '../support/sdp.js';
import { SecurePeer } from '../support/secure-peer.js';
import { Indexes } from '../support/srtp-packet.js';
import { pause, until } from '../support/wait.js';

const failovers = Number(process.env['FAILOVERS'] ?? 8);
const packetsEach = 12;
const suite = 'AES_CM_128_HMAC_SHA1_80';
const theirKey = 'MDEyMzQ1Njc4OUFCQ0RFRjAxMjM0NTY3ODlBQkNE';

const bodyOf = (port: number, protocol: string, lines: readonly string[] = []): string =>
  buildSdp({ address: '127.0.0.1', media: [{ ...audio(port), protocol, formats: '0', lines }] });

describe('SRTP over restarts', function () {
  this.timeout(60_000 + 3_000 * failovers);
  let redis: RedisProcess;
  let daemon: MediaDaemon;
  let ng: NgClient;
  let a: RtpEndpoint;
  let b: RtpEndpoint;
  let page: SecurePeer;
  const ports = freeUdpRange(40);
  const controlPort = freeUdpPort();
  const authority = new CertificateAuthority('restarts');
  const files = authority.issue('page', 'DNS:page');

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
    page = await SecurePeer.open(files);
  });
  afterEach(async () => {
    ng.close();
    a.close();
    b.close();
    page.close();
    await daemon.stop('SIGKILL');
    await redis.stop();
  });
  after(() => {
    authority.remove();
  });

  const ask = async (dictionary: Parameters<NgClient['ask']>[0]): Promise<string> =>
    String((await ng.ask(dictionary))['sdp']);

  /** a, plain, calls b, with keys of SDES. @returns where a sends to, and what b gets. */
  async function callBySdes(): Promise<readonly [Destination, Indexes]> {
    const call = { 'call-id': 'sdes', 'from-tag': 'a' };
    const offered = await ask({
      ...{ command: 'offer', ...call, sdp: bodyOf(a.port, 'RTP/AVP') },
      ...{ 'transport-protocol': 'RTP/SAVP', SDES: [`only-${suite}`] },
    });
    const inline = /inline:(\S+)/.exec(offered)?.[1] ?? '';
    const lines = [`a=crypto:1 ${suite} inline:${theirKey}`];
    const sdp = bodyOf(b.port, 'RTP/SAVP', lines);
    const answered = await ask({ command: 'answer', ...call, 'to-tag': 'b', sdp });
    return [mediaTarget(answered), new Indexes('SDES', Buffer.from(inline, 'base64'))];
  }

  /** The page calls a. @returns where a sends to, and what the page gets. */
  async function callByDtls(): Promise<readonly [Destination, Indexes]> {
    const call = { 'call-id': 'dtls', 'from-tag': 'page' };
    const offered = await ask({
      ...{ command: 'offer', ...call, sdp: page.offer(), ICE: 'remove' },
      ...{ 'transport-protocol': 'RTP/AVP', 'rtcp-mux': ['demux'] },
    });
    const sdp = bodyOf(a.port, 'RTP/AVP');
    await page.accept(await ask({ command: 'answer', ...call, 'to-tag': 'a', sdp }));
    const target = mediaTarget(offered);
    await page.meets(a, target);
    return [target, new Indexes('DTLS', page.theirKey)];
  }

  it('(key, SSRC, index) is never used twice, and the receiver never loses the sender', async () => {
    const [toPhone, phone] = await callBySdes();
    const [toPage, browser] = await callByDtls();
    // The sequence numbers start anew on the way.
    let sequenceNumber = 0x10000 - (failovers * packetsEach) / 2;
    let fromPage = 0;
    for (let round = 0; round < failovers; round++) {
      b.clear();
      a.clear();
      page.clear();
      for (let count = 0; count < packetsEach; count++, sequenceNumber++) {
        const payload = Buffer.alloc(160, sequenceNumber & 0xff);
        const timestamp = sequenceNumber * 160;
        const packet = rtpPacket({ sequenceNumber, timestamp, ssrc: a.ssrc, payload });
        const report = senderReport(a.ssrc, round, count);
        for (const { address, port } of [toPhone, toPage]) {
          a.rtpSocket.send(packet, port, address);
          a.rtcpSocket.send(report, port + 1, address);
        }
        page.send(rtpPacket({ sequenceNumber: (fromPage += 1), timestamp, ssrc: 77, payload }));
        await pause(2);
      }
      await until(
        () =>
          [a.rtp, b.rtp, b.rtcp, page.srtp, page.srtcp].every((all) => all.length === packetsEach),
        'all packets',
      );
      phone.take(
        b.rtp.map(({ bytes }) => bytes),
        b.rtcp.map(({ bytes }) => bytes),
      );
      browser.take(page.srtp, page.srtcp);
      await daemon.stop('SIGKILL');
      await start();
      await until(
        (
          (known) => () =>
            page.answered > known
        )(page.answered),
        'an answered check',
      );
    }
    for (const { rtp } of [phone, browser]) {
      expect(Math.max(...rtp)).to.be.above(0xffff);
      expect(rtp.size).to.equal(failovers * packetsEach);
    }
  });
});
