/** Both families of addresses on one interface, and interfaces of which any may be taken. */
import type { NgDictionary } from '../../../support/bencode.js';
import type { MediaSection, SdpOptions } from '../../../support/sdp.js';
import {
  answer,
  audioOf,
  called,
  calleeOffer,
  caller,
  callerAnswer,
  offer,
  query,
  reoffer,
  sequence,
  type Sequence,
} from '../sequence.js';

const dual = { direction: ['dual', 'dual'] };
const roundRobin = { direction: ['rr', 'rr'] };

const four = '192.0.2.10';
const six = '2001:db8::10';
/** c= of either family, real or null. */
const connections: readonly (readonly [string, SdpOptions])[] = [
  ['IPv4', { address: four, origin: four }],
  ['IPv6', { address: six, origin: six }],
  ['IPv4 null', { address: '0.0.0.0', origin: four }],
  ['IPv6 null', { address: '::', origin: six }],
];
const callee: Readonly<Record<string, SdpOptions>> = {
  IP4: called(),
  IP6: called([audioOf(7000)], { address: '2001:db8::77', origin: '2001:db8::77' }),
};

/** Offer and answer, twice; the answerer speaks the family that it was offered. */
function wanting(name: string, body: SdpOptions, family: string, keys: NgDictionary): Sequence {
  const theirs = callee[family] ?? called();
  return sequence(
    name,
    offer(body, { ...dual, ...keys }),
    answer(theirs),
    query(),
    reoffer(body, dual),
    answer(theirs),
    query(),
  );
}

const trusting = { flags: ['trust-address'], 'received-from': ['IP6', '2001:db8::7'] };
const written: readonly Sequence[] = connections.flatMap(([family, body]) => {
  const own = family.startsWith('IPv4') ? 'IP4' : 'IP6';
  return [
    wanting(`dual: ${family}`, body, own, {}),
    wanting(`dual: ${family}, trust-address`, body, own, trusting),
    wanting(`dual: ${family}, IP4 wanted`, body, 'IP4', { 'address-family': 'IP4' }),
    wanting(`dual: ${family}, IP6 wanted`, body, 'IP6', { 'address-family': 'IP6' }),
    wanting(`dual: ${family}, media-address`, body, own, { 'media-address': '198.51.100.9' }),
  ];
});

const fromSip = { flags: ['SIP-source-address'] };
const sources: readonly (readonly [string, NgDictionary])[] = [
  ['IPv4', { ...fromSip, 'received-from': ['IP4', '192.0.2.55'] }],
  ['IPv6', { ...fromSip, 'received-from': ['IP6', '2001:db8::7'] }],
];
const signalled: readonly Sequence[] = connections.flatMap(([family, body]) =>
  sources.map(([source, keys]) => {
    const theirs = callee[family.startsWith('IPv4') ? 'IP4' : 'IP6'] ?? called();
    return sequence(
      `dual: ${family}, SIP over ${source}`,
      offer(body, { ...dual, ...keys }),
      answer(theirs, keys),
      query(),
    );
  }),
);

const mixed = [
  sequence(
    'dual: answered from the other family',
    offer({ address: six, origin: six }, dual),
    answer(),
    query(),
  ),
];

/** Offers that name the same place in other words. */
function spelled(name: string, ...connectionLines: readonly string[]): Sequence {
  const body = (line: string) => async (): Promise<string> =>
    ['v=0', 'o=a 1 1 IN IP4 192.0.2.10', 's=-', line, 't=0 0', 'm=audio 6000 RTP/AVP 0', ''].join(
      '\r\n',
    );
  return sequence(
    `spelling: ${name}`,
    ...connectionLines.map((line) => offer(body(line), dual)),
    query(),
  );
}

