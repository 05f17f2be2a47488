/** Every key and flag that is known: an offer or an answer is different with it, or the log says so. */
import { expect } from 'chai';
import type { OfferAnswerRequest } from '../../../src/ng-protocol/commands.js';
import { flagWords } from '../../../src/ng-protocol/flags.js';
import { knownKeys } from '../../../src/ng-protocol/interpret.js';
import { SignallingError } from '../../../src/media/errors.js';
import { body, ModelCall } from '../../support/unit/media.js';
import { newBodyEdits, newCodecLists } from '../../../src/sdp/edits.js';
import { PublishedCall } from '../../support/unit/subscriptions.js';
import { parseRequest, type NgRequest } from '../../../src/ng-protocol/commands.js';
import { dictionary, parsed, type Plain } from '../../support/unit/ng-protocol.js';

type Keys = Readonly<Record<string, Plain>>;

/** Values that ask for something; all others are given the text `on`. */
const values: Readonly<Record<string, Plain>> = {
  command: 'offer',
  'call-id': 'other',
  'call-ID': 'other',
  'from-tag': 'b',
  'to-tag': 'c',
  to_tag: 'c',
  sdp: body(6010),
  SDP: body(6010),
  'from-interface': 'ext',
  'to-interface': 'ext',
  direction: ['ext', 'ext'],
  replace: ['origin'],
  'rtcp-mux': ['require'],
  'RTCP-mux': ['require'],
  bundle: ['offer'],
  BUNDLE: ['offer'],
  ICE: 'force',
  'transport-protocol': 'RTP/SAVP',
  'received-from': ['IP4', '192.0.2.99'],
  'address-family': 'IP6',
  'media-address': '203.0.113.77',
  'endpoint-learning': 'off',
  TOS: 184,
  tos: 184,
  'delete-delay': 5,
  delete_delay: 5,
  'drop-traffic': 'start',
  'sip-message-type': 'request',
  'SIP-message-type': 'request',
  sip_message_type: 'request',
  SIP_message_type: 'request',
  'sip-code': 183,
  'sip-response-code': 183,
  sip_code: 183,
  sip_response_code: 183,
  supports: ['load limit'],
  codec: { strip: ['PCMU'] },
  codecs: { strip: ['PCMU'] },
  SDES: ['no-AES_CM_128_HMAC_SHA1_32'],
  sdes: ['pad'],
  DTLS: 'passive',
  'DTLS-reverse': 'active',
  'DTLS-fingerprint': 'sha-512',
  'ICE-lite': 'both',
  all: 'all',
  flags: ['asymmetric'],
  'sdp-attr': { audio: { add: ['x'] } },
  'sdp-media-remove': ['audio'],
  extmap: { strip: ['all'] },
  ptime: 40,
  'ptime-reverse': 40,
  'reverse-ptime': 40,
  'rtpp-flags': 'asymmetric',
  rtpp_flags: 'asymmetric',
};

/** Acted on by others than the call model; tests named with each. */
const elsewhere: ReadonlySet<string> = new Set([
  // It names the call.
  ...['command', 'call-id', 'call-ID', 'call id', 'call ID'],
  // What a refusal says: test/scenario/limits.
  'supports',
  // Whether Redis gets the call: test/integration/redis-store.
  'no-redis-update',
  // Which lines are logged: test/integration/ng-wire.
  ...['debug', 'debugging'],
]);

function asText(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    member instanceof Set ? [...(member as Set<unknown>)].sort() : member,
  );
}

/** Without what is random. */
const masked = (text: string): string =>
  text
    .replace(/(a=ice-(?:ufrag|pwd):)\S+/g, '$1*')
    .replace(/("(?:ufrag|pwd|tieBreaker)":")[^"]+/g, '$1*')
    .replace(/(inline:)\S+/g, '$1*')
    .replace(/("(?:key|masterKey|masterSalt)":")(?:[^"\\]|\\.)*/g, '$1*');

