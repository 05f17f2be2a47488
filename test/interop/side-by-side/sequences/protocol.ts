/** Commands, their keys, their errors and their encodings. */
import { buildSdp } from '../../../support/sdp.js';
import {
  answer,
  called,
  command,
  dictionary,
  offer,
  query,
  raw,
  rawUnder,
  sequence,
  type Sequence,
} from '../sequence.js';

const body = buildSdp();
const established = [
  offer({}, { label: 'caller' }),
  answer(called(), { label: 'callee' }),
] as const;

const onCalls = [
  'query',
  'start recording',
  'stop recording',
  'block media',
  'unblock media',
  'block DTMF',
  'unblock DTMF',
  'silence media',
  'unsilence media',
  'start forwarding',
  'stop forwarding',
  'play media',
  'stop media',
  'play DTMF',
  'subscribe request',
  'subscribe answer',
  'unsubscribe',
];
const selecting = [
  'block media',
  'unblock media',
  'block DTMF',
  'unblock DTMF',
  'silence media',
  'unsilence media',
  'start forwarding',
  'stop forwarding',
];

function unknownCall(word: string): Sequence {
  const keys = { 'from-tag': 'a', 'to-tag': 'x', sdp: body };
  return sequence(
    `${word} of an unknown call`,
    command(word, keys),
    dictionary(word, { command: word }),
  );
}

function selection(word: string): Sequence {
  return sequence(
    `${word} and whom it concerns`,
    ...established,
    command(word),
    command(word, { 'from-tag': 'a' }),
    command(word, { 'from-tag': 'q' }),
    command(word, { label: 'callee' }),
    command(word, { label: 'q' }),
    command(word, { address: '192.0.2.77' }),
    command(word, { address: 'foo' }),
    command(word, { address: '192.0.2.99' }),
    command(word, { 'from-tag': 'a', flags: ['directional'] }),
    command(word, { flags: ['all'] }),
    query(),
  );
}

const json = (keys: Record<string, unknown>): string => JSON.stringify(keys);

