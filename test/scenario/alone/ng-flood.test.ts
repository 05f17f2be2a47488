/** A flood at the NG port: proxies are answered nearly as before, memory and log stay small. */
import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MediaDaemon } from '../../support/daemons.js';
import { TestProcess } from '../../support/child-process.js';
import { audioSdp, type NgClient } from '../../support/ng-client.js';
import { encodeBencode } from '../../support/bencode.js';
import { pause, until } from '../../support/wait.js';

const flooder = fileURLToPath(new URL('../../support/datagram-flood.py', import.meta.url));
const perSecond = 20_000;
const seconds = 2;
const rounds = 2;

const residentOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);

const setUp = (callId: string): Buffer =>
  encodeBencode({ command: 'offer', 'call-id': callId, 'from-tag': 'a', sdp: audioSdp(6000) });

/** `perSecond`: so many are told in the log at most, in each second of the daemon's. */
const floods: readonly (readonly [name: string, perSecond: number, payloads: readonly string[]])[] =
  [
    [
      'of what is no message',
      10,
      ['\x80\x00\x01', 'x'.repeat(200), 'GET/HTTP/1.1', '%d l1:ae', '%d q', '%d ', '%d <xml>'],
    ],
    [
      'of broken dictionaries and commands that nobody has',
      10,
      ['%d d7:comm', '%d {"command', '%d d3:abce', '%d d7:command8:x%de', '%d {"command":"%d"}'],
    ],
    [
      'of commands that cannot be done',
      100,
      [
        '%d d7:command5:query7:call-id6:nobodye',
        '%d d7:command5:offer7:call-id6:nobody8:from-tag1:b3:sdp12:v=0\r\no=x\r\n\r\ne',
        '%d {"command":"offer","call-id":"nobody","sdp":"v=0"}',
      ],
    ],
    [
      'of commands that end and ask what is not there',
      100,
      [
        '%d d7:command6:delete7:call-id6:nobodye',
        '%d d7:command6:delete7:call-id6:nobody3:abc1:de',
      ],
    ],
  ];

/** Commands answered within a second, each sent once: what a lost one costs is a second. */
async function answered(ng: NgClient, prefix: string, work: () => boolean): Promise<number[]> {
  let sent = 0;
  let got = 0;
  const running: Promise<void>[] = [];
  while (work()) {
    const callId = `${prefix}-${(sent += 1)}`;
    const reply = ng.raw(setUp(callId), { tries: 1, intervalMs: 1000 }).then(
      () => void (got += 1),
      () => undefined,
    );
    running.push(reply);
    await pause(20);
  }
  await Promise.all(running);
  for (let i = 1; i <= sent; i++) {
    const end = { command: 'delete', 'call-id': `${prefix}-${i}`, 'delete-delay': 0 };
    await ng.ask(end);
  }
  return [sent, got];
}

describe('a flood at the NG port', function () {
  this.timeout(120_000);
  let daemon: MediaDaemon;
  let ng: NgClient;

  beforeEach(async () => {
    daemon = await MediaDaemon.start('rtprelayd', { mediaPorts: 4000 });
    ng = daemon.client();
  });
  afterEach(async () => {
    ng.close();
    await daemon.stop();
  });

  const flood = (payloads: readonly string[]): TestProcess =>
    new TestProcess('flood', 'python3', [
      ...[flooder, String(daemon.controlPort), String(perSecond), String(seconds), '8'],
      ...payloads.map((text) => Buffer.from(text, 'latin1').toString('hex')),
    ]);

  for (const [name, told, payloads] of floods) {
    it(`${name} takes hardly any command's answer`, async () => {
      const quiet = [0, 0];
      const flooded = [0, 0];
      const add = (sums: number[], more: number[]): void =>
        more.forEach((value, at) => (sums[at] = (sums[at] ?? 0) + value));
      // The first commands of a process cost it more than later ones.
      const warm = performance.now() + 1000;
      await answered(ng, 'warm', () => performance.now() < warm);
      const logged = daemon.process.log().length;
      const before = residentOf(daemon.process.pid);
      const begun = performance.now();
      let datagrams = 0;
      for (let round = 0; round < rounds; round++) {
        const end = performance.now() + seconds * 1000;
        add(quiet, await answered(ng, `quiet-${round}`, () => performance.now() < end));
        const process = flood(payloads);
        add(flooded, await answered(ng, `flooded-${round}`, () => process.running));
        expect(await process.ended()).to.equal(0);
        datagrams += Number(process.log());
      }
      const [sentQuiet = 0, gotQuiet = 0] = quiet;
      const [sentFlooded = 0, gotFlooded = 0] = flooded;
      expect(datagrams).to.be.above(100 * sentFlooded);
      expect(gotFlooded / sentFlooded / (gotQuiet / sentQuiet)).to.be.at.least(0.8);
      const text = daemon.process.log().slice(logged);
      expect(text).to.match(
        /(?:Refused|Dropped) \d+ .*messages.* on NG port, last one from 127\.0\.0\.1:/,
      );
      // The daemon counts by its own seconds, of which so many have passed at most.
      const passed = (performance.now() - begun) / 1000 + 2;
      const of = (kind: RegExp): number =>
        text.split('\n').filter((line) => kind.test(line)).length;
      const lines = of(/Protocol error|no cookie|\[nobody\].*Replying to/);
      expect(lines).to.be.within(1, told * passed);
      expect(of(/\[nobody\].*Received command/)).to.be.at.most(told * passed);
      expect(lines, 'the others are counted').to.be.below(datagrams / 10);
      // What commands have cost is given back some quiet seconds later.
      const isSmall = (): boolean => residentOf(daemon.process.pid) / before <= 1.3;
      await until(isSmall, 'at most 1.3 of the memory before', 30_000);
    });
  }

  it('keeps no name of a command that nobody has', async () => {
    await ng.ask({ command: 'ping' });
    const before = residentOf(daemon.process.pid);
    const process = new TestProcess('flood', 'python3', [
      ...[flooder, String(daemon.controlPort), '3000', '2', '8'],
      Buffer.from(`%d d7:command40000:%d${'x'.repeat(39_990)}`, 'latin1').toString('hex'),
    ]);
    expect(await process.ended()).to.equal(0);
    await ng.ask({ command: 'ping' });
    await pause(2000);
    expect(residentOf(daemon.process.pid) / before).to.be.at.most(1.3);
  });
});
