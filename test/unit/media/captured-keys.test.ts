/** Keys by port for whoever reads a capture, and what he reads with them. */
import { expect } from 'chai';
import { SrtpReader } from '../../../src/daemon/cli/decrypt.js';
import { datagram, rawIpLinkType } from '../../../src/daemon/cli/pcapng.js';
import { udpPacket } from '../../../src/daemon/cli/udp-packet.js';
import { capturedKeys, type PortKeys } from '../../../src/media/captured-keys.js';
import { copyOfStream, type LocalSocket } from '../../../src/media/call-state.js';
import { rtpPacket } from '../../support/rtp-endpoint.js';
import { srtpPacket } from '../../support/srtp-packet.js';
import { body, interfaces, ModelCall, portOf } from '../../support/unit/media.js';

const suite = 'AES_CM_128_HMAC_SHA1_80';
const keys = [Buffer.alloc(30, 'a'), Buffer.alloc(30, 'b')] as const;
const secure = (port: number, key: Buffer): string =>
  body(port, [`a=crypto:1 ${suite} inline:${key.toString('base64')}`]).replace(
    'RTP/AVP',
    'RTP/SAVP',
  );
const base64 = (key: Buffer): string => key.toString('base64');

function keysOf({ state }: ModelCall): readonly PortKeys[] {
  if (state === null) throw new Error('there is no call');
  return capturedKeys(state, interfaces);
}
const told = (list: readonly PortKeys[], port: number): readonly (readonly string[])[] => {
  const found = list.find((each) => each.port === port);
  return [found?.receive ?? [], found?.send ?? []].map((each) => each.map(({ key }) => key));
};

describe('the keys of a captured call', () => {
  it('are those of the side whose SRTP ends here, on RTP and RTCP, and none of the plain one', () => {
    const call = new ModelCall();
    const offered = call.offer(secure(6000, keys[0]), { transportProtocol: 'RTP/AVP' });
    const answered = call.answer(body(7000), { transportProtocol: 'RTP/AVP' });
    const list = keysOf(call);
    const [received, sent] = told(list, portOf(answered));
    expect(received).to.deep.equal([base64(keys[0])]);
    expect(sent).to.have.length(1);
    expect(answered).to.include(`inline:${(sent?.[0] ?? '').replace(/=+$/, '')}`);
    expect(told(list, portOf(answered) + 1)).to.deep.equal([received, sent]);
    expect(told(list, portOf(offered))).to.deep.equal([[], []]);
  });

  it('are what the ends have told one another where SRTP passes through', () => {
    const call = new ModelCall();
    const offered = call.offer(secure(6000, keys[0]));
    const answered = call.answer(secure(7000, keys[1]));
    const list = keysOf(call);
    const of = (port: number): readonly (readonly string[])[] =>
      told(list, port).map((each) => [...new Set(each)]);
    expect(of(portOf(answered))).to.deep.equal([[base64(keys[0])], [base64(keys[1])]]);
    expect(of(portOf(offered))).to.deep.equal([[base64(keys[1])], [base64(keys[0])]]);
  });

  it('are those that DTLS gave', () => {
    const call = new ModelCall();
    const lines = [
      `a=fingerprint:sha-256 ${Array.from({ length: 32 }, () => 'AB').join(':')}`,
      'a=setup:actpass',
    ];
    const dtls = body(6000, lines).replace('RTP/AVP', 'UDP/TLS/RTP/SAVP');
    call.offer(dtls, { transportProtocol: 'RTP/AVP' });
    const answered = call.answer(body(7000), { transportProtocol: 'RTP/AVP' });
    expect(keysOf(call)).to.deep.equal([]);
    const { state } = call;
    if (state === null) throw new Error('there is no call');
    const made = (letter: string): NonNullable<LocalSocket['srtp']> => ({
      ...{ suite, masterKey: letter.repeat(16), masterSalt: letter.repeat(14), mki: null },
      ...{ unencryptedRtp: false, unencryptedRtcp: false, unauthenticatedRtp: false },
    });
    const own = state.sockets.find(({ port }) => port === portOf(answered));
    const keyed = {
      ...state,
      sockets: state.sockets.map((each) => (each === own ? { ...each, srtp: made('r') } : each)),
      streams: state.streams.map((stream) => {
        const copy = copyOfStream(stream);
        if (own !== undefined && stream.sockets.includes(own.id)) copy.srtp = made('s');
        return copy;
      }),
    };
    expect(told(capturedKeys(keyed, interfaces), portOf(answered))).to.deep.equal([
      [base64(Buffer.alloc(30, 'r'))],
      [base64(Buffer.alloc(30, 's'))],
    ]);
  });
});

