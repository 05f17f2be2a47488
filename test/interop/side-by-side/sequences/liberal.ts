/** Bodies of real phones that are not quite RFC 8866, and answers that are not quite RFC 3264. */
import { buildSdp, video, type MediaSection } from '../../../support/sdp.js';
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

const good = buildSdp();

function read(name: string, body: string): Sequence {
  return sequence(`read: ${name}`, offer(body), query());
}

function changed(name: string, from: string, to: string): Sequence {
  if (!good.includes(from)) throw new Error(`${from} is not in the body`);
  return read(name, good.replace(from, to));
}

const shown = (text: string): string => JSON.stringify(text).slice(1, -1);

const origin = 'o=ann 7001 3 IN IP4 192.0.2.10';
const origins = [
  ...['o= 7001 3 IN IP4 192.0.2.10', 'o=ann bob 7001 3 IN IP4 192.0.2.10', `${origin} `],
  ...[
    'o=7001 3 IN IP4 192.0.2.10',
    'o=ann  7001 3 IN IP4 192.0.2.10',
    'o=ann 7001 3 in ip4 192.0.2.10',
    'o=ann 7001 3 TN RFC2543 +15551234',
  ],
  ...['o=ann 7001 3 IN IP6 [2001:db8::5]', 'o=ann 7001 3 IN IP4 phone.example.com'],
].map((line) => changed(line, origin, line));

const connection = 'c=IN IP4 192.0.2.10';
const connections = [
  ...[`${connection} `, `${connection} foo`, `${connection}\0`, 'c=IN\tIP4\t192.0.2.10'],
  ...['c=in ip4 192.0.2.10', 'c=IN IP6 192.0.2.10', 'c=IN IP4 2001:db8::5'],
].map((line) => changed(shown(line), connection, line));

const media = 'm=audio 6000 RTP/AVP 0 8 101';
const medias = [
  ...['65535 RTP/AVP 0 8 101', '65534 RTP/AVP 0 8 101', '65534/2 RTP/AVP 0 8 101'],
  ...['06000 RTP/AVP 00 08 101', '+6000 RTP/AVP 0 8 101', '6000.5 RTP/AVP 0 8 101'],
  ...['6000/1 RTP/AVP 0 8 101', '6000/1x RTP/AVP 0 8 101', '6000/ RTP/AVP 0 8 101'],
  ...['6000 rtp/avp 0 8 101', '6000 RTP/AVP 0 8 101\t', '6000 RTP/AVP 0,8 101'],
  ...['6000 RTP/AVP 0 8\0 101', '6000 RTP/AVP 0 8 *', '6000 RTP/AVP 0 255'],
].map((line) => changed(`m=audio ${shown(line)}`, media, `m=audio ${line}`));

const rtcp = [
  ...['0', '6001', '6055x', '+6055', '06055', '\t6055', '6055 ', '65535', '65536', '-1'],
  ...['0 IN IP4 192.0.2.11', '6055 IN IP4 0.0.0.0', '6055 IN IP6 ::', '0 IN IP4 0.0.0.0'],
  ...['6055 IN', '6055 IN IP4', '6055 IN IP4 foo', '6055 IN IP4 192.0.2.11 foo'],
  ...['6055 IN IP4 192.0.2.011', '6055 IN IP6 fe80::1%lo', '6055 IN IP6 2001:db8::9'],
].map((value) => read(`a=rtcp:${shown(value)}`, `${good}a=rtcp:${value}\r\n`));

