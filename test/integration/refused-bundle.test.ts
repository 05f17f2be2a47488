/**
 * Later offers that put sections together on one port, or take them apart: until they are answered each section's media
 * comes and goes as before, since they may be refused, and nobody tells the relay.
 */
import { expect } from 'chai';
import { MediaDaemon } from '../support/daemons.js';
import { freeUdpPort, freeUdpRange } from '../support/free-ports.js';
import type { NgClient } from '../support/ng-client.js';
import { RedisProcess } from '../support/redis-server.js';
import { RtpEndpoint, rtpPacket } from '../support/rtp-endpoint.js';
import { until } from '../support/wait.js';

const payloadTypes = [0, 96] as const;
const names = ['audio', 'video'] as const;

/** @param bundled where that is offered first, there is a port for each section all the same (RFC 9143 §7.2.1). */
function bodyOf(ports: readonly number[], bundled: boolean): string {
  return [
    ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'],
    ...(bundled ? ['a=group:BUNDLE 0 1'] : []),
    ...names.flatMap((name, at) => [
      `m=${name} ${ports[at]} RTP/AVP ${payloadTypes[at]}`,
      `a=rtpmap:${payloadTypes[at]} ${name === 'audio' ? 'PCMU/8000' : 'VP8/90000'}`,
      ...[`a=mid:${at}`, 'a=rtcp-mux'],
    ]),
    '',
  ].join('\r\n');
}

const portsIn = (sdp: unknown): readonly number[] =>
  [...String(sdp).matchAll(/^m=\S+ (\d+)/gm)].map(([, port]) => Number(port));

describe('bundles of an offer that is refused', function () {
  this.timeout(60_000);
  const extra = (redis: RedisProcess): readonly string[] => [`--redis=127.0.0.1:${redis.port}/0`];
  const options = { portRange: freeUdpRange(60), controlPort: freeUdpPort() };
  let redis: RedisProcess;
  let daemon: MediaDaemon;
  let ng: NgClient;
  /** Of the offerer and of the other: their two ports, of which a bundle uses the first. */
  let sides: readonly (readonly RtpEndpoint[])[];
  /** Where each side sends its sections, and whether it has them on one port. */
  let targets: (readonly number[])[];
  let together: boolean[];
  before(async () => {
    redis = await RedisProcess.start();
    daemon = await MediaDaemon.start('rtprelayd', { ...options, extra: extra(redis) });
    ng = daemon.client();
  });
  beforeEach(async () => {
    const two = async (): Promise<readonly RtpEndpoint[]> => [
      await RtpEndpoint.open(),
      await RtpEndpoint.open(),
    ];
    sides = [await two(), await two()];
    targets = [[], []];
    together = [false, false];
  });
  afterEach(async () => {
    for (const each of sides.flat()) each.close();
    await ng.ask({ command: 'delete', 'call-id': 'bundle', 'delete-delay': 0 });
  });
  after(async () => {
    ng?.close();
    await daemon?.stop('SIGKILL');
    await redis?.stop();
  });

  const tags = { 'call-id': 'bundle', 'from-tag': 'offerer', 'to-tag': 'other' };
  const placesOf = (side: number, bundled: boolean): readonly number[] => {
    const [first, second] = (sides[side] ?? []).map(({ port }) => port);
    return [first ?? 0, (bundled ? first : second) ?? 0];
  };

  const offer = async (bundled: boolean, words: readonly string[] = ['accept']): Promise<unknown> =>
    (
      await ng.ask({
        ...{ command: 'offer', ...tags, bundle: words },
        // Where media goes may change with the offer: it is not what is looked at here.
        sdp: bodyOf(placesOf(0, bundled && together[0] === true), bundled),
      })
    )['sdp'];

  /** @param offered what the other side was told; it takes a bundle, and stays in it when the offerer does not. */
  async function answer(offered: unknown): Promise<void> {
    const takes = String(offered).includes('a=group:BUNDLE 0 1');
    const { sdp } = await ng.ask({
      ...{ command: 'answer', ...tags },
      sdp: bodyOf(placesOf(1, takes), takes),
    });
    const ofOther = portsIn(offered);
    targets = [portsIn(sdp), takes ? [ofOther[0] ?? 0, ofOther[0] ?? 0] : ofOther];
    together = targets.map((ports) => new Set(ports).size === 1);
  }

  /** Both sections of both sides arrive, where each is expected and nowhere else. */
  async function passes(when: string): Promise<void> {
    const all = sides.flat();
    for (const each of all) each.clear();
    const heard = (): readonly (readonly number[])[] =>
      all.map(({ rtp }) => [...new Set(rtp.map(({ bytes }) => bytes.readUInt32BE(8)))].sort());
    const at = (side: number, ssrc: number): readonly (readonly number[])[] =>
      together[side] === true ? [[ssrc, ssrc + 1], []] : [[ssrc], [ssrc + 1]];
    const wanted = [...at(0, 20), ...at(1, 10)];
    let sequenceNumber = 0;
    await until(() => {
      sequenceNumber += 1;
      sides.forEach((endpoints, side) => {
        payloadTypes.forEach((payloadType, at) => {
          const fields = { payloadType, sequenceNumber, timestamp: 0, payload: Buffer.alloc(20) };
          const packet = rtpPacket({ ...fields, ssrc: 10 * (side + 1) + at });
          const socket = endpoints[together[side] === true ? 0 : at]?.rtpSocket;
          socket?.send(packet, targets[side]?.[at] ?? 0, '127.0.0.1');
        });
      });
      return heard().flat().length === 4;
    }, `all four ${when}`);
    for (const each of all) await each.settled();
    expect(heard(), when).to.deep.equal(wanted);
  }

  for (const was of [true, false])
    it(`leave sections ${was ? 'together' : 'apart'}`, async () => {
      await answer(await offer(was));
      expect(together).to.deep.equal([was, was]);
      await passes('at first');
      for (let twice = 0; twice < 2; twice += 1) {
        await offer(!was);
        await passes('while the offer is not answered');
      }
      await daemon.stop('SIGKILL');
      daemon = await MediaDaemon.start('rtprelayd', { ...options, extra: extra(redis) });
      await until(
        async () => (await ng.ask({ command: 'query', 'call-id': 'bundle' }))['result'] === 'ok',
        'the call is back',
      );
      await passes('after a restart');
      // What was agreed on is offered again, then the other, which is answered.
      await answer(await offer(was));
      await passes('agreed on again');
      await answer(await offer(!was));
      expect(together[0]).to.equal(!was);
      await passes('answered');
    });

  it('leave sections apart that are to be had together alone', async () => {
    await answer(await offer(false));
    await passes('at first');
    await offer(false, ['require']);
    await passes('while the offer is not answered');
    await answer(await offer(false));
    await passes('agreed on again');
  });
});
