/** 10^5 damaged messages to the control and media ports of a daemon that has calls under way. */
import { expect } from 'chai';
import { createSocket, type Socket } from 'node:dgram';
import { readdirSync, readFileSync } from 'node:fs';
import type { TestProcess } from '../../support/child-process.js';
import { encodeBencode } from '../../support/bencode.js';
import { freeUdpPort, freeUdpRange, type PortRange } from '../../support/free-ports.js';
import { withoutTheDeadly } from '../../support/harmless.js';
import { Load } from '../../support/load.js';
import { audioSdp, NgClient } from '../../support/ng-client.js';
import { startDaemon } from '../../support/processes.js';
import { pickOf, randomSource } from '../../support/random.js';
import { pause, until } from '../../support/wait.js';
import { rtpPacket, senderReport } from '../../support/rtp-endpoint.js';

const messages = 100_000;
const calls = 10;
const warmUp = 20_000;
/**
 * Growth beyond the replies, which are kept for a minute for repeated requests. It is garbage that the
 * collector has not come to yet; half a kilobyte lost per message would be above it.
 */
const allowedGrowthKib = 40 * 1024;
/** What a kept reply costs beside its own bytes. */
const bytesPerReply = 200;

const random = randomSource(20_261_123);
const pick = <T>(values: readonly T[]): T => pickOf(values, random);

/** Texts that parsers must refuse, beside the bytes of ordinary messages. None is deadly to another program. */
const poison = [
  'l-0:',
  'd-0:i1e',
  'i-0e',
  'i99999999999999999999e',
  '99999999999:',
  '4294967296:x',
  'd1:ad1:ad1:a',
  'l'.repeat(500),
  '{"command":',
  '{"a":'.repeat(500),
  '\\u0000\\ud800',
  '\0',
  'v=0\r\n',
  'm=audio 99999 RTP/AVP 0\r\n',
  'm=audio 6000/999 RTP/AVP 0\r\n',
  'm=audio 6000 RTP/AVP 8\r\n'.repeat(200),
  'a=rtpmap:999999999999 X/-1/0\r\n',
  'a=rtcp:70000 IN IP6 ::::\r\n',
  'c=IN IP4 999.1.1.1\r\n',
  'a='.repeat(3000),
];

function damaged(original: Buffer): Buffer {
  let bytes = Buffer.from(original);
  for (let times = random(4); times > 0; times--) {
    const at = random(bytes.length + 1);
    switch (random(5)) {
      case 0:
        if (at < bytes.length) bytes[at] = random(256);
        break;
      case 1:
        bytes = bytes.subarray(0, at);
        break;
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random(40))]);
        break;
      case 3:
        bytes = Buffer.concat([
          bytes.subarray(0, at),
          Buffer.from(pick(poison)),
          bytes.subarray(at),
        ]);
        break;
      default:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(0, random(at + 1))]);
    }
  }
  return bytes.subarray(0, 60_000);
}

function control(number: number): Buffer {
  const keys = { 'call-id': `hostile-${random(300)}`, 'from-tag': pick(['a', 'b', '']) };
  const whole = audioSdp(6000 + random(50), [pick(['a=sendonly', 'a=rtcp-mux', 'a=ptime:20'])]);
  // Half of the bodies are damaged before they are encoded, so that the damage gets to SDP.
  const sdp = random(2) === 0 ? whole : damaged(Buffer.from(whole)).toString('latin1');
  const request = pick([
    { command: 'ping' },
    { command: 'offer', ...keys, sdp, flags: ['trust-address'], replace: ['origin'] },
    { command: 'offer', ...keys, sdp, 'via-branch': 'z9', direction: ['x', 'y'], ICE: 'remove' },
    { command: 'answer', ...keys, 'to-tag': pick(['b', 'c']), sdp },
    { command: 'delete', ...keys, 'delete-delay': 0 },
    { command: 'query', 'call-id': keys['call-id'] },
    { command: 'list', limit: 5 },
    { command: 'statistics' },
  ]);
  const body = random(4) === 0 ? Buffer.from(JSON.stringify(request)) : encodeBencode(request);
  const cookie = Buffer.from(`h_${number} `);
  const message =
    random(50) === 0
      ? damaged(Buffer.concat([cookie, body]))
      : Buffer.concat([cookie, random(20) === 0 ? Buffer.from(pick(poison)) : damaged(body)]);
  return Buffer.from(withoutTheDeadly(message.toString('latin1')), 'latin1');
}

