/** Packets between the commands: learning, one-way media, statistics. */
import {
  answer,
  command,
  datagrams,
  hangUp,
  media,
  offer,
  phone,
  phoneWith,
  query,
  reoffer,
  report,
  sequence,
  wait,
  type Sequence,
} from '../sequence.js';
import type { MediaSection } from '../../../support/sdp.js';
import type { NgDictionary } from '../../../support/bencode.js';

/** Longer than the learning time of 3 s, which rtpengine counts in whole seconds. */
const afterLearning = wait(4300);

function established(keys: NgDictionary = {}): readonly ReturnType<typeof offer>[] {
  return [offer(phone('a'), keys), answer(phone('x'), keys)];
}

/** A section with these formats. */
const of =
  (formats: string) =>
  (port: number): MediaSection => ({ port, formats });

/** 20 ms of that payload type, in their order. */
const rtp = (payloadType: number): Buffer => {
  const header = Buffer.from('800000000000000011223344', 'hex');
  header.writeUInt8(payloadType, 1);
  header.writeUInt16BE(payloadType + 1, 2);
  return Buffer.concat([header, Buffer.alloc(160)]);
};

const receiverReport = Buffer.from('80c900010a0b0c0d', 'hex');
const pictureLoss = Buffer.from('81ce00020a0b0c0d0a0b0c0e', 'hex');

/** RTCP feedback between two profiles, where both sides announce it (a=rtcp-fb) or neither does. */
const feedbackBetween = (caller: string, callee: string, lines: readonly string[]): Sequence => {
  const section =
    (protocol: string) =>
    (port: number): MediaSection => ({
      ...{ port, protocol, formats: '0 8 101' },
      lines: ['a=rtpmap:101 telephone-event/8000', 'a=rtcp-mux', ...lines],
    });
  const reports = [receiverReport, pictureLoss, Buffer.concat([receiverReport, pictureLoss])];
  return sequence(
    `feedback from ${caller} to ${callee}${lines.length > 0 ? ', announced' : ''}`,
    offer(phoneWith('a', section(caller)), { 'transport-protocol': callee }),
    answer(phoneWith('x', section(callee))),
    datagrams('a', reports),
    datagrams('x', reports),
  );
};

const profiles = ['RTP/AVP', 'RTP/AVPF'] as const;