const held = ['a=sendonly', 'a=rtcp:6055', 'a=rtpmap:101 telephone-event/8000'];
const far: Keys = { 'received-from': ['IP4', '192.0.2.98'] };

/** A body with credentials and a candidate, and with a fingerprint. */
const securedBody = (port: number, setup: string): string =>
  body(port, [
    'a=ice-ufrag:abcd',
    'a=ice-pwd:0123456789abcdef012345',
    `a=candidate:1 1 UDP 2130706431 192.0.2.10 ${port} typ host`,
    `a=setup:${setup}`,
    `a=fingerprint:sha-256 ${Array.from({ length: 32 }, () => 'AB').join(':')}`,
  ]).replace('RTP/AVP', 'UDP/TLS/RTP/SAVPF');

interface Scene {
  readonly name: string;
  readonly play: (keys: Keys, notes: Set<string>) => string;
}

function request(
  keys: Keys,
  notes: Set<string>,
  sdp: string,
  word: 'offer' | 'answer' = 'offer',
): OfferAnswerRequest {
  const tags: Keys =
    word === 'answer' ? { 'from-tag': 'a', 'to-tag': 'x' } : { 'from-tag': 'a', 'to-tag': 0 };
  const made = parsed({ ...tags, sdp, ...keys }, word);
  for (const note of [...made.unknown, ...made.unsupported, ...made.idle]) notes.add(note);
  return made;
}

/** What one command gives: the body and the call, or the error. */
function outcome(call: ModelCall, made: OfferAnswerRequest): string {
  try {
    const sdp = made.command === 'offer' ? call.offer(made.sdp, made) : call.answer(made.sdp, made);
    return masked(`${sdp}\n${asText({ ...call.state, callId: '' })}`);
  } catch (error) {
    if (!(error instanceof SignallingError)) throw error;
    return error.message;
  }
}

