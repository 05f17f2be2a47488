/**
 * What is in Redis of a call, field by field: the same commands to rtpengine 10.5 and 12.5 and to this daemon, each with a
 * server of its own and in the layout of that rtpengine. Ports, moments and keys are compared by their names.
 */
import { expect } from 'chai';
import type { NgDictionary } from '../support/bencode.js';
import { MediaDaemon, rtpengineInstalled, type DaemonKind } from '../support/daemons.js';
import { freeUdpRange } from '../support/free-ports.js';
import { audioSdp, mediaPort, type NgClient } from '../support/ng-client.js';
import { RedisProcess } from '../support/redis-server.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { audio, buildSdp } from '../support/sdp.js';
import { makeDialogues, storedDialogues, type Step } from '../support/stored-dialogues.js';
import { rtpengine125Command } from '../support/trixie.js';
import { until } from '../support/wait.js';

/** Path → text. */
type Row = ReadonlyMap<string, string>;

/** Of each daemon. A phone on a port that a daemon could have would look like a loop. */
const mediaPorts = 400;
const key = 'MDEyMzQ1Njc4OUFCQ0RFRjAxMjM0NTY3ODlBQkNE';

function dialogues(port: number): ReadonlyMap<string, readonly Step[]> {
  const at = (offset: number): number => port + 60 + offset;
  const sdp = (offset: number, ...lines: readonly string[]): string =>
    buildSdp({ origin: '127.0.0.1', address: '127.0.0.1', media: [audio(at(offset), lines)] });
  const secure = sdp(0, `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${key}`).replace(
    'RTP/AVP',
    'RTP/SAVP',
  );
  const offer = (id: string, body: string, keys: NgDictionary = {}): Step => ({
    ...{ command: 'offer', 'call-id': id, 'from-tag': `${id}-a`, sdp: body },
    ...keys,
  });
  const answer = (id: string, body: string): Step => ({
    ...offer(id, body),
    command: 'answer',
    'to-tag': `${id}-b`,
  });
  return new Map([
    ...storedDialogues(port),
    [
      'secure',
      [offer('secure', secure, { 'transport-protocol': 'RTP/AVP' }), answer('secure', sdp(2))],
    ],
    [
      'heard',
      [
        offer('heard', sdp(4)),
        answer('heard', sdp(6)),
        { command: 'subscribe request', 'call-id': 'heard', 'from-tag': 'heard-a', 'to-tag': 's' },
        { command: 'subscribe answer', 'call-id': 'heard', 'to-tag': 's', sdp: sdp(8) },
      ],
    ],
    [
      'published',
      [
        { command: 'publish', 'call-id': 'published', 'from-tag': 'p', sdp: sdp(10, 'a=sendonly') },
        { command: 'subscribe request', 'call-id': 'published', 'from-tag': 'p', 'to-tag': 's' },
        {
          ...{ command: 'subscribe answer', 'call-id': 'published', 'to-tag': 's' },
          sdp: sdp(12, 'a=recvonly'),
        },
      ],
    ],
    [
      'named',
      [
        offer('named', sdp(14), { label: 'ann', metadata: 'met"a', TOS: 184, 'via-branch': 'b' }),
        answer('named', sdp(16)),
      ],
    ],
  ]);
}

/** Names of what differs from run to run. */
class Names {
  readonly #ports = new Map<number, string>();

  constructor(
    private readonly daemon: MediaDaemon,
    private readonly phones: readonly number[] = [],
  ) {}

  of(name: string, text: string): string {
    if (/^(?:created|last_signal|last_packet|deleted|destroyed|ml_deleted)$/.test(name))
      return text === '0' ? '0' : `time of ${text.length} digits`;
    if (name === 'fd') return text === '-1' ? '-1' : 'open';
    if (name === 'localport') return this.#port(Number(text));
    if (/endpoint$/.test(name)) return text.replace(/\d+$/, (port) => this.#phone(Number(port)));
    if (name === 'created_from') return text.replace(/:\d+$/, ':PORT');
    if (/master_(?:key|salt)$/.test(name) && !text.startsWith('0123456789'))
      return `${decodeURIComponent(text.replace(/%../g, 'x')).length} bytes`;
    return text;
  }

  #phone(port: number): string {
    const at = this.phones.indexOf(port - (port % 2));
    return at < 0 ? String(port) : `phone ${at + 1}${port % 2 === 0 ? '' : '+1'}`;
  }

