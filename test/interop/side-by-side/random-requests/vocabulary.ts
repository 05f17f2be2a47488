/** What random requests are made of. */
import type { NgDictionary } from '../../../support/bencode.js';
import { dtlsLines, iceLines, phoneKeys } from './phones.js';

export const audioLines: readonly string[] = [
  ...['a=ptime:20', 'a=ptime:40', 'a=maxptime:60', 'a=fmtp:101 0-15', 'a=rtcp:6101', 'a=rtcp-mux'],
  ...['b=AS:64', 'b=TIAS:64000', 'i=title', 'a=label:5', 'a=x-foo', 'a=X-Bar:1', 'a=rtcp-rsize'],
  ...['a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level', 'a=extmap-allow-mixed'],
  'a=extmap:2/sendonly http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time',
  ...['a=rtcp-fb:* nack', 'a=rtcp-fb:0 nack pli', 'a=rtcp-fb:8 ccm fir', 'a=ssrc:1 cname:x'],
  ...['a=ssrc-group:FID 1 2', 'a=msid:a b', 'a=rid:1 send', 'a=simulcast:send 1', 'a=lang:en'],
  ...['a=curr:qos local none', 'a=des:qos none local sendrecv', 'a=content:main', 'a=framerate:30'],
  ...['a=rtcp-xr:rcvr-rtt=all', 'a=bundle-only', 'a=silenceSupp:off - - - -', 'a=quality:5'],
  ...['a=key-mgmt:mikey x', 'a=rtpmap:8 PCMA/8000', 'a=rtpmap:0 PCMU/8000/1'],
];

export const directionLines = ['a=sendrecv', 'a=sendonly', 'a=recvonly', 'a=inactive'] as const;

export const sessionLines: readonly string[] = [
  ...['a=ice-lite', 'a=x-sess', 'a=msid-semantic: WMS *', 'a=tool:abc'],
  ...['a=ice-options:trickle', 'a=rtcp-fb:* nack', 'a=extmap-allow-mixed', 'a=charset:UTF-8'],
  ...['a=ptime:30', 'a=rtcp-mux', 'b=AS:128', 'i=about', 'e=a@b', 'p=+49 1'],
];

const flag = (...words: readonly string[]): NgDictionary => ({ flags: words });

export const replaceKeys: readonly NgDictionary[] = [
  ...[['origin'], ['origin', 'SDP-version'], ['SDP-version'], ['username', 'session-name']],
  ...[['session-connection'], ['zero-address'], ['force-increment-sdp-ver'], ['origin-full']],
  ['origin', 'session-connection', 'SDP-version', 'username', 'session-name'],
].map((words) => ({ replace: words }));

export const flagKeys: readonly NgDictionary[] = [
  ...['no-rtcp-attribute', 'full-rtcp-attribute', 'original-sendrecv', 'generate-mid', 'debug'],
  ...['asymmetric', 'symmetric', 'port-latching', 'no-port-latching', 'unidirectional'],
  ...['trust-address', 'SIP-source-address', 'reset', 'pierce-NAT', 'strip-extmap', 'NAT-wait'],
  ...['strict-source', 'media-handover', 'loop-protect', 'record-call', 'no-redis-update'],
].map((word) => flag(word));

export const addressKeys: readonly NgDictionary[] = [
  ...[
    ['lo', 'ext'],
    ['ext', 'lo'],
    ['ext', 'ext'],
    ['ext'],
    ['internal', 'external'],
    ['no', 'lo'],
  ],
].map((direction): NgDictionary => ({ direction }));
export const placeKeys: readonly NgDictionary[] = [
  ...addressKeys,
  ...[{ 'from-interface': 'ext' }, { 'media-address': '203.0.113.9' }],
  ...[{ 'address-family': 'IP4' }, { 'address-family': 'IP6' }, { 'media-address': '2001:db8::9' }],
  { 'received-from': ['IP4', '192.0.2.50'], ...flag('SIP-source-address') },
];

export const muxKeys: readonly NgDictionary[] = [...[['offer'], ['accept'], ['reject']]].map(
  (words): NgDictionary => ({ 'rtcp-mux': words }),
);
/** Words after which 10.5 and 12.5 show other ports than we, see `random.test.ts`. */
const firmMuxKeys: readonly NgDictionary[] = [['require'], ['demux'], ['offer', 'require']].map(
  (words): NgDictionary => ({ 'rtcp-mux': words }),
);

