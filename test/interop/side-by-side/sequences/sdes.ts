/** SDES and OSRTP: every protocol with every other, the words that 10.5 has, re-offers of either side. */
import {
  answer,
  audioOf,
  called,
  calleeOffer,
  callerAnswer,
  offer,
  reoffer,
  sequence,
  type Sequence,
} from '../sequence.js';
import type { NgDictionary } from '../../../support/bencode.js';
import type { SdpOptions } from '../../../support/sdp.js';

const suite = 'AES_CM_128_HMAC_SHA1_80';
const key = 'MDEyMzQ1Njc4OUFCQ0RFRjAxMjM0NTY3ODlBQkNE';
const otherKey = 'QkNERUYwMTIzNDU2Nzg5QUJDREVGMDEyMzQ1Njc4';
const line = (tag: number, text = key, name = suite, more = ''): string =>
  `a=crypto:${tag} ${name} inline:${text}${more}`;

/** DTLS is not compared: it does not end here. */
const noDtls: NgDictionary = { DTLS: 'off' };
const from = (protocol: string, ...lines: readonly string[]): SdpOptions => ({
  media: [{ ...audioOf(6000, ...lines), protocol }],
});
const reply = (protocol: string, ...lines: readonly string[]): SdpOptions =>
  called([{ ...audioOf(7000, ...lines), protocol }]);
const wanting = (protocol: string, more: NgDictionary = {}): NgDictionary => ({
  ...noDtls,
  'transport-protocol': protocol,
  ...more,
});

const protocols = ['RTP/AVP', 'RTP/AVPF', 'RTP/SAVP', 'RTP/SAVPF'];
const isSecure = (protocol: string): boolean => protocol.includes('SAVP');

function conversions(): readonly Sequence[] {
  return protocols.flatMap((left) =>
    protocols.map((right) =>
      sequence(
        `keys from ${left} to ${right}`,
        offer(from(left, ...(isSecure(left) ? [line(1)] : [])), wanting(right)),
        // The line that was passed on, or the one of this suite among ours.
        answer(reply(right, ...(isSecure(right) ? [line(isSecure(left) ? 1 : 7, otherKey)] : []))),
      ),
    ),
  );
}

const words: readonly (readonly string[])[] = [
  ['off'],
  ['pad'],
  ['lifetime'],
  ['unencrypted_srtp'],
  ['unencrypted_srtcp', 'unauthenticated_srtp'],
  ['encrypted_srtp', 'encrypted_srtcp', 'authenticated_srtp'],
  ['no-AEAD_AES_256_GCM', 'no-F8_128_HMAC_SHA1_80'],
];

