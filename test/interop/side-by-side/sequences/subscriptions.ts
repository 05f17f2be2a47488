/** Published and forked media: what is answered, and who gets which packets. Published codecs are those that 10.5 can run. */
import type { NgDictionary } from '../../../support/bencode.js';
import { buildSdp } from '../../../support/sdp.js';
import {
  answer,
  command,
  hangUp,
  media,
  offer,
  phone,
  query,
  report,
  sequence,
  type CommandStep,
  type Party,
  type Sequence,
} from '../sequence.js';

const oneCodec = { formats: '0', lines: [] };
const allCodecs = { formats: '0 8 101', lines: ['a=rtpmap:101 telephone-event/8000'] };

/** A command with a body of a phone of this run. */
function bodied(
  word: string,
  party: Party,
  keys: NgDictionary,
  { formats, lines }: typeof oneCodec | typeof allCodecs,
  direction: string,
): CommandStep {
  return {
    ...command(word, {}, word === 'publish' ? { delivers: party } : {}),
    dictionary: async (scene) => {
      const port = await scene.port(party);
      const section = { port, formats, lines: [...lines, `a=${direction}`] };
      const at = { origin: '127.0.0.1', address: '127.0.0.1' };
      const sdp = buildSdp({ user: party, ...at, media: [section] });
      return { 'call-id': scene.callId, sdp, ...keys, command: word };
    },
  };
}

const publish = (direction = 'sendonly'): CommandStep =>
  bodied('publish', 'a', { 'from-tag': 'a' }, oneCodec, direction);

const subscribe = (party: Party, keys: NgDictionary = { 'from-tag': 'a' }): CommandStep =>
  command('subscribe request', { 'to-tag': party, ...keys }, { delivers: party });

/** The answer to what a publisher sends, and to what the party of a call does. */
const accept = (party: Party): CommandStep =>
  bodied('subscribe answer', party, { 'to-tag': party }, oneCodec, 'recvonly');
const acceptAll = (party: Party): CommandStep =>
  bodied('subscribe answer', party, { 'to-tag': party }, allCodecs, 'recvonly');

const unsubscribe = (party: Party): CommandStep => command('unsubscribe', { 'to-tag': party });

/** A call of a and x, with labels. */
const call = (): readonly CommandStep[] => [
  offer(phone('a'), { label: 'A' }),
  answer(phone('x'), { label: 'X' }),
];

