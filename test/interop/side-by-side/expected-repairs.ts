/**
 * Bodies and answers that are not quite right: where rtprelayd writes cleanly what 10.5 passes on as it
 * came, and where it does better.
 */
import type { ExpectedDifference } from './expected-differences.js';

type Rows = readonly (readonly [sequence: string, theirs: string, ours: string | null])[];

/** Of lines that 10.5 writes as they came; what stands there instead, null: nothing. */
function cleaned(reason: string, where: 'session' | 'media[0]', rows: Rows): ExpectedDifference[] {
  return rows.map(([sequence, theirs, ours]) => ({
    sequence: `read: ${sequence}`,
    reason,
    differences: [
      `1 offer: only rtpengine: sdp.${where} "${theirs}"`,
      ...(ours === null ? [] : [`1 offer: only rtprelayd: sdp.${where} "${ours}"`]),
    ],
  }));
}

/** Several sequences that differ for one reason. */
function each(
  reason: string,
  sequences: readonly string[],
  differs: Pick<ExpectedDifference, 'differences' | 'patterns'>,
): ExpectedDifference[] {
  return sequences.map((sequence) => ({ sequence, reason, ...differs }));
}

const plainOrigin = 'o=ann 7001 3 IN IP4 192.0.2.10';

const lines: readonly ExpectedDifference[] = [
  ...cleaned('Written in the form of RFC 8866 §5.2: a user name without spaces.', 'session', [
    ...[' 7001 3 IN IP4 192.0.2.10'].map(
      (origin) => [`o=${origin}`, `o=${origin}`, 'o=- 7001 3 IN IP4 192.0.2.10'] as const,
    ),
    [
      'o=ann bob 7001 3 IN IP4 192.0.2.10',
      'o=ann bob 7001 3 IN IP4 192.0.2.10',
      'o=ann_bob 7001 3 IN IP4 192.0.2.10',
    ],
    [`${plainOrigin} `, `${plainOrigin} `, plainOrigin],
    ['o=ann  7001 3 IN IP4 192.0.2.10', 'o=ann  7001 3 IN IP4 192.0.2.10', plainOrigin],
    ['o=ann 7001 3 in ip4 192.0.2.10', 'o=ann 7001 3 in ip4 192.0.2.10', plainOrigin],
    [
      'o=ann 7001 3 IN IP6 [2001:db8::5]',
      'o=ann 7001 3 IN IP6 [2001:db8::5]',
      'o=ann 7001 3 IN IP6 2001:db8::5',
    ],
  ]),
  ...cleaned('What follows the address is not written.', 'media[0]', [
    ['c=IN IP4 192.0.2.10 ', 'c=IN IP4 127.0.0.1 ', 'c=IN IP4 127.0.0.1'],
    ['c=IN IP4 192.0.2.10 foo', 'c=IN IP4 127.0.0.1 foo', 'c=IN IP4 127.0.0.1'],
  ]),
  ...cleaned('An a=rtcp that is not understood names a foreign address.', 'media[0]', [
    ['a=rtcp:6055 IN', 'a=rtcp:6055 IN', null],
    ['a=rtcp:6055 IN IP4', 'a=rtcp:6055 IN IP4', null],
    ['a=rtcp:6055 IN IP4 foo', 'a=rtcp:6055 IN IP4 foo', null],
    ['a=rtcp:6055 IN IP6 fe80::1%lo', 'a=rtcp:6055 IN IP6 fe80::1%lo', null],
  ]),
  ...cleaned('Candidates are those of the relay; what is none is not passed on.', 'media[0]', [
    ['a=candidate:x', 'a=candidate:x', null],
  ]),
  ...cleaned('Blanks where RFC 8866 §6.15 has one.', 'media[0]', [
    ['a=fmtp: 101 0-15', 'a=fmtp: 101 0-15', 'a=fmtp:101 0-15'],
  ]),
  ...cleaned('A byte behind the last line belongs to no line.', 'media[0]', [
    ['\\u0000 at the end', '\0', null],
    ['\\t at the end', '\t', null],
    ['a at the end', 'a', null],
  ]),
  ...['96  opus/48000/2', '96\\topus/48000/2', ' 96 opus/48000/2'].map((value) => ({
    sequence: `read: a=rtpmap:${value}`,
    reason: '10.5 does not read it, and adds one without a name.',
    differences: [
      `1 offer: only rtpengine: sdp.media[0] "a=rtpmap:${value.replace('\\t', '\t')}"`,
      '1 offer: only rtpengine: sdp.media[0] "a=rtpmap:96 /0"',
      '1 offer: only rtprelayd: sdp.media[0] "a=rtpmap:96 opus/48000/2"',
    ],
  })),
  ...cleaned('10.5 adds an rtpmap without a name.', 'media[0]', [
    ['a=rtpmap:96 opus', 'a=rtpmap:96 /0', null],
    ['a=rtpmap:96:opus/48000/2', 'a=rtpmap:96 /0', null],
  ]),
  ...cleaned('The session has that line already.', 'media[0]', [
    ['t=0 0 behind a section', 't=0 0', null],
  ]),
  ...['e=a@b', 'p=+1', 'u=http://x', 'r=7d 1h 0 25h', 'z=1 -1h'].map((line) => ({
    sequence: `read: ${line} behind a section`,
    reason: 'The line is one of the session (RFC 8866 §5) and is written there.',
    differences: [
      `1 offer: only rtpengine: sdp.media[0] "${line}"`,
      `1 offer: only rtprelayd: sdp.session "${line}"`,
    ],
  })),
];

