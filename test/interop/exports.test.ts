/**
 * What the daemon tells others by itself, beside rtpengine 10.5 and 12.5: the same call is made through each, with
 * receivers of our own for Graphite, Homer and XML-RPC; what they got is compared.
 */
import { expect } from 'chai';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { encodeBencode } from '../support/bencode.js';
import { MediaDaemon, rtpengineInstalled, type DaemonKind } from '../support/daemons.js';
import { freeTcpPort, freeUdpPort } from '../support/free-ports.js';
import { audioSdp, mediaPort, NgClient } from '../support/ng-client.js';
import { RtpEndpoint, senderReport, type Destination } from '../support/rtp-endpoint.js';
import { rtpengine125Command } from '../support/trixie.js';
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

/** 10.5 writes each element in a line of its own. */
const bodies = ({ xml }: Told, from10 = false): readonly string[] =>
  [...xml.matchAll(/<\?xml[\s\S]*?<\/methodCall>/g)].map(([body]) =>
    from10 ? body.replaceAll('\r\n', '') : body,
  );

/** What 12.5 does not count. */
const later =
  /^p\.(?:connect|mesh|create|create_answer|transform|inject_start|inject_stop)(?:s_ps)?_/;
/** What 10.5 does not count either. */
const laterThan10 = /^p\.pause_recording/;

interface NgSpoken {
  /** What each message was captured as, ports by their place. */
  readonly pictures: readonly string[];
  readonly captured: readonly string[];
  /** Messages as they were sent and received. */
  readonly spoken: readonly string[];
}

/** Commands with and without call-id, repeated, refused, by UDP and TCP, to one address and to all of them. */
async function speak(kind: DaemonKind): Promise<NgSpoken> {
  const hep: Buffer[] = [];
  const homer = createSocket('udp4');
  homer.on('message', (message) => hep.push(message));
  homer.bind(0, '127.0.0.1');
  await once(homer, 'listening');
  const [tcp, anywhere, six] = [freeTcpPort(), freeUdpPort(), freeUdpPort()];
  const daemon = await MediaDaemon.start(kind, {
    extra: [
      ...[`--homer=127.0.0.1:${homer.address().port}`, '--homer-id=77', '--homer-enable-ng'],
      ...['--homer-ng-capture-proto=200', '--homer-disable-rtcp-stats'],
      ...[
        `--listen-tcp-ng=127.0.0.1:${tcp}`,
        `--listen-ng=${anywhere}`,
        `--listen-ng=[::1]:${six}`,
      ],
    ],
  });
  const ports = new Map([
    ...([
      [daemon.controlPort, 'NG'],
      [tcp, 'TCP'],
      [anywhere, 'any'],
      [six, 'IPv6'],
    ] as const),
  ]);
  const spoken: string[] = [];
  const stream = connect(tcp, '127.0.0.1');
  const phone = await RtpEndpoint.open();
  const clients = [
    daemon.client(),
    new NgClient(anywhere),
    new NgClient(anywhere, '::1'),
    new NgClient(six, '::1'),
  ] as const;
  const say = async (client: NgClient, cookie: string, body: string): Promise<void> => {
    const reply = await client.raw(Buffer.from(body, 'latin1'), { cookie, tries: 1 });
    spoken.push(`${cookie} ${body}`, `${cookie} ${reply.toString('latin1')}`);
    // Each is told before the next is said: Homer is sent to by UDP.
    await until(() => hep.length >= spoken.length, `the capture of ${cookie}`);
  };
  try {
    const [plain, all, allSix, oneSix] = clients;
    await plain.ask({ command: 'ping', 'call-id': 'unseen' });
    const offer = {
      command: 'offer',
      'call-id': 'told-2',
      'from-tag': 'f',
      sdp: audioSdp(phone.port),
    };
    await say(plain, 'c1', encodeBencode(offer).toString('latin1'));
    await say(plain, 'c2', JSON.stringify({ ...offer, 'call-id': 'told-3' }));
    await say(plain, 'c3', 'd7:command5:query7:call-id6:nobodye');
    await say(plain, 'c4', 'd7:command8:nonsensee');
    await say(plain, 'c5', 'd7:command4:list5:limiti5ee');
    await say(plain, 'c5', 'd7:command4:list5:limiti5ee');
    await say(plain, 'c6', 'd7:command5:query7:call-id6:told-2e');
    await say(plain, 'c6', 'd7:command5:query7:call-id6:told-2e');
    await say(all, 'c7', 'd7:command5:query7:call-id3:anye');
    await say(allSix, 'c8', 'd7:command5:query7:call-id4:any6e');
    await say(oneSix, 'c9', 'd7:command5:query7:call-id4:one6e');
    const byTcp = 'c10 d7:command5:query7:call-id3:tcpe';
    stream.write(byTcp);
    const [reply] = (await once(stream, 'data')) as [Buffer];
    spoken.push(byTcp, reply.toString('latin1'));
    await until(() => hep.length >= spoken.length, 'the capture of TCP');
    return {
      spoken,
      captured: hep.map((packet) => {
        const payload = hepChunks(packet).find(([id]) => id === 15)?.[1] ?? Buffer.alloc(0);
        return payload.toString('latin1');
      }),
      pictures: hep.map((packet) =>
        hepChunks(packet)
          .map(([id, value]) => {
            if (id === 7 || id === 8) return `${id}:${ports.get(value.readUInt16BE()) ?? 'client'}`;
            if (id === 9 || id === 10 || id === 15) return String(id);
            return `${id}:${value.toString('hex')}`;
          })
          .join(' '),
      ),
    };
  } finally {
    stream.destroy();
    phone.close();
    for (const client of clients) client.close();
    await daemon.stop();
    homer.close();
  }
}

describe('what is told to others', function () {
  this.timeout(60_000);
  const references: readonly DaemonKind[] = [
    ...(rtpengineInstalled ? (['rtpengine'] as const) : []),
    ...(rtpengine125Command() === null ? [] : (['rtpengine-12.5'] as const)),
  ];

  for (const reference of references) {
    for (const [transport, format] of [
      ['udp', 0],
      ['udp', 1],
      ['tcp', 2],
    ] as const) {
      it(`is that of ${reference}: Graphite, Homer over ${transport}, XML-RPC in form ${format}`, async () => {
        const [theirs, ours] = await Promise.all([
          tellAll(reference, transport, format),
          tellAll('rtprelayd', transport, format),
        ]);
        const is10 = reference === 'rtpengine';
        const names = graphiteNames(ours).filter(
          (name) => !later.test(name) && !(is10 && laterThan10.test(name)),
        );
        expect(names).to.deep.equal(graphiteNames(theirs, is10));
        expect(hepPictures(ours)).to.deep.equal(hepPictures(theirs));
        expect(ours.hep).to.have.length(6);
        expect(bodies(ours)).to.deep.equal(bodies(theirs, is10));
        expect(bodies(ours).length).to.be.greaterThan(0);
      });
    }
  }

  it('is that of 12.5: what comes to Homer of NG', async function () {
    if (!references.includes('rtpengine-12.5')) this.skip();
    const [theirs, ours] = await Promise.all([speak('rtpengine-12.5'), speak('rtprelayd')]);
    for (const { captured, spoken } of [theirs, ours]) expect(captured).to.deep.equal(spoken);
    expect(ours.pictures).to.deep.equal(theirs.pictures);
    expect(ours.pictures).to.have.length(24);
  });
});
