/**
 * Where rtprelayd answers otherwise than rtpengine 12.5, beside what it does otherwise than 10.5 and 12.5 alike, and why.
 * See docs/reference/debian-13.md.
 */
import type { ExpectedDifference, GeneralDifference } from './expected-differences.js';

/** Not sent to 12.5. */
export const notAskedOf125: ReadonlySet<string> = new Set([
  // It never answers the delete.
  '130 sections',
]);

/** Differences of any sequence, with the number and name of the step. */
export const generalOf125: readonly GeneralDifference[] = [
  {
    reason: '12.5 lists the sources of a stream, the current release those of a media.',
    pattern: /: only rtp\w+: tags\..*(?:in|e)gress SSRCs(?: = .*)?$/,
  },
  {
    reason:
      '12.5 forgets where a refused section was to be sent, and shows a port again that it had before.',
    pattern:
      /: (?:only rtprelayd: )?tags\..*\.(?:advertised )?endpoint\.(?:address|family|port)(?: = |: rtpengine \d+, rtprelayd [01]$)/,
  },
  {
    reason: 'As above.',
    pattern:
      /streams\[\d\]\.flags: rtpengine \[(?:RTP|RTCP|RTCP, \w+(?: RTCP)?|)\], rtprelayd \[.*filled.*\]$/,
  },
  {
    reason: '12.5 shows the last association of a caller with two branches, 10.5 each.',
    pattern: /: only rtprelayd: tags\..*\.(?:subscription|subscriber)s\[\d+\]$/,
  },
  {
    reason:
      'Who is deleted is shown once more, as 10.5 does: proxies take their statistics from it.',
    pattern: /^\d+ delete: (?:only rtprelayd: tags\.|totals\.RTP\.(?:bytes|packets): rtpengine 0,)/,
  },
  {
    reason: 'Of no matter without ICE.',
    pattern:
      /flags: rtpengine \[(?:ICE controlling, )?(?<same>.*)\], rtprelayd \[(?:ICE controlling, )?\k<same>\]$/,
  },
  {
    reason:
      "A body of the daemon's own has an o= line of its own, as with 10.5 and the current release.",
    pattern: /^\d+ publish: only rtp\w+: sdp\.session "o=/,
  },
  {
    reason: '12.5 names no source in a stream.',
    pattern: /: only rtprelayd: tags\..*streams\[\d\]\.SSRC = /,
  },
  {
    reason: '12.5 has no such figures.',
    pattern:
      /statistics: only rtprelayd: statistics\.(?:intervalstatistics|interfaces\[\d\]\.ports\.last = int)$/,
  },
  {
    reason: 'An empty call-id is one, as with 10.5.',
    pattern:
      /: (?:rtpengine "error" "No call-id in message", rtprelayd "ok"|calls: rtpengine \[, )/,
  },
  {
    reason: '12.5 cannot write a body of which every section is refused.',
    pattern: /: rtpengine "error" "Error rewriting SDP", rtprelayd "ok"$/,
  },
];

const each = (
  reason: string,
  sequences: readonly string[],
  ...patterns: readonly RegExp[]
): readonly ExpectedDifference[] => sequences.map((sequence) => ({ sequence, reason, patterns }));

const whole = [
  ...[
    /delete: only rtpengine: (?:SSRC|created|created_us|last signal|last redis update|tags|totals)/,
  ],
  /delete: only rtprelayd: warning = /,
];

export const expectedOf125: readonly ExpectedDifference[] = [
  ...each(
    '12.5 looks at a to-tag only where the flag says so, and then deletes the whole call, or by the via-branch; what Kamailio 5.6 was used to stays.',
    [
      'delete with unknown tags',
      'delete of two answered branches: by an unknown to-tag',
      'delete of two early branches: by an unknown to-tag',
    ],
    ...whole,
  ),
  ...each(
    'As above.',
    ['delete with unknown tags'],
    /^5 query: rtpengine "error" "Unknown call-id"/,
  ),
  ...each(
    'As above.',
    [
      'delete of two answered branches: by a to-tag and the other via-branch',
      'delete of two early branches: by an unknown to-tag and a via-branch',
    ],
    /delete: only rtpengine: tags\.[ay<]/,
  ),
  ...each(
    'A branch that is left keeps the call, as with 10.5.',
    ['delete of both branches ends the call'],
    /^6 delete: only rtpengine: warning = /,
  ),
  ...each('As above.', ['delete of the answered of two branches'], /^5 answer: rtpengine "error"/),
  ...each(
    'As above.',
    ['a subscriber goes'],
    /^8 RTP from a: y received RTP: rtpengine 0, rtprelayd 5$/,
    /^8 RTP from a: y received from: /,
    /^9 query: rtpengine "error" "Unknown call-id"/,
  ),
  ...each(
    'The answer names who offers.',
    ['answer with an unknown from-tag'],
    /^3 query: only rtpengine: tags\.<untagged/,
    /^3 query: only rtprelayd: tags\.q$/,
    /^3 query: tags\.x\.subscri.*: rtpengine "", rtprelayd "q"$/,
  ),
  ...each(
    'An alias of the tag that the offer named.',
    ['first offer with a to-tag, answered by another'],
    /^3 query: only rtprelayd: tags\.z$/,
  ),
  ...each(
    'Ports of a branch that has gone are not taken again by 12.5 for the same phone.',
    ['forked early media, one branch hung up'],
    /^[67] (?:offer|answer): only rtp\w+: sdp\.media\[0\] "(?:m=audio|a=rtcp:)/,
  ),
  ...each(
    'Both lines are kept, as with 10.5.',
    ['two fmtp of one payload type'],
    /^1 offer: only rtprelayd: sdp\.media\[0\] "a=fmtp:96 two=2"$/,
  ),
  ...each(
    'Digits are blocked by who is named without `directional` too, as with 10.5: Kamailio 5.6 never sends that flag.',
    [
      'block DTMF of one party, ended for the call and for all',
      'block DTMF of all, ended for one and for the call',
      'block DTMF outlives a re-offer',
    ],
    /datagrams from \w: only rtp\w+: \w received /,
  ),
  ...each(
    'As above.',
    ['block DTMF by label and address'],
    /unblock DTMF: rtpengine "error" "No monologue matching the given label", rtprelayd "ok"$/,
  ),
  ...each(
    'As above.',
    ['block DTMF', 'unblock DTMF', 'start forwarding', 'stop forwarding'].map(
      (command) => `${command} and whom it concerns`,
    ),
    /^5 .*: rtpengine "ok", rtprelayd "error" "From-tag given, but no such tag exists"$/,
  ),
  ...each(
    '12.5 counts what it goes on sending to a former subscription.',
    ['parties of a call are heard'],
    /query: tags\.y\.medias\[0\]\.streams\[0\]\.stats_out\./,
  ),
  ...each(
    '12.5 learns from whom packets come, though not where to send them; here as in 10.5 only the signalled source counts.',
    ['asymmetric and strict-source'],
    /^\d RTP from [az]: x received (?:RTP|from): /,
  ),
  ...each('An attribute without a name is passed on as it came.', ['read: a=:'], /"a=:?"$/),
  ...each(
    'A line that stands in the wrong part is read, as by 10.5.',
    ['read: t=0 0 behind a section'],
    /^1 offer: rtpengine "error" "Failed to parse SDP"/,
    /^2 query: rtpengine "error" "Unknown call-id"/,
  ),
];
