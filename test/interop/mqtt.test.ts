/** What is published by MQTT, beside rtpengine 10.5, through a broker; and a broker that goes away. */
import { expect } from 'chai';
import { existsSync, writeFileSync } from 'node:fs';
import { connectAsync, type MqttClient } from 'mqtt';
import { TemporaryFolder, TestProcess } from '../support/child-process.js';
import { MediaDaemon, rtpengineInstalled, type DaemonKind } from '../support/daemons.js';
import { freeTcpPort } from '../support/free-ports.js';
import { audioSdp, mediaPort } from '../support/ng-client.js';
import { RtpEndpoint, senderReport } from '../support/rtp-endpoint.js';
import { until } from '../support/wait.js';

/** An environment may have it elsewhere. */
const broker = process.env['MOSQUITTO'] ?? '/usr/sbin/mosquitto';

/** Members of a message in their order, with the types of their values. */
function shape(value: unknown, key = ''): string {
  if (Array.isArray(value)) return `[${value.length === 0 ? '' : shape(value[0], key)}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      // Of what 10.5 measures itself, and when; ours comes from the reports of the receivers.
      .filter(([name]) => !['jitter', 'RTT', 'RTT_leg'].includes(name))
      .map(([name, entry]) => `${name}:${shape(entry, name)}`);
    return `{${members.join(',')}}`;
  }
  return typeof value;
}

describe('MQTT', function () {
  this.timeout(60_000);
  const folder = new TemporaryFolder('mqtt');
  let port: number;
  let server: TestProcess;
  let reader: MqttClient;
  const messages = new Map<string, Record<string, unknown>[]>();

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
    if (!existsSync(broker) || !rtpengineInstalled) return this.skip();
    port = freeTcpPort();
    writeFileSync(folder.file('conf'), `listener ${port} 127.0.0.1\nallow_anonymous true\n`);
    server = await startBroker();
    reader = await connectAsync(`mqtt://127.0.0.1:${port}`);
    reader.on('message', (topic, payload) => {
      const known = messages.get(topic) ?? [];
      known.push(JSON.parse(payload.toString('utf8')) as Record<string, unknown>);
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
      ],
    });

  /** The last message of a call in which both sides have talked. */
  async function published(kind: DaemonKind, scope: string): Promise<Record<string, unknown>> {
    const daemon = await start(kind, scope);
    const client = daemon.client();
    const [a, b] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
    let talk: NodeJS.Timeout | undefined;
    try {
      const ids = { 'call-id': `mqtt-${scope}`, 'from-tag': 'fa' };
      const offer = { command: 'offer', ...ids, label: 'LA', sdp: audioSdp(a.port) };
      const toB = mediaPort(await client.request(offer));
      const answer = { command: 'answer', ...ids, 'to-tag': 'tb', sdp: audioSdp(b.port) };
      const toA = mediaPort(await client.request(answer));
      talk = setInterval(() => {
        a.sendNext({ address: '127.0.0.1', port: toA }, { payloadType: 8 });
        b.sendNext({ address: '127.0.0.1', port: toB }, { payloadType: 8 });
      }, 20);
      a.rtcpSocket.send(senderReport(a.ssrc, 1, 160), toA + 1, '127.0.0.1');
      const topic = `${kind}/${scope}`;
      const own = scope === 'global' ? 'calls' : 'call_id';
      const ways = scope === 'media' ? 1 : 2;
      const latest = (): Record<string, unknown> =>
        messages.get(topic)?.findLast((each) => own in each && each['tag'] !== 'tb') ?? {};
      await until(
        () => JSON.stringify(latest()).split('"egress":').length > ways,
        `messages of ${kind} with both ways`,
      );
      const all = (): readonly Record<string, unknown>[] => messages.get(topic) ?? [];
      await until(() => all().some((each) => 'currentstatistics' in each), 'the statistics');
      return latest();
    } finally {
      clearInterval(talk);
      client.close();
      a.close();
      b.close();
      await daemon.stop();
    }
  }

  for (const scope of ['global', 'call', 'media']) {
    it(`is published as rtpengine does: ${scope}`, async () => {
      const [theirs, ours] = await Promise.all([
        published('rtpengine', scope),
        published('rtprelayd', scope),
      ]);
      // The quality of calls, which came after 10.5, as did what each interface has counted.
      const { voip_metrics: quality, ...asThen } = ours;
      for (const each of (asThen['interfaces'] ?? []) as Record<string, unknown>[]) {
        for (const key of Object.keys(each))
          if (!['name', 'address', 'ports'].includes(key)) delete each[key];
      }
      expect(shape(asThen)).to.equal(shape(theirs));
      expect(quality !== undefined).to.equal(scope === 'global');
      const text = JSON.stringify(ours);
      expect(text).to.include('"packets_per_second":');
      expect(text).to.include(`"call_id":"mqtt-${scope}"`);
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
