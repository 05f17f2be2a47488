/** Who hears a party whose SRTP ends here: keys by DTLS, then a plain subscriber and one that has SRTP itself. */
import { expect } from 'chai';
import { MediaDaemon } from '../support/daemons.js';
import type { NgClient } from '../support/ng-client.js';
import { RtpEndpoint, type Destination } from '../support/rtp-endpoint.js';
import { audio, buildSdp, mediaTarget } from '../support/sdp.js';
import { until } from '../support/wait.js';

type Keys = Readonly<Record<string, unknown>>;

const body = ({ port }: RtpEndpoint): string =>
  buildSdp({ address: '127.0.0.1', media: [{ ...audio(port), formats: '0', lines: [] }] });

/** Sends until each of `hearers` has some of it: handshakes take their time. */
async function untilHeard(
  from: RtpEndpoint,
  target: Destination,
  hearers: readonly RtpEndpoint[],
): Promise<void> {
  const send = setInterval(() => {
    from.sendNext(target);
  }, 20);
  try {
    await until(() => hearers.every(({ rtp }) => rtp.length >= 5), 'all hear', 15_000);
  } finally {
    clearInterval(send);
  }
}

describe('a subscriber of a party that has DTLS', function () {
  this.timeout(30_000);
  const phones: RtpEndpoint[] = [];
  let daemon: MediaDaemon | undefined;
  let ng: NgClient | undefined;

  const signal = async (keys: Keys): Promise<string> => {
    const reply = await ng?.ask(keys as Parameters<NgClient['ask']>[0]);
    expect(reply, JSON.stringify(reply)).to.have.property('result', 'ok');
    return String(reply?.['sdp']);
  };
  const phone = async (): Promise<RtpEndpoint> => {
    const opened = await RtpEndpoint.open();
    phones.push(opened);
    return opened;
  };

  beforeEach(async () => {
    daemon = await MediaDaemon.start('rtprelayd');
    ng = daemon.client();
  });

  afterEach(async () => {
    for (const each of phones.splice(0)) each.close();
    ng?.close();
    await daemon?.stop();
  });

  /** a is plain, calls through one call that makes it DTLS and another one that makes it plain again; what a sends to. */
  async function call(a: RtpEndpoint, b: RtpEndpoint): Promise<Destination> {
    const secure = { 'transport-protocol': 'UDP/TLS/RTP/SAVPF', SDES: ['off'] };
    const [first, second] = [
      { 'call-id': 'first', 'from-tag': 'a' },
      { 'call-id': 'second', 'from-tag': 'a' },
    ];
    const secured = await signal({ command: 'offer', ...first, ...secure, sdp: body(a) });
    const plain = { 'transport-protocol': 'RTP/AVP' };
    await signal({ command: 'offer', ...second, ...plain, sdp: secured });
    const answered = await signal({ command: 'answer', ...second, 'to-tag': 'b', sdp: body(b) });
    return mediaTarget(await signal({ command: 'answer', ...first, 'to-tag': 'b', sdp: answered }));
  }

  it('hears in the clear what the other end has decrypted', async () => {
    const [a, b, s] = [await phone(), await phone(), await phone()];
    const target = await call(a, b);
    const keys = { 'call-id': 'second', 'to-tag': 's' };
    const offered = await signal({
      ...{ command: 'subscribe request', ...keys, 'from-tag': 'a' },
      'transport-protocol': 'RTP/AVP',
    });
    expect(offered).to.contain('RTP/AVP').and.not.to.contain('a=fingerprint');
    await signal({ command: 'subscribe answer', ...keys, sdp: body(s) });
    await untilHeard(a, target, [b, s]);
    for (const { bytes } of [...s.rtp, ...b.rtp]) {
      expect(bytes.subarray(12)).to.deep.equal(Buffer.alloc(160, bytes.readUInt16BE(2) & 0xff));
    }
  });

  it('has a handshake of its own where it is not asked to be plain', async () => {
    const [a, b, s] = [await phone(), await phone(), await phone()];
    const target = await call(a, b);
    const keys = { 'call-id': 'second', 'to-tag': 's' };
    const offered = await signal({ command: 'subscribe request', ...keys, 'from-tag': 'a' });
    expect(offered).to.contain('UDP/TLS/RTP/SAVPF').and.to.contain('a=fingerprint');
    const third = { 'call-id': 'third', 'from-tag': 'r' };
    const plain = { 'transport-protocol': 'RTP/AVP' };
    await signal({ command: 'offer', ...third, ...plain, sdp: offered });
    const heard = await signal({ command: 'answer', ...third, 'to-tag': 's', sdp: body(s) });
    await signal({ command: 'subscribe answer', ...keys, sdp: heard });
    await untilHeard(a, target, [b, s]);
  });

  for (const [name, words] of [
    ['in the clear', {}],
    ['with DTLS and all on one port', { flags: ['WebRTC'] }],
  ] as const) {
    it(`is reached by ICE, ${name}`, async () => {
      const [a, b, s] = [await phone(), await phone(), await phone()];
      const plainCall = { 'call-id': 'plain', 'from-tag': 'a' };
      await signal({ command: 'offer', ...plainCall, sdp: body(a) });
      const told = await signal({ command: 'answer', ...plainCall, 'to-tag': 'b', sdp: body(b) });
      const keys = { 'call-id': 'plain', 'to-tag': 's' };
      const offered = await signal({
        ...{ command: 'subscribe request', ...keys, 'from-tag': 'a', ICE: 'force' },
        ...words,
      });
      expect(offered).to.contain('a=candidate:').and.to.contain('a=ice-pwd:');
      // The subscriber's agent is that of another call, which has a plain phone behind it.
      const third = { 'call-id': 'third', 'from-tag': 'r' };
      const plain = { 'transport-protocol': 'RTP/AVP', ICE: 'remove' };
      await signal({ command: 'offer', ...third, ...plain, sdp: offered });
      const heard = await signal({ command: 'answer', ...third, 'to-tag': 's', sdp: body(s) });
      expect(heard).to.contain('a=candidate:');
      await signal({ command: 'subscribe answer', ...keys, sdp: heard });
      await untilHeard(a, mediaTarget(told), [b, s]);
      const query = await ng?.ask({ command: 'query', 'call-id': 'plain' });
      expect(JSON.stringify(query)).to.match(/"tag":"s".*"flags":\[[^\]]*"ICE"/);
      // Asked again without a word about it, he is offered what he has.
      const again = await signal({ command: 'subscribe request', ...keys, 'from-tag': 'a' });
      expect(/a=ice-ufrag:\S+/.exec(again)?.[0]).to.equal(/a=ice-ufrag:\S+/.exec(offered)?.[0]);
    });
  }

  it('of a publisher with ICE is reached by ICE, unless it is to be left out', async () => {
    const [a, b, s] = [await phone(), await phone(), await phone()];
    // The publisher's agent is that of another call.
    const first = { 'call-id': 'first', 'from-tag': 'a' };
    const offer = await signal({ command: 'offer', ...first, ICE: 'force', sdp: body(a) });
    const published = { 'call-id': 'published', 'from-tag': 'p' };
    const answer = await signal({ command: 'publish', ...published, sdp: offer });
    expect(answer).to.contain('a=candidate:');
    const target = mediaTarget(
      await signal({ command: 'answer', ...first, 'to-tag': 'p', sdp: answer }),
    );
    const subscribe = { command: 'subscribe request', ...published };
    expect(await signal({ ...subscribe, 'to-tag': 'b' })).to.contain('a=candidate:');
    expect(await signal({ ...subscribe, 'to-tag': 's', ICE: 'remove' })).not.to.contain('a=ice-');
    for (const [tag, phone] of [
      ['b', b],
      ['s', s],
    ] as const) {
      const keys = { 'call-id': 'published', 'to-tag': tag, sdp: body(phone) };
      await signal({ command: 'subscribe answer', ...keys });
    }
    await untilHeard(a, target, [b, s]);
  });
});
