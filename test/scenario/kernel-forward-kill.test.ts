/**
 * A daemon that is killed in the middle of a command: the kernel goes on with the flows of the old state
 * or of the new one, the next process makes them right, and nobody else notices.
 */
import { expect } from 'chai';
import type { TestProcess } from '../support/child-process.js';
import { expectWhole, KernelRig, RigCall } from '../support/kernel-rig.js';
import { obstacleToKernelForwarding } from '../support/kernel-forwarding.js';
import { pause, until } from '../support/wait.js';

const rounds = 30;
/** Commands take a few milliseconds, what Redis does among them. */
const latestKillMs = 9;
const tries = 60;

describe('kernel forwarding, the daemon killed in the middle of a command', function () {
  this.timeout(120_000);
  let rig: KernelRig;
  let daemon: TestProcess;

  before(async function () {
    if (obstacleToKernelForwarding() !== null) this.skip();
    rig = new KernelRig();
    await rig.start();
    // While there is no daemon, nobody could resolve it.
    const link = rig.pair.hub.run('cat', '/sys/class/net/bridge0/address').trim();
    const words = ['neighbour', 'replace', '10.0.0.2', 'lladdr', link, 'nud', 'permanent'];
    rig.pair.one.namespace.ip(...words, 'dev', 'eth0');
    daemon = await rig.startRelay({ mode: 'tc' });
  });
  after(async () => {
    await rig?.remove();
  });

  /** Runs a command and kills the daemon while it is under way; the next one answers if this did not. */
  async function killedDuring<Result>(command: () => Promise<Result>): Promise<Result> {
    const answered = command();
    await pause(Math.random() * latestKillMs);
    await daemon.stop('SIGKILL');
    daemon = await rig.startRelay({ mode: 'tc' });
    return answered;
  }

  /** Flows that join two phones which do not talk to each other. */
  async function strays(calls: readonly RigCall[]): Promise<readonly string[]> {
    const pairs = new Set(
      calls.flatMap(({ addresses, ports }) => {
        const [a, b] = [`${addresses.a}:${ports.a}`, `${addresses.b}:${ports.b}`];
        return [`${a} > ${b}`, `${b} > ${a}`];
      }),
    );
    return (await rig.flows())
      .map(({ from, to }) => `${from} > ${to}`)
      .filter((p) => !pairs.has(p));
  }

  async function setUp(call: RigCall): Promise<void> {
    const during = Math.random() < 0.5 ? 'offer' : 'answer';
    const offer = async (): Promise<unknown> => call.offer('a', call.sdp('a'), {}, tries);
    const answer = async (): Promise<unknown> => call.answer('b', call.sdp('b'), {}, tries);
    await (during === 'offer' ? killedDuring(offer) : offer());
    await (during === 'answer' ? killedDuring(answer) : answer());
    for (const side of ['a', 'b'] as const) await call.open(side);
    for (const side of ['a', 'b'] as const) await call.talk(side);
    await call.inKernel();
  }

  async function reInvite(call: RigCall): Promise<void> {
    await call.begin();
    await call.inKernel();
    await rig.phones.hush(call.back);
    const old = `${call.id}b`;
    Object.assign(call.addresses, { b: '10.0.0.2' });
    call.ports.b = rig.nextPort();
    await call.open('b', `${call.id}b2`);
    const sent = await killedDuring(async () => call.offer('b', call.sdp('b'), {}, tries));
    await call.answer('a', call.sdp('a'));
    await call.talk('b', `${call.id}b2`);
    await call.talk('a');
    await call.inKernel();
    const { forth } = call.reportIn(await rig.phones.report());
    expect(forth.places[old]?.last, 'last at the old place').to.be.at.most(sent[call.forth] ?? 0);
  }

  async function remove(call: RigCall): Promise<void> {
    await call.begin();
    await call.inKernel();
    const { sent } = await killedDuring(async () =>
      call.ask('delete', { 'from-tag': 'tag-a' }, tries),
    );
    await pause(60);
    expect(await call.flows()).to.deep.equal([]);
    const { forth, back } = await call.hush();
    expect(forth.places[`${call.id}b`]?.last).to.be.at.most(sent[call.forth] ?? 0);
    expect(back.places[`${call.id}a`]?.last).to.be.at.most(sent[call.back] ?? 0);
  }

  it(`${rounds} times: no stray flow, nothing misdirected, the other calls lose nothing`, async () => {
    const others: RigCall[] = [];
    for (let at = 0; at < 3; at++) others.push(await new RigCall(rig, `other${at}.`).begin());
    for (const call of others) await call.inKernel();
    for (let round = 0; round < rounds; round++) {
      const call = new RigCall(rig, `round${round}.`);
      const [act, moved] = [
        [setUp, `${call.id}b`],
        [reInvite, `${call.id}b2`],
        [remove, ''],
      ][round % 3] as [(call: RigCall) => Promise<void>, string];
      await act(call);
      expect(await strays([...others, call]), `round ${round}`).to.deep.equal([]);
      if (moved === '') continue;
      const report = await call.hush();
      const places = Object.keys(report.forth.places);
      expectWhole(report.forth, ...new Set([...places, moved]));
      expectWhole(report.back, `${call.id}a`);
      await call.ask('delete', { 'from-tag': 'tag-a' });
      expect(await strays(others), `after round ${round}`).to.deep.equal([]);
    }
    await until(async () => (await rig.flowCount()) === 6, 'the flows of the other calls alone');
    for (const call of others) await rig.phones.hush(call.id);
    const report = await rig.phones.settledReport();
    for (const call of others) {
      expectWhole(call.reportIn(report).forth, `${call.id}b`);
      expectWhole(call.reportIn(report).back, `${call.id}a`);
    }
    expect(report.strange).to.equal(0);
    for (const call of others) await call.ask('delete', { 'from-tag': 'tag-a' });
    expect(await rig.flowCount()).to.equal(0);
  });

  it('RTCP goes to the daemon while there is one, and on by itself while there is none', async () => {
    const [alone, muxed] = [
      new RigCall(rig, 'alone.'),
      new RigCall(rig, 'muxed.', {
        media: (port) => [{ port, formats: '8', lines: ['a=rtcp-mux'] }],
        offer: { 'rtcp-mux': ['offer'] },
      }),
    ];
    const reports: [label: string, place: string][] = [];
    for (const call of [alone, muxed]) {
      await call.begin();
      const own = call === alone;
      for (const side of ['a', 'b'] as const) {
        if (own) await call.open(side, `${call.id}R${side}`, { port: call.ports[side] + 1 });
      }
      for (const [side, other] of [
        ['a', 'b'],
        ['b', 'a'],
      ] as const) {
        const { address, port } = call.targets[side];
        const label = `reports.${call.id}${side}`;
        const name = (of: string): string => `${call.id}${own ? 'R' : ''}${of}`;
        const target = { address, port: port + (own ? 1 : 0) };
        await rig.phones.talk(label, name(side), target, 'rtcp');
        reports.push([label, name(other)]);
      }
    }
    // Audio both ways of both, and reports on ports of their own both ways.
    await until(async () => (await rig.flowCount()) === 6, 'all flows');
    const packetsOf = async (call: RigCall): Promise<readonly number[]> =>
      (await rig.flows())
        .filter(({ local }) =>
          Object.values(call.targets).some(({ port }) => local.endsWith(`:${port + 1}`)),
        )
        .map(({ packets }) => packets);
    await pause(200);
    expect(await packetsOf(alone), 'by the kernel while the daemon lives').to.deep.equal([0, 0]);
    const arrived = await rig.phones.arrived('reports.');
    await daemon.stop('SIGKILL');
    const ended = await rig.phones.marks();
    await rig.phones.some(75);
    const dead = (await rig.phones.report()).streams;
    daemon = await rig.startRelay({ mode: 'tc' });
    await until(async () => (await rig.flowCount()) === 6, 'all flows again');
    const adopted = await packetsOf(alone);
    for (const packets of adopted) expect(packets).to.be.greaterThan(50);
    await pause(300);
    expect(await packetsOf(alone), 'by the kernel with a daemon again').to.deep.equal(adopted);
    await rig.phones.hush('reports.');
    for (const call of [alone, muxed]) {
      const { forth, back } = await call.hush();
      expectWhole(forth, `${call.id}b`);
      expectWhole(back, `${call.id}a`);
    }
    const { streams } = await rig.phones.settledReport();
    for (const [label, place] of reports) {
      const report = streams[label];
      expect(report?.duplicates).to.equal(0);
      expect(Object.keys(report?.places ?? {})).to.deep.equal([place]);
      // What the daemon had in its hands, and what waited in its sockets.
      const underWay = (number: number): boolean =>
        number > (arrived[label] ?? 0) && number <= (ended[label] ?? 0);
      expect(
        report?.lost.filter((number) => !underWay(number)),
        label,
      ).to.deep.equal([]);
      expect(dead[label]?.places[place]?.count).to.be.greaterThan(60);
    }
    for (const call of [alone, muxed]) {
      const { reply } = await call.ask('delete', { 'from-tag': 'tag-a' });
      expect(reply['result']).to.equal('ok');
    }
    expect(await rig.flowCount()).to.equal(0);
  });
});