const attributes = [
  ...['a= sendonly', 'a=sendonly:', 'a=SENDONLY', 'a=rtcp-mux x', 'a=mid: 1', 'a=mid:1 '],
  ...['a=ptime: 30', 'a=ptime:30ms', 'a=ptime:30 ', 'a=ptime:30.5', 'a=maxptime: 60'],
  ...['a=fmtp:101  0-15', 'a=fmtp: 101 0-15', 'a=fmtp:101 0-15 ', 'a=fmtp:x 0-15'],
  ...['a=candidate:x', 'a=candidate:1 1 UDP 1 192.0.2.10 6000 typ host', 'a=ice-options:trickle'],
  ...['a=crypto:1 X inline:abc', 'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:short'],
  ...['b=AS: 64', 'b=as:64', 'b=X-YZ:128', 'i=title', 'k=clear:x', 'a=', 'a=:'],
].map((line) => read(line, `${good}${line}\r\n`));

const maps = [
  ...['96  opus/48000/2', '96\topus/48000/2', ' 96 opus/48000/2', '96 opus/48000/2 '],
  ...['096 opus/48000/2', '96 opus/48000/1', '96 opus/48000/', '96 opus', '96:opus/48000/2'],
].map((value) =>
  read(
    `a=rtpmap:${shown(value)}`,
    buildSdp({ media: [{ port: 6000, formats: '0 96', lines: [`a=rtpmap:${value}`] }] }),
  ),
);

const lateLines = [
  't=0 0',
  'e=a@b',
  'p=+1',
  'u=http://x',
  'r=7d 1h 0 25h',
  'z=1 -1h',
  's=x',
  origin,
];
const late = lateLines.map((line) => read(`${line} behind a section`, `${good}${line}\r\n`));

const ends = ['\0', '\t', 'a', '  ', '\0\r\n', '\r\n'].map((end) =>
  read(`${shown(end)} at the end`, good + end),
);

const refusals = ['255', '*', 'foo', '0 foo 8', '96'].flatMap((formats) => {
  const refused = { type: 'video', port: 0, formats };
  return [
    sequence(
      `refused in the offer: ${formats}`,
      offer({ media: [audioOf(6000), refused] }),
      answer(called([audioOf(7000), refused])),
      query(),
    ),
    sequence(
      `refused in the answer: ${formats}`,
      offer({ media: [audioOf(6000), video(6100)] }),
      answer(called([audioOf(7000), refused])),
      query(),
    ),
  ];
});

const bandwidths = ['b=RS:1', 'b=RR:2', 'b=AS:3', 'b=CT:4', 'b=TIAS:5', 'b=X-Y:6'];
const direction = [undefined, 'a=sendrecv', 'a=sendonly', 'a=inactive'];
const others: readonly (readonly [string, MediaSection])[] = [
  ['fax', { type: 'image', port: 6000, protocol: 'udptl', formats: 't38' }],
  [
    'data',
    { type: 'application', port: 6000, protocol: 'UDP/DTLS/SCTP', formats: 'webrtc-datachannel' },
  ],
  ['data of old', { type: 'application', port: 6000, protocol: 'DTLS/SCTP', formats: '5000' }],
];
const directions = others.flatMap(([name, section]) =>
  direction.map((line) => {
    const lines = line === undefined ? [] : [line];
    return sequence(
      `${name} ${line === undefined ? 'without direction' : `with ${line}`}`,
      offer({ media: [{ ...section, lines }] }),
      answer(called([{ ...section, port: 7000, lines }])),
    );
  }),
);

