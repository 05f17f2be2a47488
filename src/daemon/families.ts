/** Calls by the address families of their remotes. */
import type { CallState } from '../media/call-state.js';

export interface CallFamilies {
  readonly ipv4Only: number;
  readonly ipv6Only: number;
  readonly mixed: number;
}

export function familiesOf(calls: Iterable<CallState>): CallFamilies {
  const counts = { ipv4Only: 0, ipv6Only: 0, mixed: 0 };
  for (const { streams } of calls) {
    let [four, six] = [false, false];
    for (const { endpoint } of streams) {
      if (endpoint === null) continue;
      if (endpoint.address.includes(':')) six = true;
      else four = true;
    }
    if (four && six) counts.mixed += 1;
    else if (six) counts.ipv6Only += 1;
    else if (four) counts.ipv4Only += 1;
  }
  return counts;
}
