/**
 * Where rtprelayd answers otherwise than rtpengine 10.5, and why. The test fails on a difference
 * that is not listed and on a listed one that no longer occurs.
 */
export interface ExpectedDifference {
  readonly sequence: string;
  readonly reason: string;
  /** Exactly as the test words them. */
  readonly differences?: readonly string[];
  /** For whole branches of a reply: each has to match a difference. */
  readonly patterns?: readonly RegExp[];
}

/** A difference that shows in many sequences, without the number and name of its step. */
export interface GeneralDifference {
  readonly reason: string;
  readonly pattern: RegExp;
}

/** Keys and flags of `query` that 10.5 does not have. */
export const newerKeys: GeneralDifference = {
  reason: 'The current release tells more of a call.',
  pattern: new RegExp(
    [
      '^only rtprelayd: (?:created_ts|last redis update|metadata) = ',
      '^only rtprelayd: statistics\\.voip_metrics$',
      '^only rtprelayd: statistics\\.controlstatistics\\..*pauserec',
      '^only rtprelayd: statistics\\.intervalstatistics\\.(?:min|max|avg)pause recording',
      '^only rtprelayd: statistics\\.interfaces\\[\\d+\\]\\.(duplicates|packets_lost|voip_metrics|ingress|egress)',
      '^only rtprelayd: tags\\..*\\.(?:tag-aliases|VSC|(?:in|e)gress SSRCs|stats_out)(?: = .*)?$',
      '^only rtprelayd: tags\\..*\\.last (?:kernel|user) packet = <time>$',
      'flags: rtpengine \\[(?<before>.*?)(?<after>[^,\\]]+(?:, [^\\]]*)?)\\], ' +
        'rtprelayd \\[\\k<before>RTCP feedback, \\k<after>\\]$',
    ].join('|'),
  ),
};

export const generalDifferences: readonly GeneralDifference[] = [
  {
    reason:
      'The reply to a publication says whose it is, since 26.3 makes up what the request leaves out.',
    pattern: /^only rtprelayd: (?:call-id|from-tag) = "/,
  },
  {
    reason: 'RFC 8842, since 12.5.',
    pattern: /^only rtprelayd: sdp\.media\[\d+\] "a=tls-id:<token>"$/,
  },
  {
    reason: 'Where media come back to is told by 26.3.',
    pattern:
      /flags: rtpengine \[(?:ICE controlling, )?initialized, recv, send\], rtprelayd \[.*(?:blackhole|echo).*\]$/,
  },
  {
    reason: 'Without a kernel table 10.5 marks each settled stream as tried in vain.',
    pattern: /flags: rtpengine \[.*kernelized, .*no kernel support.*\], rtprelayd/,
  },
  newerKeys,
  {
    reason:
      'Without a from-tag 10.5 answers a delete with a bare ok; OpenSIPS never sends one and reads the statistics.',
    pattern:
      /^only rtprelayd: (?:SSRC = \{\}|created(?:_us|_ts)? = <time>|last signal = <time>|tags|totals)$/,
  },
];

