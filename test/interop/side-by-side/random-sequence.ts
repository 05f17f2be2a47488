/** Sequences of commands that are the same again for the same seed: dialogues with re-offers, holds, refusals, flags and deletes. */
import type { NgDictionary } from '../../support/bencode.js';
import { pickOf, randomSource, type Below } from '../../support/random.js';
import { video, type MediaSection, type SdpOptions } from '../../support/sdp.js';
import {
  answer,
  audioOf,
  calleeOffer,
  callerAnswer,
  command,
  hangUp,
  offer,
  query,
  reoffer,
  sequence,
  type Sequence,
  type Step,
} from './sequence.js';

/** Addresses and ports move, or directions change: with both, 10.5 takes new ports where 12.5 and this daemon keep them. */
type Mode = 'moves' | 'holds';

const plainLines = [[], [], ['a=ptime:20'], ['a=fmtp:101 0-15'], ['a=rtcp:6101']] as const;
const linesOf: Readonly<Record<Mode, readonly (readonly string[])[]>> = {
  moves: plainLines,
  holds: [...plainLines, ['a=sendrecv'], ['a=sendonly'], ['a=recvonly'], ['a=inactive']],
};

const keys: readonly NgDictionary[] = [
  ...[{}, {}, {}, {}, { replace: ['origin'] }, { replace: ['session-name'] }],
  ...[{ replace: ['username'] }, { flags: ['port-latching'] }, { flags: ['asymmetric'] }],
  ...[{ flags: ['strict-source'] }, { flags: ['no-rtcp-attribute'] }, { flags: ['symmetric'] }],
  ...[{ flags: ['original-sendrecv'] }, { 'transport-protocol': 'RTP/AVPF' }, { label: 'L' }],
  ...[{ 'transport-protocol': 'RTP/AVP' }, { direction: ['lo', 'ext'] }, { TOS: 184 }],
  ...[{ ICE: 'remove' }, { 'media-address': '203.0.113.9' }, { 'address-family': 'IP4' }],
];

/** A body of either side. */
function bodyOf(random: Below, mode: Mode, isCaller: boolean, sections: number): SdpOptions {
  const base = isCaller ? 6000 : 7000;
  const address = isCaller ? '192.0.2.10' : '192.0.2.77';
  const moves = (times: number): boolean => random(times) === 0 && mode === 'moves';
  const media = Array.from({ length: sections }, (_none, at): MediaSection => {
    const port = base + 100 * at + (moves(5) ? 20 : 0);
    const lines = pickOf(linesOf[mode], random);
    return at % 2 === 0 ? audioOf(port, ...lines) : video(port, lines);
  });
  return {
    ...{ user: isCaller ? 'ann' : 'bea', origin: address, version: 3 + random(2), media },
    address: moves(10) ? '192.0.2.99' : address,
  };
}

/** One of the two sides offers and, most often, is answered. */
function exchange(random: Below, mode: Mode, established: boolean): readonly Step[] {
  const sections = 1 + (random(3) === 0 ? 1 : 0);
  const byCaller = !established || random(2) === 0;
  const asked = bodyOf(random, mode, byCaller, sections);
  const answered = bodyOf(random, mode, !byCaller, sections);
  const forOffer = pickOf(keys, random);
  const { 'transport-protocol': _of, ...forAnswer } = pickOf(keys, random);
  if (!byCaller) return [calleeOffer(asked, forOffer), callerAnswer(answered, forAnswer)];
  const tagged = established && random(3) > 0;
  const offered = tagged ? reoffer(asked, forOffer) : offer(asked, forOffer);
  return random(8) === 0 && established ? [offered] : [offered, answer(answered, forAnswer)];
}

function aside(random: Below): Step {
  switch (random(6)) {
    case 0:
      return command('block media', { 'from-tag': 'a' });
    case 1:
      return command('unblock media', { 'from-tag': 'a' });
    case 2:
      return command('block DTMF');
    case 3:
      return hangUp(
        pickOf([{ 'from-tag': 'a' }, { 'from-tag': 'x' }, { 'from-tag': 'z' }], random),
      );
    case 4:
      return hangUp({ 'from-tag': 'a', 'to-tag': 'x' });
    default:
      return query();
  }
}

/** Up to a dozen commands. */
export function randomSequence(seed: number): Sequence {
  const random = randomSource(seed);
  const mode: Mode = random(2) === 0 ? 'moves' : 'holds';
  const steps: Step[] = [...exchange(random, mode, false)];
  for (let left = 1 + random(4); left > 0; left -= 1)
    steps.push(...(random(3) === 0 ? [aside(random)] : exchange(random, mode, true)));
  return sequence(`random ${seed}`, ...steps.slice(0, 11), query());
}