const spellings = [
  spelled('capitals', 'c=IN IP6 2001:db8::5', 'c=IN IP6 2001:DB8::5'),
  spelled('zeros', 'c=IN IP6 2001:db8::5', 'c=IN IP6 2001:0db8:0:0::0005'),
  spelled('brackets', 'c=IN IP6 2001:db8::5', 'c=IN IP6 [2001:db8::5]'),
  spelled('mapped', 'c=IN IP4 192.0.2.10', 'c=IN IP6 ::ffff:192.0.2.10', 'c=IN IP4 192.0.2.10'),
  spelled('padded', 'c=IN IP4 192.0.2.10', 'c=IN IP4 192.000.002.010'),
  spelled('a zone', 'c=IN IP6 fe80::1', 'c=IN IP6 fe80::1%lo'),
  spelled('brackets of IPv4', 'c=IN IP4 [192.0.2.10]'),
  sequence(
    'spelling: of the SIP source',
    offer(
      { address: six, origin: six },
      { ...dual, ...fromSip, 'received-from': ['IP6', '2001:db8::7'] },
    ),
    offer(
      { address: six, origin: six },
      { ...dual, ...fromSip, 'received-from': ['IP6', '2001:DB8:0::7'] },
    ),
    offer(
      { address: six, origin: six },
      { ...dual, ...fromSip, 'received-from': ['IP6', '[2001:db8::7]'] },
    ),
    query(),
  ),
  sequence(
    'spelling: of media-address',
    offer({}, { 'media-address': '2001:DB8::0005' }),
    offer({}, { 'media-address': '[2001:db8::5]' }),
    offer({}, { 'media-address': '::ffff:192.0.2.9' }),
    offer({}, { 'media-address': 'fe80::1%lo' }),
  ),
];

const anyInterface = [
  sequence(
    'round robin: re-offers that name the base interface',
    offer({}, roundRobin),
    answer(called(), roundRobin),
    query(),
    reoffer({}, roundRobin),
    answer(called(), roundRobin),
    reoffer({}, roundRobin),
    answer(),
    query(),
  ),
  sequence('round robin: the offer again', offer({}, roundRobin), offer({}, roundRobin), query()),
  sequence(
    'round robin: a re-offer from another port',
    offer({}, { direction: ['lo', 'rr'] }),
    answer(),
    reoffer(caller(6100), { direction: ['lo', 'rr'] }),
    answer(),
    query(),
  ),
  sequence(
    'round robin: the callee offers',
    offer({}, { direction: ['lo', 'rr'] }),
    answer(),
    calleeOffer(called(), { direction: ['rr', 'lo'] }),
    callerAnswer(),
    query(),
  ),
  sequence(
    'round robin: a member, then the base interface',
    offer({}, { direction: ['lo', 'rr:b'] }),
    answer(),
    reoffer({}, { direction: ['lo', 'rr'] }),
    answer(),
    query(),
  ),
  sequence(
    'round robin: sections stay together',
    offer({ media: [audioOf(6000), audioOf(6100)] }, { direction: ['lo', 'rr'] }),
    answer(called([audioOf(7000), audioOf(7100)])),
    query(),
  ),
];

const want = (family: 4 | 6): NgDictionary => ({ 'address-family': `IP${family}` });
const between = (from: string, to: string): NgDictionary => ({ direction: [from, to] });
const offer4: SdpOptions = { address: four, origin: four };
const offer6: SdpOptions = { address: six, origin: six };
const callee4 = called();
const callee6 = callee['IP6'] ?? called();
const sixth = (port: number): MediaSection => ({
  port,
  lines: ['c=IN IP6 2001:db8::10', 'a=rtpmap:101 telephone-event/8000'],
});
const bothFamilies: SdpOptions = { ...offer4, media: [audioOf(6000), sixth(6100)] };
const bothAnswered = called([audioOf(7000), sixth(7100)]);

