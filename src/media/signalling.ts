/**
 * What the offer/answer model is asked for: an NG request after parsing (ng-protocol.md §4). Its fields
 * and their types are the rows of the request table; the model knows nothing of dictionaries.
 */
import type { OfferAnswerRequest } from '../ng-protocol/requests.js';

export type {
  ReplaceWord as ReplaceOption,
  RequestFlag as SignallingFlag,
  RtcpMuxWord as RtcpMuxOption,
} from '../ng-protocol/requests.js';

/** A parsed `offer` or `answer`, whoever sent it. Strings are byte strings. */
export type SignallingRequest = Omit<
  OfferAnswerRequest,
  'command' | 'unknown' | 'unsupported' | 'idle'
>;
