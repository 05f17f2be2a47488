/**
 * What relaying costs: CPU per packet, loss and latency, the highest rate without loss and what happens beyond it, memory
 * and descriptors per call; rtprelayd with both port modes and rtpengine in turn. See bench/README.md.
 */
import { memoryPart } from './all/memory.js';
import { relayPart } from './all/relay.js';
import { positive, readArguments } from './lib/arguments.js';
import { report } from './lib/report.js';
import { machine, prepare, withPortModes } from './lib/rig.js';
import { Study } from './lib/study.js';

const given = readArguments(process.argv.slice(2), {
  daemon: 'both',
  runs: '3',
  calls: '200',
  seconds: '8',
  ramp: 'none',
  overload: '0',
  held: '0',
});
const daemons = withPortModes(prepare(given.daemon));
const study = new Study(daemons, positive('runs', given.runs));
const list = (name: 'calls' | 'ramp'): number[] =>
  given[name] === 'none' ? [] : given[name].split(',').map((each) => positive(name, each));
await relayPart(study, {
  calls: list('calls'),
  seconds: positive('seconds', given.seconds),
  ramp: list('ramp'),
  overloadSeconds: given.overload === '0' ? 0 : positive('overload', given.overload),
});
if (given.held !== '0') await memoryPart(study, { calls: positive('held', given.held), cycles: 0 });
report(
  'relay',
  machine(),
  study.samples,
  daemons.filter((name) => name !== 'rtpengine'),
);
