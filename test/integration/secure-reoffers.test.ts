/** What later offers and answers say of security, with packets: what has no need to end goes on meanwhile. */
import { expect } from 'chai';
import { CertificateAuthority } from '../support/certificates.js';
import { MediaDaemon } from '../support/daemons.js';
import { audioSdp, type NgClient } from '../support/ng-client.js';
import { RtpEndpoint, rtpPacket, type Destination } from '../support/rtp-endpoint.js';
import { mediaTarget } from '../support/sdp.js';
import { SecurePeer } from '../support/secure-peer.js';
import { srtpIndex, srtpPacket } from '../support/srtp-packet.js';
import { until } from '../support/wait.js';

const toPlain = { 'transport-protocol': 'RTP/AVP', 'rtcp-mux': ['demux'], ICE: 'remove' };
const toSecured = {
  ...{ 'transport-protocol': 'UDP/TLS/RTP/SAVPF', 'rtcp-mux': ['offer', 'require'] },
  ...{ ICE: 'force', flags: ['SDES-off'] },
};
const call = { 'call-id': 'reoffers', 'from-tag': 'secure', 'to-tag': 'plain' };

/** A phone with SDES, whose key is of so many times the byte. */
const keyOf = (byte: number): Buffer => Buffer.alloc(30, byte);
const sdesSdp = (port: number, key: Buffer, tag = 1): string =>
  audioSdp(port, [
    `a=crypto:${tag} AES_CM_128_HMAC_SHA1_80 inline:${key.toString('base64')}`,
  ]).replace('RTP/AVP', 'RTP/SAVP');

