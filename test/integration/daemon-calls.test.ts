import { expect } from 'chai';
import { setTimeout as delay } from 'node:timers/promises';
import { mediaPort, NgClient, type Reply } from '../support/ng-client.js';
import { freeUdpPort, startDaemon, startRedis, type TestProcess } from '../support/processes.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { buildSdp } from '../support/sdp.js';
import { until } from '../support/wait.js';

interface Call {
  readonly callId: string;
  readonly a: RtpEndpoint;
  readonly b: RtpEndpoint;
  readonly towardsB: number;
  readonly towardsA: number;
}

/** Of a phone that sends PCMU, as the endpoints do. */
const audioSdp = (port: number): string =>
  buildSdp({ origin: '127.0.0.1', address: '127.0.0.1', media: [{ port, formats: '8 0' }] });

const endpoints: RtpEndpoint[] = [];

async function openEndpoint(ssrc: number): Promise<RtpEndpoint> {
  const endpoint = await RtpEndpoint.open(ssrc);
  endpoints.push(endpoint);
  return endpoint;
}

afterEach(() => {
  for (const endpoint of endpoints.splice(0)) endpoint.close();
});

async function setUp(ng: NgClient, callId: string): Promise<Call> {
  const a = await openEndpoint(0x1111);
  const b = await openEndpoint(0x2222);
  const keys = { 'call-id': callId, 'from-tag': 'a' };
  const offer = await ng.request({ command: 'offer', ...keys, sdp: audioSdp(a.port) });
  expect(offer['result']).to.equal('ok');
  const answer = await ng.request({
    command: 'answer',
    ...keys,
    'to-tag': 'b',
    sdp: audioSdp(b.port),
  });
  expect(answer['result']).to.equal('ok');
  return { callId, a, b, towardsB: mediaPort(answer), towardsA: mediaPort(offer) };
}

async function talk(call: Call, packets: number): Promise<void> {
  for (let i = 0; i < packets; i++) {
    call.a.send(call.towardsB);
    call.b.send(call.towardsA);
    await delay(2);
  }
  await delay(50);
}

function streamOf(reply: Reply, tag: string): Record<string, unknown> {
  const tags = reply['tags'] as Record<
    string,
    { medias: { streams: Record<string, unknown>[] }[] }
  >;
  const stream = tags[tag]?.medias[0]?.streams[0];
  if (stream === undefined) throw new Error(`no stream for ${tag}`);
  return stream;
}

describe('a daemon without Redis', () => {
  let daemon: TestProcess;
  let ng: NgClient;

  before(async () => {
    const port = await freeUdpPort();
    daemon = await startDaemon(port);
    ng = new NgClient(port);
  });
  after(async () => {
    ng?.close();
    await daemon?.stop();
  });

  it('relays both ways without loss and counts what was sent', async () => {
    const call = await setUp(ng, 'relay');
    await talk(call, 100);
    expect([call.a.received, call.b.received]).to.deep.equal([100, 100]);
    const reply = await ng.request({ command: 'query', 'call-id': 'relay' });
    const stats = { packets: 100, bytes: 100 * 172, errors: 0 };
    expect(streamOf(reply, 'a')['stats']).to.deep.equal(stats);
    expect(streamOf(reply, 'b')['stats']).to.deep.equal(stats);
    expect(streamOf(reply, 'a')['SSRC']).to.equal(0x1111);
  });

  it('writes the final statistics when the call is deleted', async () => {
    const call = await setUp(ng, 'final');
    await talk(call, 10);
    const keys = { 'call-id': 'final', 'from-tag': 'a', 'delete-delay': 0 };
    const reply = await ng.request({ command: 'delete', ...keys });
    expect(reply).to.include({ result: 'ok' });
    expect(reply).to.have.property('totals');
    await delay(50);
    expect(daemon.stderr).to.match(/INFO: \[final\]: \[core\] Final packet stats:/);
    expect(daemon.stderr).to.match(/, SSRC 1111, 10 p, 1720 b, 0 e, \d+ ts/);
  });

  it('keeps the ports of an unchanged re-offer and opens others for a changed one', async () => {
    const offer = async (port: number): Promise<number> =>
      mediaPort(
        await ng.request({
          command: 'offer',
          'call-id': 'ports',
          'from-tag': 'a',
          sdp: audioSdp(port),
        }),
      );
    const first = await offer(6000);
    expect(await offer(6000)).to.equal(first);
    const second = await offer(6010);
    expect(second).not.to.equal(first);
    expect(await offer(6000)).to.equal(first);
  });

  it('answers errors in the words of rtpengine', async () => {
    const sdp = audioSdp(6000);
    const requests = [
      [{ command: 'offer' }, 'No SDP body in message'],
      [{ command: 'offer', sdp }, 'No call-id in message'],
      [{ command: 'offer', sdp, 'call-id': 'x' }, 'No from-tag in message'],
      [
        { command: 'answer', sdp, 'call-id': 'x', 'from-tag': 'a', 'to-tag': 'b' },
        'Unknown call-id',
      ],
      [{ command: 'offer', sdp: 'foo', 'call-id': 'x', 'from-tag': 'a' }, 'Failed to parse SDP'],
      [{ command: 'query', 'call-id': 'x' }, 'Unknown call-id'],
      [{ command: 'nonsense' }, 'Unrecognized command'],
    ] as const;
    for (const [request, reason] of requests) {
      const reply = await ng.request(request);
      expect(reply).to.deep.equal({ result: 'error', 'error-reason': reason });
    }
  });
});