function media(): Buffer {
  const packet =
    random(2) === 0
      ? rtpPacket({
          payloadType: random(128),
          sequenceNumber: random(65_536),
          timestamp: random(1 << 30),
          ssrc: random(1 << 30),
          payload: Buffer.alloc(random(1500), random(256)),
        })
      : senderReport(random(1 << 30), random(1 << 30), random(1 << 30));
  return damaged(packet).subarray(0, 2000);
}

function residentKib(daemon: TestProcess): number {
  const status = readFileSync(`/proc/${daemon.pid}/status`, 'latin1');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
}

const descriptors = (daemon: TestProcess): number => readdirSync(`/proc/${daemon.pid}/fd`).length;

/** A socket that nobody trusts, and how many bytes of replies it was sent. */
class Enemy {
  readonly #socket: Socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 22 });
  repliesKib = 0;

  constructor(private readonly ngPort: number) {
    this.#socket.on('message', (reply) => {
      this.repliesKib += (reply.length + bytesPerReply) / 1024;
    });
  }

  /** One message to the NG port, to one of `ports`, or to a port of `range`. */
  send(number: number, ports: readonly number[], range: PortRange): void {
    const anyPort = range.min + random(range.max - range.min + 1);
    if (random(10) === 0) this.#socket.send(media(), anyPort, '127.0.0.1');
    else if (random(50) === 0) this.#socket.send(media(), pick(ports), '127.0.0.1');
    else this.#socket.send(control(number), this.ngPort, '127.0.0.1');
  }

  close(): void {
    this.#socket.close();
  }
}

async function localPorts(ng: NgClient, callId: string): Promise<readonly number[]> {
  const query = await ng.ask({ command: 'query', 'call-id': callId });
  const found = [...JSON.stringify(query).matchAll(/"local port":(\d+)/g)];
  return found.map(([, port]) => Number(port));
}

async function listed(ng: NgClient): Promise<readonly string[]> {
  const list = await ng.ask({ command: 'list', limit: 100_000 });
  return list['calls'] as readonly string[];
}

const own = Array.from({ length: calls }, (_, call) => `load-${call}`);

describe('a daemon among enemies', () => {
  let ngPort: number;
  let range: PortRange;
  let daemon: TestProcess;
  let ng: NgClient;
  let enemy: Enemy;
  const loads: Load[] = [];

  before(async () => {
    ngPort = freeUdpPort();
    range = freeUdpRange(1200);
    const ports = [`--port-min=${range.min}`, `--port-max=${range.max}`];
    daemon = await startDaemon(ngPort, [...ports, '--log-level=3']);
    ng = new NgClient(ngPort);
    enemy = new Enemy(ngPort);
  });
  after(async () => {
    enemy?.close();
    ng?.close();
    for (const load of loads) await load.stop();
    await daemon?.stop();
  });

  async function talk(prefix: string, seconds: number): Promise<Load> {
    const portBase = freeUdpRange(calls * 4).min;
    const load = await Load.start({ ngPort, calls, seconds, portBase, prefix, keepCalls: true });
    loads.push(load);
    return load;
  }

  it(`answers on, loses no call and no memory in ${messages} damaged messages`, async function () {
    this.timeout(180_000);
    const load = await talk('load', 20);
    const openBefore = descriptors(daemon);
    const used = await localPorts(ng, 'load-0');
    // The calls' own ports get garbage as well, once their streams are settled (3 s).
    await pause(4000);
    let [residentBefore, repliesBefore] = [0, 0];
    for (let number = 1; number <= messages; number++) {
      enemy.send(number, used, range);
      if (number % 200 !== 0) continue;
      expect(await ng.ask({ command: 'ping' })).to.deep.equal({ result: 'pong' });
      if (number !== warmUp) continue;
      residentBefore = residentKib(daemon);
      repliesBefore = enemy.repliesKib;
    }
    const replies = enemy.repliesKib - repliesBefore;
    const growth = residentKib(daemon) - residentBefore - replies;
    console.log(
      `      resident memory over the last ${messages - warmUp} messages: ` +
        `${growth.toFixed(0)} KiB beside the ${replies.toFixed(0)} KiB of replies it keeps`,
    );
    expect(growth).to.be.lessThan(allowedGrowthKib);
    expect(await listed(ng)).to.include.members(own);
    expect((await load.report()).lost).to.equal(0);
    expect(daemon.log()).not.to.match(/Internal error|failed: /);

    for (const callId of await listed(ng)) {
      if (own.includes(callId)) continue;
      await ng.ask({ command: 'delete', 'call-id': callId, 'delete-delay': 0 });
    }
    expect(await listed(ng)).to.have.members(own);
    await until(() => descriptors(daemon) === openBefore, 'the descriptors of before');
    expect((await (await talk('later', 1)).report()).lost).to.equal(0);
  });
});
