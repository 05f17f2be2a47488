/**
 * Later offers that have RTCP with RTP or apart: until they are answered it comes and goes as before, since they may be
 * refused, and nobody tells the relay.
 */
import { expect } from 'chai';
import { MediaDaemon } from '../support/daemons.js';
import { audioSdp, type NgClient } from '../support/ng-client.js';
import { RtpEndpoint, rtpPacket, senderReport, type Destination } from '../support/rtp-endpoint.js';
import { mediaTarget } from '../support/sdp.js';
import { until } from '../support/wait.js';

describe('RTCP of an offer that is refused', function () {
  this.timeout(60_000);
  let daemon: MediaDaemon;
  let ng: NgClient;
  let offerer: RtpEndpoint;
  let other: RtpEndpoint;
  /** Where the two send their media, RTCP of the other one apart. */
  let toOfferer: Destination;
  let toOther: Destination;
  /** The port for the offerer's reports, where they have one. */
  let reportsTo: number;
  before(async () => {
    daemon = await MediaDaemon.start('rtprelayd');
    ng = daemon.client();
  });
  beforeEach(async () => {
    [offerer, other] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
  });
  afterEach(async () => {
    offerer.close();
    other.close();
    await ng.ask({ command: 'delete', 'call-id': 'mux', 'delete-delay': 0 });
  });
  after(async () => {
    ng?.close();
    await daemon?.stop('SIGKILL');
  });

  const tags = { 'call-id': 'mux', 'from-tag': 'offerer', 'to-tag': 'other' };
  const bodyOf = (mux: boolean): string => audioSdp(offerer.port, mux ? ['a=rtcp-mux'] : []);

  async function offer(mux: boolean): Promise<void> {
    const keys = { command: 'offer', ...tags, 'rtcp-mux': ['accept', 'demux'] };
    const { sdp } = await ng.ask({ ...keys, sdp: bodyOf(mux) });
    toOther = mediaTarget(String(sdp));
  }

  async function answer(): Promise<void> {
    const { sdp } = await ng.ask({ command: 'answer', ...tags, sdp: audioSdp(other.port) });
    toOfferer = mediaTarget(String(sdp));
    reportsTo = Number(/^a=rtcp:(\d+)/m.exec(String(sdp))?.[1] ?? toOfferer.port + 1);
  }

  /** Reports of both arrive, at the offerer's one port or at its second. */
  async function reportsPass(mux: boolean): Promise<void> {
    for (const each of [offerer, other]) each.clear();
    const arrived: string[] = [];
    const at =
      (name: string) =>
      (bytes: Buffer): void => {
        if ((bytes[1] ?? 0) === 200) arrived.push(`${name} ${bytes.readUInt32BE(4)}`);
      };
    const [rtp, rtcp] = [at('first'), at('second')];
    offerer.rtpSocket.on('message', rtp);
    offerer.rtcpSocket.on('message', rtcp);
    const from = { offerer: 7, other: 9 };
    let sequenceNumber = 0;
    await until(() => {
      sequenceNumber += 1;
      const fields = { sequenceNumber, timestamp: 0, payload: Buffer.alloc(20) };
      const media = (ssrc: number): Buffer => rtpPacket({ ...fields, ssrc });
      const { address } = toOfferer;
      offerer.rtpSocket.send(media(from.offerer), toOfferer.port, address);
      other.rtpSocket.send(media(from.other), toOther.port, address);
      const report = (ssrc: number): Buffer => senderReport(ssrc, sequenceNumber, 20);
      if (mux) offerer.rtpSocket.send(report(from.offerer), toOfferer.port, address);
      else offerer.rtcpSocket.send(report(from.offerer), reportsTo, address);
      other.rtcpSocket.send(report(from.other), toOther.port + 1, address);
      return arrived.length > 0 && other.rtcp.length > 0;
    }, 'reports both ways');
    for (const each of [offerer, other]) await each.settled();
    offerer.rtpSocket.off('message', rtp);
    offerer.rtcpSocket.off('message', rtcp);
    expect(new Set(arrived)).to.deep.equal(new Set([`${mux ? 'first' : 'second'} ${from.other}`]));
  }

  for (const mux of [false, true])
    it(`goes on ${mux ? 'with RTP' : 'apart'}`, async () => {
      await offer(mux);
      await answer();
      await reportsPass(mux);
      for (let twice = 0; twice < 2; twice += 1) {
        await offer(!mux);
        await reportsPass(mux);
      }
      // What was agreed on is offered again, then the other, which is answered.
      await offer(mux);
      await answer();
      await reportsPass(mux);
      await offer(!mux);
      await answer();
      await reportsPass(!mux);
    });
});