describe('a daemon whose ports run out', () => {
  it('says so, and has them again after the calls are gone', async () => {
    const port = await freeUdpPort();
    const base = 31_000 + (process.pid % 500) * 10;
    const daemon = await startDaemon(port, [`--port-min=${base}`, `--port-max=${base + 5}`]);
    const ng = new NgClient(port);
    try {
      const offer = (callId: string): Promise<Reply> =>
        ng.request({ command: 'offer', 'call-id': callId, 'from-tag': 'a', sdp: audioSdp(6000) });
      expect(await offer('one')).to.include({ result: 'ok' });
      const refused = { result: 'error', 'error-reason': 'Ran out of ports' };
      expect(await offer('two')).to.deep.equal(refused);
      expect(await ng.request({ command: 'list' })).to.deep.equal({ calls: ['one'], result: 'ok' });
      await ng.request({ command: 'delete', 'call-id': 'one', 'delete-delay': 0 });
      expect(await offer('three')).to.include({ result: 'ok' });
    } finally {
      ng.close();
      await daemon.stop();
    }
  });
});

describe('a daemon with Redis', () => {
  for (const format of ['JSON', 'bencode', 'JSON-10.5', 'JSON-12.5']) {
    it(`brings calls back after kill -9 on the same ports (${format})`, async () => {
      const redis = await startRedis();
      const port = await freeUdpPort();
      const options = [`--redis=127.0.0.1:${redis.port}/2`, `--redis-format=${format}`];
      let daemon = await startDaemon(port, options);
      const ng = new NgClient(port);
      try {
        const calls = [await setUp(ng, 'one'), await setUp(ng, 'two % "bytes" \xe9')];
        for (const call of calls) await talk(call, 20);
        await daemon.stop('SIGKILL');
        daemon = await startDaemon(port, options);
        await until(() => /Redis restore time = \d+ ms/.test(daemon.stderr), 'restored', 10_000);
        const list = await ng.request({ command: 'list' });
        expect(list['calls']).to.have.members(calls.map(({ callId }) => callId));
        for (const call of calls) {
          await talk(call, 20);
          expect([call.a.received, call.b.received]).to.deep.equal([40, 40]);
        }
        await daemon.stop();
        daemon = await startDaemon(port, options);
        expect((await ng.request({ command: 'list' }))['calls']).to.have.lengthOf(2);
      } finally {
        ng.close();
        await daemon.stop('SIGKILL');
        await redis.stop();
      }
    });
  }
});
