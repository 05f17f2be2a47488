/**
 * Random dialogues, the same for the same seed, beside rtpengine 10.5: re-offers of both sides, holds, ports and addresses
 * that move, sections that come, go and are refused, rtcp-mux, mids, flags, blocks and deletes. `RANDOM_SEQUENCES=300` tries
 * so many. Where ports move *and* directions change 10.5 takes new ports and the current release keeps them: there rtpengine
 * 12.5 is asked, too, and what only 10.5 does counts as none.
 */
import { expect } from 'chai';
import {
  MediaDaemon,
  rtpengineInstalled,
  subjectKind,
  type DaemonKind,
} from '../../support/daemons.js';
import { rtpengine125Command } from '../../support/trixie.js';
import { freeUdpRange } from '../../support/free-ports.js';
import { generalDifferences, type GeneralDifference } from './expected-differences.js';
import { randomSequence } from './random-sequence.js';
import { compareSides, phonesFrom, type Side } from './stage.js';

const count = Number(process.env['RANDOM_SEQUENCES'] ?? 40);

/** Differences of any dialogue. */
const usual: readonly GeneralDifference[] = [
  ...generalDifferences,
  {
    reason:
      'A section that was left out comes back where it was; 10.5 and 12.5 write the address of the interface that `direction` has named since, with the ports of the former.',
    pattern: /^only rtp\w+: sdp\.media\[1\] "c=IN IP4 (?:203\.0\.113\.5|127\.0\.0\.1)"$/,
  },
  {
    reason:
      'RTCP that shares a port has none of its own; 10.5 and 12.5 go on showing that of another interface.',
    pattern: /streams\[1\]\.local port: rtpengine <port \d+>(?:\+1)?, rtprelayd 0$/,
  },
];

const demux =
  '`demux` promises the offerer its one port, whatever is answered; for who multiplexes already 10.5 and 12.5 forget it.';
const pairs =
  'After one port for both 10.5 and 12.5 open another pair with every body, until there are none left; here the first one stays.';
const agreed =
  'Who multiplexes by what was agreed on goes on to, whatever an offer of its own says that was not answered: it may be refused.';
const later = 'Of which ports are taken again 12.5 does as this daemon.';

const seeds = (list: readonly number[], reason: string): [number, string][] =>
  list.map((seed) => [seed, reason]);

/** Seeds of the first 300 that differ, and why. */
const listed: ReadonlyMap<number, string> = new Map([
  ...seeds([22, 27, 28, 87, 89, 122], demux),
  ...seeds([50, 61, 124, 190, 272], pairs),
  ...seeds([55], agreed),
  ...seeds([31, 41, 72, 300], later),
]);

const threefold =
  'Where an interface is named by the answer, or one port is shared, 10.5 and 12.5 are not of one mind, either.';
/** Of those in which ports move and directions change. */
const listedWide: ReadonlyMap<number, string> = new Map([
  ...seeds([22, 27, 122, 271], demux),
  ...seeds([272], pairs),
  ...seeds([55], agreed),
  ...seeds([6, 108, 300], threefold),
]);

/** What is not said of every dialogue. */
const remarkable = (differences: readonly string[]): readonly string[] =>
  differences.filter((each) => {
    const bare = each.replace(/^\d+ [^:]*: /, '');
    return !usual.some(({ pattern }) => pattern.test(bare));
  });

describe(`random dialogues with rtpengine and ${subjectKind}`, function () {
  this.timeout(300_000);
  const mediaPorts = 500;
  const sides = new Map<DaemonKind, Side>();

  before(async function () {
    if (!rtpengineInstalled) this.skip();
    const kinds: DaemonKind[] = ['rtpengine', subjectKind];
    if (rtpengine125Command() !== null) kinds.push('rtpengine-12.5');
    const { min } = freeUdpRange(kinds.length * mediaPorts + 100);
    for (const [at, kind] of kinds.entries()) {
      const first = min + at * mediaPorts;
      const daemon = await MediaDaemon.start(kind, {
        interfaces: ['lo/127.0.0.1', 'ext/127.0.0.1!203.0.113.5'],
        portRange: { min: first, max: first + mediaPorts - 1 },
      });
      sides.set(kind, { daemon, client: daemon.client() });
    }
    phonesFrom(min + kinds.length * mediaPorts, 100);
  });
  after(async () => {
    for (const { client, daemon } of sides.values()) {
      client.close();
      await daemon.stop();
    }
  });

  async function compare(
    seed: number,
    wide: boolean,
    kind: DaemonKind,
  ): Promise<readonly string[]> {
    const [reference, subject] = [sides.get(kind), sides.get(subjectKind)];
    if (reference === undefined || subject === undefined) throw new Error('not started');
    const sequence = randomSequence(seed, wide);
    const found = remarkable(await compareSides(sequence, reference, subject));
    if (found.length === 0) return found;
    // Ports are taken at random: one that was let go may come back, and looks as if it had been kept.
    return remarkable(await compareSides(sequence, reference, subject));
  }

  async function compareAll(
    wide: boolean,
    expected: ReadonlyMap<number, string>,
    differencesOf: (seed: number) => Promise<readonly string[]>,
  ): Promise<void> {
    const unexpected: string[] = [];
    const vanished: number[] = [];
    for (let seed = 1; seed <= count; seed += 1) {
      const found = await differencesOf(seed);
      if (!expected.has(seed)) unexpected.push(...found.map((each) => `seed ${seed}: ${each}`));
      else if (found.length === 0) vanished.push(seed);
    }
    expect({ wide, unexpected, vanished }).to.deep.equal({ wide, unexpected: [], vanished: [] });
  }

  it(`say the same, ${count} of them`, () =>
    compareAll(false, listed, (seed) => compare(seed, false, 'rtpengine')));

  it(`say the same as one of two releases where ports move and directions change, ${count} of them`, async function () {
    if (!sides.has('rtpengine-12.5')) this.skip();
    await compareAll(true, listedWide, async (seed) => {
      const found = await compare(seed, true, 'rtpengine');
      if (found.length === 0) return found;
      const others = new Set(await compare(seed, true, 'rtpengine-12.5'));
      return found.filter((each) => others.has(each));
    });
  });
});