const ports: readonly ExpectedDifference[] = [
  {
    sequence: 'read: m=audio 65535 RTP/AVP 0 8 101',
    reason: 'There is no port 65536.',
    patterns: [
      /^2 query: tags\.a\.medias\[0\]\.streams\[1\]\..*port: rtpengine 65536, rtprelayd 0$/,
    ],
  },
  {
    sequence: 'read: m=audio 65534/2 RTP/AVP 0 8 101',
    reason: 'There are no ports 65536 and 65537.',
    patterns: [
      /^2 query: tags\.a\.medias\[0\]\.streams\[2\]\..*port: rtpengine 65536, rtprelayd 0$/,
      /^2 query: tags\.a\.medias\[0\]\.streams\[3\]\..*port: rtpengine 65537, rtprelayd 0$/,
    ],
  },
  {
    sequence: 'read: a=rtcp:6055 IN IP4 192.0.2.011',
    reason: 'Padded numbers are decimal.',
    differences: ['1 offer: only rtpengine: sdp.media[0] "a=rtcp:6055 IN IP4 192.0.2.011"'],
    patterns: [/^2 query: tags\.a\.medias\[0\]\.streams\[1\]\..*(?:192\.0\.2\.11"|6055)$/],
  },
  {
    sequence: 'read: a=rtcp:6055 IN IP6 2001:db8::9',
    reason: 'RTCP is sent from a port of the family of the media.',
    patterns: [/^2 query: tags\.a\.medias\[0\]\.streams\[1\]\..*rtpengine "(?:2001:db8::9|IPv6)"/],
  },
  ...each(
    '10.5 has nowhere to send RTCP to while the two sides do not multiplex; here it goes where the line says.',
    ['RTCP on the RTP port', 'RTCP on the RTP port of both'],
    { patterns: [/^3 query: only rtprelayd: tags\.\w\.medias\[0\]\.streams\[1\]\..*endpoint\./] },
  ),
];

const refusals: readonly ExpectedDifference[] = ['255', '*', 'foo', '0 foo 8'].flatMap(
  (formats) => {
    const reason = 'Formats of a refused section are not looked at (RFC 3264 §6).';
    return [
      {
        sequence: `refused in the offer: ${formats}`,
        reason,
        differences: [
          '1 offer: rtpengine "error" "Incomplete SDP specification", rtprelayd "ok"',
          '2 answer: rtpengine "error" "Incomplete SDP specification", rtprelayd "ok"',
          '3 query: rtpengine "error" "Unknown call-id", rtprelayd "ok"',
        ],
      },
      {
        sequence: `refused in the answer: ${formats}`,
        reason,
        differences: [
          '2 answer: rtpengine "error" "Incomplete SDP specification", rtprelayd "ok"',
          '3 query: only rtpengine: tags.<untagged 1>',
          '3 query: only rtprelayd: tags.x',
        ],
        patterns: [
          /^3 query: only rtpengine: tags\.a\.medias\[1\]\.streams\[\d\]\.(?:local|family|flags|endpoint|advertised)/,
          /^3 query: tags\.a\.subscri.*tag: rtpengine "", rtprelayd "x"$/,
        ],
      },
    ];
  },
);

const omitted =
  'A section without answer is refused, so that the answer fits the offer (RFC 3264 §6).';
const omissions: readonly ExpectedDifference[] = [
  'fewer sections in the answer',
  'answer with fewer sections',
].map((sequence) => ({
  sequence,
  reason: omitted,
  differences: ['2 answer: only rtprelayd: sdp.media[1] "m=video 0 RTP/AVP 96"'],
  patterns: [
    /^3 query: only rtpengine: tags\.[ax]\.medias\[1\]\.streams\[\d\]\.(?:local|family|flags|endpoint|advertised)/,
    /^3 query: tags\.x\.medias\[1\]\..*flags:/,
    ...(sequence === 'answer with fewer sections' ? [/^2 answer: .*"a=mid:v"$/] : []),
  ],
}));

const withOffer = '10.5 compares later answers with what earlier ones left of the offer.';
const answers: readonly ExpectedDifference[] = [
  {
    sequence: 'later answer with another codec',
    reason: withOffer,
    differences: [
      '3 answer: only rtpengine: sdp.media[0] "m=audio <port 2> RTP/AVP 101"',
      '3 answer: only rtprelayd: sdp.media[0] "m=audio <port 2> RTP/AVP 18 101"',
      '3 answer: only rtprelayd: sdp.media[0] "a=rtpmap:18 G729/8000"',
      '4 answer: only rtpengine: sdp.media[0] "m=audio <port 2> RTP/AVP 101"',
      '4 answer: only rtprelayd: sdp.media[0] "m=audio <port 2> RTP/AVP 8 18 101"',
      '4 answer: only rtprelayd: sdp.media[0] "a=rtpmap:8 PCMA/8000"',
      '4 answer: only rtprelayd: sdp.media[0] "a=rtpmap:18 G729/8000"',
    ],
  },
  {
    sequence: 'later answer with one codec more',
    reason: withOffer,
    differences: [
      '3 answer: only rtpengine: sdp.media[0] "m=audio <port 2> RTP/AVP 18"',
      '3 answer: only rtprelayd: sdp.media[0] "m=audio <port 2> RTP/AVP 18 101"',
      '3 answer: only rtprelayd: sdp.media[0] "a=rtpmap:101 telephone-event/8000"',
    ],
  },
  ...(
    [
      ['another branch with another codec', 4, 3],
      ['another to-tag with another codec', 3, 2],
    ] as const
  ).map(([sequence, step, port]) => ({
    sequence,
    reason: withOffer,
    differences: [
      `${step} answer: only rtpengine: sdp.media[0] "m=audio <port ${port}> RTP/AVP 8 101"`,
      `${step} answer: only rtpengine: sdp.media[0] "a=rtpmap:8 PCMA/8000"`,
      `${step} answer: only rtprelayd: sdp.media[0] "m=audio <port ${port}> RTP/AVP 18 101"`,
      `${step} answer: only rtprelayd: sdp.media[0] "a=rtpmap:18 G729/8000"`,
    ],
  })),
];

const byMedia =
  'SIP may come by another family than media: its source counts within the family of c= only.';
const families: readonly ExpectedDifference[] = [
  {
    sequence: 'SIP-source-address of IPv6',
    reason: byMedia,
    patterns: [
      /^2 query: tags\.a\.medias\[0\]\.streams\[\d\]\..*endpoint\..*rtpengine "(?:2001:db8::7|IPv6)"/,
    ],
  },
  ...['IPv4', 'IPv6', 'IPv4 null', 'IPv6 null'].map((family) => {
    const [own, other] = family.startsWith('IPv4')
      ? (['IP4 127.0.0.1', 'IP6 ::1'] as const)
      : (['IP6 ::1', 'IP4 127.0.0.1'] as const);
    const zero = own.startsWith('IP4') ? 'IP4 0.0.0.0' : 'IP6 ::';
    const held = family.endsWith('null');
    return {
      sequence: `dual: ${family}, SIP over ${family.startsWith('IPv4') ? 'IPv6' : 'IPv4'}`,
      reason: byMedia,
      differences: [
        `1 offer: only rtpengine: sdp.media[0] "c=IN ${other}"`,
        `1 offer: only rtprelayd: sdp.media[0] "c=IN ${held ? zero : own}"`,
        `2 answer: only rtpengine: sdp.media[0] "c=IN ${other}"`,
        `2 answer: only rtprelayd: sdp.media[0] "c=IN ${own}"`,
        ...(held
          ? [
              '1 offer: only rtpengine: sdp.media[0] "a=sendrecv"',
              '1 offer: only rtprelayd: sdp.media[0] "a=sendonly"',
            ]
          : []),
      ],
      patterns: [
        /^3 query: tags\.[ax]\.medias\[0\]\.streams\[\d\]\..*(?:address|family): rtpengine/,
      ],
    };
  }),
];

const spellings: readonly ExpectedDifference[] = [
  {
    sequence: 'spelling: mapped',
    reason: 'An IPv4 address mapped into IPv6 is that IPv4 address; 10.5 opens other ports for it.',
    patterns: [
      /^2 offer: only rtp\w+: sdp\.media\[0\] "(?:m=audio|a=rtcp:)/,
      /^4 query: tags\.a\.medias\[0\]\.streams\[\d\]\.local port/,
    ],
  },
  ...each('10.5 refuses the spelling.', ['spelling: padded', 'spelling: a zone'], {
    differences: ['2 offer: rtpengine "error" "Failed to parse SDP", rtprelayd "ok"'],
  }),
  {
    sequence: 'spelling: of media-address',
    reason: 'An IPv4 address mapped into IPv6 is that IPv4 address.',
    differences: [
      '3 offer: only rtpengine: sdp.media[0] "c=IN IP6 ::ffff:192.0.2.9"',
      '3 offer: only rtprelayd: sdp.media[0] "c=IN IP4 192.0.2.9"',
    ],
  },
];

export const expectedRepairs: readonly ExpectedDifference[] = [
  ...lines,
  ...ports,
  ...refusals,
  ...omissions,
  ...answers,
  ...families,
  ...spellings,
];
