/** What an SDP body may hold and how it comes out. */
import { video, type MediaSection, type SdpOptions } from '../../../support/sdp.js';
import {
  answer,
  audioOf,
  called,
  caller,
  calleeOffer,
  callerAnswer,
  offer,
  query,
  reoffer,
  sequence,
} from '../sequence.js';

const directions = ['sendrecv', 'sendonly', 'recvonly', 'inactive'] as const;

function section(
  type: string,
  port: number,
  protocol: string,
  formats: string,
  ...lines: string[]
): MediaSection {
  return { type, port, protocol, formats, lines };
}

function plain(formats: string, ...lines: string[]): MediaSection {
  return { port: 6000, formats, lines };
}

const bfcp = (port: number): MediaSection =>
  section('application', port, 'UDP/BFCP', '*', 'a=floorctrl:c-only', 'a=confid:1');
const msrp = (port: number): MediaSection =>
  section(
    'message',
    port,
    'TCP/MSRP',
    '*',
    'a=accept-types:text/plain',
    'a=path:msrp://192.0.2.10/abc;tcp',
  );
const fax = (port: number): MediaSection =>
  section('image', port, 'udptl', 't38', 'a=T38FaxVersion:0');
const counted = { replace: ['SDP-version'] };
const versioned = (version: number): SdpOptions => ({ version, media: [audioOf(6000)] });
const versionedAnswer = (version: number): SdpOptions => called([audioOf(7000)], { version });
const feedback = ['a=rtcp-fb:* nack', 'a=rtcp-fb:0 ccm fir'];