export const expectedDifferences: readonly ExpectedDifference[] = [
  {
    sequence: 'payload types without meaning',
    reason:
      '10.5 writes an rtpmap without a name (`97 /0`), which is no attribute of RFC 8866; left out.',
    differences: [
      '1 offer: only rtpengine: sdp.media[0] "a=rtpmap:97 /0"',
      '1 offer: only rtpengine: sdp.media[0] "a=rtpmap:2 /0"',
      '2 answer: only rtpengine: sdp.media[0] "a=rtpmap:97 /0"',
    ],
  },
  {
    sequence: 'answer with another number for a codec',
    reason:
      '10.5 drops an accepted codec whose number differs from the offered one. RFC 3264 §6.1 allows it, and each side is sent the numbers it asked for.',
    differences: [
      '2 answer: only rtpengine: sdp.media[0] "m=audio <port 2> RTP/AVP 0"',
      '2 answer: only rtprelayd: sdp.media[0] "m=audio <port 2> RTP/AVP 0 97"',
      '2 answer: only rtprelayd: sdp.media[0] "a=rtpmap:97 telephone-event/8000"',
    ],
  },
  {
    sequence: 'replace force-increment-sdp-ver',
    reason: 'Known to 12.5 and later, not to 10.5; the first body counts as well.',
    differences: [
      ...['1 offer', '2 answer', '3 offer', '4 answer', '5 offer', '6 offer'].flatMap(
        (step, position) => {
          const user = ['ann', 'bea', 'ann', 'eve', 'eve', 'ann'][position] ?? '';
          const version = [3, 3, 3, 9, 9, 3][position] ?? 0;
          const counted = [4, 4, 5, 5, 6, 7][position] ?? 0;
          const address = user === 'bea' || position === 3 ? '192.0.2.77' : '192.0.2.10';
          return [
            `${step}: only rtpengine: sdp.session "o=${user} 7001 ${version} IN IP4 ${address}"`,
            `${step}: only rtprelayd: sdp.session "o=${user} 7001 ${counted} IN IP4 ${address}"`,
          ];
        },
      ),
    ],
  },
  {
    sequence: 'rtcp-mux given as a string',
    reason: '26.3 takes one word for a list of one; 10.5 ignores it.',
    differences: ['1 offer: only rtprelayd: sdp.media[0] "a=rtcp-mux"'],
  },
  {
    sequence: 'SIP-source-address with an unknown family',
    reason: 'Kamailio may send the family as `?`; the address says which one it is.',
    differences: [
      '1 offer: rtpengine "error" "Incomplete SDP specification", rtprelayd "ok"',
      '2 query: rtpengine "error" "Unknown call-id", rtprelayd "ok"',
    ],
  },
  ...(
    [
      ['feedback from RTP/AVP to RTP/AVPF, announced', '4 datagrams from x: ', 'a'],
      ['feedback from RTP/AVPF to RTP/AVP, announced', '3 datagrams from a: ', 'x'],
    ] as const
  ).map(([sequence, step, receiver]) => ({
    sequence,
    reason: 'Since 12.5 who announces feedback is told it, whatever the profile.',
    differences: [
      `${step}only rtprelayd: ${receiver} received 81ce00020a0b0c0d0a0b0c0e = 1`,
      `${step}only rtprelayd: ${receiver} received 80c900010a0b0c0d81ce00020a0b0c0d0a0b0c0e = 1`,
      `${step}${receiver} received 80c900010a0b0c0d: rtpengine 2, rtprelayd 1`,
    ],
  })),
  {
    sequence: 'strict-source',
    reason:
      '10.5 shows the SSRC of a packet that it dropped, and counts it among what has come; since 12.5 it is an error alone.',
    patterns: [
      /^8 query: (?:tags\.a\.medias\[0\]\.streams\[0\]\.stats|totals\.RTP)\.(?:bytes|packets): /,
    ],
    differences: [
      '8 query: tags.a.medias[0].streams[0].SSRC: rtpengine <SSRC of z>, rtprelayd <SSRC of a>',
    ],
  },
  {
    sequence: 'held at a zero address from another port, and back',
    reason:
      'Since 12.5 who is nowhere leaves the ports to where it is next; 10.5 tells it by its port.',
    differences: [
      '3 offer: only rtpengine: sdp.media[0] "m=audio <port 3> RTP/AVP 0 8 101"',
      '3 offer: only rtpengine: sdp.media[0] "a=rtcp:<port 3>+1"',
      '3 offer: only rtprelayd: sdp.media[0] "m=audio <port 1> RTP/AVP 0 8 101"',
      '3 offer: only rtprelayd: sdp.media[0] "a=rtcp:<port 1>+1"',
      '6 answer: only rtpengine: sdp.media[0] "m=audio <port 4> RTP/AVP 0 8 101"',
      '6 answer: only rtpengine: sdp.media[0] "a=rtcp:<port 4>+1"',
      '6 answer: only rtprelayd: sdp.media[0] "m=audio <port 2> RTP/AVP 0 8 101"',
      '6 answer: only rtprelayd: sdp.media[0] "a=rtcp:<port 2>+1"',
    ],
  },
  {
    sequence: 'answered at a zero address first',
    reason: 'As above.',
    differences: [
      '4 answer: only rtpengine: sdp.media[0] "m=audio <port 3> RTP/AVP 0 8 101"',
      '4 answer: only rtpengine: sdp.media[0] "a=rtcp:<port 3>+1"',
      '4 answer: only rtprelayd: sdp.media[0] "m=audio <port 2> RTP/AVP 0 8 101"',
      '4 answer: only rtprelayd: sdp.media[0] "a=rtcp:<port 2>+1"',
      '6 answer: only rtpengine: sdp.media[0] "m=audio <port 2> RTP/AVP 0 8 101"',
      '6 answer: only rtpengine: sdp.media[0] "a=rtcp:<port 2>+1"',
      '6 answer: only rtprelayd: sdp.media[0] "m=audio <port 3> RTP/AVP 0 8 101"',
      '6 answer: only rtprelayd: sdp.media[0] "a=rtcp:<port 3>+1"',
      '7 query: tags.a.medias[0].streams[0].local port: rtpengine <port 2>, rtprelayd <port 3>',
      '7 query: tags.a.medias[0].streams[1].local port: rtpengine <port 2>+1, rtprelayd <port 3>+1',
    ],
  },
  {
    sequence: 'ptime of media that are no RTP',
    reason: 'Since 12.5 lines of unknown protocols are kept.',
    differences: ['3 offer: only rtprelayd: sdp.media[0] "a=ptime:20"'],
  },
  {
    sequence: 'media while sendonly',
    reason: 'Since 12.5 nothing is passed on to or from whose body says hold.',
    differences: [
      '6 RTP from x: a received RTP: rtpengine 5, rtprelayd 0',
      '6 RTP from x: a received from: rtpengine [<port 2>], rtprelayd []',
    ],
  },
  {
    sequence: 'media while inactive',
    reason: 'Since 12.5 nothing is passed on to or from whose body says hold.',
    differences: [
      '5 RTP from a: x received RTP: rtpengine 5, rtprelayd 0',
      '5 RTP from a: x received from: rtpengine [<port 1>], rtprelayd []',
      '6 RTP from x: a received RTP: rtpengine 5, rtprelayd 0',
      '6 RTP from x: a received from: rtpengine [<port 2>], rtprelayd []',
    ],
  },
  {
    sequence: 'published again',
    reason: 'Since 12.5 nothing is passed on to or from whose body says hold.',
    differences: [
      '7 RTP from a: x received RTP: rtpengine 5, rtprelayd 0',
      '7 RTP from a: x received from: rtpengine [<port 2>], rtprelayd []',
    ],
  },
  {
    sequence: 'TOS and label and metadata',
    reason: 'Shown by 26.3, not by 10.5.',
    differences: ['4 query: only rtprelayd: tags.a.metadata = "meta"'],
  },
  {
    sequence: 'endpoint-learning off',
    reason: 'A key of 26.3; 10.5 does not know it and learns.',
    differences: [
      '4 RTP from x: a received RTP: rtpengine 0, rtprelayd 5',
      '4 RTP from x: a received from: rtpengine [], rtprelayd [<port 2>]',
      '4 RTP from x: z received RTP: rtpengine 5, rtprelayd 0',
      '4 RTP from x: z received from: rtpengine [<port 2>], rtprelayd []',
    ],
  },
  {
    sequence: 'commands of later releases',
    reason: 'Known to rtpengine 26.3, not to 10.5.',
    differences: [
      '2 connect: error-reason: rtpengine "Unrecognized command", rtprelayd "No to-tag in message"',
      '3 create: rtpengine "error" "Unrecognized command", rtprelayd "ok"',
      '4 create answer: error-reason: rtpengine "Unrecognized command", rtprelayd "No SDP body in message"',
      '1 pause recording: error-reason: rtpengine "Unrecognized command", rtprelayd "Unknown call-id"',
      '6 transform: error-reason: rtpengine "Unrecognized command", rtprelayd "Failed to set up transform"',
      '5 mesh: error-reason: rtpengine "Unrecognized command", rtprelayd "Unknown call ID(s)"',
      '7 inject start: error-reason: rtpengine "Unrecognized command", rtprelayd "No source-tag in message"',
      '8 inject stop: error-reason: rtpengine "Unrecognized command", rtprelayd "No source-tag in message"',
      '9 cli: error-reason: rtpengine "Unrecognized command", rtprelayd "No \'body\' in message"',
    ],
  },
  {
    sequence: 'the publisher goes',
    reason: 'As 26.3 words it.',
    differences: [
      '8 subscribe request: error-reason: rtpengine "Unknown call-ID", rtprelayd "Unknown call-ID(s)"',
    ],
  },
  {
    sequence: 'parties of a call are heard',
    reason:
      '10.5 goes on sending what a subscriber heard before he asked for another; as its own query says, he does not hear it.',
    differences: ['10 RTP from a', '16 RTP from x', '23 RTP from x'].flatMap((step) => [
      `${step}: y received RTP: rtpengine 5, rtprelayd 0`,
      `${step}: y received from: rtpengine [<port 3>], rtprelayd []`,
    ]),
  },
  {
    sequence: 'a subscriber goes',
    reason: '10.5 goes on sending to a subscriber that it has let go, in vain.',
    differences: [
      '9 query: tags.x.medias[0].streams[0].stats.errors: rtpengine 5, rtprelayd 0',
      '9 query: totals.RTP.errors: rtpengine 5, rtprelayd 0',
    ],
  },
  {
    sequence: 'keys of the wrong type',
    reason: '26.3 takes one word for a list of one; 10.5 ignores it.',
    differences: [
      '2 offer: only rtpengine: sdp.media[0] "a=rtcp:<port 1>+1"',
      '3 offer: only rtpengine: sdp.session "o=ann 7001 3 IN IP4 192.0.2.10"',
      '3 offer: only rtprelayd: sdp.session "o=ann 7001 3 IN IP4 127.0.0.1"',
    ],
  },
  {
    sequence: 'keys with a space',
    reason: '`from tag` is a key of 26.3, so the first offer already made the call.',
    differences: [
      '1 from tag: rtpengine "error" "No from-tag in message", rtprelayd "ok"',
      '2 offer: only rtpengine: sdp.media[0] "m=audio <port 1> RTP/AVPF 0 8 101"',
      '2 offer: only rtpengine: sdp.media[0] "a=rtcp:<port 1>+1"',
      '2 offer: only rtprelayd: sdp.media[0] "m=audio <port 2> RTP/AVPF 0 8 101"',
      '2 offer: only rtprelayd: sdp.media[0] "a=rtcp:<port 2>+1"',
      '3 offer: only rtpengine: sdp.media[0] "m=audio <port 1> RTP/AVPF 0 8 101"',
      '3 offer: only rtpengine: sdp.media[0] "a=rtcp:<port 1>+1"',
      '3 offer: only rtprelayd: sdp.media[0] "m=audio <port 2> RTP/AVPF 0 8 101"',
      '3 offer: only rtprelayd: sdp.media[0] "a=rtcp:<port 2>+1"',
    ],
  },
  {
    sequence: 'an empty body',
    reason: 'Relations are told by medias, and a call without SDP has none yet.',
    differences: [
      '2 query: only rtpengine: tags.<untagged 1>.subscribers[0]',
      '2 query: only rtpengine: tags.<untagged 1>.subscriptions[0]',
      '2 query: only rtpengine: tags.a.subscribers[0]',
      '2 query: only rtpengine: tags.a.subscriptions[0]',
    ],
  },
  {
    sequence: 'JSON texts',
    reason:
      'Byte strings of SIP are taken as they are; a member that is null does not cost the message.',
    differences: [
      '3 not UTF-8: error-reason: rtpengine "Failed to parse JSON document", rtprelayd "Unknown call-id"',
      '5 true and null: rtpengine "error" "Could not decode bencode dictionary", rtprelayd "pong"',
    ],
  },
  {
    sequence: 'body: o= with more words',
    reason:
      '10.5 keeps the further words, which RFC 8866 §5.2 does not know; the line is written without them.',
    differences: [
      '1 offer: only rtpengine: sdp.session "o=ann 7001 3 IN IP4 192.0.2.10 more"',
      '1 offer: only rtprelayd: sdp.session "o=ann 7001 3 IN IP4 192.0.2.10"',
    ],
  },
  {
    sequence: 'body: no o=',
    reason: 'The line is required (RFC 8866 §5); the body is repaired.',
    differences: ['1 offer: only rtprelayd: sdp.session "o=- 0 0 IN IP4 0.0.0.0"'],
  },
  {
    sequence: 'body: no s= and t=',
    reason: 'The lines are required (RFC 8866 §5); the body is repaired.',
    differences: ['1 offer: only rtprelayd: sdp.session "s=-"'],
  },
  {
    sequence: 'body: m= without formats',
    reason: '10.5 keeps an rtpmap of a number that the m= line lacks.',
    differences: ['1 offer: only rtpengine: sdp.media[0] "a=rtpmap:101 telephone-event/8000"'],
  },
  {
    sequence: 'body: no m=',
    reason:
      '10.5 keeps the call although it answers with an error; an error leaves nothing behind here.',
    differences: ['2 query: rtpengine "ok", rtprelayd "error" "Unknown call-id"'],
  },
  {
    sequence: 'body: only v=',
    reason:
      '10.5 keeps the call although it answers with an error; an error leaves nothing behind here.',
    differences: ['2 query: rtpengine "ok", rtprelayd "error" "Unknown call-id"'],
  },
  {
    sequence: 'body: an rtpmap that is none',
    reason: '10.5 keeps the malformed attribute beside the right one.',
    differences: ['1 offer: only rtpengine: sdp.media[0] "a=rtpmap:8 foo"'],
  },
  {
    sequence: 'two branches, answer without via-branch',
    reason:
      'An answer with an unknown tag is that of a branch that has not answered yet, whose ports it was offered; 10.5 makes a third one.',
    differences: [
      '5 query: only rtpengine: tags.<untagged 1>',
      '5 query: only rtpengine: tags.a.subscriptions[2]',
      '5 query: only rtprelayd: tags.y.via-branch = "b1"',
      '5 query: tags.y.medias[0].streams[0].local port: rtpengine <port 5>, rtprelayd <port 1>',
      '5 query: tags.y.medias[0].streams[1].local port: rtpengine <port 5>+1, rtprelayd <port 1>+1',
    ],
  },
  {
    sequence: 'a second answer with another to-tag',
    reason: 'An alias of the tag that answered first, as with the current release (§7).',
    differences: [
      '5 query: only rtpengine: tags.a.subscriptions[1]',
      '5 query: only rtpengine: tags.y',
    ],
  },
  {
    sequence: 'first offer with a to-tag, answered by another',
    reason: 'An alias of the tag that the offer named, as with the current release (§7).',
    patterns: [
      /^3 query: only rtpengine: tags\.(?:a\.subscriptions\[1\]|x)$/,
      /^3 query: only rtprelayd: tags\.z\./,
      /^3 query: tags\.a\.subscri(?:ber|ption)s\[0\]\.tag: rtpengine "x", rtprelayd "z"$/,
      /^3 query: tags\.z\.medias\[0\]\.(?:flags|streams\[[01]\]\.flags): /,
    ],
  },
  {
    sequence: 'a cookie used twice',
    reason:
      '10.5 gives whatever comes under a known cookie the first reply. Two proxies may count alike: only the same bytes are a repetition.',
    differences: ['2 list: rtpengine "pong", rtprelayd "ok"'],
  },
  {
    sequence: 'a failed command under the same cookie',
    reason: 'As above.',
    differences: ['2 ping: rtpengine "error" "Unrecognized command", rtprelayd "pong"'],
  },
];