  #port(port: number): string {
    if (!this.daemon.ownsPort(port)) return String(port);
    const even = port - (port % 2);
    const known = this.#ports.get(even) ?? `port ${this.#ports.size + 1}`;
    this.#ports.set(even, known);
    return port === even ? known : `${known}+1`;
  }
}

/** Lists that are sets. */
const unordered = /^(?:branches|associated_tags|other_tags)-/;

function flattened(value: string, names: Names): Row {
  const row = new Map<string, string>();
  const add = (path: string, name: string, part: unknown): void => {
    if (Array.isArray(part)) {
      if (part.length === 0) row.set(path, '[]');
      const parts = unordered.test(path) ? part.toSorted() : part;
      parts.forEach((each, at) => add(`${path}[${at}]`, name, each));
    } else if (typeof part === 'object' && part !== null) {
      for (const [member, each] of Object.entries(part)) {
        add(path === '' ? member : `${path}.${member}`, member, each);
      }
    } else row.set(path, names.of(name, String(part)));
  };
  add('', '', JSON.parse(value));
  return row;
}

/** A call with media, stored after it: the re-offer writes what was counted. */
async function talk(
  client: NgClient,
  [caller, callee]: readonly [RtpEndpoint, RtpEndpoint],
): Promise<void> {
  const ids = { 'call-id': 'talked', 'from-tag': 'a' };
  const offer = { command: 'offer', ...ids, sdp: audioSdp(caller.port) };
  const toCallee = mediaPort(await client.request(offer));
  const answer = { command: 'answer', ...ids, 'to-tag': 'b', sdp: audioSdp(callee.port) };
  const toCaller = mediaPort(await client.request(answer));
  await caller.sendRtp({ address: '127.0.0.1', port: toCaller }, 5, { payloadType: 8 });
  await callee.sendRtp({ address: '127.0.0.1', port: toCallee }, 7, { payloadType: 8 });
  await until(() => caller.received === 7 && callee.received === 5, 'the packets');
  await client.request({ ...offer, 'to-tag': 'b' });
  await client.request(answer);
}

async function stored(
  kind: DaemonKind,
  format: string,
  portBase: number,
  min: number,
): Promise<ReadonlyMap<string, Row>> {
  const redis = await RedisProcess.start();
  const connection = redis.connect();
  const calls = dialogues(portBase);
  const daemon = await MediaDaemon.start(kind, {
    portRange: { min, max: min + mediaPorts - 1 },
    extra: [
      `--redis=${redis.url()}`,
      ...(kind === 'rtprelayd' ? [`--redis-format=${format}`] : []),
    ],
  });
  const client = daemon.client();
  const phones = [await RtpEndpoint.open(0x11111111), await RtpEndpoint.open(0x22222222)] as const;
  try {
    await makeDialogues(client, calls);
    await talk(client, phones);
    await until(async () => (await connection.dbsize()) === calls.size + 1, `the calls of ${kind}`);
    const rows = new Map<string, Row>();
    for (const callId of [...calls.keys(), 'talked']) {
      const names = new Names(
        daemon,
        phones.map(({ port }) => port),
      );
      rows.set(callId, flattened((await connection.get(callId)) ?? '{}', names));
    }
    return rows;
  } finally {
    client.close();
    for (const phone of phones) phone.close();
    await daemon.stop();
    connection.disconnect();
    await redis.stop('SIGKILL');
  }
}

function differences(theirs: Row, ours: Row): readonly string[] {
  return [...new Set([...theirs.keys(), ...ours.keys()])].flatMap((path) => {
    const [their, our] = [theirs.get(path), ours.get(path)];
    if (their === our) return [];
    if (our === undefined) return [`only rtpengine: ${path} = ${their ?? ''}`];
    if (their === undefined) return [`only rtprelayd: ${path} = ${our}`];
    return [`${path}: rtpengine ${their}, rtprelayd ${our}`];
  });
}

/** What differs, and why; `calls`: in these alone. Each has to occur. */
interface Expected {
  readonly reason: string;
  readonly pattern: RegExp;
  readonly calls?: readonly string[];
}

