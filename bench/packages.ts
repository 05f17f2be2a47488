/**
 * npm run bench:packages: from a fresh Debian to the first relayed call, with our package and with Debian's own rtpengine-daemon;
 * what they take on disk, and idle in memory. scripts/package-test makes the systems and the package. See bench/README.md.
 */
import { readFileSync } from 'node:fs';
import {
  DebianMachine,
  machineAddress,
  packageOf,
  secondsToServe,
} from '../test/support/debian-machine.js';
import { pause } from '../test/support/wait.js';
import { positive, readArguments } from './lib/arguments.js';
import { addSample, report, type Samples } from './lib/report.js';
import { machine as machineText } from './lib/rig.js';

const given = readArguments(process.argv.slice(2), { suite: 'bookworm', runs: '3', idle: '25' });
const runs = positive('runs', given.runs);
const idleSeconds = positive('idle', given.idle);
const samples: Samples = new Map();

interface Subject {
  readonly name: 'rtprelayd' | 'rtpengine';
  readonly apt: string;
  readonly unit: string;
  readonly package: string;
}
const subjects: readonly Subject[] = [
  {
    ...{ name: 'rtprelayd', apt: '/root/rtprelay-1.deb' },
    ...{ unit: 'rtprelay', package: 'rtprelay' },
  },
  {
    ...{ name: 'rtpengine', apt: 'rtpengine-daemon' },
    ...{ unit: 'rtpengine-daemon', package: 'rtpengine-daemon' },
  },
];

const environment = '--setenv=DEBIAN_FRONTEND=noninteractive';

/** KiB of memory that belong to the processes of a unit alone or in part (proc(5), smaps_rollup: Pss, Rss). */
function memoryOf(machine: DebianMachine, unit: string): { readonly pss: number; rss: number } {
  const text = machine.shell(
    `cat /proc/$(systemctl show -P MainPID ${unit})/smaps_rollup | grep -E '^(Pss|Rss):'`,
  );
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1]);
  return { pss: field('Pss'), rss: field('Rss') };
}

/** Files that came with the package and with what it needed, KiB. */
const diskOf = (machine: DebianMachine): number =>
  Number(
    machine.shell("dpkg-query -Wf '${Installed-Size}\\n' | awk '{ sum += $1 } END { print sum }'"),
  );

async function measure({ name, apt, unit, package: own }: Subject): Promise<void> {
  const machine = await DebianMachine.boot(given.suite, [packageOf(given.suite, 1)]);
  try {
    // systemd-run asks for it.
    machine.shell('systemctl start dbus');
    const disk = diskOf(machine);
    const cpuBefore = machine.cpuSeconds();
    const start = performance.now();
    const served = await secondsToServe(machine, 2223, () =>
      // By systemd, so that its CPU time is the machine's.
      machine.shell(
        `systemd-run --quiet --pipe --wait ${environment} apt-get -y -q --no-install-recommends install ${apt}`,
      ),
    );
    const load = await machine.talkDuring(1, () => undefined, 1);
    const [wall, cpu] = [(performance.now() - start) / 1000, machine.cpuSeconds() - cpuBefore];
    if (load.received === 0 || load.lost > 0) throw new Error(`${name}: the call was not relayed`);
    const add = (what: string, value: number): void => addSample(samples, what, name, value);
    add('apt install to the first answer, s', served);
    add('apt install to the end of a call of a second, s', wall);
    add('CPU time of the machine for it, s', cpu);
    await pause(idleSeconds * 1000);
    const { pss, rss } = memoryOf(machine, unit);
    add('memory of the idle daemon (Pss), MiB', pss / 1024);
    add('the same, Rss, MiB', rss / 1024);
    const size = machine.shell(`dpkg-query -Wf '\${Installed-Size}' ${own}`);
    add('installed size of the package, MiB', Number(size) / 1024);
    add('with all that came along, MiB', (diskOf(machine) - disk) / 1024);
  } finally {
    await machine.stop();
  }
}

for (let run = 0; run < runs; run += 1) {
  // Who comes first changes.
  const order = run % 2 === 0 ? subjects : [...subjects].reverse();
  for (const subject of order) await measure(subject);
}
console.log(
  `${given.suite}, address ${machineAddress}, load average ${readFileSync('/proc/loadavg', 'latin1').split(' ', 1).join('')}`,
);
report(`packages-${given.suite}`, machineText(), samples);
