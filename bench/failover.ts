/**
 * What a failure or a planned change costs the calls: packets, time and calls lost, with rtprelayd and
 * rtpengine in turn. See bench/README.md.
 */
import { mkdirSync } from 'node:fs';
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { MoverName, PortMode, RedisPlace, Settings, Stack } from './failover/cluster.js';
import { isPair, type Store } from './failover/daemons.js';
import {
  readmeTable,
  tables,
  type Common,
  type Measured,
  type TableName,
} from './failover/readme.js';
import { Results } from './failover/results.js';
import { runOnce } from './failover/run.js';
import type { Scenario } from './failover/scenario.js';
import { scenarios } from './failover/scenarios.js';
import { positive, readArguments } from './lib/arguments.js';
import { putIntoReadme } from './lib/readme.js';
import { machine, prepare, type DaemonName } from './lib/rig.js';

const given = readArguments(process.argv.slice(2), {
  scenario: 'kill-restart',
  daemon: 'both',
  runs: '5',
  calls: '105',
  ptime: '20',
  store: 'redis',
  mover: 'bench',
  advert: '10',
  redis: 'shared',
  stack: 'ipv4',
  replay: 'no',
  ports: 'bound',
  readme: 'no',
  out: fileURLToPath(new URL('../build/bench/failover', import.meta.url)),
});

function oneOf<T extends string>(name: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((word) => word === text);
  if (found === undefined) throw new Error(`--${name}=${text}: ${allowed.join(', ')}`);
  return found;
}

const chosen =
  given.scenario === 'all'
    ? scenarios
    : given.scenario.split(',').map((name) => {
        const names = scenarios.map((scenario) => scenario.name);
        const wanted = oneOf('scenario', name, names);
        return scenarios.find((scenario) => scenario.name === wanted) as Scenario;
      });
const runs = positive('runs', given.runs);
const common: Common = {
  store: oneOf<Store>('store', given.store, [
    ...(['redis', 'systemd', 'pair', 'container'] as const),
  ]),
  mover: oneOf<MoverName>('mover', given.mover, ['bench', 'keepalived']),
  advertMs: positive('advert', given.advert),
  redis: oneOf<RedisPlace>('redis', given.redis, ['shared', 'each', 'none']),
  stack: oneOf<Stack>('stack', given.stack, ['ipv4', 'dual']),
  replay: oneOf('replay', given.replay, ['yes', 'no']) === 'yes',
  portMode: oneOf<PortMode>('ports', given.ports, ['auto', 'bound', 'steered']),
  calls: positive('calls', given.calls),
  ptime: positive('ptime', given.ptime),
};
const daemons = prepare(given.daemon);

/** Why the scenario cannot be run with this daemon; null: it can. */
function hindrance(scenario: Scenario, daemon: DaemonName, common: Common): string | null {
  if (daemon === 'rtpengine' && common.store === 'systemd') return 'it cannot keep its sockets';
  if (daemon === 'rtpengine' && common.replay) return 'it has no replay';
  const settings: Settings = { ...common, daemon, folder: '' };
  if (common.redis === 'none' && daemon === 'rtprelayd' && !isPair(common.store))
    return 'without Redis only a pair keeps the calls; --store=pair';
  if (common.redis !== 'shared' && scenario.sharedRedis === true)
    return 'it is about a Redis that is not on the nodes; --redis=shared';
  if (common.stack === 'dual' && common.mover === 'keepalived')
    return 'keepalived moves the IPv4 address alone; --mover=bench';
  return scenario.unsupported?.(settings) ?? null;
}

async function measure(
  results: Results,
  scenario: Scenario,
  daemon: DaemonName,
  common: Common,
): Promise<void> {
  const why = hindrance(scenario, daemon, common);
  if (why !== null) {
    results.skip(scenario, daemon, why);
    return;
  }
  try {
    results.add(scenario, daemon, await runOnce(scenario, { ...common, daemon }));
  } catch (error) {
    // One that fails is a result too; the others are measured all the same.
    results.fail(scenario, daemon, error instanceof Error ? error.message : String(error));
  }
}

/** All runs of a scenario. */
async function measureAll(
  results: Results,
  scenario: Scenario,
  wanted: readonly DaemonName[],
  common: Common,
): Promise<void> {
  for (let run = 0; run < runs; run++) {
    // The order changes from run to run, so that neither always comes second.
    const order = run % 2 === 0 ? wanted : [...wanted].reverse();
    for (const daemon of order) {
      await measure(results, scenario, daemon, common);
      results.progress(scenario, daemon, run + 1);
    }
  }
}

async function makeReadmeTable(name: TableName): Promise<boolean> {
  const measured: Measured[] = [];
  let failed = false;
  for (const [at, row] of tables[name].entries()) {
    const settings = { ...common, ...row.settings };
    const scenario = scenarios.find(({ name }) => name === row.scenario) as Scenario;
    const results = new Results({ ...settings, runs, machine: machine() });
    const wanted = daemons.filter((name) => name === 'rtprelayd' || row.otherRow === undefined);
    console.log(row.title);
    await measureAll(results, scenario, wanted, settings);
    results.write(`${given.out}/readme/${name}-${at + 1}`);
    measured.push({ row, entries: results.entries });
    failed ||= results.failed;
  }
  const started = new Date().toISOString().slice(0, 10);
  const load = loadavg()[0]?.toFixed(1) ?? '';
  const conditions = `${machine()}, ${started}, load at the end ${load}, ${common.calls} calls, ${runs} runs`;
  const table = readmeTable(name, conditions, measured);
  console.log(table);
  putIntoReadme({ [name]: table });
  return failed;
}

mkdirSync(given.out, { recursive: true });
if (given.readme !== 'no') {
  const name = oneOf<TableName>('readme', given.readme, ['failover', 'failover-more']);
  process.exit((await makeReadmeTable(name)) ? 1 : 0);
}
const results = new Results({ ...common, runs, machine: machine() });
for (const scenario of chosen) {
  await measureAll(results, scenario, daemons, common);
  // After each scenario: what has been measured survives an interruption.
  results.write(given.out);
}
console.log(results.table());
console.log(`\nall values, plots and sound: ${given.out}`);
process.exit(results.failed ? 1 : 0);
