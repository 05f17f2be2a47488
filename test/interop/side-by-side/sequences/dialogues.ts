/** Tags, branches, forking, re-offers and what becomes of ports. */
import { video } from '../../../support/sdp.js';
import {
  answer,
  audioOf,
  called,
  calleeOffer,
  caller,
  callerAnswer,
  hangUp,
  offer,
  query,
  reoffer,
  sequence,
} from '../sequence.js';

const established = [offer(), answer()] as const;

export const dialogueSequences = [
  sequence('plain offer and answer', offer(), answer(), query()),
  sequence('offer only', offer(), query()),
  sequence('offer twice keeps the ports', offer(), offer(), answer(), query()),
  sequence(
    'offer from another port before the answer',
    offer(),
    offer(caller(6020)),
    offer(),
    offer({ address: '192.0.2.11' }),
    answer(),
  ),
  sequence('answer twice keeps the ports', ...established, answer(), query()),
  sequence(
    'answer from another port and back',
    ...established,
    answer(called([audioOf(7100)])),
    answer(),
    query(),
  ),
  sequence('two branches, both answered', ...twoBranches(), query()),
  sequence('two branches, second answered first', ...forked(), answerOf('y', 'b2', 7200), query()),
  sequence('two branches, none answered', ...forked(), query()),
  sequence(
    'a branch offered again without its name',
    offer({}, { 'via-branch': 'b1' }),
    offer(),
    answer(),
    query(),
  ),
  sequence(
    'answer with another via-branch than the offer',
    offer({}, { 'via-branch': 'b1' }),
    answerOf('x', 'other', 7000),
    query(),
    reoffer(),
    answer(),
    query(),
  ),
  sequence(
    'two branches, answer with the via-branch of neither',
    ...forked(),
    answerOf('x', 'other', 7000),
    query(),
    answerOf('y', 'b1', 7200),
    query(),
  ),
  sequence(
    'two branches, answer without via-branch',
    ...forked(),
    answer(),
    answer(called([audioOf(7200)]), { 'to-tag': 'y' }),
    query(),
  ),
  sequence(
    'a branch offered twice',
    offer({}, { 'via-branch': 'b1' }),
    offer({}, { 'via-branch': 'b1' }),
    answerOf('x', 'b1', 7000),
    query(),
  ),
  sequence(
    'a second answer with another to-tag',
    ...established,
    answer(called([audioOf(7300)]), { 'to-tag': 'y' }),
    answer(),
    query(),
  ),
  sequence(
    'answer with an unknown from-tag',
    offer(),
    answer(called(), { 'from-tag': 'q' }),
    query(),
  ),
  sequence(
    'answer with the tags swapped',
    offer(),
    answer(called(), { 'from-tag': 'x', 'to-tag': 'a' }),
  ),
  sequence(
    're-offer to an unknown to-tag',
    ...established,
    offer({}, { 'to-tag': 'z' }),
    answer(called([audioOf(7500)]), { 'to-tag': 'z' }),
    query(),
  ),
  sequence(
    'first offer with a to-tag, answered by it',
    offer({}, { 'to-tag': 'x' }),
    answer(),
    query(),
  ),
  sequence(
    'first offer with a to-tag, answered by another',
    offer({}, { 'to-tag': 'z' }),
    answer(),
    query(),
  ),
  sequence(
    'offer by the callee before his answer',
    offer(),
    calleeOffer(),
    query(),
    callerAnswer(),
    query(),
  ),
  sequence(
    'offer by the callee of the first of two branches',
    ...forked(),
    calleeOffer(called(), { 'via-branch': 'b1' }),
    callerAnswer(),
    query(),
  ),
  sequence(
    'offer by the callee of the second of two branches',
    ...forked(),
    calleeOffer(called(), { 'via-branch': 'b2' }),
    callerAnswer(),
    query(),
  ),
  sequence(
    'offer by the callee on no branch that there is',
    ...forked(),
    calleeOffer(),
    callerAnswer(),
    query(),
  ),
  sequence(
    'a section that both sides offer before it is answered',
    ...established,
    reoffer({ media: [audioOf(6000), video(6100)] }),
    calleeOffer(called([audioOf(7000), video(7100)])),
    callerAnswer({ media: [audioOf(6000), video(6100)] }),
    query(),
  ),
  sequence(
    'a refused section comes back after another interface was named',
    offer({ media: [audioOf(6000), video(6100)] }),
    answer(called([audioOf(7000), video(7100)])),
    reoffer({ media: [audioOf(6000), video(0)] }, { direction: ['lo', 'ext'] }),
    answer(called([audioOf(7000), video(0)])),
    reoffer({ media: [audioOf(6000), video(6100)] }),
    query(),
    answer(called([audioOf(7000), video(7100)])),
    query(),
  ),
  sequence(
    'flags and directions with a refused section',
    offer(
      { media: [audioOf(6000), video(0, ['a=sendonly'])] },
      { flags: ['asymmetric', 'original-sendrecv'] },
    ),
    answer(called([audioOf(7000), video(0, ['a=inactive'])]), { flags: ['asymmetric'] }),
    query(),
  ),
  sequence(
    'an answer accepts what was refused',
    offer({ media: [audioOf(6000), video(0)] }),
    answer(called([audioOf(7000), video(7100)])),
    query(),
  ),
  sequence(
    'mids that change',
    offer({ media: [audioOf(6000, 'a=mid:0'), video(6100)] }),
    answer(called([audioOf(7000, 'a=mid:a'), video(7100, ['a=mid:v'])])),
    reoffer({ media: [audioOf(6000, 'a=mid:1'), video(6100)] }),
    answer(called([audioOf(7000), video(7100)])),
    calleeOffer(called([audioOf(7000, 'a=mid:5'), video(7100, ['a=mid:6'])])),
    callerAnswer({ media: [audioOf(6000, 'a=mid:7'), video(6100)] }),
    reoffer({ media: [audioOf(6000), video(6100, ['a=mid:9'])] }),
    answer(called([audioOf(7000), video(7100)])),
  ),
  sequence('re-offer unchanged', ...established, reoffer(), answer(), query()),
  sequence('re-offer from another port', ...established, reoffer(caller(6010)), answer(), query()),
  sequence(
    're-offer from another port and back',
    ...established,
    reoffer(caller(6010)),
    answer(),
    reoffer(),
    answer(),
  ),
  sequence(
    're-offer from another address',
    ...established,
    reoffer({ address: '192.0.2.11' }),
    answer(called([audioOf(7000)], { address: '192.0.2.78' })),
    query(),
  ),
  sequence('re-offer by the callee', ...established, calleeOffer(), callerAnswer(), query()),
  sequence(
    're-offer by the callee from another port',
    ...established,
    calleeOffer(called([audioOf(7050)])),
    callerAnswer(),
    calleeOffer(),
    callerAnswer(caller(6010)),
    query(),
  ),
  sequence(
    'port-latching keeps the ports',
    ...established,
    reoffer(caller(6010), { flags: ['port-latching'] }),
    answer(called([audioOf(7010)]), { flags: ['port-latching'] }),
    query(),
  ),
  sequence(
    'more sections in the re-offer',
    ...established,
    reoffer({ media: [audioOf(6000), video(6100)] }),
    answer(called([audioOf(7000), video(7100)])),
    query(),
  ),
  sequence(
    'fewer sections in the re-offer',
    offer({ media: [audioOf(6000), video(6100)] }),
    answer(called([audioOf(7000), video(7100)])),
    reoffer(),
    answer(),
    query(),
  ),
  sequence(
    'fewer sections in the answer',
    offer({ media: [audioOf(6000), video(6100)] }),
    answer(),
    query(),
  ),
  sequence(
    'more sections in the answer',
    offer(),
    answer(called([audioOf(7000), video(7100)])),
    query(),
  ),
  sequence(
    'the order of the sections is kept',
    offer({ media: [video(6100), audioOf(6000), audioOf(6200)] }),
    answer(called([video(7100), audioOf(7000), audioOf(7200)])),
    query(),
  ),
  sequence(
    'rejected in the offer',
    offer({ media: [audioOf(6000), video(0)] }),
    answer(called([audioOf(7000), video(0)])),
    query(),
  ),
  sequence(
    'rejected in the answer, accepted later',
    offer({ media: [audioOf(6000), video(6100)] }),
    answer(called([audioOf(7000), video(0)])),
    query(),
    reoffer({ media: [audioOf(6000), video(6100)] }),
    answer(called([audioOf(7000), video(7100)])),
    query(),
  ),
  sequence(
    'closed by port 0 and opened again',
    ...established,
    reoffer(caller(0)),
    answer(called([audioOf(0)])),
    query(),
    reoffer(),
    answer(),
    query(),
  ),
  sequence(
    'a section becomes a fax and audio again',
    ...established,
    reoffer({ media: [fax(6000)] }),
    answer(called([fax(7000)])),
    query(),
    reoffer(),
    answer(),
  ),
  sequence(
    'query by one tag and by both',
    ...established,
    ...[
      { 'from-tag': 'a', 'to-tag': 'q' },
      { 'from-tag': 'q', 'to-tag': 'a' },
    ].map((tags) => query(tags)),
    ...[{ 'from-tag': 'x' }, { 'from-tag': 'q' }, { 'to-tag': 'a' }].map((tags) => query(tags)),
  ),
  sequence(
    'held at a zero address, ICE towards the other side',
    offer({ address: '0.0.0.0' }, { ICE: 'optional' }),
    answer(),
    reoffer({}, { ICE: 'force' }),
    answer(),
    reoffer({ address: '0.0.0.0' }, { ICE: 'force' }),
    answer(),
    reoffer({ address: '0.0.0.0' }),
    answer(called([audioOf(7000)], { address: '0.0.0.0' })),
  ),
  sequence(
    'held at a zero address, not answered yet',
    offer(),
    answer(),
    reoffer({ address: '0.0.0.0' }),
    query(),
    answer(),
    query(),
  ),
  sequence(
    'held at a zero address from another port, and back',
    ...established,
    reoffer({ address: '0.0.0.0', media: [audioOf(6040)] }),
    answer(called([audioOf(7000)])),
    reoffer({ media: [audioOf(6040)] }),
    answer(called([audioOf(7040)], { address: '0.0.0.0' })),
    reoffer({ media: [audioOf(6040)] }),
    answer(called([audioOf(7040)])),
    query(),
  ),
  sequence(
    'answered at a zero address first',
    offer(),
    answer(called([audioOf(7040)], { address: '0.0.0.0' })),
    reoffer(),
    answer(),
    reoffer(),
    answer(called([audioOf(7040)])),
    query(),
  ),
  sequence('early media answers first, then the real one', offer(), answer(), query(), answer()),
  sequence(
    'forked early media, one branch hung up',
    ...twoBranches(),
    hangUp({ 'from-tag': 'a', 'to-tag': 'x' }),
    reoffer({}, { 'to-tag': 'y' }),
    answer(called([audioOf(7200)]), { 'to-tag': 'y' }),
  ),
];

function fax(port: number): {
  type: string;
  port: number;
  protocol: string;
  formats: string;
  lines: string[];
} {
  return { type: 'image', port, protocol: 'udptl', formats: 't38', lines: ['a=T38FaxVersion:0'] };
}

/** An offer in two branches. */
export function forked(): readonly ReturnType<typeof offer>[] {
  return [offer({}, { 'via-branch': 'b1' }), offer({}, { 'via-branch': 'b2' })];
}

/** An answer to one of them. */
export function answerOf(tag: string, branch: string, port: number): ReturnType<typeof answer> {
  return answer(called([audioOf(port)]), { 'to-tag': tag, 'via-branch': branch });
}

/** Both branches answered, by x and y. */
export function twoBranches(): readonly ReturnType<typeof offer>[] {
  return [...forked(), answerOf('x', 'b1', 7000), answerOf('y', 'b2', 7200)];
}
