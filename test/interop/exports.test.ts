/**
 * What the daemon tells others by itself, beside rtpengine 10.5: the same call is made through both, with
 * receivers of our own for Graphite, Homer and XML-RPC; what they got is compared.
 */
import { expect } from 'chai';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { MediaDaemon, rtpengineInstalled, type DaemonKind } from '../support/daemons.js';
import { audioSdp, mediaPort } from '../support/ng-client.js';
import { RtpEndpoint, senderReport, type Destination } from '../support/rtp-endpoint.js';
import { pause, until } from '../support/wait.js';

/** A TCP server that keeps what it gets and answers each request with `answer`. */
class Sink {
  text = '';
  readonly chunks: Buffer[] = [];
  readonly #sockets = new Set<Socket>();
  private constructor(
    readonly server: Server,
    readonly port: number,
  ) {}

  static async open(answer: string | null = null): Promise<Sink> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const sink = new Sink(server, (server.address() as AddressInfo).port);
    server.on('connection', (socket) => {
      sink.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('data', (bytes) => {
        sink.text += bytes.toString('latin1');
        sink.chunks.push(bytes);
        if (answer !== null && bytes.includes('</methodCall>')) socket.end(answer);
      });
    });
    return sink;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.server.close();
  }
}

const fine =
  '<?xml version="1.0"?><methodResponse><params><param><value><string>ok</string></value></param></params></methodResponse>';
const httpFine = `HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: ${fine.length}\r\n\r\n${fine}`;

/** Chunks of a HEP3 packet by their ids, in order. */
function hepChunks(packet: Buffer): readonly (readonly [id: number, value: Buffer])[] {
  expect(packet.toString('latin1', 0, 4)).to.equal('HEP3');
  expect(packet.readUInt16BE(4)).to.equal(packet.length);
  const chunks: [number, Buffer][] = [];
  for (let at = 6; at < packet.length; at += packet.readUInt16BE(at + 4)) {
    const length = packet.readUInt16BE(at + 4);
    chunks.push([packet.readUInt16BE(at + 2), packet.subarray(at + 6, at + length)]);
  }
  return chunks;
}

/** RTCP of all kinds that count: SR with and without blocks, RR, SDES with several items, BYE, XR. */
function compounds(ssrc: number, about: number): readonly Buffer[] {
  const words = (...values: readonly number[]): Buffer => {
    const bytes = Buffer.alloc(values.length * 4);
    values.forEach((value, at) => bytes.writeUInt32BE(value >>> 0, at * 4));
    return bytes;
  };
  const packet = (count: number, type: number, body: Buffer): Buffer => {
    const head = Buffer.from([0x80 | count, type, 0, 0]);
    head.writeUInt16BE(body.length / 4, 2);
    return Buffer.concat([head, body]);
  };
  const block = words(about, 0x05000003, 0x10064, 80, 0x12345678, 0x1000);
  const items = Buffer.from('\x01\x07c"a\\b@d\x02\x04Name\x06\x04tool\0', 'latin1');
  const padded = Buffer.concat([words(ssrc), items, Buffer.alloc((4 - (items.length % 4)) % 4)]);
  const sr = senderReport(ssrc, 100, 16000);
  return [
    sr,
    packet(1, 201, Buffer.concat([words(ssrc), block])),
    packet(2, 201, Buffer.concat([words(ssrc), block, words(7, 0, 1, 2, 3, 4)])),
    Buffer.concat([sr, packet(1, 202, padded)]),
    Buffer.concat([sr, packet(1, 203, words(ssrc))]),
    packet(1, 202, padded),
  ];
}

interface Told {
  readonly graphite: string;
  readonly hep: readonly Buffer[];
  readonly xml: string;
  readonly callerRtcp: number;
}

