/**
 * What every back end of kernel forwarding owes: a relay node with a cable to the machine of the phones, 105 calls of
 * which every packet is accounted for.
 */
import { expect } from 'chai';
import { existsSync } from 'node:fs';
import type { TestProcess } from '../support/child-process.js';
import { cpuSecondsDuring } from '../support/cpu-time.js';
import {
  BpfFileSystem,
  obstacleToKernelForwarding,
  obstacleToNft,
} from '../support/kernel-forwarding.js';
import { untilToldSeconds } from '../support/load.js';
import { Pair, type PairNode } from '../support/pair.js';
import { pause, until } from '../support/wait.js';

const cli = 9900;
const calls = 105;
const streams = calls * 2;

interface BackEnd {
  readonly mode: string;
  readonly obstacle: () => string | null;
  prepare(node: PairNode): void;
  /** What is in the kernel of ours. */
  readonly traces: (node: PairNode, pins: string) => boolean;
  /** Packets of a stream that no process had stored when one was killed, 20 ms each. */
  readonly uncounted: number;
}

const pinned = {
  obstacle: obstacleToKernelForwarding,
  prepare: (): void => undefined,
  traces: (_node: PairNode, pins: string): boolean => existsSync(pins),
  uncounted: 20,
};

const backEnds: readonly BackEnd[] = [
  { mode: 'tc', ...pinned },
  {
    ...{ mode: 'xdp', ...pinned },
    prepare: (node) => {
      node.prepareNativeXdp();
    },
  },
  { mode: 'xdp-generic', ...pinned },
  {
    mode: 'nft',
    obstacle: obstacleToNft,
    prepare: (node) => {
      node.namespace.run('sysctl', '-w', 'net.ipv4.conf.eth0.forwarding=1');
      // As Docker and others set it, with the rule of docs/kernel-forwarding.md.
      const wall =
        'table ip wall { chain f { type filter hook forward priority 0; policy drop; }; }';
      const media = 'ct state untracked udp dport 1024-65535 accept';
      node.namespace.run('nft', `${wall}; add rule ip wall f ${media}`);
    },
    traces: (node) => /rtprelay/.test(node.namespace.run('nft', 'list', 'tables')),
    // Those of its trial with one stream, which userspace relayed, too: two seconds and what a busy machine adds.
    uncounted: 150,
  },
];

for (const backEnd of backEnds) {
  describe(`kernel forwarding by ${backEnd.mode}`, function () {
    this.timeout(240_000);
    let pair: Pair;
    let bpf: BpfFileSystem | null = null;

    before(function () {
      if (backEnd.obstacle() !== null) this.skip();
    });
    beforeEach(async () => {
      bpf = backEnd.mode === 'nft' ? null : new BpfFileSystem();
      pair = new Pair();
      backEnd.prepare(pair.one);
      await pair.startRedis();
    });
    afterEach(async () => {
      await pair.remove();
      bpf?.remove();
    });

    const pins = (): string => bpf?.file('relay') ?? '/nowhere';
    const start = (mode = backEnd.mode): Promise<TestProcess> =>
      pair.one.startRelay([
        ...[`--interface=${pair.one.address}`, `--listen-ng=${pair.one.address}:2223`],
        ...[`--listen-cli=${pair.one.address}:${cli}`, `--redis=10.0.0.1:6379/1`],
        ...[`--kernel-forward=${mode}`, ...(bpf ? [`--kernel-forward-pins=${pins()}`] : [])],
        ...['--port-min=30000', '--port-max=32767', '--no-fallback'],
      ]);
    const talk = (seconds: number): Promise<TestProcess> =>
      pair.talk({ ng: `${pair.one.address}:2223`, calls, seconds, portBase: 10_000 });
    const kernel = (): string => pair.one.command(cli, 'kernel');
    const number = (pattern: RegExp, text: string): number => Number(pattern.exec(text)?.[1]);
    const flows = (): number => number(/^Flows: (\d+)$/m, kernel());
    /** All flows are there, and forward. */
    async function settled(): Promise<void> {
      await until(() => flows() === streams, `${streams} flows`);
      await until(() => number(/forwarded: (\d+)/, kernel()) > 1000, 'packets of all flows');
    }
    const countsOf = (text: string): readonly number[] =>
      text
        .split('\n')
        .flatMap((line) =>
          line.includes('(RTCP)') ? [] : Number(/ (\d+) p,/.exec(line)?.[1] ?? []),
        );

    it('relays 105 calls both ways without a loss, unchanged and counted', async () => {
      const daemon = await start();
      const load = await talk(8);
      const learning = await cpuSecondsDuring(daemon.pid, 2000);
      await settled();
      const afterwards = await cpuSecondsDuring(daemon.pid, 2000);
      const report = await pair.reportOf(load);
      expect(report).to.include({ lost: 0, duplicates: 0, strange: 0 });
      // It relayed 21,000 packets while it learned, and then none.
      expect(afterwards).to.be.lessThan(learning / 2);
      const forwarded = countsOf(kernel()).reduce((a, b) => a + b, 0);
      // Learning takes the first 3 s of a call.
      expect(forwarded).to.be.greaterThan(report.sent * 0.4);
      const totals = (): string => pair.one.command(cli, 'list totals');
      const all = new RegExp(`Total relayed packets *:?\\s*${report.sent}\\b`);
      await until(() => all.test(totals()), 'all packets counted');
      expect(number(/relayed packets \(kernel\)\D*(\d+)/i, totals())).to.equal(forwarded);
      expect(backEnd.traces(pair.one, pins()), 'before the stop').to.equal(true);
      await daemon.stop();
      expect(backEnd.traces(pair.one, pins()), 'after the stop').to.equal(false);
    });

    it('goes on without a daemon: killed and started five times, nothing is lost', async () => {
      let daemon = await start();
      const load = await talk(untilToldSeconds);
      await settled();
      for (let time = 0; time < 5; time++) {
        await pause(100);
        await daemon.stop('SIGKILL');
        await pause(250);
        daemon = await start();
        expect(daemon.log()).to.match(new RegExp(`${streams} flows found there`));
        expect(flows()).to.equal(streams);
      }
      const report = await pair.reportSoon(load);
      expect(report).to.include({ lost: 0, duplicates: 0, strange: 0 });
      // Statistics go on: nothing is counted twice, and at most what no process had stored is missing.
      const sessions = pair.one.command(cli, 'list sessions phones10000-0');
      const packets = countsOf(sessions).filter((count) => count > 0);
      expect(packets).to.have.lengthOf(2);
      const sent = report.sent / streams;
      for (const count of packets) expect(count).to.be.within(sent - backEnd.uncounted, sent);
    });

    it('removes the flows of calls that ended while no daemon was there', async () => {
      const daemon = await start();
      const load = await talk(untilToldSeconds);
      await until(() => flows() === streams, `${streams} flows`);
      await pair.reportSoon(load);
      await daemon.stop('SIGKILL');
      pair.hub.run('redis-cli', '-h', '10.0.0.1', '-n', '1', 'flushdb');
      const next = await start();
      await next.untilLogged(`Removed ${streams} kernel flows that belong to no call`);
      expect(flows()).to.equal(0);
    });

    it('is gone when a daemon without kernel forwarding follows a killed one', async () => {
      const first = await start();
      await first.stop('SIGKILL');
      expect(backEnd.traces(pair.one, pins()), 'after the kill').to.equal(true);
      await start('none');
      await until(() => !backEnd.traces(pair.one, pins()), 'nothing left');
    });
  });
}
