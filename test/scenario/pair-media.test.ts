/** The process pair with what is more than two parties and a relay in userspace: fan-out, digits, flows in the kernel. */
import { expect } from 'chai';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { TestProcess } from '../support/child-process.js';
import { obstacleToKernelForwarding } from '../support/kernel-forwarding.js';
import { expectWhole, KernelRig, RigCall } from '../support/kernel-rig.js';
import { activeOf, countIn, limitMs, ProcessPair } from '../support/process-pair.js';
import { RtpEndpoint, rtpPacket, type Destination } from '../support/rtp-endpoint.js';
import { audio, buildSdp, mediaTarget } from '../support/sdp.js';
import { pause, until } from '../support/wait.js';

const here = '127.0.0.1';
/** A socket holds some eighty packets: at this pace, longer than a busy machine takes for anything here. */
const packetMs = 50;

const bodyOf = ({ port }: RtpEndpoint, ...lines: readonly string[]): string =>
  buildSdp({
    ...{ address: here, origin: here },
    media: [
      { ...audio(port), formats: '0 101', lines: ['a=rtpmap:101 telephone-event/8000', ...lines] },
    ],
  });

describe('the process pair, with subscribers and digits', function () {
  this.timeout(120_000);
  const told: { readonly event: number }[] = [];
  const phones: RtpEndpoint[] = [];
  let receiver: Socket;
  let pair: ProcessPair;

  before(async () => {
    receiver = createSocket('udp4');
    receiver.on('message', (bytes) =>
      told.push(JSON.parse(bytes.toString('utf8')) as { readonly event: number }),
    );
    receiver.bind(0, here);
    await once(receiver, 'listening');
  });
  beforeEach(async () => {
    told.length = 0;
    pair = new ProcessPair([`--dtmf-log-dest=${here}:${receiver.address().port}`]);
    await pair.warm(1);
    for (let count = 0; count < 5; count++) phones.push(await RtpEndpoint.open());
  });
  afterEach(async () => {
    for (const each of phones.splice(0)) each.close();
    await pair.stop();
  });
  after(() => receiver?.close());

  const ask = async (
    command: string,
    keys: Record<string, string | readonly string[]>,
  ): Promise<string> => {
    const reply = await pair.ng.ask({ command, 'call-id': 'c', ...keys });
    expect(reply, JSON.stringify(reply)).to.have.property('result', 'ok');
    return String(reply['sdp']);
  };
  const phone = (at: number): RtpEndpoint => {
    const found = phones[at];
    if (found === undefined) throw new Error('no such phone');
    return found;
  };
  const subscribe = async (at: number): Promise<void> => {
    const tags = { 'from-tag': 'p', 'to-tag': `s${at}` };
    await ask('subscribe request', tags);
    await ask('subscribe answer', { 'to-tag': `s${at}`, sdp: bodyOf(phone(at), 'a=recvonly') });
  };

  it('has every subscriber hear every packet once, and takes more and fewer afterwards', async () => {
    const publisher = phone(0);
    const published = await ask('publish', {
      'from-tag': 'p',
      sdp: bodyOf(publisher, 'a=sendonly'),
    });
    const to = mediaTarget(published);
    for (const at of [1, 2, 3]) await subscribe(at);
    const sending = publisher.sendRtp(to, 60, { intervalMs: packetMs });
    await until(() => phone(3).received > 10, 'media', limitMs);
    process.kill(pair.active(), 'SIGKILL');
    await sending;
    await until(() => [1, 2, 3].every((at) => phone(at).received >= 60), 'all of it', limitMs);
    const all = Array.from({ length: 60 }, (_, at) => at + 1);
    for (const at of [1, 2, 3])
      expect(phone(at).sequenceNumbers(), `subscriber ${at}`).to.deep.equal(all);
    await pair.serves(2);
    await subscribe(4);
    await ask('unsubscribe', { 'to-tag': 's1' });
    await publisher.sendRtp(to, 5);
    await until(() => phone(4).received === 5 && phone(2).received === 65, 'the others', limitMs);
    expect(phone(1).received).to.equal(60);
  });

  it('tells of every digit once, also of one that is dialled meanwhile, and goes on blocking them', async () => {
    const [caller, called] = [phone(0), phone(1)];
    await ask('offer', { 'from-tag': 'a', sdp: bodyOf(caller) });
    const to = mediaTarget(
      await ask('answer', { 'from-tag': 'a', 'to-tag': 'x', sdp: bodyOf(called) }),
    );
    await caller.sendRtp(to, 1);
    await until(() => called.received === 1, 'media', limitMs);
    const dial = (target: Destination, digit: number, durations: readonly number[]): void => {
      for (const duration of durations) {
        const end = duration >= 480 ? 0x80 : 0;
        const payload = Buffer.from([digit, end | 10, duration >> 8, duration & 0xff]);
        const timestamp = 1600 * (digit + 1);
        const sequenceNumber = 10 * (digit + 1) + durations.indexOf(duration);
        const fields = { payloadType: 101, sequenceNumber, timestamp, ssrc: caller.ssrc, payload };
        caller.rtpSocket.send(rtpPacket(fields), target.port, target.address);
      }
    };
    dial(to, 1, [160, 320, 480]);
    dial(to, 2, [160, 320]);
    await until(() => called.received === 6 && told.length === 1, 'a digit and a half', limitMs);
    process.kill(pair.active(), 'SIGKILL');
    dial(to, 2, [480]);
    dial(to, 3, [160, 320, 480]);
    await pair.serves(2);
    await until(() => told.length === 3, 'the digits', limitMs);
    await until(() => called.received === 10, 'their packets', limitMs);
    await ask('block DTMF', { 'from-tag': 'a' });
    process.kill(pair.active(), 'SIGKILL');
    await pair.serves(3);
    dial(to, 4, [160, 320, 480]);
    await until(() => told.length === 4, 'the blocked digit', limitMs);
    expect(told.map(({ event }) => event)).to.deep.equal([1, 2, 3, 4]);
    await pause(100);
    expect(called.packets().filter(({ payload }) => payload[0] === 4)).to.deep.equal([]);
  });
});

