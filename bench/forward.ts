/**
 * What forwarding costs the machine as a whole: in userspace (rtprelayd, rtpengine) and in the kernel
 * (TC, XDP), over veth, bridge and the stack of two network namespaces. See bench/README.md.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { cpuSecondsOf } from '../test/support/cpu-time.js';
import { hubAddress, Pair } from '../test/support/pair.js';
import { positive, readArguments } from './lib/arguments.js';
import { median } from './lib/report.js';
import { putIntoReadme } from './lib/readme.js';
import { machine, prepare } from './lib/rig.js';

const root = fileURLToPath(new URL('../', import.meta.url));
const loadgen = `${root}build/bench/loadgen`;
/** `direct`: no relay, the phones' own sending and receiving. */
const modes = ['direct', 'none', 'tc', 'xdp', 'xdp-generic', 'nft', 'rtpengine'] as const;
type Mode = (typeof modes)[number];

const given = readArguments(process.argv.slice(2), {
  forward: modes.join(','),
  calls: '300',
  runs: '3',
  seconds: '10',
  readme: 'no',
});
const wanted = given.forward.split(',').map((name) => {
  const mode = modes.find((each) => each === name);
  if (mode === undefined) throw new Error(`--forward=${name}: ${modes.join()}`);
  return mode;
});
const calls = positive('calls', given.calls);
const runs = positive('runs', given.runs);
const seconds = positive('seconds', given.seconds);
prepare('both');

/** Learning takes 3 s, nftables' trial 2 s, and the kernel gets all streams only then. */
const settleSeconds = 6;
const ngPort = 2223;

interface Cost {
  /** All processors, everything but idling, µs per packet relayed. */
  readonly machineMicros: number;
  readonly daemonMicros: number;
  readonly lost: number;
  readonly p50: number;
  readonly p99: number;
}

/** Busy time of all processors so far, s; idle time is exact, not sampled. */
function busySeconds(): number {
  const uptime = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]);
  const idle = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[1]);
  const cpus = readFileSync('/proc/stat', 'latin1').match(/^cpu\d+/gm)?.length ?? 1;
  return uptime * cpus - idle;
}

async function startRelay(pair: Pair, mode: Mode, pins: string): Promise<number> {
  const node = pair.one;
  const common = [
    ...['--config-file=none', '-f', '-E', '--log-level=5', `--interface=${node.address}`],
    ...[`--listen-ng=${node.address}:${ngPort}`, '--port-min=20000', '--port-max=60000'],
  ];
  const daemon =
    mode === 'rtpengine'
      ? node.start('rtpengine', 'rtpengine', [...common, '--table=-1', '--pidfile=/dev/null'])
      : node.start('rtprelayd', process.execPath, [
          ...[`${root}dist/bin/rtprelayd.js`, '--no-pair', ...common, `--kernel-forward=${mode}`],
          ...(mode === 'nft' ? ['--kernel-forward-set-forwarding'] : []),
          ...(mode === 'none' ? [] : [`--kernel-forward-pins=${pins}/relay`, '--no-fallback']),
        ]);
  const ping = `${root}deploy/bin/rtprelay-probe ping ${node.address} ${ngPort} 0.3 && echo pong || true`;
  await daemon.until(() => pair.hub.run('sh', '-c', ping).includes('pong'));
  return daemon.pid;
}

async function measure(mode: Mode): Promise<Cost> {
  const pins = mkdtempSync(join(tmpdir(), 'bench-forward-'));
  execFileSync('mount', ['-t', 'bpf', 'bpf', pins]);
  const pair = new Pair();
  if (mode === 'xdp') pair.one.prepareNativeXdp();
  try {
    const pid = mode === 'direct' ? null : await startRelay(pair, mode, pins);
    const words = ['relay', '--calls', String(calls), '--seconds', String(seconds)];
    words.push('--bind-a', hubAddress, '--bind-b', hubAddress, '--port-base', '2000');
    words.push(...(pid === null ? ['--direct'] : ['--ng', `${pair.one.address}:${ngPort}`]));
    const load = pair.startOnHub('loadgen', loadgen, words);
    await load.untilLogged('ready', 60_000);
    await delay(settleSeconds * 1000);
    const daemon = (): number => (pid === null ? 0 : cpuSecondsOf(pid));
    const [from, busy, own] = [performance.now(), busySeconds(), daemon()];
    await delay((seconds - settleSeconds - 1) * 1000);
    const packets = ((performance.now() - from) / 1000) * calls * 100;
    const [machineTime, daemonTime] = [busySeconds() - busy, daemon() - own];
    if ((await load.ended(60_000)) !== 0) throw new Error(load.log());
    const report = JSON.parse(load.log().slice(load.log().indexOf('{'))) as {
      readonly lost: number;
      readonly latencyMicros: { readonly p50: number };
      readonly latencyP99BySecond: readonly number[];
    };
    return {
      machineMicros: (machineTime * 1e6) / packets,
      daemonMicros: (daemonTime * 1e6) / packets,
      lost: report.lost,
      p50: report.latencyMicros.p50,
      p99: median(report.latencyP99BySecond.slice(settleSeconds, -1)),
    };
  } finally {
    await pair.remove();
    execFileSync('umount', [pins]);
    rmdirSync(pins);
  }
}

