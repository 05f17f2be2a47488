/**
 * The process pair with calls that are encrypted here: when the active process is killed, the other one has keys,
 * indexes and the agent of ICE, and no packet that waited in a socket is lost. `FAILOVERS=100` kills so often.
 */
import { expect } from 'chai';
import { CertificateAuthority } from '../support/certificates.js';
import { RtpEndpoint, rtpPacket, senderReport, type Destination } from '../support/rtp-endpoint.js';
import { audio, buildSdp, mediaTarget } from '../support/sdp.js';
import { SecurePeer } from '../support/secure-peer.js';
import { Indexes } from '../support/srtp-packet.js';
import { limitMs, ProcessPair } from '../support/process-pair.js';
import { pause, until } from '../support/wait.js';

const failovers = Number(process.env['FAILOVERS'] ?? 3);
const suite = 'AES_CM_128_HMAC_SHA1_80';
const theirKey = 'MDEyMzQ1Njc4OUFCQ0RFRjAxMjM0NTY3ODlBQkNE';
/** kBatchSize of native/core/packet_io.h: what a thread may have in its hands. */
const roundPackets = 16;
/** A socket holds some eighty packets: at this pace, longer than a busy machine takes for anything here. */
const packetMs = 50;

const bodyOf = (port: number, protocol: string, lines: readonly string[] = []): string =>
  buildSdp({ address: '127.0.0.1', media: [{ ...audio(port), protocol, formats: '0', lines }] });

describe('the process pair, with SRTP, DTLS and ICE', function () {
  this.timeout(60_000 + 10_000 * failovers);
  const authority = new CertificateAuthority('pair');
  const files = authority.issue('page', 'DNS:page');
  let pair: ProcessPair;
  let phone: RtpEndpoint;
  let secured: RtpEndpoint;
  let page: SecurePeer;

  beforeEach(async () => {
    pair = new ProcessPair();
    await pair.warm(1);
    phone = await RtpEndpoint.open();
    secured = await RtpEndpoint.open();
    page = await SecurePeer.open(files);
  });
  afterEach(async () => {
    phone.close();
    secured.close();
    page.close();
    await pair.stop();
  });
  after(() => {
    authority.remove();
  });

  const ask = async (dictionary: Parameters<ProcessPair['ng']['ask']>[0]): Promise<string> =>
    String((await pair.ng.ask(dictionary))['sdp']);

  /** The page calls the phone. @returns where the phone sends to. */
  async function callByDtls(): Promise<Destination> {
    const call = { 'call-id': 'dtls', 'from-tag': 'page' };
    const offered = await ask({
      ...{ command: 'offer', ...call, sdp: page.offer(), ICE: 'remove' },
      ...{ 'transport-protocol': 'RTP/AVP', 'rtcp-mux': ['demux'] },
    });
    const sdp = bodyOf(phone.port, 'RTP/AVP');
    await page.accept(await ask({ command: 'answer', ...call, 'to-tag': 'phone', sdp }));
    const target = mediaTarget(offered);
    await page.meets(phone, target);
    return target;
  }

  /** The phone, plain, calls one with SRTP. @returns where the phone sends to, and the key of what the other gets. */
  async function callBySdes(): Promise<readonly [Destination, Buffer]> {
    const call = { 'call-id': 'sdes', 'from-tag': 'phone' };
    const offered = await ask({
      ...{ command: 'offer', ...call, sdp: bodyOf(phone.port, 'RTP/AVP') },
      ...{ 'transport-protocol': 'RTP/SAVP', SDES: [`only-${suite}`] },
    });
    const inline = /inline:(\S+)/.exec(offered)?.[1] ?? '';
    const sdp = bodyOf(secured.port, 'RTP/SAVP', [`a=crypto:1 ${suite} inline:${theirKey}`]);
    const answered = await ask({ command: 'answer', ...call, 'to-tag': 'secured', sdp });
    return [mediaTarget(answered), Buffer.from(inline, 'base64')];
  }

  it('loses nothing and uses no index twice when the active process is killed, again and again', async () => {
    const toPage = await callByDtls();
    const [toSecured, key] = await callBySdes();
    const [bySdes, byDtls] = [new Indexes('SDES', key), new Indexes('DTLS', page.theirKey)];
    let sent = 0;
    const sendAll = (): void => {
      sent += 1;
      const fields = { sequenceNumber: sent, timestamp: sent * 160, payload: Buffer.alloc(160, 1) };
      const packet = rtpPacket({ ...fields, ssrc: phone.ssrc });
      const report = senderReport(phone.ssrc, sent, sent * 160);
      for (const { address, port } of [toPage, toSecured]) {
        phone.rtpSocket.send(packet, port, address);
        if (sent % 4 === 0) phone.rtcpSocket.send(report, port + 1, address);
      }
      page.send(rtpPacket({ ...fields, ssrc: 77 }));
    };
    const timer = setInterval(sendAll, packetMs);
    try {
      for (let time = 1; time <= failovers; time++) {
        await pair.warm(time);
        // Some while each process is the active one.
        const [goal, answered] = [sent + 10, page.answered];
        await until(() => sent >= goal, 'some packets', limitMs);
        process.kill(pair.active(), 'SIGKILL');
        await pair.serves(time + 1);
        await until(() => page.answered > answered + 1, 'answered checks', limitMs);
      }
    } finally {
      clearInterval(timer);
    }
    const came = (): readonly number[] =>
      [phone.rtp, secured.rtp, page.srtp].map(({ length }) => length);
    await until(() => came().every((count) => count >= sent - roundPackets), 'the rest', limitMs);
    await pause(100);
    bySdes.take(
      secured.rtp.map(({ bytes }) => bytes),
      secured.rtcp.map(({ bytes }) => bytes),
    );
    byDtls.take(page.srtp, page.srtcp);
    expect(new Set(phone.sequenceNumbers()).size).to.equal(phone.rtp.length);
    for (const count of came()) expect(count).to.be.at.least(sent - roundPackets * failovers);
    for (const reports of [secured.rtcp, page.srtcp]) expect(reports).not.to.be.empty;
    console.log(`      of ${sent} packets each way came ${came().join(', ')}`);
    // No new handshake: the keys are those of the beginning.
    expect(pair.count(/DTLS-SRTP successfully negotiated/g)).to.equal(1);
  });
});
