/**
 * Odd bodies beside rtpengine 10.5: what that reads is read here, with the same sections, protocols, formats, endpoints
 * and directions. `ODD_BODIES=2000` tries so many. How it is written is no matter here (`liberal.ts`).
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
import { oddSequence } from './odd-lines.js';
import { compareSides, phonesFrom, type Side } from './stage.js';

const count = Number(process.env['ODD_BODIES'] ?? 300);

/** What shows that a body is read otherwise, and why. */
const reasons: readonly (readonly [shown: RegExp, reason: string])[] = [
  [
    /only rtprelayd: sdp\.media\[\d+\] "m=\w+ 0 /,
    'A section without answer (its m= line is gone, or stands behind an empty line) is refused (RFC 3264 §6).',
  ],
  [
    /only rtpengine: sdp\.media\[\d+\] "m=.* (\d+) \1[ "]/,
    '10.5 reads the empty word between two blanks as a payload type.',
  ],
  [
    /only rtpengine: sdp\.media\[\d+\] "m=(?:\s|\w+ <port \d+> +(?:\d|RTP\/AVP ?"))/,
    'Tabs and doubled blanks in m= separate words; 10.5 loses the protocol, the type or the formats.',
  ],
  [
    /streams\[1\]\.(?:advertised )?endpoint\.port: rtpengine \d001, rtprelayd \d007$/,
    'A port in a=rtcp counts where blanks are doubled or the address has zeros before its numbers.',
  ],
  [
    /medias\[\d\]\.flags: rtpengine \[.*transcoding\]/,
    'A codec of which the answer cannot be read is no other one: 10.5 begins to transcode.',
  ],
  [
    /medias\[\d\]\.flags: rtpengine \[initialized, (?:send|recv)\], rtprelayd \[initialized, recv, send\]/,
    'The direction of a section counts before that of the session, the first before a second (RFC 8866 §6.7).',
  ],
];

/** Where both refuse a body, 10.5 keeps a call without anything. */
const isLeftOver = (difference: string): boolean =>
  /query: rtpengine "ok", rtprelayd "error" "Unknown call-id"/.test(difference);

/** Seeds of the first 3000 that differ otherwise, and why. */
const listed: ReadonlyMap<number, string> = new Map([
  [233, 'A payload type of -0 is none.'],
  [2446, 'A section without a type is none.'],
]);

/** 10.5 has refused the body: whoever takes it does no harm. */
const isRefused = (difference: string): boolean =>
  /: (?:rtpengine "error"|error-reason: rtpengine)/.test(difference);

/** What was read, not how it is written. */
const isRead = (difference: string): boolean =>
  /^\d+ (?:query|\w+: rtpengine|\w+: only \w+: sdp\.media\[\d+\] "m=)/.test(difference);

describe(`odd bodies with rtpengine and ${subjectKind}`, function () {
  this.timeout(300_000);
  const mediaPorts = 300;
  const sides: Side[] = [];

  before(async function () {
    if (!rtpengineInstalled) this.skip();
    const { min } = freeUdpRange(2 * mediaPorts + 20);
    const open = async (kind: DaemonKind, first: number): Promise<void> => {
      const daemon = await MediaDaemon.start(kind, {
        interfaces: ['lo/127.0.0.1', 'ext/127.0.0.1!203.0.113.5'],
        portRange: { min: first, max: first + mediaPorts - 1 },
      });
      sides.push({ daemon, client: daemon.client() });
    };
    await open('rtpengine', min);
    await open(subjectKind, min + mediaPorts);
    phonesFrom(min + 2 * mediaPorts, 20);
  });
  after(async () => {
    for (const { client, daemon } of sides) {
      client.close();
      await daemon.stop();
    }
  });

  it(`are read the same, ${count} of them`, async () => {
    const [reference, subject] = sides;
    if (reference === undefined || subject === undefined) throw new Error('not started');
    const unexpected: string[] = [];
    const vanished: number[] = [];
    for (let seed = 1; seed <= count; seed += 1) {
      const sequence = oddSequence(seed);
      const all = await compareSides(sequence, reference, subject);
      const isTaken = !all.some((each) => /(?:offer|answer): rtpengine "ok"/.test(each));
      const explained = isTaken && all.some((each) => reasons.some(([shown]) => shown.test(each)));
      const found =
        explained || all.some(isRefused)
          ? []
          : all
              .filter((each) => isRead(each) && !isLeftOver(each))
              .filter((each) => {
                const bare = each.replace(/^\d+ [^:]*: /, '');
                return !generalDifferences.some(({ pattern }) => pattern.test(bare));
              });
      if (listed.has(seed)) {
        if (found.length === 0) vanished.push(seed);
      } else unexpected.push(...found.map((each) => `${sequence.name}: ${each}`));
    }
    expect(unexpected, unexpected.join('\n')).to.deep.equal([]);
    expect(vanished).to.deep.equal([]);
  });
});