const scenes: readonly Scene[] = [
  {
    name: 'an offer',
    play: (keys, notes) => outcome(new ModelCall(), request(keys, notes, body(6000, held))),
  },
  {
    name: 'an offer from behind a NAT',
    play: (keys, notes) => {
      const flags = ['SIP-source-address', ...((keys['flags'] ?? []) as readonly string[])];
      return outcome(new ModelCall(), request({ ...far, ...keys, flags }, notes, body(6000, held)));
    },
  },
  {
    name: 'an offer on hold',
    play: (keys, notes) =>
      outcome(new ModelCall(), request(keys, notes, body(6000, [], '0.0.0.0'))),
  },
  {
    name: 'an offer of one port, and an answer of two',
    play: (keys, notes) => {
      const call = new ModelCall();
      const offered = outcome(call, request(keys, notes, body(6000, ['a=rtcp-mux'])));
      return offered + outcome(call, request({}, new Set(), body(7000), 'answer'));
    },
  },
  {
    name: 'an offer of which no codec is left',
    play: (keys, notes) => {
      const flags = ['codec-strip-all', ...((keys['flags'] ?? []) as readonly string[])];
      return outcome(new ModelCall(), request({ ...keys, flags }, notes, body(6000)));
    },
  },
  {
    name: 'an offer by ICE and DTLS, and its answer',
    play: (keys, notes) => {
      const call = new ModelCall({ dtlsPassive: true });
      const offered = outcome(call, request(keys, notes, securedBody(6000, 'actpass')));
      return offered + outcome(call, request({}, new Set(), securedBody(7000, 'active'), 'answer'));
    },
  },
  {
    name: 'an offer of one medium in the clear and by SRTP',
    play: (keys, notes) => {
      const secure = body(6000)
        .replace(/^[^]*?(?=m=)/, '')
        .replace('RTP/AVP', 'RTP/SAVP');
      return outcome(new ModelCall(), request(keys, notes, body(6000) + secure));
    },
  },
  {
    name: 'an offer of a bundle',
    play: (keys, notes) => {
      const bundled = body(6000, ['a=mid:0', 'a=rtcp-mux']).replace(
        'm=audio',
        'a=group:BUNDLE 0\r\nm=audio',
      );
      return outcome(new ModelCall(), request(keys, notes, bundled));
    },
  },
  {
    name: 'an answer by ICE and DTLS',
    play: (keys, notes) => {
      const call = new ModelCall();
      outcome(call, request({}, new Set(), securedBody(6000, 'actpass')));
      return outcome(call, request(keys, notes, securedBody(7000, 'active'), 'answer'));
    },
  },
  {
    name: 'an answer without ICE and DTLS, and another offer',
    play: (keys, notes) => {
      const call = new ModelCall();
      outcome(call, request({}, new Set(), securedBody(6000, 'actpass')));
      outcome(call, request({}, new Set(), body(7000), 'answer'));
      return outcome(call, request(keys, notes, securedBody(6000, 'actpass')));
    },
  },
  {
    name: 'an answer, and an offer from elsewhere',
    play: (keys, notes) => {
      const call = new ModelCall();
      outcome(call, request({}, new Set(), body(6000, ['a=rtcp-mux'])));
      const other = body(7000, ['a=rtcp-mux']).replaceAll('ann', 'bea');
      const answered = outcome(call, request(keys, notes, other, 'answer'));
      const again = body(6400).replace('call one', 'call two').replace('ann 7001', 'zoe 7002');
      return answered + outcome(call, request({ ...keys, 'to-tag': 'x' }, notes, again));
    },
  },
  {
    name: 'another offer, whose codecs come in another order than they were answered',
    play: (keys, notes) => {
      const call = new ModelCall();
      const two = (port: number, formats: string): string =>
        body(port).replace(/(RTP\/AVP) \d+/, `$1 ${formats}`);
      outcome(call, request({}, new Set(), two(6000, '0 8')));
      outcome(call, request({}, new Set(), two(7000, '8 0'), 'answer'));
      return outcome(call, request({ ...keys, 'to-tag': 'x' }, notes, two(6000, '0 8')));
    },
  },
];

/** Scenes that differ, and what is said. */
function effectOf(keys: Keys): { readonly differs: boolean; readonly notes: readonly string[] } {
  const notes = new Set<string>();
  const differs = scenes.map(({ play }) => play(keys, notes) !== play({}, new Set()));
  return { differs: differs.includes(true), notes: [...notes] };
}

describe('every known word of an offer or answer is acted on, or told in the log', () => {
  it('and there are many', () => {
    expect(knownKeys.length).to.be.above(150);
    expect(flagWords.length).to.be.above(70);
  });

  for (const key of knownKeys) {
    it(`key ${key}`, () => {
      const value = values[key] ?? values[key.replaceAll(' ', '-')] ?? 'on';
      const { differs, notes } = effectOf({ [key]: value });
      expect(differs || notes.length > 0 || elsewhere.has(key), 'acted on or told').to.equal(true);
    });
  }

  for (const word of flagWords) {
    it(`flag ${word}`, () => {
      const { differs, notes } = effectOf({ flags: [word] });
      expect(differs || notes.length > 0 || elsewhere.has(word), 'acted on or told').to.equal(true);
    });
  }

  const words: readonly (readonly [key: string, words: readonly string[]])[] = [
    ['replace', ['origin', 'session-name', 'session-connection', 'SDP-version', 'username']],
    ['replace', ['zero-address', 'force-increment-sdp-ver', 'origin-full']],
    ['rtcp-mux', ['offer', 'require', 'demux', 'accept', 'reject']],
    ['ICE', ['force', 'default', 'optional', 'force-relay', 'trickle', 'lite-forward']],
    ['SDES', ['off', 'on', 'nonew', 'pad', 'order:x', 'only-AES_CM_128_HMAC_SHA1_80']],
    ['DTLS', ['off', 'passive', 'active']],
    ['OSRTP', ['off', 'offer', 'accept', 'offer-legacy', 'accept-legacy']],
    ['T.38', ['off', 'decode', 'force', 'stop']],
    ['record-call', ['on', 'off', 'discard', 'no', 'yes']],
    ['drop-traffic', ['start']],
    ['endpoint-learning', ['off', 'immediate', 'delayed', 'no-such']],
    ['bundle', ['accept', 'offer', 'require', 'strict', 'reject']],
    [
      'transport-protocol',
      ['RTP/SAVP', 'RTP/SAVPF', 'RTP/AVPF', 'UDP/TLS/RTP/SAVPF', 'accept', 'X'],
    ],
    ['address-family', ['IP6', 'IP5']],
    ['all', ['all', 'flows', 'what']],
    ['sip-message-type', ['request', 'reply', 'letter']],
  ];
  for (const [key, list] of words) {
    for (const word of list) {
      it(`${key}=${word}`, () => {
        const given = ['replace', 'rtcp-mux', 'SDES', 'OSRTP', 'T.38', 'bundle'].includes(key);
        const { differs, notes } = effectOf({ [key]: given ? [word] : word });
        expect(differs || notes.length > 0, 'acted on or told').to.equal(true);
      });
    }
  }
});

