/** Block and silence commands: what becomes of each kind of packet. */
import type { MediaSection } from '../../../support/sdp.js';
import type { NgDictionary } from '../../../support/bencode.js';
import {
  answer,
  command,
  datagrams,
  media,
  offer,
  phoneWith,
  report,
  sequence,
  type Party,
  type Sequence,
  type Step,
} from '../sequence.js';

const codecs = (port: number): MediaSection => ({
  port,
  formats: '8 0 9 18 96 98 101 13',
  lines: [
    'a=rtpmap:96 PCMA/8000',
    'a=rtpmap:98 PCMU/16000',
    'a=rtpmap:101 telephone-event/8000',
    'a=rtpmap:13 CN/8000',
  ],
});

const sections: Readonly<Record<string, (port: number) => MediaSection>> = {
  audio: codecs,
  video: (port) => ({ type: 'video', port, formats: '96', lines: ['a=rtpmap:96 H264/90000'] }),
  fax: (port) => ({ type: 'image', port, protocol: 'udptl', formats: 't38' }),
};

interface Variant {
  /** First octet: version 2, and padding, extension, number of CSRCs. */
  readonly first?: number;
  readonly before?: readonly number[];
  readonly after?: readonly number[];
}

let sequenceNumber = 0;

/** RTP with a sound that is no silence. */
function rtp(type: number, { first = 0x80, before = [], after = [] }: Variant = {}): Buffer {
  const header = Buffer.from([first, type, 0, 0, 0, 0, 0, 0, 0x0a, 0x0b, 0x0c, 0x0d]);
  sequenceNumber = (sequenceNumber + 1) & 0xffff;
  header.writeUInt16BE(sequenceNumber, 2);
  header.writeUInt32BE(sequenceNumber * 160, 4);
  return Buffer.from([...header, ...before, 1, 2, 3, 4, 5, 6, 7, 8, ...after]);
}

const anything = (): readonly Buffer[] => [
  ...[8, 0, 9, 18, 96, 98, 101, 13].map((type) => rtp(type)),
  rtp(8 | 0x80),
  rtp(101 | 0x80),
  rtp(8, { first: 0xa0, after: [0, 0, 0, 4] }),
  rtp(8, { first: 0x82, before: [1, 1, 1, 1, 2, 2, 2, 2] }),
  rtp(0, { first: 0x90, before: [0xbe, 0xde, 0, 1, 1, 2, 3, 4] }),
  rtp(8).subarray(0, 12),
];

const established = (kind = 'audio'): readonly Step[] => {
  const section = sections[kind] ?? codecs;
  return [
    offer(phoneWith('a', section)),
    answer(phoneWith('x', section)),
    media('a', 2),
    media('x', 2),
  ];
};
/**
 * What is sound only: rtpengine holds DTMF back until the numbers that are missing between two digits
 * have come, which in a stream with other packets in between they never do.
 */
const sounds = (): readonly Buffer[] =>
  anything().filter((packet) => (packet.readUInt8(1) & 0x7f) !== 101);
const heard = (...parties: readonly Party[]): readonly Step[] =>
  parties.map((party) => datagrams(party, anything()));
const soundOf = (...parties: readonly Party[]): readonly Step[] =>
  parties.map((party) => datagrams(party, sounds()));

const commands = [
  ['block media', 'unblock media', soundOf],
  ['block DTMF', 'unblock DTMF', heard],
  ['silence media', 'unsilence media', soundOf],
] as const;

const [whole, ofA, everybody]: readonly [NgDictionary, NgDictionary, NgDictionary] = [
  {},
  { 'from-tag': 'a' },
  { flags: ['all'] },
];

export const restrictionSequences: readonly Sequence[] = [
  ...commands.flatMap(([on, off, concerned]) => [
    ...Object.keys(sections).map((kind) =>
      sequence(
        `${on} packet by packet: ${kind}`,
        ...established(kind),
        command(on),
        ...heard('a', 'x'),
        report('a'),
        command(off),
        ...heard('a', 'x'),
      ),
    ),
    sequence(
      `${on} of one party, ended for the call and for all`,
      ...established(),
      command(on, ofA),
      ...concerned('a', 'x'),
      command(off, whole),
      ...concerned('a'),
      command(off, everybody),
      ...concerned('a'),
    ),
    sequence(
      `${on} of all, ended for one and for the call`,
      ...established(),
      command(on, everybody),
      ...concerned('a', 'x'),
      command(off, ofA),
      ...concerned('a', 'x'),
      command(off, whole),
      ...concerned('a', 'x'),
    ),
    sequence(
      `${on} of all, though one is named`,
      ...established(),
      command(on, { ...ofA, ...everybody }),
      ...concerned('a', 'x'),
      command(off, { 'from-tag': 'x', ...everybody }),
      ...concerned('a', 'x'),
    ),
    sequence(
      `${on} by label and address`,
      ...established(),
      command(on, { ...ofA, 'set-label': 'one' }),
      command(off, { label: 'one' }),
      ...soundOf('a', 'x'),
      command(on, { address: '127.0.0.1' }),
      ...soundOf('a', 'x'),
      command(off, { 'from-label': 'one' }),
      ...soundOf('a', 'x'),
    ),
    sequence(
      `${on} outlives a re-offer`,
      ...established(),
      command(on, ofA),
      offer(phoneWith('a', codecs), { 'to-tag': 'x' }),
      answer(phoneWith('x', codecs)),
      ...concerned('a', 'x'),
    ),
  ]),
  sequence(
    'everything restricted at once',
    ...established(),
    command('silence media'),
    command('block media', ofA),
    ...heard('a', 'x'),
    command('block DTMF'),
    ...heard('a', 'x'),
    command('unblock media', ofA),
    ...heard('a', 'x'),
  ),
];
