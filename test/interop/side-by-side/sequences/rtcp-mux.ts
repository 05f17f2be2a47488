/** Every rtcp-mux word, offered with and without mux, answered with and without. */
import {
  answer,
  audioOf,
  called,
  caller,
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
  sequence('rtcp-mux given as a string', offer({}, { 'rtcp-mux': 'offer' })),
  sequence(
    'rtcp-mux without rtcp attribute',
    offer({}, { 'rtcp-mux': ['offer'], flags: ['no-rtcp-attribute'] }),
  ),
];
