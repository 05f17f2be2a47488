/** Every rtcp-mux word, offered with and without mux, answered with and without. */
import { video } from '../../../support/sdp.js';
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

const words = [
  [],
  ['offer'],
  ['require'],
  ['demux'],
  ['accept'],
  ['reject'],
  ['offer', 'require'],
  ['accept', 'offer'],
];
const mux = ['a=rtcp-mux'];

function matrix(): readonly Sequence[] {
  return words.flatMap((word) =>
    [false, true].flatMap((offered) =>
      [false, true].map((answered) => {
        const name = word.length === 0 ? 'none' : word.join(' and ');
        const keys = word.length === 0 ? {} : { 'rtcp-mux': word };
        return sequence(
          `rtcp-mux ${name}, ${offered ? '' : 'not '}offered, ${answered ? '' : 'not '}answered`,
          offer(caller(6000, ...(offered ? mux : [])), keys),
          answer(called([audioOf(7000, ...(answered ? mux : []))])),
          query(),
        );
      }),
    ),
  );
}

export const rtcpMuxSequences = [
  ...matrix(),
  sequence(
    'rtcp-mux in re-offers',
    offer(caller(6000, ...mux)),
    answer(called([audioOf(7000, ...mux)])),
    reoffer(caller(6000, ...mux)),
    answer(called([audioOf(7000, ...mux)])),
    reoffer(caller(6050, ...mux)),
    answer(called([audioOf(7000, ...mux)])),
    reoffer(),
    answer(),
    query(),
  ),
  sequence(
    'rtcp-mux of a section that is new where another one multiplexes',
    ...[offer(caller(6000, ...mux)), answer(called([audioOf(7000, ...mux)]))],
    reoffer({ media: [audioOf(6000, ...mux), video(6100)] }),
    query(),
    answer(called([audioOf(7000, ...mux), video(7100)])),
    query(),
    calleeOffer(called([audioOf(7000, ...mux), video(7100, [...mux]), audioOf(7200)])),
    callerAnswer({ media: [audioOf(6000, ...mux), video(6100), audioOf(6200, ...mux)] }),
    query(),
  ),
  sequence(
    'rtcp-mux of the second of three sections alone',
    offer({ media: [audioOf(6000), video(6100)] }, { 'rtcp-mux': ['offer'] }),
    answer(called([audioOf(7000), video(7100, [...mux])])),
    reoffer({ media: [audioOf(6000, ...mux), video(6100), audioOf(6200)] }),
    answer(called([audioOf(7000), video(7100, [...mux]), audioOf(7200)])),
    query(),
  ),
  ...words.map((word) =>
    sequence(
      `rtcp-mux ${word.join(' and ') || 'offered'}, offered again before the answer`,
      offer(caller(6000, ...mux), word.length === 0 ? {} : { 'rtcp-mux': word }),
      query(),
      offer(),
      query(),
      answer(),
      offer(),
      query(),
    ),
  ),
  sequence(
    'rtcp-mux of a section that is refused and comes back',
    offer({ media: [audioOf(6000), video(6100)] }, { 'rtcp-mux': ['offer'] }),
    answer(called([audioOf(7000), video(7100, [...mux])])),
    reoffer({ media: [audioOf(6000), video(0)] }),
    answer(called([audioOf(7000), video(0)])),
    query(),
    reoffer({ media: [audioOf(6000), video(6100)] }),
    query(),
    answer(called([audioOf(7000), video(7100)])),
    query(),
  ),
  ...(['require', 'accept', 'demux'] as const).map((word) =>
    sequence(
      `rtcp-mux ${word}, then ports of its own`,
      offer(caller(6000, ...mux), { 'rtcp-mux': [word] }),
      answer(),
      reoffer(),
      answer(),
      query(),
    ),
  ),
  sequence('rtcp-mux given as a string', offer({}, { 'rtcp-mux': 'offer' })),
  sequence(
    'rtcp-mux without rtcp attribute',
    offer({}, { 'rtcp-mux': ['offer'], flags: ['no-rtcp-attribute'] }),
  ),
];
