/**
 * Strangers at the ports of calls whose ICE, DTLS and SRTP end here: none of what they send is relayed, no media goes
 * to them, they keep nobody out, and the daemon's memory does not grow with their number.
 */
import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { CertificateAuthority } from '../support/certificates.js';
import { MediaDaemon } from '../support/daemons.js';
import type { NgClient } from '../support/ng-client.js';
import { RtpEndpoint, rtpPacket, senderReport, type Destination } from '../support/rtp-endpoint.js';
import { audio, buildSdp, mediaTarget } from '../support/sdp.js';
import { SecurePeer } from '../support/secure-peer.js';
import { bindingRequest, stunType } from '../support/stun.js';
import { pause, until } from '../support/wait.js';

const strangers = 24;
const rounds = 50;
/** What a collector of garbage leaves for a while, and what a stranger's handshake takes until it is given up. */
const allowedGrowthKib = 24 * 1024;

/** A record of DTLS with a handshake message that says it has `length` bytes, and `body` of it. */
function handshakeRecord(type: number, length: number, body: Buffer): Buffer {
  const header = Buffer.alloc(25);
  header.set([22, 0xfe, 0xff], 0);
  header.writeUInt16BE(12 + body.length, 11);
  header.writeUInt8(type, 13);
  header.writeUIntBE(length, 14, 3);
  header.writeUIntBE(body.length, 22, 3);
  return Buffer.concat([header, body]);
}

/** Version, another random number each time, no session, no cookie, one suite, no compression; no extensions. */
const clientHello = (): Buffer =>
  handshakeRecord(
    1,
    42,
    Buffer.concat([
      Buffer.of(0xfe, 0xfd),
      randomBytes(32),
      Buffer.of(0, 0, 0, 2, 0xc0, 0x2b, 1, 0),
    ]),
  );

const oddities = (round: number): readonly Buffer[] => [
  clientHello(),
  // Cut off; one that says more than it has, and more than fits anywhere; one in the middle of it; no hello at all.
  clientHello().subarray(0, 13 + (round % 54)),
  handshakeRecord(1, 0xff_ffff, randomBytes(1100)),
  handshakeRecord(11, 200, randomBytes(200)),
  Buffer.concat([clientHello(), randomBytes(40)]),
  // An alert in the clear: close_notify.
  Buffer.from('15feff000000000000000000020100', 'hex'),
  // STUN that says nothing, or more than it has.
  Buffer.concat([Buffer.from('000100002112a442', 'hex'), randomBytes(12)]),
  Buffer.concat([Buffer.from('0001ff002112a442', 'hex'), randomBytes(80)]),
  rtpPacket({ sequenceNumber: round, timestamp: round, ssrc: 7, payload: randomBytes(160) }),
  senderReport(7, round, round),
];

