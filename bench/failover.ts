/**
 * What a failure of a node, a daemon or Redis costs calls that are up: rtprelayd and rtpengine in turn,
 * in network namespaces. Table, JSON, and a page with plots and audio. See bench/README.md.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { failoverPage } from './failover/page.js';
import { runScenario, type RunResult } from './failover/run.js';
import { scenarios, type Scenario } from './failover/scenarios.js';
import { wavOf } from './failover/audio.js';
import { positive, readArguments } from './lib/arguments.js';
import { median } from './lib/report.js';
import { machine, prepare, type DaemonName } from './lib/rig.js';

const names = scenarios.map(({ name }) => name);
const given = readArguments(process.argv.slice(2), {
  scenario: 'all',
  calls: '105',
  ptime: '20',
  runs: '3',
  daemon: 'both',
  store: 'redis',
  out: fileURLToPath(new URL('../build/bench/failover', import.meta.url)),
});
const runs = positive('runs', given.runs);
const options = {
  calls: positive('calls', given.calls),
  ptimeMs: positive('ptime', given.ptime),
  store: given.store === 'systemd' ? ('systemd' as const) : ('redis' as const),
};
if (!['redis', 'systemd'].includes(given.store)) throw new Error('--store=redis or systemd');
const wanted = given.scenario === 'all' ? names : given.scenario.split(',');
const unknown = wanted.filter((name) => !names.includes(name));
if (unknown.length > 0) throw new Error(`--scenario=${unknown.join()}: known: all ${names.join()}`);
const daemons = prepare(given.daemon);

export interface ScenarioResult {
  readonly scenario: Scenario;
  readonly daemon: DaemonName;
  readonly obstacle: string | null;
  readonly runs: readonly RunResult[];
}

/** The daemons alternate; the order changes from run to run, so that neither always comes second. */
async function measure(scenario: Scenario): Promise<readonly ScenarioResult[]> {
  const results = new Map<DaemonName, RunResult[]>(daemons.map((daemon) => [daemon, []]));
  const obstacle = (daemon: DaemonName): string | null =>
    scenario.obstacle?.({ daemon, store: options.store }) ?? null;
  for (let run = 0; run < runs; run++) {
    for (const daemon of run % 2 === 0 ? daemons : [...daemons].reverse()) {
      if (obstacle(daemon) !== null) continue;
      const result = await runScenario(scenario, daemon, options);
      results.get(daemon)?.push(result);
      console.log(
        `  ${scenario.name} ${daemon} run ${run + 1}: lost median ${median(result.lost)} ` +
          `max ${Math.max(...result.lost)}, pause max ${Math.max(...result.pauseMs).toFixed(0)} ms, ` +
          `calls lost ${result.callsLost}`,
      );
    }
  }
  return daemons.map((daemon) => ({
    ...{ scenario, daemon, obstacle: obstacle(daemon), runs: results.get(daemon) ?? [] },
  }));
}

const quantile = (values: readonly number[], share: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.round(share * (sorted.length - 1))] ?? Number.NaN;
};

const spread = (values: readonly number[]): string =>
  values.length === 0
    ? '-'
    : [median(values), quantile(values, 0.95), Math.max(...values)]
        .map((value) => String(Number(value.toPrecision(3))))
        .join(' / ');

const present = (values: readonly (number | null)[]): readonly number[] =>
  values.filter((value) => value !== null);

function row({ scenario, daemon, obstacle, runs: all }: ScenarioResult): readonly string[] {
  if (obstacle !== null) return [scenario.name, daemon, obstacle];
  const share = (values: readonly number[]): string =>
    values.length === 0 ? '-' : median(values).toFixed(1);
  return [
    scenario.name,
    daemon,
    spread(all.flatMap(({ lost }) => lost)),
    spread(all.flatMap(({ pauseMs }) => pauseMs)),
    String(Math.max(0, ...all.map(({ late }) => late))),
    String(Math.max(0, ...all.map(({ callsLost }) => callsLost))),
    share(present(all.map(({ moveMs }) => moveMs))),
    share(present(all.map(({ takeoverMs }) => takeoverMs))),
    String(Math.max(0, ...all.map(({ unreachable }) => unreachable))),
    share(all.map(({ latencyP99Micros }) => latencyP99Micros / 1000)),
  ];
}

const results: ScenarioResult[] = [];
for (const scenario of scenarios) {
  if (!wanted.includes(scenario.name)) continue;
  console.log(`${scenario.name}: ${scenario.title}`);
  results.push(...(await measure(scenario)));
}
const head = ['scenario', 'daemon', 'lost/stream', 'pause ms', 'late', 'calls lost', 'move ms'];
const rows = [[...head, 'takeover ms', 'ICMP', 'p99 ms'], ...results.map(row)];
const widths =
  rows[0]?.map((_, at) =>
    Math.max(...rows.map((each) => (each.length > 3 || at < 2 ? (each[at] ?? '').length : 0))),
  ) ?? [];
console.log(
  `\nfailover of ${options.calls} calls, ${options.ptimeMs} ms, ${runs} runs, store ${options.store}, on ${machine()}`,
);
console.log('median / 95 % / max over all streams; late: longer than 60 ms on their way\n');
for (const each of rows)
  console.log(each.map((text, at) => text.padEnd(widths[at] ?? 0)).join('  '));

mkdirSync(given.out, { recursive: true });
const figures = results.map(({ scenario, daemon, obstacle, runs: all }) => ({
  scenario: scenario.name,
  daemon,
  obstacle,
  runs: all.map(({ audio: _audio, ...rest }) => rest),
}));
writeFileSync(
  `${given.out}/failover.json`,
  JSON.stringify({ machine: machine(), options, figures }),
);
for (const { scenario, daemon, runs: all } of results) {
  const [first] = all;
  if (first === undefined) continue;
  const sent = Buffer.alloc(first.audio.received.length);
  for (let n = 0; n < sent.length; n++)
    sent[n] = first.audio.sent[n % first.audio.sent.length] ?? 0;
  writeFileSync(`${given.out}/${scenario.name}-sent.wav`, wavOf(sent));
  writeFileSync(
    `${given.out}/${scenario.name}-${daemon}-received.wav`,
    wavOf(first.audio.received),
  );
}
writeFileSync(`${given.out}/index.html`, failoverPage(machine(), options, results));
console.log(`\n${given.out}: index.html, failover.json, WAV files`);
