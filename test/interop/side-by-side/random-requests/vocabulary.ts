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
/** No `sdp-media-remove`: 26.3 alone knows it. */
export const attributeKeys: readonly NgDictionary[] = [
  ...['audio', 'video', 'none', 'global', 'application', 'session'].flatMap((section) =>
    attributeEdits.map((edit): NgDictionary => ({ 'sdp-attr': { [section]: edit } })),
  ),
  ...[
    { audio: { remove: ['ptime:20'], substitute: [['sendrecv', 'sendonly']], add: ['a', 'b'] } },
  ].map((edit): NgDictionary => ({ 'sdp-attr': edit })),
  // Blanks in such words are those of 26.3.
  ...attributes
    .filter((each) => !each.includes(' '))
    .flatMap((each) => [
      flag(`sdp-attr-remove-audio-${each}`),
      flag(`sdp-attr-add-none-${each}`),
      flag(`sdp-attr-substitute-audio-${each}>y:1 2`),
    ]),
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

/** Beside a selection: what says more than it needs. */
export const removalKeys: readonly NgDictionary[] = [
  ...[{}, {}, {}, { 'to-tag': 'x' }, { 'to-tag': 'a' }, { 'to-tag': 'q' }, { 'via-branch': 'b1' }],
  ...[{ 'set-label': 'S' }, { label: 'M' }, { 'from-label': 'L' }, { 'to-label': 'M' }],
];

export const subscriptionKeys: readonly NgDictionary[] = [
  ...[
    { 'from-tag': 'a' },
    { 'from-tag': 'x' },
    { 'from-tag': 'q' },
    { label: 'L' },
    { label: 'Q' },
  ],
  ...[['a'], ['x'], ['a', 'x'], ['x', 'a'], ['a', 'q'], ['a', 'a']].map((tags) => ({
    'from-tags': tags,
  })),
  ...[{ all: 'all' }, { address: '127.0.0.1' }, { address: '192.0.2.99' }, { 'set-label': 'S' }],
  ...['all', 'siprec', 'inactive', 'directional', 'generate-mid', 'no-rtcp-attribute'].map((word) =>
    flag(word),
  ),
  ...[flag('original-sendrecv'), { replace: ['origin'] }, { label: 'L', 'from-tag': 'x' }],
];

/** Lists as strings, as the current release takes them. */
export const spelledKeys: readonly NgDictionary[] = [
  ...['origin', 'session-name,origin', 'username'].map((replace) => ({ replace })),
  ...['generate-mid', 'no-rtcp-attribute,generate-mid', 'strip-extmap'].map((flags) => ({ flags })),
  ...['PCMA', 'PCMA,PCMU', 'pcma/8000'].map((strip) => ({ codec: { strip } })),
  ...[{ codec: { strip: 'all', except: 'PCMU' } }, { codec: { offer: 'PCMU' } }],
  ...['offer', 'accept', 'reject', 'demux'].map((word) => ({ 'rtcp-mux': word })),
  ...[{ 'received-from': '192.0.2.50' }, { SDES: 'off,pad' }],
  ...[{ 'sdp-attr': { audio: { add: 'x-new' } } }],
  ...[{ 'media address': '203.0.113.9' }, { 'address family': 'IP4' }],
  ...[{ 'transport protocol': 'RTP/AVPF' }, { 'from-label': 'L' }, { TOS: '184' }],
];

/** Words of an `rtpp-flags` string; without brackets, which 12.5 does not know. */
export const wordsOfFlags: readonly string[] = [
  ...['replace-origin', 'replace=origin', 'replace=username', 'replace-session-name', 'SDES-pad'],
  ...['ICE=force', 'ICE=remove', 'RTP/AVPF', 'RTP/AVP', 'AVPF', 'SRTP AVPF', 'SRTP', 'DTLS', 'RTP'],
  ...['direction=lo direction=ext', 'direction=ext', 'internal external', 'OSRTP-offer', 'ICE='],
  ...['codec-strip-PCMA', 'codec-strip=PCMA', 'codec-offer-PCMU', 'codec-except=PCMA'],
  ...['codec-strip-all codec-except-PCMA', 'codec-strip-all codec-offer-PCMU', 'codec-strip-opus'],
  ...['sdp-attr-add-audio-x-new', 'sdp-attr-remove-audio-ptime:20', 'sdp-attr-remove-none-x-sess'],
  ...['sdp-attr-substitute-audio-sendrecv>sendonly', 'sdp-attr-add-none-x:y', 'trickle-ICE'],
  ...['rtcp-mux-offer', 'rtcp-mux=offer', 'rtcp-mux-accept', 'SDES-no-AES_CM_128_HMAC_SHA1_80'],
  ...['trust-address', 'symmetric', 'asymmetric', 'label=L', 'metadata=m', 'TOS=184', 'SDES-off'],
  ...['media-address=203.0.113.9', 'address-family=IP4', 'delete-delay=3', 'no-rtcp-attribute'],
  ...['generate-mid', 'loop-protect', 'strict-source', 'original-sendrecv', 'single-codec'],
  ...['transport-protocol=RTP/AVPF', 'via-branch=b1', 'flags=generate-mid', 'media-echo=forward'],
  ...[
    'foo',
    'foo=bar',
    '=x',
    'x]',
    'from-interface=ext',
    'to-interface=ext',
    'full-rtcp-attribute',
  ],
  ...['ICE=Force', 'ICE-lite=forward', 'DTLS=passive', 'port-latching', 'received-from=192.0.2.50'],
];

const candidate = 'a=candidate:2 1 udp 2113937151 192.0.2.81 50002 typ host';
const peer = ['a=ice-ufrag:abcd', 'a=ice-pwd:0123456789abcdef012345'];
const fragment = (...lines: readonly string[]): string =>
  lines.map((line) => `${line}\r\n`).join('');

/** Bodies of `application/trickle-ice-sdpfrag` (RFC 8840), and such as are none. */
export const fragments: readonly string[] = [
  fragment(...peer, 'm=audio 9 RTP/AVP 0', 'a=mid:0', candidate),
  fragment(...peer, 'm=audio 9 RTP/AVP 0', 'a=mid:0', candidate, 'a=end-of-candidates'),
  fragment(...peer, 'm=audio 9 RTP/AVP 0', candidate),
  fragment(...peer, 'm=audio 9 RTP/AVP 0', 'a=mid:other', candidate),
  fragment(...peer, 'a=end-of-candidates'),
  fragment(
    'a=ice-ufrag:new1',
    'a=ice-pwd:ABCDEFGHIJKLMNOPQRSTUV',
    'm=audio 9 RTP/AVP 0',
    candidate,
  ),
  fragment('m=audio 9 RTP/AVP 0', 'a=mid:0', ...peer, candidate),
  fragment('m=audio 9 RTP/AVP 0', 'a=mid:0', 'a=candidate:foo'),
  fragment(candidate),
  ...['', 'v=0\r\n', 'm=audio 9\r\n', 'hello\r\n'],
];

export const fragmentKeys: readonly NgDictionary[] = [
  ...[{ 'from-tag': 'a', 'to-tag': 'x' }, { 'from-tag': 'x', 'to-tag': 'a' }, { 'from-tag': 'a' }],
  ...[{ 'from-tag': 'q' }, { 'from-tag': 'a', 'to-tag': 'q' }],
];