describe('strangers at secured calls', function () {
  this.timeout(60_000);
  const authority = new CertificateAuthority('strangers');
  const files = authority.issue('page', 'DNS:page');
  const open: { close(): void }[] = [];
  let daemon: MediaDaemon;
  let ng: NgClient;

  before(async () => {
    daemon = await MediaDaemon.start('rtprelayd');
    ng = daemon.client();
  });
  after(async () => {
    ng?.close();
    await daemon?.stop();
    authority.remove();
  });
  afterEach(() => {
    for (const each of open.splice(0)) each.close();
  });

  function keep<Opened extends { close(): void }>(opened: Opened): Opened {
    open.push(opened);
    return opened;
  }

  interface Call {
    readonly page: SecurePeer;
    readonly phone: RtpEndpoint;
    readonly toPage: Destination;
  }

  async function call(callId: string, ice: boolean, during: () => void): Promise<Call> {
    const [page, phone] = [keep(await SecurePeer.open(files, ice)), keep(await RtpEndpoint.open())];
    const tags = { 'call-id': callId, 'from-tag': 'page' };
    const ask = async (dictionary: Parameters<NgClient['ask']>[0]): Promise<string> =>
      String((await ng.ask({ ...dictionary, ...tags }))['sdp']);
    const offered = await ask({
      ...{ command: 'offer', sdp: page.offer(), ICE: 'remove' },
      ...{ 'transport-protocol': 'RTP/AVP', 'rtcp-mux': ['demux'] },
    });
    const media = [{ ...audio(phone.port), protocol: 'RTP/AVP', formats: '0', lines: [] }];
    const sdp = buildSdp({ address: '127.0.0.1', media });
    const answer = await ask({ command: 'answer', 'to-tag': 'phone', sdp });
    const accepted = page.accept(answer);
    during();
    await accepted;
    const toPage = mediaTarget(offered);
    await page.meets(phone, toPage);
    return { page, phone, toPage };
  }

  async function openStrangers(): Promise<readonly Socket[]> {
    const sockets = Array.from({ length: strangers }, () => createSocket('udp4'));
    for (const socket of sockets) {
      keep(socket).bind(0, '127.0.0.1');
      await once(socket, 'listening');
    }
    return sockets;
  }

  const memoryKib = (): number =>
    Number(
      /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.process.pid}/status`, 'latin1'))?.[1],
    );

  for (const ice of [true, false]) {
    it(`are not heard and hear nothing, ${ice ? 'with ICE' : 'without ICE'}`, async () => {
      const sockets = await openStrangers();
      const heard: Buffer[] = [];
      for (const socket of sockets) socket.on('message', (bytes) => heard.push(bytes));
      let target: Destination | null = null;
      let round = 0;
      const check = { priority: 0x7fff_ffff, controlling: false, useCandidate: true };
      const attack = (): void => {
        if (target === null) return;
        const { port, address } = target;
        for (const [at, socket] of sockets.entries()) {
          const list = oddities(round + at);
          socket.send(list[(round + at) % list.length] ?? Buffer.alloc(0), port, address);
          const username = `${at % 2 === 0 ? 'ours' : randomBytes(3).toString('hex')}:peer`;
          socket.send(bindingRequest({ ...check, username, password: 'x' }), port, address);
        }
        round += 1;
      };
      // Some of it comes before and while the handshake is under way.
      const { page, phone, toPage } = await call(`strangers ${ice}`, ice, () => {
        attack();
      });
      target = page.target;
      const first = rtpPacket({ sequenceNumber: 1, timestamp: 0, ssrc: 9, payload: Buffer.of(1) });
      const sent = [page.send(first)];
      phone.sendNext(toPage);
      await until(() => phone.rtp.length === 1 && page.srtp.length === 1, 'the first packets');
      // What the first ones cost stays: buffers, threads' memory.
      for (let count = 0; count < rounds / 4; count += 1) attack();
      await pause(300);
      const before = memoryKib();
      for (let count = 2; count <= rounds; count += 1) {
        attack();
        const fields = { sequenceNumber: count, timestamp: count * 160, ssrc: 9 };
        sent.push(page.send(rtpPacket({ ...fields, payload: Buffer.of(count) })));
        phone.sendNext(toPage);
        // What was overheard comes again, from there and from elsewhere.
        const again = sent[count >> 1];
        if (again !== undefined) {
          page.sendBytes(again);
          sockets[count % strangers]?.send(again, target.port, target.address);
        }
        // In the clear, from where the page is.
        page.sendBytes(rtpPacket({ ...fields, payload: Buffer.of(255) }));
        // One after another: what does not fit into the socket is lost to anybody.
        const both = (): boolean => phone.rtp.length >= count && page.srtp.length >= count;
        await until(both, `packet ${count}`);
      }
      await phone.settled();
      expect(phone.sequenceNumbers()).to.deep.equal(sent.map((_, at) => at + 1));
      expect(phone.packets().every(({ payload, sequenceNumber }) => payload[0] === sequenceNumber))
        .to.be.true;
      expect(page.srtp).to.have.length(rounds);
      expect(heard.filter((bytes) => (bytes[0] ?? 0) >= 128)).to.deep.equal([]);
      const answers = new Set(heard.map(stunType).filter((type) => type !== null));
      expect([...answers]).to.deep.equal(ice ? [0x0111] : []);
      expect(memoryKib() - before).to.be.below(allowedGrowthKib);
      // The agent still has its peer, and the next call its handshake.
      const answered = page.answered;
      if (ice) await until(() => page.answered > answered, 'an answered check');
      await call(`another ${ice}`, ice, attack);
    });
  }
});
