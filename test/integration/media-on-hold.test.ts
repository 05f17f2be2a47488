/**
 * Who is on hold is sent nothing, and what he sends goes nowhere (12.5 seen), once he has been answered: an offer may be
 * refused, and nobody tells the relay.
 */
import { expect } from 'chai';
import { MediaDaemon } from '../support/daemons.js';
import type { NgClient } from '../support/ng-client.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { buildSdp, mediaTarget } from '../support/sdp.js';
import { until } from '../support/wait.js';

const packet = (sequence: number): Buffer => {
  const bytes = Buffer.alloc(172, 0x55);
  bytes.set([0x80, 0x00], 0);
  bytes.writeUInt16BE(sequence, 2);
  bytes.writeUInt32BE(0x1234_5678, 8);
  return bytes;
};
const report = Buffer.from('80c90001deadbeef', 'hex');

describe('media on hold', () => {
  let daemon: MediaDaemon;
  let ng: NgClient;
  let a: RtpEndpoint;
  let x: RtpEndpoint;
  before(async () => {
    daemon = await MediaDaemon.start('rtprelayd');
    ng = daemon.client();
  });
  beforeEach(async () => {
    [a, x] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
  });
  afterEach(() => {
    a.close();
    x.close();
  });
  after(async () => {
    ng.close();
    await daemon.stop();
  });

  const body = ({ port }: RtpEndpoint, direction: string): string =>
    buildSdp({
      address: '127.0.0.1',
      media: [{ port, formats: '0', lines: [`a=${direction}`] }],
    });

  /** Ports that a and x send to. */
  async function signal(
    call: string,
    offered: string,
    answered: string,
  ): Promise<[number, number]> {
    const keys = { 'call-id': call, 'from-tag': 'a' };
    const offer = { command: 'offer', ...keys, sdp: body(a, offered) };
    const toX = await ng.ask(offer);
    const toA = await ng.ask({ command: 'answer', ...keys, 'to-tag': 'x', sdp: body(x, answered) });
    return [mediaTarget(String(toA['sdp'])).port, mediaTarget(String(toX['sdp'])).port];
  }

  /** Packets that arrive at x and at a, of one that each sends; a report behind each says that all is there. */
  async function heard([ofA, ofX]: readonly [number, number]): Promise<readonly [number, number]> {
    const before = { a: a.rtp.length, x: x.rtp.length, ra: a.rtcp.length, rx: x.rtcp.length };
    a.rtpSocket.send(packet(1), ofA, '127.0.0.1');
    x.rtpSocket.send(packet(1), ofX, '127.0.0.1');
    a.rtpSocket.send(report, ofA, '127.0.0.1');
    x.rtpSocket.send(report, ofX, '127.0.0.1');
    const reported = (): boolean => a.rtcp.length > before.ra && x.rtcp.length > before.rx;
    await until(reported, 'reports go on, hold or not');
    return [x.rtp.length - before.x, a.rtp.length - before.a];
  }

  // Whoever answers has the last word: an offer on hold that is answered with sendrecv is none.
  for (const [offered, answered, toX, toA] of [
    ['sendonly', 'recvonly', 1, 0],
    ['recvonly', 'sendonly', 0, 1],
    ['inactive', 'inactive', 0, 0],
    ['sendrecv', 'recvonly', 1, 0],
    ['sendrecv', 'inactive', 0, 0],
    ['inactive', 'sendrecv', 1, 1],
  ] as const) {
    it(`offered ${offered}, answered ${answered}, and resumed`, async () => {
      const call = `${offered}-${answered}`;
      expect(await heard(await signal(call, 'sendrecv', 'sendrecv'))).to.deep.equal([1, 1]);
      expect(await heard(await signal(call, offered, answered))).to.deep.equal([toX, toA]);
      expect(await heard(await signal(call, 'sendrecv', 'sendrecv'))).to.deep.equal([1, 1]);
    });
  }

  for (const [by, direction] of [
    ['a', 'sendonly'],
    ['a', 'inactive'],
    ['x', 'sendonly'],
    ['x', 'inactive'],
  ] as const) {
    it(`${direction} that ${by} offers and nobody answers takes nothing away, twice neither`, async () => {
      const call = `refused-${by}-${direction}`;
      const ports = await signal(call, 'sendrecv', 'sendrecv');
      expect(await heard(ports)).to.deep.equal([1, 1]);
      const [from, to, phone] = by === 'a' ? ['a', 'x', a] : ['x', 'a', x];
      const offer = { command: 'offer', 'call-id': call, 'from-tag': from, 'to-tag': to };
      for (const each of [direction, 'inactive']) {
        await ng.ask({ ...offer, sdp: body(phone as RtpEndpoint, each) });
        expect(await heard(ports)).to.deep.equal([1, 1]);
      }
      // Its answer makes a hold of it.
      expect(await heard(await signal(call, 'inactive', 'inactive'))).to.deep.equal([0, 0]);
    });
  }

  it('a zero address that is offered and refused takes nothing away; answered, it holds', async () => {
    const call = 'zero';
    const ports = await signal(call, 'sendrecv', 'sendrecv');
    expect(await heard(ports)).to.deep.equal([1, 1]);
    const media = [{ port: a.port, formats: '0' }];
    const zero = buildSdp({ address: '0.0.0.0', media });
    const keys = { 'call-id': call, 'from-tag': 'a', 'to-tag': 'x' };
    for (let twice = 0; twice < 2; twice += 1) {
      await ng.ask({ command: 'offer', ...keys, sdp: zero });
      expect(await heard(ports)).to.deep.equal([1, 1]);
    }
    const reply = await ng.ask({ command: 'answer', ...keys, sdp: body(x, 'sendrecv') });
    expect(reply).to.have.property('result', 'ok');
    const before = { a: a.rtp.length, x: x.rtp.length };
    x.rtpSocket.send(packet(2), ports[1], '127.0.0.1');
    a.rtpSocket.send(packet(2), ports[0], '127.0.0.1');
    await until(() => x.rtp.length > before.x, 'who holds may still send');
    expect(a.rtp).to.have.length(before.a);
    expect(await heard(await signal(call, 'sendrecv', 'sendrecv'))).to.deep.equal([1, 1]);
  });

  it('a call that is resumed goes on from the offer on; refused, it stays so', async () => {
    const ports = await signal('resumed', 'inactive', 'inactive');
    expect(await heard(ports)).to.deep.equal([0, 0]);
    const offer = { command: 'offer', 'call-id': 'resumed', 'from-tag': 'a', 'to-tag': 'x' };
    await ng.ask({ ...offer, sdp: body(a, 'sendrecv') });
    expect(await heard(ports)).to.deep.equal([1, 1]);
    await ng.ask({ ...offer, sdp: body(a, 'inactive') });
    expect(await heard(ports)).to.deep.equal([0, 0]);
  });

  it('who has subscribed goes on hearing whose hold is refused', async () => {
    const ports = await signal('heard', 'sendrecv', 'sendrecv');
    const s = await RtpEndpoint.open();
    try {
      const keys = { 'call-id': 'heard', 'to-tag': 's' };
      await ng.ask({ command: 'subscribe request', ...keys, 'from-tag': 'a' });
      await ng.ask({ command: 'subscribe answer', ...keys, sdp: body(s, 'recvonly') });
      const offer = { command: 'offer', 'call-id': 'heard', 'from-tag': 'a', 'to-tag': 'x' };
      await ng.ask({ ...offer, sdp: body(a, 'inactive') });
      expect(await heard(ports)).to.deep.equal([1, 1]);
      await until(() => s.rtp.length === 1, 'the subscriber hears it');
      expect(await heard(await signal('heard', 'inactive', 'inactive'))).to.deep.equal([0, 0]);
      expect(s.rtp).to.have.length(1);
    } finally {
      s.close();
    }
  });

  it('who hears himself is on hold as well', async () => {
    const keys = { 'call-id': 'echo', 'from-tag': 'a', 'media-echo': 'both' };
    await ng.ask({ command: 'offer', ...keys, sdp: body(a, 'inactive') });
    const answer = { command: 'answer', ...keys, 'to-tag': 'x', sdp: body(x, 'inactive') };
    const { port } = mediaTarget(String((await ng.ask(answer))['sdp']));
    a.rtpSocket.send(packet(1), port, '127.0.0.1');
    a.rtpSocket.send(report, port, '127.0.0.1');
    await until(() => a.rtcp.length > 0, 'its report comes back');
    expect(a.rtp).to.have.length(0);
  });
});