export const otherKeys: readonly NgDictionary[] = [
  ...[{ label: 'L' }, { TOS: 184 }, { 'delete-delay': 3 }],
  ...[{ metadata: 'm' }, { 'endpoint-learning': 'off' }, { 'endpoint-learning': 'immediate' }],
  ...[{ ICE: 'remove' }, { ICE: 'default' }, { 'transport-protocol': 'RTP/AVPF' }],
  ...[{ 'transport-protocol': 'RTP/AVP' }, { 'transport-protocol': 'foo' }],
  ...[{ 'generate-RTCP': 'off' }, { supports: ['load limit'] }],
];

const codecWord = (text: string): NgDictionary => flag(text);
export const codecKeys: readonly NgDictionary[] = [
  ...[
    ...[{ strip: ['PCMA'] }, { strip: ['all'], except: ['PCMU'] }, { offer: ['PCMU'] }],
    ...[{ strip: ['all'], offer: ['PCMA', 'PCMU'] }, { strip: ['telephone-event'] }],
    ...[{ strip: ['PCMA', 'PCMU'] }, { except: ['PCMA'] }, { offer: ['opus', 'PCMA'] }],
    ...[{ strip: ['opus'] }, { strip: ['opus/48000/2'] }, { strip: ['pcma/8000/1'] }],
    ...[{ strip: ['H264'] }, { strip: ['G729', 'opus'] }, { strip: ['rtx'] }, { strip: ['G722'] }],
    ...[{ strip: ['all'], offer: ['PCMA', 'telephone-event'] }, { ignore: ['G729'] }],
    ...[
      { strip: ['full'], except: ['PCMA'] },
      { strip: ['all'], except: ['opus', 'PCMA'] },
    ],
  ].map((codec): NgDictionary => ({ codec })),
  ...['single-codec', 'reuse-codecs', 'static-codecs', 'reorder-codecs', 'symmetric-codecs'].map(
    codecWord,
  ),
  ...['codec-strip-PCMA', 'codec-offer-PCMU', 'asymmetric-codecs'].map(codecWord),
  flag('codec-except-PCMA', 'codec-strip-all'),
  flag('codec-strip-all', 'codec-offer-PCMA', 'codec-offer-telephone-event'),
];

const attributes = [
  ...['sendrecv', 'ptime:20', 'rtpmap:8 PCMA/8000', 'rtpmap:101 telephone-event/8000', 'mid:a1'],
  ...[
    'fmtp:101 0-15',
    'rtcp-mux',
    'x-foo',
    'X-Bar:1',
    'x-bar:1',
    'label:5',
    'foo',
    'rtcp',
    'x:y z',
  ],
  ...['extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level', 'x-sess', 'tool:abc', 'msid:a b'],
  ...['ssrc:1 cname:x', 'sendonly', 'group:BUNDLE a1 v', 'setup:actpass', 'T38FaxVersion:0'],
];
const attributeEdits = attributes.flatMap((each): readonly NgDictionary[] => [
  { remove: [each] },
  { add: [each] },
  { substitute: [[each, 'y:1 2']] },
  { substitute: [['sendrecv', each]] },
]);
export const attributeKeys: readonly NgDictionary[] = [
  ...['audio', 'video', 'none', 'global', 'application', 'session'].flatMap((section) =>
    attributeEdits.map((edit): NgDictionary => ({ 'sdp-attr': { [section]: edit } })),
  ),
  ...[
    { audio: { remove: ['ptime:20'], substitute: [['sendrecv', 'sendonly']], add: ['a', 'b'] } },
  ].map((edit): NgDictionary => ({ 'sdp-attr': edit })),
  ...attributes.flatMap((each) => [
    flag(`sdp-attr-remove-audio-${each}`),
    flag(`sdp-attr-add-none-${each}`),
    flag(`sdp-attr-substitute-audio-${each}>y:1 2`),
  ]),
  ...[{ 'sdp-media-remove': ['audio'] }],
];

