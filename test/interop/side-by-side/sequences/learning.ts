/** Where media goes when bindings change, strangers send, and reports come on the port of RTP. */
import { senderReport } from '../../../support/rtp-endpoint.js';
import {
  answer,
  audioOf,
  callerAnswer,
  calleeOffer,
  datagrams,
  media,
  offer,
  phone,
  phoneWith,
  reoffer,
  sequence,
  wait,
  type Sequence,
  type Step,
} from '../sequence.js';
import type { NgDictionary } from '../../../support/bencode.js';

/** Longer than the learning time of 3 s, which rtpengine counts in whole seconds. */
const afterLearning = wait(4300);

/** 10.5 knows the flags, not the key. */
const immediate = { flags: ['endpoint-learning-immediate'] };
/** An address that nothing comes from: the phone is behind NAT. */
const inside = '10.1.2.3';

/**
 * A settled call; then signalling that changes nothing in the SDP, and the binding of one phone is another:
 * z sends what `moved` would, and hears the other one.
 */
function rebound(
  name: string,
  keys: NgDictionary,
  again: readonly Step[],
  { address = '127.0.0.1', moved = 'a' }: { address?: string; moved?: 'a' | 'x' } = {},
): Sequence {
  const other = moved === 'a' ? 'x' : 'a';
  return sequence(
    `a new binding after ${name}`,
    offer(phone('a', [], address), keys),
    answer(phone('x'), keys),
    ...[media('a'), media('x'), media('a')],
    ...again,
    media(other),
    ...[media('z', 5, moved), media(other)],
  );
}

const strict = { flags: [...immediate.flags, 'strict-source'] };
const latching = { flags: [...immediate.flags, 'port-latching'] };

const delayed = { flags: ['endpoint-learning-delayed', 'strict-source'] };

const rebindings = [
  rebound('an offer', immediate, [reoffer(phone('a'), immediate)]),
  rebound('offer and answer', immediate, [
    reoffer(phone('a'), immediate),
    answer(phone('x'), immediate),
  ]),
  rebound("the callee's offer", immediate, [calleeOffer(phone('x'), immediate)]),
  rebound("the callee's offer, its own", immediate, [calleeOffer(phone('x'), immediate)], {
    moved: 'x',
  }),
  rebound("the callee's offer and the answer", immediate, [
    calleeOffer(phone('x'), immediate),
    callerAnswer(phone('a'), immediate),
  ]),
  rebound('a repeated answer', immediate, [answer(phone('x'), immediate)]),
  rebound('an offer with strict-source', strict, [reoffer(phone('a'), strict)]),
  rebound('an offer with port-latching', latching, [reoffer(phone('a'), latching)]),
  rebound(
    'an offer with a private address',
    immediate,
    [reoffer(phone('a', [], inside), immediate)],
    { address: inside },
  ),
  rebound('nothing', immediate, []),
  rebound('nothing with strict-source', strict, []),
  sequence(
    'a new binding after an offer with delayed learning',
    offer(phone('a'), delayed),
    answer(phone('x'), delayed),
    ...[afterLearning, media('a'), media('x')],
    reoffer(phone('a'), delayed),
    ...[media('x'), media('z', 5, 'a'), media('x')],
  ),
];

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');
const receiverReport = bytes('80c9000100000007');
/** RFC 4585 §6.3.1, §6.2.1. */
const pictureLoss = bytes('81ce00020000000700000008');
const lostPackets = bytes('81cd0003000000070000000800010000');
const goodbye = bytes('81cb000100000007');

const feedback = [
  pictureLoss,
  lostPackets,
  Buffer.concat([receiverReport, pictureLoss]),
  Buffer.concat([receiverReport, lostPackets, pictureLoss, goodbye]),
  Buffer.concat([pictureLoss, receiverReport]),
  Buffer.concat([receiverReport, pictureLoss.subarray(0, 8)]),
  Buffer.concat([receiverReport, goodbye]),
];

/** Feedback from both sides, each with its own profile, RTCP on the port of RTP. */
function withProfiles(caller: string, callee: string): Sequence {
  const body = (party: 'a' | 'x', protocol: string): ReturnType<typeof phoneWith> =>
    phoneWith(party, (port) => ({ ...audioOf(port, 'a=rtcp-mux'), protocol }));
  return sequence(
    `RTCP feedback from ${caller} to ${callee}`,
    offer(body('a', caller), { 'transport-protocol': callee }),
    answer(body('x', callee)),
    datagrams('a', feedback),
    datagrams('x', feedback),
  );
}

const mux = (party: 'a' | 'x'): ReturnType<typeof phone> => phone(party, ['a=rtcp-mux']);

export const learningSequences = [
  ...rebindings,
  withProfiles('RTP/AVPF', 'RTP/AVP'),
  withProfiles('RTP/AVP', 'RTP/AVPF'),
  withProfiles('RTP/AVPF', 'RTP/AVPF'),
  withProfiles('RTP/AVP', 'RTP/AVP'),
  ...['immediate', 'delayed', 'heuristic'].map((learning) =>
    sequence(
      `a report on the port of RTP teaches nothing, ${learning}`,
      offer(mux('a'), { flags: [`endpoint-learning-${learning}`] }),
      answer(mux('x'), { flags: [`endpoint-learning-${learning}`] }),
      datagrams('z', [senderReport(7, 1, 1)], 'a'),
      ...[media('x'), media('a'), media('x')],
      datagrams('z', [senderReport(7, 1, 1)], 'a'),
      media('x'),
    ),
  ),
  sequence(
    'asymmetric and strict-source',
    offer(phone('a'), { flags: ['asymmetric', 'strict-source'] }),
    answer(phone('x'), { flags: ['asymmetric', 'strict-source'] }),
    ...[media('z', 5, 'a'), media('a'), media('z', 5, 'a'), media('x')],
  ),
  sequence(
    'endpoint-learning off and media-handover',
    offer(phone('a'), { flags: ['endpoint-learning-off', 'media-handover'] }),
    answer(phone('x'), { flags: ['endpoint-learning-off', 'media-handover'] }),
    ...[media('a'), media('x'), media('z', 5, 'a'), media('x'), media('a'), media('x')],
  ),
];