export const protocolSequences = [
  sequence(
    'ping',
    dictionary('ping', { command: 'ping' }),
    dictionary('ping with more', { command: 'ping', foo: 'bar' }),
  ),
  sequence(
    'keys that are missing',
    dictionary('offer without sdp', { command: 'offer', 'call-id': 'k', 'from-tag': 'a' }),
    dictionary('offer without call-id', { command: 'offer', sdp: body, 'from-tag': 'a' }),
    dictionary('offer without from-tag', { command: 'offer', sdp: body, 'call-id': 'k' }),
    dictionary('offer without anything', { command: 'offer' }),
    dictionary('answer without to-tag', {
      command: 'answer',
      sdp: body,
      'call-id': 'k',
      'from-tag': 'a',
    }),
    dictionary('answer of an unknown call', {
      command: 'answer',
      sdp: body,
      'call-id': 'k',
      'from-tag': 'a',
      'to-tag': 'x',
    }),
    dictionary('bad answer of an unknown call', {
      command: 'answer',
      sdp: 'foo',
      'call-id': 'k',
      'from-tag': 'a',
      'to-tag': 'x',
    }),
    dictionary('delete without call-id', { command: 'delete' }),
    dictionary('query without call-id', { command: 'query' }),
    dictionary('no command', { foo: 'bar' }),
    dictionary('unknown command', { command: 'foo' }),
    dictionary('command in capitals', { command: 'Ping' }),
  ),
  sequence(
    'keys of the wrong type',
    offer({}, { flags: 5 }),
    offer({}, { flags: 'no-rtcp-attribute' }),
    offer({}, { replace: 'origin' }),
    offer({}, { 'from-tag': 7 }),
    offer({}, { TOS: 'high' }),
  ),
  sequence(
    'keys with a space',
    dictionary('from tag', { command: 'offer', sdp: body, 'call id': 'k', 'from tag': 'a' }),
    offer({}, { 'transport protocol': 'RTP/AVPF' }),
    offer({}, { 'media address': '198.51.100.9' }),
  ),
  sequence(
    'unknown keys and flags',
    offer({}, { flags: ['foo-bar', 'symmetric', 'force'], zzz: ['x'], foo: { bar: 1 } }),
    answer(),
  ),
  sequence(
    'flags with spaces',
    offer({}, { flags: ['no rtcp attribute'] }),
    offer({}, { flags: ['port latching', 'trust address'] }),
  ),
  sequence(
    'empty strings as tags and call-id',
    dictionary('empty call-id', { command: 'offer', 'call-id': '', 'from-tag': 'a', sdp: body }),
    dictionary('delete it', { command: 'delete', 'call-id': '', 'delete-delay': 0 }),
  ),
  sequence('an empty from-tag', offer({}, { 'from-tag': '' }), query()),
  sequence('an empty body', offer(''), query(), answer('')),
  sequence(
    'bytes beyond ASCII in tags',
    offer({}, { 'from-tag': 'a\xe9\xff' }),
    answer(called(), { 'from-tag': 'a\xe9\xff', 'to-tag': '\x01x' }),
  ),
  sequence(
    'list',
    command('list', { limit: 0 }),
    offer(),
    command('list'),
    command('list', { limit: 1 }),
    command('list', { limit: '3' }),
    command('list', { limit: 'x' }),
    command('list', { limit: -1 }),
  ),
  sequence(
    'query of some tags',
    ...established,
    query({ 'from-tag': 'a' }),
    query({ 'to-tag': 'x' }),
    query({ 'from-tag': 'a', 'to-tag': 'x' }),
    query({ 'from-tag': 'q' }),
    query({ 'from-tag': 'x' }),
  ),
  sequence('statistics', offer(), command('statistics', {}, { shapeOnly: true })),
  ...onCalls.filter((word) => !word.includes('subscri')).map(unknownCall),
  ...selecting.map(selection),
  sequence(
    'start and stop recording',
    ...established,
    command('start recording'),
    command('start recording'),
    command('stop recording'),
    command('stop recording'),
  ),
  sequence(
    'commands of later releases',
    ...[
      'pause recording',
      'connect',
      'create',
      'create answer',
      'mesh',
      'transform',
      'inject start',
      'inject stop',
      'cli',
    ].map((word) => command(word, { 'from-tag': 'a' })),
  ),
  sequence(
    'JSON',
    offer({}, {}, { encoding: 'json' }),
    answer(called(), {}, { encoding: 'json' }),
    command('query', {}, { encoding: 'json' }),
    command('list', { limit: 0 }, { encoding: 'json' }),
    command('ping', {}, { encoding: 'json' }),
  ),
  sequence(
    'JSON texts',
    raw('a number as tag', json({ command: 'offer', 'call-id': 'j', 'from-tag': 1, sdp: body })),
    raw('escapes', json({ command: 'query', 'call-id': 'x\n"\\' })),
    raw('not UTF-8', '{"command":"query","call-id":"\xe4"}'),
    raw('UTF-8', '{"command":"query","call-id":"\xc3\xa4"}'),
    raw('true and null', json({ command: 'ping', a: true, b: null, c: 1.5 })),
    raw('cut off', '{"command":'),
    raw('a list', '[1]'),
    raw('trailing text', '{"command":"ping"} x'),
  ),
  sequence(
    'messages that are none',
    raw('nothing', ''),
    raw('text', 'foo'),
    raw('a list', 'l4:pinge'),
    raw('a number', 'i5e'),
    raw('cut off', 'd1:a'),
    raw('last e missing', 'd7:command4:ping'),
    raw('trailing text', 'd7:command4:pinge trailing'),
    raw('a key twice', 'd7:command4:ping7:commandi3ee'),
    raw('an empty dictionary', 'de'),
    raw('command as a number', 'd7:commandi5ee'),
    raw('a number that is none', 'd7:command4:ping1:aixee'),
    raw('keys out of order', 'd1:z1:17:command4:ping1:a1:2e'),
  ),
  sequence(
    'a cookie used twice',
    rawUnder('same-cookie', 'ping', 'd7:command4:pinge'),
    rawUnder('same-cookie', 'list', 'd7:command4:liste'),
  ),
  sequence(
    'a repetition',
    rawUnder('repeated', 'list', 'd7:command4:list5:limiti0ee'),
    rawUnder('repeated', 'list again', 'd7:command4:list5:limiti0ee'),
    rawUnder('repeated-error', 'query', 'd7:command5:query7:call-id7:unknowne'),
    rawUnder('repeated-error', 'query again', 'd7:command5:query7:call-id7:unknowne'),
  ),
  sequence(
    'a failed command under the same cookie',
    rawUnder('bad-cookie', 'foo', 'd7:command3:fooe'),
    rawUnder('bad-cookie', 'ping', 'd7:command4:pinge'),
  ),
  sequence('supports load limit', offer({}, { supports: ['load limit'] }), answer()),
  sequence('record-call off', offer({}, { 'record-call': 'no' }), answer()),
];