const costs = new Map<Mode, Cost[]>(wanted.map((mode) => [mode, []]));
for (let run = 0; run < runs; run++) {
  for (const mode of run % 2 === 0 ? wanted : [...wanted].reverse()) {
    const cost = await measure(mode);
    costs.get(mode)?.push(cost);
    console.log(
      `run ${run + 1} ${mode}: machine ${cost.machineMicros.toFixed(2)} us a packet, daemon ` +
        `${cost.daemonMicros.toFixed(2)}, lost ${cost.lost}, p50 ${cost.p50}, p99 ${cost.p99} us`,
    );
  }
}

const column = (mode: Mode, pick: (cost: Cost) => number): readonly number[] =>
  (costs.get(mode) ?? []).map(pick);
const shown = (values: readonly number[], digits: number): string =>
  `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)}-${Math.max(...values).toFixed(digits)})`;
const base = wanted.includes('direct') ? median(column('direct', (cost) => cost.machineMicros)) : 0;
console.log(`\nforwarding ${calls * 100} packets/s, ${runs} runs, on ${machine()}`);
console.log('median (range); relay: the machine without what the phones alone cost (direct)\n');
const rows = [
  ['', 'machine us/packet', 'relay us/packet', 'daemon us/packet', 'lost', 'p50 us', 'p99 us'],
];
for (const mode of wanted) {
  rows.push([
    mode,
    shown(
      column(mode, (cost) => cost.machineMicros),
      2,
    ),
    (median(column(mode, (cost) => cost.machineMicros)) - base).toFixed(2),
    shown(
      column(mode, (cost) => cost.daemonMicros),
      2,
    ),
    String(Math.max(...column(mode, (cost) => cost.lost))),
    shown(
      column(mode, (cost) => cost.p50),
      0,
    ),
    shown(
      column(mode, (cost) => cost.p99),
      0,
    ),
  ]);
}
for (const row of rows)
  console.log(row.map((text, at) => text.padEnd(at === 0 ? 12 : 22)).join(''));

/** What of it the README has. */
function readmeTable(): string {
  const names: Readonly<Record<Mode, string>> = {
    direct: 'the phones alone, over loopback',
    none: 'rtprelayd, userspace',
    ...{ tc: 'rtprelayd, `--kernel-forward=tc`', nft: 'rtprelayd, `--kernel-forward=nft`' },
    xdp: 'rtprelayd, `--kernel-forward=xdp` (veth, where XDP has to copy)',
    'xdp-generic': 'rtprelayd, `--kernel-forward=xdp-generic`',
    rtpengine: 'rtpengine, userspace',
  };
  const middle = (mode: Mode, pick: (cost: Cost) => number, digits: number): string =>
    median(column(mode, pick)).toFixed(digits);
  const lines = wanted.map((mode) => {
    const relay = median(column(mode, (cost) => cost.machineMicros)) - base;
    const latency = `${middle(mode, (cost) => cost.p50, 0)} / ${middle(mode, (cost) => cost.p99, 0)}`;
    return `| ${names[mode]} | ${mode === 'direct' ? '' : relay.toFixed(1)} | ${latency} |`;
  });
  return [
    `| \`npm run bench:forward -- --readme=yes\` (${calls} calls, ${calls * 100} packets/s): whole machine without the phones' share | us/packet | p50 / p99, us |`,
    ...['|---|---|---|', ...lines, ''],
    `${machine()}, ${new Date().toISOString().slice(0, 10)}, medians of ${runs} runs.`,
  ].join('\n');
}

if (given.readme === 'yes') putIntoReadme({ forward: readmeTable() });