export const sdesSequences: readonly Sequence[] = [
  ...conversions(),
  ...words.map((list) =>
    sequence(
      `SDES ${list.join(' and ')}`,
      offer(from('RTP/AVP'), wanting('RTP/SAVP', { SDES: list })),
    ),
  ),
  sequence('pad-crypto', offer(from('RTP/AVP'), wanting('RTP/SAVP', { flags: ['pad-crypto'] }))),
  sequence(
    'two lines of keys, the second is taken',
    offer(from('RTP/SAVP', line(5, key, 'AES_CM_128_HMAC_SHA1_32'), line(6)), noDtls),
    answer(reply('RTP/SAVP', line(6, otherKey))),
  ),
  sequence(
    'two lines of keys, answered in the clear',
    offer(from('RTP/SAVP', line(5, key, 'AES_CM_128_HMAC_SHA1_32'), line(6)), wanting('RTP/AVP')),
    answer(reply('RTP/AVP'), { SDES: ['pad', 'lifetime', 'unencrypted_srtp'] }),
  ),
  sequence(
    'keys with lifetime, MKI and parameters',
    offer(from('RTP/SAVP', line(1, key, suite, '|2^20|1:4 UNENCRYPTED_SRTCP')), noDtls),
    answer(reply('RTP/SAVP', line(1, otherKey, suite, '|1048576|2:1'))),
  ),
  sequence(
    'parameters of keys are mirrored',
    offer(from('RTP/SAVP', line(1, key, suite, '|9:2 UNENCRYPTED_SRTP')), wanting('RTP/AVP')),
    answer(reply('RTP/AVP')),
  ),
  sequence(
    'a suite in small letters, and one that nobody knows',
    offer(from('RTP/SAVP', line(0, key, 'X_Y_Z'), line(3, key, suite.toLowerCase())), noDtls),
    answer(reply('RTP/SAVP', line(3, otherKey))),
  ),
  sequence(
    'keys with plain RTP are passed on',
    offer(from('RTP/AVP', line(1)), noDtls),
    answer(reply('RTP/AVP', line(1, otherKey))),
  ),
  sequence(
    'keys with plain RTP, answered without',
    offer(from('RTP/AVP', line(1)), noDtls),
    answer(reply('RTP/AVP')),
  ),
  sequence(
    'keys with plain RTP end where a protocol is named',
    offer(from('RTP/AVP', line(1)), wanting('RTP/AVP')),
    answer(reply('RTP/AVP')),
  ),
  sequence(
    'OSRTP is offered and taken',
    offer(from('RTP/AVP'), { ...noDtls, OSRTP: ['offer'] }),
    answer(reply('RTP/AVP', line(7, otherKey))),
  ),
  sequence(
    'OSRTP is offered and not taken',
    offer(from('RTP/AVP'), { ...noDtls, OSRTP: ['offer'] }),
    answer(reply('RTP/AVP')),
  ),
  ...[
    ['taken', line(7, otherKey)],
    ['not taken', ''],
  ].flatMap(([name = '', key = '']) => {
    const keys = key === '' ? [] : [key];
    const osrtp = { OSRTP: ['offer'] };
    const exchange = [offer(from('RTP/AVP'), osrtp), answer(reply('RTP/AVP', ...keys))];
    return [
      sequence(
        `OSRTP is offered again, ${name} before`,
        ...exchange,
        reoffer(from('RTP/AVP'), osrtp),
        answer(reply('RTP/AVP', ...keys)),
      ),
      sequence(
        `a re-offer that does not ask for OSRTP, ${name} before`,
        ...exchange,
        reoffer(from('RTP/AVP')),
        answer(reply('RTP/AVP', ...keys)),
      ),
      sequence(
        `the callee offers, OSRTP ${name} before`,
        ...exchange,
        calleeOffer(reply('RTP/AVP', ...keys)),
        callerAnswer(from('RTP/AVP')),
      ),
    ];
  }),
  sequence(
    'OSRTP is offered for SRTP, and not taken',
    offer(from('RTP/SAVP', line(1)), wanting('RTP/AVP', { OSRTP: ['offer'] })),
    answer(reply('RTP/AVP')),
  ),
  sequence(
    're-offers keep the keys that are in use',
    offer(from('RTP/AVP'), wanting('RTP/SAVP')),
    answer(reply('RTP/SAVP', line(7, otherKey))),
    reoffer(from('RTP/AVP'), wanting('RTP/SAVP')),
    answer(reply('RTP/SAVP', line(7, otherKey))),
    calleeOffer(reply('RTP/SAVP', line(1, otherKey)), wanting('RTP/AVP')),
    callerAnswer(from('RTP/AVP')),
  ),
  sequence(
    're-offers of SRTP that is passed through',
    offer(from('RTP/SAVP', line(1)), noDtls),
    answer(reply('RTP/SAVP', line(1, otherKey))),
    reoffer(from('RTP/SAVP', line(1)), noDtls),
    answer(reply('RTP/SAVP', line(1, otherKey))),
    calleeOffer(reply('RTP/SAVP', line(1, otherKey)), noDtls),
    callerAnswer(from('RTP/SAVP', line(1))),
  ),
  sequence(
    'a section with keys beside one without',
    offer(
      { media: [{ ...audioOf(6000, line(1)), protocol: 'RTP/SAVP' }, audioOf(6100)] },
      wanting('RTP/AVP'),
    ),
    answer(called([audioOf(7000), audioOf(7100)])),
  ),
];
