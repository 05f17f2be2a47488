/** What is published by MQTT, beside rtpengine 12.5 (10.5 told of one source alone), through a broker; and a broker that goes away. */
import { expect } from 'chai';
import { existsSync, writeFileSync } from 'node:fs';
import { connectAsync, type MqttClient } from 'mqtt';
import { TemporaryFolder, TestProcess } from '../support/child-process.js';
import { MediaDaemon, type DaemonKind } from '../support/daemons.js';
import { freeTcpPort } from '../support/free-ports.js';
import { audioSdp, mediaPort } from '../support/ng-client.js';
import { RtpEndpoint, rtpPacket, senderReport } from '../support/rtp-endpoint.js';
import { rtpengine125Command } from '../support/trixie.js';
import { pause, until } from '../support/wait.js';

/** An environment may have it elsewhere. */
const broker = process.env['MOSQUITTO'] ?? '/usr/sbin/mosquitto';

type Message = Readonly<Record<string, unknown>>;

/**
 * Values that depend on the moment or the machine. What is lost 12.5 counts otherwise (0 where two of 18 packets are
 * missing, 7 where five are); `media_userspace` are the streams that had a packet lately.
 */
const changing = new RegExp(
  '^(?:timestamp|port|lost|media_userspace|min|max|used_pct|used|free|ports|.*_per_second|packets|bytes|.*(?:rate|_total|_average|_stddev)(?:_\\w+)?|' +
    'relayed.*|uptime|jitter|proxy|.*C(?:delay|requestrate)|.*duration.*|managedsessions|' +
    '(?:ping|offer|answer|total)\\w*)$',
);

/** A message in its order, with the types of what changes in place of its values. */
function shape(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) return value.map((each) => shape(each, key));
  if (typeof value === 'object' && value !== null)
    return Object.entries(value).map(([name, entry]) => [name, shape(entry, name)]);
  return changing.test(key) ? typeof value : value;
}