/** One interface of each family comes before the one that has both: which one is taken without a name? */
export const interfaceSequences: readonly Sequence[] = [
  sequence('unnamed: IPv6', offer(offer6), answer(callee6), reoffer(offer6), query()),
  sequence('unnamed: IPv4', offer(offer4), answer(callee4), reoffer(offer4), query()),
  ...([offer4, offer6] as const).map((body, at) =>
    sequence(
      `unnamed: a bridge from ${at === 0 ? 'IPv4 to IPv6' : 'IPv6 to IPv4'}`,
      offer(body, want(at === 0 ? 6 : 4)),
      answer(at === 0 ? callee6 : callee4),
      reoffer(body),
      answer(at === 0 ? callee6 : callee4),
      calleeOffer(at === 0 ? callee6 : callee4),
      query(),
    ),
  ),
  sequence(
    'unnamed: to the other family and back',
    offer(offer4),
    answer(callee4),
    reoffer(offer4, want(6)),
    answer(callee6),
    reoffer(offer4, want(4)),
    answer(callee4),
    query(),
  ),
  sequence('unnamed: an answer wants the other', offer(offer4), answer(callee6, want(6)), query()),
  sequence('unnamed: held', offer({ ...offer6, address: '::' }), answer(callee6), query()),
  sequence('unnamed: a section of each', offer(bothFamilies), answer(bothAnswered), query()),
  sequence(
    'named: kept while the family stays',
    offer(offer4, between('dual', 'dual')),
    answer(callee4),
    reoffer(offer4),
    answer(callee4),
    query(),
  ),
  sequence(
    'named: left with the family, then back',
    offer(offer4, between('dual', 'dual')),
    answer(callee4),
    reoffer(offer4, want(6)),
    answer(callee6),
    reoffer(offer4, want(4)),
    answer(callee4),
    query(),
  ),
  sequence(
    'named: again, in the other family',
    offer(offer4, between('dual', 'dual')),
    answer(callee4),
    reoffer(offer4, { ...between('dual', 'dual'), ...want(6) }),
    answer(callee6),
    query(),
  ),
  sequence(
    'named: the caller changes its family',
    offer(offer4, between('dual', 'dual')),
    answer(callee4),
    reoffer(offer6),
    answer(callee4),
  ),
  sequence(
    'named: without the family',
    offer(offer6, between('last', 'last')),
    answer(callee4),
    reoffer(offer6),
    answer(callee6),
  ),
  sequence(
    'named: by answers',
    offer(offer4),
    answer(callee4, between('last', 'dual')),
    reoffer(offer4),
    answer(callee4),
    calleeOffer(callee4),
    query(),
  ),
  sequence(
    'named: then one that there is none of',
    offer(offer4, between('last', 'last')),
    answer(callee4),
    reoffer(offer4, between('nowhere', 'nowhere')),
    answer(callee4),
    query(),
  ),
  sequence(
    'named: then internal and external',
    offer(offer4, between('dual', 'dual')),
    answer(callee4),
    reoffer(offer4, between('internal', 'external')),
    answer(callee6),
    reoffer(offer4),
    query(),
  ),
  sequence(
    'named: by an answer that names internal and external',
    offer(offer4, between('dual', 'last')),
    answer(callee4, between('internal', 'external')),
    query(),
  ),
  sequence(
    'named: by an answer, one that there is none of',
    offer(offer4, between('dual', 'last')),
    answer(callee4, between('nowhere', 'nowhere')),
    reoffer(offer4),
    answer(callee4),
    query(),
  ),
  sequence(
    'named: by a later answer, one that there is none of',
    offer(offer4, between('dual', 'last')),
    answer(callee4),
    answer(callee4, between('internal', 'internal')),
    reoffer(offer4),
    query(),
  ),
  sequence(
    'named: a further section of the other family',
    offer(offer4, between('dual', 'dual')),
    answer(callee4),
    reoffer(bothFamilies),
    answer(bothAnswered),
    query(),
  ),
];

export const familySequences: readonly Sequence[] = [
  ...written,
  ...signalled,
  ...mixed,
  ...spellings,
  ...anyInterface,
];
