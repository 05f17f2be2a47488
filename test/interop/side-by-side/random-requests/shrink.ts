/** Makes a plan smaller as long as what is wrong with it stays. */
import type { Plan } from './plan.js';

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** Members without which a step is no step. */
const needed: ReadonlySet<string> = new Set([
  ...['steps', 'do', 'from', 'to', 'media', 'port', 'type', 'protocol', 'formats', 'lines'],
  ...['manner', 'real', 'from-tag', 'to-tag', 'via-branch'],
]);
/** Lines without which a section means something else. */
export const meaning = /^a=(?:rtpmap|sctp-port|setup|fingerprint|T38FaxVersion|ice-ufrag|ice-pwd):/;

/** Every value that lacks one member somewhere. */
function* smaller(value: Json): Generator<Json> {
  if (value === null || typeof value !== 'object') return;
  if (Array.isArray(value)) {
    const list: readonly Json[] = value;
    for (const [at, member] of list.entries())
      if (typeof member !== 'string' || !meaning.test(member)) yield list.toSpliced(at, 1);
    for (const [at, member] of list.entries())
      for (const less of smaller(member)) yield list.with(at, less);
    return;
  }
  const members = Object.entries(value as { readonly [key: string]: Json });
  for (const [name] of members)
    if (!needed.has(name)) yield Object.fromEntries(members.filter(([other]) => other !== name));
  for (const [name, member] of members)
    for (const less of smaller(member))
      yield Object.fromEntries(members.map(([n, m]) => [n, n === name ? less : m]));
}

/**
 * @param fails runs a plan and says whether it is wrong in the same way.
 * @param tries so many plans are run at most.
 */
export async function shrink(
  plan: Plan,
  fails: (plan: Plan) => Promise<boolean>,
  tries = 250,
): Promise<Plan> {
  let left = tries;
  let best = plan;
  for (let improved = true; improved && left > 0;) {
    improved = false;
    for (const less of smaller(best as unknown as Json)) {
      if ((left -= 1) < 0) break;
      const candidate = less as unknown as Plan;
      if (!(await fails(candidate))) continue;
      best = candidate;
      improved = true;
      break;
    }
  }
  return best;
}