const acceptAll = {
  ...newBodyEdits(),
  codecs: { ...newCodecLists(), accept: ['any', 'all'] },
};

const credentials = (text: string): string => /a=ice-ufrag:\S+/.exec(text)?.[0] ?? '';

/** A subscriber who has been offered ICE is asked again: whether it is the same agent. */
function resubscription(keys: Keys): string {
  const call = new PublishedCall();
  call.publish(body(8000, held), { edits: acceptAll });
  const subscribe = (more: Keys): string => {
    const request = parseRequest('subscribe request', dictionary({ ...given, ...byIce, ...more }));
    if (request.command !== 'subscribe request') return '';
    return call.subscribe('s', { ...request, callId: 'call' }).sdp;
  };
  return String(credentials(subscribe({})) === credentials(subscribe(keys)));
}

/** ... and a publisher. */
function republication(keys: Keys): string {
  const call = new PublishedCall();
  const publish = (more: Keys): string => {
    const sdp = securedBody(6000, 'actpass');
    const request = parseRequest('publish', dictionary({ ...given, sdp, ...more }));
    if (request.command !== 'publish') return '';
    return call.publish(request.sdp, { ...request, callId: 'call', fromTag: 'p' });
  };
  return String(credentials(publish({})) === credentials(publish(keys)));
}

const given = { 'call-id': 'call', 'from-tag': 'p' };

/** A published call with a dialogue besides; what `p` sends is subscribed to and answered. */
function subscription(keys: Keys, notes: Set<string>): string {
  const call = new PublishedCall();
  call.offer(body(6000));
  call.answer(body(7000), { label: 'on' });
  call.publish(body(8000, held), { edits: acceptAll });
  const note = (request: NgRequest): void => {
    for (const text of [...request.unknown, ...request.unsupported, ...request.idle])
      notes.add(text);
  };
  try {
    const asked = dictionary({ 'call-id': 'call', 'from-tag': 'p', ...keys });
    const request = parseRequest('subscribe request', asked);
    note(request);
    if (request.command !== 'subscribe request') return '';
    const offered = call.subscribe(request.toTag ?? 's', { ...request, callId: 'call' });
    return `${offered.sdp}${asText({ ...call.state, callId: '' })}`;
  } catch (error) {
    if (!(error instanceof SignallingError)) throw error;
    return error.message;
  }
}