describe('SRTP of a capture', () => {
  const key = (letter: string): PortKeys['receive'][number] => ({
    ...{ suite: 'AES_CM_128_HMAC_SHA1_80', key: base64(Buffer.alloc(30, letter)), mki: '' },
    ...{ unencryptedSrtp: false, unencryptedSrtcp: false, unauthenticatedSrtp: false },
    indexes: [],
  });
  const ours = { address: '192.0.2.1', port: 4000 };
  const phone = { address: '192.0.2.9', port: 6000 };
  const spoken = (sequenceNumber: number): Buffer =>
    rtpPacket({ sequenceNumber, timestamp: 160, ssrc: 7, payload: Buffer.from('spoken') });
  const captured = (
    payload: Buffer,
    from = phone,
    to = ours,
  ): Parameters<SrtpReader['read']>[0] => {
    const bytes = datagram(from, to, payload);
    return { atMicros: 1, bytes, length: bytes.length };
  };

  const payloadOf = (bytes: Buffer): Buffer =>
    udpPacket(bytes, rawIpLinkType)?.payload ?? Buffer.alloc(0);

  it('is read with the keys of its port and direction, twice where it was seen twice', () => {
    const reader = new SrtpReader();
    reader.learn({ ports: [{ ...ours, receive: [key('a')], send: [key('b')] }] });
    const read = (packet: ReturnType<typeof captured>): Buffer =>
      payloadOf(reader.read(packet, rawIpLinkType).bytes);
    const came = captured(srtpPacket(Buffer.alloc(30, 'a'), spoken(1)));
    const plain = spoken(1);
    expect(read(came)).to.deep.equal(plain);
    expect(read(came)).to.deep.equal(plain);
    const left = captured(srtpPacket(Buffer.alloc(30, 'b'), spoken(1)), ours, phone);
    expect(read(left)).to.deep.equal(spoken(1));
    expect([reader.decrypted, reader.refused]).to.deep.equal([3, 0]);
    // Another key, another port, no RTP, half a packet: as they are.
    const foreign = captured(srtpPacket(Buffer.alloc(30, 'c'), spoken(2)));
    expect(read(foreign)).to.deep.equal(payloadOf(foreign.bytes));
    expect(reader.refused).to.equal(1);
    for (const payload of [Buffer.from('no RTP at all'), Buffer.alloc(0)]) {
      const other = captured(payload);
      expect(reader.read(other, rawIpLinkType)).to.equal(other);
    }
    for (let length = 0; length < came.bytes.length; length += 1) {
      const part = { ...came, bytes: came.bytes.subarray(0, length) };
      expect(reader.read(part, rawIpLinkType)).to.equal(part);
      const whole = { ...part, length };
      expect(reader.read(whole, rawIpLinkType)).to.equal(whole);
    }
  });

  it('goes on when keys change, and from a rollover counter that is told', () => {
    const reader = new SrtpReader();
    const indexed = { ...key('a'), indexes: [[7, 3 * 0x10000 + 5]] as const };
    reader.learn({ ports: [{ ...ours, receive: [indexed], send: [] }] });
    const read = (packet: Buffer): Buffer =>
      payloadOf(reader.read(captured(packet), rawIpLinkType).bytes);
    const plain = spoken(9);
    expect(read(srtpPacket(Buffer.alloc(30, 'a'), spoken(9), 3))).to.deep.equal(plain);
    reader.learn({ ports: [{ ...ours, receive: [key('n')], send: [] }] });
    expect(read(srtpPacket(Buffer.alloc(30, 'n'), spoken(9)))).to.deep.equal(plain);
    expect(read(srtpPacket(Buffer.alloc(30, 'a'), spoken(10), 3))).to.deep.equal(spoken(10));
  });
});
