/**
 * What `query` tells of sources and of what was sent, beside rtpengine 12.5, which lists the sources by stream; the current
 * release, and with it this daemon, by media.
 */
import { expect } from 'chai';
import { isDictionary, isList, type NgDictionary, type NgValue } from '../../support/bencode.js';
import { MediaDaemon, type DaemonKind } from '../../support/daemons.js';
import { freeUdpRange } from '../../support/free-ports.js';
import { rtpengine125Command } from '../../support/trixie.js';
import { sequences } from './sequences/index.js';
import { compareSides, phonesFrom, type Side } from './stage.js';

const told = /SSRCs|stats_out|VSC|last (?:user|kernel) packet/;

/** The lists of a media's first stream, at the media. */
function byMedia(value: NgValue): NgValue {
  if (isList(value)) return value.map(byMedia);
  if (!isDictionary(value)) return value;
  const members = Object.entries(value).map(
    ([key, each]) => [key, byMedia(each as NgValue)] as const,
  );
  const media: Record<string, NgValue> = Object.fromEntries(members);
  const { streams } = media;
  if (!isList(streams ?? '')) return media;
  (streams as NgDictionary[]).forEach((stream, at) => {
    const bare = stream as Record<string, NgValue>;
    for (const name of ['ingress SSRCs', 'egress SSRCs']) {
      if (at === 0 && bare[name] !== undefined) media[name] = bare[name];
      delete bare[name];
    }
  });
  return media;
}

interface Listed {
  readonly reason: string;
  readonly pattern: RegExp;
  /** Without: in any. */
  readonly sequences?: readonly string[];
}

const listed: readonly Listed[] = [
  {
    reason: 'What --measure-rtp counts, as the current release does.',
    pattern: /^\d+ query: only rtprelayd: .* SSRCs\[\d\]\.(?:lost|duplicates|reordered|jitter) = /,
  },
  {
    reason:
      'What a media is sent is told by whom it hears now; 12.5 goes on listing, and sending, what it heard before.',
    pattern:
      /only rtpengine: .*egress SSRCs\[\d\]$|\.y\..*(?:egress SSRCs\[0\]|stats_out)\.(?:bytes|packets): /,
    sequences: ['published to two subscribers', 'parties of a call are heard'],
  },
  {
    reason: 'The last packet is the one that came from the source, also where it is not passed on.',
    pattern:
      /egress SSRCs\[0\]\.last RTP (?:seq|timestamp): rtpengine (?:5|800), rtprelayd (?:10|1600)$/,
    sequences: ['what is blocked is not heard by subscribers'],
  },
  {
    reason:
      'Of several sources, all that they have sent counts for each listener; 12.5 begins anew with a re-INVITE.',
    pattern:
      /ingress SSRCs\[1\]\.last RTP seq: rtpengine 0, rtprelayd 10$|\.y\..*egress SSRCs\[1\]\.(?:bytes: rtpengine 860, rtprelayd 1720|packets: rtpengine 5, rtprelayd 10)$/,
    sequences: ['a subscription goes on through a re-INVITE'],
  },
];

/** As the second look of the comparison with 10.5. */
const patientMs = 600;

describe('sources that query tells of', function () {
  this.timeout(120_000);
  const mediaPorts = 900;
  const seen = new Set<Listed>();
  let compared = 0;
  let reference: Side | undefined;
  let subject: Side | undefined;

  const open = async (kind: DaemonKind, min: number): Promise<Side> => {
    const daemon = await MediaDaemon.start(kind, {
      interfaces: ['lo/127.0.0.1', 'ext/127.0.0.1!203.0.113.5'],
      portRange: { min, max: min + mediaPorts - 1 },
      // 12.5 counts each source in any case.
      extra: kind === 'rtprelayd' ? ['--measure-rtp'] : [],
    });
    const placed = (reply: NgDictionary): NgDictionary => byMedia(reply) as NgDictionary;
    return { daemon, client: daemon.client(), ...(kind === 'rtpengine-12.5' ? { placed } : {}) };
  };

  before(async function () {
    if (rtpengine125Command() === null) this.skip();
    const { min } = freeUdpRange(2 * mediaPorts + 200);
    reference = await open('rtpengine-12.5', min);
    subject = await open('rtprelayd', min + mediaPorts);
    phonesFrom(min + 2 * mediaPorts, 200);
  });
  after(async () => {
    for (const side of [reference, subject]) {
      side?.client.close();
      await side?.daemon.stop();
    }
  });

  for (const sequence of sequences) {
    const kinds = sequence.steps.map(({ kind }) => kind);
    const asks = sequence.steps.some(({ name }) => name === 'query');
    if (!asks || !(kinds.includes('media') || kinds.includes('datagrams'))) continue;
    it(sequence.name, async () => {
      const ofIt = listed.filter(
        ({ sequences: names }) => names?.includes(sequence.name) !== false,
      );
      const unlisted = async (quietMs?: number): Promise<readonly string[]> => {
        if (reference === undefined || subject === undefined) throw new Error('not started');
        const found = await compareSides(sequence, reference, subject, quietMs);
        return found.filter((each) => {
          if (!told.test(each)) return false;
          const matching = ofIt.filter(({ pattern }) => pattern.test(each));
          for (const entry of matching) seen.add(entry);
          return matching.length === 0;
        });
      };
      compared += 1;
      if ((await unlisted()).length === 0) return;
      // On a busy machine packets may come after they have been counted.
      expect(await unlisted(patientMs)).to.deep.equal([]);
    });
  }

  it('differ in what is listed', () => {
    expect(compared).to.be.greaterThan(20);
    const vanished = listed.filter((entry) => !seen.has(entry));
    expect(vanished.map(({ reason }) => reason)).to.deep.equal([]);
  });
});