export const bodySequences = [
  ...directions.flatMap((offered) =>
    directions.map((answered) =>
      sequence(
        `direction ${offered} answered ${answered}`,
        offer(caller(6000, `a=${offered}`)),
        answer(called([audioOf(7000, `a=${answered}`)])),
        query(),
      ),
    ),
  ),
  sequence(
    'direction at session level',
    offer({ sessionLines: ['a=sendonly'] }),
    answer(called([audioOf(7000)], { sessionLines: ['a=recvonly'] })),
    query(),
  ),
  ...directions.flatMap((first) =>
    directions.map((second) =>
      sequence(`${first} and ${second} at once`, offer(caller(6000, `a=${first}`, `a=${second}`))),
    ),
  ),
  sequence('two directions of the session', offer({ sessionLines: ['a=sendonly', 'a=recvonly'] })),
  sequence(
    'original-sendrecv copies what came',
    offer(caller(6000, 'a=sendonly'), { flags: ['original-sendrecv'] }),
    answer(called(), { flags: ['original-sendrecv'] }),
  ),
  sequence(
    'hold by sendonly, resumed',
    offer(),
    answer(),
    reoffer(caller(6000, 'a=sendonly')),
    answer(called([audioOf(7000, 'a=recvonly')])),
    query(),
    reoffer(),
    answer(),
    query(),
  ),
  sequence(
    'hold by inactive, resumed',
    offer(),
    answer(),
    reoffer(caller(6000, 'a=inactive')),
    answer(called([audioOf(7000, 'a=inactive')])),
    query(),
    reoffer(),
    answer(),
  ),
  sequence(
    'hold by zero address, resumed',
    offer(),
    answer(),
    reoffer({ address: '0.0.0.0' }),
    answer(called([audioOf(7000, 'a=recvonly')])),
    query(),
    reoffer(),
    answer(),
    query(),
  ),
  sequence('zero address in the first offer', offer({ address: '0.0.0.0' }), answer(), query()),
  sequence(
    'zero address in the answer',
    offer(),
    answer(called([audioOf(7000)], { address: '0.0.0.0' })),
    query(),
  ),
  sequence(
    'zero address with recvonly',
    offer({ address: '0.0.0.0', ...caller(6000, 'a=recvonly') }),
  ),
  sequence(
    'zero address replaced',
    offer({ address: '0.0.0.0' }, { replace: ['zero-address'] }),
    answer(),
  ),
  sequence(
    'c= in the section only',
    offer({ address: null, media: [{ ...audioOf(6000), address: '192.0.2.12' }] }),
    query(),
  ),
  sequence(
    'c= in both places',
    offer({ media: [{ ...audioOf(6000), address: '192.0.2.12' }, video(6100)] }),
    answer(called([audioOf(7000), video(7100)])),
    query(),
  ),
  sequence(
    'a=rtcp with a port',
    offer(caller(6000, 'a=rtcp:6055')),
    answer(called([audioOf(7000, 'a=rtcp:7055')])),
    query(),
  ),
  sequence(
    'a=rtcp with an address',
    offer(caller(6000, 'a=rtcp:6055 IN IP4 192.0.2.11')),
    answer(),
    query(),
  ),
  sequence(
    'a=rtcp changed in the re-offer',
    offer(),
    answer(),
    reoffer(caller(6000, 'a=rtcp:6077')),
    query(),
  ),
  sequence(
    'no-rtcp-attribute',
    offer({}, { flags: ['no-rtcp-attribute'] }),
    answer(called(), { flags: ['no-rtcp-attribute'] }),
  ),
  sequence(
    'full-rtcp-attribute',
    offer({}, { flags: ['full-rtcp-attribute'] }),
    answer(called(), { flags: ['full-rtcp-attribute'] }),
  ),
  sequence(
    'IPv6 address in the body',
    offer({ address: '2001:db8::5', origin: '2001:db8::5' }),
    answer(),
    query(),
  ),
  sequence(
    'address-family of an interface without it',
    offer({}, { 'address-family': 'IP6' }),
    answer(),
  ),
  sequence('address-family unknown', offer({}, { 'address-family': 'IP9' }), answer()),
  sequence(
    'media-address',
    offer({}, { 'media-address': '198.51.100.9' }),
    answer(called(), { 'media-address': '198.51.100.10' }),
    query(),
  ),
  sequence(
    'media-address of the other family',
    offer({}, { 'media-address': '2001:db8::1' }),
    answer(),
  ),
  sequence('media-address that is none', offer({}, { 'media-address': 'hello' }), answer()),
  sequence(
    'static payload types without rtpmap',
    offer({ media: [plain('0 3 4 5 8 9 13 15 18 34')] }),
    answer(called([{ port: 7000, formats: '18 8' }])),
  ),
  sequence(
    'payload types without meaning',
    offer({ media: [plain('0 97 2')] }),
    answer(called([{ port: 7000, formats: '97 0' }])),
  ),
  sequence(
    'rtpmap of payload types not offered',
    offer({ media: [plain('0', 'a=rtpmap:101 telephone-event/8000', 'a=fmtp:18 annexb=no')] }),
  ),
  sequence(
    'rtpmap with channels',
    offer({
      media: [
        plain(
          '96 97',
          'a=rtpmap:96 opus/48000/2',
          'a=fmtp:96 useinbandfec=1',
          'a=rtpmap:97 L16/16000/1',
        ),
      ],
    }),
    answer(called([{ port: 7000, formats: '96', lines: ['a=rtpmap:96 opus/48000/2'] }])),
  ),
  sequence(
    'answer with formats that were not offered',
    offer({ media: [plain('0 8')] }),
    answer(called([{ port: 7000, formats: '8 18 96', lines: ['a=rtpmap:96 opus/48000/2'] }])),
  ),
  sequence(
    'answer with another number for a codec',
    offer(),
    answer(called([{ port: 7000, formats: '0 97', lines: ['a=rtpmap:97 telephone-event/8000'] }])),
  ),
  sequence(
    'answer in another order',
    offer({ media: [plain('0 8 9')] }),
    answer(called([{ port: 7000, formats: '9 0' }])),
  ),
  sequence('a payload type twice', offer({ media: [plain('0 8 0')] })),
  sequence(
    'two fmtp of one payload type',
    offer({
      media: [plain('96', 'a=rtpmap:96 opus/48000/2', 'a=fmtp:96 one=1', 'a=fmtp:96 two=2')],
    }),
  ),
  sequence('ptime of the offer', offer(caller(6000, 'a=ptime:30')), answer()),
  sequence(
    'ptime of offer and answer',
    offer(caller(6000, 'a=ptime:30', 'a=maxptime:60')),
    answer(called([audioOf(7000, 'a=ptime:20')])),
  ),
  sequence('ptime of the answer only', offer(), answer(called([audioOf(7000, 'a=ptime:40')]))),
  sequence(
    'm= with a number of ports',
    offer({ media: [{ ...audioOf(6000), formats: '0' }] }),
    answer(),
  ),
  sequence(
    'm= with two port pairs',
    offer(async () => twoPairs(6000)),
    answer(async () => twoPairs(7000)),
    query(),
  ),
  sequence(
    'AVPF passed through',
    offer({ media: [{ port: 6000, protocol: 'RTP/AVPF', formats: '0 8', lines: feedback }] }),
    answer(called([{ port: 7000, protocol: 'RTP/AVPF', formats: '0 8', lines: feedback }])),
    query(),
  ),
  sequence(
    'AVP to AVPF',
    offer({}, { 'transport-protocol': 'RTP/AVPF' }),
    answer(called([{ port: 7000, protocol: 'RTP/AVPF', formats: '0 8' }])),
    query(),
  ),
  sequence(
    'AVPF to AVP',
    offer(
      { media: [{ port: 6000, protocol: 'RTP/AVPF', formats: '0 8', lines: feedback }] },
      { 'transport-protocol': 'RTP/AVP' },
    ),
    answer(),
    query(),
  ),
  sequence(
    'AVP answered as AVPF',
    offer(),
    answer(called([{ port: 7000, protocol: 'RTP/AVPF', formats: '0 8' }])),
  ),
  sequence('unknown transport-protocol', offer({}, { 'transport-protocol': 'FOO/BAR' }), answer()),
  sequence(
    'transport-protocol in small letters',
    offer({}, { 'transport-protocol': 'rtp/avpf' }),
    answer(),
  ),
  sequence(
    'BFCP beside audio',
    offer({ media: [audioOf(6000), bfcp(6200)] }),
    answer(called([audioOf(7000), bfcp(7200)])),
    query(),
  ),
  sequence('fax', offer({ media: [fax(6000)] }), answer(called([fax(7000)])), query()),
  sequence(
    'ptime of media that are no RTP',
    offer({ media: [section('image', 6000, 'udptl', 't38', 'a=ptime:20', 'a=maxptime:40')] }),
    answer(called([section('image', 7000, 'udptl', 't38', 'a=ptime:20')])),
    offer({ media: [section('application', 6000, 'UDP/BFCP', '*', 'a=ptime:20')] }),
  ),
  sequence(
    'fax in capitals',
    offer({ media: [section('image', 6000, 'UDPTL', 't38')] }),
    answer(called([section('image', 7000, 'UDPTL', 't38')])),
  ),
  sequence(
    'MSRP beside audio',
    offer({ media: [audioOf(6000), msrp(6300)] }),
    answer(called([audioOf(7000), msrp(7300)])),
  ),
  sequence(
    'MSRP with its own c=',
    offer({ media: [audioOf(6000), { ...msrp(6300), address: '192.0.2.99' }] }),
  ),
  sequence(
    'data channels',
    offer({
      media: [
        section('application', 6400, 'UDP/DTLS/SCTP', 'webrtc-datachannel', 'a=sctp-port:5000'),
      ],
    }),
  ),
  sequence(
    'bandwidth, title and key lines',
    offer({
      sessionLines: ['b=AS:64'],
      media: [{ port: 6000, formats: '0 8', lines: ['i=title', 'b=AS:32', 'b=RR:100', 'b=RS:50'] }],
    }),
    answer(),
  ),
  sequence(
    'attributes of the session',
    offer({
      sessionLines: ['a=tool:foo', 'a=charset:utf-8', 'a=group:BUNDLE 1', 'a=msid-semantic:WMS x'],
      media: [audioOf(6000, 'a=mid:1')],
    }),
  ),
  sequence(
    'attributes of a section',
    offer(
      caller(
        6000,
        'a=label:5',
        'a=ssrc:1 cname:x',
        'a=extmap:1 urn:x',
        'a=silenceSupp:off - - - -',
        'a=x-note:keep',
        'a=maxptime:60',
      ),
    ),
  ),
  sequence(
    'mid kept and generated',
    offer({ media: [audioOf(6000), video(6100, ['a=mid:v'])] }, { flags: ['generate-mid'] }),
  ),
  sequence(
    'mid generated, then offers of the called phone',
    offer({}, { flags: ['generate-mid'] }),
    ...[answer(), calleeOffer(called([audioOf(7000), audioOf(7002)]))],
    callerAnswer({ media: [audioOf(6000), audioOf(6002)] }),
    ...[calleeOffer(called([audioOf(7000), audioOf(7002)])), query()],
  ),
  sequence(
    'mid generated for the caller, who offers then',
    ...[offer(), answer(), calleeOffer(called(), { flags: ['generate-mid'] }), callerAnswer()],
    ...[reoffer(), answer()],
  ),
  ...['RTP/AVP', 'RTP/AVPF'].flatMap((first) => {
    const section = (port: number): MediaSection => ({ port, protocol: first, formats: '0' });
    const other = first === 'RTP/AVP' ? 'RTP/AVPF' : 'RTP/AVP';
    const asked = { 'transport-protocol': other };
    return sequence(
      `${first} answered by ${other}`,
      ...[offer({ media: [section(6000)] }), answer(called([section(7000)]), asked), query()],
      ...[reoffer({ media: [section(6000)] }), answer(called([section(7000)]))],
      ...[calleeOffer(called([section(7000)]), asked), query()],
      ...[callerAnswer({ media: [section(6000)] }), query()],
    );
  }),
  sequence(
    'mid in answers',
    offer(caller(6000, 'a=mid:m1')),
    answer(called([audioOf(7000, 'a=mid:m1')])),
  ),
  sequence(
    'loop-protect',
    offer({}, { flags: ['loop-protect'] }),
    answer(called(), { flags: ['loop-protect'] }),
  ),
  sequence(
    'ICE removed',
    offer(
      caller(
        6000,
        'a=ice-ufrag:abcd',
        'a=ice-pwd:0123456789abcdef012345',
        'a=candidate:1 1 UDP 2113937151 192.0.2.10 6000 typ host',
      ),
      { ICE: 'remove' },
    ),
    query(),
  ),
  sequence(
    'replace origin',
    offer({}, { replace: ['origin'] }),
    answer(called(), { replace: ['origin'] }),
  ),
  sequence(
    'replace session-connection',
    offer({}, { replace: ['session-connection'] }),
    answer(called(), { replace: ['session-connection'] }),
  ),
  sequence(
    'replace origin towards the outer interface',
    offer({}, { replace: ['origin', 'session-connection'], direction: ['lo', 'ext'] }),
    answer(called(), { replace: ['origin', 'session-connection'] }),
  ),
  sequence('replace SDP-version', ...versions(['SDP-version'])),
  sequence(
    'replace SDP-version after bodies without',
    ...[offer(versioned(3)), answer(versionedAnswer(10))],
    ...[reoffer(versioned(5)), answer(versionedAnswer(12))],
    ...[reoffer(versioned(9), counted), answer(versionedAnswer(20), counted)],
    reoffer(versioned(30)),
    ...[calleeOffer(versionedAnswer(40), counted), callerAnswer(versioned(31), counted)],
  ),
  sequence('replace username', ...versions(['username'])),
  sequence('replace session-name', ...versions(['session-name'])),
  sequence('replace force-increment-sdp-ver', ...versions(['force-increment-sdp-ver'])),
  sequence(
    'replace everything',
    ...versions(['origin', 'session-connection', 'SDP-version', 'username', 'session-name']),
  ),
  ...['a=ice-options:trickle', 'a=candidate:1 1 udp 2113937151 192.0.2.80 50000 typ host'].map(
    (line) =>
      sequence(
        `a zero address holds in spite of ${line}`,
        offer({ address: '0.0.0.0', media: [plain('0 8', line)] }),
        answer(called()),
        query(),
      ),
  ),
  sequence(
    'full-rtcp-attribute while on hold',
    offer({ address: '0.0.0.0' }, { flags: ['full-rtcp-attribute'] }),
    offer(
      { address: '0.0.0.0' },
      { flags: ['full-rtcp-attribute'], 'media-address': '203.0.113.9' },
    ),
  ),
  sequence(
    'a refused section with a zero address is not on hold',
    offer({ address: '0.0.0.0', media: [plain('0 8'), video(0)] }),
    answer(called([audioOf(7000), video(0)], { address: '0.0.0.0' })),
    query(),
  ),
  sequence('force-relay with one port', offer({}, { ICE: 'force-relay', 'rtcp-mux': ['require'] })),
  ...['RTP/AVP', 'RTP/AVPF'].map((protocol) =>
    sequence(
      `feedback of one side only, ${protocol}`,
      offer({ media: [section('audio', 6000, protocol, '0 8', ...feedback)] }),
      answer(called([section('audio', 7000, protocol, '0 8')])),
      query(),
      reoffer({ media: [section('audio', 6000, protocol, '0 8')] }),
      query(),
    ),
  ),
];

/** The same body twice, then a changed one, then the first again. */
function versions(replace: string[]): readonly ReturnType<typeof offer>[] {
  return [
    offer({}, { replace }),
    answer(called(), { replace }),
    reoffer({}, { replace }),
    answer(called([audioOf(7000)], { user: 'eve', version: 9 }), { replace }),
    reoffer(
      { user: 'eve', version: 9, sessionName: 'second', media: [audioOf(6000, 'a=ptime:40')] },
      { replace },
    ),
    reoffer({}, { replace }),
  ];
}

async function twoPairs(port: number): Promise<string> {
  return [
    'v=0',
    'o=ann 1 1 IN IP4 192.0.2.10',
    's=-',
    'c=IN IP4 192.0.2.10',
    't=0 0',
    `m=audio ${port}/2 RTP/AVP 0`,
    '',
  ].join('\r\n');
}
