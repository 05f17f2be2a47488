/** Bodies that are wrong in one place (sdp-rules.md §11), and some that only look so. */
import { buildSdp } from '../../../support/sdp.js';
import { offer, query, sequence, type Sequence } from '../sequence.js';

const good = buildSdp();

function bad(name: string, body: string): Sequence {
  return sequence(`body: ${name}`, offer(body), query());
}

function changed(name: string, from: string, to: string): Sequence {
  if (!good.includes(from)) throw new Error(`${from} is not in the body`);
  return bad(name, good.replace(from, to));
}

export const badBodySequences = [
  changed('no v=', 'v=0\r\n', ''),
  changed('v=1', 'v=0', 'v=1'),
  changed('v in capitals', 'v=0', 'V=0'),
  bad('a space before it', ` ${good}`),
  bad('garbage', 'hello world'),
  changed('a line without =', 's=call one', 'scall one'),
  changed('unknown line type', 's=call', 'x=foo\r\ns=call'),
  changed('o= too short', 'o=ann 7001 3 IN IP4 192.0.2.10', 'o=ann 1 1 IN IP4'),
  changed(
    'o= with more words',
    'o=ann 7001 3 IN IP4 192.0.2.10',
    'o=ann 7001 3 IN IP4 192.0.2.10 more',
  ),
  changed('no o=', 'o=ann 7001 3 IN IP4 192.0.2.10\r\n', ''),
  changed('no s= and t=', 's=call one\r\n', ''),
  changed('m= port in letters', 'audio 6000', 'audio abc'),
  changed('m= port too big', 'audio 6000', 'audio 70000'),
  changed('m= port negative', 'audio 6000', 'audio -5'),
  changed('m= without protocol', 'm=audio 6000 RTP/AVP 0 8 101', 'm=audio 6000'),
  changed('m= without formats', ' 0 8 101', ''),
  changed('m= ending in a space', '0 8 101\r\n', '0 8 101 \r\n'),
  changed('c= with a name', 'c=IN IP4 192.0.2.10', 'c=IN IP4 foo.example.com'),
  changed('c= too short', 'c=IN IP4 192.0.2.10', 'c=IN IP4'),
  changed('c= of an unknown network', 'c=IN IP4', 'c=XX IP4'),
  changed('c= of the wrong family', 'c=IN IP4', 'c=IN IP6'),
  changed('c= with a TTL', 'c=IN IP4 192.0.2.10', 'c=IN IP4 192.0.2.10/127'),
  changed('c= twice', 't=0 0', 'c=IN IP4 192.0.2.44\r\nt=0 0'),
  changed('no c=', 'c=IN IP4 192.0.2.10\r\n', ''),
  changed('payload type in letters', ' 0 8 101', ' 0 foo'),
  changed('payload type too big', ' 0 8 101', ' 0 200'),
  bad('no m=', buildSdp({ media: [] })),
  bad('only v=', 'v=0\r\n'),
  bad('text after an empty line', `${good}\r\nfoo bar\r\n`),
  bad('LF only', good.replaceAll('\r\n', '\n')),
  bad('CR only', good.replaceAll('\r\n', '\r')),
  bad('no line end at the end', good.trimEnd()),
  bad('an empty attribute', `${good}a=\r\n`),
  bad('an rtpmap without value', `${good}a=rtpmap:\r\n`),
  bad('an rtpmap that is none', `${good}a=rtpmap:8 foo\r\n`),
  bad('an rtcp attribute that is none', `${good}a=rtcp:foo\r\n`),
  bad('a ptime that is none', `${good}a=ptime:xx\r\n`),
  bad('a NUL', `${good}a=x\0y\r\n`),
  bad('two sessions', `${good}${good}`),
  bad(
    'many sections',
    buildSdp({
      media: Array.from({ length: 12 }, (_, index) => ({
        port: 6000 + 2 * index,
        formats: '0 8',
      })),
    }),
  ),
  bad('a very long attribute', `${good}a=x-long:${'z'.repeat(20_000)}\r\n`),
];
