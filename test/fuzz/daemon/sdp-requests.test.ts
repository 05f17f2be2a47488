/**
 * Offers and answers put together from what phones write and proxies ask, right and wrong, to a daemon
 * with sockets: each is carried out, losing no line that means nothing to it, or refused by name.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import type { NgDictionary } from '../../support/bencode.js';
import { MediaDaemon } from '../../support/daemons.js';
import type { NgClient } from '../../support/ng-client.js';
import { sdpLines, sdpSections } from '../../support/sdp.js';
import { parseSdp } from '../../../src/sdp/lines.js';

const { constantFrom, record, array, tuple, oneof, option, uniqueArray } = fc;

/** Mostly the first, sometimes one of the others. */
const mostly = (usual: string, ...others: readonly string[]): fc.Arbitrary<string> =>
  oneof(
    { weight: 4, arbitrary: fc.constant(usual) },
    { weight: 3, arbitrary: constantFrom(...others) },
  );

const address = constantFrom(
  ...['192.0.2.10', '192.0.2.010', '0.0.0.0', '255.255.255.255', '127.0.0.1', '2001:db8::5', '::'],
  ...['[2001:DB8::5]', 'fe80::1%lo', 'fe80::1', '::ffff:192.0.2.9', '::1', 'phone.example.com', ''],
  ...['192.0.2.10/127', '1.2.3', '1.2.3.4.5', ':::', '%', '[]', '192.0.2.10\0'],
);
const connection = address.map((text) => `c=IN ${text.includes(':') ? 'IP6' : 'IP4'} ${text}`);
const usualConnection = oneof(
  { weight: 3, arbitrary: constantFrom('c=IN IP4 192.0.2.10', 'c=IN IP6 2001:db8::10') },
  { weight: 1, arbitrary: connection },
);
const origin = mostly(
  'o=ann 7001 3 IN IP4 192.0.2.10',
  ...['o= 7001 3 IN IP4 192.0.2.10', 'o=ann b c 1 1 IN IP6 [::1]', 'o=- 0 0 in ip4 x', 'o=x'],
);
const port = oneof(
  fc.integer({ min: 0, max: 65_535 }).map(String),
  constantFrom('0', '1', '65533', '65534', '65535', '65534/2', '6000/3', '0/2', '+6000', '6000.5'),
);
const protocol = mostly(
  'RTP/AVP',
  ...[
    'RTP/AVPF',
    'rtp/avp',
    'RTP/SAVP',
    'UDP/TLS/RTP/SAVPF',
    'udptl',
    'UDP/BFCP',
    'TCP/MSRP',
    'foo',
  ],
  ...['UDP/DTLS/SCTP', 'RTP/SAVPF', '/1'],
);
const formats = mostly(
  '0 8 101',
  ...['96 97', '18 101', '*', '255', '0 foo', '', '00 08', '0,8', '127 128', 't38', '0 0 0', '8\t'],
);
const attribute = oneof(
  constantFrom(
    ...[
      'a=sendonly',
      'a=inactive',
      'a=sendrecv ',
      'a=rtcp-mux',
      'a=ptime:20',
      'a=ptime:x',
      'a=ptime:0',
    ],
    ...[
      'a=rtpmap:96 opus/48000/2',
      'a=rtpmap:97',
      'a=rtpmap:x y/z',
      'a=rtpmap: 101 telephone-event/8000',
    ],
    ...[
      'a=fmtp:96  a=1',
      'a=fmtp:* x',
      'a=rtcp-fb:* nack',
      'a=rtcp-fb:96',
      'a=crypto:1 X inline:Y',
    ],
    ...[
      'a=mid:',
      'a=mid:1',
      'a=label:x',
      'a=extmap:1 urn:x',
      'a=candidate:',
      'a=ice-ufrag:x',
      'a=maxptime:-1',
    ],
    ...[
      'a=',
      'a=:',
      'a= x',
      'b=AS:64',
      'b=AS:x',
      'b=',
      'k=x',
      'i=x',
      't=0 0',
      'r=1',
      'z=',
      'e=a',
      'u=b',
      'p=c',
    ],
  ),
  tuple(
    mostly('6055', '0', '65535', '65536', '-1', '6000', 'x', '+1', ''),
    option(address, { nil: null }),
  ).map(([number, where]) =>
    where === null
      ? `a=rtcp:${number}`
      : `a=rtcp:${number} IN ${where.includes(':') ? 'IP6' : 'IP4'} ${where}`,
  ),
);

interface Section {
  readonly type: string;
  readonly port: string;
  readonly protocol: string;
  readonly formats: string;
  readonly connection: string | null;
  readonly lines: readonly string[];
}

const section: fc.Arbitrary<Section> = record({
  type: constantFrom('audio', 'video', 'image', 'application', 'message', 'AUDIO'),
  port,
  protocol,
  formats,
  connection: option(usualConnection, { nil: null }),
  lines: array(attribute, { maxLength: 5 }),
});

const body = record({
  origin,
  connection: option(usualConnection, { nil: null, freq: 6 }),
  sessionLines: array(constantFrom('b=RS:1', 'b=RR:2', 'a=sendonly', 'a=tool:x', 'i=y', 'k=z'), {
    maxLength: 3,
  }),
  sections: array(section, { minLength: 1, maxLength: 3 }),
  end: mostly('', '\0', '\r\n', ' ', '\r\nfoo', 'a'),
});
type Body = typeof body extends fc.Arbitrary<infer T> ? T : never;

/** Lines with a mark, so that each can be found in the reply. */
const marks = (where: string): readonly string[] => [`a=x-mark:${where}`, `b=X-${where}:1`];

