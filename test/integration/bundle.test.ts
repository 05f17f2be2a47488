/** Several sections over one port (RFC 9143): each packet reaches its own, there and back, and is counted there. */
import { expect } from 'chai';
import { MediaDaemon } from '../support/daemons.js';
import { freeUdpPort, freeUdpRange } from '../support/free-ports.js';
import { RedisProcess } from '../support/redis-server.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { pause, until } from '../support/wait.js';

const midUri = 'urn:ietf:params:rtp-hdrext:sdes:mid';
const midId = 4;

/** RTP; with `mid` in a header extension, if there is one. */
function rtp(pt: number, ssrc: number, sequence: number, mid: string | null = null): Buffer {
  const head = Buffer.alloc(12);
  head.set([mid === null ? 0x80 : 0x90, pt], 0);
  head.writeUInt16BE(sequence, 2);
  head.writeUInt32BE(ssrc, 8);
  if (mid === null) return Buffer.concat([head, Buffer.from('payload')]);
  const element = Buffer.concat([Buffer.of((midId << 4) | (mid.length - 1)), Buffer.from(mid)]);
  const words = Math.ceil(element.length / 4);
  const padded = Buffer.concat([element], words * 4);
  return Buffer.concat([head, Buffer.of(0xbe, 0xde, 0, words), padded, Buffer.from('payload')]);
}

/** The MID that a packet says under `id`. */
function midIn(packet: Buffer, id: number): string | null {
  if (((packet[0] ?? 0) & 0x10) === 0) return null;
  for (let at = 16; at < 16 + packet.readUInt16BE(14) * 4;) {
    const byte = packet[at] ?? 0;
    const size = (byte & 15) + 1;
    if (byte >> 4 === id) return packet.subarray(at + 1, at + 1 + size).toString();
    at += byte === 0 ? 1 : size + 1;
  }
  return null;
}

interface Section {
  readonly type: 'audio' | 'video';
  readonly pt: number;
  readonly port: number;
  readonly lines: readonly string[];
}

const bodyOf = (sections: readonly Section[], group = ''): string =>
  [
    ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'],
    ...(group === '' ? [] : [`a=group:BUNDLE ${group}`]),
    ...sections.flatMap(({ type, pt, port, lines }) => [
      `m=${type} ${port} RTP/AVPF ${pt}`,
      `a=rtpmap:${pt} ${type === 'audio' ? 'PCMU/8000' : 'VP8/90000'}`,
      ...lines,
    ]),
    '',
  ].join('\r\n');

const portsIn = (sdp: unknown): readonly number[] =>
  [...String(sdp).matchAll(/^m=\S+ (\d+)/gm)].map(([, port]) => Number(port));
const ssrcOf = (packet: Buffer): number => packet.readUInt32BE(8);

