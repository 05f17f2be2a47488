/** Digits that are dialled (RFC 4733): told to whoever wants to know, whether they are blocked or not. */
import { expect } from 'chai';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { decodeBencode } from '../support/bencode.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeUdpPort } from '../support/free-ports.js';
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
  const tcpPort = freeUdpPort();
  const phones: RtpEndpoint[] = [];

  before(async () => {
    receiver = createSocket('udp4');
    receiver.on('message', (bytes) => told.push(JSON.parse(bytes.toString('utf8')) as Keys));
    receiver.bind(0, '127.0.0.1');
    await once(receiver, 'listening');
    const { port } = receiver.address();
    daemon = await MediaDaemon.start('rtprelayd', {
      extra: [
        ...[`--dtmf-log-dest=127.0.0.1:${port}`, '--dtmf-log-ng-tcp'],
        `--listen-tcp-ng=127.0.0.1:${tcpPort}`,
      ],
    });
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

  it('are dialled in the place of a sender, while he speaks, and told', async () => {
    const [a, x] = phones;
    if (a === undefined || x === undefined) throw new Error('no phones');
    const call = { 'call-id': 'dialled', 'from-tag': 'a' };
    const play = async (keys: Keys): Promise<unknown> =>
      ng?.ask({ command: 'play DTMF', ...call, ...keys } as Parameters<NgClient['ask']>[0]);
    const refused = (reason: string): object => ({ result: 'error', 'error-reason': reason });
    expect(await play({ code: 5 })).to.include(refused('Unknown call-ID'));
    await signal({ command: 'offer', ...call, flags: ['inject-DTMF'], sdp: bodyOf(a) });
    const body = await signal({ command: 'answer', ...call, 'to-tag': 'x', sdp: bodyOf(x) });
    const to: Destination = mediaTarget(body);
    expect(await play({ code: 'E' })).to.include(refused("Out of range 'code' specified"));
    const silent = refused('No SSRC context present for DTMF injection');
    expect(await play({ code: 5 })).to.include(silent);
    x.clear();
    await a.sendRtp(to, 2);
    const before = told.length;
    // The second has to wait for the end of the first.
    expect(await play({ code: 5, duration: 100, volume: -3 })).to.include({ result: 'ok' });
    expect(await play({ digit: '#', duration: 1, pause: 1 })).to.include({ result: 'ok' });
    await a.sendRtp(to, 30);
    await until(() => x.received === 32 && told.length === before + 2, 'both digits');
    const numbers = x.sequenceNumbers();
    expect(numbers).to.deep.equal(numbers.map((_, at) => (numbers[0] ?? 0) + at));
    const picture = x.packets().map(({ payloadType, marker, payload }) => {
      if (payloadType !== 101) return 'audio';
      const [event = 0, flags = 0] = payload;
      return `${marker ? 'M ' : ''}${event} ${flags} ${payload.readUInt16BE(2)}`;
    });
    const dialled = (event: number, volume: number): readonly string[] => [
      ...[`M ${event} ${volume} 160`, `${event} ${volume} 320`, `${event} ${volume} 480`],
      ...[`${event} ${volume} 640`, ...Array<string>(3).fill(`${event} ${volume + 128} 800`)],
    ];
    // 100 ms of pause, of which the end's repetitions take 40.
    const rest = Array<string>(3).fill('audio');
    expect(picture.slice(0, 20)).to.deep.equal([
      ...['audio', 'audio', ...dialled(5, 3), ...rest, ...dialled(11, 8), 'audio'],
    ]);
    const common = { callid: 'dialled', source_tag: 'a', duration: 100 };
    expect(told[before]).to.include({ ...common, event: 5, volume: 3 });
    expect(told[before + 1]).to.include({ ...common, event: 11, volume: 8 });
  });

  it('are not dialled to whom has no events', async () => {
    const [a, x] = phones;
    if (a === undefined || x === undefined) throw new Error('no phones');
    const call = { 'call-id': 'toneless', 'from-tag': 'a' };
    const bare = ({ port }: RtpEndpoint): string =>
      buildSdp({ address: '127.0.0.1', media: [{ ...audio(port), formats: '0' }] });
    await signal({ command: 'offer', ...call, sdp: bodyOf(a) });
    const answer = { command: 'answer', ...call, 'to-tag': 'x', sdp: bare(x) };
    x.clear();
    await a.sendRtp(mediaTarget(await signal(answer)), 1);
    await until(() => x.received === 1, 'a packet');
    const reply = await ng?.ask({ command: 'play DTMF', ...call, code: 5 });
    const reason = 'There is no sink media capable of DTMF playback';
    expect(reply).to.include({ result: 'error', 'error-reason': reason });
    expect(daemon?.process.log()).to.include(`${reason}: nobody who hears it has negotiated`);
  });

  it('are told to whom a call names, and to NG clients of TCP, as rtpengine does', async () => {
    const [a, x] = phones;
    if (a === undefined || x === undefined) throw new Error('no phones');
    const named = createSocket('udp4');
    const client = connect(tcpPort, '127.0.0.1');
    try {
      const heard: Keys[] = [];
      named.on('message', (bytes) => heard.push(JSON.parse(bytes.toString('utf8')) as Keys));
      named.bind(0, '127.0.0.1');
      await Promise.all([once(named, 'listening'), once(client, 'connect')]);
      const received: Buffer[] = [];
      client.on('data', (chunk: Buffer) => received.push(chunk));
      // Whoever has been answered is connected on both sides.
      client.write('c0 d7:command4:pinge');
      await until(() => received.length > 0, 'a pong');
      const call = { 'call-id': 'named', 'from-tag': 'a' };
      const where = `127.0.0.1:${named.address().port}`;
      await signal({ command: 'offer', ...call, 'DTMF-log-dest': where, sdp: bodyOf(a) });
      const answer = { command: 'answer', ...call, 'to-tag': 'x', sdp: bodyOf(x) };
      const to: Destination = mediaTarget(await signal(answer));
      for (const packet of packetsOf(7, 8000, a.ssrc))
        a.rtpSocket.send(packet, to.port, to.address);
      await until(() => heard.length === 1 && received.length > 1, 'the digit');
      expect(heard[0]).to.include({ callid: 'named', event: 7 });
      const [cookie = '', ...body] = Buffer.concat(received.slice(1)).toString('latin1').split(' ');
      expect(cookie).to.match(/^[0-9a-f]+$/);
      const notice = decodeBencode(Buffer.from(body.join(' '), 'latin1'));
      expect(Object.keys(notice)).to.deep.equal(['notify', 'data']);
      expect(notice['notify']).to.equal('onDTMF');
      const event = notice['data'] as Keys;
      expect(Object.keys(event)).to.have.members(Object.keys(heard[0] ?? {}));
      expect(event).to.include({ callid: 'named', source_tag: 'a', event: 7, type: 'DTMF' });
    } finally {
      named.close();
      client.destroy();
    }
  });
});