describe('later offers and answers of a call', function () {
  this.timeout(60_000);
  const authority = new CertificateAuthority('reoffers');
  const files = authority.issue('phone', 'DNS:phone');
  const otherFiles = authority.issue('other', 'DNS:other');
  let daemon: MediaDaemon;
  let ng: NgClient;
  let secure: SecurePeer;
  let plain: RtpEndpoint;
  let toSecure: Destination;
  /** What the secured phone was told last. */
  let secureBody: string;

  before(async () => {
    daemon = await MediaDaemon.start('rtprelayd', {});
    ng = daemon.client();
  });
  beforeEach(async () => {
    plain = await RtpEndpoint.open();
  });
  afterEach(async () => {
    secure.close();
    plain.close();
    await ng.ask({ command: 'delete', 'call-id': call['call-id'], 'delete-delay': 0 });
  });
  after(async () => {
    ng?.close();
    await daemon?.stop('SIGKILL');
    authority.remove();
  });

  const ask = async (dictionary: Parameters<NgClient['ask']>[0]): Promise<string> =>
    String((await ng.ask(dictionary))['sdp']);
  const offer = (setup: 'active' | 'passive' = 'active'): Promise<string> =>
    ask({ command: 'offer', ...call, ...toPlain, sdp: secure.offer(setup) });

  /** The secured phone offers, the plain one answers. @returns what the former is told. */
  async function offered(setup: 'active' | 'passive' = 'active'): Promise<string> {
    toSecure = mediaTarget(await offer(setup));
    return ask({ command: 'answer', ...call, sdp: audioSdp(plain.port) });
  }

  /** The other way. @returns what the plain one is told. */
  async function answered(): Promise<string> {
    const tags = { 'from-tag': call['to-tag'], 'to-tag': call['from-tag'] };
    const sdp = audioSdp(plain.port);
    secureBody = await ask({ command: 'offer', ...call, ...tags, ...toSecured, sdp });
    return ask({ command: 'answer', ...call, ...tags, sdp: secure.offer('active') });
  }

  async function begin(ice: boolean): Promise<void> {
    secure = await SecurePeer.open(files, ice);
    await secure.accept(await offered());
    await secure.meets(plain, toSecure);
  }
  const goesOn = (): Promise<void> => secure.meets(plain, toSecure);

  it('of two lite agents of ICE have media, from the first on', async () => {
    secure = await SecurePeer.open(files);
    secure.isLite = true;
    const lite = { 'ICE-lite': 'backward' };
    const offered = await ask({
      command: 'offer',
      ...call,
      ...toPlain,
      ...lite,
      sdp: secure.offer(),
    });
    toSecure = mediaTarget(offered);
    const sdp = audioSdp(plain.port);
    const told = await ask({ command: 'answer', ...call, sdp });
    expect(told).to.contain('a=ice-lite');
    await secure.accept(told);
    await goesOn();
  });

  it('with the other role of DTLS: keys stay until another handshake gives some', async () => {
    await begin(false);
    expect(await offered('passive')).to.contain('a=setup:active');
    // It means the association that it has (RFC 8842 §5.5 would have none of this).
    await goesOn();
    expect(await offered('active')).to.contain('a=setup:passive');
    await goesOn();
    const before = secure.theirKey;
    await secure.handshake();
    expect(secure.theirKey.equals(before)).to.equal(false);
    await goesOn();
  });

  for (const ice of [false, true]) {
    const how = ice ? ' with ICE' : '';
    it(`with another fingerprint, that are refused: the association${how} goes on`, async () => {
      await begin(ice);
      const back = secure.use(otherFiles);
      await offer();
      await goesOn();
      await offer();
      back();
      await goesOn();
      // The next one has the former again: the association is the same.
      await offered();
      await goesOn();
    });

    it(`without DTLS or ICE, that are refused: the association${how} goes on`, async () => {
      await begin(ice);
      await ask({ command: 'offer', ...call, ...toPlain, sdp: audioSdp(secure.port) });
      await goesOn();
      const tags = { 'from-tag': call['to-tag'], 'to-tag': call['from-tag'] };
      await ask({ command: 'offer', ...call, ...tags, ...toPlain, sdp: audioSdp(plain.port) });
      await goesOn();
    });
  }

  it('with another fingerprint, that are answered: keys stay until its handshake', async () => {
    await begin(false);
    secure.use(otherFiles);
    await offered();
    await goesOn();
    const before = secure.theirKey;
    await secure.handshake();
    expect(secure.theirKey.equals(before)).to.equal(false);
    await goesOn();
  });

  it('of a plain phone that moves: keys belong to the association, not to the ports that carry it', async () => {
    await begin(false);
    const before = secure.target.port;
    plain.close();
    plain = await RtpEndpoint.open();
    const tags = { 'from-tag': call['to-tag'], 'to-tag': call['from-tag'] };
    const words = { ...toSecured, ICE: 'remove' };
    const sdp = audioSdp(plain.port);
    const told = await ask({ command: 'offer', ...call, ...tags, ...words, sdp });
    // It was told other ports, so that late packets for the former place can be told apart.
    expect(mediaTarget(told).port).not.to.equal(before);
    const answer = { command: 'answer', ...call, ...tags, sdp: secure.offer('active') };
    toSecure = mediaTarget(await ask(answer));
    secure.sendTo(told);
    await goesOn();
  });

  it('with its fingerprint by another hash: the association is the same', async () => {
    await begin(false);
    const tlsId = (body: string): string | undefined => /^a=tls-id:\S+/m.exec(body)?.[0];
    const before = tlsId(await offered());
    secure.hash = 'sha-1';
    expect(tlsId(await offered())).to.equal(before);
    await goesOn();
  });

  for (const [how, held] of [
    ['inactive', (sdp: string): string => sdp.replace('a=sendrecv', 'a=inactive')],
    [
      'address zero',
      (sdp: string): string =>
        sdp.replace('c=IN IP4 127.0.0.1', 'c=IN IP4 0.0.0.0').replace('a=sendrecv', 'a=sendonly'),
    ],
  ] as const)
    for (const ice of [false, true])
      it(`that hold by ${how}${ice ? ' with ICE' : ''} and resume: the association stays`, async () => {
        await begin(ice);
        const sayOf = (body: string): readonly string[] =>
          body.split('\r\n').filter((line) => /^a=(setup|fingerprint|tls-id):/.test(line));
        const before = sayOf(await offered());
        await goesOn();
        const keys = { command: 'offer', ...call, ...toPlain };
        expect(held(secure.offer())).to.not.equal(secure.offer());
        await ask({ ...keys, sdp: held(secure.offer()) });
        const sdp = audioSdp(plain.port, ['a=inactive']);
        const told = await ask({ command: 'answer', ...call, sdp });
        expect(sayOf(told)).to.deep.equal(before);
        expect(sayOf(await offered())).to.deep.equal(before);
        await goesOn();
        // A hold that nobody answers ends with the next offer.
        await ask({ ...keys, sdp: held(secure.offer()) });
        expect(sayOf(await offered())).to.deep.equal(before);
        await goesOn();
      });

  it('towards a plain phone, with SRTP that it refuses: it goes on with plain RTP', async () => {
    await begin(false);
    for (const protocol of ['RTP/SAVP', 'UDP/TLS/RTP/SAVPF']) {
      const keys = { 'transport-protocol': protocol, ICE: 'force' };
      await ask({ command: 'offer', ...call, ...toPlain, ...keys, sdp: secure.offer('active') });
      await goesOn();
    }
  });

  it('with other credentials of ICE, that are refused: those of before are good', async () => {
    await begin(true);
    const back = secure.restartIce();
    await offer();
    back();
    await goesOn();
    // The next one has them again.
    secure.checkAs(await offered());
    await goesOn();
  });

  it('with another SDES key, that are refused after a provisional answer: the former key is good', async () => {
    secure = await SecurePeer.open(files);
    const phone = await RtpEndpoint.open();
    const keys = { command: 'offer', ...call, ...toPlain };
    let sequenceNumber = 0;
    let toRelay: Destination = { address: '', port: 0 };
    const packet = (size = 20): Buffer => {
      sequenceNumber += 1;
      const payload = Buffer.alloc(size, 7);
      return rtpPacket({ sequenceNumber, timestamp: 0, ssrc: 7, payload });
    };
    const negotiate = async (key: Buffer, tag = 1): Promise<Buffer> => {
      toSecure = mediaTarget(await ask({ ...keys, sdp: sdesSdp(phone.port, key, tag) }));
      const told = await ask({ command: 'answer', ...call, sdp: audioSdp(plain.port) });
      toRelay = mediaTarget(told);
      return Buffer.from(/inline:([A-Za-z0-9+/]{40})/.exec(told)?.[1] ?? '', 'base64');
    };
    /** It sends by the key, and is sent what `theirs` has encrypted. */
    const passes = async (key: Buffer, theirs: Buffer): Promise<void> => {
      phone.clear();
      plain.clear();
      await until(() => {
        const bytes = packet();
        phone.rtpSocket.send(srtpPacket(key, bytes), toRelay.port, toRelay.address);
        plain.rtpSocket.send(bytes, toSecure.port, toSecure.address);
        return (
          plain.rtp.some((each) => each.bytes.length === bytes.length) &&
          phone.rtp.some((each) => srtpIndex(theirs, each.bytes) !== null)
        );
      }, 'packets both ways');
    };
    try {
      const ours = await negotiate(keyOf(1));
      await passes(keyOf(1), ours);
      // 183 with a body, then it is refused: the phone goes on as before, and so do we.
      const next = await negotiate(keyOf(2));
      expect(next.equals(ours)).to.equal(true);
      await passes(keyOf(1), ours);
      // Not refused, but accepted: its key is good from the first packet on, and the former is over.
      await passes(keyOf(2), next);
      const late = packet(33);
      phone.rtpSocket.send(srtpPacket(keyOf(1), late), toRelay.port, toRelay.address);
      await passes(keyOf(2), next);
      expect(plain.rtp.some(({ bytes }) => bytes.length === late.length)).to.equal(false);
      // Back again in a later negotiation, it is another one's turn to be the former.
      await passes(keyOf(1), await negotiate(keyOf(1)));
      // Nor would it show which of two keys of ours it goes by, were its own the same under another tag.
      expect((await negotiate(keyOf(1), 7)).equals(ours)).to.equal(true);
      expect((await negotiate(keyOf(1), 1)).equals(ours)).to.equal(true);
      // Under another tag we have another key as well, and two of them are refused: what was good is still.
      for (const [byte, tag] of [
        [3, 2],
        [4, 3],
      ] as const) {
        const refused = await negotiate(keyOf(byte), tag);
        expect(refused.equals(ours)).to.equal(false);
        await passes(keyOf(1), ours);
      }
      const last = await negotiate(keyOf(5), 4);
      await passes(keyOf(1), ours);
      await passes(keyOf(5), last);
    } finally {
      phone.close();
    }
  });

  it('with SRTP passed through where it ended here, or ended where it passed, and refused after a provisional answer', async () => {
    secure = await SecurePeer.open(files);
    const phones = [await RtpEndpoint.open(), await RtpEndpoint.open()] as const;
    const [first, second] = phones;
    /** By phone: what it encrypts with, what encrypts what it is sent, where it sends. */
    type Side = readonly [own: Buffer, theirs: Buffer, to: Destination];
    type Agreed = readonly [Side, Side];
    const keyIn = (body: string): Buffer =>
      Buffer.from(/SHA1_80 inline:([A-Za-z0-9+/]{40})/.exec(body)?.[1] ?? '', 'base64');
    const negotiate = async (own: number, others: number, endsHere: boolean): Promise<Agreed> => {
      const keys = { 'transport-protocol': 'RTP/SAVP', flags: endsHere ? ['recrypt'] : [] };
      const sdp = sdesSdp(first.port, keyOf(own));
      const offered = await ask({ command: 'offer', ...call, ...keys, sdp });
      const answer = sdesSdp(second.port, keyOf(others));
      const told = await ask({ command: 'answer', ...call, sdp: answer });
      const agreed = [keyIn(told), keyIn(offered)] as const;
      // It passes through: each has the key of the other.
      const passes = [keyOf(others), keyOf(own)].map((key, at) => agreed[at]?.equals(key));
      expect(passes).to.deep.equal([!endsHere, !endsHere]);
      return [
        [keyOf(own), agreed[0], mediaTarget(told)],
        [keyOf(others), agreed[1], mediaTarget(offered)],
      ];
    };
    let sequenceNumber = 0;
    const passes = async (agreed: Agreed, what: string): Promise<void> => {
      for (const phone of phones) phone.clear();
      await until(() => {
        sequenceNumber += 1;
        const payload = Buffer.alloc(20, 7);
        const bytes = rtpPacket({ sequenceNumber, timestamp: 0, ssrc: 7, payload });
        agreed.forEach(([own, , to], at) => {
          phones[at]?.rtpSocket.send(srtpPacket(own, bytes), to.port, to.address);
        });
        return phones.every(({ rtp }, at) =>
          rtp.some(({ bytes: got }) => srtpIndex(agreed[at]?.[1] ?? own, got) !== null),
        );
      }, `packets both ways, ${what}`);
    };
    const own = keyOf(0);
    try {
      let key = 1;
      let agreed = await negotiate(key, key + 1, true);
      await passes(agreed, 'at first');
      for (const endsHere of [false, true, false]) {
        const how = endsHere ? 'ended here' : 'passed through';
        // Twice with other keys of both, once with another one of the answerer alone.
        for (const ours of [0, 1, 2]) {
          const offerers = ours === 2 ? (agreed[0][0][0] ?? 0) : (key += 2);
          await negotiate(offerers, (key += 2), endsHere);
          await passes(agreed, `${how} and refused`);
        }
        agreed = await negotiate((key += 2), (key += 2), endsHere);
        await passes(agreed, how);
      }
      // Of a key from when the offerer was plain nothing is heard while SRTP passes through.
      for (const sdp of [sdesSdp(second.port, keyOf((key += 2))), sdesSdp(second.port, own)]) {
        const keys = { 'transport-protocol': 'RTP/SAVP' };
        await ask({ command: 'offer', ...call, ...keys, sdp: audioSdp(first.port) });
        await ask({ command: 'answer', ...call, sdp });
      }
      agreed = await negotiate((key += 2), (key += 2), false);
      await passes(agreed, 'no longer plain');
      await negotiate((key += 2), (key += 2), true);
      await passes(agreed, 'no longer plain, and refused');
      // The same where the answerer's key stays, and a second answer has come.
      await ask({ command: 'delete', 'call-id': call['call-id'], 'delete-delay': 0 });
      const [mine, same] = [(key += 2), (key += 2)];
      const kept = { 'transport-protocol': 'RTP/SAVP' };
      await ask({ command: 'offer', ...call, ...kept, sdp: audioSdp(first.port) });
      await ask({ command: 'answer', ...call, sdp: sdesSdp(second.port, keyOf(same)) });
      agreed = await negotiate(mine, same, false);
      await ask({ command: 'answer', ...call, sdp: sdesSdp(second.port, keyOf(same)) });
      await passes(agreed, 'with the key of before');
      await negotiate(mine + 50, same + 50, true);
      await passes(agreed, 'with the key of before, and refused');
    } finally {
      for (const phone of phones) phone.close();
    }
  });

  it('with other credentials of ICE in an answer, though the offer had those of before', async () => {
    await begin(true);
    secure.restartIce();
    const told = await answered();
    expect(told).to.match(/^m=audio \d+ RTP\/AVP /m);
    await goesOn();
    // Checks with what it was told first, and what it says now.
    secure.checkAs(secureBody);
    const seen = secure.answered;
    await goesOn();
    await until(() => secure.answered > seen + 3, 'answers to its checks');
  });

  it('that are refused leave a call whose answerer speaks ICE as it was', async () => {
    secure = await SecurePeer.open(files);
    toSecure = mediaTarget(await answered());
    await secure.accept(secureBody);
    await goesOn();
    for (const refused of [
      () => offer('passive'),
      async () => {
        const back = secure.use(otherFiles);
        await offer();
        back();
      },
      () => ask({ command: 'offer', ...call, ...toPlain, sdp: audioSdp(secure.port) }),
    ]) {
      await refused();
      await goesOn();
    }
  });
});
