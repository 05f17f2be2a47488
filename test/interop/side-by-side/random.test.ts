/**
 * Random dialogues, the same for the same seed, beside rtpengine 10.5: re-offers of both sides, holds, ports and addresses
 * that move, sections that come and go, flags, blocks and deletes. `RANDOM_SEQUENCES=300` tries so many.
 *
 * What the generator leaves out, since 300 seeds with it showed these differences and nothing else:
 * - A body of one direction or inactive from another port or address: 10.5 takes new ports, 12.5 keeps them as we do.
 * - `a=mid` is told to each side as that side was told it before; 10.5 and 12.5 pass on what the sender writes.
 * - An answer has the protocol of its offer (RFC 3264 §6), whatever `transport-protocol` says; 10.5 and 12.5 write that.
 * - A refused section: 10.5 has no port for the side that has not refused it, 12.5 does not write the body at all.
 * - rtcp-mux with a section that is new in a re-offer: 10.5 and 12.5 write it there, too, where another section has it.
 */
import { expect } from 'chai';
import {
  MediaDaemon,
  rtpengineInstalled,
  subjectKind,
  type DaemonKind,
} from '../../support/daemons.js';
import { freeUdpRange } from '../../support/free-ports.js';
import { generalDifferences } from './expected-differences.js';
import { randomSequence } from './random-sequence.js';
import { compareSides, phonesFrom, type Side } from './stage.js';

const count = Number(process.env['RANDOM_SEQUENCES'] ?? 40);

/** Seeds of the first 300 that differ, and why. */
const listed: ReadonlyMap<number, string> = new Map([
  ...[117, 209, 285, 300].map((seed): [number, string] => [
    seed,
    'A section that comes back stays at its interface; 10.5 and 12.5 take the one that `direction` has named since.',
  ]),
  ...[68, 81].map((seed): [number, string] => [
    seed,
    'A section without answer is refused (RFC 3264 §6), its ports are let go; with 10.5 they stay.',
  ]),
  [
    261,
    'After an answer with port-latching 10.5 takes new ports for a re-offer from elsewhere; 12.5 keeps them.',
  ],
  [
    291,
    'Who offers before he has answered is somebody else than the one without a tag; with 10.5 and 12.5 he is that.',
  ],
]);

describe(`random dialogues with rtpengine and ${subjectKind}`, function () {
  this.timeout(300_000);
  const mediaPorts = 900;
  const sides: Side[] = [];

  before(async function () {
    if (!rtpengineInstalled) this.skip();
    const { min } = freeUdpRange(2 * mediaPorts + 100);
    const open = async (kind: DaemonKind, first: number): Promise<void> => {
      const daemon = await MediaDaemon.start(kind, {
        interfaces: ['lo/127.0.0.1', 'ext/127.0.0.1!203.0.113.5'],
        portRange: { min: first, max: first + mediaPorts - 1 },
      });
      sides.push({ daemon, client: daemon.client() });
    };
    await open('rtpengine', min);
    await open(subjectKind, min + mediaPorts);
    phonesFrom(min + 2 * mediaPorts, 100);
  });
  after(async () => {
    for (const { client, daemon } of sides) {
      client.close();
      await daemon.stop();
    }
  });

  it(`say the same, ${count} of them`, async () => {
    const [reference, subject] = sides;
    if (reference === undefined || subject === undefined) throw new Error('not started');
    const unexpected: string[] = [];
    const vanished: number[] = [];
    for (let seed = 1; seed <= count; seed += 1) {
      const sequence = randomSequence(seed);
      const differences = async (): Promise<readonly string[]> =>
        (await compareSides(sequence, reference, subject)).filter((each) => {
          const bare = each.replace(/^\d+ [^:]*: /, '');
          return !generalDifferences.some(({ pattern }) => pattern.test(bare));
        });
      let found = await differences();
      // Ports are taken at random: one that was let go may come back, and looks as if it had been kept.
      if (found.length > 0) found = await differences();
      if (listed.has(seed)) {
        if (found.length === 0) vanished.push(seed);
      } else unexpected.push(...found.map((each) => `${sequence.name}: ${each}`));
    }
    expect({ unexpected, vanished }).to.deep.equal({ unexpected: [], vanished: [] });
  });
});