const always: readonly Expected[] = [
  {
    reason: 'What rtpengine has no field for; it skips what it does not know.',
    pattern: /^only rtprelayd: (?:json|tag-\d+|media-\d+|stream-\d+)\.rtprelay_/,
  },
  {
    reason:
      'Sources are stored where SRTP goes on from their indexes; of plain RTP rtpengine begins anew with the next packet.',
    pattern: /^only rtp(?:engine|relayd): ssrc_table-\d+/,
    calls: ['talked'],
  },
  {
    reason:
      'Bit 17 (RTCP_MUX_OVERRIDE): once it is answered the side that offered rtcp-mux is settled here.',
    pattern: /^media-0\.media_flags: rtpengine 2162716, rtprelayd 2293788$/,
    calls: ['mux'],
  },
  {
    reason: 'What the peer has offered is kept beside what is in use of it, for its next body.',
    pattern: /^only rtprelayd: media-1\.sdes_in-0/,
    calls: ['secure'],
  },
  {
    reason:
      'A subscriber: bit 17 (RTCP_MUX_OVERRIDE) is set, and 12.5 sets bit 21 (ICE_CONTROLLING) without ICE.',
    pattern: /^media-[12]\.media_flags: rtpengine (?:65540|2162692), rtprelayd 196612$/,
    calls: ['heard', 'published'],
  },
  {
    reason:
      'A publisher gets one codec; rtpengine keeps its m= line as it came, and of what its subscriber takes only that codec.',
    pattern:
      /^(?:media-0\.format_str: rtpengine 0 8 101, rtprelayd 0|only rtprelayd: payload_types-1\[[12]\] = .*)$/,
    calls: ['published'],
  },
];

const expected: Readonly<Record<string, readonly Expected[]>> = {
  rtpengine: [
    ...always,
    {
      reason: 'Of the bodies, which 10.5 does not store: as 12.5 and later do.',
      pattern: /^only rtprelayd: tag-\d+\.(?:last_)?sdp_/,
    },
  ],
  'rtpengine-12.5': [
    ...always,
    {
      reason:
        'Who has not answered has sent no body; 12.5 stores of it what it has of others, and empty texts of a subscriber.',
      pattern: /^only rtpengine: tag-[12]\.sdp_session_(?:name|timing|rr|rs) = /,
      calls: ['early', 'heard', 'published'],
    },
    {
      reason: '12.5 does not store what a subscriber or a publisher was sent.',
      pattern: /^only rtprelayd: tag-\d+\.last_sdp_orig_/,
      calls: ['heard', 'published'],
    },
    {
      reason:
        'A refused section has the address of its body, as in 10.5; 12.5 has none, and marks the other side as zero address.',
      pattern: /^stream-[4-7]\.(?:ps_flags|endpoint|advertised_endpoint): /,
      calls: ['refused'],
    },
    {
      reason:
        'Who gets whose media is stored as it will be after the hold; what is passed on follows from the directions.',
      pattern: /^only rtp(?:engine: rtp_sinks-0 = \[\]|relayd: rtp_sinks-0\[0\] = 2)$/,
      calls: ['held'],
    },
    {
      reason:
        'The caller still hears the branch that answered first, as with 10.5; with 12.5 the last one alone.',
      pattern: /^only rtprelayd: media-subscriptions-\d+\[\d\] = /,
      calls: ['forked'],
    },
  ],
};

const layouts: readonly (readonly [DaemonKind, string, boolean])[] = [
  ['rtpengine', 'JSON-10.5', rtpengineInstalled],
  ['rtpengine-12.5', 'JSON-12.5', rtpengine125Command() !== null],
];

for (const [reference, format, there] of layouts) {
  describe(`what is in Redis of a call beside ${reference}`, function () {
    this.timeout(60_000);

    it('is the same in each field, but for what is listed', async function () {
      if (!there) this.skip();
      const { min } = freeUdpRange(2 * mediaPorts + 100);
      const phones = min + 2 * mediaPorts;
      const [theirs, ours] = await Promise.all([
        stored(reference, format, phones, min),
        stored('rtprelayd', format, phones, min + mediaPorts),
      ]);
      const rules = expected[reference] ?? [];
      const seen = new Set<Expected>();
      const unexpected: string[] = [];
      for (const [callId, row] of theirs) {
        expect(row, callId).to.have.property('size').greaterThan(50);
        for (const difference of differences(row, ours.get(callId) ?? new Map())) {
          const matching = rules.filter(
            ({ pattern, calls }) => pattern.test(difference) && calls?.includes(callId) !== false,
          );
          for (const rule of matching) seen.add(rule);
          if (matching.length === 0) unexpected.push(`${callId}: ${difference}`);
        }
      }
      expect(unexpected).to.deep.equal([]);
      const vanished = rules.filter((rule) => !seen.has(rule));
      expect(vanished.map(({ reason }) => reason)).to.deep.equal([]);
    });
  });
}