describe('MQTT', function () {
  this.timeout(60_000);
  const folder = new TemporaryFolder('mqtt');
  let port: number;
  let server: TestProcess;
  let reader: MqttClient;
  const messages = new Map<string, Message[]>();

  const startBroker = async (): Promise<TestProcess> => {
    const started = new TestProcess('mosquitto', broker, ['-c', folder.file('conf')]);
    await started.until(async () => {
      try {
        await (await connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0 })).endAsync();
        return true;
      } catch {
        return false; // It has not opened its port yet.
      }
    });
    return started;
  };

  before(async function () {
    if (!existsSync(broker)) return this.skip();
    port = freeTcpPort();
    writeFileSync(folder.file('conf'), `listener ${port} 127.0.0.1\nallow_anonymous true\n`);
    server = await startBroker();
    reader = await connectAsync(`mqtt://127.0.0.1:${port}`);
    reader.on('message', (topic, payload) => {
      const known = messages.get(topic) ?? [];
      known.push(JSON.parse(payload.toString('utf8')) as Message);
      messages.set(topic, known);
    });
    await reader.subscribeAsync('#', { qos: 1 });
  });
  after(async () => {
    await reader?.endAsync(true);
    await server?.stop();
    folder.remove();
  });

  const start = (kind: DaemonKind, scope: string): Promise<MediaDaemon> =>
    MediaDaemon.start(kind, {
      extra: [
        ...[
          '--mqtt-host=127.0.0.1',
          `--mqtt-port=${port}`,
          `--mqtt-publish-topic=${kind}/${scope}`,
        ],
        ...[`--mqtt-publish-scope=${scope}`, '--mqtt-publish-interval=300', '--mqtt-publish-qos=1'],
        ...(kind === 'rtprelayd' ? ['--measure-rtp'] : []),
      ],
    });

  /** The last message of a call in which both sides have talked, one of them with two sources. */
  async function published(kind: DaemonKind, scope: string): Promise<Message> {
    const daemon = await start(kind, scope);
    const client = daemon.client();
    const [a, b] = [await RtpEndpoint.open(0x11111111), await RtpEndpoint.open(0x22222222)];
    let sequenceNumber = 0;
    const talk = (port: number): void => {
      sequenceNumber += 1;
      // Two packets get lost.
      if (sequenceNumber === 10 || sequenceNumber === 11) return;
      const ssrc = sequenceNumber < 20 ? a.ssrc : 0x33333333;
      const packet = { ...{ payloadType: 8, sequenceNumber, ssrc }, payload: Buffer.alloc(160) };
      const bytes = rtpPacket({ ...packet, timestamp: sequenceNumber * 160 });
      a.rtpSocket.send(bytes, port, '127.0.0.1');
    };
    try {
      const ids = { 'call-id': `mqtt-${scope}`, 'from-tag': 'fa' };
      const offer = { command: 'offer', ...ids, label: 'LA', sdp: audioSdp(a.port) };
      const toB = mediaPort(await client.request(offer));
      const answer = { command: 'answer', ...ids, 'to-tag': 'tb', sdp: audioSdp(b.port) };
      const toA = mediaPort(await client.request(answer));
      for (let count = 0; count < 30; count += 1) {
        talk(toA);
        b.sendNext({ address: '127.0.0.1', port: toB }, { payloadType: 8 });
        await pause(10);
      }
      a.rtcpSocket.send(senderReport(a.ssrc, 1, 160), toA + 1, '127.0.0.1');
      const all = (): readonly Message[] => messages.get(`${kind}/${scope}`) ?? [];
      const own = scope === 'global' ? 'calls' : 'call_id';
      const latest = (): Message =>
        all().findLast((each) => own in each && each['tag'] !== 'tb') ?? {};
      await until(() => {
        const text = JSON.stringify(latest());
        return /"bytes":4816,"packets":28\b.*"bytes":5160,"packets":30\b/.test(text);
      }, `messages of ${kind} with both ways`);
      if (scope === 'media') {
        await until(() => all().some((each) => each['tag'] === 'tb'), 'the other side');
        await until(() => all().some((each) => 'currentstatistics' in each), 'the statistics');
      }
      return latest();
    } finally {
      client.close();
      a.close();
      b.close();
      await daemon.stop();
    }
  }

  for (const scope of ['global', 'call', 'media']) {
    it(`is published as rtpengine 12.5 does: ${scope}`, async function () {
      if (rtpengine125Command() === null) this.skip();
      const [theirs, ours] = await Promise.all([
        published('rtpengine-12.5', scope),
        published('rtprelayd', scope),
      ]);
      for (const { ports } of (ours['interfaces'] ?? []) as { ports: Record<string, unknown> }[])
        delete ports['last']; // Known to 10.5.
      expect(JSON.stringify(shape(ours), null, 1)).to.equal(JSON.stringify(shape(theirs), null, 1));
      expect(JSON.stringify(ours)).to.match(
        /"SSRC":286331153,[^}]*"packets":17,"bytes":2924,"lost":2,/,
      );
    });
  }

  it('goes on when the broker comes back', async () => {
    const daemon = await start('rtprelayd', 'summary');
    const topic = 'rtprelayd/summary';
    try {
      await until(() => (messages.get(topic)?.length ?? 0) > 0, 'a message');
      expect(Object.keys(messages.get(topic)?.[0] ?? {})).not.to.include('calls');
      await server.stop();
      await until(
        () => daemon.process.log().includes(`MQTT broker 127.0.0.1:${port}: `),
        'the loss',
      );
      server = await startBroker();
      await until(() => daemon.process.log().includes('is back'), 'the return');
      await until(async () => reader.connected || Promise.resolve(false), 'our own return');
      await reader.subscribeAsync('#', { qos: 1 });
      messages.clear();
      await until(() => (messages.get(topic)?.length ?? 0) > 0, 'a message after the return');
      const lines = daemon.process.log().match(/MQTT broker .*: /g);
      expect(lines).to.have.length(1);
    } finally {
      await daemon.stop();
    }
  });
});
