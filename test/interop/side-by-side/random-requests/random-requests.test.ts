/**
 * Random requests, the same for the same seed, to rtpengine 10.5, rtpengine 12.5 (`scripts/trixie-root`) and rtprelayd at once:
 * what both of them do otherwise than we is a fault. `REQUESTS=300 SEED=1000 SUBJECT=codecs` tries so many of a subject from
 * that seed on, and prints each fault with the smallest plan that shows it; `LATER=1` prints what only 12.5 does otherwise, too,
 * and `SHRINK=0` leaves the plans as they are.
 */
import { expect } from 'chai';
import { freeUdpRange } from '../../../support/free-ports.js';
import {
  MediaDaemon,
  rtpengineInstalled,
  subjectKind,
  type DaemonKind,
} from '../../../support/daemons.js';
import { rtpengine125Command } from '../../../support/trixie.js';
import { phonesFrom, type Side } from '../stage.js';
import { isOfLater, randomPlan, subjects, type Subject } from './generate.js';
import { kindOf, run, type Daemons, type Found } from './judge.js';
import { shownPlan, type Plan } from './plan.js';
import { shrink } from './shrink.js';
import { isUsual } from './usual.js';

const asked = process.env['REQUESTS'];
const count = Number(asked ?? 12);
const firstSeed = Number(process.env['SEED'] ?? 1);
/** Without being asked: those of which nothing is left open. */
const settled = 'bodies,codecs,attributes,sections,places';
const chosen = (
  process.env['SUBJECT'] ?? (asked === undefined ? settled : subjects.join(','))
).split(',');
const showsLater = process.env['LATER'] === '1';
const shrinks = process.env['SHRINK'] !== '0';
const mediaPorts = 160;

async function open(kind: DaemonKind, min: number): Promise<Side> {
  const daemon = await MediaDaemon.start(kind, {
    interfaces: ['lo/127.0.0.1', 'ext/127.0.0.1!203.0.113.5'],
    portRange: { min, max: min + mediaPorts - 1 },
  });
  return { daemon, client: daemon.client() };
}

describe(`random requests to rtpengine and ${subjectKind}`, function () {
  this.timeout(0);
  let daemons: Daemons | null = null;

  before(async function () {
    const has125 = rtpengine125Command() !== null;
    if (!rtpengineInstalled || (!has125 && asked === undefined)) this.skip();
    const { min } = freeUdpRange(3 * mediaPorts + 100);
    daemons = {
      earlier: await open('rtpengine', min),
      subject: await open(subjectKind, min + mediaPorts),
      later: has125 ? await open('rtpengine-12.5', min + 2 * mediaPorts) : null,
    };
    phonesFrom(min + 3 * mediaPorts, 100);
  });
  after(async () => {
    if (daemons === null) return;
    for (const side of [daemons.earlier, daemons.later, daemons.subject]) {
      side?.client.close();
      await side?.daemon.stop();
    }
  });

  const faults = async (subject: Subject, plan: Plan): Promise<readonly Found[]> => {
    if (daemons === null) throw new Error('not started');
    const earlier = isOfLater(subject) ? null : daemons.earlier;
    const found = await run(plan, { ...daemons, earlier }, isUsual);
    return found.filter(({ both }) => both || showsLater);
  };

  /** The kinds of faults of a subject, each with its smallest plan. */
  async function search(subject: Subject): Promise<readonly string[]> {
    const known = new Set<string>();
    const reports: string[] = [];
    for (let seed = firstSeed; seed < firstSeed + count; seed += 1) {
      const plan = randomPlan(subject, seed);
      for (const { text, both } of await faults(subject, plan)) {
        const kind = kindOf(text);
        if (known.has(kind)) continue;
        known.add(kind);
        const fails = async (less: Plan): Promise<boolean> =>
          (await faults(subject, less)).some(
            (each) => each.both === both && kindOf(each.text) === kind,
          );
        // Ports are taken at random: one that was let go may come back, and looks as if it had been kept.
        if (!(await fails(plan)) || !(await fails(plan))) continue;
        const smallest = shrinks ? await shrink(plan, fails) : plan;
        const shown = await faults(subject, smallest);
        for (const each of shown) known.add(kindOf(each.text));
        const lines = shown.map((each) => `      ${each.both ? 'both' : '12.5'} ${each.text}`);
        const report = `${subject} ${seed}: ${kind}\n${shownPlan(smallest)}\n${lines.join('\n')}`;
        reports.push(report);
        if (asked !== undefined) console.log(report);
      }
    }
    return reports;
  }

  for (const subject of subjects) {
    if (!chosen.includes(subject)) continue;
    it(`say the same of ${subject}, ${count} of them`, async () => {
      if (isOfLater(subject) && daemons?.later === null) return;
      expect(await search(subject)).to.deep.equal([]);
    });
  }
});