function textOf({ origin: o, connection: c, sessionLines, sections, end }: Body): string {
  const lines = ['v=0', o, 's=-', ...(c === null ? [] : [c]), 't=0 0', ...sessionLines];
  lines.push(...marks('session'));
  sections.forEach((each, at) => {
    lines.push(`m=${each.type} ${each.port} ${each.protocol} ${each.formats}`);
    if (each.connection !== null) lines.push(each.connection);
    lines.push(...each.lines, ...marks(`${at}`));
  });
  return lines.map((line) => `${line}\r\n`).join('') + end;
}

const keys: fc.Arbitrary<NgDictionary> = record(
  {
    flags: uniqueArray(
      constantFrom(
        ...['SIP-source-address', 'trust-address', 'asymmetric', 'strict-source', 'port-latching'],
        ...[
          'loop-protect',
          'full-rtcp-attribute',
          'no-rtcp-attribute',
          'original-sendrecv',
          'generate-mid',
        ],
      ),
      { maxLength: 3 },
    ),
    replace: uniqueArray(
      constantFrom(
        'origin',
        'origin-full',
        'session-name',
        'SDP-version',
        'username',
        'zero-address',
      ),
      { maxLength: 3 },
    ),
    'rtcp-mux': uniqueArray(constantFrom('offer', 'require', 'demux', 'accept', 'reject'), {
      maxLength: 2,
    }),
    direction: array(constantFrom('lo', 'dual', 'rr', 'rr:b', 'nope'), { maxLength: 2 }),
    'received-from': tuple(constantFrom('IP4', 'IP6', '?'), address).map((pair) => [...pair]),
    'address-family': constantFrom('IP4', 'IP6', 'IP9'),
    'media-address': address,
    'transport-protocol': constantFrom('RTP/AVPF', 'RTP/AVP', 'RTP/SAVP', 'foo'),
    ICE: constantFrom('remove', 'force', 'x'),
    'via-branch': constantFrom('1', '2', ''),
    TOS: constantFrom(0, 255, 256, -1),
    label: constantFrom('', 'x'),
  },
  { requiredKeys: [] },
);

const step = record({
  answers: fc.boolean(),
  from: constantFrom('a', 'x'),
  to: constantFrom('x', 'y', 'a', null),
  body,
  keys,
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function requestOf(
  callId: string,
  { answers, from, to, body: sdp, keys: more }: Step,
): NgDictionary {
  const tags: NgDictionary = to === null ? {} : { 'to-tag': to };
  const command = answers ? 'answer' : 'offer';
  return { 'call-id': callId, 'from-tag': from, ...tags, ...more, sdp: textOf(sdp), command };
}

/** Text after an empty line belongs to no line. */
const isRefused = (line = ''): boolean => /^m=\S+ 0(?:\/\d+)? /.test(line);

function expectWhole(sent: Body, reply: string): void {
  const { session, media } = sdpSections(reply);
  expect(media.length).to.be.at.least(sent.sections.length);
  expect(session).to.include.members([...marks('session')]);
  sent.sections.forEach((_each, at) => {
    const [first, ...lines] = media[at] ?? [];
    const [attribute = '', bandwidth = ''] = marks(`${at}`);
    expect(lines).to.include(bandwidth);
    if (!isRefused(first)) expect(lines).to.include(attribute);
    expect(lines.filter((line) => line.startsWith('c='))).to.have.lengthOf(1);
  });
  const again = parseSdp(reply).sessions.flatMap(({ medias }) => medias);
  expect(again).to.have.lengthOf(media.length);
  for (const line of sdpLines(reply)) expect(line).to.match(/^[vosiuepcbtrzkam]=/);
}

const refusals: ReadonlySet<string> = new Set([
  ...['Failed to parse SDP', 'Incomplete SDP specification', 'Error rewriting SDP'],
  ...[
    'Unknown call-id',
    'Invalid dialogue association',
    'No to-tag in message',
    'Ran out of ports',
  ],
]);

describe('offers and answers of all kinds', () => {
  let daemon: MediaDaemon | undefined;
  let client: NgClient | undefined;
  before(async () => {
    daemon = await MediaDaemon.start('rtprelayd', {
      interfaces: [
        'lo/127.0.0.1',
        'dual/127.0.0.1',
        'dual/::1',
        'rr:a/127.0.0.2',
        'rr:b/127.0.0.3',
      ],
      mediaPorts: 2000,
      logLevel: 3,
    });
    client = daemon.client();
  });
  after(async () => {
    client?.close();
    await daemon?.stop();
  });

  it('are carried out whole or refused by name', async function () {
    this.timeout(120_000);
    if (client === undefined) throw new Error('not started');
    const ng = client;
    let calls = 0;
    let taken = 0;
    const property = fc.asyncProperty(
      array(step, { minLength: 1, maxLength: 4 }),
      async (steps) => {
        const callId = `fuzz-${calls++}`;
        for (const each of steps) {
          const reply = await ng.ask(requestOf(callId, each), { tries: 40 });
          if (reply['result'] === 'ok') {
            taken += 1;
            if (typeof reply['sdp'] === 'string') expectWhole(each.body, reply['sdp']);
          } else {
            expect(refusals).to.include(reply['error-reason']);
          }
        }
        await ng.ask({ command: 'delete', 'call-id': callId, 'delete-delay': 0 }, { tries: 40 });
      },
    );
    await fc.assert(property, { numRuns: 400, seed: 20_261_129 });
    expect(taken).to.be.greaterThan(100);
  });
});
