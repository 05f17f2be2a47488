/**
 * The same commands to Debian's rtpengine 10.5, to rtpengine 12.5 with `SIDE_BY_SIDE=12.5` (`trixie.ts`), and to rtprelayd:
 * what comes back must be the same, except for what `expected-differences.ts` and `expected-of-12.5.ts` list with its
 * reason.
 */
import { expect } from 'chai';
import {
  MediaDaemon,
  rtpengineInstalled,
  subjectKind,
  type DaemonKind,
} from '../../support/daemons.js';
import {
  expectedDifferences as expectedElsewhere,
  generalDifferences,
} from './expected-differences.js';
import { freeUdpRange } from '../../support/free-ports.js';
import { expectedRepairs } from './expected-repairs.js';
import { expectedOf125, generalOf125, notAskedOf125 } from './expected-of-12.5.js';
import type { Sequence } from './sequence.js';
import { familySequences, interfaceSequences, sequences } from './sequences/index.js';
import { compareWithEach, phonesFrom, type Side } from './stage.js';
import { rtpengine125Command } from '../../support/trixie.js';

/** Daemons with the same interfaces, and what they are asked. */
interface Setting {
  readonly name: string;
  readonly interfaces: readonly string[];
  /** Local addresses of which a daemon takes any. */
  readonly anyOf: readonly string[];
  /** Addresses that have port numbers of their own (`Masks`). */
  readonly pools?: Readonly<Record<string, string>>;
  readonly sequences: readonly Sequence[];
}

const settings: readonly Setting[] = [
  {
    name: 'on IPv4',
    interfaces: ['lo/127.0.0.1', 'ext/127.0.0.1!203.0.113.5'],
    anyOf: [],
    sequences,
  },
  {
    name: 'on both families, and on several interfaces in turn',
    interfaces: [
      ...['lo/127.0.0.1', 'dual/127.0.0.1', 'dual/::1'],
      ...['rr:a/127.0.0.2', 'rr:b/127.0.0.3', 'rr:c/127.0.0.4'],
    ],
    anyOf: ['127.0.0.2', '127.0.0.3', '127.0.0.4'],
    sequences: familySequences,
  },
  {
    name: 'on interfaces of one family before one of both',
    interfaces: [
      ...['four/127.0.0.1', 'six/::1!2001:db8::6'],
      ...['dual/127.0.0.2', 'dual/::1!2001:db8::d', 'last/127.0.0.3'],
    ],
    anyOf: [],
    pools: {
      ...{ '::1': 'IPv6/', '2001:db8::6': 'IPv6/', '2001:db8::d': 'IPv6/' },
      ...{ '127.0.0.2': 'second/', '127.0.0.3': 'third/' },
    },
    sequences: interfaceSequences,
  },
];

/** So long no packet comes where none is under way, whatever the machine does besides. */
const patientMs = 600;
/** Media ports of each of the two daemons. */
const mediaPorts = 900;
/** Ports of phones: none of them may be one that a daemon could have (it would look like a loop). */
const phonePorts = 200;

async function open(
  kind: DaemonKind,
  { interfaces, anyOf, pools = {} }: Setting,
  min: number,
): Promise<Side> {
  const portRange = { min, max: min + mediaPorts - 1 };
  const daemon = await MediaDaemon.start(kind, { interfaces, portRange });
  return { daemon, client: daemon.client(), anyOf, pools };
}

async function close(side: Side | undefined): Promise<void> {
  side?.client.close();
  await side?.daemon.stop();
}

const expectedDifferences = [...expectedElsewhere, ...expectedRepairs];
const all = settings.flatMap((setting) => setting.sequences);
let compared = 0;
const generalSeen = new Set<RegExp>();

function general(difference: string): boolean {
  if (subjectKind !== 'rtprelayd') return false;
  const bare = difference.replace(/^\d+ [^:]*: /, '');
  const matching = generalDifferences.filter(({ pattern }) => pattern.test(bare));
  for (const { pattern } of matching) generalSeen.add(pattern);
  return matching.length > 0;
}

interface Judged {
  readonly unexpected: readonly string[];
  readonly vanished: readonly string[];
}

