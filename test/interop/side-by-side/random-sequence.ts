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

/** What a dialogue may have besides. */
type Feature = 'directions' | 'moves' | 'refused' | 'mux' | 'mid';

const plainLines = [[], [], ['a=ptime:20'], ['a=fmtp:101 0-15'], ['a=rtcp:6101']] as const;
const directions = [['a=sendrecv'], ['a=sendonly'], ['a=recvonly'], ['a=inactive']] as const;

const keys: readonly NgDictionary[] = [
  ...[{}, {}, {}, {}, { replace: ['origin'] }, { replace: ['session-name'] }],
  ...[{ replace: ['username'] }, { flags: ['port-latching'] }, { flags: ['asymmetric'] }],
  ...[{ flags: ['strict-source'] }, { flags: ['no-rtcp-attribute'] }, { flags: ['symmetric'] }],
  ...[{ flags: ['original-sendrecv'] }, { 'transport-protocol': 'RTP/AVPF' }, { label: 'L' }],
  ...[{ 'transport-protocol': 'RTP/AVP' }, { direction: ['lo', 'ext'] }, { TOS: 184 }],
  ...[{ ICE: 'remove' }, { 'media-address': '203.0.113.9' }, { 'address-family': 'IP4' }],
];
const muxKeys: readonly NgDictionary[] = ['offer', 'require', 'demux', 'accept', 'reject'].map(
  (word) => ({ 'rtcp-mux': [word] }),
);

class Generator {
  constructor(
    private readonly random: Below,
    private readonly features: ReadonlySet<Feature>,
  ) {}

  #once(times: number, feature: Feature): boolean {
    return this.features.has(feature) && this.random(times) === 0;
  }

  /** @param isLive neither side refuses the section: of one that is, RTCP is nobody's. */
  #lines(at: number, isLive: boolean): readonly string[] {
    const choices = this.features.has('directions') ? [...plainLines, ...directions] : plainLines;
    return [
      ...pickOf<readonly string[]>(choices, this.random),
      ...(this.#once(2, 'mux') && isLive ? ['a=rtcp-mux'] : []),
      ...(this.#once(2, 'mid')
        ? [`a=mid:${pickOf([`${at}`, at === 0 ? 'a' : 'v'], this.random)}`]
        : []),
    ];
  }

  /** For each section whether a side refuses it. */
  #refusals(sections: number): readonly boolean[] {
    return Array.from({ length: sections }, () => this.#once(8, 'refused'));
  }

  /** A body of either side. @param others which sections the other side refuses. */
  #body(isCaller: boolean, refusals: readonly boolean[], others: readonly boolean[]): SdpOptions {
    const base = isCaller ? 6000 : 7000;
    const address = isCaller ? '192.0.2.10' : '192.0.2.77';
    const media = refusals.map((refused, at): MediaSection => {
      const port = refused ? 0 : base + 100 * at + (this.#once(5, 'moves') ? 20 : 0);
      const lines = this.#lines(at, !refused && others[at] === false);
      return at % 2 === 0 ? audioOf(port, ...lines) : video(port, lines);
    });
    return {
      ...{ user: isCaller ? 'ann' : 'bea', origin: address, version: 3 + this.random(2), media },
      address: this.#once(10, 'moves') ? '192.0.2.99' : address,
    };
  }

  #keys(): NgDictionary {
    return pickOf(this.#once(3, 'mux') ? muxKeys : keys, this.random);
  }

  /** One of the two sides offers and, most often, is answered. */
  exchange(established: boolean): readonly Step[] {
    const { random } = this;
    const sections = 1 + (random(3) === 0 ? 1 : 0);
    const byCaller = !established || random(2) === 0;
    const refusals = this.#refusals(sections);
    // With rtcp-mux nobody accepts what was refused (RFC 3264 §6): who multiplexes then is not said anywhere.
    const others = this.#refusals(sections).map(
      (refused, at) => refused || (this.features.has('mux') && refusals[at] === true),
    );
    const asked = this.#body(byCaller, refusals, others);
    const answered = this.#body(!byCaller, others, refusals);
    const forOffer = this.#keys();
    const { 'transport-protocol': _of, ...forAnswer } = this.#keys();
    if (!byCaller) return [calleeOffer(asked, forOffer), callerAnswer(answered, forAnswer)];
    const tagged = established && random(3) > 0;
    const offered = tagged ? reoffer(asked, forOffer) : offer(asked, forOffer);
    return random(8) === 0 && established ? [offered] : [offered, answer(answered, forAnswer)];
  }

  aside(): Step {
    const { random } = this;
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
}

function featuresOf(random: Below, wide: boolean): ReadonlySet<Feature> {
  const movement: readonly Feature[] = random(2) === 0 ? ['moves'] : ['directions'];
  const others = (['refused', 'mux', 'mid'] as const).filter(() => random(3) > 0);
  return new Set([...(wide ? (['moves', 'directions'] as const) : movement), ...others]);
}

/** Up to a dozen commands. @param wide ports and directions change in one dialogue. */
export function randomSequence(seed: number, wide = false): Sequence {
  const random = randomSource(seed);
  const generator = new Generator(random, featuresOf(random, wide));
  const steps: Step[] = [...generator.exchange(false)];
  for (let left = 1 + random(4); left > 0; left -= 1)
    steps.push(...(random(3) === 0 ? [generator.aside()] : generator.exchange(true)));
  return sequence(`random ${seed}`, ...steps.slice(0, 11), query());
}
