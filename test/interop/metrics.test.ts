/** `/metrics` beside rtpengine 10.5 and 12.5: the same call through all, then names, labels, types and figures. */
import { expect } from 'chai';
import { MediaDaemon, rtpengineInstalled, type DaemonKind } from '../support/daemons.js';
import { freeUdpPort } from '../support/free-ports.js';
import { audioSdp, mediaPort } from '../support/ng-client.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { rtpengine125Command } from '../support/trixie.js';
import { pause, until } from '../support/wait.js';

/** A sender report with a block about `about`, as long after `answered` came as it says. */
function report(ssrc: number, about: number, answered: Buffer | null): Buffer {
  const bytes = Buffer.alloc(52);
  bytes.writeUInt32BE(0x81c8000c);
  bytes.writeUInt32BE(ssrc, 4);
  const now = Date.now();
  bytes.writeUInt32BE(Math.floor(now / 1000) + 2_208_988_800, 8);
  bytes.writeUInt32BE(Math.floor(((now % 1000) / 1000) * 2 ** 32), 12);
  bytes.writeUInt32BE(about, 28);
  bytes.writeUInt8(13, 32); // 5 %
  bytes.writeUInt32BE(80, 40); // 10 ms
  if (answered === null) return bytes;
  answered.copy(bytes, 44, 10, 14);
  bytes.writeUInt32BE(655, 48); // 10 ms
  return bytes;
}

interface Scrape {
  /** Values by name and labels. */
  readonly values: ReadonlyMap<string, number>;
  readonly types: ReadonlyMap<string, string>;
}

async function scrape(port: number): Promise<Scrape> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const of = (pattern: RegExp): [string, string][] =>
    [...text.matchAll(pattern)].map(([, name = '', value = '']) => [name, value]);
  return {
    values: new Map(
      of(/^(rtpengine_[^#]*?) (\S+)$/gm).map(([name, value]) => [name, Number(value)]),
    ),
    types: new Map(of(/^# TYPE (rtpengine_\S+) (\S+)$/gm)),
  };
}

async function measured(kind: DaemonKind): Promise<Scrape> {
  const http = freeUdpPort();
  const daemon = await MediaDaemon.start(kind, { extra: [`--listen-http=127.0.0.1:${http}`] });
  const client = daemon.client();
  const [a, b] = [await RtpEndpoint.open(0x11), await RtpEndpoint.open(0x22)];
  try {
    const ids = { 'call-id': 'measured', 'from-tag': 'fa' };
    const offer = { command: 'offer', ...ids, sdp: audioSdp(a.port) };
    const toB = { address: '127.0.0.1', port: mediaPort(await client.request(offer)) };
    const answer = { command: 'answer', ...ids, 'to-tag': 'tb', sdp: audioSdp(b.port) };
    const toA = { address: '127.0.0.1', port: mediaPort(await client.request(answer)) };
    const userspace = async (): Promise<number | undefined> =>
      (await scrape(http)).values.get('rtpengine_mediastreams{type="userspace"}');
    expect(await userspace(), 'before media').to.equal(0);
    await a.sendRtp(toA, 5, { payloadType: 8 });
    await b.sendRtp(toB, 5, { payloadType: 8 });
    const tell = async (from: RtpEndpoint, about: RtpEndpoint, answered: Buffer | null) => {
      const bytes = report(from.ssrc, about.ssrc, answered);
      const seen = about.rtcp.length;
      const { port } = from === a ? toA : toB;
      from.rtcpSocket.send(bytes, port + 1, '127.0.0.1');
      await until(() => about.rtcp.length > seen, 'the report');
      await pause(50);
      return bytes;
    };
    // The first answers none: it is no sample.
    const first = await tell(a, b, null);
    const second = await tell(b, a, first);
    await pause(1100);
    const third = await tell(a, b, second);
    await tell(b, a, third);
    const during = await scrape(http);
    expect(during.values.get('rtpengine_mos_samples_total'), 'with each report').to.equal(2);
    await client.request({ command: 'delete', ...ids, 'delete-delay': 0 });
    const ended = await scrape(http);
    await client.request({ ...offer, 'call-id': 'streams' });
    const again = { ...answer, 'call-id': 'streams' };
    const toBoth = [
      { from: a, to: { ...toA, port: mediaPort(await client.request(again)) } },
      {
        from: b,
        to: { ...toB, port: mediaPort(await client.request({ ...offer, 'call-id': 'streams' })) },
      },
    ];
    await until(async () => {
      for (const { from, to } of toBoth) await from.sendRtp(to, 1, { payloadType: 8 });
      return (await userspace()) === 2;
    }, 'both streams are counted');
    // 10.5 counts a stream for as long as its call lives.
    if (kind !== 'rtpengine')
      await until(async () => (await userspace()) === 0, 'silent streams are not');
    return ended;
  } finally {
    client.close();
    a.close();
    b.close();
    await daemon.stop();
  }
}

/** 12.5 calls these gauges, though they only rise; the reference says counter. */
const otherTypes = new Set(
  ['packets', 'bytes', 'errors'].map((end) => `rtpengine_interface_${end}`),
);

/** Whatever the call, and whatever it took. */
const alike =
  /^rtpengine_(sessions_total|closed_|(?:packets|bytes)_total|.*_samples_total|jitter2?_total|packetloss|interface_(packets|bytes|jitter2?_total|packetloss))/;
/** The relay's own measure is that of RFC 3550 A.8, taken once; rtpengine's is another. */
const ownMeasure = /jitter_measured|packets_lost|duplicates/;

describe('/metrics', function () {
  this.timeout(60_000);

  for (const [kind, there] of [
    ['rtpengine', () => rtpengineInstalled],
    ['rtpengine-12.5', () => rtpengine125Command() !== null],
  ] as const) {
    it(`has what ${kind} has, and the same figures`, async function () {
      if (!there()) this.skip();
      const [theirs, ours] = await Promise.all([measured(kind), measured('rtprelayd')]);
      const names = [...theirs.values.keys()];
      expect(names.length).to.be.greaterThan(50);
      expect(names.filter((name) => !ours.values.has(name))).to.deep.equal([]);
      for (const [name, type] of theirs.types)
        if (!otherTypes.has(name)) expect(ours.types.get(name), name).to.equal(type);
      for (const [name, value] of theirs.values)
        if (alike.test(name) && !ownMeasure.test(name))
          expect(ours.values.get(name), name).to.equal(value);
    });
  }
});