export const secureKeys: readonly NgDictionary[] = [
  ...['RTP/SAVP', 'RTP/SAVPF', 'UDP/TLS/RTP/SAVPF', 'UDP/TLS/RTP/SAVP', 'RTP/AVP', 'RTP/AVPF'].map(
    (name) => ({ 'transport-protocol': name }),
  ),
  ...['remove', 'force', 'default', 'optional', 'force-relay'].map((word) => ({ ICE: word })),
  ...['forward', 'backward', 'both'].map((word) => ({ 'ICE-lite': word })),
  ...['off', 'passive', 'active'].map((word) => ({ DTLS: word })),
  ...[{ 'DTLS-reverse': 'passive' }, { 'DTLS-fingerprint': 'sha-1' }],
  ...[
    ...[['off'], ['no-AES_CM_128_HMAC_SHA1_80'], ['only-AES_CM_128_HMAC_SHA1_80'], ['nonew']],
    ...[['pad'], ['lifetime'], ['unencrypted_srtp'], ['static'], ['prefer'], ['encrypted_srtp']],
    ...[['unauthenticated_srtp', 'unencrypted_srtcp']],
    ['order:AES_CM_128_HMAC_SHA1_32;AES_CM_128_HMAC_SHA1_80'],
    ['offerer_pref:AES_CM_128_HMAC_SHA1_32'],
  ].map((SDES) => ({ SDES })),
  ...[['offer'], ['accept'], ['offer', 'accept'], ['offer-legacy'], ['accept-RFC']].map(
    (OSRTP) => ({
      OSRTP,
    }),
  ),
  ...['generate-mid', 'trickle-ICE', 'reject-ICE', 'no-rtcp-attribute', 'WebRTC', 'recrypt'].map(
    (word) => flag(word),
  ),
  ...['no-tls-id', 'reset', 'pad-crypto', 'SDES-off', 'SDES-no-AEAD_AES_256_GCM'].map((word) =>
    flag(word),
  ),
  ...muxKeys,
  ...firmMuxKeys,
];

export type Profile = 'plain' | 'feedback' | 'SDES' | 'SDES feedback' | 'DTLS' | 'WebRTC' | 'ICE';
export const profiles: readonly Profile[] = [
  ...(['plain', 'feedback', 'SDES', 'SDES feedback', 'DTLS', 'WebRTC', 'ICE'] as const),
];
const crypto = `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${phoneKeys.caller}`;
export const profileOf: Readonly<
  Record<Profile, { readonly protocol: string; readonly lines: readonly string[] }>
> = {
  plain: { protocol: 'RTP/AVP', lines: [] },
  feedback: { protocol: 'RTP/AVPF', lines: ['a=rtcp-fb:* nack'] },
  SDES: { protocol: 'RTP/SAVP', lines: [crypto] },
  'SDES feedback': { protocol: 'RTP/SAVPF', lines: [crypto, 'a=rtcp-fb:* nack'] },
  DTLS: { protocol: 'UDP/TLS/RTP/SAVP', lines: dtlsLines('actpass') },
  WebRTC: {
    protocol: 'UDP/TLS/RTP/SAVPF',
    lines: [...dtlsLines('actpass'), 'a=rtcp-mux', 'a=mid:0', ...iceLines],
  },
  ICE: { protocol: 'RTP/AVP', lines: iceLines },
};

const selection: readonly NgDictionary[] = [
  ...[{}, { 'from-tag': 'a' }, { 'from-tag': 'x' }, { 'from-tag': 'q' }, { all: 'all' }],
  ...[{ label: 'L' }, { label: 'Q' }, { address: '192.0.2.10' }, { address: '192.0.2.99' }],
  ...[
    { 'from-tag': 'a', flags: ['directional'] },
    { 'from-tag': 'x', flags: ['directional'] },
  ],
  ...[{ address: 'nowhere' }, { flags: ['all'] }],
];
export const selectionKeys = selection;
export const selectingCommands = [
  ...['block media', 'unblock media', 'silence media', 'unsilence media', 'block DTMF'],
  ...['unblock DTMF', 'start forwarding', 'stop forwarding', 'start recording', 'stop recording'],
] as const;

export const deleteKeys: readonly NgDictionary[] = [
  ...[{}, { 'from-tag': 'a' }, { 'from-tag': 'x' }, { 'from-tag': 'y' }, { 'from-tag': 'q' }],
  ...[
    { 'from-tag': 'a', 'to-tag': 'x' },
    { 'from-tag': 'a', 'to-tag': 'y' },
  ],
  ...[
    { 'from-tag': 'a', 'to-tag': 'q' },
    { 'from-tag': 'a', 'via-branch': 'b1' },
  ],
  ...[
    { 'from-tag': 'a', 'via-branch': 'b2' },
    { 'from-tag': 'q', flags: ['fatal'] },
  ],
  ...[{ 'from-tag': 'a', 'to-tag': 'x', flags: ['to-tag'] }],
].map((keys): NgDictionary => ({ 'delete-delay': 0, ...keys }));