export const subscriptionSequences: readonly Sequence[] = [
  sequence(
    'published to two subscribers',
    ...[publish(), subscribe('x'), media('a'), accept('x'), media('a'), query()],
    ...[subscribe('y'), accept('y'), media('a'), report('a'), media('x'), report('x')],
    ...[unsubscribe('x'), media('a'), query(), unsubscribe('x'), unsubscribe('z'), media('a')],
  ),
  sequence(
    'the publisher goes',
    ...[publish(), subscribe('x'), accept('x'), media('a')],
    ...[hangUp({ 'from-tag': 'a' }), media('a'), query(), subscribe('y'), unsubscribe('x')],
  ),
  sequence(
    'a subscriber goes',
    ...[publish(), subscribe('x'), accept('x'), subscribe('y'), accept('y'), media('a')],
    ...[hangUp({ 'from-tag': 'x' }), media('a'), query()],
  ),
  sequence(
    'parties of a call are heard',
    ...[...call(), subscribe('y'), acceptAll('y'), media('a'), media('x'), query()],
    ...[subscribe('y', { 'from-tag': 'x' }), acceptAll('y'), media('a'), media('x'), query()],
    ...[subscribe('y', { label: 'A' }), acceptAll('y'), media('a'), media('x')],
    ...[subscribe('z', { 'from-tag': 'a' }), acceptAll('z'), media('a')],
    ...[unsubscribe('y'), unsubscribe('z'), media('a'), media('x'), query()],
  ),
  sequence(
    'what is blocked is not heard by subscribers',
    ...[...call(), subscribe('y'), acceptAll('y'), media('a')],
    ...[command('block media', { 'from-tag': 'a' }), media('a'), query()],
    ...[command('unblock media', { 'from-tag': 'a' }), media('a')],
    ...[command('block media'), media('a'), media('x'), command('unblock media'), media('a')],
    ...[command('silence media', { label: 'A' }), media('a')],
    ...[command('unsilence media', { label: 'A' }), media('a')],
  ),
  sequence(
    'a subscription goes on through a re-INVITE',
    ...[...call(), media('a'), subscribe('y'), acceptAll('y'), media('a')],
    ...[offer(phone('z'), { 'to-tag': 'x' }), answer(phone('x')), media('z', 5, 'a'), query()],
  ),
  sequence(
    'published again',
    ...[publish(), publish(), subscribe('x'), accept('x'), media('a')],
    ...[publish('inactive'), media('a'), publish(), media('a'), query()],
  ),
  sequence(
    'media-echo',
    ...[offer(phone('a'), { 'media-echo': 'backwards' }), answer(phone('x')), query()],
    ...[media('a'), report('a'), media('x')],
  ),
  ...['blackhole', 'both', 'forward', 'backwards'].map((word) =>
    sequence(
      `media-echo=${word} in the answer`,
      ...[offer(phone('a')), answer(phone('x'), { 'media-echo': word }), query()],
      ...[media('a'), media('x')],
    ),
  ),
  ...['blackhole', 'both', 'forward'].map((word) =>
    sequence(
      `media-echo=${word}`,
      ...[offer(phone('a'), { 'media-echo': word }), answer(phone('x')), query()],
      ...[media('a'), media('x')],
    ),
  ),
  sequence(
    'labels are set and used',
    ...[offer(phone('a'), { label: 'A' }), answer(phone('x'), { 'from-label': 'X' })],
    ...[subscribe('y', { label: 'X', 'set-label': 'Y' }), query()],
    ...[command('block media', { label: 'Y' }), command('block media', { label: 'Z' })],
    ...[command('block media', { label: 'A', 'set-label': 'B' }), query()],
  ),
  sequence(
    'label beside set-label',
    offer(phone('a'), { label: 'A', 'set-label': 'B' }),
    answer(phone('x'), { label: 'X', 'set-label': 'Y' }),
    query(),
  ),
  sequence(
    'label beside set-label of a publisher',
    bodied('publish', 'a', { 'from-tag': 'a', label: 'A', 'set-label': 'B' }, oneCodec, 'sendonly'),
    ...[subscribe('y', { label: 'B' }), subscribe('y', { label: 'A' }), accept('y'), query()],
  ),
  ...[[0], [0, 6002], [6000, 0], []].map((ports) => {
    const sdp = buildSdp({ media: ports.map((port) => ({ ...oneCodec, port })) });
    return sequence(
      `published with ports ${ports.join(', ')}`,
      command('publish', { 'from-tag': 'a', sdp }),
    );
  }),
  sequence(
    'nothing is played, digits are dialled',
    ...[...call(), media('a')],
    ...['play media', 'play DTMF'].flatMap((word) => [
      command(word),
      ...[{ 'from-tag': 'q' }, { label: 'Q' }, { address: 'foo' }, { address: '192.0.2.9' }].map(
        (keys) => command(word, keys),
      ),
    ]),
    command('play media', { 'from-tag': 'a' }),
    ...[{ file: '/none' }, { blob: 'none' }, { 'db-id': 1 }].map((keys) =>
      command('play media', { 'from-tag': 'a', ...keys }),
    ),
    ...['X', 16, -1, 'AB', ''].map((code) => command('play DTMF', { 'from-tag': 'a', code })),
    ...['1', 5].map((code) => command('play DTMF', { 'from-tag': 'a', code })),
    ...[command('stop media'), command('stop media', { 'from-tag': 'q' })],
  ),
];
