/** The Grafana board asks for metrics that there are: each of its expressions, tried against a scrape. */
import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort } from '../support/free-ports.js';
import { audioSdp, mediaPort } from '../support/ng-client.js';
import { RedisProcess } from '../support/redis-server.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { until } from '../support/wait.js';

interface Board {
  readonly panels: readonly {
    readonly title: string;
    readonly gridPos: { readonly x: number; readonly w: number };
    readonly targets?: readonly { readonly expr: string }[];
  }[];
}

const board = JSON.parse(
  readFileSync(new URL('../../deploy/grafana/rtprelay.json', import.meta.url), 'utf8'),
) as Board;

/** Metrics with the labels that an expression selects or groups by. */
function wanted(expression: string): readonly { name: string; labels: readonly string[] }[] {
  const grouped = [...expression.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) =>
    list.split(',').map((label) => label.trim()),
  );
  return [...expression.matchAll(/\b(rtp(?:engine|relay)_\w+)/g)].map(([, name = '']) => ({
    name,
    labels: grouped.filter((label) => label !== 'instance'),
  }));
}

describe('the Grafana board', () => {
  let redis: RedisProcess;
  let daemon: MediaDaemon;
  let scrape = '';

  before(async () => {
    const http = freeTcpPort();
    redis = await RedisProcess.start();
    daemon = await MediaDaemon.start('rtprelayd', {
      extra: [
        ...[`--listen-http=127.0.0.1:${http}`, `--redis=127.0.0.1:${redis.port}/1`],
        '--subscribe-keyspace=2',
      ],
    });
    const client = daemon.client();
    const [a, b] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
    const ids = { 'call-id': 'board', 'from-tag': 'a' };
    await client.request({
      command: 'offer',
      ...ids,
      sdp: audioSdp(a.port),
      flags: ['strict-source', 'asymmetric'],
    });
    const answer = { command: 'answer', ...ids, 'to-tag': 'b', sdp: audioSdp(b.port) };
    const toA = mediaPort(await client.request(answer));
    const get = async (): Promise<string> =>
      (await fetch(`http://127.0.0.1:${http}/metrics`)).text();
    // From another port than the one that was signalled.
    for (let count = 0; count < 3; count += 1)
      a.rtcpSocket.send(Buffer.alloc(60, 0x80), toA, '127.0.0.1');
    await until(async () => {
      scrape = await get();
      return /rtprelay_dropped_packets_total\{reason="strict-source"\} [1-9]/.test(scrape);
    }, 'drops in a scrape');
    client.close();
    a.close();
    b.close();
  });
  after(async () => {
    await daemon?.stop();
    await redis?.stop();
  });

  const lineOf = (name: string): string | undefined =>
    scrape.split('\n').find((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));

  for (const { title, targets = [] } of board.panels) {
    for (const { expr } of targets) {
      it(`${title}: ${expr}`, () => {
        const metrics = wanted(expr);
        expect(metrics).not.to.be.empty;
        for (const { name, labels } of metrics) {
          // Without kernel forwarding there is nothing of it to count.
          if (name === 'rtprelay_kernel_packets_total') {
            expect(scrape).to.include(`# TYPE ${name} counter`);
            continue;
          }
          const line = lineOf(name);
          expect(line, name).not.to.equal(undefined);
          for (const label of labels) expect(line, name).to.match(new RegExp(`[{,]${label}="`));
        }
      });
    }
  }

  it('counts commits and says how far behind the standby is', () => {
    expect(scrape).to.match(/rtprelay_commit_seconds_count 2\n/);
    expect(scrape).to.match(/rtprelay_commit_seconds_bucket\{le="\+Inf"\} 2\n/);
    expect(scrape).to.include('rtprelay_standby_behind_seconds{keyspace="2"} 0');
    expect(scrape).to.include('# TYPE rtprelay_commit_seconds histogram');
  });
});
