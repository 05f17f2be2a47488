/** Codec lists as far as no codec is run, and packet times. */
import { answer, offer, reoffer, sequence, type Sequence } from '../sequence.js';
import type { NgDictionary } from '../../../support/bencode.js';

const bodyOf = (user: string, address: string, lines: readonly string[]): string =>
  [
    ...['v=0', `o=${user} 7001 3 IN IP4 ${address}`, 's=call one', `c=IN IP4 ${address}`, 't=0 0'],
    ...lines,
    '',
  ].join('\r\n');

const offered = bodyOf('ann', '192.0.2.10', [
  ...['m=audio 6000 RTP/AVP 0 8 9 101 96', 'a=rtpmap:101 telephone-event/8000', 'a=fmtp:101 0-15'],
  ...['a=rtpmap:96 opus/48000/2', 'a=rtcp-fb:96 nack', 'a=ptime:20'],
]);
const narrow = (formats: string, ...more: readonly string[]): string =>
  bodyOf('bea', '192.0.2.77', [
    `m=audio 7000 RTP/AVP ${formats}`,
    ...(formats.includes('101') ? ['a=rtpmap:101 telephone-event/8000', 'a=fmtp:101 0-15'] : []),
    ...more,
  ]);

type Keys = Readonly<Record<string, readonly string[]>>;

const offers: readonly (readonly [codec: Keys, answered: string])[] = [
  [{ strip: ['PCMA'] }, '0 101'],
  [{ strip: ['pcmu', 'opus/48000/2', 'PCMA/16000'] }, '8 101'],
  [{ strip: ['all'], except: ['PCMA'] }, '8'],
  [{ strip: ['all'], offer: ['G722', 'PCMU'] }, '0'],
  [{ strip: ['all'], offer: ['PCMU'], except: ['G722'] }, '9'],
  [{ strip: ['PCMU'], except: ['PCMU'] }, '8'],
  [{ offer: ['G722', 'PCMU'] }, '0'],
  [{ strip: ['all'] }, '0'],
  [{ mask: ['PCMU'] }, '8 101'],
  [{ strip: ['PCMA'], offer: ['PCMA'] }, '0 8'],
  [{ strip: ['all', 'PCMA'], offer: ['PCMA'] }, '8'],
  [{ strip: ['full', 'PCMA'], offer: ['PCMA', 'PCMU'] }, '0'],
  [{ mask: ['PCMA'], offer: ['PCMA'] }, '8'],
];

/** Codecs with and without a second channel, told by name, clock and channels. */
const channels = bodyOf('ann', '192.0.2.10', [
  ...['m=audio 6000 RTP/AVP 96 97 98 9 0', 'a=rtpmap:96 opus/48000/2'],
  ...['a=rtpmap:97 L16/44100/2', 'a=rtpmap:98 L16/44100'],
]);
const names = [
  ...['opus', 'OPUS/48000/2', 'opus/48000', 'opus/48000/0', 'opus/', 'opus/0', 'opus//2'],
  ...['opus/48k/2', 'L16', 'L16/44100', 'L16/44100/', 'L16/44100/1', 'L16/44100/2', 'L16//2'],
  ...['G722/8000', 'G722/16000', 'PCMU/8000/1', 'PCMU/8000/2'],
  ...['L16/44100/2/64000', 'PCMU/8000/1/', 'PCMU/8000/1//20', 'opus/48000/2///useinbandfec--1'],
];

const answers: readonly (readonly [name: string, keys: NgDictionary])[] = [
  ['stripped', { codec: { strip: ['PCMU'] } }],
  ['with an offer list', { codec: { offer: ['PCMA'] } }],
  ['with a single codec', { flags: ['single-codec'] }],
];

export const codecSequences: readonly Sequence[] = [
  ...offers.map(([codec, answered]) =>
    sequence(
      `codecs ${JSON.stringify(codec)}`,
      offer(offered, { codec }),
      answer(narrow(answered)),
      reoffer(offered),
    ),
  ),
  ...names.flatMap((name) => [
    sequence(`stripped: ${name}`, offer(channels, { codec: { strip: [name] } })),
    sequence(`excepted: ${name}`, offer(channels, { codec: { strip: ['all'], except: [name] } })),
  ]),
  sequence(
    'codecs by flag words',
    offer(offered, {
      flags: [
        'codec-strip-PCMU',
        'codec-strip-opus/48000/2',
        'codec-mask-G722',
        'codec-except-PCMU',
      ],
    }),
    answer(narrow('8 101')),
  ),
  ...answers.map(([name, keys]) =>
    sequence(`an answer ${name}`, offer(offered), answer(narrow('0 8 101'), keys)),
  ),
  sequence(
    'ptime both ways',
    offer(offered, { ptime: 40, 'ptime-reverse': 30 }),
    answer(narrow('0', 'a=ptime:20')),
  ),
  sequence(
    'ptime towards the answerer',
    offer(offered, { ptime: 40 }),
    answer(narrow('0', 'a=ptime:40')),
  ),
];
