/** Digits that are dialled (RFC 4733): told to whoever wants to know, whether they are blocked or not. */
import { expect } from 'chai';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { MediaDaemon } from '../support/daemons.js';
import type { NgClient } from '../support/ng-client.js';
import { RtpEndpoint, rtpPacket, type Destination } from '../support/rtp-endpoint.js';
import { audio, buildSdp, mediaTarget } from '../support/sdp.js';
import { until } from '../support/wait.js';

type Keys = Readonly<Record<string, unknown>>;

const bodyOf = ({ port }: RtpEndpoint): string =>
  buildSdp({
    address: '127.0.0.1',
    media: [{ ...audio(port), formats: '0 101', lines: ['a=rtpmap:101 telephone-event/8000'] }],
  });

/** Of a digit's packets: two while it lasts, and the last one three times. */
const packetsOf = (digit: number, timestamp: number, ssrc: number): readonly Buffer[] =>
  [160, 320, 480, 480, 480].map((duration, at) => {
    const payload = Buffer.from([digit, (at >= 2 ? 0x80 : 0) | 10, duration >> 8, duration & 0xff]);
    const sequenceNumber = timestamp / 160 + at;
    return rtpPacket({ payloadType: 101, sequenceNumber, timestamp, ssrc, payload });
  });

describe('digits that are dialled', () => {
  let receiver: Socket | undefined;
  let daemon: MediaDaemon | undefined;
  let ng: NgClient | undefined;
  const told: Keys[] = [];
  const phones: RtpEndpoint[] = [];

  before(async () => {
    receiver = createSocket('udp4');
    receiver.on('message', (bytes) => told.push(JSON.parse(bytes.toString('utf8')) as Keys));
    receiver.bind(0, '127.0.0.1');
    await once(receiver, 'listening');
    const { port } = receiver.address();
    daemon = await MediaDaemon.start('rtprelayd', { extra: [`--dtmf-log-dest=127.0.0.1:${port}`] });
    ng = daemon.client();
    phones.push(await RtpEndpoint.open(), await RtpEndpoint.open());
  });
  after(async () => {
    for (const each of phones) each.close();
    ng?.close();
    receiver?.close();
    await daemon?.stop();
  });

  const signal = async (keys: Keys): Promise<string> => {
    const reply = await ng?.ask({ 'call-id': 'c', ...keys } as Parameters<NgClient['ask']>[0]);
    expect(reply, JSON.stringify(reply)).to.have.property('result', 'ok');
    return String(reply?.['sdp']);
  };

  it('are told once each, in order, passed on and blocked', async () => {
    const [a, x] = phones;
    if (a === undefined || x === undefined) throw new Error('no phones');
    await signal({ command: 'offer', 'from-tag': 'a', label: 'A', sdp: bodyOf(a) });
    const tags = { 'from-tag': 'a', 'to-tag': 'x' };
    const to: Destination = mediaTarget(
      await signal({ command: 'answer', ...tags, sdp: bodyOf(x) }),
    );
    const dial = (digit: number, timestamp: number): void => {
      for (const packet of packetsOf(digit, timestamp, a.ssrc))
        a.rtpSocket.send(packet, to.port, to.address);
    };
    dial(5, 1600);
    dial(11, 3200);
    await until(() => x.received === 10 && told.length === 2, 'two digits');
    await signal({ command: 'block DTMF', 'from-tag': 'a' });
    dial(0, 4800);
    await a.sendRtp(to, 3);
    await until(() => x.received === 13 && told.length === 3, 'a third, which nobody hears');
    const common = {
      ...{ callid: 'c', source_tag: 'a', source_label: 'A', tags: ['a', 'x'], type: 'DTMF' },
      ...{ source_ip: '127.0.0.1', duration: 60, volume: 10 },
    };
    const [first] = told;
    expect(Object.keys(first ?? {})).to.deep.equal([
      ...['callid', 'source_tag', 'source_label', 'tags', 'type', 'timestamp', 'source_ip'],
      ...['event', 'duration', 'volume'],
    ]);
    for (const [at, digit] of [5, 11, 0].entries()) {
      expect(told[at]).to.include({ event: digit, source_tag: common.source_tag });
      expect(told[at]).to.deep.include(common);
    }
  });
});