async function tellAll(kind: DaemonKind, transport: 'udp' | 'tcp', format: number): Promise<Told> {
  const [graphite, b2b, homerTcp] = [
    await Sink.open(),
    await Sink.open(httpFine),
    await Sink.open(),
  ];
  const hep: Buffer[] = [];
  const homerUdp = createSocket('udp4');
  homerUdp.on('message', (message) => hep.push(message));
  homerUdp.bind(0, '127.0.0.1');
  await once(homerUdp, 'listening');
  const homerPort = transport === 'udp' ? homerUdp.address().port : homerTcp.port;
  const daemon = await MediaDaemon.start(kind, {
    extra: [
      ...[`--graphite=127.0.0.1:${graphite.port}`, '--graphite-interval=1', '--graphite-prefix=p.'],
      ...[`--homer=127.0.0.1:${homerPort}`, `--homer-protocol=${transport}`, '--homer-id=77'],
      ...[`--b2b-url=http://127.0.0.1:${b2b.port}/RPC`, `--xmlrpc-format=${format}`, '--timeout=1'],
    ],
  });
  const client = daemon.client();
  const [a, b] = [await RtpEndpoint.open(0x11111111), await RtpEndpoint.open(0x22222222)];
  try {
    const ids = { 'call-id': 'told-1', 'from-tag': 'fa' };
    await client.request({ command: 'offer', ...ids, sdp: audioSdp(a.port) });
    const answer = { command: 'answer', ...ids, 'to-tag': 'tb', sdp: audioSdp(b.port) };
    const toA: Destination = {
      address: '127.0.0.1',
      port: mediaPort(await client.request(answer)),
    };
    // The first one opens its connection.
    for (const compound of compounds(a.ssrc, b.ssrc)) {
      a.rtcpSocket.send(compound, toA.port + 1, toA.address);
      await pause(60);
    }
    await until(
      () => b2b.text.split('</methodCall>').length > (format === 0 ? 2 : 1),
      'the notice',
    );
    await until(
      () => graphite.text.split('p.timeout_sess 1').length > 1,
      'the timeout in a report',
    );
    return {
      graphite: graphite.text,
      hep: transport === 'udp' ? hep : splitHep(Buffer.concat(homerTcp.chunks)),
      xml: b2b.text,
      callerRtcp: a.port + 1,
    };
  } finally {
    client.close();
    a.close();
    b.close();
    await daemon.stop();
    for (const sink of [graphite, b2b, homerTcp]) sink.close();
    homerUdp.close();
  }
}

function splitHep(stream: Buffer): readonly Buffer[] {
  const packets: Buffer[] = [];
  for (let at = 0; at < stream.length; at += stream.readUInt16BE(at + 4)) {
    packets.push(stream.subarray(at, at + stream.readUInt16BE(at + 4)));
  }
  return packets;
}

/** The report in which a timeout was counted, values left out but for counts of the call. */
function graphiteNames({ graphite }: Told, from10 = false): readonly string[] {
  const lines = graphite.split('\n');
  const last = lines.findIndex((line) => line.startsWith('p.timeout_sess 1 '));
  const first = lines.findLastIndex((line, at) => at < last && line.startsWith('p.ping_time_min '));
  const end = lines.findIndex((line, at) => at > last && line.startsWith('p.ports_used_'));
  return lines.slice(first, end + 1).map((line) => {
    const [, name = '', value = '', at = ''] = /^(.*) (\S+) (\d+)$/.exec(line) ?? [];
    expect(Number(at), line).to.be.greaterThan(1e9);
    const form = value.includes('.') ? value.replace(/\d+/, 'n').length : 'integer';
    // 10.5 leaves the blanks of commands in, for which Graphite drops the lines; 12.5 does as we do.
    if (!from10) expect(name).not.to.include(' ');
    return `${name.replaceAll(' ', '_')} ${form}`;
  });
}

/** Values of chunks that must agree; ports and moments by their place. */
function hepPictures({ hep, callerRtcp }: Told): readonly string[] {
  return hep.map((packet) =>
    hepChunks(packet)
      .map(([id, value]) => {
        if (id === 7) expect(value.readUInt16BE()).to.equal(callerRtcp);
        if (id === 8 || id === 7 || id === 9 || id === 10) return `${id}:${value.length}`;
        return `${id}:${value.toString('latin1')}`;
      })
      .join(' '),
  );
}

const bodies = ({ xml }: Told): readonly string[] =>
  [...xml.matchAll(/<\?xml[\s\S]*?<\/methodCall>/g)].map(([body]) => body);

describe('what rtpengine 10.5 tells others', function () {
  this.timeout(60_000);
  before(function () {
    if (!rtpengineInstalled) this.skip();
  });

  for (const [transport, format] of [
    ['udp', 0],
    ['tcp', 2],
  ] as const) {
    it(`is told alike: Graphite, Homer over ${transport}, XML-RPC in form ${format}`, async () => {
      const [theirs, ours] = await Promise.all([
        tellAll('rtpengine', transport, format),
        tellAll('rtprelayd', transport, format),
      ]);
      expect(graphiteNames(ours)).to.deep.equal(graphiteNames(theirs, true));
      expect(hepPictures(ours)).to.deep.equal(hepPictures(theirs));
      expect(ours.hep).to.have.length(6);
      expect(bodies(ours)).to.deep.equal(bodies(theirs));
      expect(bodies(ours).length).to.be.greaterThan(0);
    });
  }
});
