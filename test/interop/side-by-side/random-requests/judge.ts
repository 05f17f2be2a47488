/** Which of the differences that a plan shows are faults: those in which the releases of rtpengine are of one mind. */
import { differences, type Flat } from '../masking.js';
import { performOn, type Side } from '../stage.js';
import { sequenceOf, type Plan } from './plan.js';

export interface Found {
  /** The later release differs from us, and the earlier one in the same way. */
  readonly both: boolean;
  readonly text: string;
}

/** Tokens of which only the shape counts, and what a refused section says besides, are left out. */
function comparable(flat: Flat): Flat {
  const shown = new Map<string, string>();
  const refused = [...flat.keys()].flatMap(
    (path) => /^(sdp\.media\[\d+\] )"m=\w+ 0 /.exec(path)?.[1] ?? [],
  );
  for (const [path, value] of flat) {
    if (refused.some((start) => path.startsWith(start)) && !/"(?:m=|a=mid:)/.test(path)) continue;
    let key = path
      .replace(/("m=\w+ 0 \S+ ).*"/, '$1…"')
      .replace(/"(a=fingerprint:\S+) (?!00:01)\S+"/, '"$1 <fingerprint>"')
      .replace(
        /"(a=candidate:)\S+( \d \S+ \d+ (?:127\.0\.0\.1|203\.0\.113\.5) )\d+/,
        '"$1<own>$2<own>',
      );
    while (shown.has(key)) key += ' again';
    shown.set(key, value);
  }
  return shown;
}

/** A difference without what varies from plan to plan: the same again is the same fault. */
export function kindOf(difference: string): string {
  return difference
    .replace(/^\d+ /, '')
    .replace(/<port \d+>(?:\+1)?/g, '<port>')
    .replace(/\[\d+\]/g, '[]')
    .replace(/(m=\w+ \S+ \S+)[^"]*/, '$1')
    .replace(/(?: again)+$/, '')
    .replace(/tags\.[^.]+\./g, 'tags.*.')
    .replace(/<\d+ characters>/g, '<key>')
    .replace(/\d{3,}/g, 'N')
    .replace(/a=crypto:\d+/, 'a=crypto:N');
}

/** Which kind of line of which section a difference is about, else the difference itself. */
function lineOf(difference: string): string {
  const [, line] = /^only \w+: (sdp\.\S+ "\w=[\w-]*)/.exec(difference) ?? [];
  return line?.replace(/("m=).*/, '$1') ?? difference;
}

/** One of the releases may be missing: what the other one does otherwise counts alone. */
export interface Daemons {
  readonly earlier: Side | null;
  readonly later: Side | null;
  readonly subject: Side;
}

let runs = 0;

/** @param isUsual differences that are no fault, with the step's number and name */
export async function run(
  plan: Plan,
  { earlier, later, subject }: Daemons,
  isUsual: (difference: string) => boolean,
): Promise<readonly Found[]> {
  const sequence = sequenceOf(`random request ${(runs += 1)}`, plan);
  const releases = [earlier, later].flatMap((side) => side ?? []);
  const sides = [...releases, subject];
  const all = await Promise.all(sides.map((side) => performOn(sequence, side, 40)));
  const flats = all.map((results) => results.map(comparable));
  const [first = [], second = [], ours = []] = [flats[0], flats.at(-2), flats.at(-1)];
  const none: Flat = new Map();
  return sequence.steps.flatMap((step, at) => {
    const [early = none, late = none, own = none] = [first[at], second[at], ours[at]];
    const agreed = new Set(differences(early, own));
    const disputed = new Set(differences(early, late).map(lineOf));
    return differences(late, own)
      .map((each) => ({
        both: agreed.has(each) && !disputed.has(lineOf(each)),
        text: `${at + 1} ${step.name}: ${each}`,
      }))
      .filter(({ text }) => !isUsual(text));
  });
}