const withFormats = (formats: string, port = 7000): MediaSection => ({ ...audioOf(port), formats });
const offered = { media: [withFormats('8 18 101', 6000)] };
const answers = [
  sequence(
    'later answer with another codec',
    offer(offered),
    answer(called([withFormats('8 101')])),
    answer(called([withFormats('18 101')])),
    answer(called([withFormats('8 18 101')])),
  ),
  sequence(
    'later answer with one codec more',
    offer(offered),
    answer(called([withFormats('18')])),
    answer(called([withFormats('18 101')])),
  ),
  sequence(
    'another branch with another codec',
    offer(offered, { 'via-branch': '1' }),
    offer(offered, { 'via-branch': '2' }),
    answer(called([withFormats('8 101')]), { 'via-branch': '1' }),
    answer(called([withFormats('18 101')]), { 'via-branch': '2', 'to-tag': 'y' }),
  ),
  sequence(
    'another to-tag with another codec',
    offer(offered),
    answer(called([withFormats('8 101')])),
    answer(called([withFormats('18 101')]), { 'to-tag': 'y' }),
  ),
  sequence(
    'UPDATE with another codec',
    offer(offered),
    answer(called([withFormats('8 101')])),
    reoffer(offered),
    answer(called([withFormats('18 101')])),
    calleeOffer(called([withFormats('18 8 101')])),
    callerAnswer({ media: [withFormats('8 101', 6000)] }),
  ),
  ...['18', '18 9', '18 101', '101', '18 8'].map((formats) =>
    sequence(
      `answer ${formats} to 8 0 101`,
      offer({ media: [withFormats('8 0 101', 6000)] }),
      answer(called([withFormats(formats)])),
    ),
  ),
  sequence(
    'answer with fewer sections',
    offer({ media: [audioOf(6000), video(6100, ['a=mid:v'])] }),
    answer(called()),
    query(),
    answer(called([audioOf(7000), video(7100)])),
    query(),
  ),
  sequence(
    'answer with sections of other types',
    offer({ media: [audioOf(6000), video(6100)] }),
    answer(called([video(7100), audioOf(7000)])),
  ),
  ...['0 0 8', '8 0 8'].map((formats) =>
    sequence(
      `answer that names formats twice: ${formats}`,
      offer({ media: [withFormats('0 8', 6000)] }),
      answer(called([withFormats(formats)])),
    ),
  ),
  sequence(
    'answer with more sections',
    offer(),
    answer(called([audioOf(7000), video(7100)])),
    query(),
  ),
  sequence(
    're-offer and answer with fewer sections',
    offer({ media: [audioOf(6000), video(6100)] }),
    answer(called([audioOf(7000), video(7100)])),
    reoffer(),
    answer(),
    query(),
  ),
];

const held = { address: '0.0.0.0' };
const originReplaced = [
  sequence(
    'replace origin in a network of another kind',
    offer(good.replace(origin, 'o=ann 7001 3 IN IP5 192.0.2.10'), { replace: ['origin'] }),
  ),
  sequence('replace origin while held', offer(held, { replace: ['origin'] })),
  sequence(
    'replace origin while held, media-address',
    offer(held, { replace: ['origin'], 'media-address': '198.51.100.9' }),
  ),
  sequence(
    'replace origin, first section refused',
    offer({ media: [{ port: 0, formats: '0' }, video(6100)] }, { replace: ['origin'] }),
  ),
  sequence(
    'replace origin, all sections refused',
    offer({ media: [{ port: 0, formats: '0' }] }, { replace: ['origin'] }),
  ),
];

export const liberalSequences: readonly Sequence[] = [
  ...origins,
  ...connections,
  ...medias,
  ...rtcp,
  ...attributes,
  ...maps,
  ...late,
  ...ends,
  ...refusals,
  ...directions,
  sequence(
    'bandwidths in any order',
    offer({ sessionLines: [], media: [audioOf(6000, ...bandwidths)] }),
    offer(good.replace('t=0 0', `${bandwidths.join('\r\n')}\r\nt=0 0`)),
  ),
  ...answers,
  ...originReplaced,
  sequence('RTCP on the RTP port', offer(caller(6000, 'a=rtcp:6000')), answer(), query()),
  sequence(
    'RTCP on the RTP port of both',
    offer(caller(6000, 'a=rtcp:6000')),
    answer(called([audioOf(7000, 'a=rtcp:7000')])),
    query(),
  ),
  sequence(
    '130 sections',
    offer({
      media: Array.from({ length: 130 }, (_, at) => ({ port: 6000 + 2 * at, formats: '0' })),
    }),
  ),
];
