/**
 * What one daemon's kernel forwarding means to another's, and to the next one's: two instances on a
 * device, twice the same pins, pins of another layout, a full table, deaths in the middle of a command.
 */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { socketForEachPort } from '../support/daemons.js';
import { expectWhole, KernelRig, RigCall } from '../support/kernel-rig.js';
import type { PhonesReport, StreamReport } from '../support/phones.js';
import { obstacleToKernelForwarding } from '../support/kernel-forwarding.js';
import { pause, until } from '../support/wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

const program = [`${root}dist/bin/rtprelayd.js`, '--config-file=none', '-f', '-E'];

describe('kernel forwarding of several daemons', function () {
  this.timeout(60_000);
  let rig: KernelRig;

  before(function () {
    if (obstacleToKernelForwarding() !== null) this.skip();
  });
  beforeEach(async () => {
    rig = new KernelRig();
    await rig.start();
  });
  afterEach(async () => {
    await rig.remove();
  });

  async function callsOf(number: number, count: number, name = 'call'): Promise<RigCall[]> {
    const calls: RigCall[] = [];
    for (let at = 0; at < count; at++) {
      const call = new RigCall(rig, `${name}${number}-${at}.`, { number });
      calls.push(await call.begin());
    }
    for (const call of calls) await call.inKernel();
    return calls;
  }

  async function expectAllWhole(calls: readonly RigCall[]): Promise<void> {
    for (const call of calls) await rig.phones.hush(call.id);
    const report = await rig.phones.settledReport();
    for (const call of calls) {
      const { forth, back } = call.reportIn(report);
      expectWhole(forth, `${call.id}b`);
      expectWhole(back, `${call.id}a`);
    }
    expect(report.strange).to.equal(0);
  }

  it('on one device by tc: one restarts, dies and stops, the other loses nothing', async () => {
    const first = await rig.startRelay({ mode: 'tc', number: 1 });
    let second = await rig.startRelay({ mode: 'tc', number: 2 });
    const [mine, others] = [await callsOf(1, 3), await callsOf(2, 3)];
    for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL'] as const) {
      await second.stop(signal);
      expect(await rig.flowCount(1)).to.equal(6);
      second = await rig.startRelay({ mode: 'tc', number: 2 });
      for (const call of others) await call.inKernel();
    }
    await second.stop();
    expect(await rig.flowCount(1)).to.equal(6);
    await pause(100);
    await expectAllWhole(mine);
    await first.stop();
    // It came first and made what both had used.
    const filters = rig.pair.one.namespace.run('tc', 'filter', 'show', 'dev', 'eth0', 'ingress');
    expect(filters).to.equal('');
  });

  it('on one device by xdp-generic: the second is refused and relays in userspace', async () => {
    const first = await rig.startRelay({ mode: 'xdp-generic', number: 1 });
    const mine = await callsOf(1, 2);
    const options = rig.optionsOf({ mode: 'xdp-generic', number: 2 });
    const strict = rig.pair.one.start('rtprelayd', process.execPath, [...program, ...options]);
    expect(await strict.ended()).to.not.equal(0);
    expect(strict.log()).to.match(/--no-fallback\): no kernel forwarding on eth0/);
    expect(existsSync(rig.folder.file('relay2'))).to.equal(false);
    const second = await rig.pair.one.startRelay(
      options.filter((option) => option !== '--no-fallback'),
    );
    expect(second.log()).to.match(/WARNING: .*No kernel forwarding on eth0: XDP on eth0: /);
    const call = await new RigCall(rig, 'second', { number: 2 }).begin();
    await rig.phones.some(15);
    await second.stop();
    await expectAllWhole(mine);
    const report = call.reportIn(await rig.phones.report());
    // Until it was stopped.
    for (const { lost, places } of Object.values(report) as readonly StreamReport[]) {
      const [place] = Object.values(places);
      expect(place?.count).to.be.greaterThan(5);
      expect(lost[0] ?? Infinity).to.be.greaterThan(place?.last ?? 0);
    }
    expect(await rig.flowCount(1)).to.equal(4);
    await first.stop();
  });

  it('with the same pins: the second is refused, the first goes on', async () => {
    await rig.startRelay({ mode: 'tc', number: 1 });
    const mine = await callsOf(1, 2);
    const pins = `--kernel-forward-pins=${rig.folder.file('relay1')}`;
    const options = rig
      .optionsOf({ mode: 'tc', number: 2 })
      .map((option) => (option.startsWith('--kernel-forward-pins') ? pins : option));
    const refused = rig.pair.one.start('rtprelayd', process.execPath, [...program, ...options]);
    expect(await refused.ended()).to.not.equal(0);
    expect(refused.log()).to.match(/--no-fallback.*relay1 is in use by another process/);
    // Steered ports would be pinned there, too.
    const second = await rig.pair.one.startRelay([
      ...options.filter((option) => option !== '--no-fallback'),
      ...socketForEachPort('rtprelayd'),
    ]);
    expect(second.log()).to.match(/WARNING: .*relay1 is in use by another process/);
    const call = await new RigCall(rig, 'second', { number: 2 }).begin();
    await rig.phones.some(15);
    await expectAllWhole([call]);
    await second.stop();
    expect(await rig.flowCount(1)).to.equal(4);
    await expectAllWhole(mine);
  });

  it('pins of another layout are replaced, streams go on and return to the kernel', async () => {
    const daemon = await rig.startRelay({ mode: 'tc' });
    const calls = await callsOf(1, 3);
    await daemon.stop('SIGKILL');
    const meta = rig.folder.file('relay1/meta');
    execFileSync('python3', [`${root}test/support/set-layout.py`, meta, '4711']);
    // What the daemon's absence costs is no matter here.
    const next = await rig.startRelay({ mode: 'tc' });
    expect(next.log()).to.match(/has layout 4711, not \d+: replaced/);
    const before = await rig.phones.marks();
    for (const call of calls) await call.inKernel();
    for (const call of calls) await rig.phones.hush(call.id);
    expectSince(await rig.phones.settledReport(), before);
  });

  it('a full table: what has no room is relayed in userspace, and gets in later', async () => {
    const daemon = await rig.startRelay({ mode: 'tc', extra: ['--max-sessions=8'] });
    await rig.phones.command(rig.cli(), 'set maxsessions 100');
    const names = Array.from({ length: 40 }, (_, at) => `full${at}.`);
    const calls: RigCall[] = [];
    for (const name of names) calls.push(await new RigCall(rig, name).begin());
    await until(async () => (await rig.flowCount()) === 64, 'a full table');
    const refused = async (): Promise<readonly [number, number]> => {
      const text = await rig.phones.command(rig.cli(), 'kernel');
      const [, now, total] = /^Refused flows: (\d+) now, (\d+) in all$/m.exec(text) ?? [];
      return [Number(now), Number(total)];
    };
    await until(async () => (await refused())[0] >= 16, 'flows that are refused');
    await pause(1200);
    expect(daemon.log().match(/takes no more flows/g)).to.have.lengthOf(1);
    const [now, total] = await refused();
    expect(now).to.equal(16);
    const gone = (await Promise.all(calls.map(async (call) => [call, await call.flows()] as const)))
      .filter(([, flows]) => flows.length > 0)
      .slice(0, 8)
      .map(([call]) => call);
    await expectAllWhole(gone);
    for (const call of gone) await call.ask('delete');
    const staying = calls.filter((call) => !gone.includes(call));
    await until(async () => (await refused())[0] === 0, 'room for all');
    expect((await refused())[1]).to.equal(total);
    for (const call of staying) expect(await call.flows()).to.have.lengthOf(2);
    await pause(100);
    await expectAllWhole(staying);
  });
});

/** Everything that was sent after `marks` has arrived. */
function expectSince(report: PhonesReport, marks: Readonly<Record<string, number>>): void {
  for (const [label, { lost, duplicates }] of Object.entries(report.streams)) {
    const since = lost.filter((number) => number > (marks[label] ?? 0));
    expect(since, `lost of ${label}`).to.deep.equal([]);
    expect(duplicates, `duplicates of ${label}`).to.equal(0);
  }
}
