/** Differences from both releases of rtpengine that are no faults, and why. */
import { generalDifferences, type GeneralDifference } from '../expected-differences.js';
import { generalOf125 } from '../expected-of-12.5.js';

const others: readonly GeneralDifference[] = [
  {
    reason:
      'RTCP that shares a port has none of its own; 10.5 and 12.5 go on showing a former one.',
    pattern: /streams\[1\]\.local port: rtpengine <port \d+>(?:\+1)?, rtprelayd 0$/,
  },
  {
    reason:
      'A section that was left out comes back where it was; 10.5 and 12.5 write the address of the interface that `direction` has named since, with the ports of the former.',
    pattern: /^only rtp\w+: sdp\.media\[1\] "c=IN IP4 (?:203\.0\.113\.5|127\.0\.0\.1)"$/,
  },
  {
    reason: 'Who was never there is no party of the call.',
    pattern: /^only rtpengine: tags\.[yz]$/,
  },
  {
    reason: 'Nothing was offered: 12.5 refuses a body of which every section is refused.',
    pattern: /^rtpengine "error" "No SDP body in message", rtprelayd "ok"$/,
  },
  {
    reason: 'There is no body that it could be copied from.',
    pattern: /^only rtprelayd: sdp\.media\[\d\] "a=(?:sendonly|recvonly)"$/,
  },
  {
    reason: 'What comes to the port of a section that has been refused is counted.',
    pattern:
      /(?:stats|totals\.RTP)\.(?:packets|bytes|errors): rtpengine 0, rtprelayd \d+$|^only rtprelayd: tags\..*\.codec = /,
  },
  {
    reason: 'Each party is named once.',
    pattern: /^from-tags: rtpengine \[(\w+), \1\], rtprelayd \[\1\]$/,
  },
  {
    reason: 'The receiver would take us for a lite agent (conformance.md).',
    pattern: /^only rtpengine: sdp\.session "a=ice-lite"$/,
  },
  {
    reason: 'An rtpmap without a name is no attribute of RFC 8866.',
    pattern: /^only rtpengine: sdp\.media\[\d+\] "a=rtpmap:\d+ \/0"$/,
  },
  {
    reason: 'Shown by 26.3.',
    pattern: /^only rtprelayd: tags\.[^.]+\.metadata = /,
  },
  {
    reason: 'Media that are not relayed have no ports of ours, and their mid is written once.',
    pattern:
      /^only rtpengine: (?:tags\..*\.streams\[\d\]\.(?:local port|family|local address) = |sdp\.media\[\d\] "a=mid:\w+" again)/,
  },
];

/** With the number and name of the step. */
const ofSteps: readonly GeneralDifference[] = [
  {
    reason: 'What a part that is subscribed to is sent in (conformance.md).',
    pattern: /^\d+ subscribe request: only rtprelayd: sdp\.media\[\d+\] "a=ptime:\d+"$/,
  },
  ...generalOf125,
];

export function isUsual(difference: string): boolean {
  const bare = difference.replace(/^\d+ [^:]*: /, '');
  return (
    [...generalDifferences, ...others].some(({ pattern }) => pattern.test(bare)) ||
    ofSteps.some(({ pattern }) => pattern.test(difference))
  );
}
