/**
 * Everything that is measured of a single node, in one run: relaying, commands, memory, growth, restart and failover;
 * rtprelayd with both port modes, another build of it (`--against=DIR`) and Debian's rtpengine in turn. Table, JSON,
 * SVG plots, and with `--readme=yes` the tables of the README. See bench/README.md.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { controlPart } from './all/control.js';
import { growthPart } from './all/growth.js';
import { memoryPart } from './all/memory.js';
import { relayPart } from './all/relay.js';
import { positive, readArguments } from './lib/arguments.js';
import { putIntoReadme } from './lib/readme.js';
import { markdown, report } from './lib/report.js';
import { compareWith, machine, prepare, withPortModes, type MeasuredName } from './lib/rig.js';
import { Study } from './lib/study.js';
import { curveSvg } from './lib/svg.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const results = `${root}build/bench/`;
const partNames = ['relay', 'control', 'memory', 'growth', 'failover'] as const;
type PartName = (typeof partNames)[number];

/** What is measured on a quiet machine, in some hours. */
const whole = {
  ...{ runs: '5', seconds: '8', calls: '50,200,500' },
  ...{ ramp: '40000,60000,80000,100000,120000,150000', overload: '15', concurrency: '1,8,32' },
  ...{ held: '4000', cycles: '25000', standing: '100,10000,20000' },
  scenarios: 'kill-restart,upgrade,power-off,switchover',
};
/** Whether it runs to its end, in some minutes: its figures say little. */
const quick: typeof whole = {
  ...{ runs: '1', seconds: '4', calls: '20', ramp: '10000', overload: '7', concurrency: '1' },
  ...{ held: '500', cycles: '1000', standing: '50,500,1000', scenarios: 'kill-restart' },
};
const words = process.argv.slice(2);
const isQuick = words.includes('--quick=yes');
const given = readArguments(words, {
  ...{ daemon: 'both', against: 'none', parts: partNames.join(','), quick: 'no', readme: 'no' },
  ...(isQuick ? quick : whole),
});
const list = (name: string, text: string): number[] =>
  text === 'none' ? [] : text.split(',').map((each) => positive(name, each));
const runs = positive('runs', given.runs);
const seconds = positive('seconds', given.seconds);
const [few = 100, many = 10_000, most = 20_000] = list('standing', given.standing);
const wanted = given.parts.split(',');
for (const part of wanted)
  if (!partNames.some((name) => name === part)) throw new Error(`--parts: ${partNames.join(', ')}`);

function subjects(): readonly MeasuredName[] {
  const chosen = withPortModes(prepare(given.daemon));
  if (given.against === 'none') return chosen;
  compareWith(given.against);
  return [
    ...chosen.filter((name) => name !== 'rtpengine'),
    'before',
    ...chosen.filter((name) => name === 'rtpengine'),
  ];
}

const measured = subjects();
const started = new Date().toISOString().slice(0, 16);

const parts: Readonly<Record<Exclude<PartName, 'failover'>, (study: Study) => Promise<void>>> = {
  relay: (study) =>
    relayPart(study, {
      calls: list('calls', given.calls),
      seconds,
      ramp: list('ramp', given.ramp),
      overloadSeconds: given.overload === '0' ? 0 : positive('overload', given.overload),
    }),
  control: (study) =>
    controlPart(study, {
      concurrencies: list('concurrency', given.concurrency),
      seconds,
      warmup: 2,
    }),
  memory: (study) =>
    memoryPart(study, {
      calls: positive('held', given.held),
      cycles: given.cycles === '0' ? 0 : positive('cycles', given.cycles),
    }),
  growth: (study) => growthPart(study, { few, many, most }),
};

/** A run that fails is in its table; the other parts are written all the same. */
function failoverPart(): void {
  const args = ['tsx', 'bench/failover.ts', `--runs=${runs}`, `--daemon=${given.daemon}`];
  const options = { cwd: root, stdio: 'inherit' } as const;
  try {
    execFileSync('npx', [...args, `--scenario=${given.scenarios}`], options);
  } catch {
    console.error('failover: not every run succeeded');
    process.exitCode = 1;
  }
}

const svgFiles: string[] = [];
const tables: Record<string, string> = {};

for (const name of wanted) {
  if (name === 'failover') {
    failoverPart();
    continue;
  }
  const part = Object.entries(parts).find(([each]) => each === name)?.[1];
  if (part === undefined) continue;
  const study = new Study(measured, runs);
  const load = loadavg()[0] ?? 0;
  await part(study);
  const ours = measured.filter((subject) => subject !== 'rtpengine');
  const conditions = `${machine()}, ${started}, load at the start ${load.toFixed(1)}, medians (ranges) of ${runs} runs`;
  report(name, conditions, study.samples, ours);
  tables[name] = markdown(conditions, study.samples, ours);
  mkdirSync(results, { recursive: true });
  for (const [file, curve] of study.curves) {
    writeFileSync(`${results}${file}.svg`, curveSvg(curve));
    svgFiles.push(`${file}.svg`);
  }
}

const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
writeFileSync(
  `${results}bench.html`,
  `<!doctype html><html lang="en"><meta charset="utf-8"><title>rtprelayd: what it costs</title>
${Object.entries(tables)
  .map(([name, table]) => `<h2>${name}</h2><pre>${escape(table)}</pre>`)
  .join('\n')}
${svgFiles.map((file) => `<p><img src="${file}" alt="${file}"></p>`).join('\n')}
</html>\n`,
);
console.log(
  `\nbuild/bench/bench.html, ${svgFiles.map((file) => `build/bench/${file}`).join(', ')}`,
);

if (given.readme === 'yes') putIntoReadme(tables);