describe('sections that share a port', () => {
  const opened: RtpEndpoint[] = [];
  let daemon: MediaDaemon;
  before(async () => {
    daemon = await MediaDaemon.start('rtprelayd');
  });
  after(() => daemon?.stop());
  afterEach(() => {
    for (const one of opened.splice(0)) one.close();
  });
  const open = async (): Promise<RtpEndpoint> => {
    const one = await RtpEndpoint.open();
    opened.push(one);
    return one;
  };
  const types = ['audio', 'video', 'video'] as const;
  const pts = [0, 96, 96] as const;

  it('are taken apart by MID, SSRC and payload type, for a side that has a port for each', async () => {
    const ng = daemon.client();
    const bundled = await open();
    const apart = [await open(), await open(), await open()];
    const lines = (mid: number): string[] => [
      ...[`a=mid:${mid}`, 'a=rtcp-mux', `a=extmap:${midId} ${midUri}`],
      ...(mid === 2 ? ['a=ssrc:300 cname:x'] : []),
    ];
    const tags = { 'call-id': 'apart', 'from-tag': 'a' };
    const offered = await ng.ask({
      ...{ command: 'offer', ...tags, bundle: ['accept'] },
      sdp: bodyOf(
        types.map((type, at) => ({ type, pt: pts[at] ?? 0, port: bundled.port, lines: lines(at) })),
        '0 1 2',
      ),
    });
    const answered = await ng.ask({
      ...{ command: 'answer', ...tags, 'to-tag': 'x' },
      sdp: bodyOf(
        apart.map(({ port }, at) => ({
          ...{ type: types[at] ?? 'audio', pt: pts[at] ?? 0, port, lines: [] },
        })),
      ),
    });
    const ports = portsIn(answered['sdp']);
    expect(new Set(ports).size, 'ports towards the bundle').to.equal(1);
    const send = (packet: Buffer): void => {
      bundled.rtpSocket.send(packet, ports[0] ?? 0, '127.0.0.1');
    };
    for (let n = 1; n <= 5; n++) send(rtp(0, 100, n));
    // Both have this type: the first packet says whose its SSRC is.
    for (let n = 1; n <= 7; n++) send(rtp(96, 200, n, n === 1 ? '1' : null));
    // Named by the offer.
    for (let n = 1; n <= 9; n++) send(rtp(96, 300, n));
    // Of nobody.
    send(rtp(96, 400, 1));
    await until(
      () => [5, 7, 9].every((wanted, at) => (apart[at]?.rtp.length ?? 0) >= wanted),
      'the packets of each section',
    );
    await pause(100);
    apart.forEach((phone, at) => {
      expect(phone.rtp.map(({ bytes }) => ssrcOf(bytes))).to.deep.equal(
        Array.from({ length: [5, 7, 9][at] ?? 0 }, () => (at + 1) * 100),
      );
      // Its SDP has no MID.
      for (const { bytes } of phone.rtp) expect(midIn(bytes, midId)).to.equal(null);
    });
    const query = await ng.ask({ command: 'query', ...tags });
    const participant = (query['tags'] as Record<string, unknown>)['a'] as {
      medias: { streams: { stats: { packets: number }; 'local port': number }[] }[];
    };
    const streams = participant.medias.map(({ streams: [first] }) => first);
    expect(streams.map((stream) => stream?.stats.packets)).to.deep.equal([6, 7, 9]);
    expect(streams.map((stream) => stream?.['local port'])).to.deep.equal(ports);
    // Back: all of it comes from the one port, and says its MID.
    const back = portsIn(offered['sdp']);
    apart.forEach((phone, at) => {
      phone.rtpSocket.send(rtp(pts[at] ?? 0, 1000 + at, 1), back[at] ?? 0, '127.0.0.1');
    });
    await until(() => bundled.rtp.length === 3, 'all three at the bundle');
    const said = bundled.rtp.map(({ bytes }) => [ssrcOf(bytes), midIn(bytes, midId)] as const);
    expect([...said].sort(([a], [b]) => a - b)).to.deep.equal([
      [1000, '0'],
      [1001, '1'],
      [1002, '2'],
    ]);
    ng.close();
  });

  it('are told apart after a restart by what packets have taught before', async function () {
    this.timeout(30_000);
    const redis = await RedisProcess.start();
    const options = {
      ...{ portRange: freeUdpRange(40), controlPort: freeUdpPort() },
      extra: [`--redis=127.0.0.1:${redis.port}/0`],
    };
    let own = await MediaDaemon.start('rtprelayd', options);
    const ng = own.client();
    try {
      const bundled = await open();
      const apart = [await open(), await open()];
      const tags = { 'call-id': 'taught', 'from-tag': 'a' };
      const section = (port: number, at: number, lines: readonly string[]): Section => ({
        ...{ type: 'video', pt: 96, port, lines: [`a=mid:${at}`, 'a=rtcp-mux', ...lines] },
      });
      await ng.ask({
        ...{ command: 'offer', ...tags, bundle: ['accept'] },
        sdp: bodyOf(
          [0, 1].map((at) => section(bundled.port, at, [`a=extmap:${midId} ${midUri}`])),
          '0 1',
        ),
      });
      const answered = await ng.ask({
        ...{ command: 'answer', ...tags, 'to-tag': 'x' },
        sdp: bodyOf(apart.map(({ port }, at) => section(port, at, []))),
      });
      const [port = 0] = portsIn(answered['sdp']);
      const send = (packet: Buffer): void => bundled.rtpSocket.send(packet, port, '127.0.0.1');
      const each = async (when: string, packet: (at: number) => Buffer): Promise<void> => {
        for (const phone of apart) phone.clear();
        for (const at of [0, 1]) send(packet(at));
        await until(() => apart.every(({ rtp: heard }) => heard.length === 1), when);
        apart.forEach(({ rtp: [heard] }, at) => {
          expect(heard === undefined ? 0 : ssrcOf(heard.bytes), when).to.equal(500 + at);
        });
      };
      await each('with their MIDs', (at) => rtp(96, 500 + at, 1, String(at)));
      const connection = redis.connect();
      await until(
        async () => /"rtprelay_bundle":"[^"]* 501"/.test((await connection.get('taught')) ?? ''),
        'both are stored',
      );
      connection.disconnect();
      await own.stop('SIGKILL');
      own = await MediaDaemon.start('rtprelayd', options);
      await each('without', (at) => rtp(96, 500 + at, 2));
    } finally {
      ng.close();
      await own.stop('SIGKILL');
      await redis.stop();
    }
  });

  it('are put together for a side that bundles, and it alone', async () => {
    const ng = daemon.client();
    const bundled = await open();
    const apart = [await open(), await open()];
    const tags = { 'call-id': 'together', 'from-tag': 'a' };
    const offered = await ng.ask({
      ...{ command: 'offer', ...tags, bundle: ['offer'] },
      sdp: bodyOf(
        apart.map(({ port }, at) => ({
          ...{ type: types[at] ?? 'audio', pt: pts[at] ?? 0, port, lines: [] },
        })),
      ),
    });
    const id = Number(
      /a=extmap:(\d+) urn:ietf:params:rtp-hdrext:sdes:mid/.exec(String(offered['sdp']))?.[1],
    );
    const lines = (mid: number): string[] => [
      ...[`a=mid:${mid}`, 'a=rtcp-mux', `a=extmap:${id} ${midUri}`],
    ];
    await ng.ask({
      ...{ command: 'answer', ...tags, 'to-tag': 'x' },
      sdp: bodyOf(
        apart.map((_, at) => ({
          ...{ type: types[at] ?? 'audio', pt: pts[at] ?? 0, port: bundled.port, lines: lines(at) },
        })),
        '0 1',
      ),
    });
    const [port = 0] = portsIn(offered['sdp']);
    for (let n = 1; n <= 3; n++) {
      for (const at of [0, 1])
        bundled.rtpSocket.send(rtp(pts[at] ?? 0, 10 + at, n), port, '127.0.0.1');
    }
    await until(
      () => apart.every((phone) => phone.rtp.length === 3),
      'the packets of each section',
    );
    apart.forEach((phone, at) => {
      expect(phone.rtp.map(({ bytes }) => ssrcOf(bytes))).to.deep.equal([
        10 + at,
        10 + at,
        10 + at,
      ]);
    });
    ng.close();
  });
});
