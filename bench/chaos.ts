/** `npm run bench:chaos -- --seed=1 --seconds=120 --calls=100`: see bench/README.md. */
import { chaos } from './chaos/chaos.js';
import { positive, readArguments } from './lib/arguments.js';
import { prepare } from './lib/rig.js';

const given = readArguments(process.argv.slice(2), {
  ...{ seed: '1', runs: '1', seconds: '120', calls: '100', ptime: '20', rate: '10' },
  ...{ nodes: '2', pause: '6000', bound: '6000' },
});
prepare('rtprelayd');
let failed = false;
const first = positive('seed', given.seed);
for (let seed = first; seed < first + positive('runs', given.runs); seed += 1) {
  const report = await chaos({
    seed,
    seconds: positive('seconds', given.seconds),
    calls: positive('calls', given.calls),
    ptime: positive('ptime', given.ptime),
    rate: positive('rate', given.rate),
    nodes: given.nodes === '1' ? 1 : 2,
    pauseMs: positive('pause', given.pause),
    boundMs: positive('bound', given.bound),
    say: (line) => console.log(`  ${line}`),
  });
  const { problems, sent, lost, duplicates, longestGapMs, slowness, memoryMb } = report;
  const [before, after] = memoryMb.map((each) => each.toFixed(0));
  console.log(
    `seed ${seed}: lost ${lost} of ${sent}, twice ${duplicates}, longest gap ${longestGapMs.toFixed(0)} ms, ` +
      `at worst ${slowness.toFixed(1)} times slower, memory ${before ?? ''} to ${after ?? ''} MB, ${problems.length} problems`,
  );
  for (const problem of problems) console.log(`  ${problem}`);
  failed ||= problems.length > 0;
}
process.exit(failed ? 1 : 0);
