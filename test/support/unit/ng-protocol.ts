import type { NgDictionary, NgValue } from '../../../src/ng-protocol/dictionary.js';
import type { NgRequest, OfferAnswerRequest } from '../../../src/ng-protocol/commands.js';
import { parseRequest } from '../../../src/ng-protocol/commands.js';

/** What tests write instead of Maps. */
export type Plain = string | number | readonly Plain[] | { readonly [key: string]: Plain };

function toNg(value: Plain): NgValue {
  if (typeof value !== 'object') return value;
  if (Array.isArray(value)) return (value as readonly Plain[]).map(toNg);
  return dictionary(value as { readonly [key: string]: Plain });
}

export function dictionary(record: { readonly [key: string]: Plain }): NgDictionary {
  return new Map(Object.entries(record).map(([key, value]) => [key, toNg(value)]));
}

/** Parses an offer (or the command given) with the required keys and these. */
export function parsed(
  record: { readonly [key: string]: Plain },
  command: 'offer' | 'answer' = 'offer',
): OfferAnswerRequest {
  const request: NgRequest = parseRequest(
    command,
    dictionary({ sdp: 'v=0', 'call-id': 'c', 'from-tag': 'f', 'to-tag': 't', ...record }),
  );
  if (request.command !== 'offer' && request.command !== 'answer') throw new Error('not an offer');
  return request;
}