export const trafficSequences = [
  ...profiles.flatMap((caller) =>
    profiles.flatMap((callee) =>
      [[], ['a=rtcp-fb:* nack pli']].map((lines) => feedbackBetween(caller, callee, lines)),
    ),
  ),
  sequence(
    'media both ways and the statistics',
    ...established(),
    media('a', 20),
    media('x', 15),
    query(),
    hangUp(),
  ),
  sequence('RTCP both ways', ...established(), report('a'), report('x'), query()),
  sequence(
    'media after the learning time',
    ...established(),
    media('a'),
    media('x'),
    afterLearning,
    media('a'),
    media('x'),
    query(),
  ),
  sequence(
    'media from another port than signalled',
    ...established(),
    media('z', 5, 'a'),
    media('x'),
    query(),
  ),
  sequence(
    'a stranger after the learning time',
    ...established(),
    afterLearning,
    media('a'),
    media('x'),
    media('z', 5, 'a'),
    media('x'),
    query(),
  ),
  sequence(
    'asymmetric',
    ...established({ flags: ['asymmetric'] }),
    media('z', 5, 'a'),
    media('x'),
    query(),
  ),
  sequence(
    'asymmetric in the offer only',
    offer(phone('a'), { flags: ['asymmetric'] }),
    answer(phone('x')),
    media('z', 5, 'a'),
    media('x'),
    query(),
  ),
  sequence(
    'symmetric is an unknown word',
    ...established({ flags: ['symmetric'] }),
    media('a'),
    query(),
  ),
  sequence(
    'the codec of what was heard last',
    ...[offer(phoneWith('a', of('8 0'))), answer(phoneWith('x', of('8 0')))],
    ...[datagrams('a', [rtp(0)]), query(), datagrams('a', [rtp(8)]), query()],
    ...[datagrams('x', [rtp(0)]), query()],
  ),
  sequence(
    'drop-traffic',
    ...[offer(phone('a')), answer(phone('x')), media('a')],
    ...[offer(phone('a'), { 'to-tag': 'x', 'drop-traffic': 'start' }), media('a'), media('x')],
    ...[report('a'), query(), answer(phone('x')), media('a'), command('block media')],
    ...[media('a'), query(), command('unblock media')],
    offer(phone('a'), { 'to-tag': 'x', 'drop-traffic': 'stop' }),
    ...[answer(phone('x')), media('a'), query()],
  ),
  sequence(
    'strict-source',
    ...established({ flags: ['strict-source'] }),
    media('a'),
    afterLearning,
    media('a'),
    media('z', 5, 'a'),
    media('x'),
    query(),
  ),
  sequence(
    'strict-source in the offer only',
    offer(phone('a'), { flags: ['strict-source'] }),
    answer(phone('x')),
    query(),
  ),
  sequence(
    'media-handover',
    ...established({ flags: ['media-handover'] }),
    media('a'),
    afterLearning,
    media('a'),
    media('z', 5, 'a'),
    media('x'),
    query(),
  ),
  sequence(
    'strict-source and media-handover',
    ...established({ flags: ['strict-source', 'media-handover'] }),
    media('a'),
    afterLearning,
    media('a'),
    media('z', 5, 'a'),
    media('x'),
  ),
  sequence(
    'media while sendonly',
    ...established(),
    reoffer(phone('a', ['a=sendonly'])),
    answer(phone('x', ['a=recvonly'])),
    media('a'),
    media('x'),
  ),
  sequence(
    'media while inactive',
    ...established(),
    reoffer(phone('a', ['a=inactive'])),
    answer(phone('x', ['a=inactive'])),
    media('a'),
    media('x'),
  ),
  sequence(
    'media while held by zero address',
    ...established(),
    media('a'),
    media('x'),
    reoffer(phone('a', [], '0.0.0.0')),
    answer(phone('x')),
    media('a'),
    media('x'),
  ),
  sequence(
    'held by zero address from the first body on',
    offer(phone('a', [], '0.0.0.0')),
    answer(phone('x')),
    media('a'),
    query(),
  ),
  sequence(
    'totals are of those who are asked for',
    ...established(),
    media('a'),
    media('x'),
    ...[{ 'from-tag': 'a' }, { 'from-tag': 'x' }, { 'to-tag': 'x' }, { 'to-tag': 'q' }].map(
      (keys) => query(keys),
    ),
    query({ 'from-tag': 'a', 'to-tag': 'x' }),
    query({ 'from-tag': 'q' }),
  ),
  ...[77, 8, 9].map((type) =>
    sequence(
      `payload type ${type} of two phones that have agreed on 0`,
      offer(phoneWith('a', of('0 8'))),
      answer(phoneWith('x', of('0'))),
      datagrams('a', [rtp(type)]),
      datagrams('x', [rtp(type)]),
      query(),
    ),
  ),
  ...[{ 'to-tag': 'x' }, { 'to-tag': 'q' }, { 'to-label': 'q' }].map((keys) =>
    sequence(
      `block media without whom it comes from: ${JSON.stringify(keys)}`,
      ...established(),
      command('block media', keys),
      media('a'),
      media('x'),
      command('unblock media', keys),
      media('a'),
      media('x'),
    ),
  ),
  sequence(
    'early media from the callee',
    offer(phone('a')),
    offer(phone('a')),
    answer(phone('x')),
    media('x'),
    media('a'),
  ),
  sequence(
    'block media and unblock it',
    ...established(),
    command('block media'),
    media('a'),
    media('x'),
    command('unblock media'),
    media('a'),
    media('x'),
    query(),
  ),
  sequence(
    'block media of one phone',
    ...established(),
    command('block media', { 'from-tag': 'a' }),
    media('a'),
    media('x'),
    command('unblock media', { 'from-tag': 'a' }),
    media('a'),
  ),
  sequence(
    'TOS and label and metadata',
    offer(phone('a'), { TOS: 184, label: 'caller', metadata: 'meta' }),
    answer(phone('x'), { label: 'callee' }),
    media('a'),
    query(),
  ),
  sequence('a label given later', offer(), answer(), reoffer({}, { label: 'late' }), query()),
  sequence(
    'endpoint-learning off',
    ...established({ 'endpoint-learning': 'off' }),
    media('z', 5, 'a'),
    media('x'),
  ),
  sequence(
    'endpoint-learning immediate',
    ...established({ flags: ['endpoint-learning-immediate'] }),
    media('z', 5, 'a'),
    media('x'),
    media('a'),
    media('x'),
  ),
  sequence(
    'endpoint-learning heuristic',
    ...established({ flags: ['endpoint-learning-heuristic'] }),
    media('z', 5, 'a'),
    media('a'),
    media('x'),
  ),
];
