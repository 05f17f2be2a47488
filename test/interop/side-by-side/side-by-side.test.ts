/**
 * The same commands to Debian's rtpengine 10.5 and to rtprelayd: what comes back must be the same,
 * except for what `expected-differences.ts` lists with its reason.
 */
import { expect } from 'chai';
import { MediaDaemon, rtpengineInstalled, subjectKind } from '../../support/daemons.js';
import { expectedDifferences, generalDifferences } from './expected-differences.js';
import { sequences } from './sequences/index.js';
import { compareSides, type Side } from './stage.js';

const interfaces = ['lo/127.0.0.1', 'ext/127.0.0.1!203.0.113.5'];

async function open(kind: 'rtpengine' | 'rtprelayd'): Promise<Side> {
  const daemon = await MediaDaemon.start(kind, { interfaces, mediaPorts: 600 });
  return { daemon, client: daemon.client() };
}

async function close(side: Side | undefined): Promise<void> {
  side?.client.close();
  await side?.daemon.stop();
}

describe(`rtpengine and ${subjectKind} side by side`, () => {
  let reference: Side | undefined;
  let subject: Side | undefined;
  let compared = 0;
  const generalSeen = new Set<RegExp>();

  function general(difference: string): boolean {
    if (subjectKind !== 'rtprelayd') return false;
    const bare = difference.replace(/^\d+ [^:]*: /, '');
    const matching = generalDifferences.filter(({ pattern }) => pattern.test(bare));
    for (const { pattern } of matching) generalSeen.add(pattern);
    return matching.length > 0;
  }

  before(async function () {
    if (!rtpengineInstalled) this.skip();
    reference = await open('rtpengine');
    subject = await open(subjectKind);
  });
  after(async () => {
    await close(reference);
    await close(subject);
  });

  it('has a sequence for every entry of the expected differences', () => {
    const names = new Set(sequences.map(({ name }) => name));
    const strangers = expectedDifferences.filter((entry) => !names.has(entry.sequence));
    expect(strangers.map((entry) => entry.sequence)).to.deep.equal([]);
    expect(names.size, 'names are unique').to.equal(sequences.length);
  });

  for (const sequence of sequences) {
    const expected = expectedDifferences
      .filter((entry) => entry.sequence === sequence.name && subjectKind === 'rtprelayd')
      .flatMap((entry) => entry.differences);
    const suffix = expected.length > 0 ? ' (with expected differences)' : '';
    it(`${sequence.name}${suffix}`, async () => {
      if (reference === undefined || subject === undefined) throw new Error('not started');
      const found = await compareSides(sequence, reference, subject);
      compared += 1;
      const unexpected = found.filter(
        (difference) => !expected.includes(difference) && !general(difference),
      );
      const vanished = expected.filter((difference) => !found.includes(difference));
      expect({ unexpected, vanished }).to.deep.equal({ unexpected: [], vanished: [] });
    });
  }

  it('still meets every difference that is expected anywhere', function () {
    if (compared < sequences.length || subjectKind !== 'rtprelayd') this.skip();
    const vanished = generalDifferences.filter(({ pattern }) => !generalSeen.has(pattern));
    expect(vanished.map(({ pattern }) => pattern.source)).to.deep.equal([]);
  });
});