function publication(keys: Keys, notes: Set<string>): string {
  const call = new PublishedCall();
  const request = parseRequest('publish', dictionary({ ...given, ...keys }));
  for (const text of [...request.unknown, ...request.unsupported, ...request.idle]) notes.add(text);
  if (request.command !== 'publish') return '';
  try {
    const named = { callId: 'call', fromTag: request.fromTag ?? '' };
    const sdp = call.publish(request.sdp, { ...request, ...named });
    return `${sdp}${asText({ ...call.state, callId: '' })}`;
  } catch (error) {
    if (!(error instanceof SignallingError)) throw error;
    return error.message;
  }
}

type Play = (keys: Keys, notes: Set<string>) => string;

const withFlag = (keys: Keys, word: string): Plain => [
  word,
  ...((keys['flags'] ?? []) as readonly string[]),
];

const withoutKeys = (text: string): string =>
  text
    .replace(/inline:[A-Za-z0-9+/]+/g, 'inline:KEY')
    .replace(/"key":"[^"]+"|"master(?:Key|Salt)":"[^"]+"/g, '');

const secured: Keys = { 'transport-protocol': 'RTP/SAVP', SDES: ['only-AEAD_AES_128_GCM'] };

const byIce: Keys = { 'transport-protocol': 'UDP/TLS/RTP/SAVPF', ICE: 'force' };

/** Plain, secured, of which no codec is left, and for a browser. */
const subscriptions: readonly Play[] = [
  subscription,
  (keys, notes) => withoutKeys(subscription({ ...secured, ...keys }, notes)),
  (keys, notes) => subscription({ ...keys, flags: withFlag(keys, 'codec-strip-all') }, notes),
  (keys, notes) => masked(subscription({ ...byIce, ...keys }, notes)),
  ({ flags }) => resubscription(flags === undefined ? {} : { flags }),
];

const oneWay = body(6000, [...held, 'a=rtcp-mux']);

/** One way, both ways, and from behind a NAT. */
const publications: readonly Play[] = [
  (keys, notes) => publication({ sdp: oneWay, ...keys }, notes),
  (keys, notes) => publication({ sdp: body(6000), ...keys }, notes),
  (keys, notes) => masked(publication({ sdp: securedBody(6000, 'actpass'), ...keys }, notes)),
  (keys, notes) => {
    const flags = withFlag(keys, 'SIP-source-address');
    return publication({ sdp: oneWay, ...far, ...keys, flags }, notes);
  },
  ({ flags }) => republication(flags === undefined ? {} : { flags }),
];

const commands: readonly (readonly [string, readonly Play[]])[] = [
  ['subscribe request', subscriptions],
  ['publish', publications],
];

for (const [name, plays] of commands) {
  describe(`every known word of a ${name} is acted on, or told in the log`, function () {
    this.timeout(90_000);
    const plain = plays.map((play) => play({}, new Set()));
    const actedOn = (keys: Keys): boolean => {
      const notes = new Set<string>();
      return plays.some((play, at) => play(keys, notes) !== plain[at] || notes.size > 0);
    };
    /** What changes nothing where the present value is that already. */
    const telling: Readonly<Record<string, Plain>> = {
      'from-tags': ['a'],
      interface: 'ext',
      address: '192.0.2.77',
      ICE: name === 'publish' ? 'remove' : 'force',
      DTLS: name === 'publish' ? 'passive' : 'off',
      'DTLS-reverse': name === 'publish' ? 'passive' : 'off',
    };
    it('keys', () => {
      const idle = knownKeys.filter((key) => {
        const hyphened = key.replaceAll(' ', '-');
        const value = telling[hyphened] ?? values[key] ?? values[hyphened] ?? 'on';
        const named = hyphened === 'from-tags' ? { 'from-tag': 0 } : {};
        return !elsewhere.has(key) && !actedOn({ ...named, [key]: value });
      });
      expect(idle).to.deep.equal([]);
    });
    it('flags', () => {
      expect(
        flagWords.filter((word) => !elsewhere.has(word) && !actedOn({ flags: [word] })),
      ).to.deep.equal([]);
    });
  });
}