/** As `judge`, beside 12.5: what is otherwise than in 10.5 may be as in 12.5. */
function judgeBeside125(sequence: Sequence, found: readonly string[]): Judged {
  const entries = expectedOf125.filter((entry) => entry.sequence === sequence.name);
  const patterns = entries.flatMap(({ patterns: each = [] }) => each);
  const { unexpected } = judge(sequence, found);
  return {
    unexpected: unexpected.filter(
      (difference) =>
        ![...patterns, ...generalOf125.map(({ pattern }) => pattern)].some((each) =>
          each.test(difference),
        ),
    ),
    vanished: patterns.filter((pattern) => !found.some((each) => pattern.test(each))).map(String),
  };
}

const isFine = ({ unexpected, vanished }: Judged): boolean =>
  unexpected.length + vanished.length === 0;

/** What is expected of a sequence and does not occur, and what occurs and is not expected. */
function judge(sequence: Sequence, found: readonly string[]): Judged {
  const entries = expectedDifferences.filter(
    (entry) => entry.sequence === sequence.name && subjectKind === 'rtprelayd',
  );
  const exact = entries.flatMap(({ differences = [] }) => differences);
  const patterns = entries.flatMap(({ patterns: each = [] }) => each);
  return {
    unexpected: found.filter(
      (difference) =>
        !exact.includes(difference) &&
        !patterns.some((pattern) => pattern.test(difference)) &&
        !general(difference),
    ),
    vanished: [
      ...exact.filter((difference) => !found.includes(difference)),
      ...patterns.filter((pattern) => !found.some((each) => pattern.test(each))).map(String),
    ],
  };
}

for (const setting of settings) {
  describe(`rtpengine and ${subjectKind} side by side ${setting.name}`, () => {
    let reference: Side | undefined;
    let later: Side | undefined;
    let subject: Side | undefined;

    before(async function () {
      if (!rtpengineInstalled) this.skip();
      const has125 =
        process.env['SIDE_BY_SIDE'] === '12.5' &&
        subjectKind === 'rtprelayd' &&
        rtpengine125Command() !== null;
      const daemons = has125 ? 3 : 2;
      const { min } = freeUdpRange(daemons * mediaPorts + phonePorts);
      reference = await open('rtpengine', setting, min);
      subject = await open(subjectKind, setting, min + mediaPorts);
      if (has125) later = await open('rtpengine-12.5', setting, min + 2 * mediaPorts);
      phonesFrom(min + daemons * mediaPorts, phonePorts);
    });
    after(async () => {
      await close(reference);
      await close(later);
      await close(subject);
    });

    for (const sequence of setting.sequences) {
      const differs = expectedDifferences.some((entry) => entry.sequence === sequence.name);
      it(`${sequence.name}${differs ? ' (with expected differences)' : ''}`, async () => {
        if (reference === undefined || subject === undefined) throw new Error('not started');
        const references = [reference];
        if (later !== undefined && !notAskedOf125.has(sequence.name)) references.push(later);
        const ours = subject;
        const judgedAll = async (quietMs?: number): Promise<readonly Judged[]> => {
          const [found = [], found125] = await compareWithEach(sequence, references, ours, quietMs);
          const beside = found125 === undefined ? [] : [judgeBeside125(sequence, found125)];
          return [judge(sequence, found), ...beside];
        };
        let judged = await judgedAll();
        // On a busy machine packets may come after they have been counted: a difference of the daemons' is there again.
        if (!judged.every(isFine)) judged = await judgedAll(patientMs);
        compared += 1;
        const fine = { unexpected: [], vanished: [] };
        expect(judged).to.deep.equal(judged.map(() => fine));
      });
    }
  });
}

describe('the differences that are expected', () => {
  it('have a sequence each', () => {
    const names = new Set(all.map(({ name }) => name));
    const listed = [...expectedDifferences, ...expectedOf125];
    const strangers = listed.filter((entry) => !names.has(entry.sequence));
    expect(strangers.map((entry) => entry.sequence)).to.deep.equal([]);
    expect(names.size, 'names are unique').to.equal(all.length);
  });

  it('still occur, those that are expected anywhere', function () {
    if (compared < all.length || subjectKind !== 'rtprelayd') this.skip();
    const vanished = generalDifferences.filter(({ pattern }) => !generalSeen.has(pattern));
    expect(vanished.map(({ pattern }) => pattern.source)).to.deep.equal([]);
  });
});
