/**
 * What offer, answer and delete cost this tree and another one that is built, e.g. the last release: daemons of both run
 * side by side, warm, and short bursts of load alternate between them. Processor time of the control thread per triple;
 * medians, and the median of the ratios of bursts that came one after the other. See bench/README.md.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { positive, readArguments } from '../lib/arguments.js';
import { median } from '../lib/report.js';
import { machine } from '../lib/rig.js';
import { BuiltDaemon, startRedis } from './built-daemon.js';

const here = fileURLToPath(new URL('../../', import.meta.url));
const given = readArguments(process.argv.slice(2), {
  ...{ against: here, concurrency: '1,32', redis: 'both', options: '' },
  ...{ processes: '2', warmup: '4000', burst: '200', rounds: '30' },
});
const concurrencies = given.concurrency.split(',').map((text) => positive('concurrency', text));
const processes = positive('processes', given.processes);
const rounds = positive('rounds', given.rounds);
const stores = given.redis === 'both' ? [false, true] : [given.redis === 'yes'];

interface Burst {
  readonly ms: number;
  readonly rate: number;
  readonly p99: number;
}

function load(daemon: BuiltDaemon, triples: number, concurrency: number): Burst {
  const before = daemon.controlMs();
  const words = ['control', '--seconds', '60', '--triples', String(triples)];
  words.push('--concurrency', String(concurrency), '--ng', `127.0.0.1:${daemon.port}`);
  const output = execFileSync(`${here}build/bench/loadgen`, words, { encoding: 'utf8' });
  const told = JSON.parse(output) as {
    readonly triples: number;
    readonly errors: number;
    readonly triplesPerSecond: number;
    readonly offerMicros: { readonly p99: number };
  };
  if (told.errors > 0 || told.triples === 0) throw new Error(`refused: ${output}`);
  const ms = (daemon.controlMs() - before) / told.triples;
  return { ms, rate: told.triplesPerSecond, p99: told.offerMicros.p99 / 1000 };
}

const short = (value: number): string => value.toPrecision(3);

async function compare(redis: boolean, concurrency: number): Promise<void> {
  const server = redis ? await startRedis() : null;
  const daemons: BuiltDaemon[] = [];
  const bursts: Burst[][] = [];
  try {
    for (let number = 0; number < 2 * processes; number += 1) {
      const more = given.options === '' ? [] : given.options.split(' ');
      if (server !== null) more.push(`--redis=${server.server}/${number}`);
      daemons.push(await BuiltDaemon.start(number % 2 === 0 ? here : given.against, 512, more));
      bursts.push([]);
    }
    for (const daemon of daemons) load(daemon, positive('warmup', given.warmup), concurrency);
    for (let round = 0; round < rounds; round += 1) {
      const order = [...daemons.keys()];
      for (const at of round % 2 === 0 ? order : order.reverse()) {
        const daemon = daemons[at];
        if (daemon !== undefined)
          bursts[at]?.push(load(daemon, positive('burst', given.burst), concurrency));
      }
    }
  } finally {
    await Promise.all(daemons.map((daemon) => daemon.stop()));
    await server?.stop();
  }
  const of = (which: number): readonly Burst[] => bursts.filter((_, at) => at % 2 === which).flat();
  const [ours, theirs] = [of(0), of(1)];
  const ratios = ours.map(({ ms }, at) => ms / (theirs[at]?.ms ?? Number.NaN));
  const text = (list: readonly Burst[]): string =>
    `${short(median(list.map(({ ms }) => ms)))} ms (least ${short(Math.min(...list.map(({ ms }) => ms)))}), ` +
    `${Math.round(median(list.map(({ rate }) => rate)))}/s, p99 ${short(median(list.map(({ p99 }) => p99)))} ms`;
  console.log(`${redis ? 'with' : 'without'} Redis, ${concurrency} in flight`);
  console.log(`  this tree   ${text(ours)}`);
  console.log(`  the other   ${text(theirs)}`);
  console.log(`  ratio of control CPU ${short(median(ratios))}`);
}

console.log(machine());
for (const redis of stores)
  for (const concurrency of concurrencies) await compare(redis, concurrency);