describe('the process pair, with flows in the kernel', function () {
  this.timeout(120_000);
  let rig: KernelRig;
  let parent: TestProcess;

  before(async function () {
    if (obstacleToKernelForwarding() !== null) this.skip();
    rig = new KernelRig();
    await rig.start();
    parent = await rig.startRelay({ mode: 'tc', extra: ['--pair=yes', '--log-level=6'] });
  });
  after(async () => {
    await rig?.remove();
  });

  const count = (text: RegExp): number => countIn(parent.log(), text);
  const active = (): number => activeOf(parent);

  /** As on a busy machine, where the kernel takes its time to take a killed process apart. */
  const heldForLonger = (): TestProcess =>
    new TestProcess('holder', 'python3', [
      '-c',
      `import fcntl,os,time
fd=os.open(${JSON.stringify(rig.folder.file('relay1'))},os.O_RDONLY); print('there',flush=True)
fcntl.flock(fd,fcntl.LOCK_EX); print('held',flush=True); time.sleep(1)`,
    ]);

  it('loses nothing, goes on with the flows, changes and removes them, however often it is killed', async () => {
    const calls = [await new RigCall(rig, 'one.').begin(), await new RigCall(rig, 'two.').begin()];
    for (const call of calls) await call.inKernel();
    for (let kills = 1; kills <= 3; kills++) {
      await until(() => count(/Standing by for the active/g) >= kills, 'a spare process', limitMs);
      const holder = heldForLonger();
      await holder.untilLogged('there');
      process.kill(active(), 'SIGKILL');
      await holder.untilLogged('held');
      await until(() => count(/Startup complete/g) > kills, 'the next process', limitMs);
      for (const call of calls) await call.inKernel();
    }
    const [one, two] = calls as [RigCall, RigCall];
    // It is this process' to change and to end, too.
    const report = await one.hush();
    expectWhole(report.forth, 'one.b');
    expectWhole(report.back, 'one.a');
    await one.ask('delete', { 'from-tag': 'tag-a' });
    expect(await one.flows()).to.deep.equal([]);
    const other = await two.hush();
    expectWhole(other.forth, 'two.b');
    expectWhole(other.back, 'two.a');
    await two.ask('delete', { 'from-tag': 'tag-a' });
    expect(await rig.flowCount()).to.equal(0);
  });
});
